#include "engine/move/batch_private.h"

#include "engine/failure/trouble.h"
#include "engine/move/account.h"
#include "engine/move/bandwidth.h"
#include "engine/move/governor.h"
#include "engine/move/login_guard.h"
#include "engine/move/tokens.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SLURM_MARGIN_S 300

/* Signal handlers know no batch: there is one a process. */
static _Atomic(const char *) stop_reason;

const char batch_stop_window[] = "window", batch_stop_spool_full[] = "spool full",
           batch_stop_paused[] = "users are paused";

void batch_stop(const char *reason)
{
    const char *none = NULL;

    atomic_compare_exchange_strong(&stop_reason, &none, reason);
}

const char *batch_stop_reason(void)
{
    return atomic_load(&stop_reason);
}

bool batch_stopping(const struct batch *batch)
{
    (void)batch;
    return atomic_load(&stop_reason) != NULL;
}

struct governor *batch_governor(struct batch *batch)
{
    return batch->governor;
}

struct login_guard *batch_login_guard(struct batch *batch)
{
    return batch->login_guard;
}

void batch_day_over(struct batch *batch)
{
    atomic_store(&batch->day_over, true);
}

void batch_leave_server(struct batch *batch, enum batch_end end, const char *reason)
{
    atomic_store(&batch->left_alone, (int)end + 1);
    log_line(LOG_ERROR, "run.stop", "why=%s", reason);
    batch_stop(reason);
}

void batch_abort(struct batch *batch, const struct err *err)
{
    pthread_mutex_lock(&batch->abort_lock);
    if (!batch->aborted) {
        batch->aborted = true;
        batch->abort_err = *err;
        log_err(LOG_ERROR, "run.abort", err);
    }
    pthread_mutex_unlock(&batch->abort_lock);
    batch_stop("disk");
}

unsigned batch_users_a_loop(const struct batch *batch)
{
    unsigned users = (unsigned)batch->settings->user_count;

    return users ? (users - 1) / batch->loops + 1 : 1;
}

void batch_spread(const struct batch *batch, enum side side, struct spread_others *all_r)
{
    *all_r = (struct spread_others){ .links = 0 };
    for (unsigned i = 0; i < batch->loops; i++) {
        const struct counters *c = &batch->reactors[i].counters;

        all_r->links += atomic_load_explicit(&c->at_work[side], memory_order_relaxed);
        all_r->left += atomic_load_explicit(&c->left[side], memory_order_relaxed);
        all_r->unknown += atomic_load_explicit(&c->unknown[side], memory_order_relaxed);
    }
}

void batch_user_ended(struct batch *batch, enum user_state state, const char *failure)
{
    atomic_fetch_add(&batch->users_ended, 1);
    if (state == USER_FAILED) {
        batch_count_failure(batch, failure);
        atomic_fetch_add(&batch->failed, 1);
        if (strcmp(failure, "ConnectFailed") == 0 || strcmp(failure, "TlsFailed") == 0)
            atomic_fetch_add(&batch->connect_failed, 1);
        if (trouble_is_login(failure))
            atomic_fetch_add(&batch->login_failed, 1);
    } else if (state == USER_STOPPED) {
        atomic_fetch_add(&batch->stopped, 1);
    } else if (user_state_is_synced(state)) {
        atomic_fetch_add(&batch->doubted, state == USER_SYNCED_WITH_DOUBTS);
        atomic_fetch_add(&batch->synced, 1);
    } else {
        atomic_fetch_add(&batch->half_done, 1);
    }
}

void batch_user_looked_at(struct batch *batch, unsigned index, enum batch_look_end end, const char *type,
                          const struct err *err)
{
    struct batch_look *look = &batch->config->looks[index];

    look->end = end;
    snprintf(look->type, sizeof look->type, "%s", type);
    if (type[0])
        look->err = *err;
}

/* ---- end of the team ----------------------------------------------------------------------- */

static void everything_stored(void *context, struct store_op *op, const struct err *err)
{
    struct batch *batch = context;

    (void)op;
    if (err)
        batch_abort(batch, err);
    for (unsigned i = 0; i < batch->loops; i++)
        loop_stop(batch->reactors[i].loop);
    writer_stop(batch->writer);
}

struct farewell {
    struct loop_message message;
    struct batch *batch;
};

static void last_reactor_ended(struct loop_message *message)
{
    struct farewell *farewell = (struct farewell *)message;
    struct batch *batch = farewell->batch;

    free(farewell);
    governor_end(batch->governor);
    reactor_submit(&batch->reactors[0], store_op_new(STORE_OP_FLUSH, 0, 0), everything_stored, batch);
}

void batch_reactor_ended(struct batch *batch)
{
    struct farewell *farewell;

    if (atomic_fetch_sub(&batch->reactors_running, 1) != 1)
        return;
    farewell = mem_zero(1, sizeof *farewell);
    farewell->message.deliver = last_reactor_ended;
    farewell->batch = batch;
    loop_post(batch->reactors[0].loop, &farewell->message);
}

/* ---- the team ------------------------------------------------------------------------------ */

struct start {
    struct loop_message message;
    struct reactor *reactor;
};

static void reactor_starts(struct loop_message *message);

static void start_reactor(struct reactor *reactor)
{
    struct start *start = mem_zero(1, sizeof *start);

    start->message.deliver = reactor_starts;
    start->reactor = reactor;
    loop_post(reactor->loop, &start->message);
}

static void reactor_starts(struct loop_message *message)
{
    struct reactor *reactor = ((struct start *)message)->reactor;
    struct batch *batch = reactor->batch;

    free(message);
    /* The owner of the permits first: the others send to it from their first step on. */
    if (reactor->index == 0) {
        governor_begin(batch->governor, reactor);
        for (unsigned i = 1; i < batch->loops; i++)
            start_reactor(&batch->reactors[i]);
    }
    reactor_begin(reactor);
}

static void run_reactor(struct batch *batch, struct reactor *reactor)
{
    struct err err;
    bool ok = loop_create(&reactor->loop, &err) && reader_create(batch->spool, &reactor->reader, &err);

    reactor->kit = blob_kit_create(batch->spool);
    reactor->tokens = tokens_create(reactor);
    if (!ok) {
        batch_abort(batch, &err);
        reactor->broken = true;
    }
    if (atomic_fetch_add(&batch->reactors_ready, 1) + 1 == batch->loops) {
        bool all = true;

        for (unsigned i = 0; i < batch->loops; i++)
            all &= !batch->reactors[i].broken;
        if (all) {
            start_reactor(&batch->reactors[0]);
        } else {
            for (unsigned i = 0; i < batch->loops; i++)
                if (batch->reactors[i].loop)
                    loop_stop(batch->reactors[i].loop);
            writer_stop(batch->writer);
        }
    }
    if (reactor->loop)
        loop_run(reactor->loop);
    tokens_destroy(&reactor->tokens);
    reader_destroy(&reactor->reader);
    blob_kit_destroy(&reactor->kit);
    loop_destroy(&reactor->loop);
}

/* A plan: the batch stays what the last run made of it. */
bool batch_only_looks(const struct batch *batch)
{
    return batch->settings->mode == SETTINGS_MODE_PLAN;
}

static void check_clock(struct batch *batch)
{
    const struct settings *settings = batch->settings;
    time_t now = time(NULL);
    struct tm tm;

    if (batch->slurm_end_s && now >= batch->slurm_end_s - SLURM_MARGIN_S)
        batch_stop("the job's time limit");
    /* A plan says what nights will do, at any time of the day. */
    if (batch_only_looks(batch))
        return;
    if (settings->time_limit_s && now_ms() - batch->started_ms >= settings->time_limit_s * 1000ull)
        batch_stop("time limit");
    if (localtime_r(&now, &tm) && !settings_window_open(&settings->window, (unsigned)(tm.tm_hour * 60 + tm.tm_min)))
        batch_stop(batch_stop_window);
}

static void put_number(struct batch *batch, const char *name, int64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%lld", (long long)value);
    batch_put(batch, name, text);
}

/* The limit of this hour, for status. */
static void tell_bandwidth(struct batch *batch)
{
    uint64_t bandwidth = bandwidth_now(batch->house.bandwidth, now_ms());

    if (bandwidth == batch->bandwidth)
        return;
    batch->bandwidth = bandwidth;
    put_number(batch, "batch.bandwidth", (int64_t)bandwidth);
    log_line(LOG_INFO, "bandwidth.now", "bytes_per_s=%llu", (unsigned long long)bandwidth);
}

/* Thread 0, between commits. */
static void tick(void *context)
{
    struct batch *batch = context;
    struct batch_view view;

    check_clock(batch);
    tell_bandwidth(batch);
    batch_users_look(batch);
    if (batch_stopping(batch) && !batch->told_stopping && !batch_only_looks(batch)) {
        batch->told_stopping = true;
        batch_put(batch, "batch.state", "Stopping");
    }
    batch_look(batch, &view);
    batch_tell_sometimes(batch, &view);
    if (batch->config->tick)
        batch->config->tick(batch->config->context, &view);
}

bool batch_user_is_held(const struct batch *batch, unsigned index)
{
    return !batch->taken[index];
}

static void run_thread(void *context, unsigned thread)
{
    struct batch *batch = context;

    if (thread == 0)
        writer_run(batch->writer, tick, batch, batch->config->tick_ms);
    else
        run_reactor(batch, &batch->reactors[thread - 1]);
}

/* ---- before and after ---------------------------------------------------------------------- */

static struct batch_did did(const struct batch *batch, const struct batch_view *v)
{
    return (struct batch_did){
        /* Fewer where an excluded folder shrank. */
        .found = v->found > batch->earlier.found ? v->found - batch->earlier.found : 0,
        .fetched = v->fetched,
        .uploaded = v->uploaded_now,
        .present = v->present - batch->earlier.present,
        .bytes_fetched = v->bytes_fetched,
        .bytes_uploaded = v->bytes_uploaded,
        .elapsed_ms = v->elapsed_ms,
    };
}

/* Nobody got into one of the servers. */
static bool has_shut_door(const struct batch *batch)
{
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        if (reactor_uses(&batch->reactors[0], side) && batch->house.presence[side].came == 0)
            return true;
    return false;
}

static void judge(struct batch *batch, struct batch_result *r)
{
    unsigned users = (unsigned)batch->settings->user_count;

    r->synced = batch->synced + batch->half_done;
    r->doubted = batch->doubted;
    r->half_done = batch->half_done;
    r->failed = batch->failed;
    r->paused = batch_users_aside(batch, &r->dropped);
    r->stopped = batch->stopped + (users - batch->users_ended) - r->dropped;
    r->stop_reason = atomic_load(&stop_reason);
    if (!r->stop_reason && r->paused)
        r->stop_reason = batch_stop_paused;
    if (!r->stop_reason && r->stopped && batch->day_over)
        r->stop_reason = "bytes-per-day is used up";
    r->err = batch->abort_err;
    if (batch->aborted)
        r->end = BATCH_DISK;
    else if (batch->left_alone)
        r->end = (enum batch_end)(batch->left_alone - 1);
    else if (users > 0 && batch->connect_failed == users && has_shut_door(batch))
        r->end = BATCH_UNREACHABLE;
    else if (users > 0 && batch->login_failed == users && has_shut_door(batch))
        r->end = BATCH_REFUSED;
    else if (r->stop_reason || r->stopped)
        r->end = BATCH_STOPPED;
    else
        r->end = r->failed ? BATCH_WITH_FAILURES : r->doubted ? BATCH_WITH_DOUBTS : BATCH_SYNCED;
}

/* As the last command left the batch. */
static bool was(const struct batch *batch, const char *state)
{
    struct slice before = SLICE("");
    struct err err;
    bool is = spool_meta_get(batch->spool, "batch.state", &before, &err) && slice_equal(before, slice_cstr(state));

    free((char *)before.data);
    return is;
}

struct states {
    struct wishes wishes;
    unsigned by_state[USER_STATE_COUNT];
};

/* Whoever was dropped is not waited for. */
static bool count_state(void *context, const struct user_record *user)
{
    struct states *states = context;

    if (user_state_is_synced(user->state) || wishes_of(&states->wishes, user->address) != WISH_DROPPED)
        states->by_state[user->state]++;
    return true;
}

/* The batch is what its users are, also those that this run was not asked for. *moved_r: each of them is
 * synced, with doubts or without. */
static const char *state_word(struct batch *batch, const struct batch_result *r, bool *moved_r)
{
    struct states states = { 0 };
    const unsigned *by_state = states.by_state;
    unsigned all = 0, synced;
    struct reader *reader = NULL;
    struct err err;
    bool ok;

    *moved_r = false;
    if (r->end == BATCH_UNREACHABLE || r->end == BATCH_REFUSED || r->end == BATCH_DISK)
        return "Failed";
    ok = wishes_read(batch->settings->state_folder, &states.wishes, &err) &&
         reader_create(batch->spool, &reader, &err) && reader_users(reader, count_state, &states, &err);
    reader_destroy(&reader);
    wishes_free(&states.wishes);
    if (!ok)
        return "Failed";
    for (unsigned i = 0; i < USER_STATE_COUNT; i++)
        all += by_state[i];
    synced = by_state[USER_SYNCED] + by_state[USER_INCREMENTAL_SYNCED] + by_state[USER_SYNCED_WITH_DOUBTS];
    *moved_r = synced == all;
    if (*moved_r && by_state[USER_SYNCED_WITH_DOUBTS] == 0)
        return "Synced";
    if (synced + by_state[USER_FAILED] == all)
        return "SyncedWithErrors";
    /* A look at what there is moves nothing. */
    if (by_state[USER_QUEUED] == all && batch->earlier.bytes_fetched + r->did.bytes_fetched == 0)
        return "Created";
    return "Stopped";
}

static void tell_end(struct batch *batch, const struct batch_result *r)
{
    bool moved;

    if (!batch_only_looks(batch)) {
        batch_put(batch, "batch.state", state_word(batch, r, &moved));
        if (moved)
            batch_put_servers(batch);
        put_number(batch, "batch.finished_ms", now_wall_ms());
    } else if (was(batch, "")) {
        batch_put(batch, "batch.state", "Created");
    } else if (was(batch, "Synced") || was(batch, "SyncedWithErrors")) {
        /* Until it found more. */
        batch_put(batch, "batch.state", state_word(batch, &(struct batch_result){ 0 }, &moved));
    }
}

static void begin(struct batch *batch)
{
    const char *slurm_end = getenv("SLURM_JOB_END_TIME");
    uint64_t seconds;

    batch->started_ms = now_ms();
    if (slurm_end && slice_u64(slice_cstr(slurm_end), &seconds) && seconds < INT64_MAX)
        batch->slurm_end_s = (int64_t)seconds;
    batch_put(batch, "batch.name", batch->settings->batch_name);
    put_number(batch, "batch.bandwidth", 0); /* until the first tick */
    if (batch_only_looks(batch))
        return;
    batch_put(batch, "batch.state", was(batch, "Synced") ? "IncrementalSyncing" : "Syncing");
    put_number(batch, "batch.started_ms", now_wall_ms());
    put_number(batch, "batch.finished_ms", 0);
    batch_take_servers(batch);
}

static unsigned share(unsigned total, unsigned parts, unsigned index)
{
    unsigned n = total / parts + (index < total % parts);

    return n ? n : 1;
}

static void limit_links(struct batch *batch, struct reactor *reactor, enum side side)
{
    const struct settings_endpoint *endpoint = settings_endpoint(batch->settings, side);
    uint32_t most =
        limits_connections(&batch->learnt[side], limits_server_of(endpoint), endpoint->connections, now_wall_ms());

    reactor_limit_links(reactor, side, share(endpoint->connections, batch->loops, reactor->index),
                        share(most, batch->loops, reactor->index));
}

static void init_reactors(struct batch *batch)
{
    const struct settings *settings = batch->settings;

    batch->reactors = mem_zero(batch->loops, sizeof *batch->reactors);
    batch->lives = mem_zero(batch->loops, sizeof *batch->lives);
    for (unsigned i = 0; i < batch->loops; i++) {
        struct reactor *reactor = &batch->reactors[i];

        reactor->batch = batch;
        reactor->index = i;
        reactor->settings = settings;
        reactor->writer = batch->writer;
        reactor->spool = batch->spool;
        reactor->https = batch->house.https;
        reactor->presence = batch->house.presence;
        reactor->memory = batch->house.memory;
        reactor->bandwidth = batch->house.bandwidth;
        for (enum side side = SIDE_SOURCE; side < SIDE_COUNT; side++) {
            reactor->tls[side] = batch->house.tls[side];
            limit_links(batch, reactor, side);
        }
    }
}

bool batch_run(const struct batch_config *config, struct batch_result *result_r, struct err *err_r)
{
    struct batch *batch = mem_zero(1, sizeof *batch);
    const struct settings *settings = config->settings;
    bool ok = false;

    *result_r = (struct batch_result){ 0 };
    batch->settings = settings;
    trouble_set_first_wait(settings->policy.retry_wait_ms);
    batch->spool = config->spool;
    batch->config = config;
    batch->loops = config->loops;
    /* A limit below the number of loops is kept by having fewer loops. */
    if (batch->loops > settings->source.connections)
        batch->loops = settings->source.connections;
    if (batch->loops > settings->target.connections)
        batch->loops = settings->target.connections;
    if (batch->loops > settings->user_count)
        batch->loops = settings->user_count ? (unsigned)settings->user_count : 1;
    pthread_mutex_init(&batch->show_lock, NULL);
    pthread_mutex_init(&batch->abort_lock, NULL);
    batch->ids = mem_zero(settings->user_count, sizeof *batch->ids);
    batch->queue.order = mem_zero(settings->user_count, sizeof *batch->queue.order);
    batch->queue.begun = mem_zero(settings->user_count, sizeof *batch->queue.begun);
    batch->queue.wishes = mem_zero(settings->user_count, sizeof *batch->queue.wishes);
    pthread_mutex_init(&batch->queue.lock, NULL);
    batch->taken = mem_zero(settings->user_count, sizeof *batch->taken);
    if (visit_house_open(&batch->house, settings, err_r) &&
        governor_create(settings, config->spool, &batch->governor, err_r)) {
        batch->writer = writer_create(config->spool);
        batch_take_learnt(batch);
        init_reactors(batch);
        batch->login_guard = login_guard_create(
            (const bool[]){ settings_admin_logs_in(&settings->source), settings_admin_logs_in(&settings->target) });
        atomic_store(&batch->reactors_running, batch->loops);
        stream_resolver_start();
        ok = batch_users_open(batch, err_r) && governor_take(batch->governor, batch->taken, err_r);
        if (ok) {
            begin(batch);
            ok = team_run(batch->loops, run_thread, batch, err_r);
        }
        stream_resolver_stop();
    }
    if (ok) {
        struct batch_view view;

        batch_look(batch, &view);
        if (config->tick) /* what is shown last is how it ended */
            config->tick(config->context, &view);
        result_r->did = did(batch, &view);
        judge(batch, result_r);
        if (!batch->aborted) {
            /* The team is gone; the writer applies these before it returns. */
            batch_tell_all(batch, &view);
            tell_end(batch, result_r);
            writer_stop(batch->writer);
            writer_run(batch->writer, NULL, NULL, 1000);
        }
    }
    writer_destroy(&batch->writer);
    governor_destroy(&batch->governor);
    login_guard_destroy(&batch->login_guard);
    visit_house_close(&batch->house);
    pthread_mutex_destroy(&batch->show_lock);
    pthread_mutex_destroy(&batch->abort_lock);
    free(batch->reactors);
    free(batch->lives);
    free(batch->other_target);
    free(batch->ids);
    free(batch->queue.order);
    free(batch->queue.begun);
    free(batch->queue.wishes);
    pthread_mutex_destroy(&batch->queue.lock);
    free(batch->taken);
    free(batch);
    return ok;
}
