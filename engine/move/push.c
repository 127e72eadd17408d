#include "engine/move/gmail.h"
#include "engine/move/push_inner.h"

#include "io/base/mem.h"

#include <stdlib.h>

/* Exchange ends a session at its tenth NO or BAD, in the middle of whatever it does then. */
#define SESSION_ERRORS_MAX 8u

void push_begin(struct worker *worker)
{
    worker->work = mem_zero(1, sizeof(struct push));
}

void push_folder_release(struct worker *w)
{
    if (w->folder) {
        w->folder->pushers--;
        w->folder = NULL;
    }
}

void push_end(struct worker *worker)
{
    struct push *p = worker->work;

    if (!p)
        return;
    loop_timer_clear(worker->account->hub->loop, &p->later);
    if (worker->folder && p->step == PUSH_STEP_OPENING && worker->folder->push == PUSH_OPENING)
        worker->folder->push = worker->folder->uncertain ? PUSH_SETTLING : PUSH_CLOSED;
    push_folder_release(worker);
    twins_destroy(&p->scan);
    free(p);
    worker->work = NULL;
    worker->busy = false;
}

/* ---- which folder ------------------------------------------------------------------------- */

/* In a run the source has the first word on a folder: its UIDVALIDITY may make all we hold of it
 * worthless. */
static bool source_agrees(const struct folder *f)
{
    return f->account->hub->settings->mode == SETTINGS_MODE_UPLOAD || f->pull >= PULL_BODIES;
}

bool push_has_mail(const struct folder *f)
{
    return !f->account->day_over[SIDE_TARGET] && (f->ready.count > 0 || f->ready.more);
}

bool push_must_make(const struct folder *f)
{
    return f->target_raw && !f->exists_on_target && !gmail_is_view(f);
}

static bool wants_folder(const struct folder *f)
{
    return f->target_raw && f->push == PUSH_CLOSED && f->pushers == 0 && f->sending == 0 &&
           source_agrees(f) && (push_has_mail(f) || push_must_make(f));
}

/* An APPEND without an answer: when all others have theirs, one worker looks. */
static bool wants_look(const struct folder *f)
{
    return f->push == PUSH_SETTLING && f->sending == 0 && f->pushers == 0;
}

static bool wants_worker(const struct folder *f)
{
    return wants_folder(f) || wants_look(f) || (f->push == PUSH_OPEN && push_has_mail(f));
}

unsigned push_room(const struct account *account)
{
    unsigned n = 0;

    if (!account->mapped || account->target_dead)
        return 0;
    for (unsigned i = 0; i < account->folder_count; i++)
        n += wants_worker(account->folders[i]);
    return n;
}

static bool folder_finished(const struct folder *f)
{
    if (!f->target_raw || f->push == PUSH_REFUSED)
        return f->sending == 0;
    if (f->account->day_over[SIDE_TARGET] || (f->account->day_over[SIDE_SOURCE] && !source_agrees(f)))
        return f->sending == 0 && f->push != PUSH_OPENING && f->push != PUSH_SETTLING;
    return (f->exists_on_target || gmail_is_view(f)) && f->sending == 0 && f->record.tally.spooled == 0 &&
           f->push != PUSH_OPENING && f->push != PUSH_SETTLING;
}

bool push_finished(const struct account *account)
{
    if (!account->mapped)
        return false;
    for (unsigned i = 0; i < account->folder_count; i++)
        if (account->target_dead ? account->folders[i]->sending > 0
                                 : !folder_finished(account->folders[i]))
            return false;
    return true;
}

static struct folder *choose(struct account *account)
{
    struct folder *best = NULL;
    uint64_t best_left = 0;

    if (!account->mapped || account->target_dead)
        return NULL;
    for (unsigned i = 0; i < account->folder_count; i++) {
        struct folder *f = account->folders[i];
        uint64_t left = (f->record.tally.spooled + 1) / (f->pushers + 1u) + 1;

        if (wants_worker(f) && left > best_left) {
            best_left = left;
            best = f;
        }
    }
    return best;
}

/* ---- going on ------------------------------------------------------------------------------ */

/* NOs and BADs that the session may still get. */
static unsigned room_for_errors(const struct worker *w)
{
    unsigned count = session_error_count(link_session(w->link));

    if (w->account->hub->settings->target.preset != SETTINGS_PRESET_EXCHANGE_ONLINE)
        return UINT32_MAX;
    return count < SESSION_ERRORS_MAX ? SESSION_ERRORS_MAX - count : 0;
}

void push_go(struct worker *w)
{
    struct account *account = w->account;

    if (!w->link || !link_is_ready(w->link) || w->busy || account->stopping)
        return;
    if (room_for_errors(w) == 0)
        w->draining = true;
    if (w->draining) {
        if (w->inflight == 0)
            link_finish(w->link);
        return;
    }
    if (account_held(account, SIDE_TARGET) || account->target_dead)
        return;
    for (;;) {
        struct folder *f = w->folder;

        /* Where APPENDs are pipelined, the next folder's follow while these have no answer yet. */
        if (f && (f->push != PUSH_OPEN || !push_has_mail(f))) {
            if (w->inflight && (f->push != PUSH_OPEN || w->inflight >= push_depth(w)))
                return;
            push_folder_release(w);
            f = NULL;
        }
        if (!f) {
            f = choose(account);
            if ((!f || push_must_make(f)) && push_make_begin(w, room_for_errors(w)))
                return;
            if (!f)
                return;
            w->folder = f;
            f->pushers++;
            if (f->push != PUSH_OPEN) {
                push_open_begin(w);
                return;
            }
        }
        while (w->inflight < push_depth(w) && f->push == PUSH_OPEN)
            if (!push_send_some(w))
                break;
            else if (!link_is_ready(w->link))
                return; /* the spool could not give what it was to send: the session is over */
        if (push_has_mail(f))
            return;
    }
}
