/* Throttle replies, lost connections and the order of new ones (engine/pace/pace.h). */
#include "engine/pace/lane.h"

#include <assert.h>
#include <math.h>

#define HINTLESS_MS     30000
#define HINTLESS_MAX_MS 900000
#define HINT_JITTER     0.1
#define DROP_MAX_MS     300000
#define DROP_JITTER     0.25
#define SAME_DROP_MS    2000   /* connections of a lane lost together are one drop */
#define SLOT_KEPT_MS    5000   /* a place in the order of connects is kept so long */
#define OPEN_LIMITED_MS 600000 /* an open server's connects are limited so long after a drop */
#define LANE_RATE_MIN   0.01
#define LANE_LEARN_COST 20.0 /* accepted between two cuts: less teaches nothing */
#define CONFIRM_SHARE   0.15
#define CONFIRMED_MAX   4 /* with thousands of lanes, each probing every 10 min is a flood */
#define STRUCK_TURN_MS  3600000
#define SUCCESSES_FEW   10   /* a lane: the server refuses all, but for what was under way */
#define SUCCESSES_SOME  1000 /* a fifth of the lanes struck within the hour: any three do */

void pace_lane_silence(struct lane *lane, uint64_t until_ms, uint64_t now)
{
    uint64_t from = lane->silent_ms > now ? lane->silent_ms : now;

    if (until_ms <= from)
        return;
    lane->throttled_ms += until_ms - from;
    lane->silent_ms = until_ms;
}

/* A tenant event explains the lanes' throttles around it: those teach nothing about a lane. */
static bool tenant_was_it(const struct pace *p, const struct lane *lane)
{
    return p->law.event_ms != 0 && p->law.event_ms + STRIKES_WITHIN_MS >= lane->cut_ms;
}

uint64_t pace_lane_trust_ms(const struct pace *p, const struct lane *lane)
{
    return (uint64_t)p->config.probe_after_ms << lane->confirmed;
}

void pace_lane_judge(struct pace *p, struct lane *lane)
{
    double learnt;

    if (!lane->cut_pending)
        return;
    lane->cut_pending = false;
    if (tenant_was_it(p, lane) || lane->cut_est < 0)
        return;
    learnt = fmax(law_learn(lane->rate_hat, lane->cut_est, true), LANE_RATE_MIN);
    if (fabs(learnt - lane->rate_hat) > CONFIRM_SHARE * learnt)
        lane->confirmed = 0;
    else if (lane->confirmed < CONFIRMED_MAX)
        lane->confirmed++;
    lane->rate_hat = learnt;
    lane->rate = LAW_SAFETY * lane->rate_hat;
    bucket_init(&lane->tokens, 0, p->now);
    /* Counted from the throttle on: the pause belongs to the time in which the server refilled. */
    meter_restart(&lane->accepted, lane->cut_ms);
    lane->quiet_ms = p->now;
    lane->grown_ms = p->now;
}

static bool strike(struct pace *p, struct strikes *s, uint32_t index, uint64_t wait_ms,
                   uint32_t successes_most, uint64_t *group_ms_r)
{
    struct strike one = {
        .at_ms = p->now,
        .wait_ms = wait_ms,
        .successes = p->messages_accepted,
        .in_flight = p->in_flight,
        .lane = index,
    };

    return strikes_add(s, &one, successes_most, group_ms_r);
}

/* When most mailboxes have the same limit of their own, they reach it in turn; to learn it a
 * hundred times over costs three times the throttle replies that one pause for all does. When a few
 * have one, pausing all for them costs up to four fifths of the throughput. */
static uint32_t successes_most(struct pace *p, struct lane *lane)
{
    uint32_t turn = (uint32_t)(p->now / STRUCK_TURN_MS + 1);
    uint32_t most;

    if (turn != p->struck_turn) {
        p->struck_lanes_before = turn == p->struck_turn + 1 ? p->struck_lanes : 0;
        p->struck_lanes = 0;
        p->struck_turn = turn;
    }
    if (lane->struck_turn != turn) {
        lane->struck_turn = turn;
        p->struck_lanes++;
    }
    most = p->struck_lanes > p->struck_lanes_before ? p->struck_lanes : p->struck_lanes_before;
    return most >= p->lanes_live / 5 ? SUCCESSES_SOME : SUCCESSES_FEW;
}

void pace_silence_all(struct pace *p)
{
    for (uint32_t i = 0; i < p->lane_count; i++)
        if (p->lanes[i].live)
            pace_lane_silence(&p->lanes[i], p->law.gate_ms, p->now);
}

void pace_throttled(struct pace *p, uint32_t index, uint32_t permits, int64_t hint_ms, uint64_t now)
{
    struct lane *lane = pace_lane(p, index);
    bool tenant = false;
    uint64_t wait_ms, group_ms, until_ms;

    now = pace_advance(p, now);
    /* An answer that was on its way when the gate closed tells nothing new but its own hint. */
    if (!law_gated(&p->law, now) && !lane->cut_pending) {
        lane->cut_pending = true;
        lane->cut_ms = now;
        lane->cut_est = meter_rate(&lane->accepted, now);
        if (lane->cut_est * (double)meter_span_ms(&lane->accepted, now) < LANE_LEARN_COST * 1000)
            lane->cut_est = -1;
    }
    if (hint_ms > 0)
        wait_ms = backoff_hint_ms(hint_ms);
    else
        wait_ms = backoff_ms(HINTLESS_MS, lane->throttle_step, HINTLESS_MAX_MS);
    if (hint_ms <= 0 && lane->hold_ms <= now && lane->throttle_step < 31)
        lane->throttle_step++;
    lane->throttle_replies++;
    p->throttle_replies++;
    until_ms = now + backoff_jitter(wait_ms, HINT_JITTER, &p->prng);
    if (until_ms > lane->hold_ms)
        lane->hold_ms = until_ms;
    pace_lane_silence(lane, lane->hold_ms, now);
    if (!law_gated(&p->law, now))
        tenant = strike(p, &p->throttles, index, wait_ms, successes_most(p, lane), &group_ms);
    pace_end_permits(p, index, permits);
    if (tenant) {
        law_throttled(&p->law, group_ms, now);
        pace_silence_all(p);
    }
    pace_place(p, index);
}

void pace_dropped(struct pace *p, uint32_t index, uint32_t permits, uint64_t now)
{
    struct lane *lane = pace_lane(p, index);
    bool tenant = false;
    uint64_t wait_ms, group_ms;

    now = pace_advance(p, now);
    p->drop_count++;
    p->drop_ms = now ? now : 1;
    if (lane->drop_ms == 0 || now >= lane->drop_ms + SAME_DROP_MS) {
        wait_ms = backoff_ms(p->config.drop_ms, lane->drop_step, DROP_MAX_MS);
        if (lane->drop_step < 31)
            lane->drop_step++;
        wait_ms = backoff_jitter(wait_ms, DROP_JITTER, &p->prng);
        if (now + wait_ms > lane->hold_ms)
            lane->hold_ms = now + wait_ms;
        if (wait_ms < p->config.reconnect_ms_min)
            wait_ms = p->config.reconnect_ms_min;
        if (now + wait_ms > lane->reconnect_ms)
            lane->reconnect_ms = now + wait_ms;
        lane->drop_ms = now ? now : 1;
        /* After a throttle reply Exchange hangs up: that was one piece of news, not two. */
        if (!law_gated(&p->law, now) && lane->silent_ms <= now)
            tenant = strike(p, &p->drops, index, wait_ms, SUCCESSES_FEW, &group_ms);
    }
    pace_end_permits(p, index, permits);
    if (tenant)
        law_dropped(&p->law, now);
    pace_place(p, index);
}

static bool connects_limited(const struct pace *p)
{
    return p->config.mode == PACE_MODE_EXCHANGE || law_limited(&p->law) ||
           (p->drop_ms != 0 && p->now < p->drop_ms + OPEN_LIMITED_MS);
}

/* The lane's place has come. When the caller was held up, the places of several have: those beyond what
 * may go now wait a little longer, or a busy machine would make a storm of an even flow. */
static uint64_t give_leave(struct pace *p, struct lane *lane, uint64_t now)
{
    (void)bucket_refill(&p->leaves, p->connects.per_s, p->connects.burst, now);
    if (bucket_holds(&p->leaves, 1)) {
        p->leaves.tokens -= 1;
        lane->slot_ms = 0;
    } else {
        lane->slot_ms = now + bucket_wait_ms(&p->leaves, p->connects.per_s, 1);
    }
    return lane->slot_ms;
}

uint64_t pace_connect_ask(struct pace *p, uint32_t index, uint64_t now)
{
    struct lane *lane = pace_lane(p, index);
    uint64_t earliest = lane->reconnect_ms;

    now = pace_advance(p, now);
    if (lane->hold_ms > earliest)
        earliest = lane->hold_ms;
    if (law_gated(&p->law, now) && p->law.gate_ms > earliest)
        earliest = p->law.gate_ms;
    if (earliest > now) {
        /* No place is taken before its time, or a lane with a long hold would make others wait. */
        lane->slot_ms = 0;
        return earliest;
    }
    if (!connects_limited(p))
        return 0;
    if (lane->slot_ms > now)
        return lane->slot_ms;
    if (lane->slot_ms != 0 && now <= lane->slot_ms + SLOT_KEPT_MS)
        return give_leave(p, lane, now);
    lane->slot_ms = slots_take(&p->connects, now);
    return lane->slot_ms > now ? lane->slot_ms : give_leave(p, lane, now);
}

void pace_connected(struct pace *p, uint32_t index, uint64_t now)
{
    struct lane *lane = pace_lane(p, index);

    pace_advance(p, now);
    /* drop_step stays until mail flows: Exchange lets a throttled mailbox log in, then hangs up. */
    lane->slot_ms = 0;
}
