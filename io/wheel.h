/* Timers of one loop: a hierarchical wheel of 1 ms ticks, six levels of 64 slots. Setting, moving
 * and clearing cost the same however many there are; nothing is allocated. Knows no clock: it is
 * told the time. The timers' storage belongs to their owners (io/loop.h).
 */
#ifndef IO_WHEEL_H
#define IO_WHEEL_H

#include "io/loop.h"

#define WHEEL_LEVELS 6
#define WHEEL_SLOTS  64

struct wheel {
    uint64_t now_ms;             /* every timer due at or before it has fired */
    uint64_t busy[WHEEL_LEVELS]; /* bit n: slot n may hold timers */
    struct loop_timer *slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now_ms);
/* due_ms at or before the wheel's time fires at the next advance. The timer must not be set. */
void wheel_add(struct wheel *w, struct loop_timer *timer, uint64_t due_ms);
/* No-op on an unset timer. */
void wheel_remove(struct loop_timer *timer);
/* Moves to now_ms and calls `fired` of every timer due by then, in the order of their ticks, in none
 * that is stated within one; each is unset before its call. Timers set by these calls wait for the next advance. */
void wheel_advance(struct wheel *w, uint64_t now_ms);
/* Milliseconds until the next advance has something to do (it may be only to sort timers down a
 * level), or -1 when no timer is set. */
int64_t wheel_wait_ms(const struct wheel *w);

#endif
