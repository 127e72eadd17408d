/* Copies that a target stored after the looks for them had ended. No settle time is safe: a message whose answer
 * was lost, that two looks did not find and that was sent again may still come. The folder's record keeps from
 * which UID on; at the end of the user's work, and of the next run's, that part of the folder is read once more.
 * A copy that no row claims, beside one that we sent and that is there, is such a one: it is told, not removed. */
#include "engine/move/push_inner.h"
#include "engine/move/push_late.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A link may go while it is asked; more often than this it is left to the next run. */
#define TRIES_MAX 3u

bool push_late_is_due(const struct folder *f)
{
    return f->record.target_lost_from && !f->late_looked && f->target_raw && !f->record.excluded &&
           f->push != PUSH_REFUSED;
}

/* ---- what is there, and whose it is -------------------------------------------------------- */

struct claims {
    struct twins *twins;
    struct twin_row *ours; /* copies that we sent, as the target shows them */
    size_t ours_count, ours_room;
    struct twin_claim *unknown; /* rows whose UID nobody told */
    size_t unknown_count, unknown_room;
    uint32_t floor;
};

static void ours_add(struct claims *c, const struct twin_row *row)
{
    if (c->ours_count == c->ours_room) {
        c->ours_room = c->ours_room ? c->ours_room * 2 : 256;
        c->ours = mem_resize(c->ours, c->ours_room, sizeof *c->ours);
    }
    c->ours[c->ours_count++] = *row;
}

static bool claim_one(void *context, const struct message_record *m)
{
    struct claims *c = context;
    struct twin_row seen;

    if (m->target_uid) {
        if (m->target_uid >= c->floor && twins_at(c->twins, m->target_uid, &seen)) {
            /* What was there before us may have been there twice. */
            if (m->state == MESSAGE_UPLOADED)
                ours_add(c, &seen);
            (void)twins_drop_uid(c->twins, m->target_uid);
        }
        return true;
    }
    if (m->target_uid_from < c->floor || m->target_uid_from == MESSAGE_NOT_THERE)
        return true;
    if (c->unknown_count == c->unknown_room) {
        c->unknown_room = c->unknown_room ? c->unknown_room * 2 : 64;
        c->unknown = mem_resize(c->unknown, c->unknown_room, sizeof *c->unknown);
    }
    c->unknown[c->unknown_count++] = (struct twin_claim){ .row = push_row_of(m), .from = m->target_uid_from };
    return true;
}

static int by_mail(const void *a, const void *b)
{
    const struct twin_row *x = a, *y = b;
    int order = memcmp(x->key, y->key, TWIN_KEY_BYTES);

    return order ? order : (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

/* How many second copies there are; what is said of the first. */
static uint64_t surplus(struct claims *c, const struct push_look *look, char *first, size_t cap)
{
    struct twin_row seen, *own;
    uint64_t count = 0;

    if (c->ours_count)
        qsort(c->ours, c->ours_count, sizeof *c->ours, by_mail);
    for (unsigned i = 0; i < look->seen_count && c->ours_count; i++) {
        if (!twins_at(c->twins, look->seen[i], &seen))
            continue;
        own = bsearch(&seen, c->ours, c->ours_count, sizeof *c->ours, by_mail);
        if (!own)
            continue;
        if (count++ == 0)
            snprintf(first, cap, "UID %" PRIu32 " beside UID %" PRIu32, seen.uid, own->uid);
    }
    return count;
}

static bool compare(struct worker *w, uint64_t *count_r, char *first, size_t cap, struct err *err_r)
{
    struct push *p = w->work;
    struct folder *f = w->folder;
    struct hub *hub = w->account->hub;
    struct claims c = { .twins = p->scan, .floor = p->floor };
    bool ok = reader_messages(hub->reader, f->record.user, f->record.folder,
                              1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT, 0, false, 0, claim_one, &c,
                              err_r);

    if (ok) {
        twins_claim(c.twins, c.unknown, c.unknown_count, &hub->manners);
        for (size_t i = 0; i < c.unknown_count; i++)
            if (c.unknown[i].done)
                ours_add(&c, &c.unknown[i].row);
        *count_r = surplus(&c, &p->look, first, cap);
    }
    free(c.ours);
    free(c.unknown);
    return ok;
}

/* ---- the look ------------------------------------------------------------------------------ */

static void over(struct worker *w)
{
    struct account *account = w->account;
    struct push *p = w->work;

    push_look_clear(&p->look);
    twins_destroy(&p->scan);
    push_folder_release(w);
    w->busy = false;
    account->proving--;
    account_poke(account);
}

static void fails(struct worker *w, const struct err *err)
{
    struct folder *f = w->folder;

    if (++f->late_tries >= TRIES_MAX) {
        /* What it holds is not known: the next run looks again. */
        f->late_looked = true;
        account_doubt(w->account, f, "LateCopy", 0,
                      "whether %s holds second copies of messages whose answers were lost could not be seen: %s",
                      f->target_name, err->server_text);
    } else if (link_is_ready(w->link)) {
        account_hold(w->account, SIDE_TARGET, err->wait_ms ? err->wait_ms : 1000, STALL_RETRY);
    }
    over(w);
}

static void looked(struct worker *w, const struct err *cause)
{
    struct account *account = w->account;
    struct folder *f = w->folder;
    char first[64] = "";
    uint64_t count = 0;
    struct err err;

    if (cause) {
        fails(w, cause);
        return;
    }
    if (!compare(w, &count, first, sizeof first, &err)) {
        hub_abort_run(account->hub, &err);
        over(w);
        return;
    }
    f->late_looked = true;
    log_line(LOG_DEBUG, "folder.late", "user=%s folder=%s from=%" PRIu32 " doubled=%llu",
             account->user->email_address, f->target_name, f->record.target_lost_from,
             (unsigned long long)count);
    if (count)
        account_doubt(account, f, "LateCopy", count,
                      "%s holds %llu second cop%s of messages that were stored late, after no look had found them "
                      "and they had been sent again: %s%s",
                      f->target_name, (unsigned long long)count, count == 1 ? "y" : "ies", first,
                      count == 1 ? "" : " is the first");
    else
        account_doubt_clear(account, f, "LateCopy");
    /* The run after the loss looks once more; then only where a copy was found. */
    if (!count && f->lost_before) {
        f->record.target_lost_from = 0;
        folder_put(f);
    }
    over(w);
}

static void selected(void *context, const struct imap_selected *selected)
{
    struct worker *w = context;
    struct push *p = w->work;

    w->folder->target_status = selected->status;
    p->uidnext = selected->status.has & IMAP_STATUS_UIDNEXT ? selected->status.uidnext : 0;
}

static void examined(void *context, const struct err *err)
{
    struct worker *w = context;
    struct folder *f = w->folder;
    const struct imap_status *status = &f->target_status;

    if (err) {
        fails(w, err);
        return;
    }
    if ((status->has & IMAP_STATUS_UIDVALIDITY) && f->record.target_uidvalidity &&
        status->uidvalidity != f->record.target_uidvalidity) {
        /* The folder is gone, and any copies with it. */
        f->late_looked = true;
        f->record.target_lost_from = 0;
        account_doubt_clear(w->account, f, "LateCopy");
        folder_put(f);
        over(w);
        return;
    }
    push_look(w, looked);
}

void push_late_begin(struct worker *w, struct folder *f)
{
    struct push *p = w->work;

    push_folder_release(w);
    push_folder_take(w, f);
    w->busy = true;
    w->account->proving++;
    p->floor = f->record.target_lost_from;
    session_select(link_session(w->link), f->record.target_raw, true, selected, examined, w);
}
