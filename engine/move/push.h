/* Spool to target: makes the folder, looks what it holds where that matters, opens it in the journal
 * and APPENDs under the account's permits; an APPEND without an answer is looked for before
 * anything is sent again.
 */
#ifndef ENGINE_MOVE_PUSH_H
#define ENGINE_MOVE_PUSH_H

#include "engine/move/account.h"

void push_begin(struct worker *worker);
void push_end(struct worker *worker);
void push_go(struct worker *worker);
/* Each APPEND of the folder had its answer, or was looked for and is paired: the next run need not look for any. */
bool push_nothing_lost(const struct folder *folder);
/* Round trips that a message costs the worker's ready link, times 64: how many APPENDs share one, and whether a
 * literal waits for the server's word. */
unsigned push_rounds_x64(struct worker *worker);

#endif
