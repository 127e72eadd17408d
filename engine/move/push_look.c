/* A look at what a target folder holds, and whether it is whole. A row that was damaged or left out would count as a
 * message that was never stored, and that would be sent again. The count of the folder tells it where all of it was
 * asked for; else SEARCH tells which UIDs there are, and what did not come is asked for once more, alone. */
#include "engine/move/push_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* More rows than this do not go missing one by one. */
#define MISSING_MAX 1000u
void push_look_clear(struct push_look *h)
{
    uidtable_deinit(&h->seen);
    free(h->missing);
    *h = (struct push_look){ 0 };
}

static void look_row(void *context, const struct imap_message_row *row)
{
    struct worker *w = context;
    struct push *p = w->work;
    uint8_t key[MATCH_KEY_BYTES];

    /* `n:*` names the last message even when it is below n. */
    if (row->uid < p->from || row->uid > p->to || !row->has_header || !uidtable_add(&p->look.seen, row->uid))
        return;
    match_key(row->header, key);
    matcher_add(p->scan, key, &row->date, row->size_bytes, row->uid);
}

static void ask_rows(struct worker *w, struct slice set, session_ended *ended)
{
    session_fetch_rows(link_session(w->link), set, SLICE("MESSAGE-ID DATE FROM SUBJECT"), look_row, ended, w);
}

static void missing_range(void *context, uint32_t first, uint32_t last)
{
    struct worker *w = context;
    struct push *p = w->work;
    struct push_look *h = &p->look;

    if (first < p->floor)
        first = p->floor;
    /* What came after the folder was opened is for the next look. */
    if (p->uidnext && last >= p->uidnext)
        last = p->uidnext - 1;
    for (uint64_t uid = first; uid <= last && h->missing_count < MISSING_MAX; uid++) {
        if (uidtable_has(&h->seen, (uint32_t)uid))
            continue;
        if (!h->missing)
            h->missing = mem_zero(MISSING_MAX, sizeof *h->missing);
        h->missing[h->missing_count++] = (uint32_t)uid;
    }
}

static void ask_next(struct worker *w);

static void one_ended(void *context, const struct err *err)
{
    struct worker *w = context;
    struct push_look *h = &((struct push *)w->work)->look;

    if (err && (!link_is_ready(w->link) || err->class == ERR_CLASS_THROTTLED)) {
        h->ended(w, err);
        return;
    }
    h->lacking += h->seen.count == h->seen_before;
    h->at++;
    ask_next(w);
}

static void ask_next(struct worker *w)
{
    struct folder *f = w->folder;
    struct push *p = w->work;
    struct push_look *h = &p->look;
    char set[16];
    struct err err;

    if (h->at < h->missing_count) {
        h->seen_before = h->seen.count;
        p->from = p->to = h->missing[h->at];
        snprintf(set, sizeof set, "%" PRIu32, h->missing[h->at]);
        ask_rows(w, slice_cstr(set), one_ended);
        return;
    }
    if (h->lacking == 0) {
        h->ended(w, NULL);
        return;
    }
    err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
            "%u message%s of the folder (UID %" PRIu32 " is the first of those asked for) cannot be read on the "
            "target: whether mail was stored there already is not known",
            h->lacking, h->lacking == 1 ? "" : "s", h->missing[0]);
    err_doing(&err, "looking at %s", f->target_name);
    h->ended(w, &err);
}

static void searched(void *context, const struct err *err)
{
    struct worker *w = context;
    struct push_look *h = &((struct push *)w->work)->look;

    if (err) {
        h->ended(w, err);
        return;
    }
    if (h->missing_count)
        log_line(LOG_INFO, "look.missing", "user=%s folder=%s rows=%u missing=%u", w->account->user->email_address,
                 w->folder->target_name, h->seen.count, h->missing_count);
    ask_next(w);
}

static void ask_what_is_missing(struct worker *w)
{
    struct push *p = w->work;
    struct push_look *h = &p->look;
    char criteria[32];
    unsigned known = p->uidnext ? uidtable_below(&h->seen, p->uidnext) : h->seen.count;

    if (session_damaged_count(link_session(w->link)) == h->damaged_before && p->floor == 1 &&
        (w->folder->target_status.has & IMAP_STATUS_MESSAGES) && known >= w->folder->target_status.messages) {
        h->ended(w, NULL);
        return;
    }
    snprintf(criteria, sizeof criteria, "UID %" PRIu32 ":*", p->floor);
    session_search(link_session(w->link), slice_cstr(criteria), missing_range, searched, w);
}

static void window_ended(void *context, const struct err *err);

static void ask_window(struct worker *w)
{
    struct push *p = w->work;
    char set[32];

    p->look.seen_before = p->look.seen.count;
    p->from = p->look.window.from;
    p->to = p->look.window.to;
    uid_window_text(&p->look.window, set);
    ask_rows(w, slice_cstr(set), window_ended);
}

static void window_ended(void *context, const struct err *err)
{
    struct worker *w = context;
    struct push *p = w->work;
    struct push_look *h = &p->look;

    if (err) {
        h->ended(w, err);
    } else if (!uid_window_is_last(&h->window)) {
        uid_window_next(&h->window, h->seen.count - h->seen_before);
        ask_window(w);
    } else {
        ask_what_is_missing(w);
    }
}

bool push_holds_nothing(const struct folder *f)
{
    return (f->target_status.has & IMAP_STATUS_MESSAGES) && f->target_status.messages == 0;
}

void push_look(struct worker *w, void (*ended)(struct worker *w, const struct err *err))
{
    struct push *p = w->work;

    matcher_destroy(&p->scan);
    p->scan = matcher_create(w->account->memory);
    push_look_clear(&p->look);
    p->look.ended = ended;
    p->look.damaged_before = session_damaged_count(link_session(w->link));
    if (push_holds_nothing(w->folder)) {
        ended(w, NULL);
        return;
    }
    uid_window_begin(&p->look.window, p->floor, p->uidnext,
                     w->folder->target_status.has & IMAP_STATUS_MESSAGES ? w->folder->target_status.messages : 0);
    ask_window(w);
}
