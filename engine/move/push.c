#include "engine/move/push.h"

#include "engine/move/governor.h"
#include "engine/move/header.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* One MULTIAPPEND: enough to spare the target most of its commits, little enough to send again. */
#define MULTI_ITEMS_MAX 64u
#define MULTI_BYTES_MAX (4ull << 20)
#define MULTI_ONE_BYTES_MAX (1ull << 20)
#define MULTI_DEPTH 2u
#define PLUS_DEPTH 32u
#define SCAN_WINDOW_UIDS 2000u
/* After a kill this long ago no server is still at work on what it had received. */
#define LONG_AGO_MS (10 * 60 * 1000)
#define APPEND_TRIES_MAX 5u

/* One APPEND on the wire. */
struct job {
    struct worker *worker;
    struct folder *folder;
    struct job *next; /* of the folder */
    struct folder_item items[MULTI_ITEMS_MAX];
    uint32_t uids[MULTI_ITEMS_MAX];
    unsigned count;
    bool has_uids;
    uint32_t highest_at_send;
    uint32_t uidvalidity;
    uint64_t bytes;
    uint64_t sent_ms;
    /* the body being read */
    struct body_reader *body;
    unsigned body_item;
    bool unreadable; /* body_item cannot be read from the spool */
    struct err read_err;
};

enum push_step { STEP_FREE, STEP_OPENING };

struct push {
    enum push_step step;
    unsigned attempts;
    /* scan */
    struct twins *scan;
    uint32_t from, to, uidnext, width;
    uint32_t floor;      /* the scan looks at UIDs from here */
    struct loop_timer later;
};

void push_begin(struct worker *worker)
{
    worker->work = mem_zero(1, sizeof(struct push));
}

static void folder_release(struct worker *w)
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
    if (worker->folder && p->step == STEP_OPENING && worker->folder->push == PUSH_OPENING)
        worker->folder->push = worker->folder->uncertain ? PUSH_SETTLING : PUSH_CLOSED;
    folder_release(worker);
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

static bool has_mail(const struct folder *f)
{
    return f->ready.count > 0 || f->ready.more;
}

static bool wants_folder(const struct folder *f)
{
    return f->target_raw && f->push == PUSH_CLOSED && f->pushers == 0 && source_agrees(f) &&
           (!f->exists_on_target || has_mail(f));
}

/* An APPEND without an answer: when all others have theirs, one worker looks. */
static bool wants_look(const struct folder *f)
{
    return f->push == PUSH_SETTLING && f->sending == 0 && f->pushers == 0;
}

static bool wants_worker(const struct folder *f)
{
    return wants_folder(f) || wants_look(f) || (f->push == PUSH_OPEN && has_mail(f));
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
    return f->exists_on_target && f->sending == 0 && f->record.tally.spooled == 0 &&
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

/* ---- opening a folder ---------------------------------------------------------------------- */

/* Twins that may be ours and are not paired yet keep the floor where it is. */
static bool twins_hold_floor(const struct folder *f)
{
    return f->ours_from != UINT32_MAX && f->twins && twins_count(f->twins) > 0;
}

static void open_create(struct worker *w);
static void open_ask(struct worker *w);
static void open_scan(struct worker *w);
static void open_durably(struct worker *w);

static void step_failed(struct worker *w, enum trouble_doing doing, const struct err *err)
{
    struct push *p = w->work;
    struct folder *f = w->folder;
    struct account *account = w->account;
    struct trouble_verdict verdict;

    p->step = STEP_FREE;
    w->busy = false;
    twins_destroy(&p->scan);
    f->push = f->uncertain && f->record.target_open ? PUSH_SETTLING : PUSH_CLOSED;
    folder_release(w);
    if (err->scope >= ERR_SCOPE_SESSION)
        return;
    trouble_judge(doing, FAILURE_TARGET, err, p->attempts++,
                  (unsigned)account->hub->settings->policy.transient_failure_limit, account->id,
                  &verdict);
    if (verdict.action == TROUBLE_HOLD || verdict.action == TROUBLE_FEWER) {
        governor_throttled(account, 0, err->wait_ms);
        account_hold(account, SIDE_TARGET, verdict.wait_ms);
    } else if (verdict.action == TROUBLE_RETRY) {
        account_failure(account, FAILURE_TARGET, doing, verdict.type, err, f, 0);
        account_hold(account, SIDE_TARGET, verdict.wait_ms);
    } else {
        account_failure(account, FAILURE_TARGET, doing, verdict.type, err, f, 0);
        f->push = PUSH_REFUSED;
        account_fail(account, verdict.type, true);
        p->attempts = 0;
    }
    worker_idle(w);
}

static void subscribed(void *context, const struct err *err)
{
    struct worker *w = context;

    /* Nobody loses mail by a missing subscription. */
    if (err && err->scope >= ERR_SCOPE_SESSION)
        step_failed(w, TROUBLE_CREATE, err);
    else
        open_ask(w);
}

static void created(void *context, const struct err *err)
{
    struct worker *w = context;
    struct folder *f = w->folder;

    if (err && !slice_equal(slice_cstr(err->resp_code), SLICE("ALREADYEXISTS")) &&
        slice_find_nocase(slice_cstr(err->server_text), SLICE("already exists")) == SIZE_MAX) {
        step_failed(w, TROUBLE_CREATE, err);
        return;
    }
    f->exists_on_target = true;
    if (err) {
        /* It was there all along: look at what it holds. */
        f->has_target_status = false;
    } else {
        log_line(LOG_DEBUG, "folder.created", "user=%s folder=%s", w->account->user->email_address,
                 f->target_name);
    }
    session_subscribe(link_session(w->link), f->record.target_raw, subscribed, w);
}

static void open_create(struct worker *w)
{
    struct folder *f = w->folder;

    if (f->exists_on_target) {
        open_ask(w);
        return;
    }
    session_create_mailbox(link_session(w->link), f->record.target_raw, created, w);
}

static void status_told(void *context, const struct imap_status *status)
{
    struct worker *w = context;

    w->folder->target_status = *status;
    w->folder->has_target_status = true;
}

static void select_told(void *context, const struct imap_selected *selected)
{
    struct worker *w = context;
    struct account *account = w->account;

    w->folder->target_status = selected->status;
    w->folder->has_target_status = true;
    account->knows_keywords = true;
    account->appends_keywords =
        selected->has_permanent && (selected->permanent.system & IMAP_FLAG_WILDCARD);
    free(account->permanent_keywords);
    account->permanent_keywords = slice_dup(selected->permanent.keywords);
}

static void asked(void *context, const struct err *err)
{
    struct worker *w = context;

    if (err)
        step_failed(w, TROUBLE_SELECT, err);
    else
        open_scan(w);
}

static void asked_by_select(void *context, const struct err *err)
{
    struct worker *w = context;

    if (err)
        step_failed(w, TROUBLE_SELECT, err);
    else
        session_unselect(link_session(w->link), asked, w);
}

/* Counts and UIDNEXT from just before we send. The first folder is SELECTed for its
 * PERMANENTFLAGS: may keywords be sent? Exchange keeps none. */
static void open_ask(struct worker *w)
{
    struct folder *f = w->folder;
    struct account *account = w->account;
    bool exchange = account->hub->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE;

    if (!exchange && !account->knows_keywords)
        session_select(link_session(w->link), f->record.target_raw, false, select_told,
                       asked_by_select, w);
    else if (f->has_target_status && (f->target_status.has & IMAP_STATUS_UIDNEXT))
        open_scan(w);
    else
        session_status(link_session(w->link), f->record.target_raw,
                       IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT | IMAP_STATUS_UIDVALIDITY,
                       status_told, asked, w);
}

static void scan_window(struct worker *w);

static void scan_row(void *context, const struct imap_message_row *row)
{
    struct worker *w = context;
    struct push *p = w->work;
    uint8_t key[TWIN_KEY_BYTES];

    /* `n:*` names the last message even when it is below n. */
    if (row->uid < p->from)
        return;
    twin_key(row->header, key);
    twins_add(p->scan, key, &row->date, row->size_bytes, row->uid);
}

/* Who waits for a store answer; the link may be gone, or another, when it comes. */
struct late {
    struct worker *worker;
    struct link *link;
};

static struct late *late_create(struct worker *w)
{
    struct late *late = mem_zero(1, sizeof *late);

    late->worker = w;
    late->link = w->link;
    w->account->told++;
    return late;
}

/* The worker when it still stands where it stood, else NULL. Frees late. */
static struct worker *late_arrives(struct late *late, const struct err *err)
{
    struct worker *w = late->worker;
    struct account *account = w->account;
    bool same = w->link && w->link == late->link && link_is_ready(w->link);

    free(late);
    account->told--;
    if (err)
        hub_abort_run(account->hub, err);
    account_poke(account);
    return same && !err ? w : NULL;
}

struct settled {
    struct folder *folder;
    struct twins *twins;
    uint32_t floor;
};

/* What the journal knows to be on the target is nobody's missing twin. */
static bool settle_one(void *context, const struct message_record *m)
{
    struct settled *s = context;
    uint32_t uid;

    if (m->target_uid) {
        if (m->target_uid >= s->floor)
            (void)twins_drop_uid(s->twins, m->target_uid);
    } else {
        struct imap_date date = { m->date_seconds, m->zone_minutes, m->date_known };

        (void)twins_take(s->twins, m->header_key, &date, m->body_bytes, false, &uid);
    }
    return true;
}

static void scan_again(void *context)
{
    struct worker *w = context;
    struct push *p = w->work;

    p->from = p->floor;
    p->width = SCAN_WINDOW_UIDS;
    scan_window(w);
}

static uint32_t settle_ms(const struct folder *f)
{
    return f->account->hub->settings->target.settle_ms;
}

static void scan_done(struct worker *w)
{
    struct push *p = w->work;
    struct folder *f = w->folder;
    struct hub *hub = w->account->hub;
    struct settled s = { f, p->scan, p->floor };
    struct err err;

    /* A slow server may still be storing: two looks must agree. */
    if (f->uncertain && settle_ms(f) > 0 &&
        loop_now_ms(hub->loop) < f->settle_from_ms + settle_ms(f) + LONG_AGO_MS) {
        if (!f->twins || !twins_same(f->twins, p->scan)) {
            twins_destroy(&f->twins);
            f->twins = p->scan;
            p->scan = twins_create();
            loop_timer_set(hub->loop, &p->later, settle_ms(f) / 2 + 1, scan_again, w);
            return;
        }
    }
    twins_destroy(&f->twins);
    f->twins = p->scan;
    p->scan = NULL;
    if (f->record.target_open &&
        !reader_messages(hub->reader, f->record.user, f->record.folder,
                         1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT, 0, false, 0, settle_one,
                         &s, &err)) {
        hub_abort_run(hub, &err);
        return;
    }
    f->ours_from = f->record.target_open && !f->target_moved ? f->floor : UINT32_MAX;
    log_line(LOG_DEBUG, "folder.scanned", "user=%s folder=%s floor=%u candidates=%zu",
             w->account->user->email_address, f->target_name, p->floor, twins_count(f->twins));
    open_durably(w);
}

static void scan_flushed(void *context, struct store_op *op, const struct err *err)
{
    struct worker *w = late_arrives(context, err);

    (void)op;
    if (w)
        scan_done(w);
}

static void scan_ended(void *context, const struct err *err)
{
    struct worker *w = context;
    struct push *p = w->work;
    struct store_op *op;

    if (err) {
        step_failed(w, TROUBLE_FETCH, err);
        return;
    }
    if (p->to != UINT32_MAX) {
        p->from = p->to + 1;
        scan_window(w);
        return;
    }
    /* Everything answered so far must be in the journal before it is compared. */
    op = store_op_new(STORE_OP_FLUSH, 0, 0);
    hub_submit(w->account->hub, op, scan_flushed, late_create(w));
}

static void scan_window(struct worker *w)
{
    struct push *p = w->work;
    char set[32];

    if (p->uidnext == 0 || p->uidnext - p->from <= p->width || p->from >= p->uidnext) {
        p->to = UINT32_MAX;
        snprintf(set, sizeof set, "%" PRIu32 ":*", p->from);
    } else {
        p->to = p->from + p->width - 1;
        snprintf(set, sizeof set, "%" PRIu32 ":%" PRIu32, p->from, p->to);
    }
    session_fetch_rows(link_session(w->link), slice_cstr(set), SLICE("MESSAGE-ID DATE FROM SUBJECT"),
                       scan_row, scan_ended, w);
}

static void scan_selected(void *context, const struct imap_selected *selected)
{
    struct worker *w = context;
    struct push *p = w->work;

    w->folder->target_status = selected->status;
    p->uidnext = selected->status.has & IMAP_STATUS_UIDNEXT ? selected->status.uidnext : 0;
}

static void scan_examined(void *context, const struct err *err)
{
    struct worker *w = context;
    struct push *p = w->work;
    struct folder *f = w->folder;

    if (err) {
        step_failed(w, TROUBLE_SELECT, err);
        return;
    }
    f->target_moved = f->record.target_uidvalidity &&
                      (f->target_status.has & IMAP_STATUS_UIDVALIDITY) &&
                      f->target_status.uidvalidity != f->record.target_uidvalidity;
    p->floor = f->record.target_open && f->record.target_scanned && !f->target_moved && f->floor
                   ? f->floor
                   : 1;
    twins_destroy(&p->scan);
    p->scan = twins_create();
    p->from = p->floor;
    p->width = SCAN_WINDOW_UIDS;
    if (f->target_status.messages == 0) {
        p->to = UINT32_MAX;
        scan_ended(w, NULL);
        return;
    }
    scan_window(w);
}

static void scan_begin(void *context)
{
    struct worker *w = context;

    session_select(link_session(w->link), w->folder->record.target_raw, true, scan_selected,
                   scan_examined, w);
}

/* Is a look at what the folder holds needed before anything is sent? */
static void open_scan(struct worker *w)
{
    struct push *p = w->work;
    struct folder *f = w->folder;
    bool foreign = !f->record.target_scanned && f->target_status.messages > 0;
    bool moved = f->record.target_open && (f->target_status.has & IMAP_STATUS_UIDVALIDITY) &&
                 f->record.target_uidvalidity &&
                 f->target_status.uidvalidity != f->record.target_uidvalidity &&
                 f->target_status.messages > 0;
    uint64_t now = loop_now_ms(w->account->hub->loop);
    uint64_t wait = 0;

    if (!foreign && !moved && !f->uncertain) {
        open_durably(w);
        return;
    }
    if (f->uncertain) {
        uint64_t until = f->settle_from_ms + settle_ms(f);

        wait = until > now ? until - now : 0;
    }
    if (wait)
        loop_timer_set(w->account->hub->loop, &p->later, wait, scan_begin, w);
    else
        scan_begin(w);
}

static void opened(void *context, struct store_op *op, const struct err *err)
{
    struct worker *w = late_arrives(context, err);
    struct push *p;

    (void)op;
    if (!w)
        return;
    p = w->work;
    w->folder->push = PUSH_OPEN;
    w->folder->uncertain = false;
    w->folder->uids_told = true;
    p->step = STEP_FREE;
    p->attempts = 0;
    w->busy = false;
    worker_idle(w);
}

/* The intent is durable before the first byte of an APPEND: after a crash, whatever the folder holds
 * from the floor on and no journal entry claims, may be ours. */
static void open_durably(struct worker *w)
{
    struct push *p = w->work;
    struct folder *f = w->folder;
    struct hub *hub = w->account->hub;
    struct store_op *op;
    uint32_t uidnext = f->target_status.has & IMAP_STATUS_UIDNEXT && f->target_status.uidnext
                           ? f->target_status.uidnext
                           : 1;

    f->counted_before = (f->target_status.has & IMAP_STATUS_MESSAGES) != 0;
    f->target_before = f->target_status.messages;
    f->uploaded_now = 0;
    /* A folder with nothing to send was made; that was all. */
    if (!has_mail(f)) {
        f->push = PUSH_CLOSED;
        f->uncertain = false;
        p->step = STEP_FREE;
        w->busy = false;
        folder_release(w);
        worker_idle(w);
        account_poke(w->account);
        return;
    }
    if (!twins_hold_floor(f))
        f->floor = uidnext;
    f->highest_seen = uidnext - 1;
    f->record.target_open = true;
    /* What a folder held before us is paired message by message: until all are, a run that is
     * killed must look at everything again. */
    if (f->target_status.messages == 0)
        f->record.target_scanned = true;
    f->record.target_uidvalidity = f->target_status.uidvalidity;
    f->record.target_uid_floor = f->floor;
    f->record.target_highest_seen = f->highest_seen;
    op = store_op_new(STORE_OP_OPEN, f->record.user, f->record.folder);
    op->open.uidvalidity = f->record.target_uidvalidity;
    op->open.floor = f->floor;
    op->open.highest_seen = f->highest_seen;
    op->open.scanned = f->record.target_scanned;
    hub_submit(hub, op, opened, late_create(w));
}

static void open_begin(struct worker *w)
{
    struct push *p = w->work;
    struct folder *f = w->folder;

    w->busy = true;
    p->step = STEP_OPENING;
    if (f->uncertain) {
        f->has_target_status = false;
        /* A run that ended without closing the folder, killed or its host gone: what it had sent
         * may still be on its way into the target. */
        if (f->settle_from_ms == 0) {
            struct hub *hub = w->account->hub;
            int64_t age = now_wall_ms() - hub->previous_commit_ms;
            uint64_t now = loop_now_ms(hub->loop);

            f->settle_from_ms = age < 0 || (uint64_t)age >= now ? 1 : now - (uint64_t)age;
        }
    }
    f->push = PUSH_OPENING;
    open_create(w);
}

/* ---- sending ------------------------------------------------------------------------------- */

static void job_free(struct job *job)
{
    body_close(&job->body);
    for (unsigned i = 0; i < job->count; i++)
        item_deinit(&job->items[i]);
    free(job);
}

static void ended_told(void *context, struct store_op *op, const struct err *err)
{
    struct folder *f = context;
    struct account *account = f->account;

    account->told--;
    if (err)
        hub_abort_run(account->hub, err);
    else
        for (unsigned i = 0; i < op->end.count; i++)
            queue_forget(&f->ready, op->end.ends[i].uid);
    account_poke(account);
}

/* Below this UID nothing on the target can be an APPEND of ours that still waits for its answer. */
static uint32_t floor_now(const struct folder *f)
{
    uint32_t lowest = f->highest_seen;

    if (!f->uids_told || twins_hold_floor(f))
        return 0;
    for (const struct job *job = f->jobs; job; job = job->next)
        if (job->highest_at_send < lowest)
            lowest = job->highest_at_send;
    return lowest + 1;
}

static void items_end(struct folder *f, struct folder_item *items, const uint32_t *uids,
                      unsigned count, enum message_state state)
{
    struct store_op *op = store_op_new(STORE_OP_END, f->record.user, f->record.folder);
    uint64_t bytes = 0;
    uint32_t floor = floor_now(f);

    op->end.ends = mem_zero(count, sizeof *op->end.ends);
    op->end.count = count;
    for (unsigned i = 0; i < count; i++) {
        op->end.ends[i].uid = items[i].uid;
        op->end.ends[i].state = state;
        op->end.ends[i].target_uid = uids ? uids[i] : 0;
        bytes += items[i].body_bytes;
    }
    if (floor > f->floor) {
        f->floor = f->record.target_uid_floor = floor;
        f->record.target_highest_seen = f->highest_seen;
        op->end.floor = floor;
        op->end.highest_seen = f->highest_seen;
    }
    folder_count_end(f, MESSAGE_SPOOLED, state, state == MESSAGE_UPLOADED ? bytes : 0, count);
    f->account->told++;
    hub_submit(f->account->hub, op, ended_told, f);
}

static size_t body_pull(void *context, unsigned item, char *out, size_t cap)
{
    struct job *job = context;
    struct hub *hub = job->worker->account->hub;
    size_t got = 0;

    if (job->body && job->body_item != item)
        body_close(&job->body);
    if (!job->body) {
        job->body_item = item;
        if (!body_open(hub->reader, job->items[item].body, job->items[item].body_bytes, &job->body,
                       &job->read_err)) {
            job->unreadable = true;
            return 0;
        }
    }
    if (!body_read(job->body, out, cap, &got, &job->read_err)) {
        job->unreadable = true;
        return 0;
    }
    if (got == 0) {
        job->unreadable = true;
        err_set(&job->read_err, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_STORE, 0,
                "the body in the spool is shorter than recorded");
    }
    return got;
}

static void append_uids(void *context, uint32_t uidvalidity, const uint32_t *uids, unsigned count)
{
    struct job *job = context;

    if (count == job->count) {
        memcpy(job->uids, uids, count * sizeof *uids);
        job->has_uids = true;
        job->uidvalidity = uidvalidity;
    }
}

static void job_unlink(struct job *job)
{
    struct job **at = &job->folder->jobs;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
}

/* Back to the front of the queue, oldest last, so that order stays. */
static void job_requeue(struct job *job, bool again)
{
    for (unsigned i = job->count; i-- > 0;) {
        if (again && job->items[i].tries < UINT8_MAX)
            job->items[i].tries++;
        queue_push_front(&job->folder->ready, &job->items[i]);
        job->items[i].keywords = NULL;
    }
}

static void message_fails(struct job *job, const struct err *err, enum trouble_doing doing)
{
    struct folder *f = job->folder;
    struct account *account = f->account;

    account_failure(account, doing == TROUBLE_SPOOL ? FAILURE_LOCAL : FAILURE_TARGET, doing, NULL,
                    err, f, job->items[0].uid);
    account->bad_items++;
    items_end(f, job->items, NULL, 1, MESSAGE_FAILED);
}

static void append_refused(struct job *job, const struct err *err)
{
    struct worker *w = job->worker;
    struct folder *f = job->folder;
    struct account *account = w->account;
    struct trouble_verdict verdict;

    trouble_judge(TROUBLE_APPEND, FAILURE_TARGET, err, job->items[0].tries,
                  (unsigned)account->hub->settings->policy.transient_failure_limit, account->id,
                  &verdict);
    if (strcmp(err->resp_code, "TRYCREATE") == 0 && job->items[0].tries < 2) {
        /* Somebody removed the folder. */
        f->exists_on_target = false;
        f->push = PUSH_CLOSED;
        job_requeue(job, true);
        return;
    }
    switch (verdict.action) {
    case TROUBLE_LOOK_FIRST:
        f->uncertain = true;
        f->settle_from_ms = loop_now_ms(account->hub->loop);
        if (f->push == PUSH_OPEN)
            f->push = PUSH_SETTLING;
        job_requeue(job, false);
        return;
    case TROUBLE_HOLD:
    case TROUBLE_FEWER:
        governor_throttled(account, 1, err->wait_ms);
        account_hold(account, SIDE_TARGET, verdict.wait_ms);
        job_requeue(job, false);
        return;
    case TROUBLE_STOP_ACCOUNT:
        account_failure(account, FAILURE_TARGET, TROUBLE_APPEND, verdict.type, err, f,
                        job->items[0].uid);
        job_requeue(job, false);
        account->target_dead = true;
        account_fail(account, verdict.type, true);
        return;
    case TROUBLE_SKIP_FOLDER:
        account_failure(account, FAILURE_TARGET, TROUBLE_APPEND, verdict.type, err, f, 0);
        f->push = PUSH_REFUSED;
        job_requeue(job, false);
        account_fail(account, verdict.type, true);
        return;
    case TROUBLE_SKIP_MESSAGE:
        if (job->count > 1)
            job_requeue(job, true); /* one of them: each by itself will tell */
        else
            message_fails(job, err, TROUBLE_APPEND);
        return;
    case TROUBLE_STOP_RUN:
        job_requeue(job, false);
        if (job->unreadable)
            return;
        hub_abort_run(account->hub, err);
        return;
    case TROUBLE_RETRY:
    case TROUBLE_OTHER_FORM:
        if (err->class == ERR_CLASS_CANCELED || err->scope >= ERR_SCOPE_SESSION) {
            job_requeue(job, false); /* it was never sent whole: nothing can have been stored */
        } else if (job->count == 1 && job->items[0].tries + 1u >= APPEND_TRIES_MAX) {
            message_fails(job, err, TROUBLE_APPEND);
        } else {
            account_failure(account, FAILURE_TARGET, TROUBLE_APPEND, verdict.type, err, f,
                            job->items[0].uid);
            account_hold(account, SIDE_TARGET, verdict.wait_ms);
            job_requeue(job, true);
        }
        return;
    }
}

static void append_ended(void *context, const struct err *err)
{
    struct job *job = context;
    struct worker *w = job->worker;
    struct folder *f = job->folder;
    bool link_lost = err && err->scope >= ERR_SCOPE_SESSION;

    job_unlink(job);
    w->inflight--;
    f->sending -= job->count;
    if (!err) {
        governor_answered(w->account, job->bytes, loop_now_ms(w->account->hub->loop) - job->sent_ms,
                          job->count);
        w->account->sides[SIDE_TARGET].failures = 0;
        if (job->has_uids) {
            for (unsigned i = 0; i < job->count; i++)
                if (job->uids[i] > f->highest_seen)
                    f->highest_seen = job->uids[i];
        } else {
            f->uids_told = false;
        }
        f->uploaded_now += job->count;
        items_end(f, job->items, job->has_uids ? job->uids : NULL, job->count, MESSAGE_UPLOADED);
    } else if (job->unreadable) {
        /* The body is lost, not the others of the command: those were never stored. */
        struct folder_item bad = job->items[job->body_item];

        job->items[job->body_item] = job->items[--job->count];
        job_requeue(job, false);
        job->count = 1;
        job->items[0] = bad;
        err_doing(&job->read_err, "reading the spooled body of UID %" PRIu32, bad.uid);
        message_fails(job, &job->read_err, TROUBLE_SPOOL);
        governor_gave_back(w->account, job->bytes);
    } else {
        if (err->class != ERR_CLASS_THROTTLED)
            governor_refused(w->account, job->bytes, link_lost);
        append_refused(job, err);
    }
    job_free(job);
    if (!link_lost)
        worker_idle(w);
    account_poke(f->account);
}

static const struct session_append_events append_events = {
    .pull = body_pull,
    .uids = append_uids,
};

/* Keywords that the target keeps; out must hold the item's own. */
static struct slice keywords_kept(const struct account *account, const char *keywords, char *out)
{
    struct slice rest = slice_cstr(keywords), word;
    size_t used = 0;

    if (account->appends_keywords)
        return rest;
    while (slice_split(&rest, ' ', &word)) {
        struct slice named = slice_cstr(account->permanent_keywords), one;

        while (word.size && slice_split(&named, ' ', &one))
            if (slice_equal_nocase(one, word)) {
                if (used)
                    out[used++] = ' ';
                memcpy(out + used, word.data, word.size);
                used += word.size;
                break;
            }
    }
    return slice_of(out, used);
}

static void job_send(struct job *job)
{
    struct session_append_item items[MULTI_ITEMS_MAX];
    struct worker *w = job->worker;
    struct folder *f = job->folder;
    char *words = NULL;
    size_t room = 0, used = 0;

    for (unsigned i = 0; i < job->count; i++)
        room += job->items[i].keywords ? strlen(job->items[i].keywords) + 1 : 0;
    words = mem_alloc(room);
    for (unsigned i = 0; i < job->count; i++) {
        const struct folder_item *item = &job->items[i];

        items[i] = (struct session_append_item){
            .flags.system = item->flags & 0x1f,
            .date = { item->date_seconds, item->zone_minutes, item->date_known },
            .size_bytes = item->body_bytes,
        };
        if (item->keywords) {
            items[i].flags.keywords = keywords_kept(w->account, item->keywords, words + used);
            used += strlen(item->keywords) + 1;
        }
        job->bytes += item->body_bytes;
    }
    job->next = f->jobs;
    f->jobs = job;
    job->highest_at_send = f->highest_seen;
    job->sent_ms = loop_now_ms(w->account->hub->loop);
    w->inflight++;
    f->sending += job->count;
    session_append(link_session(w->link), f->record.target_raw, items, job->count, &append_events,
                   append_ended, job);
    free(words);
}

/* The message may be there already: then it is not sent. */
static bool paired(struct folder *f, struct folder_item *item)
{
    struct imap_date date = { item->date_seconds, item->zone_minutes, item->date_known };
    bool exact = f->account->hub->settings->target.preset == SETTINGS_PRESET_IMAP;
    uint32_t uid;

    if (!f->twins || !twins_take(f->twins, item->header_key, &date, item->body_bytes, exact, &uid))
        return false;
    items_end(f, item, &uid, 1, uid >= f->ours_from ? MESSAGE_UPLOADED : MESSAGE_PRESENT);
    item_deinit(item);
    return true;
}

/* The next message to send; false when there is none now. */
static bool next_item(struct folder *f, struct folder_item *item_r)
{
    struct err err;

    for (;;) {
        if (f->ready.count == 0) {
            if (!f->ready.more)
                return false;
            if (!queue_refill(&f->ready, f, MESSAGE_SPOOLED, &err)) {
                hub_abort_run(f->account->hub, &err);
                return false;
            }
            if (f->ready.count == 0)
                continue;
        }
        if (!queue_pop(&f->ready, item_r))
            return false;
        if (!paired(f, item_r))
            return true;
    }
}

static bool send_some(struct worker *w)
{
    struct folder *f = w->folder;
    bool multi = caps_has(session_caps(link_session(w->link)), CAP_MULTIAPPEND) &&
                 w->account->hub->settings->target.preset == SETTINGS_PRESET_IMAP;
    struct folder_item item;
    struct job *job;
    uint64_t bytes = 0;

    if (!next_item(f, &item))
        return false;
    if (!governor_allows(w->account, item.body_bytes)) {
        queue_push_front(&f->ready, &item);
        return false;
    }
    job = mem_zero(1, sizeof *job);
    job->worker = w;
    job->folder = f;
    do {
        bool alone = !multi || item.tries || item.body_bytes > MULTI_ONE_BYTES_MAX;

        if (job->count && (alone || bytes + item.body_bytes > MULTI_BYTES_MAX)) {
            queue_push_front(&f->ready, &item);
            break;
        }
        bytes += item.body_bytes;
        job->items[job->count++] = item;
        if (alone)
            break;
    } while (job->count < MULTI_ITEMS_MAX && next_item(f, &item));
    job_send(job);
    return true;
}

static unsigned depth(struct worker *w)
{
    const struct settings_endpoint *target = &w->account->hub->settings->target;
    const struct caps *caps = session_caps(link_session(w->link));

    if (target->append_pipeline)
        return target->append_pipeline;
    if (target->preset == SETTINGS_PRESET_EXCHANGE_ONLINE)
        return 1;
    if (caps_has(caps, CAP_MULTIAPPEND))
        return MULTI_DEPTH;
    return caps_has(caps, CAP_LITERAL_PLUS) ? PLUS_DEPTH : 1;
}

void push_go(struct worker *w)
{
    struct account *account = w->account;

    if (!w->link || !link_is_ready(w->link) || w->busy || account->stopping)
        return;
    if (w->draining) {
        if (w->inflight == 0)
            link_finish(w->link);
        return;
    }
    if (account_held(account, SIDE_TARGET) || account->target_dead)
        return;
    for (;;) {
        struct folder *f = w->folder;

        if (f && (f->push != PUSH_OPEN || !has_mail(f))) {
            if (w->inflight)
                return;
            folder_release(w);
            f = NULL;
        }
        if (!f) {
            f = w->folder = choose(account);
            if (!f)
                return;
            f->pushers++;
            if (f->push != PUSH_OPEN) {
                open_begin(w);
                return;
            }
        }
        while (w->inflight < depth(w) && f->push == PUSH_OPEN)
            if (!send_some(w))
                break;
        if (has_mail(f) || w->inflight)
            return;
        folder_release(w);
        account_poke(account);
    }
}
