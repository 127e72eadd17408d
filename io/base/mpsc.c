#include "io/base/mpsc.h"

#include <stddef.h>

void mpsc_init(struct mpsc *q)
{
    atomic_init(&q->stub.next, NULL);
    atomic_init(&q->tail, &q->stub);
    q->head = &q->stub;
}

void mpsc_push(struct mpsc *q, struct mpsc_node *node)
{
    struct mpsc_node *before;

    atomic_store_explicit(&node->next, NULL, memory_order_relaxed);
    before = atomic_exchange_explicit(&q->tail, node, memory_order_acq_rel);
    atomic_store_explicit(&before->next, node, memory_order_release);
}

struct mpsc_node *mpsc_pop(struct mpsc *q)
{
    struct mpsc_node *head = q->head;
    struct mpsc_node *next = atomic_load_explicit(&head->next, memory_order_acquire);

    if (head == &q->stub) {
        if (!next)
            return NULL;
        q->head = head = next;
        next = atomic_load_explicit(&head->next, memory_order_acquire);
    }
    if (next) {
        q->head = next;
        return head;
    }
    /* head is the last node, unless a push is under way: put the stub behind it to free it. */
    if (atomic_load_explicit(&q->tail, memory_order_acquire) != head)
        return NULL;
    mpsc_push(q, &q->stub);
    next = atomic_load_explicit(&head->next, memory_order_acquire);
    if (!next)
        return NULL;
    q->head = next;
    return head;
}

bool mpsc_is_empty(const struct mpsc *q)
{
    /* Only the reader moves head, so the queue is empty exactly when the last writer's node is the
     * stub and the reader stands on it. */
    return q->head == &q->stub && atomic_load(&q->tail) == &q->stub;
}
