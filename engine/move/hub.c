#include "engine/move/hub.h"

#include "engine/move/account.h"
#include "engine/move/batch.h"
#include "engine/rules/sample.h"
#include "engine/rules/trouble.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <stdlib.h>

/* Bodies on their way to the disk before sources are made to wait, and when they go on: a share of
 * memory-max, and never more than keeps the disk busy. */
#define CHOKE_BYTES_MAX (48ull << 20)
#define CHOKE_SHARE 8u

static uint64_t choke_bytes(const struct hub *hub)
{
    uint64_t share = hub->settings->memory_max_bytes / CHOKE_SHARE;

    return share && share < CHOKE_BYTES_MAX ? share : CHOKE_BYTES_MAX;
}

static uint64_t breathe_bytes(const struct hub *hub)
{
    return choke_bytes(hub) / 3;
}

struct answer {
    struct loop_message message;
    struct hub *hub;
    struct store_op *op;
    hub_told *told;
    void *context;
    bool failed;
    struct err err;
};

static void choke(struct hub *hub, bool on)
{
    if (hub->choked == on)
        return;
    hub->choked = on;
    for (struct account *a = hub->accounts; a; a = a->next) {
        for (struct worker *w = a->sides[SIDE_SOURCE].workers; w; w = w->next)
            if (w->link)
                link_want_read(w->link, !on);
        if (!on)
            account_poke(a);
    }
}

static void answer_arrives(struct loop_message *message)
{
    struct answer *answer = (struct answer *)message;

    if (answer->hub->choked && writer_pressure(answer->hub->writer) < breathe_bytes(answer->hub))
        choke(answer->hub, false);
    answer->told(answer->context, answer->op, answer->failed ? &answer->err : NULL);
    store_op_free(answer->op);
    free(answer);
}

/* Writer's thread. */
static void answered(struct store_op *op, const struct err *err)
{
    struct answer *answer = op->context;

    if (err) {
        answer->failed = true;
        answer->err = *err;
    }
    loop_post(answer->hub->loop, &answer->message);
}

void hub_submit(struct hub *hub, struct store_op *op, hub_told *told, void *context)
{
    struct answer *answer = mem_zero(1, sizeof *answer);

    answer->message.deliver = answer_arrives;
    answer->hub = hub;
    answer->op = op;
    answer->told = told;
    answer->context = context;
    op->context = answer;
    op->done = answered;
    writer_submit(hub->writer, op);
    if (!hub->choked && writer_pressure(hub->writer) > choke_bytes(hub))
        choke(hub, true);
}

static void lazy_told(void *context, struct store_op *op, const struct err *err)
{
    struct hub *hub = context;

    (void)op;
    if (err)
        hub_abort_run(hub, err);
}

void hub_submit_lazy(struct hub *hub, struct store_op *op)
{
    hub_submit(hub, op, lazy_told, hub);
}

static void show_limit(struct hub *hub, enum side side)
{
    atomic_store_explicit(&hub->counters.links_max[side], hub->limits[side].limit,
                          memory_order_relaxed);
}

void hub_limit_links(struct hub *hub, enum side side, unsigned configured, unsigned learnt)
{
    uint64_t now = now_ms();

    aimd_init(&hub->limits[side], configured, now);
    if (learnt < configured)
        aimd_too_many(&hub->limits[side], learnt, now);
    show_limit(hub, side);
}

bool hub_has_link(const struct hub *hub, enum side side)
{
    return hub->links[side] < hub->limits[side].limit;
}

bool hub_lend_link(struct hub *hub, enum side side)
{
    if (!hub_has_link(hub, side))
        return false;
    hub->links[side]++;
    atomic_store_explicit(&hub->counters.links[side], hub->links[side], memory_order_relaxed);
    return true;
}

/* Those that have no connection at all. */
static void poke_unconnected(struct hub *hub, enum side side)
{
    for (struct account *a = hub->accounts; a; a = a->next)
        if (a->sides[side].worker_count && a->sides[side].ready_count == 0)
            account_poke(a);
}

void hub_give_back_link(struct hub *hub, enum side side)
{
    hub->links[side]--;
    atomic_store_explicit(&hub->counters.links[side], hub->links[side], memory_order_relaxed);
    poke_unconnected(hub, side);
}

void hub_fewer_links(struct hub *hub, enum side side)
{
    struct aimd *limit = &hub->limits[side];
    uint32_t before = limit->limit;

    aimd_too_many(limit, hub->links[side], loop_now_ms(hub->loop));
    if (limit->limit >= before)
        return;
    atomic_store_explicit(&hub->counters.links_cut_ms[side], now_wall_ms(), memory_order_relaxed);
    show_limit(hub, side);
    log_line(LOG_WARN, "connections.fewer", "side=%s now=%u",
             side == SIDE_SOURCE ? "source" : "target", limit->limit);
}

static void take_users(struct hub *hub);

/* One more, when all that are allowed were open for long. */
static void maybe_more_links(struct hub *hub, enum side side, uint64_t now)
{
    struct aimd *limit = &hub->limits[side];
    uint32_t before = limit->limit;

    aimd_worked(limit, hub->links[side], now);
    if (limit->limit == before)
        return;
    show_limit(hub, side);
    log_line(LOG_INFO, "connections.more", "side=%s now=%u",
             side == SIDE_SOURCE ? "source" : "target", limit->limit);
    poke_unconnected(hub, side);
    take_users(hub);
}

/* ---- users in turn ------------------------------------------------------------------------- */

#define TICK_MS 250
#define CUT_AFTER_MS 6000
#define SHOW_EVERY_MS 1000

bool hub_uses(const struct hub *hub, enum side side)
{
    enum settings_mode mode = hub->settings->mode;

    return side == SIDE_SOURCE ? mode != SETTINGS_MODE_UPLOAD
                               : mode != SETTINGS_MODE_FETCH && mode != SETTINGS_MODE_PLAN;
}

/* No answer of the writer is on its way to this loop any more. */
static void all_stored(void *context, struct store_op *op, const struct err *err)
{
    struct hub *hub = context;

    (void)op;
    if (err)
        hub_abort_run(hub, err);
    batch_hub_ended(hub->batch);
}

/* So many users are worked on at once. */
static unsigned users_at_once(const struct hub *hub)
{
    unsigned most = batch_users_a_loop(hub->batch);

    for (unsigned side = 0; side < SIDE_COUNT; side++)
        if (hub_uses(hub, side) && hub->limits[side].limit < most)
            most = hub->limits[side].limit;
    return most;
}

unsigned hub_spare_links(const struct hub *hub, enum side side)
{
    unsigned users = hub->active, firsts;

    /* When one ends the next one begins. */
    if (!hub->no_more && batch_user_waits(hub->batch) && users_at_once(hub) > users)
        users = users_at_once(hub);
    firsts = users > hub->linked[side] ? users - hub->linked[side] : 0;
    return hub->limits[side].limit > hub->links[side] + firsts
               ? hub->limits[side].limit - hub->links[side] - firsts
               : 0;
}

static void take_users(struct hub *hub)
{
    unsigned most = users_at_once(hub), index;
    uint32_t id;

    while (!hub->stopping && !hub->no_more && hub->active < most) {
        if (!batch_next_user(hub->batch, &index, &id)) {
            hub->no_more = true;
            break;
        }
        hub->active++;
        account_start(hub, index, id);
    }
    atomic_store_explicit(&hub->counters.active, hub->active, memory_order_relaxed);
    if (hub->active == 0 && (hub->no_more || hub->stopping) && !hub->ended) {
        hub->ended = true;
        loop_timer_clear(hub->loop, &hub->tick);
        hub_submit(hub, store_op_new(STORE_OP_FLUSH, 0, 0), all_stored, hub);
    }
}

void hub_account_ended(struct hub *hub, struct account *account)
{
    if (account->next)
        account->next->previous = account->previous;
    if (account->previous)
        account->previous->next = account->next;
    else
        hub->accounts = account->next;
    hub->active--;
    take_users(hub);
}

static unsigned idle_at(const struct batch_show *shown, unsigned count)
{
    unsigned i = 0;

    while (i < count && (shown[i].folder[0] || shown[i].held_ms))
        i++;
    return i;
}

static void show(struct hub *hub, uint64_t now)
{
    struct batch_show shown[BATCH_SHOW_MAX], one;
    struct sample_live live[BATCH_LIVE_MAX];
    unsigned count = 0, live_count = 0, held = 0, listing = 0;
    bool busy;

    for (struct account *a = hub->accounts; a; a = a->next) {
        held += account_held(a, SIDE_TARGET) || account_held(a, SIDE_SOURCE);
        listing += account_is_listing(a);
        account_show(a, &one);
        /* Those that are at a folder or wait for a back-off tell more than those that wait their turn. */
        busy = one.folder[0] || one.held_ms;
        if (count < BATCH_SHOW_MAX)
            shown[count++] = one;
        else if (busy && idle_at(shown, count) < count)
            shown[idle_at(shown, count)] = one;
        if (live_count < BATCH_LIVE_MAX)
            account_live(a, now, &live[live_count++]);
    }
    atomic_store_explicit(&hub->counters.held, held, memory_order_relaxed);
    atomic_store_explicit(&hub->counters.listing, listing, memory_order_relaxed);
    batch_show(hub->batch, hub->index, shown, count, live, live_count);
}

static void tick(void *context)
{
    struct hub *hub = context;
    uint64_t now = loop_now_ms(hub->loop);

    loop_timer_set(hub->loop, &hub->tick, TICK_MS, tick, hub);
    if (!hub->stopping && batch_stopping(hub->batch)) {
        hub->stopping = true;
        hub->stop_ms = now;
        for (struct account *a = hub->accounts, *next; a; a = next) {
            next = a->next;
            account_stop(a);
        }
        if (hub->active == 0)
            take_users(hub);
        return;
    }
    for (struct account *a = hub->accounts, *next; a; a = next) {
        next = a->next;
        if (hub->stopping && now - hub->stop_ms > CUT_AFTER_MS)
            account_cut(a);
        else
            account_tick(a, now);
    }
    account_spread_tick(hub, TICK_MS);
    for (unsigned side = 0; !hub->stopping && side < SIDE_COUNT; side++)
        maybe_more_links(hub, side, now);
    if (hub->choked && writer_pressure(hub->writer) < breathe_bytes(hub))
        choke(hub, false);
    if (now - hub->shown_ms >= SHOW_EVERY_MS) {
        hub->shown_ms = now;
        show(hub, now);
    }
}

void hub_begin(struct hub *hub)
{
    hub->manners.rewrites = hub->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE;
    loop_timer_set(hub->loop, &hub->tick, TICK_MS, tick, hub);
    take_users(hub);
}

void hub_abort_run(struct hub *hub, const struct err *err)
{
    batch_abort(hub->batch, err);
}

bool hub_turned_away(const struct hub *hub, enum side side, const struct err *err, bool greeted, unsigned attempts,
                     unsigned *came_seen, struct err *err_r)
{
    const struct presence *presence = &hub->presence[side];
    unsigned came = presence->came, since = came - *came_seen;

    *came_seen = came;
    return trouble_turned_away(err, greeted, attempts, presence->now, since, err_r);
}
