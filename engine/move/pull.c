#include "engine/move/gmail.h"
#include "engine/move/pull_inner.h"

#include "io/base/mem.h"

#include <stdlib.h>

/* Commands in flight on a connection: enough that the server never waits for us. */
#define FETCH_DEPTH 4u

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
        worker->folder->pull = PULL_UNLISTED;
    pull_folder_release(worker);
    free(p->rows);
    free(p->notes);
    pull_missing_clear(&p->missing);
    buf_deinit(&p->words);
    free(p);
    worker->work = NULL;
    worker->busy = false;
}

/* ---- which folder ------------------------------------------------------------------------- */

bool pull_has_bodies(const struct folder *f)
{
    return !account_only_looks(f->account) && !f->account->day_over[SIDE_SOURCE] && f->pull == PULL_BODIES &&
           (f->wanted.count > 0 || f->wanted.more);
}

static bool has_room(const struct folder *f)
{
    return (f->pull == PULL_UNLISTED && !f->parked && gmail_may_list(f)) ||
           (pull_has_bodies(f) && f->record.tally.waiting > f->fetching + f->storing);
}

unsigned pull_room(const struct account *account)
{
    unsigned n = 0;

    for (unsigned i = 0; i < account->folder_count; i++)
        n += has_room(account->folders[i]);
    return n;
}

void pull_settle_if_done(struct folder *f)
{
    if (f->pull == PULL_BODIES && (f->record.tally.waiting == 0 || account_only_looks(f->account)) &&
        f->fetching == 0 && f->storing == 0) {
        f->pull = PULL_DONE;
        account_poke(f->account);
    }
}

bool pull_finished(const struct account *account)
{
    for (unsigned i = 0; i < account->folder_count; i++) {
        const struct folder *f = account->folders[i];
        bool done = f->pull == PULL_DONE || f->pull == PULL_REFUSED;

        /* The rest is another day's. */
        if (account->day_over[SIDE_SOURCE])
            done |= f->pull == PULL_BODIES || (f->pull == PULL_UNLISTED && !has_room(f));
        if (!done)
            return false;
    }
    return true;
}

/* Unlisted folders first, one worker each; then the one with most left for each of its workers; last
 * those that have cost a connection. */
static struct folder *choose(struct account *account)
{
    struct folder *best = NULL, *costly = NULL;
    uint64_t best_left = 0;

    for (unsigned i = 0; i < account->folder_count; i++) {
        struct folder *f = account->folders[i];

        if (f->pull == PULL_UNLISTED && !f->parked && f->pullers == 0 && gmail_may_list(f)) {
            if (f->losses == 0)
                return f;
            if (!costly || f->losses < costly->losses)
                costly = f;
        }
        if (pull_has_bodies(f) && f->record.tally.waiting > f->fetching + f->storing) {
            uint64_t left =
                (f->record.tally.waiting - f->fetching - f->storing) / (f->pullers + 1u) + 1;

            if (f->losses) {
                costly = costly && costly->losses <= f->losses ? costly : f;
            } else if (left > best_left) {
                best_left = left;
                best = f;
            }
        }
    }
    return best ? best : costly;
}

/* ---- going on ------------------------------------------------------------------------------ */

void pull_go(struct worker *w)
{
    struct account *account = w->account;
    struct hub *hub = account->hub;

    if (!w->link || !link_is_ready(w->link) || w->busy || account->stopping)
        return;
    if (w->draining) {
        if (w->inflight == 0)
            link_finish(w->link);
        return;
    }
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
    if (!w->selected) {
        pull_select_folder(w);
        return;
    }
    while (w->inflight < FETCH_DEPTH && !hub->choked) {
        struct spool_fill fill;

        spool_fill(hub->spool, &fill);
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
