/* A look at what a target folder holds, and whether it is whole. A row that was damaged or left out would count as a message that was
 * never stored, and that would be sent again. The count of the folder tells it where all of it was asked for;
 * else SEARCH tells which UIDs there are, and what did not come is asked for once more, alone. */
#include "engine/move/push_inner.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* More rows than this do not go missing one by one. */
#define MISSING_MAX 1000u
#define WINDOW_UIDS 2000u

/* Where the UID stands among those seen, or would. */
static unsigned place_of(const struct push_look *h, uint32_t uid)
{
    unsigned low = 0, high = h->seen_count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (h->seen[middle] < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool was_seen(const struct push_look *h, uint32_t uid)
{
    unsigned at = place_of(h, uid);

    return at < h->seen_count && h->seen[at] == uid;
}

void push_look_clear(struct push_look *h)
{
    free(h->seen);
    free(h->missing);
    *h = (struct push_look){ 0 };
}

/* False: it was seen before. */
static bool saw(struct push_look *h, uint32_t uid)
{
    unsigned at = place_of(h, uid);

    if (at < h->seen_count && h->seen[at] == uid)
        return false;
    if (h->seen_count == h->seen_room) {
        h->seen_room = h->seen_room ? h->seen_room * 2 : 256;
        h->seen = mem_resize(h->seen, h->seen_room, sizeof *h->seen);
    }
    /* Rows come in order, most often. */
    memmove(h->seen + at + 1, h->seen + at, (h->seen_count++ - at) * sizeof *h->seen);
    h->seen[at] = uid;
    return true;
}

static void look_row(void *context, const struct imap_message_row *row)
{
    struct worker *w = context;
    struct push *p = w->work;
    uint8_t key[TWIN_KEY_BYTES];

    /* `n:*` names the last message even when it is below n. */
    if (row->uid < p->from || row->uid > p->to || !row->has_header || !saw(&p->look, row->uid))
        return;
    twin_key(row->header, key);
    twins_add(p->scan, key, &row->date, row->size_bytes, row->uid);
}

static void ask_rows(struct worker *w, struct slice set, session_ended *ended)
{
    session_fetch_rows(link_session(w->link), set, SLICE("MESSAGE-ID DATE FROM SUBJECT"), look_row, ended,
                       w);
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
        if (was_seen(h, (uint32_t)uid))
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
    h->lacking += h->seen_count == h->seen_before;
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
        h->seen_before = h->seen_count;
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
        log_line(LOG_INFO, "look.missing", "user=%s folder=%s rows=%u missing=%u",
                 w->account->user->email_address, w->folder->target_name, h->seen_count,
                 h->missing_count);
    ask_next(w);
}

static void ask_what_is_missing(struct worker *w)
{
    struct push *p = w->work;
    struct push_look *h = &p->look;
    char criteria[32];
    unsigned known = p->uidnext ? place_of(h, p->uidnext) : h->seen_count;

    if (session_damaged_count(link_session(w->link)) == h->damaged_before && p->floor == 1 &&
        (w->folder->target_status.has & IMAP_STATUS_MESSAGES) &&
        known >= w->folder->target_status.messages) {
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

    if (p->uidnext == 0 || p->uidnext - p->from <= WINDOW_UIDS || p->from >= p->uidnext) {
        p->to = UINT32_MAX;
        snprintf(set, sizeof set, "%" PRIu32 ":*", p->from);
    } else {
        p->to = p->from + WINDOW_UIDS - 1;
        snprintf(set, sizeof set, "%" PRIu32 ":%" PRIu32, p->from, p->to);
    }
    ask_rows(w, slice_cstr(set), window_ended);
}

static void window_ended(void *context, const struct err *err)
{
    struct worker *w = context;
    struct push *p = w->work;

    if (err) {
        p->look.ended(w, err);
    } else if (p->to != UINT32_MAX) {
        p->from = p->to + 1;
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

    twins_destroy(&p->scan);
    p->scan = twins_create();
    push_look_clear(&p->look);
    p->look.ended = ended;
    p->look.damaged_before = session_damaged_count(link_session(w->link));
    p->from = p->floor;
    if (push_holds_nothing(w->folder))
        ended(w, NULL);
    else
        ask_window(w);
}
