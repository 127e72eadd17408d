/* The model of once.h: what the journal holds, how the folder is opened, and a look at it. Every function is static.
 */
#ifndef TESTS_MODEL_ONCE_LOOK_H
#define TESTS_MODEL_ONCE_LOOK_H

#include "tests/model/once_state.h"

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
    j->lies |= end->lies;
    if (end->lies)
        j->floor = j->highest = 0;
    else if (end->floor > j->floor) {
        j->floor = end->floor;
        j->highest = end->highest;
    }
}

/* last: of those answered with it, which are one operation, and so durable together with the floor. */
static void once_end(const struct once_search *s, struct once_state *t, uint8_t message, uint8_t uid, bool last)
{
    struct once_end end = { message, uid, 0, 0, 0, t->mind.lies };
    uint8_t floor = last && !t->mind.lies ? once_floor(s, t) : 0;

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
    for (unsigned m = 0; m < s->rules.messages && s->rules.knows_anew && t->mind.anew != t->anew; m++)
        if (t->mind.rows[m].done)
            t->mind.rows[m] = (struct once_row){ .done = 1, .from = ONCE_NONE, .noted = t->mind.rows[m].noted };
    t->mind.open = 1;
    t->mind.anew = t->anew;
    t->before = t->since = 0;
    for (unsigned i = 0; i < t->stored_count; i++)
        t->before = (uint8_t)(t->before + (t->stored[i] != ONCE_GONE));
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

    if (s->rules.own_dates && !s->rules.learns_dates)
        return -1;
    for (unsigned i = from - 1u; i < end; i++) {
        if (pairs && s->rules.sizes_pair && t->stored[i] >= ONCE_CUT)
            continue;
        if (taken[i] || once_key(s, t->stored[i]) != once_key(s, message))
            continue;
        if (!s->rules.alike || (pairs && !s->rules.sizes_pair) || (t->stored[i] == message) == pairs)
            return (int)i;
        if (!pairs)
            found = (int)i;
    }
    return found;
}

static bool once_is_at(const struct once_search *s, const struct once_state *t, uint8_t uid, uint8_t message)
{
    return uid && uid <= t->stored_count && once_key(s, t->stored[uid - 1]) == once_key(s, message);
}

/* Our own copies are asked for: a UID that is not below the next one, or more that are of others than are right.
 * wrong_r: at least one is of another. */
static bool once_uids_lie(const struct once_search *s, const struct once_state *t, bool *wrong_r)
{
    unsigned right = 0, wrong = 0;

    for (uint8_t m = 0; m < s->rules.messages; m++) {
        uint8_t uid = t->disk.rows[m].done ? t->disk.rows[m].uid : 0;

        if (uid > t->stored_count)
            return true;
        right += once_is_at(s, t, uid, m);
        wrong += uid && t->stored[uid - 1] != ONCE_GONE && !once_is_at(s, t, uid, m);
    }
    *wrong_r = wrong > 0;
    return t->highest > t->stored_count || wrong > right;
}

/* One look at the folder, compared with the journal, and what is found paired. hidden: a row that it lacks, ONCE_NONE:
 * none. */
static void once_look(const struct once_search *s, struct once_state *t, unsigned hidden)
{
    bool moved = s->rules.knows_anew && t->mind.anew != t->anew, wrong = false;
    uint8_t from = t->mind.open && t->mind.floor < t->mind.highest + 1 ? t->mind.floor : (uint8_t)(t->mind.highest + 1);
    uint8_t end = t->snapshot != ONCE_NONE ? t->snapshot : t->stored_count;
    bool taken[ONCE_STORED] = { false };
    struct once_end found[ONCE_MESSAGES];
    unsigned found_count = 0;
    int at;

    if (t->floor && t->floor < from)
        from = t->floor;
    if (s->rules.flushes)
        once_commit_all(t);
    if (s->rules.checks_uids && !moved && once_uids_lie(s, t, &wrong))
        t->mind.lies = t->disk.lies = 1;
    if (moved || wrong || t->mind.lies)
        from = 1;
    if (hidden != ONCE_NONE)
        taken[hidden] = true;
    for (unsigned m = 0; m < s->rules.messages && !moved && !t->mind.lies; m++)
        if (t->disk.rows[m].done && t->disk.rows[m].uid && t->disk.rows[m].uid <= ONCE_STORED &&
            (!wrong || once_is_at(s, t, t->disk.rows[m].uid, (uint8_t)m)))
            taken[t->disk.rows[m].uid - 1] = true;
    for (uint8_t m = 0; m < s->rules.messages; m++) {
        const struct once_row *row = &t->disk.rows[m];

        bool blind = moved || t->mind.lies || (wrong && row->uid && !once_is_at(s, t, row->uid, m));

        if (!row->done || row->from == ONCE_NONE ||
            (!blind && (row->uid || (s->rules.claims_from && row->from < from))))
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
            found[found_count++] = (struct once_end){ m, (uint8_t)(at + 1), 0, 0, 1, t->mind.lies };
        }
    }
    once_open(s, t, found_count && s->rules.found_holds ? from : (uint8_t)(t->stored_count + 1));
    for (unsigned i = 0; i < found_count; i++) {
        once_apply(&t->mind, &found[i]);
        t->ends[t->end_count++] = found[i];
    }
}

#endif
