/* A source whose folders are labels (Gmail, X-GM-EXT-1): a message lies in the folder of each of
 * its labels, and in All Mail besides. It is copied once, from the folder that comes first in rank;
 * where it is met again it is skipped as a Duplicate. Its identity is X-GM-MSGID, which the journal
 * keeps with each row (source_id), so that a later run, or one after a kill, knows what is copied
 * already.
 *
 * Rank: what label-priority names, in its order; then INBOX, drafts, sent mail, the user's own
 * labels (deeper ones first, then by name), trash and junk, All Mail, and last the views of it
 * (Starred, Important). Folders are listed one at a time in that order, and no further than their
 * UIDNEXT was when the pass began: mail that comes meanwhile waits for the next pass, where it is
 * met in the right order.
 *
 * When the chosen folder's message is gone before it was fetched, the row of the next in rank comes
 * back.
 */
#ifndef ENGINE_MOVE_GMAIL_H
#define ENGINE_MOVE_GMAIL_H

#include "engine/move/account.h"

/* The source's folders are placed: from here on the account copies each message once. Ranks the
 * folders, and reads back from the journal who has which message. Once an account. */
void gmail_begin(struct account *account);
/* Before the account is freed. NULL inside is fine. */
void gmail_end(struct account *account);

/* The journal is still being read: nothing may be listed or fetched yet. */
bool gmail_is_reading(const struct account *account);
/* Whether it is this folder's turn to be listed. True for all that is not Gmail. */
bool gmail_may_list(const struct folder *f);
/* A row of the folder, on its way into the journal: whether it is the one to copy. True for all
 * that is not Gmail, or has no identity. */
bool gmail_label_owners(struct folder *f, uint64_t source_id);
/* The folder is forgotten and read anew. */
void gmail_folder_anew(struct folder *f);
/* A message of the folder is gone from there: another folder may have it still. Takes the item;
 * `ends` is called for it later, once the journal has the others' rows back. False: there is
 * nothing to look for, and the item is still the caller's. */
bool gmail_vanished(struct folder *f, const struct folder_item *item,
                    void (*ends)(struct folder *f, struct folder_item *item));
/* Looks for others' rows of what is gone, unless it is looked for already or a folder is being
 * listed: then no folder is listed until that is over. Whenever the account's work is gone through. */
void gmail_look(struct account *account);
/* It shows what lies elsewhere: not made on the target unless something is copied from it. */
bool gmail_is_view(const struct folder *f);

#endif
