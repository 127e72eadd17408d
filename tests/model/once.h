/* A model of how mail goes into one target folder exactly once (docs/architecture.md, steps 4 to 6), searched
 * exhaustively: every order of sending, storing, answering, losing, refusing, committing, looking and being
 * killed. Bounded delay is taken for granted: what the target was sent is stored before the look for it, or
 * never. Each rule of the protocol is a switch; without it the search finds a doubled message. Every function is
 * static.
 */
#ifndef TESTS_MODEL_ONCE_H
#define TESTS_MODEL_ONCE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ONCE_MESSAGES    4
#define ONCE_CONNECTIONS 2
#define ONCE_STORED      8 /* copies in the folder */
#define ONCE_ENDS        4 /* operations that the journal has not committed */
#define ONCE_NONE        255

struct once_rules {
    unsigned messages, connections, losses, refusals, kills;
    bool twins;         /* messages 0 and 1 are the same mail */
    bool tells_uids;    /* APPENDUID */
    bool lost_holds;    /* an answer that is lost holds the floor, whatever others are told */
    bool doubts;        /* a refusal after the last byte is looked into */
    bool claims_from;   /* a row without a UID claims nothing below where its copy may be */
    bool flushes;       /* what was answered is in the journal before a look is compared with it */
    bool open_durable;  /* the intent is durable before the first byte */
};

struct once_row {
    uint8_t done, uid, from; /* uid 0: not told */
};

struct once_journal {
    struct once_row rows[ONCE_MESSAGES];
    uint8_t floor, highest, open;
};

struct once_end {
    uint8_t message, uid, floor, highest;
};

struct once_state {
    uint8_t stored[ONCE_STORED], stored_count; /* UID - 1: message */
    uint8_t limbo[ONCE_STORED], limbo_count;   /* sent whole, the connection gone, not stored yet */
    struct {
        uint8_t message, at_send, uid; /* message ONCE_NONE: idle; uid 0: not stored */
    } wire[ONCE_CONNECTIONS];
    struct once_journal disk;
    struct once_journal mind; /* what the journal will hold */
    struct once_end ends[ONCE_ENDS];
    uint8_t end_count;
    uint8_t highest, floor, lost_above, uncertain, opened, running;
    uint8_t losses, refusals, kills;
};

struct once_search {
    struct once_rules rules;
    struct once_state *seen;
    size_t room, count;
    struct once_state *stack;
    size_t stack_count, stack_room;
    bool doubled, lost, full;
};

static uint8_t once_key(const struct once_search *s, uint8_t message)
{
    return s->rules.twins && message == 1 ? 0 : message;
}

static void once_push(struct once_search *s, const struct once_state *state)
{
    uint64_t hash = 1469598103934665603u;
    const uint8_t *bytes = (const uint8_t *)state;
    size_t at;

    for (size_t i = 0; i < sizeof *state; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    for (at = hash & (s->room - 1); s->seen[at].running; at = (at + 1) & (s->room - 1))
        if (memcmp(&s->seen[at], state, sizeof *state) == 0)
            return;
    if (s->count * 2 > s->room) {
        s->full = true;
        return;
    }
    s->seen[at] = *state;
    s->count++;
    if (s->stack_count == s->stack_room) {
        s->stack_room = s->stack_room ? s->stack_room * 2 : 1024;
        s->stack = realloc(s->stack, s->stack_room * sizeof *s->stack);
        if (!s->stack)
            abort();
    }
    s->stack[s->stack_count++] = *state;
}

static void once_store(struct once_state *t, uint8_t message)
{
    if (t->stored_count < ONCE_STORED)
        t->stored[t->stored_count++] = message;
}

static bool once_idle(const struct once_state *t, unsigned connections)
{
    for (unsigned c = 0; c < connections; c++)
        if (t->wire[c].message != ONCE_NONE)
            return false;
    return true;
}

static bool once_on_wire(const struct once_state *t, uint8_t message)
{
    for (unsigned c = 0; c < ONCE_CONNECTIONS; c++)
        if (t->wire[c].message == message)
            return true;
    return false;
}

/* floor_now of push_send. */
static uint8_t once_floor(const struct once_search *s, const struct once_state *t)
{
    uint8_t lowest = t->highest;

    if (!s->rules.tells_uids)
        return 0;
    if (s->rules.lost_holds && t->lost_above < lowest)
        lowest = t->lost_above;
    for (unsigned c = 0; c < s->rules.connections; c++)
        if (t->wire[c].message != ONCE_NONE && t->wire[c].at_send < lowest)
            lowest = t->wire[c].at_send;
    return (uint8_t)(lowest + 1);
}

static void once_apply(struct once_journal *j, const struct once_end *end)
{
    struct once_row *row = &j->rows[end->message];

    *row = (struct once_row){ .done = 1, .uid = end->uid, .from = end->uid ? 0 : j->floor };
    if (end->floor > j->floor) {
        j->floor = end->floor;
        j->highest = end->highest;
    }
}

static void once_end(const struct once_search *s, struct once_state *t, uint8_t message, uint8_t uid)
{
    struct once_end end = { message, uid, 0, 0 };
    uint8_t floor = once_floor(s, t);

    if (floor > t->floor) {
        t->floor = end.floor = floor;
        end.highest = (uint8_t)(floor - 1);
    }
    once_apply(&t->mind, &end);
    t->ends[t->end_count++] = end;
}

static void once_commit_all(struct once_state *t)
{
    t->disk = t->mind;
    memset(t->ends, 0, sizeof t->ends);
    t->end_count = 0;
}

/* OPEN: the intent, from this UIDNEXT on. */
static void once_open(const struct once_search *s, struct once_state *t)
{
    t->floor = t->mind.floor = (uint8_t)(t->stored_count + 1);
    t->highest = t->mind.highest = t->stored_count;
    t->mind.open = 1;
    t->opened = 1;
    t->uncertain = 0;
    t->lost_above = ONCE_NONE;
    if (s->rules.open_durable)
        once_commit_all(t);
}

/* One look at the folder, compared with the journal, and what is found paired. */
static void once_look(const struct once_search *s, struct once_state *t)
{
    uint8_t from = t->mind.open && t->mind.floor < t->mind.highest + 1 ? t->mind.floor
                                                                       : (uint8_t)(t->mind.highest + 1);
    bool taken[ONCE_STORED] = { false };

    if (t->floor && t->floor < from)
        from = t->floor;
    if (s->rules.flushes)
        once_commit_all(t);
    for (unsigned m = 0; m < s->rules.messages; m++)
        if (t->disk.rows[m].done && t->disk.rows[m].uid)
            taken[t->disk.rows[m].uid - 1] = true;
    for (unsigned m = 0; m < s->rules.messages; m++) {
        const struct once_row *row = &t->disk.rows[m];

        if (!row->done || row->uid || (s->rules.claims_from && row->from < from))
            continue;
        for (unsigned i = from - 1u; i < t->stored_count; i++)
            if (!taken[i] && once_key(s, t->stored[i]) == once_key(s, (uint8_t)m)) {
                taken[i] = true;
                break;
            }
    }
    for (unsigned m = 0; m < s->rules.messages; m++) {
        if (t->mind.rows[m].done)
            continue;
        for (unsigned i = from - 1u; i < t->stored_count; i++)
            if (!taken[i] && once_key(s, t->stored[i]) == once_key(s, (uint8_t)m)) {
                struct once_end end = { (uint8_t)m, (uint8_t)(i + 1), 0, 0 };

                taken[i] = true;
                once_apply(&t->mind, &end);
                break;
            }
    }
    once_commit_all(t);
    once_open(s, t);
}

static void once_gone(const struct once_search *s, struct once_state *t, unsigned c)
{
    if (t->wire[c].uid == 0 && t->limbo_count < ONCE_STORED)
        t->limbo[t->limbo_count++] = t->wire[c].message;
    t->wire[c].message = ONCE_NONE;
    t->wire[c].at_send = t->wire[c].uid = 0;
    (void)s;
}

/* A copy too many, of a mail of which so many were to come. */
static void once_judge(struct once_search *s, const struct once_state *t)
{
    bool all_done = true;

    for (unsigned m = 0; m < s->rules.messages; m++) {
        unsigned wanted = 0, there = 0;

        for (unsigned k = 0; k < s->rules.messages; k++)
            wanted += once_key(s, (uint8_t)k) == once_key(s, (uint8_t)m);
        for (unsigned i = 0; i < t->stored_count; i++)
            there += once_key(s, t->stored[i]) == once_key(s, (uint8_t)m);
        s->doubled |= there > wanted;
        all_done &= t->disk.rows[m].done;
    }
    if (all_done && t->limbo_count == 0 && once_idle(t, s->rules.connections))
        s->lost |= t->stored_count < s->rules.messages;
}

static void once_steps_of_wire(struct once_search *s, const struct once_state *from, unsigned c)
{
    const struct once_rules *r = &s->rules;
    uint8_t message = from->wire[c].message;
    struct once_state t = *from;

    if (message == ONCE_NONE) {
        bool looks = from->uncertain || from->lost_above != ONCE_NONE;

        if (!from->opened || (looks && (from->uncertain || r->doubts)))
            return;
        for (uint8_t m = 0; m < r->messages; m++) {
            if (from->mind.rows[m].done || once_on_wire(from, m))
                continue;
            t.wire[c].message = m;
            t.wire[c].at_send = from->highest;
            once_push(s, &t);
            return; /* in order */
        }
        return;
    }
    if (from->wire[c].uid == 0) {
        once_store(&t, message);
        t.wire[c].uid = t.stored_count;
        once_push(s, &t);
        t = *from;
    } else if (from->end_count < ONCE_ENDS) {
        /* OK */
        uint8_t uid = r->tells_uids ? from->wire[c].uid : 0;

        t.wire[c].message = ONCE_NONE;
        t.wire[c].at_send = t.wire[c].uid = 0;
        if (uid > t.highest)
            t.highest = uid;
        once_end(s, &t, message, uid);
        once_push(s, &t);
        t = *from;
    }
    if (from->losses < r->losses) {
        t.losses++;
        t.uncertain = 1;
        if (from->wire[c].at_send < t.lost_above)
            t.lost_above = from->wire[c].at_send;
        once_gone(s, &t, c);
        once_push(s, &t);
        t = *from;
    }
    if (from->refusals < r->refusals) {
        /* NO, whether it is stored or not. */
        t.refusals++;
        if (r->doubts && from->wire[c].at_send < t.lost_above)
            t.lost_above = from->wire[c].at_send;
        t.wire[c].message = ONCE_NONE;
        t.wire[c].at_send = t.wire[c].uid = 0;
        once_push(s, &t);
    }
}

static void once_steps(struct once_search *s, const struct once_state *from)
{
    const struct once_rules *r = &s->rules;
    struct once_state t;
    bool looks = from->uncertain || from->lost_above != ONCE_NONE, left = false;

    for (unsigned m = 0; m < r->messages; m++)
        left |= !from->mind.rows[m].done;
    for (unsigned c = 0; c < r->connections; c++)
        once_steps_of_wire(s, from, c);
    for (unsigned i = 0; i < from->limbo_count; i++)
        for (int stores = 0; stores < 2; stores++) {
            t = *from;
            if (stores)
                once_store(&t, t.limbo[i]);
            t.limbo[i] = t.limbo[--t.limbo_count];
            t.limbo[t.limbo_count] = 0;
            once_push(s, &t);
        }
    if (from->end_count) {
        t = *from;
        once_apply(&t.disk, &t.ends[0]);
        memmove(t.ends, t.ends + 1, sizeof t.ends - sizeof t.ends[0]);
        memset(&t.ends[ONCE_ENDS - 1], 0, sizeof t.ends[0]);
        t.end_count--;
        once_push(s, &t);
    }
    if (!from->opened && !looks && left) {
        t = *from;
        once_open(s, &t);
        once_push(s, &t);
    }
    if (looks && left && once_idle(from, r->connections) && from->limbo_count == 0) {
        t = *from;
        once_look(s, &t);
        once_push(s, &t);
    }
    if (from->kills < r->kills) {
        bool waits = false;

        t = *from;
        t.kills++;
        for (unsigned c = 0; c < r->connections; c++)
            if (t.wire[c].message != ONCE_NONE)
                once_gone(s, &t, c);
        t.mind = t.disk;
        memset(t.ends, 0, sizeof t.ends);
        t.end_count = 0;
        for (unsigned m = 0; m < r->messages; m++)
            waits |= !t.disk.rows[m].done;
        t.opened = 0;
        t.floor = t.disk.floor;
        t.highest = t.disk.highest;
        t.lost_above = ONCE_NONE;
        t.uncertain = t.disk.open && waits;
        once_push(s, &t);
    }
}

/* Searches all of it; the result is in s. */
static void once_search(struct once_search *s, const struct once_rules *rules)
{
    struct once_state first;

    *s = (struct once_search){ .rules = *rules, .room = 1u << 20 };
    s->seen = calloc(s->room, sizeof *s->seen);
    if (!s->seen)
        abort();
    memset(&first, 0, sizeof first);
    for (unsigned c = 0; c < ONCE_CONNECTIONS; c++)
        first.wire[c].message = ONCE_NONE;
    first.lost_above = ONCE_NONE;
    first.running = 1;
    once_push(s, &first);
    while (s->stack_count && !s->doubled && !s->lost && !s->full) {
        struct once_state at = s->stack[--s->stack_count];

        once_judge(s, &at);
        once_steps(s, &at);
    }
    free(s->seen);
    free(s->stack);
}

#endif
