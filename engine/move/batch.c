#include "engine/move/batch.h"

#include "engine/move/account.h"
#include "engine/move/brake.h"
#include "engine/move/governor.h"
#include "engine/move/learnt.h"
#include "engine/move/tokens.h"
#include "engine/rules/sample.h"
#include "engine/rules/trouble.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/https.h"
#include "io/stream.h"
#include "io/team.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SAMPLE_EVERY_MS 5000
#define LIVE_EVERY_MS 2000
#define SLURM_MARGIN_S 300

struct batch {
    const struct settings *settings;
    struct spool *spool;
    struct writer *writer;
    struct governor *governor;
    struct brake *brake;
    _Atomic int left_alone; /* enum batch_end + 1 when a server is, else 0 */
    _Atomic bool day_over; /* of a user at least */
    struct https *https; /* for tokens; NULL when neither side uses OAuth */
    struct tls_role *tls[SIDE_COUNT];
    const struct batch_config *config;
    struct hub *hubs;
    unsigned loops;
    uint32_t *ids; /* journal ids of settings->users */
    _Atomic unsigned next_user, hubs_ready, hubs_running, users_ended;
    _Atomic unsigned synced, failed, stopped, connect_failed, login_failed;
    _Atomic unsigned half_done; /* of a run of one side: all that was asked for, and not Synced */
    bool told_stopping;
    uint64_t started_ms;
    int64_t slurm_end_s;
    uint64_t sampled_ms;
    struct tally earlier; /* what earlier runs reached */
    uint64_t live_ms;
    struct learnt learnt[SIDE_COUNT]; /* as last told; before that, as found */
    pthread_mutex_t show_lock;
    struct batch_show shows[TEAM_LOOPS_MAX][BATCH_SHOW_MAX];
    unsigned show_counts[TEAM_LOOPS_MAX];
    struct sample_live (*lives)[BATCH_LIVE_MAX]; /* by hub */
    unsigned live_counts[TEAM_LOOPS_MAX];
    pthread_mutex_t abort_lock;
    bool aborted;
    struct err abort_err;
};

/* Signal handlers know no batch: there is one a process. */
static _Atomic(const char *) stop_reason;

void batch_stop(const char *reason)
{
    const char *none = NULL;

    atomic_compare_exchange_strong(&stop_reason, &none, reason);
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

struct brake *batch_brake(struct batch *batch)
{
    return batch->brake;
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

bool batch_next_user(struct batch *batch, unsigned *index_r, uint32_t *id_r)
{
    unsigned index;

    if (batch_stopping(batch))
        return false;
    index = atomic_fetch_add(&batch->next_user, 1);
    if (index >= batch->settings->user_count)
        return false;
    *index_r = index;
    *id_r = batch->ids[index];
    return true;
}

bool batch_user_waits(const struct batch *batch)
{
    return atomic_load(&batch->next_user) < batch->settings->user_count;
}

unsigned batch_users_a_loop(const struct batch *batch)
{
    unsigned users = (unsigned)batch->settings->user_count;

    return users ? (users - 1) / batch->loops + 1 : 1;
}

void batch_user_ended(struct batch *batch, enum user_state state, const char *failure)
{
    atomic_fetch_add(&batch->users_ended, 1);
    if (state == USER_FAILED) {
        atomic_fetch_add(&batch->failed, 1);
        if (strcmp(failure, "ConnectFailed") == 0 || strcmp(failure, "TlsFailed") == 0)
            atomic_fetch_add(&batch->connect_failed, 1);
        if (trouble_is_login(failure))
            atomic_fetch_add(&batch->login_failed, 1);
    } else if (state == USER_STOPPED) {
        atomic_fetch_add(&batch->stopped, 1);
    } else if (state == USER_SYNCED || state == USER_INCREMENTAL_SYNCED) {
        atomic_fetch_add(&batch->synced, 1);
    } else {
        atomic_fetch_add(&batch->half_done, 1);
    }
}

void batch_show(struct batch *batch, unsigned hub, const struct batch_show *show, unsigned count,
                const struct sample_live *live, unsigned live_count)
{
    if (pthread_mutex_trylock(&batch->show_lock) != 0)
        return;
    memcpy(batch->shows[hub], show, count * sizeof *show);
    batch->show_counts[hub] = count;
    memcpy(batch->lives[hub], live, live_count * sizeof *live);
    batch->live_counts[hub] = live_count;
    pthread_mutex_unlock(&batch->show_lock);
}

/* ---- end of the team ----------------------------------------------------------------------- */

static void everything_stored(void *context, struct store_op *op, const struct err *err)
{
    struct batch *batch = context;

    (void)op;
    if (err)
        batch_abort(batch, err);
    for (unsigned i = 0; i < batch->loops; i++)
        loop_stop(batch->hubs[i].loop);
    writer_stop(batch->writer);
}

struct farewell {
    struct loop_message message;
    struct batch *batch;
};

static void last_hub_ended(struct loop_message *message)
{
    struct farewell *farewell = (struct farewell *)message;
    struct batch *batch = farewell->batch;

    free(farewell);
    governor_end(batch->governor);
    hub_submit(&batch->hubs[0], store_op_new(STORE_OP_FLUSH, 0, 0), everything_stored, batch);
}

void batch_hub_ended(struct batch *batch)
{
    struct farewell *farewell;

    if (atomic_fetch_sub(&batch->hubs_running, 1) != 1)
        return;
    farewell = mem_zero(1, sizeof *farewell);
    farewell->message.deliver = last_hub_ended;
    farewell->batch = batch;
    loop_post(batch->hubs[0].loop, &farewell->message);
}

/* ---- the team ------------------------------------------------------------------------------ */

struct start {
    struct loop_message message;
    struct hub *hub;
};

static void hub_starts(struct loop_message *message);

static void start_hub(struct hub *hub)
{
    struct start *start = mem_zero(1, sizeof *start);

    start->message.deliver = hub_starts;
    start->hub = hub;
    loop_post(hub->loop, &start->message);
}

static void hub_starts(struct loop_message *message)
{
    struct hub *hub = ((struct start *)message)->hub;
    struct batch *batch = hub->batch;

    free(message);
    /* The keeper of the permits first: the others send to it from their first step on. */
    if (hub->index == 0) {
        governor_begin(batch->governor, hub);
        for (unsigned i = 1; i < batch->loops; i++)
            start_hub(&batch->hubs[i]);
    }
    hub_begin(hub);
}

static void run_hub(struct batch *batch, struct hub *hub)
{
    struct err err;
    bool ok = loop_create(&hub->loop, &err) && reader_create(batch->spool, &hub->reader, &err);

    hub->kit = blob_kit_create(batch->spool);
    hub->tokens = tokens_create(hub);
    if (!ok) {
        batch_abort(batch, &err);
        hub->broken = true;
    }
    if (atomic_fetch_add(&batch->hubs_ready, 1) + 1 == batch->loops) {
        bool all = true;

        for (unsigned i = 0; i < batch->loops; i++)
            all &= !batch->hubs[i].broken;
        if (all) {
            start_hub(&batch->hubs[0]);
        } else {
            for (unsigned i = 0; i < batch->loops; i++)
                if (batch->hubs[i].loop)
                    loop_stop(batch->hubs[i].loop);
            writer_stop(batch->writer);
        }
    }
    if (hub->loop)
        loop_run(hub->loop);
    tokens_destroy(&hub->tokens);
    reader_destroy(&hub->reader);
    blob_kit_destroy(&hub->kit);
    loop_destroy(&hub->loop);
}

static void fill_view(struct batch *batch, struct batch_view *v)
{
    const struct tally *e = &batch->earlier;
    unsigned listing = 0;

    *v = (struct batch_view){
        .users = (unsigned)batch->settings->user_count,
        .found = e->found,
        .uploaded = e->uploaded,
        .present = e->present,
        .skipped = e->skipped,
        .failed_messages = e->failed,
        .bytes_found = e->bytes_found,
        .bytes_uploaded_before = e->bytes_uploaded,
    };
    for (unsigned i = 0; i < batch->loops; i++) {
        struct counters *c = &batch->hubs[i].counters;

        v->found += c->found;
        v->fetched += c->fetched;
        v->uploaded += c->uploaded;
        v->uploaded_now += c->uploaded;
        v->present += c->present;
        v->skipped += c->skipped;
        v->failed_messages += c->failed;
        v->bytes_found += c->bytes_found;
        v->bytes_fetched += c->bytes_fetched;
        v->bytes_uploaded += c->bytes_uploaded;
        v->throttled += c->throttled[SIDE_SOURCE] + c->throttled[SIDE_TARGET];
        v->reconnects += c->reconnects;
        v->folders += c->folders;
        v->folders_done += c->folders_done;
        listing += c->listing;
        v->source_links += c->links[SIDE_SOURCE];
        v->target_links += c->links[SIDE_TARGET];
        v->held += c->held;
        v->working += c->active;
    }
    v->synced = batch->synced;
    v->failed = batch->failed;
    v->queued = v->users - batch->users_ended - v->working;
    if (v->queued > v->users)
        v->queued = 0;
    v->pending = v->found - v->uploaded - v->present - v->skipped - v->failed_messages;
    v->found_final = v->queued == 0 && listing == 0;
    v->elapsed_ms = now_ms() - batch->started_ms;
    spool_fill(batch->spool, &v->fill);
    governor_view(batch->governor, &v->pace);
    pthread_mutex_lock(&batch->show_lock);
    for (unsigned i = 0; i < batch->loops; i++)
        for (unsigned k = 0; k < batch->show_counts[i] && v->show_count < BATCH_SHOW_MAX; k++)
            v->show[v->show_count++] = batch->shows[i][k];
    pthread_mutex_unlock(&batch->show_lock);
}

static void put_meta(struct batch *batch, const char *name, const char *value)
{
    writer_submit(batch->writer, store_op_meta_text(name, value));
}

static void sample(struct batch *batch, const struct batch_view *v)
{
    struct store_op *op = store_op_new(STORE_OP_SAMPLE, 0, 0);
    uint64_t *s = op->sample.values;

    op->sample.wall_ms = now_wall_ms();
    s[SAMPLE_MESSAGES_FETCHED] = v->fetched;
    s[SAMPLE_BYTES_FETCHED] = v->bytes_fetched;
    s[SAMPLE_MESSAGES_UPLOADED] = v->uploaded_now;
    s[SAMPLE_BYTES_UPLOADED] = v->bytes_uploaded;
    s[SAMPLE_SPOOL_HELD] = v->fill.held_bytes;
    s[SAMPLE_SPOOL_BUDGET] = v->fill.budget_bytes;
    s[SAMPLE_SOURCE_SESSIONS] = v->source_links;
    s[SAMPLE_TARGET_SESSIONS] = v->target_links;
    s[SAMPLE_USERS_WORKING] = v->working;
    s[SAMPLE_THROTTLE_ANSWERS] = v->throttled;
    s[SAMPLE_MAILBOXES_HELD] = v->held;
    s[SAMPLE_TENANT_RATE] = (uint64_t)(v->pace.rate * 1000);
    writer_submit(batch->writer, op);
}

/* For `status` beside this run. */
static void tell_live(struct batch *batch)
{
    struct buf out;

    buf_init(&out, SAMPLE_LIVE_BYTES);
    sample_live_begin(&out, now_wall_ms());
    pthread_mutex_lock(&batch->show_lock);
    for (unsigned i = 0; i < batch->loops; i++)
        for (unsigned k = 0; k < batch->live_counts[i]; k++)
            if (!sample_live_add(&out, &batch->lives[i][k]))
                break;
    pthread_mutex_unlock(&batch->show_lock);
    writer_submit(batch->writer, store_op_meta(SAMPLE_LIVE_NAME, slice_dup(buf_slice(&out)),
                                               buf_slice(&out).size));
    buf_deinit(&out);
}

/* For the next run, `status` and `report`. Thread 0, or the last one there is. */
static void tell_learnt(struct batch *batch)
{
    struct pace_view pace;
    char line[LEARNT_LINE_BYTES];

    governor_view(batch->governor, &pace);
    for (enum side side = SIDE_SOURCE; side < SIDE_COUNT; side++) {
        const struct settings_endpoint *endpoint = settings_endpoint(batch->settings, side);
        struct learnt *l = &batch->learnt[side];
        uint64_t now = now_ms();
        uint32_t links = 0;
        uint64_t replies = 0;

        if (!hub_uses(&batch->hubs[0], side))
            continue;
        for (unsigned i = 0; i < batch->loops; i++) {
            struct counters *c = &batch->hubs[i].counters;
            int64_t cut_ms = c->links_cut_ms[side];

            links += c->links_max[side];
            replies += c->throttled[side];
            if (cut_ms > l->connections_ms)
                l->connections_ms = cut_ms;
        }
        l->told_ms = now_wall_ms();
        l->connections = l->connections_ms && links < endpoint->connections ? links : 0;
        l->throttle_replies = replies;
        if (side == SIDE_TARGET) {
            l->phase = pace.phase;
            l->rate = pace.rate;
            l->rate_hat = pace.rate_hat;
            l->measured = pace.measured;
            l->cuts = pace.tenant_events;
            l->gate_ms = pace.gate_ms > now ? l->told_ms + (int64_t)(pace.gate_ms - now) : 0;
        }
        put_meta(batch, side == SIDE_SOURCE ? LEARNT_SOURCE : LEARNT_TARGET,
                 learnt_encode(l, line));
    }
}

static void check_clock(struct batch *batch)
{
    const struct settings *settings = batch->settings;
    time_t now = time(NULL);
    struct tm tm;

    if (batch->slurm_end_s && now >= batch->slurm_end_s - SLURM_MARGIN_S)
        batch_stop("the job's time limit");
    /* A plan says what nights will do, at any time of the day. */
    if (settings->mode == SETTINGS_MODE_PLAN)
        return;
    if (settings->time_limit_s && now_ms() - batch->started_ms >= settings->time_limit_s * 1000ull)
        batch_stop("time limit");
    if (localtime_r(&now, &tm) &&
        !settings_window_open(&settings->window, (unsigned)(tm.tm_hour * 60 + tm.tm_min)))
        batch_stop("window");
}

/* Thread 0, between commits. */
static void tick(void *context)
{
    struct batch *batch = context;
    struct batch_view view;

    check_clock(batch);
    if (batch_stopping(batch) && !batch->told_stopping) {
        batch->told_stopping = true;
        put_meta(batch, "batch.state", "Stopping");
    }
    fill_view(batch, &view);
    if (now_ms() - batch->live_ms >= LIVE_EVERY_MS) {
        batch->live_ms = now_ms();
        tell_live(batch);
        tell_learnt(batch);
    }
    if (now_ms() - batch->sampled_ms >= SAMPLE_EVERY_MS) {
        batch->sampled_ms = now_ms();
        sample(batch, &view);
    }
    if (batch->config->tick)
        batch->config->tick(batch->config->context, &view);
}

static void run_thread(void *context, unsigned thread)
{
    struct batch *batch = context;

    if (thread == 0)
        writer_run(batch->writer, tick, batch, batch->config->tick_ms);
    else
        run_hub(batch, &batch->hubs[thread - 1]);
}

/* ---- before and after ---------------------------------------------------------------------- */

static bool make_tls(struct batch *batch, enum side side, struct err *err_r)
{
    const struct settings_endpoint *e = settings_endpoint(batch->settings, side);
    struct tls_config config;

    if (e->tls.mode == SETTINGS_TLS_NONE)
        return true;
    settings_tls_config(&e->tls, &config);
    return tls_role_create(&config, &batch->tls[side], err_r);
}

static bool make_https(struct batch *batch, struct err *err_r)
{
    if (batch->settings->source.oauth.grant == SETTINGS_GRANT_NONE &&
        batch->settings->target.oauth.grant == SETTINGS_GRANT_NONE)
        return true;
    return https_create(&batch->https, err_r);
}

static bool add_earlier(void *context, const struct folder_record *f)
{
    struct batch *batch = context;

    tally_add(&batch->earlier, &f->tally);
    return true;
}

static bool register_users(struct batch *batch, struct err *err_r)
{
    size_t count = batch->settings->user_count;
    struct slice *addresses = mem_zero(count, sizeof *addresses);
    struct slice *names = mem_zero(count, sizeof *names);
    struct reader *reader = NULL;
    bool ok;

    for (size_t i = 0; i < count; i++) {
        addresses[i] = slice_cstr(batch->settings->users[i].email_address);
        names[i] = slice_cstr(batch->settings->users[i].user_name);
    }
    ok = spool_register_users(batch->spool, addresses, names, (unsigned)count, batch->ids, err_r) &&
         reader_create(batch->spool, &reader, err_r);
    for (size_t i = 0; ok && i < count; i++)
        ok = reader_folders(reader, batch->ids[i], add_earlier, batch, err_r);
    reader_destroy(&reader);
    free(addresses);
    free(names);
    return ok;
}

static void put_number(struct batch *batch, const char *name, int64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%lld", (long long)value);
    put_meta(batch, name, text);
}

static void sum_up(struct batch *batch, struct batch_did *did)
{
    for (unsigned i = 0; i < batch->loops; i++) {
        struct counters *c = &batch->hubs[i].counters;

        did->found += c->found;
        did->fetched += c->fetched;
        did->uploaded += c->uploaded;
        did->present += c->present;
        did->bytes_fetched += c->bytes_fetched;
        did->bytes_uploaded += c->bytes_uploaded;
    }
    did->elapsed_ms = now_ms() - batch->started_ms;
}

static void judge(struct batch *batch, struct batch_result *r)
{
    unsigned users = (unsigned)batch->settings->user_count;

    r->synced = batch->synced + batch->half_done;
    r->failed = batch->failed;
    r->stopped = batch->stopped + (users - batch->users_ended);
    r->stop_reason = atomic_load(&stop_reason);
    if (!r->stop_reason && r->stopped && batch->day_over)
        r->stop_reason = "bytes-per-day is used up";
    r->err = batch->abort_err;
    if (batch->aborted)
        r->end = BATCH_DISK;
    else if (batch->left_alone)
        r->end = (enum batch_end)(batch->left_alone - 1);
    else if (users > 0 && batch->connect_failed == users)
        r->end = BATCH_UNREACHABLE;
    else if (users > 0 && batch->login_failed == users)
        r->end = BATCH_REFUSED;
    else if (r->stop_reason || r->stopped)
        r->end = BATCH_STOPPED;
    else
        r->end = r->failed ? BATCH_WITH_FAILURES : BATCH_SYNCED;
}

static bool count_state(void *context, const struct user_record *user)
{
    unsigned *by_state = context;

    by_state[user->state]++;
    return true;
}

/* The batch is what its users are, also those that this run was not asked for. */
static const char *state_word(struct batch *batch, const struct batch_result *r)
{
    unsigned by_state[USER_STATE_COUNT] = { 0 }, all = 0, synced;
    struct reader *reader = NULL;
    struct err err;
    bool ok;

    if (r->end == BATCH_UNREACHABLE || r->end == BATCH_REFUSED || r->end == BATCH_DISK)
        return "Failed";
    ok = reader_create(batch->spool, &reader, &err) &&
         reader_users(reader, count_state, by_state, &err);
    reader_destroy(&reader);
    if (!ok)
        return "Failed";
    for (unsigned i = 0; i < USER_STATE_COUNT; i++)
        all += by_state[i];
    synced = by_state[USER_SYNCED] + by_state[USER_INCREMENTAL_SYNCED];
    if (synced == all)
        return "Synced";
    if (synced + by_state[USER_FAILED] == all)
        return "SyncedWithErrors";
    /* A look at what there is moves nothing. */
    if (by_state[USER_QUEUED] == all && batch->earlier.bytes_fetched + r->did.bytes_fetched == 0)
        return "Created";
    return "Stopped";
}

static void begin(struct batch *batch)
{
    const char *slurm_end = getenv("SLURM_JOB_END_TIME");
    uint64_t seconds;
    struct slice before;
    bool again;
    struct err err;

    batch->started_ms = now_ms();
    again = spool_meta_get(batch->spool, "batch.state", &before, &err) &&
            slice_equal(before, SLICE("Synced"));
    free((char *)before.data);
    if (slurm_end && slice_u64(slice_cstr(slurm_end), &seconds) && seconds < INT64_MAX)
        batch->slurm_end_s = (int64_t)seconds;
    put_meta(batch, "batch.name", batch->settings->batch_name);
    put_meta(batch, "batch.state", again ? "IncrementalSyncing" : "Syncing");
    put_number(batch, "batch.started_ms", now_wall_ms());
    put_number(batch, "batch.finished_ms", 0);
}

static unsigned share(unsigned total, unsigned parts, unsigned index)
{
    unsigned n = total / parts + (index < total % parts);

    return n ? n : 1;
}

static void limit_links(struct batch *batch, struct hub *hub, enum side side)
{
    const struct settings_endpoint *endpoint = settings_endpoint(batch->settings, side);
    uint32_t most = learnt_connections(&batch->learnt[side], learnt_server_of(endpoint),
                                       endpoint->connections, now_wall_ms());

    hub_limit_links(hub, side, share(endpoint->connections, batch->loops, hub->index),
                    share(most, batch->loops, hub->index));
}

/* What earlier runs learnt, if it was from these servers; one that cannot be read is none. */
static void take_learnt(struct batch *batch)
{
    for (enum side side = SIDE_SOURCE; side < SIDE_COUNT; side++) {
        const char *server = learnt_server_of(settings_endpoint(batch->settings, side));
        struct learnt *l = &batch->learnt[side], found = { .told_ms = 0 };
        struct slice value;
        struct err err;

        if (spool_meta_get(batch->spool, side == SIDE_SOURCE ? LEARNT_SOURCE : LEARNT_TARGET, &value,
                           &err) &&
            learnt_decode(value, &found) && slice_equal_nocase(slice_cstr(found.server), slice_cstr(server)))
            *l = found;
        snprintf(l->server, sizeof l->server, "%s", server);
        free((char *)value.data);
    }
}

static void init_hubs(struct batch *batch)
{
    const struct settings *settings = batch->settings;

    batch->hubs = mem_zero(batch->loops, sizeof *batch->hubs);
    batch->lives = mem_zero(batch->loops, sizeof *batch->lives);
    for (unsigned i = 0; i < batch->loops; i++) {
        struct hub *hub = &batch->hubs[i];

        hub->batch = batch;
        hub->index = i;
        hub->settings = settings;
        hub->writer = batch->writer;
        hub->spool = batch->spool;
        hub->https = batch->https;
        hub->previous_commit_ms = spool_last_commit_ms(batch->spool);
        for (enum side side = SIDE_SOURCE; side < SIDE_COUNT; side++) {
            hub->tls[side] = batch->tls[side];
            limit_links(batch, hub, side);
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
    if (make_tls(batch, SIDE_SOURCE, err_r) && make_tls(batch, SIDE_TARGET, err_r) &&
        make_https(batch, err_r) &&
        governor_create(settings, config->spool, &batch->governor, err_r)) {
        batch->writer = writer_create(config->spool);
        take_learnt(batch);
        init_hubs(batch);
        batch->brake = brake_create((const bool[]){ settings_admin_logs_in(&settings->source),
                                                    settings_admin_logs_in(&settings->target) });
        atomic_store(&batch->hubs_running, batch->loops);
        stream_resolver_start();
        ok = register_users(batch, err_r);
        if (ok) {
            begin(batch);
            ok = team_run(batch->loops, run_thread, batch, err_r);
        }
        stream_resolver_stop();
    }
    if (ok) {
        sum_up(batch, &result_r->did);
        judge(batch, result_r);
        if (!batch->aborted) {
            struct batch_view view;

            /* The team is gone; the writer applies these before it returns. */
            tell_learnt(batch);
            fill_view(batch, &view);
            sample(batch, &view);
            put_meta(batch, "batch.state", state_word(batch, result_r));
            put_number(batch, "batch.finished_ms", now_wall_ms());
            writer_stop(batch->writer);
            writer_run(batch->writer, NULL, NULL, 1000);
        }
    }
    writer_destroy(&batch->writer);
    governor_destroy(&batch->governor);
    brake_destroy(&batch->brake);
    https_destroy(&batch->https);
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        tls_role_destroy(&batch->tls[side]);
    pthread_mutex_destroy(&batch->show_lock);
    pthread_mutex_destroy(&batch->abort_lock);
    free(batch->hubs);
    free(batch->lives);
    free(batch->ids);
    free(batch);
    return ok;
}
