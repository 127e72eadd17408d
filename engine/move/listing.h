/* The folders of both sides: asks the servers, matches with the journal, decides what each folder of
 * the source is on the target. Steps of an account, before pull and push have work.
 */
#ifndef ENGINE_MOVE_LISTING_H
#define ENGINE_MOVE_LISTING_H

#include "engine/move/account.h"

/* Before the account's first folder is added. */
void listing_prepare(struct account *account);
/* What the journal already knows serves when this run has no source side. */
void listing_resume(struct account *account);
/* On a ready worker, which is busy until the side is listed. */
void listing_begin(struct worker *worker);
void listing_deinit(struct account *account);
/* What the target's names have to keep to, once it is listed; borrows from the account. */
struct names_rules listing_rules(const struct account *account);

#endif
