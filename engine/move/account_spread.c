/* How connections are spread over mailboxes: who gets one more, and who gives one back. engine/move/spread decides;
 * what it decides by is gathered here.
 */
#include "engine/move/account_private.h"

#include "engine/move/batch.h"
#include "engine/move/login.h"
#include "engine/move/pull.h"
#include "engine/move/push.h"
#include "engine/settings/side.h"
#include "io/base/log.h"

/* Who gave a connection back asks for no other one so soon. */
#define GAVE_BACK_MS 10000u
/* What an APPEND takes at Exchange Online before this run has seen one. */
#define EXCHANGE_APPEND_US 80000u

static uint64_t now_of(const struct account *account)
{
    return loop_now_ms(account->reactor->loop);
}

/* ---- what is known ------------------------------------------------------------------------- */

void account_answered(struct worker *w, uint64_t sent_ms)
{
    uint64_t now = now_of(w->account), from = sent_ms;

    /* Until then the server had the one before it in hand. */
    if (w->answered_ms > from)
        from = w->answered_ms;
    w->answered_ms = now;
    spread_answered(&w->account->reactor->lines[SIDE_TARGET], (now - from) * 1000);
}

static struct spread_line line_of(const struct account *account, enum side side)
{
    struct spread_line line = account->reactor->lines[side];

    if (line.answer_us == 0 &&
        settings_endpoint(account->reactor->settings, side)->preset == SETTINGS_PRESET_EXCHANGE_ONLINE)
        line.answer_us = EXCHANGE_APPEND_US;
    return line;
}

/* It has a connection, or gets its first one as far as nothing has gone wrong yet. */
static bool stands(const struct account *account, enum side side_index)
{
    const struct account_side *side = &account->sides[side_index];

    return !account_held(account, side_index) &&
           (side->ready_count > 0 || (side->worker_count > 0 && !side->worked && side->workers->attempts == 0));
}

static void look(struct account *account, enum side side_index)
{
    struct account_side *side = &account->sides[side_index];
    bool fetches = account_uses(account, SIDE_SOURCE);
    unsigned folders;

    side->left = 0;
    side->left_unknown = false;
    side->at_work = 0;
    if (account->phase != ACCOUNT_WORKING || !stands(account, side_index))
        return;
    side->left = fetches ? pull_left(account, &folders) : 0;
    if (side_index == SIDE_TARGET)
        side->left += account->total.spooled;
    side->left_unknown = fetches && !account->sides[SIDE_SOURCE].listed && stands(account, SIDE_SOURCE);
    if (side->left > 0 || side->left_unknown)
        side->at_work = side->links ? side->links : 1;
}

/* Those of other mailboxes. What this one told before is among what the reactors told. */
static void look_at_others(const struct account *account, enum side side_index, struct spread_others *others_r)
{
    const struct account_side *side = &account->sides[side_index];

    batch_spread(account->reactor->batch, side_index, others_r);
    others_r->links -= side->at_work < others_r->links ? side->at_work : others_r->links;
    others_r->left -= side->left < others_r->left ? side->left : others_r->left;
    if (side->left_unknown && others_r->unknown > 0)
        others_r->unknown--;
}

static struct worker *ready_one(const struct account_side *side)
{
    for (struct worker *w = side->workers; w; w = w->next)
        if (w->link && link_is_ready(w->link))
            return w;
    return NULL;
}

static enum spread_why another(struct account *account, enum side side_index)
{
    const struct account_side *side = &account->sides[side_index];
    struct worker *w = ready_one(side);
    struct spread_line line = line_of(account, side_index);
    struct spread_others others;
    struct spread_mailbox m = {
        .links = side->links,
        .most = settings_endpoint(account->reactor->settings, side_index)->connections_per_user,
        .rounds_x64 = PULL_ROUNDS_X64,
    };

    if (!w)
        return SPREAD_NOT;
    if (side_index == SIDE_SOURCE) {
        m.left = m.ready = pull_left(account, &m.folders);
    } else {
        m.ready = account->total.spooled;
        m.left = m.ready > side->left ? m.ready : side->left;
        m.rounds_x64 = push_rounds_x64(w);
    }
    look_at_others(account, side_index, &others);
    return spread_another(&line, &m, &others);
}

/* ---- one more ------------------------------------------------------------------------------ */

static bool may_have_more(const struct account *account, enum side side_index)
{
    const struct account_side *side = &account->sides[side_index];
    uint64_t now = now_of(account);

    return reactor_spare_links(account->reactor, side_index) > 0 && login_has_room(side, now) &&
           (side->gave_back_ms == 0 || now - side->gave_back_ms >= GAVE_BACK_MS);
}

/* only: for no other reason than this; SPREAD_NOT: for any. */
static bool open_another(struct account *account, enum side side, struct worker *idle, enum spread_why only)
{
    enum spread_why why = may_have_more(account, side) ? another(account, side) : SPREAD_NOT;
    struct worker *w = idle;

    if (why == SPREAD_NOT || (only != SPREAD_NOT && why != only))
        return false;
    if (!w)
        w = account_worker_create(account, side);
    account_worker_open(w);
    if (!w->link)
        return false;
    log_line(LOG_INFO, "connections.another", "user=%s side=%s now=%u why=%s", account->user->email_address,
             side_name(side), account->sides[side].links, spread_name(why));
    return true;
}

void account_spread_links(struct account *account, const struct worker *w)
{
    if (account_only_looks(account))
        return;
    /* What the others are at is not known in the first moments; what a line takes is. */
    while (open_another(account, w->side, NULL, SPREAD_WAITS))
        ;
}

void account_maybe_more_links(struct account *account, enum side side_index)
{
    struct account_side *side = &account->sides[side_index];
    struct worker *idle = NULL;

    if (!side->listed || account_held(account, side_index))
        return;
    for (struct worker *w = side->workers; w; w = w->next) {
        if (!w->link && !loop_timer_is_set(&w->again))
            idle = w;
        else if (!w->link || !link_is_ready(w->link) || (!w->busy && w->inflight == 0))
            return; /* one is on its way, or free already */
    }
    if (side_index == SIDE_SOURCE ? pull_has_room(account, side->links) : push_has_room(account, side->links))
        (void)open_another(account, side_index, idle, SPREAD_NOT);
}

/* ---- given back ---------------------------------------------------------------------------- */

static bool waits_for_first(const struct account *account, enum side side_index)
{
    const struct account_side *side = &account->sides[side_index];

    if (side->links > 0 || !account_wants_links(account, side_index) || account_held(account, side_index))
        return false;
    for (const struct worker *w = side->workers; w; w = w->next)
        if (w->waits == STALL_CONNECTION_LIMIT && !loop_timer_is_set(&w->again))
            return true;
    return false;
}

static unsigned leaving(const struct account *account, enum side side)
{
    unsigned count = 0;

    for (const struct worker *w = account->sides[side].workers; w; w = w->next)
        count += w->leaves;
    return count;
}

/* The connection of this mailbox that has least to finish; NULL: none can be spared. */
static struct worker *least_busy(const struct account *account, enum side side)
{
    struct worker *best = NULL;

    if (account->sides[side].ready_count < 2u + leaving(account, side))
        return NULL;
    for (struct worker *w = account->sides[side].workers; w; w = w->next)
        if (w->link && link_is_ready(w->link) && !w->leaves && !w->lists &&
            (!best || w->busy < best->busy || (w->busy == best->busy && w->inflight < best->inflight)))
            best = w;
    return best;
}

static void give_one_back(struct reactor *reactor, enum side side)
{
    struct account *most = NULL;
    struct worker *w;

    for (struct account *a = reactor->accounts; a; a = a->next)
        if (least_busy(a, side) && (!most || a->sides[side].ready_count > most->sides[side].ready_count))
            most = a;
    if (!most)
        return;
    w = least_busy(most, side);
    w->leaves = w->draining = true;
    most->sides[side].gave_back_ms = now_of(most);
    log_line(LOG_INFO, "connections.back", "user=%s side=%s now=%u", most->user->email_address, side_name(side),
             most->sides[side].links - 1);
    worker_idle(w); /* it ends its connection as soon as nothing is in flight there */
}

static void tick_side(struct reactor *reactor, enum side side, uint32_t tick_ms)
{
    uint64_t left = 0, moved = side == SIDE_SOURCE ? reactor->counters.fetched : reactor->counters.uploaded;
    unsigned unknown = 0, at_work = 0, busy = 0, waiting = 0, leave = 0;

    for (struct account *a = reactor->accounts; a; a = a->next) {
        struct account_side *s = &a->sides[side];

        for (const struct worker *w = s->workers; w; w = w->next)
            busy += w->inflight > 0;
        waiting += waits_for_first(a, side);
        leave += leaving(a, side);
        look(a, side);
        left += s->left;
        unknown += s->left_unknown;
        at_work += s->at_work;
    }
    atomic_store_explicit(&reactor->counters.left[side], left, memory_order_relaxed);
    atomic_store_explicit(&reactor->counters.unknown[side], unknown, memory_order_relaxed);
    atomic_store_explicit(&reactor->counters.at_work[side], at_work, memory_order_relaxed);
    spread_moved(&reactor->lines[side], (uint64_t)busy * tick_ms * 1000, moved - reactor->moved[side]);
    reactor->moved[side] = moved;
    if (waiting > leave && !reactor_has_link(reactor, side))
        give_one_back(reactor, side);
}

void account_spread_tick(struct reactor *reactor, uint32_t tick_ms)
{
    for (enum side side = SIDE_SOURCE; side < SIDE_COUNT; side++)
        if (reactor_uses(reactor, side))
            tick_side(reactor, side, tick_ms);
}
