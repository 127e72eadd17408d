#include "engine/move/governor.h"

#include "engine/move/batch.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define SAVE_EVERY_MS 15000
#define NO_LANE UINT32_MAX

/* What an account keeps while it takes part. */
struct governed {
    unsigned permits, asked; /* granted and not used; asked for and not granted */
    unsigned used;           /* granted, used, and not ended: what was sent before permits were
                                asked for is none of them */
    bool may_connect, connect_asked;
};

enum kind {
    GOVERN_JOIN, GOVERN_LEAVE, GOVERN_WANT, GOVERN_ANSWERED, GOVERN_REFUSED, GOVERN_GAVE_BACK,
    GOVERN_THROTTLED, GOVERN_DROPPED, GOVERN_CONNECT, GOVERN_CONNECTED,
    GOVERN_GRANTED, GOVERN_MAY_CONNECT /* these two from the keeper to a hub */
};

struct order {
    struct loop_message message;
    struct governor *governor;
    struct hub *hub; /* the account's */
    enum kind kind;
    unsigned index; /* user */
    uint32_t id;
    uint64_t bytes, latency_ms;
    uint32_t number; /* permits, messages or a hint */
    unsigned permits;
};

struct lane {
    uint32_t lane;
    struct hub *hub;
    uint32_t id;
    bool connect_waits;
    uint64_t connect_at;
};

struct governor {
    const struct settings *settings;
    struct spool *spool;
    struct hub *keeper;
    struct pace *pace;
    _Atomic bool active; /* permits are asked for */
    struct lane *lanes;  /* by user index; the keeper's */
    unsigned *user_of;   /* by pace lane; the keeper's */
    uint32_t user_of_room;
    struct loop_timer poll, save;
    bool dirty;
    uint64_t connects_waiting;
    pthread_mutex_t view_lock;
    struct pace_view view;
};

static bool exchange(const struct settings *settings)
{
    return settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE;
}

struct governor *governor_create(const struct settings *settings, struct spool *spool)
{
    struct governor *g = mem_zero(1, sizeof *g);

    g->settings = settings;
    g->spool = spool;
    g->lanes = mem_zero(settings->user_count, sizeof *g->lanes);
    for (size_t i = 0; i < settings->user_count; i++)
        g->lanes[i].lane = NO_LANE;
    pthread_mutex_init(&g->view_lock, NULL);
    atomic_store(&g->active, exchange(settings));
    return g;
}

void governor_destroy(struct governor **governor)
{
    struct governor *g = *governor;

    if (!g)
        return;
    pace_destroy(&g->pace);
    pthread_mutex_destroy(&g->view_lock);
    free(g->lanes);
    free(g->user_of);
    free(g);
    *governor = NULL;
}

/* ---- the keeper's side --------------------------------------------------------------------- */

static void answer(struct governor *g, unsigned index, enum kind kind);
static void poll_now(void *context);

static void poll_later(struct governor *g)
{
    loop_timer_set(g->keeper->loop, &g->poll, 0, poll_now, g);
}

static void granted(void *context, uint32_t lane, uint64_t bytes)
{
    struct governor *g = context;

    (void)bytes;
    answer(g, g->user_of[lane], GOVERN_GRANTED);
}

static void poll_now(void *context)
{
    struct governor *g = context;
    uint64_t now = loop_now_ms(g->keeper->loop);
    uint64_t next = pace_poll(g->pace, now, granted, g);

    for (size_t i = 0; g->connects_waiting && i < g->settings->user_count; i++) {
        struct lane *l = &g->lanes[i];

        if (!l->connect_waits)
            continue;
        if (l->connect_at <= now) {
            l->connect_at = pace_connect_ask(g->pace, l->lane, now);
            if (l->connect_at == 0) {
                l->connect_waits = false;
                g->connects_waiting--;
                answer(g, (unsigned)i, GOVERN_MAY_CONNECT);
                continue;
            }
        }
        if (l->connect_at < next)
            next = l->connect_at;
    }
    if (next != PACE_NEVER)
        loop_timer_set(g->keeper->loop, &g->poll, next > now ? next - now : 0, poll_now, g);
    if (pthread_mutex_trylock(&g->view_lock) == 0) {
        pace_snapshot(g->pace, now, &g->view);
        pthread_mutex_unlock(&g->view_lock);
    }
}

static void put_meta(struct governor *g, const char *name, const void *data, size_t size)
{
    struct store_op *op = store_op_new(STORE_OP_META, 0, 0);

    snprintf(op->meta.name, sizeof op->meta.name, "%s", name);
    op->meta.data = mem_alloc(size);
    memcpy(op->meta.data, data, size);
    op->meta.size = size;
    hub_submit_lazy(g->keeper, op);
}

static void save_tenant(struct governor *g)
{
    struct pace_saved saved;
    uint8_t bytes[PACE_SAVED_BYTES];

    pace_save(g->pace, loop_now_ms(g->keeper->loop), now_wall_ms(), &saved);
    pace_saved_encode(&saved, bytes);
    put_meta(g, "pace", bytes, sizeof bytes);
    g->dirty = false;
}

static void save_lane(struct governor *g, const struct lane *l)
{
    struct pace_lane_saved saved;
    uint8_t bytes[PACE_LANE_SAVED_BYTES];
    char name[48];

    pace_lane_save(g->pace, l->lane, loop_now_ms(g->keeper->loop), now_wall_ms(), &saved);
    pace_lane_saved_encode(&saved, bytes);
    snprintf(name, sizeof name, "pace.lane.%u", l->id);
    put_meta(g, name, bytes, sizeof bytes);
}

static void save_sometimes(void *context)
{
    struct governor *g = context;

    if (g->dirty)
        save_tenant(g);
    loop_timer_set(g->keeper->loop, &g->save, SAVE_EVERY_MS, save_sometimes, g);
}

/* Reads a saved value; anything unreadable counts as none. */
static bool get_meta(struct governor *g, const char *name, char **data_r, size_t *size_r)
{
    struct err err;
    bool found = false;

    return spool_meta_get(g->spool, name, data_r, size_r, &found, &err) && found;
}

static void join(struct governor *g, const struct order *o)
{
    struct lane *l = &g->lanes[o->index];
    uint64_t now = loop_now_ms(g->keeper->loop);
    struct pace_lane_saved saved;
    char name[48], *data;
    size_t size;

    *l = (struct lane){ .lane = pace_lane_add(g->pace, 1.0), .hub = o->hub, .id = o->id };
    if (l->lane >= g->user_of_room) {
        g->user_of_room = l->lane * 2 + 64;
        g->user_of = mem_resize(g->user_of, g->user_of_room, sizeof *g->user_of);
    }
    g->user_of[l->lane] = o->index;
    snprintf(name, sizeof name, "pace.lane.%u", o->id);
    if (get_meta(g, name, &data, &size)) {
        if (pace_lane_saved_decode((const uint8_t *)data, size, &saved)) {
            pace_lane_restore(g->pace, l->lane, now, now_wall_ms(), &saved);
            if (saved.hold_ms > now_wall_ms())
                atomic_store(&g->active, true);
        }
        free(data);
    }
}

static void leave(struct governor *g, struct lane *l)
{
    if (l->connect_waits)
        g->connects_waiting--;
    save_lane(g, l);
    pace_lane_remove(g->pace, l->lane);
    *l = (struct lane){ .lane = NO_LANE };
}

static void order_arrives(struct loop_message *message)
{
    struct order *o = (struct order *)message;
    struct governor *g = o->governor;
    struct lane *l = &g->lanes[o->index];
    uint64_t now = loop_now_ms(g->keeper->loop);

    if (o->kind == GOVERN_JOIN) {
        join(g, o);
    } else if (l->lane != NO_LANE) {
        switch (o->kind) {
        case GOVERN_LEAVE:
            leave(g, l);
            break;
        case GOVERN_WANT:
            /* A lane asks for no more than it has connections; a full queue would be a bug there. */
            if (!pace_want(g->pace, l->lane, o->bytes, now))
                log_line(LOG_ERROR, "pace.queue", "user=%u too many permits asked for", o->index);
            break;
        case GOVERN_ANSWERED:
            /* One permit, however many messages went with it. */
            pace_answered(g->pace, l->lane, o->bytes, (uint32_t)o->latency_ms, now);
            break;
        case GOVERN_REFUSED:
            pace_refused(g->pace, l->lane, now);
            break;
        case GOVERN_GAVE_BACK:
            pace_gave_back(g->pace, l->lane, o->bytes, now);
            break;
        case GOVERN_THROTTLED:
            pace_throttled(g->pace, l->lane, o->permits, (int64_t)o->number, now);
            save_lane(g, l);
            save_tenant(g);
            break;
        case GOVERN_DROPPED:
            pace_dropped(g->pace, l->lane, o->permits, now);
            break;
        case GOVERN_CONNECT:
            if (!l->connect_waits) {
                l->connect_waits = true;
                l->connect_at = 0;
                g->connects_waiting++;
            }
            break;
        case GOVERN_CONNECTED:
            pace_connected(g->pace, l->lane, now);
            break;
        case GOVERN_JOIN:
        case GOVERN_GRANTED:
        case GOVERN_MAY_CONNECT:
            break;
        }
        g->dirty = true;
    }
    free(o);
    poll_later(g);
}

void governor_begin(struct governor *g, struct hub *keeper)
{
    struct pace_config config;
    struct pace_saved saved;
    uint64_t now = loop_now_ms(keeper->loop);
    char *data;
    size_t size;

    g->keeper = keeper;
    pace_config_init(&config, exchange(g->settings) ? PACE_MODE_EXCHANGE : PACE_MODE_OPEN);
    config.seed = now_ns();
    if (g->settings->shard_count > 1)
        config.process_count = g->settings->shard_count;
    pace_create(&config, now, &g->pace);
    if (get_meta(g, "pace", &data, &size)) {
        if (pace_saved_decode((const uint8_t *)data, size, &saved)) {
            pace_restore(g->pace, now, now_wall_ms(), &saved);
            if (saved.rate > 0 || saved.gate_ms > now_wall_ms())
                atomic_store(&g->active, true);
        }
        free(data);
    }
    loop_timer_set(keeper->loop, &g->save, SAVE_EVERY_MS, save_sometimes, g);
}

void governor_end(struct governor *g)
{
    if (!g->keeper)
        return;
    if (g->dirty)
        save_tenant(g);
    loop_timer_clear(g->keeper->loop, &g->poll);
    loop_timer_clear(g->keeper->loop, &g->save);
}

void governor_view(struct governor *g, struct pace_view *view_r)
{
    pthread_mutex_lock(&g->view_lock);
    *view_r = g->view;
    pthread_mutex_unlock(&g->view_lock);
}

/* ---- the accounts' side -------------------------------------------------------------------- */

static struct account *find(struct hub *hub, unsigned index)
{
    for (struct account *a = hub->accounts; a; a = a->next)
        if (a->index == index)
            return a;
    return NULL;
}

static void answer_arrives(struct loop_message *message)
{
    struct order *o = (struct order *)message;
    struct account *account = find(o->hub, o->index);

    if (account && account->governed) {
        if (o->kind == GOVERN_GRANTED) {
            account->governed->permits++;
            account->governed->asked--;
        } else {
            account->governed->may_connect = true;
            account->governed->connect_asked = false;
        }
        account_poke(account);
    }
    free(o);
}

static void answer(struct governor *g, unsigned index, enum kind kind)
{
    struct order *o = mem_zero(1, sizeof *o);

    o->message.deliver = answer_arrives;
    o->hub = g->lanes[index].hub;
    o->kind = kind;
    o->index = index;
    loop_post(o->hub->loop, &o->message);
}

static struct order *order_new(struct account *account, enum kind kind)
{
    struct order *o = mem_zero(1, sizeof *o);

    o->message.deliver = order_arrives;
    o->governor = batch_governor(account->hub->batch);
    o->hub = account->hub;
    o->kind = kind;
    o->index = account->index;
    o->id = account->id;
    return o;
}

static void send(struct order *o)
{
    loop_post(o->governor->keeper->loop, &o->message);
}

static bool active(const struct account *account)
{
    return atomic_load_explicit(&batch_governor(account->hub->batch)->active, memory_order_relaxed);
}

void governor_join(struct account *account)
{
    if (!account_uses(account, SIDE_TARGET))
        return;
    account->governed = mem_zero(1, sizeof *account->governed);
    send(order_new(account, GOVERN_JOIN));
}

void governor_leave(struct account *account)
{
    if (!account->governed)
        return;
    send(order_new(account, GOVERN_LEAVE));
    free(account->governed);
    account->governed = NULL;
}

bool governor_allows(struct account *account, uint64_t bytes)
{
    struct governed *g = account->governed;
    unsigned most = 0;
    struct order *o;

    if (!active(account))
        return true;
    if (g->permits) {
        g->permits--;
        g->used++;
        return true;
    }
    for (const struct worker *w = account->sides[SIDE_TARGET].workers; w; w = w->next)
        most += w->link != NULL;
    if (g->asked < most && g->asked < PACE_WANTS_MAX) {
        g->asked++;
        o = order_new(account, GOVERN_WANT);
        o->bytes = bytes;
        send(o);
    }
    return false;
}

/* Ends one used permit; false when what ended had none. */
static bool end_used(struct account *account)
{
    if (!account->governed || account->governed->used == 0)
        return false;
    account->governed->used--;
    return true;
}

void governor_answered(struct account *account, uint64_t bytes, uint64_t latency_ms,
                       unsigned messages)
{
    struct order *o;

    if (!end_used(account))
        return;
    o = order_new(account, GOVERN_ANSWERED);
    o->bytes = bytes;
    o->latency_ms = latency_ms;
    o->number = messages;
    send(o);
}

void governor_refused(struct account *account, uint64_t bytes, bool dropped)
{
    struct order *o;
    unsigned permits;

    if (!account->governed)
        return;
    permits = bytes > 0 && end_used(account);
    if (!dropped && permits == 0)
        return;
    o = order_new(account, dropped ? GOVERN_DROPPED : GOVERN_REFUSED);
    o->permits = permits;
    send(o);
}

void governor_gave_back(struct account *account, uint64_t bytes)
{
    struct order *o;

    if (!end_used(account))
        return;
    o = order_new(account, GOVERN_GAVE_BACK);
    o->bytes = bytes;
    send(o);
}

void governor_throttled(struct account *account, unsigned permits, uint32_t hint_ms)
{
    struct order *o = order_new(account, GOVERN_THROTTLED);

    o->permits = permits && end_used(account);
    o->number = hint_ms;
    atomic_store(&o->governor->active, true);
    send(o);
}

bool governor_may_connect(struct account *account)
{
    struct governed *g = account->governed;

    if (!active(account) || !g)
        return true;
    if (g->may_connect) {
        g->may_connect = false;
        return true;
    }
    if (!g->connect_asked) {
        g->connect_asked = true;
        send(order_new(account, GOVERN_CONNECT));
    }
    return false;
}

void governor_connected(struct account *account)
{
    if (account->governed && active(account))
        send(order_new(account, GOVERN_CONNECTED));
}
