#include "engine/move/pull.h"

#include "engine/imap/uidset.h"
#include "engine/move/header.h"
#include "engine/move/policy.h"
#include "io/base/buf.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Commands in flight and their size: enough that the server never waits for us, few enough that a
 * lost connection costs little (quirk B26 wants <= 20 bodies a command). */
#define FETCH_DEPTH 4u
#define FETCH_MESSAGES_MAX 20u
#define FETCH_BYTES_MAX (512u * 1024u)
/* UIDs in a listing window at first; widened when UIDs are sparse. */
#define WINDOW_UIDS 4000u
#define WINDOW_ROWS_WANTED 4000u
#define PARTIAL_BYTES (512u * 1024u)
/* No body is longer than this, whatever a server says. */
#define BODY_BYTES_MAX (2ull * 1024 * 1024 * 1024)
#define HEADER_KEY_BYTES BLOB_CHUNK_BYTES

/* The ways to ask for one message, in the order they are tried; a message in a set counts as the
 * first. quirks B5 */
static const enum session_body_form ladder[] = {
    SESSION_BODY_PEEK,        SESSION_BODY_PEEK,     SESSION_BODY_PARTIAL, SESSION_BODY_HEADER,
    SESSION_BODY_RFC822_PEEK, SESSION_BODY_UNPEEKED, SESSION_BODY_RFC822,
};
#define LADDER_RUNGS (sizeof ladder / sizeof *ladder)

/* One body on its way from the wire to the writer. */
struct incoming {
    bool active, broken;
    uint32_t uid; /* 0: not told yet */
    uint64_t body;
    uint64_t got; /* bytes */
    struct blob_writer blob;
    uint8_t header_key[TWIN_KEY_BYTES];
};

/* One UID FETCH of bodies. */
struct fetch {
    struct worker *worker;
    struct folder *folder;
    enum session_body_form form;
    struct folder_item items[FETCH_MESSAGES_MAX];
    bool got[FETCH_MESSAGES_MAX];
    unsigned count;
    struct incoming in;
    bool answered;        /* some FETCH response came */
    uint64_t part_from;   /* PARTIAL: where this part starts */
    uint64_t part_got;
    bool text_part;       /* HEADER rung: the TEXT is being read */
};

enum pull_step { STEP_FREE, STEP_SELECTING, STEP_LISTING };

/* What pull keeps for a worker. */
struct pull {
    enum pull_step step;
    /* listing */
    uint32_t from, to, uidnext, exists, width;
    struct message_record *rows; /* of the window; keywords hold offsets into words */
    unsigned row_count, row_room;
    struct buf words;
    uint64_t listed; /* rows seen in this folder in this listing */
    unsigned windows;
    uint64_t expected_before; /* tally.found when the listing began */
    struct message_note *notes;
    unsigned noted; /* rows whose note was asked for */
    uint32_t uidvalidity;
    unsigned attempts; /* of the step, in a row */
};

static void list_window(struct worker *w);
static void select_folder(struct worker *w);

void pull_begin(struct worker *worker)
{
    struct pull *p = mem_zero(1, sizeof *p);

    buf_init(&p->words, 16u << 20);
    worker->work = p;
}

static void folder_release(struct worker *w)
{
    if (w->folder) {
        w->folder->pullers--;
        w->folder = NULL;
    }
    w->selected = false;
}

void pull_end(struct worker *worker)
{
    struct pull *p = worker->work;

    if (!p)
        return;
    if (worker->folder && p->step == STEP_LISTING && worker->folder->pull == PULL_LISTING)
        worker->folder->pull = PULL_UNLISTED;
    folder_release(worker);
    free(p->rows);
    free(p->notes);
    buf_deinit(&p->words);
    free(p);
    worker->work = NULL;
    worker->busy = false;
}

/* ---- which folder ------------------------------------------------------------------------- */

/* A plan ends where bodies would begin. */
static bool lists_only(const struct account *account)
{
    return account->hub->settings->mode == SETTINGS_MODE_PLAN;
}

static bool has_bodies(const struct folder *f)
{
    return !lists_only(f->account) && f->pull == PULL_BODIES && (f->wanted.count > 0 || f->wanted.more);
}

static bool has_room(const struct folder *f)
{
    return f->pull == PULL_UNLISTED ||
           (has_bodies(f) && f->record.tally.waiting > f->fetching + f->storing);
}

unsigned pull_room(const struct account *account)
{
    unsigned n = 0;

    for (unsigned i = 0; i < account->folder_count; i++)
        n += has_room(account->folders[i]);
    return n;
}

static void settle_if_done(struct folder *f)
{
    if (f->pull == PULL_BODIES && (f->record.tally.waiting == 0 || lists_only(f->account)) &&
        f->fetching == 0 && f->storing == 0) {
        f->pull = PULL_DONE;
        account_poke(f->account);
    }
}

bool pull_finished(const struct account *account)
{
    for (unsigned i = 0; i < account->folder_count; i++)
        if (account->folders[i]->pull != PULL_DONE && account->folders[i]->pull != PULL_REFUSED)
            return false;
    return true;
}

/* Unlisted folders first, one worker each; then the one with most left for each of its workers. */
static struct folder *choose(struct account *account)
{
    struct folder *best = NULL;
    uint64_t best_left = 0;

    for (unsigned i = 0; i < account->folder_count; i++) {
        struct folder *f = account->folders[i];

        if (f->pull == PULL_UNLISTED && f->pullers == 0)
            return f;
        if (has_bodies(f) && f->record.tally.waiting > f->fetching + f->storing) {
            uint64_t left =
                (f->record.tally.waiting - f->fetching - f->storing) / (f->pullers + 1u) + 1;

            if (left > best_left) {
                best_left = left;
                best = f;
            }
        }
    }
    return best;
}

/* ---- bodies -------------------------------------------------------------------------------- */

struct stored {
    struct folder *folder;
    struct folder_item item;
};

static void body_stored(void *context, struct store_op *op, const struct err *err)
{
    struct stored *s = context;
    struct folder *f = s->folder;

    f->storing--;
    if (err) {
        item_deinit(&s->item);
        hub_abort_run(f->account->hub, err);
    } else {
        folder_count_end(f, MESSAGE_FOUND, MESSAGE_SPOOLED, s->item.body_bytes, 1);
        f->account->sides[SIDE_SOURCE].failures = 0;
        queue_forget(&f->wanted, s->item.uid);
        queue_push_back(&f->ready, &s->item);
        settle_if_done(f);
    }
    account_poke(f->account);
    free(s);
}

static void drop_chunks(struct fetch *fetch)
{
    if (fetch->in.blob.chunk > 0) {
        struct hub *hub = fetch->folder->account->hub;
        struct store_op *op = store_op_new(STORE_OP_DROP_BODY, fetch->folder->record.user,
                                           fetch->folder->record.folder);

        op->body.body = fetch->in.body;
        hub_submit_lazy(hub, op);
    }
}

static void incoming_drop(struct fetch *fetch)
{
    if (fetch->in.active) {
        drop_chunks(fetch);
        blob_end(&fetch->in.blob);
        fetch->in.active = false;
    }
}

static void incoming_start(struct fetch *fetch, uint32_t uid, uint64_t expected)
{
    struct hub *hub = fetch->folder->account->hub;

    incoming_drop(fetch);
    fetch->in = (struct incoming){ .active = true, .uid = uid };
    fetch->in.body = spool_next_body(hub->spool);
    blob_begin(&fetch->in.blob, hub->kit, expected);
}

/* The header's key is taken from the first chunk, while it is still raw. */
static void note_header(struct fetch *fetch)
{
    if (fetch->in.blob.chunk == 0)
        twin_key(slice_first(slice_of(fetch->in.blob.raw, fetch->in.blob.raw_size), HEADER_KEY_BYTES),
                 fetch->in.header_key);
}

static void incoming_add(struct fetch *fetch, struct slice bytes)
{
    struct hub *hub = fetch->folder->account->hub;

    if (!fetch->in.active || fetch->in.broken)
        return;
    fetch->in.got += bytes.size;
    if (fetch->in.got > BODY_BYTES_MAX) {
        fetch->in.broken = true;
        return;
    }
    while (bytes.size) {
        size_t taken;

        if (blob_chunk_full(&fetch->in.blob)) {
            struct store_op *op = store_op_new(STORE_OP_CHUNK, fetch->folder->record.user,
                                               fetch->folder->record.folder);

            note_header(fetch);
            op->body.body = fetch->in.body;
            op->body.chunk = fetch->in.blob.chunk;
            blob_chunk(&fetch->in.blob, &op->body.data, &op->body.size);
            hub_submit_lazy(hub, op);
        }
        blob_add(&fetch->in.blob, bytes, &taken);
        bytes = slice_from(bytes, taken);
    }
}

/* The body is whole: into the journal with it. */
static void incoming_finish(struct fetch *fetch, unsigned index)
{
    struct folder *f = fetch->folder;
    struct folder_item *item = &fetch->items[index];
    struct store_op *op =
        store_op_new(STORE_OP_SPOOLED, f->record.user, f->record.folder);
    struct stored *s = mem_zero(1, sizeof *s);

    note_header(fetch);
    blob_finish(&fetch->in.blob, op->body.digest, &op->body.body_bytes);
    op->body.body = fetch->in.body;
    op->body.uid = item->uid;
    op->body.last = true;
    op->body.chunk = fetch->in.blob.chunk;
    memcpy(op->body.header_key, fetch->in.header_key, TWIN_KEY_BYTES);
    item->body = fetch->in.body;
    item->body_bytes = op->body.body_bytes;
    memcpy(item->header_key, fetch->in.header_key, TWIN_KEY_BYTES);
    blob_chunk(&fetch->in.blob, &op->body.data, &op->body.size);
    blob_end(&fetch->in.blob);
    fetch->in.active = false;
    fetch->got[index] = true;
    s->folder = f;
    s->item = *item;
    item->keywords = NULL;
    f->fetching--;
    f->storing++;
    hub_submit(f->account->hub, op, body_stored, s);
}

static unsigned index_of(const struct fetch *fetch, uint32_t uid)
{
    for (unsigned i = 0; i < fetch->count; i++)
        if (fetch->items[i].uid == uid)
            return i;
    return UINT32_MAX;
}

static bool assembles(const struct fetch *fetch)
{
    return fetch->form == SESSION_BODY_PARTIAL || fetch->form == SESSION_BODY_HEADER;
}

static void body_begin(void *context, uint32_t uid, uint64_t size_bytes, uint64_t origin)
{
    struct fetch *fetch = context;
    bool later_part = fetch->part_from > 0 || fetch->text_part;

    if (later_part) {
        /* A server that answers a part with something else would give a body that never was. */
        if (fetch->form == SESSION_BODY_PARTIAL && origin != fetch->part_from)
            fetch->in.broken = true;
        return;
    }
    incoming_start(fetch, uid, size_bytes);
}

static void body_bytes(void *context, struct slice bytes)
{
    struct fetch *fetch = context;

    fetch->part_got += bytes.size;
    incoming_add(fetch, bytes);
}

static void body_end(void *context, uint32_t uid, bool got_body, bool suspect)
{
    struct fetch *fetch = context;
    unsigned index = index_of(fetch, uid);

    fetch->answered = true;
    if (index == UINT32_MAX || fetch->got[index] || !got_body || suspect || !fetch->in.active ||
        fetch->in.broken || (fetch->in.uid && fetch->in.uid != uid)) {
        if (got_body || suspect)
            incoming_drop(fetch);
        return;
    }
    /* An empty body is no message: it vanished meanwhile, or the server could not (quirk B15). */
    if (fetch->in.got == 0 && !assembles(fetch)) {
        incoming_drop(fetch);
        return;
    }
    fetch->in.uid = uid;
    if (!assembles(fetch))
        incoming_finish(fetch, index);
}

static const struct session_body_events body_events = {
    .begin = body_begin,
    .bytes = body_bytes,
    .end = body_end,
};

static void message_ends(struct folder *f, struct folder_item *item, enum message_state state,
                         enum skip_reason reason)
{
    struct store_op *op = store_op_new(STORE_OP_END, f->record.user, f->record.folder);

    op->end.ends = mem_zero(1, sizeof *op->end.ends);
    op->end.count = 1;
    op->end.ends[0] = (struct store_end){ .uid = item->uid, .state = state, .reason = reason };
    folder_count_end(f, MESSAGE_FOUND, state, 0, 1);
    item_deinit(item);
    hub_submit_lazy(f->account->hub, op);
    settle_if_done(f);
}

static void message_fails(struct folder *f, struct folder_item *item, const struct err *err)
{
    struct account *account = f->account;

    account_failure(account, FAILURE_SOURCE, TROUBLE_FETCH, NULL, err, f, item->uid);
    account->bad_items++;
    message_ends(f, item, MESSAGE_FAILED, SKIP_NONE);
}

/* Was a message that nothing came for ever there? */
struct look {
    struct worker *worker;
    struct folder *folder;
    struct folder_item item;
    bool seen;
};

static void look_row(void *context, const struct imap_message_row *row)
{
    struct look *look = context;

    if (row->uid == look->item.uid)
        look->seen = true;
}

static void look_ended(void *context, const struct err *err)
{
    struct look *look = context;
    struct worker *w = look->worker;

    w->inflight--;
    look->folder->fetching--;
    if (!err && !look->seen) {
        message_ends(look->folder, &look->item, MESSAGE_SKIPPED, SKIP_VANISHED);
    } else {
        queue_push_front(&look->folder->wanted, &look->item);
    }
    free(look);
    if (!err || err->scope < ERR_SCOPE_SESSION)
        worker_idle(w);
}

static void look_for(struct worker *w, struct folder *f, struct folder_item *item)
{
    struct look *look = mem_zero(1, sizeof *look);
    char set[16];

    look->worker = w;
    look->folder = f;
    look->item = *item;
    snprintf(set, sizeof set, "%" PRIu32, item->uid);
    w->inflight++;
    session_fetch_rows(link_session(w->link), slice_cstr(set), SLICE(""), look_row, look_ended, look);
}

/* One message did not come: next rung, or its end. Counts as fetching on entry. */
static void try_again(struct worker *w, struct folder *f, struct folder_item *item, bool blamed,
                      bool answered, const struct err *err)
{
    struct err silent;

    if (blamed)
        item->tries++;
    if (!err && !answered && item->tries == 2 && link_is_ready(w->link)) {
        look_for(w, f, item);
        return;
    }
    f->fetching--;
    if (item->tries < LADDER_RUNGS) {
        queue_push_front(&f->wanted, item);
        return;
    }
    if (!err) {
        err_set(&silent, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_PROTOCOL, 0,
                "the server answers OK but sends no body, in every form of asking");
        err_doing(&silent, "UID FETCH %" PRIu32, item->uid);
        err = &silent;
    }
    message_fails(f, item, err);
}

static void fetch_next_part(struct fetch *fetch);

static void fetch_ended(void *context, const struct err *err)
{
    struct fetch *fetch = context;
    struct worker *w = fetch->worker;
    struct folder *f = fetch->folder;
    bool link_lost = err && err->scope >= ERR_SCOPE_SESSION;

    if (!err && assembles(fetch) && fetch->in.active && !fetch->in.broken) {
        bool more = fetch->form == SESSION_BODY_PARTIAL
                        ? fetch->part_got == PARTIAL_BYTES
                        : !fetch->text_part;

        /* More than was asked for: the server sent the whole message instead (quirk B16). */
        if (more) {
            fetch_next_part(fetch);
            return;
        }
        if (fetch->in.got > 0)
            incoming_finish(fetch, 0);
    }
    w->inflight--;
    for (unsigned i = fetch->count; i-- > 0;) {
        struct folder_item *item = &fetch->items[i];

        if (fetch->got[i])
            continue;
        /* When the connection broke, only the message in the middle of its literal is to blame. */
        try_again(w, f, item,
                  link_lost ? fetch->in.active && (fetch->in.uid == item->uid || fetch->count == 1)
                            : true,
                  fetch->answered, err);
    }
    incoming_drop(fetch);
    free(fetch);
    if (err && err->class == ERR_CLASS_THROTTLED)
        account_hold(f->account, SIDE_SOURCE, err->wait_ms);
    settle_if_done(f);
    if (!link_lost)
        worker_idle(w);
}

static void fetch_send(struct fetch *fetch)
{
    char text[1000];
    struct uidset set;

    /* Items are in ascending order, and so few that the text always holds them. */
    uidset_init(&set, text, sizeof text);
    for (unsigned i = 0; i < fetch->count; i++) {
        bool fits = uidset_add(&set, fetch->items[i].uid);

        assert(fits);
    }
    fetch->answered = false;
    session_fetch_bodies(link_session(fetch->worker->link), uidset_finish(&set),
                         fetch->text_part ? SESSION_BODY_TEXT : fetch->form, fetch->part_from,
                         fetch->form == SESSION_BODY_PARTIAL ? PARTIAL_BYTES : 0, &body_events,
                         fetch_ended, fetch);
}

static void fetch_next_part(struct fetch *fetch)
{
    if (fetch->form == SESSION_BODY_PARTIAL) {
        fetch->part_from += PARTIAL_BYTES;
        fetch->part_got = 0;
    } else {
        fetch->text_part = true;
    }
    fetch_send(fetch);
}

static int item_by_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct folder_item *)a)->uid, y = ((const struct folder_item *)b)->uid;

    return (x > y) - (x < y);
}

/* Asks for the next messages; false when there are none. */
static bool fetch_some(struct worker *w)
{
    struct folder *f = w->folder;
    struct fetch *fetch;
    struct folder_item item;
    uint64_t bytes = 0;

    if (f->wanted.count == 0) {
        struct err err;

        if (!queue_refill(&f->wanted, f, MESSAGE_FOUND, &err)) {
            hub_abort_run(f->account->hub, &err);
            return false;
        }
    }
    if (!queue_pop(&f->wanted, &item))
        return false;
    fetch = mem_zero(1, sizeof *fetch);
    fetch->worker = w;
    fetch->folder = f;
    fetch->form = ladder[item.tries];
    do {
        if (fetch->count && (item.tries || fetch->items[0].tries ||
                             bytes + item.listed_bytes > FETCH_BYTES_MAX)) {
            queue_push_front(&f->wanted, &item);
            break;
        }
        bytes += item.listed_bytes;
        fetch->items[fetch->count++] = item;
        f->fetching++;
    } while (fetch->count < FETCH_MESSAGES_MAX && queue_pop(&f->wanted, &item));
    qsort(fetch->items, fetch->count, sizeof *fetch->items, item_by_uid);
    w->inflight++;
    fetch_send(fetch);
    return true;
}

/* ---- listing ------------------------------------------------------------------------------- */

static void step_failed(struct worker *w, enum trouble_doing doing, const struct err *err)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;
    struct account *account = w->account;
    struct trouble_verdict verdict;

    p->step = STEP_FREE;
    w->busy = false;
    if (f->pull == PULL_LISTING)
        f->pull = PULL_UNLISTED;
    if (err->scope >= ERR_SCOPE_SESSION) {
        folder_release(w); /* the link ends; its account decides */
        return;
    }
    trouble_judge(doing, FAILURE_SOURCE, err, p->attempts++,
                  (unsigned)account->hub->settings->policy.transient_failure_limit, account->id,
                  &verdict);
    if (verdict.action == TROUBLE_HOLD || verdict.action == TROUBLE_FEWER) {
        account_hold(account, SIDE_SOURCE, verdict.wait_ms);
    } else if (verdict.action == TROUBLE_RETRY) {
        account_failure(account, FAILURE_SOURCE, doing, verdict.type, err, f, 0);
        loop_timer_set(account->hub->loop, &w->again, verdict.wait_ms, (void (*)(void *))pull_go, w);
        folder_release(w);
        return;
    } else {
        account_failure(account, FAILURE_SOURCE, doing, verdict.type, err, f, 0);
        f->pull = PULL_REFUSED;
        account_fail(account, verdict.type, true);
        p->attempts = 0;
    }
    folder_release(w);
    worker_idle(w);
}

static int row_by_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct message_record *)a)->uid,
             y = ((const struct message_record *)b)->uid;

    return (x > y) - (x < y);
}

static void list_row(void *context, const struct imap_message_row *row)
{
    struct worker *w = context;
    struct pull *p = w->work;
    struct account *account = w->account;
    struct message_record *m;

    if (row->uid < p->from || row->uid > p->to)
        return;
    if (p->row_count == p->row_room) {
        p->row_room = p->row_room ? p->row_room * 2 : 256;
        p->rows = mem_resize(p->rows, p->row_room, sizeof *p->rows);
    }
    m = &p->rows[p->row_count++];
    *m = (struct message_record){
        .uid = row->uid,
        .state = MESSAGE_FOUND,
        .flags = (uint8_t)(row->flags.system & 0x1f),
        .date_known = row->date.known,
        .zone_minutes = row->date.zone_minutes,
        .date_seconds = row->date.seconds,
        .listed_bytes = row->size_bytes,
    };
    /* An offset until the block stands still. */
    if (row->flags.keywords.size && buf_append(&p->words, row->flags.keywords)) {
        m->keywords.data = (const char *)(uintptr_t)(p->words.size - row->flags.keywords.size);
        m->keywords.size = row->flags.keywords.size;
    }
    m->reason = policy_judge(account->hub->settings, account->user, m);
    if (m->reason != SKIP_NONE)
        m->state = MESSAGE_SKIPPED;
}

static void note_row(void *context, const struct imap_message_row *row);
static void notes_ended(void *context, const struct err *err);

static void drop_window(struct pull *p)
{
    p->row_count = 0;
    buf_clear(&p->words);
    free(p->notes);
    p->notes = NULL;
}

/* Into the journal with the window; then the next, or the folder is listed. */
static void window_done(struct worker *w)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;
    struct account *account = w->account;
    struct hub *hub = account->hub;
    struct counters *c = &hub->counters;
    bool last = p->to == UINT32_MAX || p->to >= p->uidnext - 1;
    uint32_t next = last ? p->uidnext : p->to + 1, seen;
    struct store_op *op = store_op_new(STORE_OP_FOUND, f->record.user, f->record.folder);

    if (p->row_count && p->rows[p->row_count - 1].uid >= next)
        next = p->rows[p->row_count - 1].uid + 1;
    for (unsigned i = 0; i < p->row_count; i++) {
        struct message_record *m = &p->rows[i];

        f->record.tally.found++;
        f->record.tally.bytes_found += m->listed_bytes;
        count(&c->bytes_found, m->listed_bytes);
        if (m->state == MESSAGE_SKIPPED) {
            f->record.tally.skipped++;
            count(&c->skipped, 1);
            if (m->reason == SKIP_LARGER_THAN_LIMIT)
                account->large_items++;
        } else {
            f->record.tally.waiting++;
        }
    }
    count(&c->found, p->row_count);
    /* A folder of one window goes straight into the queue; others are read back page by page. */
    if (last && p->windows == 1 && p->row_count <= 1000 && !f->wanted.more) {
        for (unsigned i = 0; i < p->row_count; i++) {
            struct folder_item item;
            struct message_record m =
                p->rows[f->wanted.oldest_first ? i : p->row_count - 1 - i];

            if (m.state != MESSAGE_FOUND)
                continue;
            if (m.keywords.size)
                m.keywords.data = buf_slice(&p->words).data + (uintptr_t)m.keywords.data;
            item_of_record(&item, &m);
            queue_push_back(&f->wanted, &item);
        }
    }
    op->found.rows = p->rows;
    op->found.count = p->row_count;
    op->found.notes = p->notes;
    op->found.uidnext_listed = next;
    p->rows = NULL;
    p->notes = NULL;
    if (p->words.size) {
        op->text = slice_dup(buf_slice(&p->words));
        for (unsigned i = 0; i < op->found.count; i++)
            if (op->found.rows[i].keywords.size)
                op->found.rows[i].keywords.data =
                    op->text + (uintptr_t)op->found.rows[i].keywords.data;
    }
    p->listed += p->row_count;
    p->row_count = p->row_room = 0;
    buf_clear(&p->words);
    f->record.uidnext_listed = next;
    seen = op->found.count;
    hub_submit_lazy(hub, op);
    if (!last) {
        /* Aim at a few thousand rows a window, however sparse the UIDs are. */
        if (seen < WINDOW_ROWS_WANTED / 4 && p->width < UINT32_MAX / 8)
            p->width *= 4;
        else if (seen > WINDOW_ROWS_WANTED && p->width > WINDOW_UIDS)
            p->width /= 2;
        p->from = next;
        list_window(w);
        return;
    }
    p->step = STEP_FREE;
    w->busy = false;
    p->attempts = 0;
    f->pull = PULL_BODIES;
    f->record.status_uidnext = p->uidnext;
    f->record.status_messages = p->exists;
    f->record.status_modseq =
        f->has_source_status && (f->source_status.has & IMAP_STATUS_HIGHESTMODSEQ)
            ? f->source_status.highestmodseq
            : 0;
    if (f->wanted.count == 0 && f->record.tally.waiting > f->fetching + f->storing)
        folder_want_stored(f);
    /* Counting finds what a server hides: rows of a first listing against EXISTS. */
    if (p->expected_before == 0 && p->listed < p->exists) {
        char text[200];

        snprintf(text, sizeof text,
                 "the server says %" PRIu32 " messages but listed %" PRIu64 "; the folder may be "
                 "incomplete",
                 p->exists, p->listed);
        account_problem(account, f->record.folder, "HiddenMessages", text,
                        "run again later; if it stays, look at the folder in the source's webmail");
    }
    f->listed_now = true;
    folder_put(f);
    settle_if_done(f);
    worker_idle(w);
}

/* Subject and Message-ID of what is too large, for the report: some at a time. */
static void ask_notes(struct worker *w)
{
    struct pull *p = w->work;
    char text[1000];
    struct uidset set;
    bool any = false;

    uidset_init(&set, text, sizeof text);
    for (; p->noted < p->row_count; p->noted++) {
        if (p->rows[p->noted].reason != SKIP_LARGER_THAN_LIMIT)
            continue;
        if (!uidset_add(&set, p->rows[p->noted].uid))
            break;
        any = true;
    }
    if (!any) {
        window_done(w);
        return;
    }
    if (!p->notes)
        p->notes = mem_zero(p->row_count, sizeof *p->notes);
    session_fetch_rows(link_session(w->link), uidset_finish(&set),
                       SLICE("DATE SUBJECT MESSAGE-ID"), note_row, notes_ended, w);
}

static void note_row(void *context, const struct imap_message_row *row)
{
    struct worker *w = context;
    struct pull *p = w->work;
    struct message_record key = { .uid = row->uid }, *at;

    at = bsearch(&key, p->rows, p->row_count, sizeof key, row_by_uid);
    if (at)
        header_note(row->header, &p->notes[at - p->rows]);
}

/* A note is not worth a folder: what was not told stays empty. */
static void notes_ended(void *context, const struct err *err)
{
    struct worker *w = context;

    if (err && err->scope >= ERR_SCOPE_SESSION) {
        drop_window(w->work);
        step_failed(w, TROUBLE_FETCH, err);
        return;
    }
    ask_notes(w);
}

/* Rows came: in order, each once. */
static void window_ended(void *context, const struct err *err)
{
    struct worker *w = context;
    struct pull *p = w->work;
    unsigned kept = 0;

    if (err) {
        drop_window(p);
        step_failed(w, TROUBLE_FETCH, err);
        return;
    }
    if (p->row_count)
        qsort(p->rows, p->row_count, sizeof *p->rows, row_by_uid);
    for (unsigned i = 0; i < p->row_count; i++)
        if (kept == 0 || p->rows[i].uid != p->rows[kept - 1].uid)
            p->rows[kept++] = p->rows[i];
    p->row_count = kept;
    p->noted = 0;
    ask_notes(w);
}

static void list_window(struct worker *w)
{
    struct pull *p = w->work;
    char set[32];

    p->windows++;
    if (p->uidnext - p->from <= p->width) {
        p->to = UINT32_MAX;
        snprintf(set, sizeof set, "%" PRIu32 ":*", p->from);
    } else {
        p->to = p->from + p->width - 1;
        snprintf(set, sizeof set, "%" PRIu32 ":%" PRIu32, p->from, p->to);
    }
    session_fetch_rows(link_session(w->link), slice_cstr(set), SLICE(""), list_row, window_ended, w);
}

/* UIDNEXT was not told (quirk S02): the highest UID stands in for it. */
static void highest_row(void *context, const struct imap_message_row *row)
{
    struct worker *w = context;
    struct pull *p = w->work;

    if (row->uid >= p->uidnext && row->uid < UINT32_MAX)
        p->uidnext = row->uid + 1;
}

static void list_begin(struct worker *w);

static void highest_ended(void *context, const struct err *err)
{
    struct worker *w = context;
    struct pull *p = w->work;

    if (err) {
        step_failed(w, TROUBLE_FETCH, err);
        return;
    }
    if (p->uidnext == 0)
        p->uidnext = 1;
    list_begin(w);
}

static void listed_nothing(struct worker *w)
{
    struct pull *p = w->work;

    p->to = UINT32_MAX;
    p->row_count = 0;
    window_done(w);
}

static void list_begin(struct worker *w)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;
    uint64_t spread;

    p->from = f->record.uidnext_listed ? f->record.uidnext_listed : 1;
    p->expected_before = f->record.tally.found;
    p->listed = 0;
    p->windows = 0;
    if (p->exists == 0 || p->from >= p->uidnext) {
        if (p->uidnext < p->from)
            p->uidnext = p->from;
        listed_nothing(w);
        return;
    }
    spread = (uint64_t)(p->uidnext - p->from) / p->exists;
    spread = (spread ? spread : 1) * WINDOW_UIDS;
    p->width = spread > UINT32_MAX / 8 ? UINT32_MAX / 8 : (uint32_t)spread;
    list_window(w);
}

/* The folder is another than the journal knows: forget it, and look on the target before sending. */
static void start_anew(struct folder *f)
{
    struct hub *hub = f->account->hub;

    log_line(LOG_INFO, "folder.uidvalidity", "user=%s folder=%s was=%u",
             f->account->user->email_address, f->source_name, f->record.uidvalidity);
    hub_submit_lazy(hub, store_op_new(STORE_OP_FORGET, f->record.user, f->record.folder));
    queue_deinit(&f->wanted);
    queue_deinit(&f->ready);
    queue_init(&f->wanted, f);
    queue_init(&f->ready, f);
    f->record.tally = (struct tally){ 0 };
    f->record.uidnext_listed = 0;
    f->record.target_scanned = false;
    f->record.target_open = false;
    f->record.target_uid_floor = f->floor = 0;
    account_problem(f->account, f->record.folder, "UidValidityChanged",
                    "the source gave the folder new message numbers; it is read anew and what the "
                    "target already holds is recognised there",
                    "nothing to do");
}

static void selected(void *context, const struct imap_selected *s)
{
    struct worker *w = context;
    struct pull *p = w->work;

    p->exists = s->status.messages;
    p->uidnext = s->status.has & IMAP_STATUS_UIDNEXT ? s->status.uidnext : 0;
    p->uidvalidity = s->status.has & IMAP_STATUS_UIDVALIDITY ? s->status.uidvalidity : 0;
}

static void select_ended(void *context, const struct err *err)
{
    struct worker *w = context;
    struct pull *p = w->work;
    struct folder *f = w->folder;

    if (err) {
        step_failed(w, TROUBLE_SELECT, err);
        return;
    }
    w->selected = true;
    w->busy = false;
    p->step = STEP_FREE;
    if (f->record.uidvalidity && p->uidvalidity && f->record.uidvalidity != p->uidvalidity) {
        if (f->pull != PULL_LISTING) {
            /* It changed while others work on it: the next pass starts it anew. */
            folder_release(w);
            worker_idle(w);
            return;
        }
        start_anew(f);
    }
    if (f->pull != PULL_LISTING) {
        worker_idle(w);
        return;
    }
    f->record.uidvalidity = p->uidvalidity;
    w->busy = true;
    p->step = STEP_LISTING;
    if (p->uidnext == 0 && p->exists > 0)
        session_fetch_rows(link_session(w->link), SLICE("*"), SLICE(""), highest_row, highest_ended,
                           w);
    else
        list_begin(w);
}

static void select_folder(struct worker *w)
{
    struct pull *p = w->work;

    w->busy = true;
    p->step = STEP_SELECTING;
    if (w->folder->pull == PULL_UNLISTED)
        w->folder->pull = PULL_LISTING;
    session_select(link_session(w->link), w->folder->record.source_raw, true, selected, select_ended,
                   w);
}

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
    if (account_held(account, SIDE_SOURCE))
        return;
    if (w->folder && !has_bodies(w->folder)) {
        if (w->inflight)
            return;
        folder_release(w);
    }
    if (!w->folder) {
        w->folder = choose(account);
        if (!w->folder)
            return;
        w->folder->pullers++;
    }
    if (!w->selected) {
        select_folder(w);
        return;
    }
    while (w->inflight < FETCH_DEPTH && !hub->choked) {
        struct spool_fill fill;

        spool_fill(hub->spool, &fill);
        if (fill.high) {
            account_spool_high(account);
            return;
        }
        if (!fetch_some(w))
            break;
    }
    if (w->inflight == 0 && w->folder && !has_bodies(w->folder)) {
        folder_release(w);
        account_poke(account);
    }
}
