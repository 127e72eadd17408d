#include "engine/move/batch_private.h"

#include "engine/move/governor.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "store/reader.h"

#include <stdio.h>
#include <stdlib.h>

#define SAMPLE_EVERY_MS 5000
#define LIVE_EVERY_MS   2000

void batch_show(struct batch *batch, unsigned reactor, const struct batch_show *show, unsigned count,
                const struct sample_live *live, unsigned live_count)
{
    if (pthread_mutex_trylock(&batch->show_lock) != 0)
        return;
    memcpy(batch->shows[reactor], show, count * sizeof *show);
    batch->show_counts[reactor] = count;
    memcpy(batch->lives[reactor], live, live_count * sizeof *live);
    batch->live_counts[reactor] = live_count;
    pthread_mutex_unlock(&batch->show_lock);
}

void batch_count_failure(struct batch *batch, const char *type)
{
    unsigned i = 0;

    pthread_mutex_lock(&batch->show_lock);
    while (i < batch->failure_count && strcmp(batch->failures[i].type, type) != 0)
        i++;
    if (i == BATCH_FAILURES_MAX) {
        i--;
        snprintf(batch->failures[i].type, sizeof batch->failures[i].type, "other");
    } else if (i == batch->failure_count) {
        snprintf(batch->failures[batch->failure_count++].type, sizeof batch->failures[i].type, "%s", type);
    }
    batch->failures[i].users++;
    pthread_mutex_unlock(&batch->show_lock);
}

void batch_look(struct batch *batch, struct batch_view *v)
{
    const struct tally *e = &batch->earlier;
    uint64_t silent[SIDE_COUNT] = { UINT64_MAX, UINT64_MAX };
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
        struct counters *c = &batch->reactors[i].counters;

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
        for (unsigned side = 0; side < SIDE_COUNT; side++)
            if (c->silent_ms[side] < silent[side])
                silent[side] = c->silent_ms[side];
    }
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        v->silent_ms[side] = silent[side] == UINT64_MAX ? 0 : silent[side];
    v->synced = batch->synced;
    v->doubted = batch->doubted;
    v->failed = batch->failed;
    v->queued = v->users - batch->users_ended - v->working;
    if (v->queued > v->users)
        v->queued = 0;
    v->pending = v->found - v->uploaded - v->present - v->skipped - v->failed_messages;
    v->found_final = v->queued == 0 && listing == 0;
    v->stopping = batch_stop_reason();
    v->elapsed_ms = now_ms() - batch->started_ms;
    spool_fill(batch->spool, &v->fill);
    governor_view(batch->governor, &v->pace);
    pthread_mutex_lock(&batch->show_lock);
    memcpy(v->failures, batch->failures, sizeof v->failures);
    v->failure_count = batch->failure_count;
    /* Some of each reactor, where there is no room for all. */
    for (unsigned k = 0; v->working && k < BATCH_SHOW_MAX; k++)
        for (unsigned i = 0; i < batch->loops && v->show_count < BATCH_VIEW_SHOW_MAX; i++)
            if (k < batch->show_counts[i])
                v->show[v->show_count++] = batch->shows[i][k];
    pthread_mutex_unlock(&batch->show_lock);
}

void batch_put(struct batch *batch, const char *name, const char *value)
{
    writer_submit(batch->writer, store_op_meta_text(name, value));
}

/* A plan is no part of the course in which mail moved. */
static void sample(struct batch *batch, const struct batch_view *v)
{
    struct store_op *op;
    uint64_t *s;

    if (batch_only_looks(batch))
        return;
    op = store_op_new(STORE_OP_SAMPLE, 0, 0);
    s = op->sample.values;
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
    writer_submit(batch->writer, store_op_meta(SAMPLE_LIVE_NAME, slice_dup(buf_slice(&out)), buf_slice(&out).size));
    buf_deinit(&out);
}

/* For the next run, `status` and `report`. Thread 0, or the last one there is. */
static void tell_learnt(struct batch *batch)
{
    struct pace_view pace;
    char line[LIMITS_LINE_BYTES];

    governor_view(batch->governor, &pace);
    for (enum side side = SIDE_SOURCE; side < SIDE_COUNT; side++) {
        const struct settings_endpoint *endpoint = settings_endpoint(batch->settings, side);
        struct limits *l = &batch->learnt[side];
        uint64_t now = now_ms();
        uint32_t links = 0;
        uint64_t replies = 0;

        if (!reactor_uses(&batch->reactors[0], side))
            continue;
        for (unsigned i = 0; i < batch->loops; i++) {
            struct counters *c = &batch->reactors[i].counters;
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
        batch_put(batch, side == SIDE_SOURCE ? LIMITS_SOURCE : LIMITS_TARGET, limits_encode(l, line));
    }
}

void batch_tell_sometimes(struct batch *batch, const struct batch_view *view)
{
    if (now_ms() - batch->live_ms >= LIVE_EVERY_MS) {
        batch->live_ms = now_ms();
        tell_live(batch);
        tell_learnt(batch);
    }
    if (now_ms() - batch->sampled_ms >= SAMPLE_EVERY_MS) {
        batch->sampled_ms = now_ms();
        sample(batch, view);
    }
}

void batch_tell_all(struct batch *batch, const struct batch_view *view)
{
    tell_learnt(batch);
    sample(batch, view);
}

void batch_take_learnt(struct batch *batch)
{
    for (enum side side = SIDE_SOURCE; side < SIDE_COUNT; side++) {
        const char *server = limits_server_of(settings_endpoint(batch->settings, side));
        struct limits *l = &batch->learnt[side], found = { .told_ms = 0 };
        struct slice value;
        struct err err;

        if (spool_meta_get(batch->spool, side == SIDE_SOURCE ? LIMITS_SOURCE : LIMITS_TARGET, &value, &err) &&
            limits_decode(value, &found) && slice_equal_nocase(slice_cstr(found.server), slice_cstr(server)))
            *l = found;
        snprintf(l->server, sizeof l->server, "%s", server);
        free((char *)value.data);
    }
}

static const char *const server_names[SIDE_COUNT] = { "batch.source", "batch.target" };

char *batch_server_name(const struct settings *settings, enum side side)
{
    const struct settings_endpoint *e = settings_endpoint(settings, side);
    const char *server = limits_server_of(e);

    return e->oauth.tenant || e->disk ? mem_text(server) : mem_format("%s:%u", server, e->port);
}

struct holding {
    enum side side;
    uint32_t *users;
    size_t count;
    bool mail;
};

static bool add_user(void *context, const struct user_record *user)
{
    struct holding *h = context;

    h->users = mem_resize(h->users, h->count + 1, sizeof *h->users);
    h->users[h->count++] = user->id;
    return true;
}

static bool look_at_folder(void *context, const struct folder_record *f)
{
    struct holding *h = context;

    h->mail |= h->side == SIDE_SOURCE ? f->tally.found > 0 : f->tally.uploaded + f->tally.present > 0;
    return true;
}

/* Anything of that server; after a first run with a misspelt name there is not. */
static bool holds_mail_of(struct spool *spool, enum side side)
{
    struct holding h = { .side = side };
    struct reader *reader = NULL;
    struct err err;
    bool ok = reader_create(spool, &reader, &err) && reader_users(reader, add_user, &h, &err);

    for (size_t i = 0; ok && !h.mail && i < h.count; i++)
        ok = reader_folders(reader, h.users[i], look_at_folder, &h, &err);
    reader_destroy(&reader);
    free(h.users);
    return h.mail || !ok;
}

char *batch_known_server(struct spool *spool, const struct settings *settings, enum side side)
{
    char *name = batch_server_name(settings, side), *other = NULL;
    struct slice known = { 0 };
    struct err err;

    if (spool_meta_get(spool, server_names[side], &known, &err) && known.data &&
        !slice_equal_nocase(known, slice_cstr(name)) && holds_mail_of(spool, side))
        other = slice_dup(known);
    free((char *)known.data);
    free(name);
    return other;
}

static void put_server(struct batch *batch, enum side side)
{
    char *name = batch_server_name(batch->settings, side);

    batch_put(batch, server_names[side], name);
    free(name);
}

void batch_put_servers(struct batch *batch)
{
    for (enum side side = SIDE_SOURCE; side < SIDE_COUNT; side++)
        if (reactor_uses(&batch->reactors[0], side))
            put_server(batch, side);
}

void batch_take_servers(struct batch *batch)
{
    for (enum side side = SIDE_SOURCE; side < SIDE_COUNT; side++) {
        char *other =
            reactor_uses(&batch->reactors[0], side) ? batch_known_server(batch->spool, batch->settings, side) : NULL;

        if (!other && reactor_uses(&batch->reactors[0], side))
            put_server(batch, side);
        if (side == SIDE_TARGET)
            batch->other_target = other;
        else
            free(other);
    }
}

const char *batch_other_target(const struct batch *batch)
{
    return batch->other_target;
}
