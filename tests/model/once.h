/* A model of how mail goes into one target folder exactly once (docs/architecture.md, steps 4 to 6), searched
 * exhaustively: every order of sending, storing, answering, losing, refusing, committing, looking, stopping and being
 * killed, on some connections that carry several messages each, pipelined or in one MULTIAPPEND. What the target was
 * sent is stored before the look for it, or never; but for some (`lates`) that it stores at any time after: those may be
 * doubled, and have to be named. Each rule of the protocol is a switch; without it the search finds a message that is
 * doubled, and not named, or lost. Every function is static.
 */
#ifndef TESTS_MODEL_ONCE_H
#define TESTS_MODEL_ONCE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ONCE_MESSAGES    4
#define ONCE_CONNECTIONS 3
#define ONCE_DEPTH       3
#define ONCE_STORED      10 /* copies in the folder */
#define ONCE_ENDS        6  /* operations that the journal has not committed */
#define ONCE_NONE        255
#define ONCE_FOREIGN     200 /* somebody else's message */

struct once_rules {
    unsigned messages, connections, depth, losses, refusals, kills, stops, foreign, lates;
    bool multi;         /* a connection's messages are one MULTIAPPEND, which the target stores one by one */
    bool twins;         /* messages 0 and 1 are the same mail */
    bool alike;         /* messages 0 and 1 have one key and differ; a row without a UID may be taken for either, and
                         * only the answer to message 0 is ever lost */
    bool tells_uids;    /* APPENDUID */
    bool waits_alone;   /* only what has no answer waits for the look: the folder goes on */
    bool lost_holds;    /* an answer that is lost holds the floor, whatever others are told */
    bool doubts;        /* a refusal after the last byte is looked into */
    bool claims_from;   /* a row without a UID claims nothing below where its copy may be */
    bool flushes;       /* what was answered is in the journal before a look is compared with it */
    bool open_durable;  /* the intent is durable before the first byte */
    bool quiet;         /* a look waits until nothing is under way */
    bool settles;       /* a look waits until the target has done with what it was sent */
    bool fresh;         /* a look is at what the folder holds now, not at what it held before the loss */
    bool equal_waits;   /* what has the key of a message without an answer waits with it */
    bool found_holds;   /* what a look found holds the floor until the journal has it */
    bool stop_leaves;   /* a run that is stopped while an answer is missing leaves the folder open */
    bool notes;         /* how often a message was sent without an answer is counted before it is sent again */
    bool notes_killed;  /* the same of all that a killed run may have sent */
    bool notes_refused; /* the same of what was refused in doubt */
};

struct once_row {
    uint8_t done, uid, from; /* uid 0: not told */
    uint8_t noted; /* how often it was sent without an answer and not found since: so many copies of it are named */
};

struct once_journal {
    struct once_row rows[ONCE_MESSAGES];
    uint8_t floor, highest, open;
};

struct once_end {
    uint8_t message, uid, floor, highest, found;
};

struct once_sent {
    uint8_t message, at_send, uid; /* uid 0: not stored */
};

struct once_wire {
    uint8_t count;
    struct once_sent sent[ONCE_DEPTH];
};

/* Bytes only: compared as a whole. */
struct once_state {
    uint8_t stored[ONCE_STORED], stored_count; /* UID - 1: message */
    uint8_t limbo[ONCE_STORED], limbo_count;   /* sent whole, the connection gone, not stored yet */
    uint8_t late[ONCE_STORED], late_count;     /* not stored when the looks for it were over */
    struct once_wire wires[ONCE_CONNECTIONS];
    struct once_journal disk;
    struct once_journal mind; /* what the journal will hold */
    struct once_end ends[ONCE_ENDS];
    uint8_t end_count;
    uint8_t highest, floor, lost_above, opened, running;
    uint8_t closed;     /* nothing is sent before a look */
    uint8_t unanswered; /* bits: messages that wait for the look, while others are sent */
    uint8_t snapshot;   /* how much an early look saw; ONCE_NONE: there was none */
    uint8_t losses, refusals, kills, stops, foreign, lates;
};

struct once_search {
    struct once_rules rules;
    struct once_state *seen;
    size_t room, count;
    struct once_state *stack;
    size_t stack_count, stack_room;
    bool doubled, lost, full;
};

/* As the target and its looks tell messages apart. */
static uint8_t once_key(const struct once_search *s, uint8_t message)
{
    return (s->rules.twins || s->rules.alike) && message == 1 ? 0 : message;
}

/* As their owner does. */
static uint8_t once_mail(const struct once_search *s, uint8_t message)
{
    return s->rules.twins && message == 1 ? 0 : message;
}

static int once_wire_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct once_wire));
}

static int once_byte_order(const void *a, const void *b)
{
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

static void once_push(struct once_search *s, const struct once_state *from)
{
    struct once_state state = *from;
    uint64_t hash = 1469598103934665603u;
    size_t at;

    /* Which connection it is makes no difference. */
    qsort(state.wires, s->rules.connections, sizeof *state.wires, once_wire_order);
    qsort(state.limbo, state.limbo_count, 1, once_byte_order);
    qsort(state.late, state.late_count, 1, once_byte_order);
    for (size_t i = 0; i < sizeof state; i++)
        hash = (hash ^ ((const uint8_t *)&state)[i]) * 1099511628211u;
    for (at = (hash ^ hash >> 29) & (s->room - 1); s->seen[at].running; at = (at + 1) & (s->room - 1))
        if (memcmp(&s->seen[at], &state, sizeof state) == 0)
            return;
    if (s->count * 4 > s->room * 3) {
        s->full = true;
        return;
    }
    s->seen[at] = state;
    s->count++;
    if (s->stack_count == s->stack_room) {
        s->stack_room = s->stack_room ? s->stack_room * 2 : 1024;
        s->stack = realloc(s->stack, s->stack_room * sizeof *s->stack);
        if (!s->stack)
            abort();
    }
    s->stack[s->stack_count++] = state;
}

static void once_store(struct once_search *s, struct once_state *t, uint8_t message)
{
    if (t->stored_count < ONCE_STORED)
        t->stored[t->stored_count++] = message;
    else
        s->full = true;
}

static bool once_idle(const struct once_search *s, const struct once_state *t)
{
    for (unsigned c = 0; c < s->rules.connections; c++)
        if (t->wires[c].count)
            return false;
    return true;
}

static bool once_on_wire(const struct once_state *t, uint8_t message)
{
    for (unsigned c = 0; c < ONCE_CONNECTIONS; c++)
        for (unsigned i = 0; i < t->wires[c].count; i++)
            if (t->wires[c].sent[i].message == message)
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
        for (unsigned i = 0; i < t->wires[c].count; i++)
            if (t->wires[c].sent[i].at_send < lowest)
                lowest = t->wires[c].sent[i].at_send;
    return (uint8_t)(lowest + 1);
}

static void once_apply(struct once_journal *j, const struct once_end *end)
{
    struct once_row *row = &j->rows[end->message];

    *row = (struct once_row){ .done = 1,
                              .uid = end->uid,
                              .from = end->uid ? 0 : j->floor,
                              .noted = (uint8_t)(row->noted - (end->found && row->noted)) };
    if (end->floor > j->floor) {
        j->floor = end->floor;
        j->highest = end->highest;
    }
}

/* last: of those answered with it, which are one operation, and so durable together with the floor. */
static void once_end(const struct once_search *s, struct once_state *t, uint8_t message, uint8_t uid, bool last)
{
    struct once_end end = { message, uid, 0, 0, 0 };
    uint8_t floor = last ? once_floor(s, t) : 0;

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

static void once_loss_over(struct once_state *t)
{
    t->closed = t->unanswered = 0;
    t->lost_above = t->snapshot = ONCE_NONE;
}

/* OPEN: the intent, from this UID on. */
static void once_open(const struct once_search *s, struct once_state *t, uint8_t floor)
{
    t->floor = t->mind.floor = floor;
    t->mind.highest = (uint8_t)(floor - 1);
    t->highest = t->stored_count;
    t->mind.open = 1;
    t->opened = 1;
    once_loss_over(t);
    if (s->rules.open_durable)
        once_commit_all(t);
}

/* The first copy from a UID on that a row claims (pairs: that is the message's); -1: none. Where sizes tell two alike
 * apart only roughly, a row claims the other's. */
static int once_copy(const struct once_search *s, const struct once_state *t, const bool *taken, uint8_t message,
                     unsigned from, unsigned end, bool pairs)
{
    int found = -1;

    for (unsigned i = from - 1u; i < end; i++) {
        if (taken[i] || once_key(s, t->stored[i]) != once_key(s, message))
            continue;
        if (!s->rules.alike || (t->stored[i] == message) == pairs)
            return (int)i;
        if (!pairs)
            found = (int)i;
    }
    return found;
}

/* One look at the folder, compared with the journal, and what is found paired. */
static void once_look(const struct once_search *s, struct once_state *t)
{
    uint8_t from = t->mind.open && t->mind.floor < t->mind.highest + 1 ? t->mind.floor
                                                                       : (uint8_t)(t->mind.highest + 1);
    uint8_t end = t->snapshot != ONCE_NONE ? t->snapshot : t->stored_count;
    bool taken[ONCE_STORED] = { false };
    struct once_end found[ONCE_MESSAGES];
    unsigned found_count = 0;
    int at;

    if (t->floor && t->floor < from)
        from = t->floor;
    if (s->rules.flushes)
        once_commit_all(t);
    for (unsigned m = 0; m < s->rules.messages; m++)
        if (t->disk.rows[m].done && t->disk.rows[m].uid)
            taken[t->disk.rows[m].uid - 1] = true;
    for (uint8_t m = 0; m < s->rules.messages; m++) {
        const struct once_row *row = &t->disk.rows[m];

        if (!row->done || row->uid || (s->rules.claims_from && row->from < from))
            continue;
        at = once_copy(s, t, taken, m, from, end, false);
        if (at >= 0)
            taken[at] = true;
    }
    for (uint8_t m = 0; m < s->rules.messages; m++) {
        if (t->mind.rows[m].done || once_on_wire(t, m))
            continue;
        at = once_copy(s, t, taken, m, from, end, true);
        if (at >= 0) {
            taken[at] = true;
            found[found_count++] = (struct once_end){ m, (uint8_t)(at + 1), 0, 0, 1 };
        }
    }
    once_open(s, t, found_count && s->rules.found_holds ? from : (uint8_t)(t->stored_count + 1));
    for (unsigned i = 0; i < found_count; i++) {
        once_apply(&t->mind, &found[i]);
        t->ends[t->end_count++] = found[i];
    }
}

/* Which mail is there too often, or was answered for and is not there at all. */
static void once_judge(struct once_search *s, const struct once_state *t)
{
    bool all_done = t->limbo_count == 0 && t->late_count == 0 && once_idle(s, t);

    for (unsigned m = 0; m < s->rules.messages; m++)
        all_done &= t->disk.rows[m].done;
    for (unsigned m = 0; m < s->rules.messages; m++) {
        unsigned wanted = 0, there = 0, named = 0;

        for (unsigned k = 0; k < s->rules.messages; k++)
            if (once_mail(s, (uint8_t)k) == once_mail(s, (uint8_t)m)) {
                wanted++;
                named += t->lates ? t->mind.rows[k].noted : 0u;
            }
        for (unsigned i = 0; i < t->stored_count; i++)
            there += once_mail(s, t->stored[i]) == once_mail(s, (uint8_t)m);
        s->doubled |= there > wanted + named;
        s->lost |= all_done && there < wanted;
    }
}

/* ---- steps --------------------------------------------------------------------------------- */

static bool once_may_send(const struct once_search *s, const struct once_state *t, uint8_t message)
{
    if (t->mind.rows[message].done || once_on_wire(t, message) || (t->unanswered & 1u << message))
        return false;
    for (uint8_t m = 0; m < s->rules.messages && s->rules.equal_waits; m++)
        if ((t->unanswered & 1u << m) && once_key(s, m) == once_key(s, message))
            return false;
    return true;
}

/* The next message, in order; false: there is none. */
static bool once_send(const struct once_search *s, struct once_state *t, unsigned c)
{
    struct once_wire *w = &t->wires[c];

    for (uint8_t m = 0; m < s->rules.messages && w->count < s->rules.depth; m++)
        if (once_may_send(s, t, m)) {
            w->sent[w->count++] = (struct once_sent){ m, t->highest, 0 };
            return true;
        }
    return false;
}

/* The first n of the wire are no more on it. */
static void once_off(struct once_wire *w, unsigned n)
{
    memmove(w->sent, w->sent + n, (w->count - n) * sizeof *w->sent);
    memset(w->sent + (w->count - n), 0, n * sizeof *w->sent);
    w->count = (uint8_t)(w->count - n);
}

/* It matters only where something comes late. */
static void once_note(const struct once_search *s, struct once_state *t, uint8_t message)
{
    t->mind.rows[message].noted = (uint8_t)(t->mind.rows[message].noted + (s->rules.lates > 0));
}

static void once_holds(struct once_state *t, const struct once_sent *sent)
{
    if (sent->at_send < t->lost_above)
        t->lost_above = sent->at_send;
}

/* Its connection is gone, with all that was on it. */
static void once_gone(struct once_search *s, struct once_state *t, unsigned c)
{
    struct once_wire *w = &t->wires[c];

    for (unsigned i = 0; i < w->count; i++)
        if (w->sent[i].uid == 0 && t->limbo_count < ONCE_STORED)
            t->limbo[t->limbo_count++] = w->sent[i].message;
        else if (w->sent[i].uid == 0)
            s->full = true;
    once_off(w, w->count);
}

static void once_lose(struct once_search *s, const struct once_state *from, unsigned c)
{
    struct once_state t = *from;
    const struct once_wire *w = &from->wires[c];

    t.losses++;
    for (unsigned i = 0; i < w->count; i++) {
        if (s->rules.alike && w->sent[i].message != 0)
            return;
        once_holds(&t, &w->sent[i]);
        if (s->rules.notes)
            once_note(s, &t, w->sent[i].message);
        if (s->rules.waits_alone)
            t.unanswered |= (uint8_t)(1u << w->sent[i].message);
    }
    t.closed |= !s->rules.waits_alone;
    if (s->rules.fresh)
        t.snapshot = ONCE_NONE;
    once_gone(s, &t, c);
    once_push(s, &t);
}

static void once_answer(struct once_search *s, const struct once_state *from, unsigned c)
{
    const struct once_rules *r = &s->rules;
    const struct once_wire *w = &from->wires[c];
    unsigned n = r->multi ? w->count : 1;
    struct once_state t = *from;

    for (unsigned i = 0; i < n; i++)
        if (w->sent[i].uid == 0)
            return;
    if (from->end_count + n > ONCE_ENDS)
        return;
    once_off(&t.wires[c], n);
    for (unsigned i = 0; i < n; i++)
        if (r->tells_uids && w->sent[i].uid > t.highest)
            t.highest = w->sent[i].uid;
    for (unsigned i = 0; i < n; i++)
        once_end(s, &t, w->sent[i].message, r->tells_uids ? w->sent[i].uid : 0, i + 1 == n);
    once_push(s, &t);
}

/* NO, whatever of it is stored: then the whole folder is looked at before more is sent. */
static void once_refuse(struct once_search *s, const struct once_state *from, unsigned c)
{
    const struct once_wire *w = &from->wires[c];
    unsigned n = s->rules.multi ? w->count : 1;
    struct once_state t = *from;

    t.refusals++;
    for (unsigned i = 0; i < n && s->rules.doubts; i++) {
        once_holds(&t, &w->sent[i]);
        if (s->rules.notes_refused)
            once_note(s, &t, w->sent[i].message);
    }
    /* Some front end gave up on it: the target may still be at it. */
    for (unsigned i = 0; i < n && s->rules.lates; i++)
        if (w->sent[i].uid == 0 && t.limbo_count < ONCE_STORED)
            t.limbo[t.limbo_count++] = w->sent[i].message;
    t.closed |= s->rules.doubts;
    once_off(&t.wires[c], n);
    once_push(s, &t);
}

static void once_steps_of_wire(struct once_search *s, const struct once_state *from, unsigned c)
{
    const struct once_rules *r = &s->rules;
    const struct once_wire *w = &from->wires[c];
    struct once_state t = *from;

    if (from->opened && !from->closed && (w->count == 0 || !r->multi) && once_send(s, &t, c)) {
        while (r->multi && once_send(s, &t, c))
            ;
        once_push(s, &t);
    }
    if (w->count == 0)
        return;
    for (unsigned i = 0; i < w->count; i++)
        if (w->sent[i].uid == 0) {
            t = *from;
            once_store(s, &t, w->sent[i].message);
            t.wires[c].sent[i].uid = t.stored_count;
            once_push(s, &t);
            break;
        }
    once_answer(s, from, c);
    if (from->losses < r->losses)
        once_lose(s, from, c);
    if (from->refusals < r->refusals)
        once_refuse(s, from, c);
}

/* The process ends, and begins again with what the journal holds. */
static void once_begin_again(struct once_search *s, struct once_state *t)
{
    bool waits = false;

    for (unsigned c = 0; c < s->rules.connections; c++)
        once_gone(s, t, c);
    t->mind = t->disk;
    memset(t->ends, 0, sizeof t->ends);
    t->end_count = 0;
    for (unsigned m = 0; m < s->rules.messages; m++)
        waits |= !t->disk.rows[m].done;
    t->opened = 0;
    t->floor = t->disk.floor;
    t->highest = t->disk.highest;
    once_loss_over(t);
    t->closed = t->disk.open && waits;
    for (uint8_t m = 0; m < s->rules.messages && t->closed && s->rules.notes_killed; m++)
        if (!t->disk.rows[m].done)
            once_note(s, t, m);
}

static void once_ends_of_runs(struct once_search *s, const struct once_state *from, bool looks)
{
    struct once_state t = *from;

    if (from->kills < s->rules.kills) {
        t.kills++;
        once_begin_again(s, &t);
        once_push(s, &t);
    }
    if (from->stops < s->rules.stops && once_idle(s, from)) {
        t = *from;
        t.stops++;
        if (!looks || !s->rules.stop_leaves)
            t.mind.open = 0;
        once_commit_all(&t);
        once_begin_again(s, &t);
        once_push(s, &t);
    }
}

static void once_looks(struct once_search *s, const struct once_state *from)
{
    const struct once_rules *r = &s->rules;
    struct once_state t = *from;

    if (from->end_count + r->messages > ONCE_ENDS)
        return;
    if (r->quiet && !once_idle(s, from))
        return;
    if (r->settles && from->lates + from->limbo_count > r->lates)
        return;
    if (r->lates) {
        for (unsigned i = 0; i < from->limbo_count; i++)
            t.late[t.late_count++] = from->limbo[i];
        t.lates = (uint8_t)(t.lates + from->limbo_count);
        memset(t.limbo, 0, sizeof t.limbo);
        t.limbo_count = 0;
    }
    once_look(s, &t);
    once_push(s, &t);
    if (!r->fresh && from->snapshot == ONCE_NONE) {
        t = *from;
        t.snapshot = t.stored_count;
        once_push(s, &t);
    }
}

static void once_steps(struct once_search *s, const struct once_state *from)
{
    const struct once_rules *r = &s->rules;
    struct once_state t;
    bool looks = from->closed || from->lost_above != ONCE_NONE, left = false;

    for (unsigned m = 0; m < r->messages; m++)
        left |= !from->mind.rows[m].done;
    for (unsigned c = 0; c < r->connections; c++)
        once_steps_of_wire(s, from, c);
    for (unsigned i = 0; i < from->limbo_count; i++)
        for (int stores = 0; stores < 2; stores++) {
            t = *from;
            if (stores)
                once_store(s, &t, t.limbo[i]);
            t.limbo[i] = t.limbo[--t.limbo_count];
            t.limbo[t.limbo_count] = 0;
            once_push(s, &t);
        }
    for (unsigned i = 0; i < from->late_count; i++)
        for (int stores = 0; stores < 2; stores++) {
            t = *from;
            if (stores)
                once_store(s, &t, t.late[i]);
            t.late[i] = t.late[--t.late_count];
            t.late[t.late_count] = 0;
            once_push(s, &t);
        }
    if (from->foreign < r->foreign) {
        t = *from;
        t.foreign++;
        once_store(s, &t, ONCE_FOREIGN);
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
        once_open(s, &t, (uint8_t)(t.stored_count + 1));
        once_push(s, &t);
    }
    if (looks && left)
        once_looks(s, from);
    once_ends_of_runs(s, from, looks);
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
    first.lost_above = first.snapshot = ONCE_NONE;
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
