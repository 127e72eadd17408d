/* The timers of one worker: a binary heap from index 1. */
#include "engine/rehearsal/exo_loop.h"

#include "io/base/mem.h"

static void heap_put(struct exo_worker *w, size_t at, struct exo_timer *t)
{
    w->heap[at] = t;
    t->index = at;
}

static void heap_up(struct exo_worker *w, size_t at)
{
    struct exo_timer *t = w->heap[at];

    for (; at > 1 && w->heap[at / 2]->at_ms > t->at_ms; at /= 2)
        heap_put(w, at, w->heap[at / 2]);
    heap_put(w, at, t);
}

static void heap_down(struct exo_worker *w, size_t at)
{
    struct exo_timer *t = w->heap[at];

    while (2 * at <= w->heap_count) {
        size_t child = 2 * at;

        if (child < w->heap_count && w->heap[child + 1]->at_ms < w->heap[child]->at_ms)
            child++;
        if (w->heap[child]->at_ms >= t->at_ms)
            break;
        heap_put(w, at, w->heap[child]);
        at = child;
    }
    heap_put(w, at, t);
}

void exo_timer_stop(struct exo_worker *w, struct exo_timer *t)
{
    size_t at = t->index;
    struct exo_timer *last;

    if (!at)
        return;
    t->index = 0;
    last = w->heap[w->heap_count--];
    if (last == t)
        return;
    heap_put(w, at, last);
    heap_up(w, at);
    heap_down(w, last->index);
}

void exo_timer_set(struct exo_worker *w, struct exo_timer *t, uint64_t at_ms)
{
    if (t->index && t->at_ms == at_ms)
        return;
    exo_timer_stop(w, t);
    if (w->heap_count + 1 >= w->heap_room) {
        w->heap_room = w->heap_room ? w->heap_room * 2 : 64;
        w->heap = mem_resize(w->heap, w->heap_room, sizeof(struct exo_timer *));
    }
    t->at_ms = at_ms;
    heap_put(w, ++w->heap_count, t);
    heap_up(w, w->heap_count);
}
