/* bytes-per-day: what one user may fetch, or be sent, in any 24 hours (engine/pace/daily). When it is
 * used up the user's mail waits: what is under way ends, the user ends as Stopped, and a later run
 * goes on. What was used is kept in the state folder. All calls on the account's loop.
 */
#ifndef ENGINE_MOVE_ALLOWANCE_H
#define ENGINE_MOVE_ALLOWANCE_H

#include "engine/move/account.h"

/* Reads what earlier runs used. */
void allowance_begin(struct account *account);
/* May so many bytes more be moved? False: the day's allowance is used up; it is told once. */
bool allowance_allows(struct account *account, enum side side, uint64_t bytes);
/* They are on their way, whatever becomes of them. */
void allowance_spend(struct account *account, enum side side, uint64_t bytes);

#endif
