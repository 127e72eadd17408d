/* What an earlier run decided of messages, decided again: the policy may have changed, a retry was
 * asked for, or what they waited for is gone. Only the difference moves.
 */
#ifndef ENGINE_MOVE_REJUDGE_H
#define ENGINE_MOVE_REJUDGE_H

#include "engine/move/account.h"

/* The folder's messages in these states (bits 1 << MESSAGE_x), by the policy of now; forced:
 * skipped for this reason whatever the policy says. SKIP_NONE: not forced. What an APPEND without
 * an answer may have brought over is not taken back. Ends the run when the spool cannot be read. */
void rejudge_messages(struct folder *folder, unsigned states, enum skip_reason forced);
/* What waits to be fetched in the folder is skipped for this reason, all of it; none of it may be
 * under way. */
void rejudge_waiting(struct folder *folder, enum skip_reason reason);
/* The folder is excluded now, or not any more. status: the source's numbers of it, all that is told
 * of what an excluded folder holds. */
void rejudge_exclude(struct folder *folder, bool excluded, const struct imap_status *status);

#endif
