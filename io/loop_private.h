/* The loop as the other modules of io see it: the back-end, work put off to the next turn, and what
 * the streams of one thread share. Private to io.
 */
#ifndef IO_LOOP_PRIVATE_H
#define IO_LOOP_PRIVATE_H

#include "io/backend.h"
#include "io/blocks.h"
#include "io/inbox.h"
#include "io/loop.h"
#include "io/tickets.h"
#include "io/wheel.h"

#define LOOP_SCRATCH_BYTES 65536

/* Work for the next turn, before it waits; in its owner's struct, zeroed when unset. */
struct loop_task {
    void (*run)(void *context); /* may queue the task again or free its storage */
    void *context;
    struct loop_task *next, **link;
};

struct loop {
    const struct backend_ops *ops;
    struct backend *backend;
    struct wheel wheel;
    struct inbox inbox;
    uint64_t now_ms;
    struct loop_task *tasks, **tasks_end;
    unsigned conn_count; /* sockets the back-end has not finished with */
    /* Shared by the streams of this thread. */
    struct blocks blocks;
    struct tickets tickets;
    char *plain, *inflated; /* LOOP_SCRATCH_BYTES each, made when first needed */
};

/* No-op when it is queued already. */
void loop_task_queue(struct loop *loop, struct loop_task *task);
void loop_task_cancel(struct loop *loop, struct loop_task *task);
/* A scratch buffer, borrowed until the callback in progress returns. */
char *loop_scratch(char **buffer);

#endif
