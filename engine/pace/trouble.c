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
#define SCOUT_EVERY_MS  10000  /* one connects while all rest for lost connections */
#define ASK_AGAIN_MS    10000  /* a wait may end early: pace_up_again */
#define SLOT_KEPT_MS    5000   /* a place in the order of connects is kept so long */
#define OPEN_LIMITED_MS 600000 /* an open server's connects are limited so long after a drop */
#define LATER_MOST      1      /* a lane: taken of what was sent after a refusal by the tenant */
#define LATER_MOST_DROP 10     /* the same after lost connections */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void pace_lane_silence(struct lane *lane, uint64_t until_ms, uint64_t now)
{
    uint64_t from = lane->silent_ms > now ? lane->silent_ms : now;

    if (until_ms <= from)
        return;
    lane->throttled_ms += until_ms - from;
    lane->silent_ms = until_ms;
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
    struct strike_group group;
    struct law_cut cut;
    uint64_t wait_ms, until_ms;

    now = pace_advance(p, now);
    if (hint_ms > 0)
        wait_ms = backoff_hint_ms(hint_ms);
    else
        wait_ms = backoff_ms(HINTLESS_MS, lane->throttle_step, HINTLESS_MAX_MS);
    pace_lane_cut(p, lane, wait_ms);
    if (hint_ms <= 0 && lane->hold_ms <= now && lane->throttle_step < 31)
        lane->throttle_step++;
    lane->throttle_replies++;
    lane->struck = true;
    p->throttle_replies++;
    until_ms = now + backoff_jitter(wait_ms, HINT_JITTER, &p->prng);
    if (until_ms > lane->hold_ms)
        lane->hold_ms = until_ms;
    pace_lane_silence(lane, lane->hold_ms, now);
    pace_end_permits(p, index, permits);
    lane->struck_ms = now ? now : 1;
    pace_trial_refused(p, index, wait_ms);
    if (now >= p->law.gate_ms && strikes_add(&p->throttles, index, wait_ms, now, LATER_MOST, &group) &&
        !pace_trial_begin(p, &group)) {
        cut = law_measure(&p->law, now);
        law_throttled(&p->law, &cut, group.longest_ms, now);
        pace_silence_all(p);
    }
    pace_place(p, index);
}

/* It doubles while the mailbox hears nothing at all. One that logs in and then loses every message
 * waits for a part of the time in which it does; not so after a throttle reply, for Exchange lets a
 * throttled mailbox log in, then hangs up. Where nothing answers anybody, the gate is the pause;
 * that one may always try, no mailbox waits longer than half of it. */
static uint64_t drop_wait_ms(const struct pace *p, struct lane *lane)
{
    uint64_t max_ms = p->down ? p->config.drop_gate_ms / 2 : DROP_MAX_MS;
    uint64_t wait_ms = backoff_lasted_ms(lane->lost_ms, p->now);

    if (lane->heard && !lane->struck)
        lane->drop_step = 0;
    wait_ms = most(wait_ms, backoff_ms(p->config.drop_ms, lane->drop_step, max_ms));
    if (lane->drop_step < 31)
        lane->drop_step++;
    if (lane->lost_ms == 0)
        lane->lost_ms = p->now ? p->now : 1;
    lane->heard = false;
    return least(wait_ms, max_ms);
}

void pace_dropped(struct pace *p, uint32_t index, uint32_t permits, uint64_t now)
{
    struct lane *lane = pace_lane(p, index);
    struct strike_group group;
    bool tenant = false;
    uint64_t wait_ms;

    now = pace_advance(p, now);
    p->drop_count++;
    p->drop_ms = now ? now : 1;
    if (lane->drop_ms == 0 || now >= lane->drop_ms + SAME_DROP_MS) {
        wait_ms = backoff_jitter(drop_wait_ms(p, lane), DROP_JITTER, &p->prng);
        if (now + wait_ms > lane->drop_hold_ms)
            lane->drop_hold_ms = now + wait_ms;
        if (wait_ms < p->config.reconnect_ms_min)
            wait_ms = p->config.reconnect_ms_min;
        if (now + wait_ms > lane->reconnect_ms)
            lane->reconnect_ms = now + wait_ms;
        lane->drop_ms = now ? now : 1;
        /* After a throttle reply Exchange hangs up: that was one piece of news, not two. */
        if (!law_gated(&p->law, now) && lane->silent_ms <= now)
            tenant = strikes_add(&p->drops, index, wait_ms, now, LATER_MOST_DROP, &group);
    }
    pace_trial_void(p, index);
    pace_end_permits(p, index, permits);
    if (tenant) {
        bool heard = p->heard_ms > group.since_ms;

        law_dropped(&p->law, heard, now);
        p->down = !heard;
        p->loses = true;
    }
    pace_place(p, index);
}

void pace_up_again(struct pace *p, bool taken)
{
    p->down = false;
    p->loses &= !taken;
    for (uint32_t i = 0; i < p->lane_count; i++) {
        struct lane *lane = &p->lanes[i];
        uint64_t reconnect_ms = lane->drop_ms + p->config.reconnect_ms_min;
        uint64_t lasted_ms = backoff_lasted_ms(lane->lost_ms, lane->drop_ms);

        if (!lane->live || lane->drop_hold_ms <= p->now)
            continue;
        /* Its own messages may be lost yet. */
        if (taken)
            lasted_ms = 0;
        lane->drop_hold_ms = least(lane->drop_hold_ms, most(p->now, lane->drop_ms + lasted_ms));
        lane->reconnect_ms = least(lane->reconnect_ms, most(reconnect_ms, lane->drop_hold_ms));
        pace_place(p, i);
    }
}

static bool connects_limited(const struct pace *p)
{
    return p->config.mode == PACE_MODE_EXCHANGE || law_limited(&p->law) ||
           (p->drop_ms != 0 && p->now < p->drop_ms + OPEN_LIMITED_MS);
}

/* The lane's place has come. When the caller was held up, the places of several have: those beyond
 * what may go now wait a little longer, or a busy machine would make a storm of an even flow. */
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
    uint64_t asked_for, earliest;

    now = pace_advance(p, now);
    asked_for = most(lane->hold_ms, p->law.gate_ms);
    earliest = most(asked_for, most(lane->reconnect_ms, lane->drop_hold_ms));
    if (earliest > now) {
        /* No place is taken before its time, or a lane with a long hold would make others wait. */
        lane->slot_ms = 0;
        return least(earliest, most(asked_for, now + ASK_AGAIN_MS));
    }
    /* Whether the server is there again only a connection can tell. */
    if (now < p->law.line_ms) {
        lane->slot_ms = 0;
        if (now < p->scout_ms)
            return least(p->scout_ms, p->law.line_ms);
        p->scout_ms = now + SCOUT_EVERY_MS;
        return 0;
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

    lane->slot_ms = 0;
    pace_heard(p, index, now);
}

void pace_heard(struct pace *p, uint32_t index, uint64_t now)
{
    pace_lane(p, index)->heard = true;
    law_heard(&p->law, pace_advance(p, now));
    p->heard_ms = p->now;
    if (p->down)
        pace_up_again(p, false);
}

bool pace_listens(const struct pace *p)
{
    return p->down || p->now < p->law.line_ms;
}
