#include "engine/move/reactor.h"

#include "engine/failure/trouble.h"
#include "engine/move/account.h"
#include "engine/move/batch.h"
#include "engine/move/sample.h"
#include "engine/settings/side.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <stdlib.h>

/* Bodies on their way to the disk before sources are made to wait, and when they go on: a share of
 * memory-max, and never more than keeps the disk busy. */
#define CHOKE_BYTES_MAX (48ull << 20)
#define CHOKE_SHARE     8u

static uint64_t choke_bytes(const struct reactor *reactor)
{
    uint64_t share = reactor->settings->memory_max_bytes / CHOKE_SHARE;

    return share && share < CHOKE_BYTES_MAX ? share : CHOKE_BYTES_MAX;
}

static uint64_t breathe_bytes(const struct reactor *reactor)
{
    return choke_bytes(reactor) / 3;
}

struct answer {
    struct loop_message message;
    struct reactor *reactor;
    struct store_op *op;
    reactor_told *told;
    void *context;
    bool failed;
    struct err err;
};

static void choke(struct reactor *reactor, bool on)
{
    if (reactor->choked == on)
        return;
    reactor->choked = on;
    for (struct account *a = reactor->accounts; a; a = a->next) {
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

    if (answer->reactor->choked && writer_pressure(answer->reactor->writer) < breathe_bytes(answer->reactor))
        choke(answer->reactor, false);
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
    loop_post(answer->reactor->loop, &answer->message);
}

void reactor_submit(struct reactor *reactor, struct store_op *op, reactor_told *told, void *context)
{
    struct answer *answer = mem_zero(1, sizeof *answer);

    answer->message.deliver = answer_arrives;
    answer->reactor = reactor;
    answer->op = op;
    answer->told = told;
    answer->context = context;
    op->context = answer;
    op->done = answered;
    writer_submit(reactor->writer, op);
    if (!reactor->choked && writer_pressure(reactor->writer) > choke_bytes(reactor))
        choke(reactor, true);
}

static void unwaited_told(void *context, struct store_op *op, const struct err *err)
{
    struct reactor *reactor = context;

    (void)op;
    if (err)
        reactor_abort_run(reactor, err);
}

void reactor_submit_unwaited(struct reactor *reactor, struct store_op *op)
{
    reactor_submit(reactor, op, unwaited_told, reactor);
}

static void show_limit(struct reactor *reactor, enum side side)
{
    atomic_store_explicit(&reactor->counters.links_max[side], reactor->limits[side].limit, memory_order_relaxed);
}

void reactor_limit_links(struct reactor *reactor, enum side side, unsigned configured, unsigned learnt)
{
    uint64_t now = now_ms();

    aimd_init(&reactor->limits[side], configured, now);
    if (learnt < configured)
        aimd_too_many(&reactor->limits[side], learnt, now);
    show_limit(reactor, side);
}

bool reactor_has_link(const struct reactor *reactor, enum side side)
{
    return reactor->links[side] < reactor->limits[side].limit;
}

bool reactor_lend_link(struct reactor *reactor, enum side side)
{
    if (!reactor_has_link(reactor, side))
        return false;
    reactor->links[side]++;
    atomic_store_explicit(&reactor->counters.links[side], reactor->links[side], memory_order_relaxed);
    return true;
}

/* Those that have no connection at all. */
static void poke_unconnected(struct reactor *reactor, enum side side)
{
    for (struct account *a = reactor->accounts; a; a = a->next)
        if (a->sides[side].worker_count && a->sides[side].ready_count == 0)
            account_poke(a);
}

void reactor_give_back_link(struct reactor *reactor, enum side side)
{
    reactor->links[side]--;
    atomic_store_explicit(&reactor->counters.links[side], reactor->links[side], memory_order_relaxed);
    poke_unconnected(reactor, side);
}

void reactor_fewer_links(struct reactor *reactor, enum side side)
{
    struct aimd *limit = &reactor->limits[side];
    uint32_t before = limit->limit;

    aimd_too_many(limit, reactor->links[side], loop_now_ms(reactor->loop));
    if (limit->limit >= before)
        return;
    atomic_store_explicit(&reactor->counters.links_cut_ms[side], now_wall_ms(), memory_order_relaxed);
    show_limit(reactor, side);
    log_line(LOG_WARN, "connections.fewer", "side=%s now=%u", side_name(side), limit->limit);
}

static void take_users(struct reactor *reactor);

/* One more, when all that are allowed were open for long. */
static void maybe_more_links(struct reactor *reactor, enum side side, uint64_t now)
{
    struct aimd *limit = &reactor->limits[side];
    uint32_t before = limit->limit;

    aimd_worked(limit, reactor->links[side], now);
    if (limit->limit == before)
        return;
    show_limit(reactor, side);
    log_line(LOG_INFO, "connections.more", "side=%s now=%u", side_name(side), limit->limit);
    poke_unconnected(reactor, side);
    take_users(reactor);
}

/* ---- users in turn ------------------------------------------------------------------------- */

#define TICK_MS       250
#define CUT_AFTER_MS  6000
#define SHOW_EVERY_MS 1000

bool reactor_uses(const struct reactor *reactor, enum side side)
{
    enum settings_mode mode = reactor->settings->mode;

    return side == SIDE_SOURCE ? mode != SETTINGS_MODE_UPLOAD
                               : mode != SETTINGS_MODE_FETCH && mode != SETTINGS_MODE_PLAN;
}

/* No answer of the writer is on its way to this loop any more. */
static void all_stored(void *context, struct store_op *op, const struct err *err)
{
    struct reactor *reactor = context;

    (void)op;
    if (err)
        reactor_abort_run(reactor, err);
    batch_reactor_ended(reactor->batch);
}

/* So many users are worked on at once. */
static unsigned users_at_once(const struct reactor *reactor)
{
    unsigned most = batch_users_a_loop(reactor->batch);

    for (unsigned side = 0; side < SIDE_COUNT; side++)
        if (reactor_uses(reactor, side) && reactor->limits[side].limit < most)
            most = reactor->limits[side].limit;
    return most;
}

unsigned reactor_spare_links(const struct reactor *reactor, enum side side)
{
    unsigned users = reactor->active, firsts;

    /* When one ends the next one begins. */
    if (!reactor->no_more && batch_user_waits(reactor->batch) && users_at_once(reactor) > users)
        users = users_at_once(reactor);
    firsts = users > reactor->linked[side] ? users - reactor->linked[side] : 0;
    return reactor->limits[side].limit > reactor->links[side] + firsts
               ? reactor->limits[side].limit - reactor->links[side] - firsts
               : 0;
}

static void take_users(struct reactor *reactor)
{
    unsigned most = users_at_once(reactor), index;
    uint32_t id;

    while (!reactor->stopping && !reactor->no_more && reactor->active < most) {
        if (!batch_next_user(reactor->batch, &index, &id)) {
            reactor->no_more = true;
            break;
        }
        reactor->active++;
        account_start(reactor, index, id);
    }
    atomic_store_explicit(&reactor->counters.active, reactor->active, memory_order_relaxed);
    if (reactor->active == 0 && (reactor->no_more || reactor->stopping) && !reactor->ended) {
        reactor->ended = true;
        loop_timer_clear(reactor->loop, &reactor->tick);
        reactor_submit(reactor, store_op_new(STORE_OP_FLUSH, 0, 0), all_stored, reactor);
    }
}

void reactor_account_ended(struct reactor *reactor, struct account *account)
{
    account_shut_end(account);
    if (account->next)
        account->next->previous = account->previous;
    if (account->previous)
        account->previous->next = account->next;
    else
        reactor->accounts = account->next;
    reactor->active--;
    take_users(reactor);
}

static unsigned idle_at(const struct batch_show *shown, unsigned count)
{
    unsigned i = 0;

    while (i < count && (shown[i].folder[0] || shown[i].held_ms))
        i++;
    return i;
}

static void show(struct reactor *reactor, uint64_t now)
{
    struct batch_show shown[BATCH_SHOW_MAX], one;
    struct sample_live live[BATCH_LIVE_MAX];
    unsigned count = 0, live_count = 0, held = 0, listing = 0;
    uint64_t silent[SIDE_COUNT] = { UINT64_MAX, UINT64_MAX };
    bool busy;

    for (struct account *a = reactor->accounts; a; a = a->next) {
        held += account_held(a, SIDE_TARGET) || account_held(a, SIDE_SOURCE);
        listing += account_is_listing(a);
        for (unsigned side = 0; side < SIDE_COUNT; side++) {
            uint64_t ms = account_silent_ms(a, side);

            silent[side] = ms < silent[side] ? ms : silent[side];
        }
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
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        atomic_store_explicit(&reactor->counters.silent_ms[side], silent[side], memory_order_relaxed);
    atomic_store_explicit(&reactor->counters.held, held, memory_order_relaxed);
    atomic_store_explicit(&reactor->counters.listing, listing, memory_order_relaxed);
    batch_show(reactor->batch, reactor->index, shown, count, live, live_count);
}

static void tick(void *context)
{
    struct reactor *reactor = context;
    uint64_t now = loop_now_ms(reactor->loop);

    loop_timer_set(reactor->loop, &reactor->tick, TICK_MS, tick, reactor);
    if (!reactor->stopping && batch_stopping(reactor->batch)) {
        reactor->stopping = true;
        reactor->stop_ms = now;
        for (struct account *a = reactor->accounts, *next; a; a = next) {
            next = a->next;
            account_stop(a);
        }
        if (reactor->active == 0)
            take_users(reactor);
        return;
    }
    for (struct account *a = reactor->accounts, *next; a; a = next) {
        next = a->next;
        if (!reactor->stopping && !a->stopping && batch_user_is_set_aside(reactor->batch, a->index)) {
            a->put_aside = true;
            a->aside_ms = now;
            account_stop(a);
        } else if ((reactor->stopping && now - reactor->stop_ms > CUT_AFTER_MS) ||
                   (a->put_aside && now - a->aside_ms > CUT_AFTER_MS))
            account_cut(a);
        else
            account_tick(a, now);
    }
    account_spread_tick(reactor, TICK_MS);
    for (unsigned side = 0; !reactor->stopping && side < SIDE_COUNT; side++)
        maybe_more_links(reactor, side, now);
    /* Somebody is resumed. */
    if (reactor->no_more && !reactor->stopping && batch_user_waits(reactor->batch)) {
        reactor->no_more = false;
        take_users(reactor);
    }
    if (reactor->choked && writer_pressure(reactor->writer) < breathe_bytes(reactor))
        choke(reactor, false);
    if (now - reactor->shown_ms >= SHOW_EVERY_MS) {
        reactor->shown_ms = now;
        show(reactor, now);
    }
}

void reactor_begin(struct reactor *reactor)
{
    reactor->fidelity.rewrites = reactor->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE;
    loop_timer_set(reactor->loop, &reactor->tick, TICK_MS, tick, reactor);
    take_users(reactor);
}

void reactor_abort_run(struct reactor *reactor, const struct err *err)
{
    batch_abort(reactor->batch, err);
}

bool reactor_turned_away(const struct reactor *reactor, enum side side, const struct err *err, bool greeted,
                         unsigned attempts, unsigned *came_seen, struct err *err_r)
{
    const struct presence *presence = &reactor->presence[side];
    unsigned came = presence->came, since = came - *came_seen;

    *came_seen = came;
    return trouble_turned_away(err, greeted, attempts, presence->now, since, err_r);
}
