/* Second copies of messages whose answers were lost: looked for at the end of a user's work.
 */
#ifndef ENGINE_MOVE_PUSH_LATE_H
#define ENGINE_MOVE_PUSH_LATE_H

#include "engine/move/account.h"

/* The folder may hold such copies, and this run has not looked for them. */
bool push_late_is_due(const struct folder *f);
/* Looks, on the ready link of a worker of the target side without APPENDs under way; counts in account.proving
 * until it has ended. What it finds is a doubt of the folder (LateCopy). */
void push_late_begin(struct worker *w, struct folder *f);

#endif
