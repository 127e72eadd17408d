/* Messages into one loop from any thread: a lock-free queue and an eventfd that is written only
 * when the loop may be asleep, so that a busy loop costs its senders no system call.
 */
#ifndef IO_INBOX_H
#define IO_INBOX_H

#include "io/loop.h"

#include <stdatomic.h>

struct inbox {
    struct mpsc queue;
    int fd; /* readable when there is something to do; owned here */
    _Atomic bool asleep;
    _Atomic bool stop;
    _Atomic unsigned posting_count; /* threads inside inbox_post or inbox_stop */
};

bool inbox_init(struct inbox *inbox, struct err *err_r) ERR_CHECK;
/* Waits for posts whose message was seen already but which still hold the eventfd. */
void inbox_deinit(struct inbox *inbox);
/* Any thread. */
void inbox_post(struct inbox *inbox, struct loop_message *message);
/* Any thread, signal-safe. */
void inbox_stop(struct inbox *inbox);
/* The loop's thread: delivers what is queued, at most 1,024 so that sockets get their turn.
 * True when more may be waiting. */
bool inbox_deliver(struct inbox *inbox);
/* Before sleeping: false when something came in meanwhile and the loop must not sleep. After
 * sleeping, inbox_awake. */
bool inbox_sleep(struct inbox *inbox);
void inbox_awake(struct inbox *inbox);

#endif
