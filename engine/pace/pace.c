#include "engine/pace/pace.h"

#include "engine/pace/lane.h"
#include "io/base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FAIR_LAG       30    /* cost: the credit a lane may bring back from a hold */
#define GRANTS_A_POLL  65536 /* a caller that wants again from inside `granted` ends somewhere */
#define RETRY_SHARE    0.1
#define RETRY_PER_S    0.1
#define RETRY_BURST    20
#define LANE_RECENT_MS 5000

void pace_config_init(struct pace_config *config, enum pace_mode mode)
{
    bool open = mode == PACE_MODE_OPEN;

    *config = (struct pace_config){
        .mode = mode,
        .process_count = 1,
        .cost_bytes = 100000,
        .start_rate = 2,
        .start_double_ms = 5000,
        .start_quick_ms = 60000,
        .start_slow_ms = 30000,
        .brake_ratio = 1.5,
        .probe_after_ms = 600000,
        .probe_per_min = 1.01,
        .probe_beyond_per_min = 1.03,
        .connects_per_s = open ? 20 : 2,
        .connect_burst = open ? 20 : 5,
        .reconnect_ms_min = open ? 1000 : 10000,
        .drop_ms = open ? 1000 : 5000,
        .drop_gate_first_ms = open ? 1000 : 5000,
        .drop_gate_ms = open ? 5000 : 60000,
    };
}

void pace_share_connects(struct pace *p, uint32_t processes)
{
    uint32_t burst = p->config.connect_burst / processes;

    slots_set(&p->connects, p->config.connects_per_s / processes, burst ? burst : 1);
    p->leaves.tokens = fmin(p->leaves.tokens, p->connects.burst);
}

void pace_create(const struct pace_config *config, uint64_t now, struct pace **pace_r)
{
    struct pace *p = mem_zero(1, sizeof(*p));

    assert(config->process_count >= 1 && config->cost_bytes >= 1 && config->start_rate > 0);
    assert(config->start_double_ms > 0 && config->start_slow_ms > 0 && config->brake_ratio > 1);
    assert(config->probe_per_min >= 1 && config->probe_beyond_per_min >= 1);
    p->config = *config;
    p->now = now;
    p->prng.state = config->seed;
    p->idle_since_ms = now;
    law_init(&p->law, &p->config, now);
    fair_init(&p->fair, FAIR_LAG);
    heap_init(&p->later);
    pace_share_connects(p, config->process_count);
    bucket_init(&p->leaves, p->connects.burst, now);
    bucket_init(&p->retries, 1, now);
    *pace_r = p;
}

void pace_destroy(struct pace **pace)
{
    struct pace *p = *pace;

    *pace = NULL;
    if (!p)
        return;
    fair_deinit(&p->fair);
    heap_deinit(&p->later);
    free(p->lanes);
    free(p->free_lanes);
    free(p);
}

uint64_t pace_advance(struct pace *p, uint64_t now)
{
    if (now > p->now)
        p->now = now;
    law_advance(&p->law, p->now);
    return p->now;
}

struct lane *pace_lane(const struct pace *p, uint32_t lane)
{
    assert(lane < p->lane_count && p->lanes[lane].live);
    return &p->lanes[lane];
}

static double pace_cost(const struct pace *p, uint64_t bytes)
{
    return 1 + (double)bytes / p->config.cost_bytes;
}

uint32_t pace_lane_add(struct pace *p, double weight)
{
    struct lane *lane;
    uint32_t index;

    if (p->free_count > 0) {
        index = p->free_lanes[--p->free_count];
    } else {
        assert(p->lane_count < PACE_LANES_MAX);
        if (p->lane_count == p->lane_room) {
            p->lane_room = p->lane_room ? 2 * p->lane_room : 16;
            p->lanes = mem_resize(p->lanes, p->lane_room, sizeof(*p->lanes));
            p->free_lanes = mem_resize(p->free_lanes, p->lane_room, sizeof(*p->free_lanes));
            fair_reserve(&p->fair, p->lane_room);
            heap_reserve(&p->later, p->lane_room);
        }
        index = p->lane_count++;
    }
    lane = &p->lanes[index];
    memset(lane, 0, sizeof(*lane));
    lane->live = true;
    lane->busy_ms = p->now;
    meter_init(&lane->accepted, METER_LANE_MS, p->now);
    average_init(&lane->recent, LANE_RECENT_MS, p->now);
    fair_start(&p->fair, index, weight);
    p->lanes_live++;
    return index;
}

static void note_idle(struct pace *p)
{
    bool busy;

    p->law.hungry = p->later.count > 0 || !fair_empty(&p->fair);
    busy = p->in_flight > 0 || p->law.hungry;
    if (busy)
        p->idle_since_ms = 0;
    else if (p->idle_since_ms == 0)
        p->idle_since_ms = p->now ? p->now : 1;
}

void pace_lane_remove(struct pace *p, uint32_t index)
{
    struct lane *lane = pace_lane(p, index);

    p->in_flight -= lane->in_flight;
    pace_trial_void(p, index);
    pace_lane_leave(p, lane);
    fair_leave(&p->fair, index);
    heap_remove(&p->later, index);
    lane->live = false;
    p->free_lanes[p->free_count++] = index;
    p->lanes_live--;
    note_idle(p);
}

/* Milliseconds `now` at which the lane may be served; <= p->now: at once. */
static uint64_t lane_free_ms(struct pace *p, struct lane *lane)
{
    /* What a long hold teaches others need not wait for its end. */
    if (lane->cut_pending && lane->cut_est >= 0 && lane->hold_ms > p->now) {
        uint64_t known_ms = lane->cut_ms + STRIKES_WITHIN_MS + 1;

        if (p->now >= known_ms)
            pace_lane_judge(p, lane);
        else if (known_ms < lane->hold_ms)
            return known_ms;
    }
    if (lane->hold_ms > p->now || lane->drop_hold_ms > p->now)
        return lane->hold_ms > lane->drop_hold_ms ? lane->hold_ms : lane->drop_hold_ms;
    pace_lane_judge(p, lane);
    if (lane->rate <= 0)
        return p->now;
    bucket_refill(&lane->tokens, lane->rate, pace_lane_burst(lane), p->now);
    if (bucket_holds(&lane->tokens, 0))
        return p->now;
    return p->now + bucket_wait_ms(&lane->tokens, lane->rate, 0);
}

void pace_place(struct pace *p, uint32_t index)
{
    struct lane *lane = pace_lane(p, index);

    if (lane->want_count == 0) {
        fair_leave(&p->fair, index);
        heap_remove(&p->later, index);
    } else {
        uint64_t free_ms = lane_free_ms(p, lane);

        if (free_ms > p->now) {
            fair_leave(&p->fair, index);
            heap_put(&p->later, index, (double)free_ms);
        } else {
            heap_remove(&p->later, index);
            fair_enter(&p->fair, index);
        }
    }
    note_idle(p);
}

bool pace_want(struct pace *p, uint32_t index, uint64_t bytes, uint64_t now)
{
    struct lane *lane = pace_lane(p, index);

    now = pace_advance(p, now);
    if (lane->want_count == PACE_WANTS_MAX)
        return false;
    if (p->idle_since_ms != 0 && now >= p->idle_since_ms + PACE_IDLE_MS && !law_gated(&p->law, now))
        law_was_idle(&p->law, now);
    if (lane->want_count == 0 && lane->in_flight == 0 && now >= lane->busy_ms + PACE_IDLE_MS)
        pace_lane_was_idle(p, lane);
    lane->wants[(lane->want_first + lane->want_count++) % PACE_WANTS_MAX] = bytes;
    pace_place(p, index);
    return true;
}

static uint32_t cancel(struct pace *p, uint32_t index, uint32_t most, uint64_t now)
{
    struct lane *lane = pace_lane(p, index);
    uint32_t count = lane->want_count < most ? lane->want_count : most;

    pace_advance(p, now);
    lane->want_count = (uint8_t)(lane->want_count - count);
    lane->busy_ms = p->now;
    pace_place(p, index);
    return count;
}

uint32_t pace_cancel_want(struct pace *p, uint32_t index, uint64_t now)
{
    return cancel(p, index, 1, now);
}

uint32_t pace_cancel_wants(struct pace *p, uint32_t index, uint64_t now)
{
    return cancel(p, index, PACE_WANTS_MAX, now);
}

static void release_due(struct pace *p)
{
    while (p->later.count > 0 && heap_top_key(&p->later) <= (double)p->now) {
        uint32_t index = heap_top(&p->later);

        /* Its time has come or it gets a later one: the loop ends. */
        pace_place(p, index);
    }
}

static uint64_t grant(struct pace *p, uint32_t index)
{
    struct lane *lane = pace_lane(p, index);
    uint64_t bytes = lane->wants[lane->want_first];
    double cost = pace_cost(p, bytes);

    assert(lane->want_count > 0 && lane->hold_ms <= p->now && !law_gated(&p->law, p->now));
    lane->want_first = (lane->want_first + 1) % PACE_WANTS_MAX;
    lane->want_count--;
    lane->in_flight++;
    p->in_flight++;
    fair_serve(&p->fair, index, cost);
    law_take(&p->law, cost);
    if (lane->rate > 0) {
        pace_lane_used(p, lane);
        lane->tokens.tokens -= cost;
    }
    lane->busy_ms = p->now;
    pace_place(p, index);
    return bytes;
}

uint64_t pace_poll(struct pace *p, uint64_t now, pace_granted *granted, void *context)
{
    uint64_t next = PACE_NEVER;

    assert(!p->polling);
    p->polling = true;
    now = pace_advance(p, now);
    for (uint32_t grants = 0;; grants++) {
        uint32_t index;

        release_due(p);
        if (fair_empty(&p->fair) && !p->trial.on) {
            if (p->later.count > 0)
                next = (uint64_t)heap_top_key(&p->later);
            if (p->later.count > 0 && law_gated(&p->law, now) && next < law_gate(&p->law))
                next = law_gate(&p->law);
            break;
        }
        next = law_ask(&p->law, now);
        if (next != 0)
            break;
        next = PACE_NEVER;
        if (p->in_flight >= law_in_flight_limit(&p->law))
            break;
        if (grants == GRANTS_A_POLL) {
            next = now + 1;
            break;
        }
        if (p->trial.on) {
            next = pace_trial_ask(p, &index);
            if (next != 0)
                break;
            if (!p->trial.on)
                continue;
            /* It may have waited for its own rate. */
            heap_remove(&p->later, index);
            fair_enter(&p->fair, index);
        } else {
            index = fair_first(&p->fair);
        }
        granted(context, index, grant(p, index));
    }
    p->polling = false;
    return next;
}

void pace_end_permits(struct pace *p, uint32_t index, uint32_t permits)
{
    struct lane *lane = pace_lane(p, index);

    assert(permits <= lane->in_flight && permits <= p->in_flight);
    lane->in_flight -= permits;
    p->in_flight -= permits;
    lane->busy_ms = p->now;
    note_idle(p);
}

void pace_answered(struct pace *p, uint32_t index, uint64_t bytes, uint32_t latency_ms, uint64_t now)
{
    struct lane *lane = pace_lane(p, index);
    double cost = pace_cost(p, bytes);
    uint64_t sent_ms;

    now = pace_advance(p, now);
    sent_ms = now > latency_ms ? now - latency_ms : 0;
    pace_end_permits(p, index, 1);
    law_answered(&p->law, cost, latency_ms, now);
    strikes_success(&p->throttles, sent_ms);
    strikes_success(&p->drops, sent_ms);
    pace_trial_taken(p, index, sent_ms);
    meter_add(&lane->accepted, cost, now);
    average_add(&lane->recent, cost, now);
    lane->cost_accepted += cost;
    pace_wary_sent(p, index);
    lane->throttle_step = 0;
    lane->drop_step = 0;
    lane->lost_ms = 0;
    lane->heard = true;
    lane->struck = false;
    if (p->loses)
        pace_up_again(p, true);
    p->cost_accepted += cost;
    p->messages_accepted++;
    p->bytes_accepted += bytes;
    bucket_refill(&p->retries, RETRY_PER_S, RETRY_BURST, now);
    p->retries.tokens = fmin(p->retries.tokens + RETRY_SHARE, RETRY_BURST);
}

void pace_refused(struct pace *p, uint32_t index, uint64_t now)
{
    pace_advance(p, now);
    pace_trial_void(p, index);
    pace_end_permits(p, index, 1);
}

void pace_gave_back(struct pace *p, uint32_t index, uint64_t bytes, uint64_t now)
{
    struct lane *lane = pace_lane(p, index);
    double cost = pace_cost(p, bytes);

    pace_advance(p, now);
    pace_end_permits(p, index, 1);
    law_take(&p->law, -cost);
    pace_trial_void(p, index);
    if (lane->rate > 0)
        lane->tokens.tokens += cost;
    fair_refund(&p->fair, index, cost);
    pace_place(p, index);
}

void pace_resize(struct pace *p, uint32_t index, uint64_t granted, uint64_t used, uint64_t now)
{
    struct lane *lane = pace_lane(p, index);
    double more = pace_cost(p, used) - pace_cost(p, granted);

    pace_advance(p, now);
    law_take(&p->law, more);
    if (lane->rate > 0)
        lane->tokens.tokens -= more;
    fair_refund(&p->fair, index, -more);
    pace_place(p, index);
}

uint64_t pace_gate(const struct pace *p)
{
    uint64_t gate = law_gate(&p->law);

    /* What was granted before the tenant was suspected would be sent into its back-off. */
    return p->trial.on && p->trial.open_ms > gate ? p->trial.open_ms : gate;
}

uint64_t pace_asked_gate(const struct pace *p)
{
    return p->law.gate_ms;
}

uint64_t pace_retry_ask(struct pace *p, uint64_t now)
{
    now = pace_advance(p, now);
    bucket_refill(&p->retries, RETRY_PER_S, RETRY_BURST, now);
    if (!bucket_holds(&p->retries, 1))
        return now + bucket_wait_ms(&p->retries, RETRY_PER_S, 1);
    p->retries.tokens -= 1;
    return 0;
}
