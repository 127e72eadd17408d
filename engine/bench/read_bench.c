#include "engine/bench/read_bench.h"

#include "engine/imap/uidset.h"
#include "engine/move/body_read.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* As a run asks (engine/move/pull_body.c). */
#define FETCH_DEPTH        4u
#define FETCH_MESSAGES_MAX 20u
#define FETCH_BYTES_MAX    (512u * 1024u)
#define TICK_MS            50u
#define LOGIN_LIMIT_MS     60000u

struct part;

struct message {
    uint32_t uid;
    uint64_t bytes;
};

/* One connection. */
struct drainer {
    struct part *part;
    const struct settings_user *user;
    struct visit *visit;
    uint64_t since_us; /* login or select began */
    bool ready_once;
    bool answered; /* it stands, or was turned away */
    char **folders;
    unsigned folder_count, folder_at;
    struct message *messages;
    unsigned count, room, next, inflight;
    struct quota_hold names, rows; /* of the folders and messages above */
    unsigned empty_rounds; /* folders in a row without mail */
    bool gone;
};

/* One FETCH under way. */
struct pull {
    struct drainer *drainer;
    uint64_t sent_us, began_us;
    bool first;
    uint32_t uids[FETCH_MESSAGES_MAX]; /* ascending; 0: it came */
    unsigned count;
};

struct part {
    struct read_bench *read_bench;
    unsigned index;
    struct loop *loop;
    struct visits *visits;
    struct drainer *drainers;
    unsigned count, open;
    struct loop_timer tick;
    struct read_bench_step step;
    uint64_t started_ms, counted_ms; /* counted: from when this part counts */
    bool counting, ending;
};

struct read_bench {
    const struct visit_house *house;
    unsigned seconds, loops;
    bool (*stop)(void);
    atomic_uint unanswered;     /* connections that neither stand nor were turned away */
    atomic_uint stand;          /* connections that stood at least once */
    _Atomic uint64_t stands_ms; /* from when on bodies count; 0: not yet */
    struct part *parts;
    pthread_mutex_t lock;
    bool failed;
    struct err err;
};

static uint64_t now_us(void)
{
    return now_ns() / 1000;
}

static void folder_next(struct drainer *d);

static void note_error(struct drainer *d, const struct err *err, const char *type)
{
    struct read_bench_step *s = &d->part->step;

    if (d->part->ending)
        return;
    s->errors++;
    s->err = *err;
    snprintf(s->type, sizeof s->type, "%s", type);
}

/* What is listed does not fit into memory-max: the connection is over, and a new one will not do better. */
static void note_memory(struct drainer *d, enum trouble_doing doing, const struct err *err)
{
    if (err && trouble_is_memory(err))
        note_error(d, err, trouble_type(doing, FAILURE_SOURCE, err));
}

/* A command failed: noted. True when the visit waits or ends because of it, as with a throttle answer;
 * else the drainer goes on with something else. */
static bool visit_hurt(struct drainer *d, enum trouble_doing doing, const struct err *err)
{
    note_error(d, err, trouble_type(doing, FAILURE_SOURCE, err));
    if (err->class != ERR_CLASS_THROTTLED)
        return false;
    visit_failed(d->visit, doing, err);
    return true;
}

static bool is_out(const struct drainer *d)
{
    return d->part->ending || !d->visit || !visit_is_ready(d->visit);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static void pull_some(struct drainer *d);

static void read_begin(void *context)
{
    struct pull *p = context;

    p->began_us = now_us();
    if (!p->first && p->drainer->part->counting) {
        p->first = true;
        hist_add(&p->drainer->part->step.first_byte, p->began_us - p->sent_us);
    }
}

static void body_begin(void *context, uint32_t uid, uint64_t size_bytes, uint64_t origin)
{
    (void)uid;
    (void)size_bytes;
    (void)origin;
    read_begin(context);
}

static void body_bytes(void *context, struct slice bytes)
{
    struct pull *p = context;

    if (p->drainer->part->counting)
        p->drainer->part->step.bytes += bytes.size;
}

static void came(struct pull *p)
{
    struct part *part = p->drainer->part;

    if (!part->counting)
        return;
    part->step.messages++;
    hist_add(&part->step.message, now_us() - p->began_us);
}

static void body_end(void *context, uint32_t uid, bool got_body, bool suspect)
{
    struct pull *p = context;

    if (!got_body || suspect || source_body_nil(visit_source(p->drainer->visit)))
        return;
    for (unsigned i = 0; i < p->count; i++)
        if (p->uids[i] == uid) {
            p->uids[i] = 0;
            came(p);
        }
}

static const struct session_body_events body_events = { body_begin, body_bytes, body_end };

static void pull_ended(void *context, const struct err *err);

static void read_ended(void *context, const struct err *err)
{
    struct pull *p = context;

    if (!err)
        came(p);
    /* One that is gone, or cannot be read, is no trouble with the server's speed. */
    pull_ended(p, err && err->class == ERR_CLASS_PERMANENT && err->scope == ERR_SCOPE_MESSAGE ? NULL : err);
}

static const struct body_read_events read_events = { read_begin, body_bytes, read_ended };

/* What did not come with others is asked for as a run asks: alone, in all forms. */
static void read_missing(struct pull *p)
{
    struct drainer *d = p->drainer;

    for (unsigned i = 0; i < p->count; i++) {
        struct body_read_ask ask = { .uid = p->uids[i], .tried = true };
        struct pull *one;

        if (!ask.uid)
            continue;
        one = mem_zero(1, sizeof *one);
        one->drainer = d;
        one->sent_us = now_us();
        d->inflight++;
        body_read_start(visit_source(d->visit), &ask, &read_events, one);
    }
}

static void pull_ended(void *context, const struct err *err)
{
    struct pull *p = context;
    struct drainer *d = p->drainer;

    if (!is_out(d) && (!err || err->class != ERR_CLASS_THROTTLED))
        read_missing(p);
    free(p);
    d->inflight--;
    if (is_out(d))
        return;
    if (err && visit_hurt(d, TROUBLE_FETCH, err))
        return;
    if (!err)
        visit_went_well(d->visit);
    pull_some(d);
}

static void pull_some(struct drainer *d)
{
    while (d->inflight < FETCH_DEPTH && d->next < d->count) {
        struct pull *p = mem_zero(1, sizeof *p);
        struct uidset set;
        uint64_t bytes = 0;
        unsigned taken = 0;
        char text[1000];

        p->drainer = d;
        uidset_init(&set, text, sizeof text);
        while (d->next < d->count && taken < FETCH_MESSAGES_MAX &&
               (taken == 0 || bytes + d->messages[d->next].bytes <= FETCH_BYTES_MAX) &&
               uidset_add(&set, d->messages[d->next].uid)) {
            p->uids[p->count++] = d->messages[d->next].uid;
            bytes += d->messages[d->next++].bytes;
            taken++;
        }
        p->sent_us = now_us();
        d->inflight++;
        source_bodies(visit_source(d->visit), uidset_finish(&set), SESSION_BODY_PEEK, 0, 0,
                             &body_events, pull_ended, p);
    }
    if (d->inflight == 0 && !is_out(d))
        folder_next(d);
}

/* ---- folders --------------------------------------------------------------------------------- */

static int by_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct message *)a)->uid, y = ((const struct message *)b)->uid;

    return (x > y) - (x < y);
}

static void row(void *context, const struct imap_message_row *r)
{
    struct drainer *d = context;

    if (d->count == d->room) {
        d->room = d->room ? d->room * 2 : 256;
        d->messages = mem_resize(d->messages, d->room, sizeof *d->messages);
    }
    d->messages[d->count++] = (struct message){ r->uid, r->size_bytes };
}

/* In ascending order, each message once: a server may send a row again, when its flags have changed for one. */
static void sort_rows(struct drainer *d)
{
    unsigned kept = 0;

    if (d->count == 0)
        return;
    qsort(d->messages, d->count, sizeof *d->messages, by_uid);
    for (unsigned i = 1; i < d->count; i++) {
        if (d->messages[i].uid != d->messages[kept].uid)
            d->messages[++kept] = d->messages[i];
        else if (d->messages[i].bytes > d->messages[kept].bytes)
            d->messages[kept] = d->messages[i];
    }
    d->count = kept + 1;
}

static void rows_ended(void *context, const struct err *err)
{
    struct drainer *d = context;

    note_memory(d, TROUBLE_FETCH, err);
    if (is_out(d))
        return;
    if (err && visit_hurt(d, TROUBLE_FETCH, err))
        return;
    sort_rows(d);
    /* As long as they were told, their FETCH counted them. */
    quota_hold(&d->rows, source_memory(visit_source(d->visit)), d->room * sizeof *d->messages);
    d->empty_rounds = d->count ? 0 : d->empty_rounds + 1;
    pull_some(d);
}

static void messages_drop(struct drainer *d)
{
    quota_let_go(&d->rows);
    free(d->messages);
    d->messages = NULL;
    d->room = d->count = d->next = 0;
}

static void selected(void *context, const struct imap_selected *told)
{
    struct drainer *d = context;

    messages_drop(d);
    d->empty_rounds += told->status.messages == 0;
}

static void select_ended(void *context, const struct err *err)
{
    struct drainer *d = context;

    if (is_out(d))
        return;
    if (err) {
        if (visit_hurt(d, TROUBLE_SELECT, err))
            return;
        d->empty_rounds++;
        folder_next(d);
        return;
    }
    hist_add(&d->part->step.select, now_us() - d->since_us);
    source_rows(visit_source(d->visit), SLICE("1:*"), SLICE(""), row, rows_ended, d);
}

/* Round and round: when mail ends, it begins again. */
static void folder_next(struct drainer *d)
{
    if (d->folder_count == 0 || d->empty_rounds > 2 * d->folder_count) {
        struct err none;

        err_set(&none, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0,
                "%s has no mail to read", d->user->email_address);
        note_error(d, &none, "NoMail");
        visit_end(d->visit);
        return;
    }
    d->folder_at = (d->folder_at + 1) % d->folder_count;
    d->since_us = now_us();
    d->count = d->next = 0;
    source_open(visit_source(d->visit), slice_cstr(d->folders[d->folder_at]), true, selected,
                   select_ended, d);
}

static void folders_drop(struct drainer *d)
{
    quota_let_go(&d->names);
    for (unsigned i = 0; i < d->folder_count; i++)
        free(d->folders[i]);
    free(d->folders);
    d->folders = NULL;
    d->folder_count = 0;
}

static void list_row(void *context, const struct imap_list_row *r)
{
    struct drainer *d = context;

    if (r->attributes & (IMAP_MAILBOX_NOSELECT | IMAP_MAILBOX_NONEXISTENT) || r->name.size == 0 ||
        d->folder_count == 10000)
        return;
    d->folders = mem_resize(d->folders, d->folder_count + 1u, sizeof *d->folders);
    d->folders[d->folder_count++] = slice_dup(r->name);
    quota_hold_more(&d->names, source_memory(visit_source(d->visit)), sizeof *d->folders + r->name.size + 1);
}

static void list_ended(void *context, const struct err *err)
{
    struct drainer *d = context;

    note_memory(d, TROUBLE_LIST, err);
    if (is_out(d))
        return;
    if (err) {
        note_error(d, err, trouble_type(TROUBLE_LIST, FAILURE_SOURCE, err));
        visit_failed(d->visit, TROUBLE_LIST, err);
        return;
    }
    /* Connections of one user do not all read the same folder at the same time. */
    d->folder_at = d->folder_count ? (unsigned)(d - d->part->drainers) % d->folder_count : 0;
    folder_next(d);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void answered(struct drainer *d)
{
    if (d->answered)
        return;
    d->answered = true;
    atomic_fetch_sub(&d->part->read_bench->unanswered, 1);
}

static void ready(void *context)
{
    struct drainer *d = context;
    struct part *part = d->part;

    if (!d->ready_once) {
        d->ready_once = true;
        part->step.connected++;
        hist_add(&part->step.login, now_us() - d->since_us);
        atomic_fetch_add(&part->read_bench->stand, 1);
    }
    answered(d);
    d->inflight = 0;
    folders_drop(d);
    source_list(visit_source(d->visit), SESSION_LIST_PLAIN, SLICE("*"), 0, list_row, NULL,
                 list_ended, d);
}

static void waits(void *context)
{
    answered(context);
}

static void over(void *context, const struct err *err, const char *type)
{
    struct drainer *d = context;
    struct part *part = d->part;

    answered(d);
    d->visit = NULL;
    folders_drop(d);
    messages_drop(d);
    if (err)
        note_error(d, err, type);
    if (--part->open == 0)
        loop_stop(part->loop);
}

static const struct visit_events events = { .ready = ready, .waits = waits, .over = over };

static void part_ends(struct part *part)
{
    part->ending = true;
    if (part->counting)
        part->step.seconds = (double)(loop_now_ms(part->loop) - part->counted_ms) / 1000;
    part->counting = false;
    for (unsigned i = 0; i < part->count; i++)
        if (part->drainers[i].visit)
            visit_end(part->drainers[i].visit);
}

/* When the step's time began; 0: not yet. A slow login is none of it, and no limit of the server's. */
static uint64_t counts_since(struct part *part, uint64_t now)
{
    struct read_bench *read_bench = part->read_bench;
    bool all = atomic_load(&read_bench->unanswered) == 0, late = now - part->started_ms >= LOGIN_LIMIT_MS;
    uint64_t none = 0;

    if (atomic_load(&read_bench->stand) > 0 && (all || late))
        atomic_compare_exchange_strong(&read_bench->stands_ms, &none, now);
    return atomic_load(&read_bench->stands_ms);
}

static void tick(void *context)
{
    struct part *part = context;
    uint64_t now = loop_now_ms(part->loop), since;

    loop_timer_set(part->loop, &part->tick, TICK_MS, tick, part);
    if (part->ending)
        return;
    since = counts_since(part, now);
    if (since && !part->counting) {
        part->counting = true;
        part->counted_ms = now;
    }
    if ((part->read_bench->stop && part->read_bench->stop()) ||
        (since ? now >= since + part->read_bench->seconds * 1000ull : now - part->started_ms >= LOGIN_LIMIT_MS))
        part_ends(part);
}

static void part_run(struct part *part)
{
    const struct settings *s = part->read_bench->house->settings;
    struct err err;

    if (!loop_create(&part->loop, &err)) {
        pthread_mutex_lock(&part->read_bench->lock);
        part->read_bench->failed = true;
        part->read_bench->err = err;
        pthread_mutex_unlock(&part->read_bench->lock);
        return;
    }
    part->visits = visits_create(part->read_bench->house, part->loop);
    part->started_ms = loop_now_ms(part->loop);
    part->open = part->count;
    for (unsigned i = 0; i < part->count; i++) {
        struct drainer *d = &part->drainers[i];

        d->part = part;
        d->user = &s->users[(part->index + i * part->read_bench->loops) % s->user_count];
        d->since_us = now_us();
        d->visit = visit_start(part->visits, SIDE_SOURCE, d->user, &events, d);
    }
    loop_timer_set(part->loop, &part->tick, TICK_MS, tick, part);
    loop_run(part->loop);
    loop_timer_clear(part->loop, &part->tick);
    if (part->counting)
        part->step.seconds = (double)(loop_now_ms(part->loop) - part->counted_ms) / 1000;
    visits_destroy(&part->visits);
    loop_destroy(&part->loop);
    for (unsigned i = 0; i < part->count; i++) {
        folders_drop(&part->drainers[i]);
        messages_drop(&part->drainers[i]);
    }
}

/* Thread 0 has nothing to write. */
static void run_thread(void *context, unsigned thread)
{
    struct read_bench *read_bench = context;

    if (thread > 0)
        part_run(&read_bench->parts[thread - 1]);
}

static void step_merge(struct read_bench_step *to, const struct read_bench_step *from)
{
    to->connected += from->connected;
    to->messages += from->messages;
    to->bytes += from->bytes;
    to->errors += from->errors;
    if (from->seconds > to->seconds)
        to->seconds = from->seconds;
    hist_merge(&to->login, &from->login);
    hist_merge(&to->select, &from->select);
    hist_merge(&to->first_byte, &from->first_byte);
    hist_merge(&to->message, &from->message);
    if (from->errors) {
        to->err = from->err;
        memcpy(to->type, from->type, sizeof to->type);
    }
}

bool read_bench_step_run(const struct visit_house *house, unsigned connections, unsigned seconds,
                    unsigned loops, bool (*stop)(void), struct read_bench_step *step_r,
                    struct err *err_r)
{
    struct read_bench read_bench = {
        .house = house, .seconds = seconds, .stop = stop
    };
    bool ok;

    read_bench.loops = loops < connections ? loops : connections;
    atomic_init(&read_bench.unanswered, connections);
    pthread_mutex_init(&read_bench.lock, NULL);
    read_bench.parts = mem_zero(read_bench.loops, sizeof *read_bench.parts);
    for (unsigned i = 0; i < read_bench.loops; i++) {
        struct part *part = &read_bench.parts[i];

        part->read_bench = &read_bench;
        part->index = i;
        part->count = connections / read_bench.loops + (i < connections % read_bench.loops);
        part->drainers = mem_zero(part->count, sizeof *part->drainers);
    }
    memset(step_r, 0, sizeof *step_r);
    step_r->connections = connections;
    ok = team_run(read_bench.loops, run_thread, &read_bench, err_r);
    for (unsigned i = 0; i < read_bench.loops; i++) {
        step_merge(step_r, &read_bench.parts[i].step);
        free(read_bench.parts[i].drainers);
    }
    if (step_r->connected < connections && step_r->errors == 0) {
        step_r->errors = connections - step_r->connected;
        snprintf(step_r->type, sizeof step_r->type, "ConnectionLimit");
        err_set(&step_r->err, ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0,
                "%u of %u connections were let in", step_r->connected, connections);
    }
    free(read_bench.parts);
    pthread_mutex_destroy(&read_bench.lock);
    if (ok && read_bench.failed)
        *err_r = read_bench.err;
    return ok && !read_bench.failed;
}
