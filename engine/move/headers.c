#include "engine/move/headers.h"

#include "engine/message/uid_window.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A server may know of more messages than it told, but not of any number. */
#define ROWS_SLACK 100000u
/* What the receiver keeps of a row, until it has the last. */
#define ROW_KEPT_BYTES 96u

struct headers {
    struct source *source;
    const struct headers_events *events;
    void *context;
    uint32_t first, uidnext, exists;
    struct uid_window window;
    uint32_t *uids;               /* as they came */
    uint32_t count, room, before; /* before: the window at hand */
    unsigned damaged;
    bool exists_told;
    struct quota_hold held; /* by the receiver */
};

static void window(struct headers *h);

static void over(struct headers *h, const struct err *err)
{
    quota_let_go(&h->held);
    h->events->ended(h->context, err);
    free(h->uids);
    free(h);
}

static int by_uid(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Each once. */
static uint32_t different(struct headers *h)
{
    uint32_t n = 0;

    if (h->count)
        qsort(h->uids, h->count, sizeof *h->uids, by_uid);
    for (uint32_t i = 0; i < h->count; i++)
        n += i == 0 || h->uids[i] != h->uids[i - 1];
    return n;
}

static void row_told(void *context, const struct imap_message_row *row)
{
    struct headers *h = context;

    /* `n:*` names the last message even when it is below n. */
    if (row->uid < h->first)
        return;
    if (h->count - (h->count > h->exists ? h->exists : h->count) > ROWS_SLACK) {
        source_give_up(h->source, "the server lists more messages than the folder holds");
        return;
    }
    if (h->count == h->room) {
        h->room = h->room ? h->room * 2 : 256;
        h->uids = mem_resize(h->uids, h->room, sizeof *h->uids);
    }
    h->uids[h->count++] = row->uid;
    quota_hold_more(&h->held, source_memory(h->source), ROW_KEPT_BYTES);
    h->events->row(h->context, row);
}

/* Of a part nobody knows how many there must be; of the whole folder EXISTS says it. */
static bool is_whole(struct headers *h)
{
    return source_damaged_count(h->source) == h->damaged && (h->first > 1 || different(h) >= h->exists);
}

static void window_ended(void *context, const struct err *err)
{
    struct headers *h = context;
    struct err part;

    if (!err && !uid_window_is_last(&h->window)) {
        uid_window_next(&h->window, h->count - h->before);
        window(h);
        return;
    }
    if (!err && !is_whole(h)) {
        err_set(&part, ERR_CLASS_TRANSIENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
                "the server says that the folder holds %" PRIu32 " messages and lists %" PRIu32 " of them", h->exists,
                different(h));
        err = &part;
    }
    over(h, err);
}

static void window(struct headers *h)
{
    char set[32];

    h->before = h->count;
    uid_window_text(&h->window, set);
    source_rows(h->source, slice_cstr(set), SLICE("MESSAGE-ID DATE FROM SUBJECT"), row_told, window_ended, h);
}

static void selected(void *context, const struct imap_selected *s)
{
    struct headers *h = context;

    h->exists = s->status.messages;
    h->exists_told = s->exists_told;
    h->uidnext = s->status.has & IMAP_STATUS_UIDNEXT ? s->status.uidnext : 0;
    h->events->opened(h->context, s);
}

static void examined(void *context, const struct err *err)
{
    struct headers *h = context;
    struct err untold;

    h->damaged = source_damaged_count(h->source);
    if (!err && !h->exists_told) {
        err_set(&untold, ERR_CLASS_TRANSIENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
                "the server opens the folder and does not tell how many messages it holds");
        err = &untold;
    }
    if (err || h->exists == 0) {
        over(h, err);
        return;
    }
    uid_window_begin(&h->window, h->first, h->uidnext, h->exists);
    window(h);
}

void headers_list(struct source *source, struct slice raw, uint32_t from_uid, const struct headers_events *events,
                  void *context)
{
    struct headers *h = mem_zero(1, sizeof *h);

    h->source = source;
    h->events = events;
    h->context = context;
    h->first = from_uid;
    source_open(source, raw, true, selected, examined, h);
}
