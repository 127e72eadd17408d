/* The model of once.h: its steps. Every function is static.
 */
#ifndef TESTS_MODEL_ONCE_STEPS_H
#define TESTS_MODEL_ONCE_STEPS_H

#include "tests/model/once_judge.h"

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

/* So many of its messages, from the first on, were sent whole; no other is stored. */
static bool once_may_be_whole(const struct once_wire *w, unsigned whole)
{
    for (unsigned i = whole; i < w->count; i++)
        if (w->sent[i].uid != 0)
            return false;
    return true;
}

/* The rest is on no wire any more, nor anywhere. */
static void once_keep_whole(struct once_wire *w, unsigned whole)
{
    memset(w->sent + whole, 0, (w->count - whole) * sizeof *w->sent);
    w->count = (uint8_t)whole;
}

static void once_lose(struct once_search *s, const struct once_state *from, unsigned c, unsigned whole)
{
    struct once_state t = *from;
    const struct once_wire *w = &from->wires[c];
    bool doubted = whole == w->count || s->rules.parts_doubted;

    t.losses++;
    for (unsigned i = 0; i < whole && doubted; i++) {
        if (s->rules.alike && w->sent[i].message != 0)
            return;
        once_holds(&t, &w->sent[i]);
        if (s->rules.notes)
            once_note(s, &t, w->sent[i].message);
        if (s->rules.waits_alone)
            t.unanswered |= (uint8_t)(1u << w->sent[i].message);
    }
    t.closed |= doubted && !s->rules.waits_alone;
    if (s->rules.fresh)
        t.snapshot = ONCE_NONE;
    once_keep_whole(&t.wires[c], whole);
    once_gone(s, &t, c);
    once_push(s, &t);
}

/* The first n of the wire are answered OK. too_high: what each UID is told to be above what it is. */
static void once_answer_tells(struct once_search *s, struct once_state *t, unsigned c, unsigned n, uint8_t too_high)
{
    const struct once_rules *r = &s->rules;
    struct once_wire w = t->wires[c];
    bool told[ONCE_DEPTH];

    once_off(&t->wires[c], n);
    for (unsigned i = 0; i < n; i++) {
        told[i] = r->tells_uids && w.sent[i].uid != ONCE_NONE && !t->mind.lies;
        t->withheld |= r->tells_uids && w.sent[i].uid == ONCE_NONE;
        w.sent[i].uid = (uint8_t)(w.sent[i].uid + (told[i] ? too_high : 0));
        if (told[i] && r->checks_uids && w.sent[i].uid <= w.sent[i].at_send) {
            told[i] = false;
            t->mind.lies = 1;
            t->floor = 0;
        }
        if (told[i] && w.sent[i].uid > t->highest)
            t->highest = w.sent[i].uid;
        t->since++;
    }
    for (unsigned i = 0; i < n; i++)
        once_end(s, t, w.sent[i].message, told[i] ? w.sent[i].uid : 0, i + 1 == n && !t->withheld);
    once_push(s, t);
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
    once_answer_tells(s, &t, c, n, 0);
    if (from->lies < r->lies) {
        t = *from;
        t.lies++;
        once_answer_tells(s, &t, c, n, 1);
    }
}

/* NO, whatever of it is stored: then the whole folder is looked at before more is sent. */
static void once_refuse(struct once_search *s, const struct once_state *from, unsigned c, unsigned whole)
{
    const struct once_wire *w = &from->wires[c];
    unsigned n = s->rules.multi ? w->count : 1;
    struct once_state t = *from;
    bool doubted = s->rules.doubts && (whole == n || s->rules.parts_doubted);

    t.refusals++;
    for (unsigned i = 0; i < whole && doubted; i++) {
        once_holds(&t, &w->sent[i]);
        if (s->rules.notes_refused)
            once_note(s, &t, w->sent[i].message);
    }
    /* Some front end gave up on it: the target may still be at it. */
    for (unsigned i = 0; i < whole && s->rules.lates; i++)
        if (w->sent[i].uid == 0 && t.limbo_count < ONCE_STORED)
            t.limbo[t.limbo_count++] = w->sent[i].message;
    t.closed |= doubted;
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
            if (from->unstored < r->unstored) {
                t = *from;
                t.unstored++;
                t.wires[c].sent[i].uid = ONCE_NONE;
                once_push(s, &t);
            }
            break;
        }
    once_answer(s, from, c);
    /* Of several in one command the first may have been sent whole and stored, and the rest never sent. */
    for (unsigned whole = r->multi ? 1 : w->count; whole <= w->count; whole++) {
        if (!once_may_be_whole(w, whole))
            continue;
        if (from->losses < r->losses)
            once_lose(s, from, c, whole);
        if (from->refusals < r->refusals)
            once_refuse(s, from, c, r->multi ? whole : 1);
    }
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
    t->opened = t->withheld = 0;
    t->floor = t->disk.floor;
    t->highest = t->disk.highest;
    once_loss_over(t);
    /* What holds mail and was never opened is looked at, and so is what was open. */
    t->closed = waits && (t->disk.open || (s->rules.prefilled && t->disk.floor == 0));
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
    struct once_state t = *from, before;

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
    before = t;
    once_look(s, &t, ONCE_NONE);
    once_push(s, &t);
    for (unsigned i = 0; i < before.stored_count && !r->whole_looks; i++) {
        t = before;
        once_look(s, &t, i);
        once_push(s, &t);
    }
    if (!r->fresh && from->snapshot == ONCE_NONE) {
        t = *from;
        t.snapshot = t.stored_count;
        once_push(s, &t);
    }
}

/* Somebody removes what the folder holds, or the folder. */
static void once_meddle(struct once_search *s, const struct once_state *from)
{
    struct once_state t = *from;

    if (from->stored_count && from->removals < s->rules.removals) {
        t.removals++;
        memset(t.stored, ONCE_GONE, t.stored_count);
        once_push(s, &t);
    }
    if (from->stored_count && from->anew < s->rules.anew) {
        t = *from;
        t.anew++;
        memset(t.stored, 0, sizeof t.stored);
        t.stored_count = 0;
        once_push(s, &t);
    }
}

/* One of those that nobody waits for, or that are late: it is stored, or never will be. */
static void once_steps_of_waiting(struct once_search *s, const struct once_state *from, bool late)
{
    unsigned count = late ? from->late_count : from->limbo_count;

    for (unsigned i = 0; i < count; i++)
        for (int stores = 0; stores < 2; stores++) {
            struct once_state t = *from;
            uint8_t *waiting = late ? t.late : t.limbo;

            if (stores)
                once_store(s, &t, waiting[i]);
            waiting[i] = waiting[count - 1];
            waiting[count - 1] = 0;
            *(late ? &t.late_count : &t.limbo_count) = (uint8_t)(count - 1);
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
    once_steps_of_waiting(s, from, false);
    once_steps_of_waiting(s, from, true);
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
    if (once_idle(s, from) && from->limbo_count + from->late_count == 0 && (!from->opened || from->closed))
        once_meddle(s, from);
    if (!from->opened && !looks && left) {
        t = *from;
        once_open(s, &t, (uint8_t)(t.stored_count + 1));
        once_push(s, &t);
    }
    if (looks && left)
        once_looks(s, from);
    once_ends_of_runs(s, from, looks);
}

#endif
