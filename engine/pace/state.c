/* Restart, ledger and views (engine/pace/pace.h). */
#include "engine/pace/lane.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define GATE_MOST_MS INT64_C(3600000)
#define HOLD_MOST_MS INT64_C(3960000) /* an hour's hint with its jitter */
#define RESUME_MS    60000            /* before a rate that was only carried, not learnt, doubles again */
#define IDLE_WEIGHT  0.01             /* a process without waiting mail keeps a little to begin with */

static int64_t to_wall(uint64_t at_ms, uint64_t now, int64_t wall_ms)
{
    return at_ms > now ? wall_ms + (int64_t)(at_ms - now) : 0;
}

/* Times of the clock callers hand in; at most `most_ms` ahead. 0 when past. */
static uint64_t from_wall(int64_t at_wall_ms, uint64_t now, int64_t wall_ms, int64_t most_ms)
{
    if (at_wall_ms <= wall_ms)
        return 0;
    if (at_wall_ms - wall_ms > most_ms)
        return now + (uint64_t)most_ms;
    return now + (uint64_t)(at_wall_ms - wall_ms);
}

void pace_save(const struct pace *p, uint64_t now, int64_t wall_ms, struct pace_saved *saved_r)
{
    const struct law *l = &p->law;

    *saved_r = (struct pace_saved){
        .saved_ms = wall_ms,
        .gate_ms = to_wall(l->gate_ms, now, wall_ms),
        .rate = law_limited(l) ? l->rate : 0,
        .rate_hat = l->rate_hat,
        .phase = (uint32_t)l->phase,
        .throttle_replies = p->throttle_replies > UINT32_MAX ? UINT32_MAX : (uint32_t)p->throttle_replies,
        .cost_accepted = p->cost_accepted,
    };
}

/* A start that never met a limit starts again: the server may be another one. */
static bool is_worth_keeping(const struct pace_saved *saved, int64_t wall_ms)
{
    return wall_ms - saved->saved_ms <= PACE_RATE_OLD_MS && saved->rate > 0 && saved->phase >= PACE_PHASE_CRUISE &&
           saved->phase < PACE_PHASE_COUNT;
}

double pace_saved_rate(const struct pace_saved *saved, int64_t wall_ms)
{
    return !is_worth_keeping(saved, wall_ms) ? 0 : saved->rate_hat > 0 ? saved->rate_hat : saved->rate;
}

void pace_restore(struct pace *p, uint64_t now, int64_t wall_ms, const struct pace_saved *saved)
{
    struct law *l = &p->law;

    now = pace_advance(p, now);
    p->throttle_replies = saved->throttle_replies;
    p->cost_accepted = saved->cost_accepted;
    law_close(l, from_wall(saved->gate_ms, now, wall_ms, GATE_MOST_MS), now);
    pace_silence_all(p);
    if (!is_worth_keeping(saved, wall_ms))
        return;
    l->rate = saved->rate;
    l->rate_hat = saved->rate_hat;
    l->phase = saved->rate_hat > 0 ? PACE_PHASE_LIMITED : PACE_PHASE_CRUISE;
    l->resume_ms = now + RESUME_MS;
    if (l->gate_ms < now)
        l->gate_ms = now;
}

void pace_lane_save(const struct pace *p, uint32_t index, uint64_t now, int64_t wall_ms,
                    struct pace_lane_saved *saved_r)
{
    const struct lane *lane = pace_lane(p, index);

    *saved_r = (struct pace_lane_saved){
        .saved_ms = wall_ms,
        .hold_ms = to_wall(lane->hold_ms, now, wall_ms),
        .rate = lane->rate,
        .rate_hat = pace_lane_rate_hat(lane),
        .throttle_replies = lane->throttle_replies > UINT32_MAX ? UINT32_MAX : (uint32_t)lane->throttle_replies,
    };
}

void pace_lane_restore(struct pace *p, uint32_t index, uint64_t now, int64_t wall_ms,
                       const struct pace_lane_saved *saved)
{
    struct lane *lane = pace_lane(p, index);
    uint64_t hold_ms;

    now = pace_advance(p, now);
    hold_ms = from_wall(saved->hold_ms, now, wall_ms, HOLD_MOST_MS);
    if (hold_ms > lane->hold_ms)
        lane->hold_ms = hold_ms;
    pace_lane_silence(lane, hold_ms, now);
    lane->throttle_replies = saved->throttle_replies;
    if (saved->rate > 0 && saved->rate_hat > 0 && wall_ms - saved->saved_ms <= PACE_RATE_OLD_MS) {
        lane->rate = saved->rate;
        lane->rate_hat = saved->rate_hat;
        bucket_init(&lane->tokens, 0, now);
        lane->quiet_ms = now;
        lane->grown_ms = now;
    }
    pace_place(p, index);
}

static double weight_waiting(const struct pace *p)
{
    double weight = 0;

    for (uint32_t i = 0; i < p->lane_count; i++)
        if (p->lanes[i].live && (p->lanes[i].want_count > 0 || p->lanes[i].in_flight > 0))
            weight += p->fair.weight[i];
    return fmin(fmax(weight, IDLE_WEIGHT), 1e9);
}

void pace_ledger_tell(const struct pace *p, uint64_t process, uint64_t now, int64_t wall_ms,
                      struct ledger_record *record_r)
{
    const struct law *l = &p->law;

    assert(process != 0);
    *record_r = (struct ledger_record){
        .process = process,
        .heartbeat_ms = wall_ms,
        .gate_ms = to_wall(l->gate_ms, now, wall_ms),
        .event_ms = l->event_ms != 0 && now >= l->event_ms ? wall_ms - (int64_t)(now - l->event_ms) : 0,
        .rate = law_limited(l) ? l->rate : 0,
        .rate_hat = l->rate_hat,
        .measured = average_rate(&l->measured, now),
        .weight = weight_waiting(p),
        .in_flight = p->in_flight,
        .phase = (uint32_t)l->phase,
    };
}

/* A peer met a tenant event that we did not: what we sent until then belongs to the same sum, and
 * all must measure from the same cut on. */
static bool hear_event(struct pace *p, const struct ledger_sum *sum, uint64_t now, int64_t wall_ms)
{
    struct law *l = &p->law;
    uint64_t age = wall_ms > sum->event_ms ? (uint64_t)(wall_ms - sum->event_ms) : 0;
    uint64_t at;

    if (sum->event_ms == 0 || now < l->gate_ms || age >= now)
        return false;
    at = now - age;
    if (l->event_ms != 0 && at < l->event_ms + LEDGER_SAME_EVENT_MS)
        return false;
    /* An old event is news only to a process that came later: it taught the others, not us. */
    if (age <= LEDGER_SAME_EVENT_MS) {
        struct law_cut cut = law_measure(l, now);

        law_throttled(l, &cut, 0, now);
    }
    l->event_ms = at;
    return true;
}

static void take_share(struct pace *p, const struct ledger_sum *sum, double weight)
{
    struct law *l = &p->law;
    double rate = sum->rate / sum->rate_weight * sum->weight;
    double rate_hat = sum->rate_hat_weight > 0 ? sum->rate_hat / sum->rate_hat_weight * sum->weight : 0;

    /* One left (done, or dead for a minute): the budget it used is there for the others. */
    if (sum->count < p->peer_count && sum->phase >= PACE_PHASE_CRUISE) {
        rate = fmax(rate, p->peer_rate);
        rate_hat = fmax(rate_hat, p->peer_rate_hat);
    }
    l->rate = fmax(rate * weight / sum->weight, 1e-3);
    l->rate_hat = rate_hat * weight / sum->weight;
    /* Each rests from doubling for itself, or two would keep each other from it for ever. */
    if (sum->phase > (uint32_t)l->phase && sum->phase < PACE_PHASE_COUNT &&
        !(l->phase == PACE_PHASE_START && sum->phase == PACE_PHASE_CRUISE))
        l->phase = (enum pace_phase)sum->phase;
    p->peer_rate = rate;
    p->peer_rate_hat = rate_hat;
}

void pace_ledger_hear(struct pace *p, uint64_t process, const struct ledger_record *peers, size_t count, uint64_t now,
                      int64_t wall_ms)
{
    struct ledger_record own;
    struct ledger_sum sum;
    uint64_t gate_ms;

    now = pace_advance(p, now);
    pace_ledger_tell(p, process, now, wall_ms, &own);
    ledger_merge(&own, peers, count, wall_ms, &sum);
    if (hear_event(p, &sum, now, wall_ms)) {
        pace_ledger_tell(p, process, now, wall_ms, &own);
        /* Taken from the sum, not put into it: see hear_event. */
        if (own.phase < PACE_PHASE_LIMITED)
            own.event_ms = 0;
        ledger_merge(&own, peers, count, wall_ms, &sum);
    }
    gate_ms = from_wall(sum.gate_ms, now, wall_ms, GATE_MOST_MS);
    if (gate_ms > p->law.gate_ms) {
        law_close(&p->law, gate_ms, now);
        pace_silence_all(p);
    }
    if ((sum.count > 1 || p->peer_count > 1) && sum.limited_count > 0 && sum.rate_weight > 0)
        take_share(p, &sum, own.weight);
    if (sum.count != p->peer_count)
        pace_share_connects(p, sum.count > p->config.process_count ? sum.count : p->config.process_count);
    p->peer_count = sum.count;
}

void pace_snapshot(struct pace *p, uint64_t now, struct pace_view *view_r)
{
    const struct law *l = &p->law;

    now = pace_advance(p, now);
    *view_r = (struct pace_view){
        .phase = l->phase,
        .gated = law_gated(l, now),
        .gate_ms = law_gated(l, now) ? law_gate(l) : 0,
        .rate = law_limited(l) ? l->rate : 0,
        .rate_hat = l->rate_hat,
        .measured = average_rate(&l->measured, now),
        .latency_ratio = l->latency.ratio,
        .latency_ms = (uint32_t)fmin(l->latency.typical_ms, 4e9),
        .lanes = p->lanes_live,
        .lanes_waiting = p->fair.waiting.count + p->later.count,
        .lanes_held = p->later.count,
        .in_flight = p->in_flight,
        .in_flight_limit = law_in_flight_limit(l),
        .cost_accepted = p->cost_accepted,
        .messages_accepted = p->messages_accepted,
        .bytes_accepted = p->bytes_accepted,
        .throttle_replies = p->throttle_replies,
        .tenant_events = l->events,
        .brakes = l->brakes,
        .drops = p->drop_count,
        .throttled_ms = l->gated_ms - (law_gated(l, now) ? law_gate(l) - now : 0),
        .lost_ms = l->line_gated_ms - (now < l->line_ms ? l->line_ms - now : 0),
    };
}

void pace_lane_snapshot(struct pace *p, uint32_t index, uint64_t now, struct pace_lane_view *view_r)
{
    const struct lane *lane = pace_lane(p, index);
    uint64_t until;

    now = pace_advance(p, now);
    until = lane->hold_ms > law_gate(&p->law) ? lane->hold_ms : law_gate(&p->law);
    if (lane->drop_hold_ms > until)
        until = lane->drop_hold_ms;
    *view_r = (struct pace_lane_view){
        .held = until > now,
        .hold_ms = until > now ? until : 0,
        .rate = lane->rate,
        .rate_hat = pace_lane_rate_hat(lane),
        .cost_accepted = lane->cost_accepted,
        .wants = lane->want_count,
        .in_flight = lane->in_flight,
        .throttle_replies = lane->throttle_replies,
        .throttled_ms = lane->throttled_ms - (lane->silent_ms > now ? lane->silent_ms - now : 0),
    };
}

const char *pace_phase_name(enum pace_phase phase)
{
    static const char *const names[PACE_PHASE_COUNT] = {
        [PACE_PHASE_OPEN] = "open",       [PACE_PHASE_START] = "start", [PACE_PHASE_CRUISE] = "cruise",
        [PACE_PHASE_LIMITED] = "limited", [PACE_PHASE_PROBE] = "probe",
    };

    assert(phase < PACE_PHASE_COUNT);
    return names[phase];
}
