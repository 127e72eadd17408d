/* Second copies of messages whose answers were lost: noted before the messages are sent again, and looked for at the
 * end of a user's work.
 */
#ifndef ENGINE_MOVE_PUSH_LATE_H
#define ENGINE_MOVE_PUSH_LATE_H

#include "engine/move/account.h"

/* These were sent and have no answer, or one that proves nothing; noted without waiting: a look, whose end is durable,
 * is between this and their being sent again. */
void push_late_note(struct folder *f, struct folder_item *items, unsigned count);
/* The message is going to be sent, maybe again: then a copy of it may come late, and the folder is looked at for that
 * at the end of this run and in later ones. */
void push_late_again(struct folder *f, const struct folder_item *item);
/* push_late_note of all that is in the spool for the folder when a run begins after one that was killed: any of it may
 * have been sent. */
void push_late_note_spooled(struct folder *f);

/* More is sent to the folder after this run has looked: it looks again. */
void push_late_anew(struct folder *f);
/* The folder may hold such copies, and this run has not looked for them. */
bool push_late_is_due(const struct folder *f);
/* Looks, on the ready link of a worker of the target side without APPENDs under way; counts in account.proving
 * until it has ended. What it finds is a doubt of the folder (LateCopy, TwoSenders). */
void push_late_begin(struct worker *w, struct folder *f);

#endif
