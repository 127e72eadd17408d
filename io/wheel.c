#include "io/wheel.h"

#include <assert.h>

#define SLOT_BITS 6
#define SLOT_MASK (WHEEL_SLOTS - 1)

void wheel_init(struct wheel *w, uint64_t now_ms)
{
    *w = (struct wheel){ .now_ms = now_ms };
}

static void list_push(struct loop_timer **head, struct loop_timer *timer)
{
    timer->next = *head;
    timer->link = head;
    if (timer->next)
        timer->next->link = &timer->next;
    *head = timer;
}

/* *end: where the list's last link stands. */
static void list_append(struct loop_timer ***end, struct loop_timer *timer)
{
    timer->next = NULL;
    timer->link = *end;
    **end = timer;
    *end = &timer->next;
}

void wheel_remove(struct loop_timer *timer)
{
    if (!timer->link)
        return;
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    timer->next = NULL;
    timer->link = NULL;
}

void wheel_add(struct wheel *w, struct loop_timer *timer, uint64_t due_ms)
{
    unsigned level = 0, slot;
    uint64_t at = due_ms > w->now_ms ? due_ms : w->now_ms + 1;

    assert(!timer->link);
    timer->due_ms = due_ms;
    /* The level is that of the highest digit (base 64) in which the due time differs from now, so
     * that a slot is reached exactly when that digit of the clock comes round to it. */
    while (level + 1 < WHEEL_LEVELS && (at >> (SLOT_BITS * (level + 1))) != (w->now_ms >> (SLOT_BITS * (level + 1))))
        level++;
    slot = (unsigned)(at >> (SLOT_BITS * level)) & SLOT_MASK;
    list_push(&w->slots[level][slot], timer);
    w->busy[level] |= (uint64_t)1 << slot;
}

/* The first tick after now at which a slot of this level is reached; UINT64_MAX for none. */
static uint64_t level_next_ms(const struct wheel *w, unsigned level)
{
    unsigned shift = SLOT_BITS * level;
    uint64_t digit = w->now_ms >> shift;
    unsigned from = (unsigned)(digit + 1) & SLOT_MASK;
    uint64_t busy = w->busy[level];

    if (!busy)
        return UINT64_MAX;
    busy = from ? (busy >> from) | (busy << (WHEEL_SLOTS - from)) : busy;
    return (digit + 1 + (unsigned)__builtin_ctzll(busy)) << shift;
}

static uint64_t next_ms(const struct wheel *w)
{
    uint64_t next = UINT64_MAX;

    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        uint64_t at = level_next_ms(w, level);

        if (at < next)
            next = at;
    }
    return next;
}

int64_t wheel_wait_ms(const struct wheel *w)
{
    uint64_t next = next_ms(w);

    return next == UINT64_MAX ? -1 : (int64_t)(next - w->now_ms);
}

/* Takes the list of a slot over to *head, whose first element's link then points there. */
static void slot_take(struct wheel *w, unsigned level, unsigned slot, struct loop_timer **head)
{
    *head = w->slots[level][slot];
    if (*head)
        (*head)->link = head;
    w->slots[level][slot] = NULL;
    w->busy[level] &= ~((uint64_t)1 << slot);
}

void wheel_advance(struct wheel *w, uint64_t now_ms)
{
    struct loop_timer *due = NULL, **due_end = &due, *timer;

    for (;;) {
        uint64_t next = next_ms(w);

        if (next > now_ms)
            break;
        w->now_ms = next;
        /* High levels first: what they hold sorts into the lower ones. */
        for (unsigned level = WHEEL_LEVELS; level-- > 0;) {
            struct loop_timer *list;

            if (level && (next & (((uint64_t)1 << (SLOT_BITS * level)) - 1)) != 0)
                continue;
            slot_take(w, level, (unsigned)(next >> (SLOT_BITS * level)) & SLOT_MASK, &list);
            while ((timer = list)) {
                wheel_remove(timer);
                if (timer->due_ms <= next)
                    list_append(&due_end, timer);
                else
                    wheel_add(w, timer, timer->due_ms);
            }
        }
    }
    if (now_ms > w->now_ms)
        w->now_ms = now_ms;
    while ((timer = due)) {
        wheel_remove(timer);
        timer->fired(timer->context);
    }
}
