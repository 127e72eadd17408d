#include "engine/move/gmail.h"
#include "engine/move/pull_private.h"

#include "io/base/mem.h"

#include <stdlib.h>

/* Commands in flight on a connection: enough that the server never waits for us. */
#define FETCH_DEPTH 4u
/* Folders with bodies that are compared for the next fetch. */
#define CHOOSE_AMONG 500u
/* Folders that are not listed yet and are asked what they hold. */
#define LEFT_AMONG 1000u

void pull_begin(struct worker *worker)
{
    struct pull *p = mem_zero(1, sizeof *p);

    buf_init(&p->words, 16u << 20);
    worker->work = p;
}

void pull_folder_release(struct worker *w)
{
    if (w->folder) {
        w->folder->pullers--;
        w->folder = NULL;
    }
    w->selected = false;
}

void pull_progressed(struct account *account)
{
    account->sides[SIDE_SOURCE].failures = 0;
    account->sides[SIDE_SOURCE].progress++;
}

void pull_end(struct worker *worker)
{
    struct pull *p = worker->work;

    if (!p)
        return;
    if (worker->folder && p->step == PULL_STEP_LISTING && worker->folder->pull == PULL_LISTING)
        folder_set_pull(worker->folder, PULL_UNLISTED);
    pull_folder_release(worker);
    free(p->rows);
    free(p->notes);
    quota_let_go(&p->held);
    pull_missing_clear(&p->missing);
    buf_deinit(&p->words);
    free(p);
    worker->work = NULL;
    worker->busy = false;
}

/* ---- which folder ------------------------------------------------------------------------- */

/* Bodies of the folder wait to be fetched, and this run fetches bodies. */
static bool pull_has_bodies(const struct folder *f)
{
    return !account_only_looks(f->account) && !f->account->day_over[SIDE_SOURCE] && f->pull == PULL_BODIES &&
           (f->wanted.count > 0 || f->wanted.more || f->wanted.later_count > 0);
}

bool pull_has_room_in(const struct folder *f)
{
    return (f->pull == PULL_UNLISTED && !f->parked && gmail_may_list(f)) ||
           (pull_has_bodies(f) && f->record.tally.waiting > f->fetching + f->storing);
}

bool pull_is_listing(const struct account *account)
{
    for (const struct folder *f = account->unlisted; f; f = f->next_unlisted)
        if (f->pull < PULL_BODIES)
            return true;
    return false;
}

/* What one folder adds to what pull_has_room looks for; true: that is enough. */
static bool makes_room(const struct folder *f, bool *room, uint64_t *left, uint64_t messages)
{
    *room |= pull_has_room_in(f);
    *left += f->pull == PULL_UNLISTED ? 20 + f->source_status.messages : f->record.tally.waiting;
    return *room && *left >= messages;
}

bool pull_has_room(const struct account *account, uint64_t messages)
{
    bool room = false;
    uint64_t left = 0;

    for (const struct folder *f = account->unlisted; f; f = f->next_unlisted)
        if (f->pull == PULL_UNLISTED && makes_room(f, &room, &left, messages))
            return true;
    for (const struct folder *f = account->undone; f; f = f->next_undone)
        if (f->pull != PULL_UNLISTED && makes_room(f, &room, &left, messages))
            return true;
    return false;
}

uint64_t pull_left(const struct account *account, unsigned *folders_r)
{
    uint64_t left = account_only_looks(account) ? 0 : account->total.waiting;
    unsigned looked = 0, folders = 0;

    for (const struct folder *f = account->unlisted; f && looked < LEFT_AMONG; f = f->next_unlisted) {
        if (f->pull != PULL_UNLISTED)
            continue;
        looked++;
        folders += !f->has_source_status || f->source_status.messages > 0;
        left +=
            f->source_status.messages > f->record.tally.found ? f->source_status.messages - f->record.tally.found : 0;
    }
    *folders_r = folders;
    return left;
}

void pull_settle_if_done(struct folder *f)
{
    if (f->pull == PULL_BODIES && (f->record.tally.waiting == 0 || account_only_looks(f->account)) &&
        f->fetching == 0 && f->storing == 0) {
        folder_set_pull(f, PULL_DONE);
        account_poke(f->account);
    }
}

static bool is_done(const struct folder *f)
{
    return f->pull == PULL_DONE || f->pull == PULL_REFUSED;
}

void pull_undone(struct folder *f)
{
    if (f->is_among_undone)
        return;
    f->is_among_undone = true;
    f->next_undone = f->account->undone;
    f->account->undone = f;
}

void pull_folders_placed(struct account *account)
{
    account->unlisted = account->undone = NULL;
    for (unsigned i = account->folder_count; i-- > 0;) {
        struct folder *f = account->folders[i];

        f->next_unlisted = account->unlisted;
        account->unlisted = f;
        f->is_among_undone = false;
        pull_undone(f);
    }
}

bool pull_finished(const struct account *account)
{
    for (const struct folder *f = account->undone; f; f = f->next_undone) {
        bool done = is_done(f);

        /* The rest is another day's. */
        if (account->day_over[SIDE_SOURCE])
            done |= f->pull == PULL_BODIES || (f->pull == PULL_UNLISTED && !pull_has_room_in(f));
        if (!done)
            return false;
    }
    return true;
}

/* pull_finished need not pass them each time. */
static void drop_done(struct account *account)
{
    while (account->undone && is_done(account->undone)) {
        account->undone->is_among_undone = false;
        account->undone = account->undone->next_undone;
    }
}

/* Fewer connections, then the longer ago refused. */
static bool costs_less(const struct folder *f, const struct folder *than)
{
    return f->losses != than->losses ? f->losses < than->losses : f->opening.at < than->opening.at;
}

/* The first that can be listed; else NULL, and the one of least losses in *costly. What is listed leaves the
 * list of those that are not: of tens of thousands of folders only the rest is looked at each time. */
static struct folder *choose_unlisted(struct account *account, struct folder **costly)
{
    struct folder **at = &account->unlisted, *f;

    while ((f = *at) != NULL) {
        if (f->pull >= PULL_BODIES) {
            *at = f->next_unlisted;
            continue;
        }
        at = &f->next_unlisted;
        if (f->pull != PULL_UNLISTED || f->parked || f->pullers || !gmail_may_list(f))
            continue;
        if (f->losses == 0 && !pull_waits_for_others(f))
            return f;
        if (!*costly || costs_less(f, *costly))
            *costly = f;
    }
    return NULL;
}

/* Of the first so many that wait for bodies, the one with most left for each of its workers. */
static struct folder *choose_bodies(struct account *account, struct folder **costly)
{
    struct folder **at = &account->undone, *f, *best = NULL;
    unsigned looked = 0;
    uint64_t best_left = 0;

    while ((f = *at) != NULL && (!best || looked < CHOOSE_AMONG)) {
        uint64_t left;

        if (is_done(f)) {
            f->is_among_undone = false;
            *at = f->next_undone;
            continue;
        }
        at = &f->next_undone;
        if (!pull_has_bodies(f) || f->record.tally.waiting <= f->fetching + f->storing)
            continue;
        looked++;
        left = (f->record.tally.waiting - f->fetching - f->storing) / (f->pullers + 1u) + 1;
        if (f->losses || pull_waits_for_others(f)) {
            if (!*costly || costs_less(f, *costly))
                *costly = f;
        } else if (left > best_left) {
            best_left = left;
            best = f;
        }
    }
    return best;
}

/* Unlisted folders first, one worker each; last those that have cost a connection. */
static struct folder *choose(struct account *account)
{
    struct folder *costly = NULL, *f;

    drop_done(account);
    f = choose_unlisted(account, &costly);
    if (!f)
        f = choose_bodies(account, &costly);
    return f ? f : costly;
}

/* ---- going on ------------------------------------------------------------------------------ */

void pull_go(struct worker *w)
{
    struct account *account = w->account;
    struct reactor *reactor = account->reactor;

    if (!w->link || !link_is_ready(w->link) || w->busy || account->stopping)
        return;
    if (w->draining) {
        if (w->inflight == 0)
            link_finish(w->link);
        return;
    }
    gmail_look(account);
    if (account_held(account, SIDE_SOURCE) || gmail_is_reading(account))
        return;
    if (w->folder && !pull_has_bodies(w->folder)) {
        if (w->inflight)
            return;
        pull_folder_release(w);
    }
    if (!w->folder) {
        w->folder = choose(account);
        if (!w->folder)
            return;
        w->folder->pullers++;
    }
    if (w->selected && w->folder->opens_writable && !((const struct pull *)w->work)->writable) {
        if (w->inflight)
            return;
        w->selected = false;
    }
    if (!w->selected) {
        pull_select_folder(w);
        return;
    }
    while (w->inflight < FETCH_DEPTH && !reactor->choked) {
        struct spool_fill fill;

        spool_fill(reactor->spool, &fill);
        if (fill.high) {
            account_spool_high(account);
            return;
        }
        if (!pull_fetch_some(w))
            break;
    }
    if (w->inflight == 0 && w->folder && !pull_has_bodies(w->folder)) {
        pull_folder_release(w);
        account_poke(account);
    }
}
