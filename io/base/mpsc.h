/* Intrusive queue from many writing threads to one reading thread; no lock, nothing allocated.
 * Order is kept for each writer. (The algorithm is Dmitry Vyukov's node-based MPSC queue.)
 */
#ifndef IO_BASE_MPSC_H
#define IO_BASE_MPSC_H

#include <stdatomic.h>
#include <stdbool.h>

/* Embed one in what travels; it belongs to the queue from push to pop. */
struct mpsc_node {
    _Atomic(struct mpsc_node *) next;
};

struct mpsc {
    _Alignas(64) _Atomic(struct mpsc_node *) tail; /* writers */
    _Alignas(64) struct mpsc_node *head;           /* the reader */
    struct mpsc_node stub;
};

void mpsc_init(struct mpsc *q);
/* Any thread. */
void mpsc_push(struct mpsc *q, struct mpsc_node *node);
/* The reading thread. NULL when empty, or when a writer stands between its two stores: that writer
 * wakes the reader after its push, so nothing is missed. */
struct mpsc_node *mpsc_pop(struct mpsc *q);
/* The reading thread. False as soon as any writer has begun a push. */
bool mpsc_is_empty(const struct mpsc *q);

#endif
