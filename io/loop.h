/* One event loop of one thread: connections' readiness, timers in milliseconds and messages from
 * other threads. Runs on io_uring, or on epoll where the kernel or a container refuses io_uring
 * (or MAILHAUL_LOOP=epoll says so); callers cannot tell the difference.
 *
 * Everything here belongs to the thread that created the loop, except loop_post and loop_stop.
 * Nothing on a loop may block: no fsync, DNS, lock or file read.
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include "io/base/err.h"
#include "io/base/mpsc.h"

struct loop;

/* A timer lives in its owner's struct; zeroed storage is an unset timer. */
struct loop_timer {
    void (*fired)(void *context); /* once; may set the timer again or free its storage */
    void *context;
    struct loop_timer *next, **link; /* the wheel's */
    uint64_t due_ms;
};

/* A message into a loop; embed it first in what is sent. The loop owns it from loop_post until
 * deliver is called on the loop's thread; deliver frees it or sends it back. */
struct loop_message {
    struct mpsc_node node;
    void (*deliver)(struct loop_message *message);
};

/* Creates a loop in the calling thread, which must be the one that runs it (an io_uring with a
 * single issuer is bound to its thread). Errors: PERMANENT/RUN, origin OS, when neither io_uring
 * nor epoll can be had. *loop_r is the caller's until loop_destroy. */
bool loop_create(struct loop **loop_r, struct err *err_r) ERR_CHECK;
/* Every stream must have been closed and its closed callback run. Messages still queued are
 * delivered first. Nulls the pointer. */
void loop_destroy(struct loop **loop);

/* Runs until loop_stop. */
void loop_run(struct loop *loop);
/* Any thread and signal-safe. loop_run returns after the turn in progress. */
void loop_stop(struct loop *loop);

/* Milliseconds, monotonic, refreshed when a turn begins and again when it has waited: what arrives is
 * seen at the time when it arrives. */
uint64_t loop_now_ms(const struct loop *loop);

/* Sets or moves the timer; it fires once, no earlier than delay_ms from now (resolution 1 ms up to
 * a few ms), 30 days at most: a longer wait is cut to that. The timer must be cleared before its storage goes. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms, void (*fired)(void *context),
                    void *context);
/* No-op on an unset timer. */
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);
static inline bool loop_timer_is_set(const struct loop_timer *timer)
{
    return timer->link != NULL;
}

/* Any thread. Wakes the loop; messages of one sender arrive in order. */
void loop_post(struct loop *loop, struct loop_message *message);

/* Delivers what was posted until now; waits for nothing. Not from within the loop's own callbacks. */
void loop_deliver(struct loop *loop);

/* "io_uring" or "epoll". */
const char *loop_backend(const struct loop *loop);

#endif
