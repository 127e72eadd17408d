/* The governor's half on the first reactor's loop: it owns the pace controller, hands out permits and
 * keeps what was learnt. */
#include "engine/move/batch.h"
#include "engine/move/governor_private.h"
#include "engine/move/limits.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <stdio.h>
#include <stdlib.h>

#define SAVE_EVERY_MS 15000

static void poll_now(void *context);

void governor_owner_init(struct governor *g)
{
    size_t users = g->settings->user_count;

    g->members = mem_zero(users, sizeof *g->members);
    for (size_t i = 0; i < users; i++)
        g->members[i].lane = GOVERN_NO_LANE;
    heap_init(&g->connects);
    heap_reserve(&g->connects, (uint32_t)users);
    g->retries_end = &g->retries;
    pthread_mutex_init(&g->view_lock, NULL);
}

void governor_owner_deinit(struct governor *g)
{
    while (g->retries) {
        struct order *o = g->retries;

        g->retries = o->next;
        free(o);
    }
    pace_destroy(&g->pace);
    heap_deinit(&g->connects);
    pthread_mutex_destroy(&g->view_lock);
    free(g->members);
    free(g->user_of);
}

/* ---- permits ------------------------------------------------------------------------------- */

static void poll_later(struct governor *g)
{
    if (g->ended)
        return;
    loop_timer_set(g->owner->loop, &g->poll, 0, poll_now, g);
}

static void answer(struct governor *g, unsigned index, enum govern_kind kind, uint64_t bytes, unsigned permits)
{
    struct order *o = mem_zero(1, sizeof *o);

    o->message.deliver = governor_answer_arrives;
    o->governor = g;
    o->reactor = g->members[index].reactor;
    o->kind = kind;
    o->index = index;
    o->bytes = bytes;
    o->permits = permits;
    loop_post(o->reactor->loop, &o->message);
}

static void granted(void *context, uint32_t lane, uint64_t bytes)
{
    struct governor *g = context;

    answer(g, g->user_of[lane], GOVERN_GRANTED, bytes, 1);
}

static void want(struct governor *g, const struct order *o, uint64_t now)
{
    /* An account asks for no more than it has connections; a full queue would be a bug there. */
    if (!pace_want(g->pace, g->members[o->index].lane, o->bytes, now))
        log_line(LOG_ERROR, "pace.queue", "user=%u too many permits asked for", o->index);
}

/* Messages that failed before, when the budget for them allows it; those of users that have left
 * are forgotten. Returns when to look again. */
static uint64_t serve_retries(struct governor *g, uint64_t now)
{
    while (g->retries) {
        struct order *o = g->retries;
        struct member *m = &g->members[o->index];
        bool waits = m->lane != GOVERN_NO_LANE && m->retries_waiting > 0;
        uint64_t again = waits ? pace_retry_ask(g->pace, now) : 0;

        if (again != 0)
            return again;
        if (waits) {
            m->retries_waiting--;
            want(g, o, now);
        }
        g->retries = o->next;
        if (!g->retries)
            g->retries_end = &g->retries;
        free(o);
    }
    return PACE_NEVER;
}

/* Leave to connect, in order of the times they were told. Returns when to look again. */
static uint64_t serve_connects(struct governor *g, uint64_t now)
{
    while (g->connects.count > 0) {
        uint32_t index = heap_top(&g->connects);
        uint64_t again;

        if (heap_top_key(&g->connects) > (double)now)
            return (uint64_t)heap_top_key(&g->connects);
        again = pace_connect_ask(g->pace, g->members[index].lane, now);
        if (again != 0) {
            heap_put(&g->connects, index, (double)again);
        } else {
            heap_remove(&g->connects, index);
            answer(g, index, GOVERN_MAY_CONNECT, 0, 0);
        }
    }
    return PACE_NEVER;
}

/* The lock is held elsewhere for a copy only. */
static void show(struct governor *g)
{
    pthread_mutex_lock(&g->view_lock);
    pace_snapshot(g->pace, loop_now_ms(g->owner->loop), &g->view);
    pthread_mutex_unlock(&g->view_lock);
}

/* Permits that were granted and not used yet stay where they are when the gate closes: the loops
 * look at this before they use one. */
static void tell_gate(struct governor *g)
{
    atomic_store(&g->gate_ms, pace_gate(g->pace));
    atomic_store(&g->asked_ms, pace_asked_gate(g->pace));
    atomic_store(&g->listens, pace_listens(g->pace));
}

static void poll_now(void *context)
{
    struct governor *g = context;
    uint64_t now = loop_now_ms(g->owner->loop);
    uint64_t retry, next, connect;

    tell_gate(g);
    retry = serve_retries(g, now);
    next = pace_poll(g->pace, now, granted, g);
    connect = serve_connects(g, now);
    if (retry < next)
        next = retry;
    if (connect < next)
        next = connect;
    if (next != PACE_NEVER)
        loop_timer_set(g->owner->loop, &g->poll, next > now ? next - now : 0, poll_now, g);
    show(g);
}

/* ---- what is kept -------------------------------------------------------------------------- */

static const char *server_of(const struct governor *g)
{
    return limits_server_of(&g->settings->target);
}

/* Nobody waits for it, so that it starts no commit of its own (store/writer.h). */
static void put_meta(struct governor *g, const char *name, const void *data, size_t size)
{
    writer_submit(g->owner->writer, store_op_meta(name, slice_dup(slice_of(data, size)), size));
}

static void save_tenant(struct governor *g)
{
    struct pace_saved saved;
    uint8_t bytes[PACE_SAVED_BYTES];
    char name[LIMITS_NAME_BYTES];

    pace_save(g->pace, loop_now_ms(g->owner->loop), now_wall_ms(), &saved);
    pace_saved_encode(&saved, bytes);
    put_meta(g, limits_name(LIMITS_PACE, server_of(g), 0, name), bytes, sizeof bytes);
    g->dirty = false;
}

static void save_member(struct governor *g, const struct member *m)
{
    struct pace_lane_saved saved;
    uint8_t bytes[PACE_LANE_SAVED_BYTES];
    char name[LIMITS_NAME_BYTES];

    pace_lane_save(g->pace, m->lane, loop_now_ms(g->owner->loop), now_wall_ms(), &saved);
    pace_lane_saved_encode(&saved, bytes);
    put_meta(g, limits_name(LIMITS_PACE_LANE, server_of(g), m->id, name), bytes, sizeof bytes);
}

static void save(struct governor *g)
{
    struct pace_view v;

    if (!g->dirty)
        return;
    pace_snapshot(g->pace, loop_now_ms(g->owner->loop), &v);
    log_line(LOG_DEBUG, "pace",
             "phase=%s rate=%.2f learnt=%.2f measured=%.2f latency_ms=%u ratio=%.2f brakes=%llu "
             "events=%llu waiting=%u held=%u inflight=%u of %u drops=%llu rested_ms=%llu "
             "lost_ms=%llu",
             pace_phase_name(v.phase), v.rate, v.rate_hat, v.measured, v.latency_ms, v.latency_ratio,
             (unsigned long long)v.brakes, (unsigned long long)v.tenant_events, v.lanes_waiting, v.lanes_held,
             v.in_flight, v.in_flight_limit, (unsigned long long)v.drops, (unsigned long long)v.throttled_ms,
             (unsigned long long)v.lost_ms);
    save_tenant(g);
}

static void save_sometimes(void *context)
{
    struct governor *g = context;

    save(g);
    loop_timer_set(g->owner->loop, &g->save, SAVE_EVERY_MS, save_sometimes, g);
}

/* ---- other processes ----------------------------------------------------------------------- */

static void heard(void *context, const struct ledger_record *records, size_t count)
{
    struct governor *g = context;
    uint64_t now = loop_now_ms(g->owner->loop);
    struct pace_view view;

    pace_ledger_hear(g->pace, peers_process(g->peers), records, count, now, now_wall_ms());
    pace_snapshot(g->pace, now, &view);
    /* What the others met is met by this process, too. */
    if (view.phase != PACE_PHASE_OPEN || view.gated)
        atomic_store(&g->active, true);
    tell_gate(g);
    g->dirty = true;
    poll_later(g);
}

static void tell_peers(struct governor *g)
{
    struct ledger_record record;

    if (!g->peers)
        return;
    pace_ledger_tell(g->pace, peers_process(g->peers), loop_now_ms(g->owner->loop), now_wall_ms(), &record);
    peers_tell(g->peers, &record);
}

static void tell_peers_often(void *context)
{
    struct governor *g = context;

    tell_peers(g);
    loop_timer_set(g->owner->loop, &g->ledger, LEDGER_WRITE_EVERY_MS, tell_peers_often, g);
}

/* ---- orders -------------------------------------------------------------------------------- */

static void join(struct governor *g, const struct order *o)
{
    struct member *m = &g->members[o->index];
    uint64_t now = loop_now_ms(g->owner->loop);
    struct pace_lane_saved saved;
    char name[LIMITS_NAME_BYTES];
    struct slice value;
    struct err err;

    *m = (struct member){ .lane = pace_lane_add(g->pace, 1.0), .reactor = o->reactor, .id = o->id };
    if (m->lane >= g->user_of_room) {
        g->user_of_room = m->lane * 2 + 64;
        g->user_of = mem_resize(g->user_of, g->user_of_room, sizeof *g->user_of);
    }
    g->user_of[m->lane] = o->index;
    limits_name(LIMITS_PACE_LANE, server_of(g), o->id, name);
    /* Anything unreadable counts as none. */
    if (spool_meta_get(g->spool, name, &value, &err) &&
        pace_lane_saved_decode((const uint8_t *)value.data, value.size, &saved)) {
        pace_lane_restore(g->pace, m->lane, now, now_wall_ms(), &saved);
        if (saved.hold_ms > now_wall_ms())
            atomic_store(&g->active, true);
    }
    free((char *)value.data);
}

static void leave(struct governor *g, unsigned index)
{
    struct member *m = &g->members[index];

    heap_remove(&g->connects, index);
    save_member(g, m);
    pace_lane_remove(g->pace, m->lane);
    *m = (struct member){ .lane = GOVERN_NO_LANE };
}

static void cancel(struct governor *g, unsigned index, uint64_t now)
{
    struct member *m = &g->members[index];
    unsigned dropped = pace_cancel_wants(g->pace, m->lane, now) + m->retries_waiting;

    m->retries_waiting = 0;
    answer(g, index, GOVERN_CANCELLED, 0, dropped);
}

/* A gate is told at once: others on the same tenant are about to meet it. */
static void after_trouble(struct governor *g)
{
    uint64_t before = atomic_load(&g->asked_ms);

    tell_gate(g);
    if (atomic_load(&g->asked_ms) != before)
        tell_peers(g);
}

static void carry_out(struct governor *g, const struct order *o, struct member *m, uint64_t now)
{
    switch (o->kind) {
    case GOVERN_LEAVE:
        leave(g, o->index);
        break;
    case GOVERN_WANT:
        want(g, o, now);
        break;
    case GOVERN_CANCEL:
        cancel(g, o->index, now);
        break;
    case GOVERN_RESIZE:
        pace_resize(g->pace, m->lane, o->bytes, o->used_bytes, now);
        break;
    case GOVERN_ANSWERED:
        for (unsigned i = 0; i < o->permits; i++)
            pace_answered(g->pace, m->lane, o->bytes / o->permits, (uint32_t)o->latency_ms, now);
        break;
    case GOVERN_REFUSED:
        for (unsigned i = 0; i < o->permits; i++)
            pace_refused(g->pace, m->lane, now);
        break;
    case GOVERN_GAVE_BACK:
        for (unsigned i = 0; i < o->permits; i++)
            pace_gave_back(g->pace, m->lane, o->bytes / o->permits, now);
        break;
    case GOVERN_THROTTLED:
        pace_throttled(g->pace, m->lane, o->permits, (int64_t)o->hint_ms, now);
        after_trouble(g);
        save_member(g, m);
        save_tenant(g);
        break;
    case GOVERN_DROPPED:
        pace_dropped(g->pace, m->lane, o->permits, now);
        after_trouble(g);
        break;
    case GOVERN_CONNECT:
        heap_put(&g->connects, o->index, (double)now);
        break;
    case GOVERN_CONNECTED:
        pace_connected(g->pace, m->lane, now);
        break;
    case GOVERN_HEARD:
        pace_heard(g->pace, m->lane, now);
        break;
    case GOVERN_JOIN:
    case GOVERN_GRANTED:
    case GOVERN_CANCELLED:
    case GOVERN_MAY_CONNECT:
        break;
    }
    g->dirty = true;
}

void governor_owner_order_arrives(struct loop_message *message)
{
    struct order *o = (struct order *)message;
    struct governor *g = o->governor;
    struct member *m = &g->members[o->index];

    poll_later(g);
    if (o->kind == GOVERN_JOIN) {
        join(g, o);
    } else if (m->lane != GOVERN_NO_LANE) {
        if (o->kind == GOVERN_WANT && o->retry) {
            m->retries_waiting++;
            o->next = NULL;
            *g->retries_end = o;
            g->retries_end = &o->next;
            return;
        }
        carry_out(g, o, m, loop_now_ms(g->owner->loop));
    }
    free(o);
}

/* ---- beginning and end --------------------------------------------------------------------- */

void governor_begin(struct governor *g, struct reactor *owner)
{
    struct pace_config config;
    struct pace_saved saved;
    uint64_t now = loop_now_ms(owner->loop);
    char name[LIMITS_NAME_BYTES];
    struct slice value;
    struct err err;

    g->owner = owner;
    pace_config_init(&config, governor_is_exchange(g) ? PACE_MODE_EXCHANGE : PACE_MODE_OPEN);
    config.seed = now_ns();
    /* Without a ledger each shard takes its part, whatever the others need. */
    if (g->settings->shard_count > 1 && !g->peers)
        config.process_count = g->settings->shard_count;
    pace_create(&config, now, &g->pace);
    limits_name(LIMITS_PACE, server_of(g), 0, name);
    if (spool_meta_get(g->spool, name, &value, &err) &&
        pace_saved_decode((const uint8_t *)value.data, value.size, &saved)) {
        pace_restore(g->pace, now, now_wall_ms(), &saved);
        if (saved.rate > 0 || saved.gate_ms > now_wall_ms())
            atomic_store(&g->active, true);
    }
    free((char *)value.data);
    tell_gate(g);
    loop_timer_set(owner->loop, &g->save, SAVE_EVERY_MS, save_sometimes, g);
    if (g->peers) {
        peers_begin(g->peers, owner->loop, heard, g);
        tell_peers_often(g);
    }
}

void governor_end(struct governor *g)
{
    if (!g->owner)
        return;
    save(g);
    show(g);
    g->ended = true;
    if (g->peers)
        peers_end(g->peers);
    loop_timer_clear(g->owner->loop, &g->poll);
    loop_timer_clear(g->owner->loop, &g->save);
    loop_timer_clear(g->owner->loop, &g->ledger);
}

void governor_view(struct governor *g, struct pace_view *view_r)
{
    pthread_mutex_lock(&g->view_lock);
    *view_r = g->view;
    pthread_mutex_unlock(&g->view_lock);
}
