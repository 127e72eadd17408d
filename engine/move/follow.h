/* What changed at the source after the copy, followed on the target in later runs: flags (policy
 * follow-flags).
 *
 * Two halves, and the journal between them. The source's half (follow_source) is a part of listing
 * a folder: which of the messages that the journal has have other flags than the target was last
 * brought to goes into the journal, and with the last of them up to which MODSEQ that is so. A
 * folder whose HIGHESTMODSEQ is that one needs no look. The target's half (follow_target) comes at
 * the end of a user's work, when all else is proved: a folder of which something is wanted is
 * opened, the flags of those messages are read, and what the source changed is stored; what a
 * person changed on the target stays. The journal is told after the answer, so that a run that is
 * killed in between does it again.
 */
#ifndef ENGINE_MOVE_FOLLOW_H
#define ENGINE_MOVE_FOLLOW_H

#include "engine/move/account.h"

/* At the account's start, its folders loaded: what of them is to be followed still. False: the
 * journal cannot be read. */
bool follow_begin(struct account *account, struct err *err_r) ERR_CHECK;

/* Nothing of the folder has to be looked at, by the numbers that its source told with the list. */
bool follow_source_rests(const struct folder *f);
/* The worker's folder is open and was listed: looks at what became of the messages with a UID below
 * `below`, which the journal had before. modseq: HIGHESTMODSEQ from before the folder was listed,
 * 0: not told. ended may be called at once; err is the server's. */
void follow_source(struct worker *w, uint32_t below, uint64_t modseq,
                   void (*ended)(struct worker *w, const struct err *err));

/* follow_gone: the source has as many messages of the folder as the journal, as far as it was told
 * (policy follow-deletions). */
bool follow_gone_rests(const struct folder *f, uint32_t exists);
/* The worker's folder is open and was listed, and its server counted `exists` messages then: which
 * of those with a UID below `below` are not there any more goes into the journal, if that can be
 * proved. ended as above. */
void follow_gone(struct worker *w, uint32_t below, uint32_t exists,
                 void (*ended)(struct worker *w, const struct err *err));

/* Likewise of what was deleted at the source: follow_fuse says whether, follow_remove does it. */
bool follow_remove_rests(struct account *account);
bool follow_remove_go(struct worker *w);
/* At the end of the user's work: what was seen to be deleted and was not followed. */
void follow_tell_gone(struct account *account);

/* Nothing is left that the target has to be brought to, or that can be tried in this run. */
bool follow_target_rests(const struct account *account);
/* Begins with the next folder, on the ready link of a worker of the target side without APPENDs
 * under way; counts in account.proving until it has ended. False: there is none. */
bool follow_target_go(struct worker *w);

#endif
