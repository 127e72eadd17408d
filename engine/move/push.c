#include "engine/move/push_private.h"

#include "io/base/mem.h"

#include <stdlib.h>

/* Exchange ends a session at its tenth NO or BAD, in the middle of whatever it does then. */
#define SESSION_ERRORS_MAX 8u

void push_begin(struct worker *worker)
{
    worker->work = mem_zero(1, sizeof(struct push));
}

/* The worker has the folder from here on. */
static void folder_take(struct worker *w, struct folder *f)
{
    w->folder = f;
    f->pushers++;
    push_touch(f);
}

void push_folder_release(struct worker *w)
{
    if (w->folder) {
        w->folder->pushers--;
        push_touch(w->folder);
        w->folder = NULL;
    }
}

void push_end(struct worker *worker)
{
    struct push *p = worker->work;

    if (!p)
        return;
    loop_timer_clear(worker->account->reactor->loop, &p->later);
    if (worker->folder && p->step == PUSH_STEP_OPENING && worker->folder->push == PUSH_OPENING)
        folder_set_push(worker->folder, worker->folder->uncertain ? PUSH_SETTLING : PUSH_CLOSED);
    push_folder_release(worker);
    matcher_destroy(&p->scan);
    push_look_clear(&p->look);
    free(p);
    worker->work = NULL;
    worker->busy = false;
}

/* ---- going on ------------------------------------------------------------------------------ */

/* NOs and BADs that the session may still get. */
static unsigned room_for_errors(const struct worker *w)
{
    unsigned count = session_error_count(link_session(w->link));

    if (w->account->reactor->settings->target.preset != SETTINGS_PRESET_EXCHANGE_ONLINE)
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
            f = push_choose(account);
            if ((!f || push_must_make(f)) && push_make_begin(w, room_for_errors(w)))
                return;
            if (!f)
                return;
            folder_take(w, f);
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

unsigned push_rounds_x64(struct worker *w)
{
    const struct caps *caps = session_caps(link_session(w->link));
    unsigned depth = push_depth(w);

    if (caps_has(caps, CAP_MULTIAPPEND))
        depth *= 32;
    if (depth > 1)
        return depth < 64 ? 64 / depth : 1;
    return caps_has(caps, CAP_LITERAL_PLUS) ? 64 : 128;
}

void push_proof_begin(struct worker *w, struct folder *f)
{
    push_folder_release(w);
    folder_take(w, f);
    w->busy = true;
    w->account->proving++;
}

void push_proof_end(struct worker *w)
{
    push_folder_release(w);
    w->busy = false;
    w->account->proving--;
    account_poke(w->account);
}
