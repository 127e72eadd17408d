#include "engine/move/late.h"

#include "engine/imap/uidset.h"
#include "engine/message/header.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Of one folder; what names more is no list of messages. */
#define UIDS_MAX  20000000u
#define SET_BYTES 900u
#define ID_BYTES  200u

/* ---- rows by UIDs -------------------------------------------------------------------------- */

struct late_rows {
    struct session *session;
    const uint32_t *uids;
    size_t count, at;
    void (*row)(void *context, const struct imap_message_row *row);
    session_ended *ended;
    void *context;
};

static void rows_next(struct late_rows *r);

static void rows_ended(void *context, const struct err *err)
{
    struct late_rows *r = context;

    if (!err && r->at < r->count) {
        rows_next(r);
        return;
    }
    r->ended(r->context, err);
    free(r);
}

static void rows_told(void *context, const struct imap_message_row *row)
{
    struct late_rows *r = context;

    r->row(r->context, row);
}

static void rows_next(struct late_rows *r)
{
    char text[SET_BYTES];
    struct uidset set;

    uidset_init(&set, text, sizeof text);
    while (r->at < r->count && uidset_add(&set, r->uids[r->at]))
        r->at++;
    session_fetch_rows(r->session, uidset_finish(&set), SLICE("MESSAGE-ID DATE FROM SUBJECT"), rows_told, rows_ended,
                       r);
}

void late_rows_fetch(struct session *session, const uint32_t *uids, size_t count,
                     void (*row)(void *context, const struct imap_message_row *row), session_ended *ended,
                     void *context)
{
    struct late_rows *r;

    if (count == 0) {
        ended(context, NULL);
        return;
    }
    r = mem_zero(1, sizeof *r);
    *r = (struct late_rows){ session, uids, count, 0, row, ended, context };
    rows_next(r);
}

/* ---- the look ------------------------------------------------------------------------------ */

struct late_look {
    struct late_config config;
    late_ended *ended;
    void *context;
    struct imap_status status;
    bool another, overflow;
    bool by_header; /* the copy of some row is known by its header only, and may be any of those that are there */
    uint32_t *uids; /* those that are there; later those of them that nobody claims */
    size_t count, room;
    struct late_seen *seen; /* ascending once whole */
    size_t seen_count;
    struct surplus *surplus;
};

void late_look_free(struct late_look **look)
{
    struct late_look *l = *look;

    if (!l)
        return;
    for (size_t i = 0; i < l->seen_count; i++)
        free(l->seen[i].message_id);
    free(l->seen);
    free(l->uids);
    surplus_destroy(&l->surplus);
    free(l);
    *look = NULL;
}

bool late_is_another(const struct late_look *l)
{
    return l->another;
}

struct surplus *late_surplus(struct late_look *l)
{
    return l->surplus;
}

bool late_is_ours(const struct folder_record *folder, const struct surplus *surplus, const struct surplus_copy *copy,
                  bool told_before)
{
    return copy->kind != SURPLUS_OTHERS || folder->target_sends_unknown ||
           (!surplus_knows_sends(surplus) && told_before);
}

const struct imap_status *late_status(const struct late_look *l)
{
    return &l->status;
}

static int by_seen(const void *a, const void *b)
{
    const struct late_seen *x = a, *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

const struct late_seen *late_seen_at(const struct late_look *l, uint32_t uid)
{
    struct late_seen wanted = { .uid = uid };

    return l->seen_count ? bsearch(&wanted, l->seen, l->seen_count, sizeof *l->seen, by_seen) : NULL;
}

static void whole(struct late_look *l)
{
    surplus_judge(l->surplus);
    l->ended(l->context, l, NULL);
}

static void not_whole(struct late_look *l, const char *what)
{
    struct err err;

    err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0, "%s", what);
    err_doing(&err, "looking for second copies");
    l->ended(l->context, l, &err);
}

static struct match_row match_of(const struct imap_message_row *row)
{
    struct match_row twin = { .seconds = row->date.known ? row->date.seconds : INT64_MIN,
                              .bytes = row->has_size ? row->size_bytes : 0,
                              .uid = row->uid };

    match_key(row->header, twin.key);
    return twin;
}

static void kept_row(void *context, const struct imap_message_row *row)
{
    struct late_look *l = context;
    struct match_row twin = match_of(row);

    if (row->has_header && row->has_size)
        surplus_see_kept(l->surplus, &twin);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static bool was_there(const struct late_look *l, uint32_t uid)
{
    return l->count && bsearch(&uid, l->uids, l->count, sizeof *l->uids, by_number);
}

static void kept_told(void *context, const struct err *err)
{
    struct late_look *l = context;

    if (err)
        l->ended(l->context, l, err);
    else
        whole(l);
}

static void seen_row(void *context, const struct imap_message_row *row)
{
    struct late_look *l = context;
    struct match_row twin;
    struct late_seen *s;
    struct slice id;

    /* Servers tell of others too, and of one more than once. */
    if (!row->has_header || !row->has_size || !was_there(l, row->uid))
        return;
    for (size_t i = l->seen_count; i-- > 0 && l->seen[i].uid >= row->uid;)
        if (l->seen[i].uid == row->uid)
            return;
    twin = match_of(row);
    surplus_see(l->surplus, &twin);
    s = &l->seen[l->seen_count++];
    *s = (struct late_seen){ row->uid, mem_zero(1, ID_BYTES) };
    id = slice_first(slice_trim(header_field(row->header, SLICE("Message-ID"))), ID_BYTES - 1);
    err_printable(s->message_id, ID_BYTES, id.data, id.size);
    /* Rows come in order, most often. */
    for (size_t i = l->seen_count - 1; i > 0 && l->seen[i - 1].uid > l->seen[i].uid; i--) {
        struct late_seen other = l->seen[i - 1];

        l->seen[i - 1] = l->seen[i];
        l->seen[i] = other;
    }
}

static void seen_told(void *context, const struct err *err)
{
    struct late_look *l = context;
    const uint32_t *kept;
    size_t count;

    if (err) {
        l->ended(l->context, l, err);
        return;
    }
    if (l->seen_count < l->count) {
        not_whole(l, "the server names messages and does not tell of all of them");
        return;
    }
    surplus_match(l->surplus, l->config.fidelity);
    kept = surplus_kept(l->surplus, &count);
    late_rows_fetch(l->config.session, kept, count, kept_row, kept_told, l);
}

/* A UID that was told and is not there may be one that never was: then the message's copy is known by its header. */
static bool each_row(void *context, const struct message_record *m)
{
    struct late_look *l = context;
    struct message_record told = *m;

    if (told.target_uid >= l->config.floor && !was_there(l, told.target_uid)) {
        told.target_uid = 0;
        told.target_uid_from = l->config.floor;
    }
    l->by_header |= message_went(&told) || (told.target_uid == 0 && message_may_be_from(&told, l->config.floor));
    surplus_know(l->surplus, &told);
    return true;
}

/* Of those that are there, in order, leaves those that no row claims. */
static void leave_unclaimed(struct late_look *l)
{
    uint32_t from = l->config.from > l->config.floor && !l->by_header ? l->config.from : l->config.floor, last = 0;
    size_t count = 0;

    for (size_t i = 0; i < l->count; i++) {
        if (l->uids[i] >= from && l->uids[i] != last && !surplus_is_claimed(l->surplus, l->uids[i]))
            l->uids[count++] = l->uids[i];
        last = l->uids[i];
    }
    l->count = count;
}

static void searched(void *context, const struct err *err)
{
    struct late_look *l = context;
    unsigned told = session_search_told(l->config.session);
    struct err read;

    if (err) {
        l->ended(l->context, l, err);
        return;
    }
    if (l->overflow || !(told & SESSION_SEARCH_ANSWERED) || (told & SESSION_SEARCH_UNREAD)) {
        not_whole(l, "the server does not tell which messages there are");
        return;
    }
    if (l->count)
        qsort(l->uids, l->count, sizeof *l->uids, by_number);
    if (!reader_messages(l->config.reader, l->config.user, l->config.folder,
                         1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT, 0, false, 0, each_row, l, &read)) {
        l->ended(l->context, l, &read);
        return;
    }
    leave_unclaimed(l);
    l->seen = mem_zero(l->count + 1, sizeof *l->seen);
    late_rows_fetch(l->config.session, l->uids, l->count, seen_row, seen_told, l);
}

static void range_told(void *context, uint32_t first, uint32_t last)
{
    struct late_look *l = context;

    /* `n:*` names the last message even when it is below n. */
    if (first < l->config.floor)
        first = l->config.floor;
    if (last < first)
        return;
    if ((uint64_t)last - first + 1 > UIDS_MAX - l->count) {
        l->overflow = true;
        return;
    }
    for (uint64_t uid = first; uid <= last; uid++) {
        if (l->count == l->room) {
            l->room = l->room ? l->room * 2 : 256;
            l->uids = mem_resize(l->uids, l->room, sizeof *l->uids);
        }
        l->uids[l->count++] = (uint32_t)uid;
    }
}

static void selected(void *context, const struct imap_selected *s)
{
    struct late_look *l = context;

    l->status = s->status;
}

static void examined(void *context, const struct err *err)
{
    struct late_look *l = context;
    char criteria[32];

    if (err) {
        l->ended(l->context, l, err);
        return;
    }
    l->another = (l->status.has & IMAP_STATUS_UIDVALIDITY) && l->config.uidvalidity &&
                 l->status.uidvalidity != l->config.uidvalidity;
    if (l->another || ((l->status.has & IMAP_STATUS_MESSAGES) && l->status.messages == 0)) {
        l->ended(l->context, l, NULL);
        return;
    }
    snprintf(criteria, sizeof criteria, "UID %" PRIu32 ":*", l->config.floor);
    session_search(l->config.session, slice_cstr(criteria), range_told, searched, l);
}

void late_look_begin(const struct late_config *config, late_ended *ended, void *context)
{
    struct late_look *l = mem_zero(1, sizeof *l);

    l->config = *config;
    l->ended = ended;
    l->context = context;
    l->surplus = surplus_create(config->floor, config->uids_lie);
    if (config->sends_unknown)
        surplus_sends_unknown(l->surplus);
    session_select(config->session, config->raw, config->read_only, selected, examined, l);
}
