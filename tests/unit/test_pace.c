/* test: pace
 * The controller call by call; what it does over hours is test_pace_sim.c.
 */
#include "engine/pace/lane.h"
#include "engine/pace/pace.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WALL    INT64_C(1795000000000)
#define HOUR_MS UINT64_C(3600000)
#define T0      UINT64_C(100000)

struct grants {
    uint32_t count;
    uint32_t lanes[8192];
    uint64_t bytes;
};

static void note(void *context, uint32_t lane, uint64_t bytes)
{
    struct grants *g = context;

    assert_true(g->count < 8192);
    g->lanes[g->count++] = lane;
    g->bytes = bytes;
}

static struct grants g;

static uint64_t poll(struct pace *p, uint64_t now)
{
    g.count = 0;
    return pace_poll(p, now, note, &g);
}

static struct pace *make(enum pace_mode mode, uint32_t lanes)
{
    struct pace_config config;
    struct pace *p;

    pace_config_init(&config, mode);
    config.seed = 1;
    pace_create(&config, T0, &p);
    for (uint32_t i = 0; i < lanes; i++)
        assert_int_equal(pace_lane_add(p, 1), i);
    return p;
}

/* Each of `lanes` wants, is granted and answered, once a second until `until`. */
static void busy(struct pace *p, uint32_t lanes, uint64_t *now, uint64_t until)
{
    while (*now < until) {
        for (uint32_t i = 0; i < lanes; i++) {
            struct pace_lane_view view;

            pace_lane_snapshot(p, i, *now, &view);
            if (view.wants == 0 && view.in_flight == 0)
                assert_true(pace_want(p, i, 1000, *now));
        }
        *now += 1000;
        poll(p, *now);
        for (uint32_t i = 0; i < g.count; i++)
            pace_answered(p, g.lanes[i], 1000, 100, *now);
    }
}

static void open_mode_grants_all_and_in_order_of_asking(void **state)
{
    struct pace *p = make(PACE_MODE_OPEN, 2);
    struct pace_view view;

    for (int i = 0; i < PACE_WANTS_MAX; i++)
        assert_true(pace_want(p, 0, 100 + (uint64_t)i, T0));
    assert_false(pace_want(p, 0, 1, T0));
    assert_true(pace_want(p, 1, 7000000000u, T0));
    assert_true(poll(p, T0) == PACE_NEVER);
    assert_int_equal(g.count, PACE_WANTS_MAX + 1);
    pace_snapshot(p, T0, &view);
    assert_int_equal(view.in_flight, PACE_WANTS_MAX + 1);
    assert_int_equal(view.phase, PACE_PHASE_OPEN);
    assert_true(view.rate == 0 && view.in_flight_limit == UINT32_MAX);
    assert_int_equal(pace_connect_ask(p, 0, T0), 0);
    pace_destroy(&p);
    assert_null(p);
    pace_destroy(&p);
}

static void exchange_mode_starts_slow(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 50);
    uint64_t next;

    for (uint32_t i = 0; i < 50; i++)
        assert_true(pace_want(p, i, 0, T0));
    next = poll(p, T0);
    assert_int_equal(g.count, 1);
    assert_int_equal(next, T0 + 500);
    poll(p, T0 + 499);
    assert_int_equal(g.count, 0);
    assert_true(poll(p, T0 + 500) > T0 + 500);
    assert_int_equal(g.count, 1);
    /* No answer: no growth, and no more than the cap in flight. */
    for (uint64_t t = T0 + 1000; t < T0 + 100000; t += 500)
        next = pace_poll(p, t, note, &g);
    assert_int_equal(g.count, 1 + 14);
    assert_true(next == PACE_NEVER);
    pace_destroy(&p);
}

static void a_rate_that_is_not_used_does_not_grow(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 1);
    struct pace_view view;

    for (uint64_t t = T0; t < T0 + 120000; t += 2000) {
        assert_true(pace_want(p, 0, 0, t));
        poll(p, t);
        for (uint32_t i = 0; i < g.count; i++)
            pace_answered(p, 0, 0, 100, t + 100);
    }
    pace_snapshot(p, T0 + 120000, &view);
    assert_true(view.rate < 4); /* what the first burst hides, then no more */
    pace_destroy(&p);
}

static void hints_hold_a_lane_exactly(void **state)
{
    static const struct {
        int64_t hint_ms;
        uint64_t from_ms, to_ms;
    } cases[] = {
        { 92415, 92415, 101657 },
        { 299961, 299961, 329958 },
        { 1, 1000, 1100 },
        { INT64_C(1000000000000), 3600000, 3960000 },
        { INT64_MAX, 3600000, 3960000 },
        { 0, 30000, 33000 },
        { -5, 30000, 33000 },
        { INT64_MIN, 30000, 33000 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pace *p = make(PACE_MODE_OPEN, 2);
        struct pace_lane_view view;
        uint64_t next;

        assert_true(pace_want(p, 0, 10, T0));
        poll(p, T0);
        pace_throttled(p, 0, 1, cases[i].hint_ms, T0);
        assert_true(pace_want(p, 0, 10, T0));
        assert_true(pace_want(p, 1, 10, T0));
        next = poll(p, T0);
        assert_int_equal(g.count, 1); /* the other lane is free */
        assert_int_equal(g.lanes[0], 1);
        assert_true(next >= T0 + cases[i].from_ms && next <= T0 + cases[i].to_ms);
        pace_lane_snapshot(p, 0, T0, &view);
        assert_true(view.held && view.hold_ms == next);
        assert_true(view.throttled_ms == 0 && view.throttle_replies == 1);
        assert_true(pace_connect_ask(p, 0, T0) == next);
        poll(p, next - 1);
        assert_int_equal(g.count, 0);
        poll(p, next);
        assert_int_equal(g.count, 1);
        pace_lane_snapshot(p, 0, next, &view);
        assert_true(!view.held && view.throttled_ms == next - T0);
        pace_destroy(&p);
    }
}

static void a_shorter_hint_does_not_shorten_a_hold(void **state)
{
    struct pace *p = make(PACE_MODE_OPEN, 1);
    struct pace_lane_view before, after;

    pace_throttled(p, 0, 0, 300000, T0);
    pace_lane_snapshot(p, 0, T0, &before);
    pace_throttled(p, 0, 0, 1000, T0 + 10);
    pace_dropped(p, 0, 0, T0 + 20);
    pace_lane_snapshot(p, 0, T0 + 20, &after);
    assert_true(after.hold_ms == before.hold_ms);
    pace_destroy(&p);
}

static void waits_without_hints_double_to_a_quarter_hour(void **state)
{
    struct pace *p = make(PACE_MODE_OPEN, 1);
    uint64_t now = T0;
    static const uint64_t waits[] = { 30, 60, 120, 240, 480, 900, 900 };

    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        uint64_t next;

        pace_throttled(p, 0, 0, 0, now);
        assert_true(pace_want(p, 0, 1, now));
        next = poll(p, now);
        assert_true(next - now >= waits[i] * 1000 && next - now <= waits[i] * 1100);
        poll(p, now = next);
        assert_int_equal(g.count, 1);
        if (i + 1 < sizeof(waits) / sizeof(waits[0]))
            pace_gave_back(p, 0, 1, now);
    }
    pace_answered(p, 0, 1, 100, now);
    pace_throttled(p, 0, 0, 0, now);
    assert_true(pace_want(p, 0, 1, now));
    assert_true(poll(p, now) <= now + 33000 + 60000); /* over: from the beginning again */
    pace_destroy(&p);
}

static void three_lanes_close_the_gate_for_all(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 20);
    struct pace_view view;
    struct pace_saved saved, back;
    struct pace_lane_saved lane_saved, lane_back;
    uint8_t bytes[PACE_SAVED_BYTES], lane_bytes[PACE_LANE_SAVED_BYTES];
    uint64_t now = T0, gate, next;
    struct pace_config config;
    struct pace *q;

    busy(p, 20, &now, T0 + 60000);
    for (uint32_t i = 0; i < 3; i++)
        pace_throttled(p, i, 0, 200000, now);
    pace_snapshot(p, now, &view);
    assert_true(view.gated);
    gate = view.gate_ms;
    assert_int_equal(gate, now + 210000);
    assert_int_equal(view.tenant_events, 1);
    assert_int_equal(view.phase, PACE_PHASE_LIMITED);
    assert_true(view.rate_hat > 1 && fabs(view.rate - 0.92 * view.rate_hat) < 1e-9);
    assert_true(pace_want(p, 5, 1, now));
    for (uint64_t t = now; t < gate; t += 777) {
        assert_int_equal(poll(p, t), gate);
        assert_int_equal(g.count, 0);
    }
    pace_throttled(p, 9, 0, 1000, gate - 1); /* a straggler changes nothing for the others */

    /* A restart inside the gate stays silent: through bytes, on another clock. */
    pace_save(p, now + 50000, WALL, &saved);
    pace_lane_save(p, 1, now + 50000, WALL, &lane_saved);
    pace_saved_encode(&saved, bytes);
    pace_lane_saved_encode(&lane_saved, lane_bytes);
    assert_true(pace_saved_decode(bytes, sizeof(bytes), &back));
    assert_true(pace_lane_saved_decode(lane_bytes, sizeof(lane_bytes), &lane_back));
    pace_config_init(&config, PACE_MODE_EXCHANGE);
    pace_create(&config, 5, &q);
    pace_lane_add(q, 1);
    pace_lane_add(q, 1);
    pace_restore(q, 5, WALL + 10000, &back);
    pace_lane_restore(q, 1, 5, WALL + 10000, &lane_back);
    assert_true(pace_want(q, 0, 1, 5));
    assert_true(pace_want(q, 1, 1, 5));
    next = poll(q, 5);
    assert_int_equal(g.count, 0);
    assert_int_equal(next, 5 + 210000 - 50000 - 10000);
    assert_int_equal(pace_connect_ask(q, 0, 5), next);
    poll(q, next - 1);
    assert_int_equal(g.count, 0);
    pace_snapshot(q, next - 1, &view);
    assert_true(view.rate == saved.rate && view.rate_hat == saved.rate_hat);
    assert_int_equal(view.throttle_replies, 3 + 1);
    for (uint64_t t = next; t < next + 30000; t = poll(q, t))
        for (uint32_t i = 0; i < g.count; i++)
            assert_true(g.lanes[i] == 0 || t >= next); /* lane 1 had a hold of its own */
    pace_destroy(&q);
    pace_destroy(&p);
}

/* Three of twenty are refused while the others have mail: until a time the lane that may bear
 * witness is granted, and no other. */
static uint64_t suspected(struct pace *p, uint64_t now)
{
    uint64_t at;

    for (uint32_t i = 0; i < 3; i++)
        pace_throttled(p, i, 0, 10000, now);
    for (uint32_t i = 3; i < 20; i++)
        assert_true(pace_want(p, i, 0, now));
    at = poll(p, now);
    assert_int_equal(g.count, 0);
    assert_true(at > now && at < now + 10000);
    return at;
}

static void a_witness_that_is_taken_acquits_the_tenant(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 20);
    struct pace_view view;
    uint64_t now = T0;

    (void)state;
    busy(p, 20, &now, T0 + 60000);
    for (uint32_t i = 3; i < 20; i++)
        assert_true(pace_want(p, i, 0, now)); /* somebody can tell */
    now = suspected(p, now);
    poll(p, now);
    assert_int_equal(g.count, 1);
    assert_true(g.lanes[0] >= 3);
    pace_answered(p, g.lanes[0], 0, 100, now + 100);
    pace_snapshot(p, now + 100, &view);
    assert_true(!view.gated && view.tenant_events == 0 && view.phase == PACE_PHASE_START);
    poll(p, now + 200);
    assert_true(g.count > 0);
    pace_destroy(&p);
}

static void witnesses_that_are_refused_convict_it(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 20);
    struct pace_view view;
    uint64_t now = T0;

    (void)state;
    busy(p, 20, &now, T0 + 60000);
    for (uint32_t i = 3; i < 20; i++)
        assert_true(pace_want(p, i, 0, now));
    now = suspected(p, now);
    for (int i = 0; i < 3; i++) {
        pace_snapshot(p, now, &view);
        assert_true(!view.gated);
        poll(p, now);
        assert_int_equal(g.count, 1);
        pace_throttled(p, g.lanes[0], 1, 10000, ++now);
    }
    pace_snapshot(p, now, &view);
    assert_true(view.gated && view.tenant_events == 1 && view.phase == PACE_PHASE_LIMITED);
    pace_destroy(&p);
}

static void a_gate_for_lost_lines_ends_the_trial(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 20);
    struct pace_view view;
    uint32_t witness;
    uint64_t now = T0;

    (void)state;
    busy(p, 20, &now, T0 + 60000);
    for (uint32_t i = 3; i < 20; i++)
        assert_true(pace_want(p, i, 0, now));
    now = suspected(p, now);
    poll(p, now);
    assert_int_equal(g.count, 1);
    witness = g.lanes[0];
    for (uint32_t i = 17; i < 20; i++)
        pace_dropped(p, i == witness ? 16 : i, 0, now + 10);
    pace_throttled(p, witness, 1, 10000, now + 20);
    pace_snapshot(p, now + 20, &view);
    assert_true(view.gated && view.tenant_events == 0);
    pace_destroy(&p);
}

static void nothing_saved_up_is_spent_when_the_gate_opens(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 20);
    struct pace_view view;
    uint64_t now = T0;

    busy(p, 20, &now, T0 + 60000);
    now += 10000; /* quiet: tokens gather */
    for (uint32_t i = 0; i < 3; i++)
        pace_throttled(p, i, 0, 60000, now);
    pace_snapshot(p, now, &view);
    for (uint32_t i = 10; i < 20; i++)
        assert_true(pace_want(p, i, 0, now));
    assert_true(poll(p, view.gate_ms) > view.gate_ms);
    assert_int_equal(g.count, 0);
    pace_destroy(&p);
}

static void saved_bytes_are_checked(void **state)
{
    struct pace_saved saved = { .saved_ms = WALL, .rate = 3, .phase = PACE_PHASE_PROBE }, back;
    struct pace_lane_saved lane = { .hold_ms = WALL, .rate = 1, .rate_hat = 2 }, lane_back;
    uint8_t bytes[PACE_SAVED_BYTES], lane_bytes[PACE_LANE_SAVED_BYTES];

    pace_saved_encode(&saved, bytes);
    pace_lane_saved_encode(&lane, lane_bytes);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] ^= 1;
        assert_false(pace_saved_decode(bytes, sizeof(bytes), &back));
        bytes[i] ^= 1;
        assert_false(pace_saved_decode(bytes, i, &back));
    }
    for (size_t i = 0; i < sizeof(lane_bytes); i++) {
        lane_bytes[i] ^= 1;
        assert_false(pace_lane_saved_decode(lane_bytes, sizeof(lane_bytes), &lane_back));
        lane_bytes[i] ^= 1;
        assert_false(pace_lane_saved_decode(lane_bytes, i, &lane_back));
    }
    saved.rate = NAN;
    pace_saved_encode(&saved, bytes);
    assert_false(pace_saved_decode(bytes, sizeof(bytes), &back));
    saved.rate = 1;
    saved.phase = PACE_PHASE_COUNT;
    pace_saved_encode(&saved, bytes);
    assert_false(pace_saved_decode(bytes, sizeof(bytes), &back));
    lane.hold_ms = -1;
    pace_lane_saved_encode(&lane, lane_bytes);
    assert_false(pace_lane_saved_decode(lane_bytes, sizeof(lane_bytes), &lane_back));
}

static void wrong_clocks_and_old_rates_do_not_stop_a_run(void **state)
{
    struct pace_saved saved = { .saved_ms = WALL,
                                .gate_ms = WALL + INT64_C(1000000000000),
                                .rate = 3,
                                .rate_hat = 3.3,
                                .phase = PACE_PHASE_LIMITED };
    struct pace_lane_saved lane = { .saved_ms = WALL, .rate = 0.5, .rate_hat = 0.6 };
    struct pace *p = make(PACE_MODE_EXCHANGE, 1);
    struct pace_lane_view lane_view;
    struct pace_view view;

    pace_restore(p, T0, WALL, &saved);
    pace_snapshot(p, T0, &view);
    assert_int_equal(view.gate_ms, T0 + HOUR_MS);
    pace_destroy(&p);

    p = make(PACE_MODE_EXCHANGE, 1);
    pace_restore(p, T0, WALL + INT64_C(604800001), &saved);
    pace_snapshot(p, T0, &view);
    assert_true(view.rate_hat == 0 && view.phase == PACE_PHASE_START);
    pace_destroy(&p);

    /* The same for a mailbox; its hold is obeyed for as long as it lasts. */
    p = make(PACE_MODE_EXCHANGE, 2);
    lane.hold_ms = WALL + INT64_C(604800000) + 5000;
    pace_lane_restore(p, 0, T0, WALL + INT64_C(604800000), &lane);
    pace_lane_restore(p, 1, T0, WALL + INT64_C(604800001), &lane);
    pace_lane_snapshot(p, 0, T0, &lane_view);
    assert_true(lane_view.rate == 0.5 && lane_view.hold_ms == T0 + 5000);
    pace_lane_snapshot(p, 1, T0, &lane_view);
    assert_true(lane_view.rate == 0 && lane_view.hold_ms == T0 + 4999);
    pace_destroy(&p);
}

static void no_evidence_teaches_nothing(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 20);
    struct pace_view before, after;
    uint64_t now = T0;

    busy(p, 20, &now, T0 + 60000);
    for (uint32_t i = 0; i < 3; i++)
        pace_throttled(p, i, 0, 60000, now);
    pace_snapshot(p, now, &before);
    /* Right after the gate the server refuses again: it said too little, no new rate is known. */
    for (uint32_t i = 3; i < 6; i++)
        pace_throttled(p, i, 0, 60000, before.gate_ms);
    pace_snapshot(p, before.gate_ms, &after);
    assert_int_equal(after.tenant_events, 2);
    assert_true(after.gated && after.rate == before.rate && after.rate_hat == before.rate_hat);
    pace_destroy(&p);
}

static void one_slow_mailbox_gets_a_rate_of_its_own(void **state)
{
    struct pace *p = make(PACE_MODE_OPEN, 10);
    struct pace_lane_view slow, other;
    struct pace_view view;
    uint64_t now = T0;

    busy(p, 10, &now, T0 + 60000);
    pace_throttled(p, 4, 0, 10000, now);
    busy(p, 10, &now, T0 + 80000);
    pace_lane_snapshot(p, 4, now, &slow);
    pace_lane_snapshot(p, 5, now, &other);
    pace_snapshot(p, now, &view);
    assert_true(slow.rate > 0.3 && slow.rate < 0.95); /* it had 1 a second */
    assert_true(other.rate == 0);
    assert_true(view.phase == PACE_PHASE_OPEN && view.tenant_events == 0);
    pace_destroy(&p);
}

static void a_few_messages_teach_nothing_of_a_mailbox(void **state)
{
    struct pace *p = make(PACE_MODE_OPEN, 10);
    struct pace_lane_view slow;
    uint64_t now = T0;

    (void)state;
    busy(p, 10, &now, T0 + 10000); /* ten messages each */
    pace_throttled(p, 4, 0, 1000, now);
    busy(p, 10, &now, T0 + 30000);
    pace_lane_snapshot(p, 4, now, &slow);
    assert_true(slow.rate == 0);
    pace_destroy(&p);
}

static void permits_given_back_are_granted_again(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 2);
    struct pace_view view;

    assert_true(pace_want(p, 0, 1000000, T0));
    poll(p, T0);
    assert_int_equal(g.count, 1);
    assert_int_equal(g.bytes, 1000000);
    assert_true(pace_want(p, 1, 0, T0));
    assert_int_equal(poll(p, T0), T0 + 5500); /* a debt of 10, at 2 a second */
    pace_gave_back(p, 0, 1000000, T0);
    poll(p, T0);
    assert_int_equal(g.count, 1);
    pace_refused(p, 1, T0);
    pace_snapshot(p, T0, &view);
    assert_true(view.in_flight == 0 && view.messages_accepted == 0);
    pace_destroy(&p);
}

static void a_permit_used_for_another_size_costs_that_size(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 2);

    assert_true(pace_want(p, 0, 1000000, T0));
    poll(p, T0);
    assert_int_equal(g.count, 1);
    assert_true(pace_want(p, 1, 0, T0));
    assert_int_equal(poll(p, T0), T0 + 5500); /* a debt of 10, at 2 a second */
    pace_resize(p, 0, 1000000, 0, T0);
    assert_int_equal(poll(p, T0), T0 + 500); /* of 0 */
    pace_resize(p, 0, 0, 500000, T0);
    assert_int_equal(poll(p, T0), T0 + 3000); /* of 5 */
    pace_gave_back(p, 0, 500000, T0);
    poll(p, T0);
    assert_int_equal(g.count, 1);
    pace_destroy(&p);
}

/* Its session died after the message had another size put right: what was sent may have arrived, so
 * it stays paid for at that size, and the permit is out no more. */
static void a_mended_permit_of_a_session_that_died_is_over_and_paid(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 2);
    struct pace_view view;

    assert_true(pace_want(p, 0, 1000000, T0));
    poll(p, T0);
    pace_resize(p, 0, 1000000, 500000, T0);
    pace_dropped(p, 0, 1, T0);
    pace_snapshot(p, T0, &view);
    assert_true(view.in_flight == 0 && view.cost_accepted == 0 && view.drops == 1);
    assert_true(pace_want(p, 1, 0, T0));
    assert_int_equal(poll(p, T0), T0 + 3000); /* a debt of 5, not of 10 and not of none */
    poll(p, T0 + 3000);
    assert_int_equal(g.count, 1);
    pace_answered(p, 1, 0, 100, T0 + 3100);
    /* What was never sent is given back at the size it was mended to, by whoever is left. */
    assert_true(pace_want(p, 1, 0, T0 + 3100));
    (void)poll(p, T0 + 4000);
    pace_resize(p, 1, 0, 500000, T0 + 4000);
    pace_gave_back(p, 1, 500000, T0 + 4000);
    assert_true(pace_want(p, 1, 0, T0 + 4000));
    poll(p, T0 + 4500);
    assert_int_equal(g.count, 1);
    pace_destroy(&p);
}

static void the_gate_is_told_to_those_who_hold_permits(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 20);
    struct pace_view view;
    uint64_t now = T0;

    assert_int_equal(pace_gate(p), 0);
    busy(p, 20, &now, T0 + 60000);
    for (uint32_t i = 0; i < 3; i++)
        pace_throttled(p, i, 0, 60000, now);
    pace_snapshot(p, now, &view);
    assert_true(view.gated);
    assert_int_equal(pace_gate(p), view.gate_ms);
    pace_destroy(&p);
}

static void cancelled_wants_and_removed_lanes_are_gone(void **state)
{
    struct pace *p = make(PACE_MODE_OPEN, 3);
    struct pace_view view;

    for (int i = 0; i < 5; i++)
        assert_true(pace_want(p, 1, (uint64_t)i, T0));
    assert_int_equal(pace_cancel_want(p, 1, T0), 1);
    assert_int_equal(pace_cancel_wants(p, 1, T0), 4);
    assert_int_equal(pace_cancel_want(p, 1, T0), 0);
    assert_true(poll(p, T0) == PACE_NEVER && g.count == 0);
    assert_true(pace_want(p, 2, 1, T0));
    poll(p, T0);
    assert_true(pace_want(p, 2, 1, T0));
    pace_lane_remove(p, 2);
    poll(p, T0);
    assert_int_equal(g.count, 0);
    pace_snapshot(p, T0, &view);
    assert_true(view.lanes == 2 && view.in_flight == 0 && view.lanes_waiting == 0);
    assert_int_equal(pace_lane_add(p, 1), 2); /* reused, and clean */
    assert_true(pace_want(p, 2, 1, T0));
    poll(p, T0);
    assert_int_equal(g.count, 1);
    pace_destroy(&p);
}

static void after_a_drop_lanes_come_back_in_an_even_flow(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 200);
    uint64_t ask[200], now = T0, last = 0;
    uint32_t at_once = 0, connected = 0, within[400] = { 0 };
    struct pace_view view;

    for (uint32_t i = 0; i < 200; i++)
        pace_dropped(p, i, 0, now);
    pace_snapshot(p, now, &view);
    assert_true(view.gated && view.gate_ms == T0 + 5000 && view.drops == 200);
    for (uint32_t i = 0; i < 200; i++) {
        ask[i] = pace_connect_ask(p, i, now);
        assert_true(ask[i] >= T0 + 10000);
    }
    while (connected < 200 && now < T0 + 400000) {
        now += 100;
        for (uint32_t i = 0; i < 200; i++)
            if (ask[i] != 0 && ask[i] <= now) {
                ask[i] = pace_connect_ask(p, i, now);
                if (ask[i] == 0) {
                    connected++;
                    within[(now - T0) / 1000]++;
                    at_once = now == last ? at_once + 1 : 1;
                    last = now;
                    assert_true(at_once <= 5);
                }
            }
    }
    assert_int_equal(connected, 200);
    assert_true(last <= T0 + 10000 + 100000 + 5000); /* 2 a second, no slot lost */
    for (size_t i = 0; i < 400; i++)
        assert_true(within[i] <= 5 + 2);
    for (size_t i = 13; i < 398; i++)
        assert_true(within[i] + within[i + 1] <= 5);
    pace_destroy(&p);
}

/* A machine that is busy for seconds makes no storm of places that came one after another. */
static void places_that_come_late_together_do_not_add_up(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 40);
    uint64_t now = T0, ask[40], given[40];
    uint32_t left = 40, count = 0;

    (void)state;
    for (uint32_t i = 0; i < 40; i++)
        ask[i] = T0;
    /* Held up for 4 s again and again. */
    for (; left > 0; now += 4000) {
        assert_true(now < T0 + 120000);
        for (uint64_t t = now; t < now + 1000; t += 10)
            for (uint32_t i = 0; i < 40; i++)
                if (ask[i] && ask[i] <= t) {
                    ask[i] = pace_connect_ask(p, i, t);
                    assert_true(ask[i] == 0 || ask[i] > t);
                    if (ask[i] == 0) {
                        given[count++] = t;
                        left--;
                    }
                }
    }
    for (uint32_t i = 0; i + 7 < 40; i++) /* 5 at once and 2 a second */
        assert_true(given[i + 7] - given[i] >= 1000);
    pace_destroy(&p);
}

static void permits_are_not_used_while_the_tenant_is_suspected(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 8);

    (void)state;
    for (uint32_t i = 3; i < 8; i++)
        assert_true(pace_want(p, i, 1000, T0));
    for (uint32_t i = 0; i < 3; i++)
        pace_throttled(p, i, 0, 10000, T0);
    assert_int_equal(pace_gate(p), T0 + 3000);
    assert_int_equal(pace_asked_gate(p), 0);
    assert_int_equal(poll(p, T0 + 100), T0 + 3000);
    assert_int_equal(g.count, 0);
    poll(p, T0 + 3000); /* one witness */
    assert_int_equal(g.count, 1);
    assert_true(pace_gate(p) <= T0 + 3000);
    pace_destroy(&p);
}

static uint64_t last_wait(bool lets_in, bool throttles)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 1);
    uint64_t now = T0, last = 0;

    for (int i = 0; i < 8; i++) {
        uint64_t again;

        pace_dropped(p, 0, 0, now);
        pace_dropped(p, 0, 0, now + 1); /* its other connection: the same drop */
        /* Asked again now and then, for the wait may end early. */
        again = now + 1;
        for (uint64_t next; (next = pace_connect_ask(p, 0, again)) != 0; again = next)
            assert_true(next > again && next <= again + 10000);
        assert_true(again - now >= 10000 && again - now <= 376000);
        assert_true(again - now >= last * 3 / 4);
        last = again - now;
        if (lets_in)
            pace_connected(p, 0, again);
        if (throttles)
            pace_throttled(p, 0, 0, 1000, again);
        now = again + 5000;
    }
    pace_destroy(&p);
    return last;
}

static void a_mailbox_that_gets_in_again_waits_for_a_part_of_the_trouble(void **state)
{
    (void)state;
    assert_true(last_wait(false, false) >= 300000);
    /* Exchange lets a throttled mailbox log in, and hangs up. */
    assert_true(last_wait(true, true) >= 300000);
    /* Eight losses, ten seconds or more apart. */
    assert_true(last_wait(true, false) <= 25000);
}

static void drop_lanes(struct pace *p, uint32_t from, uint64_t now)
{
    for (uint32_t i = from; i < from + 3; i++)
        pace_dropped(p, i, 0, now);
}

static void an_answer_to_any_command_ends_the_gate_for_lost_connections(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 30);
    struct pace_view view;
    uint64_t now = T0;

    (void)state;
    for (uint32_t i = 0; i < 9; i += 3) { /* nothing is heard: it doubles */
        drop_lanes(p, i, now);
        assert_int_equal(pace_gate(p), now + (UINT64_C(5000) << i / 3));
        assert_int_equal(pace_asked_gate(p), 0);
        now = pace_gate(p);
    }
    drop_lanes(p, 9, now);
    assert_true(pace_listens(p));
    /* One may look whether the server is there again, and then none for a while. */
    assert_int_equal(pace_connect_ask(p, 20, now), 0);
    assert_true(pace_connect_ask(p, 21, now) > now);
    pace_connected(p, 20, now + 300);
    assert_int_equal(pace_gate(p), now + 300);
    assert_false(pace_listens(p));
    pace_snapshot(p, now + 300, &view);
    assert_false(view.gated);
    assert_int_equal(view.lost_ms, 35300);
    assert_int_equal(view.throttled_ms, 35300);
    /* Answered between the losses: there is nothing to wait for. Not so long ago is not between. */
    now += 40000;
    drop_lanes(p, 12, now);
    assert_int_equal(pace_gate(p), now + 5000);
    pace_heard(p, 25, now + 100);
    pace_dropped(p, 15, 0, now + 6000);
    pace_heard(p, 25, now + 6100);
    pace_dropped(p, 16, 0, now + 6200);
    pace_dropped(p, 17, 0, now + 6300);
    assert_int_equal(pace_gate(p), now + 100);
    pace_destroy(&p);
}

static void a_sign_of_life_is_no_leave_to_send_inside_a_back_off(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 9);
    uint64_t asked;

    (void)state;
    drop_lanes(p, 3, T0);
    for (uint32_t i = 0; i < 3; i++)
        pace_throttled(p, i, 0, 60000, T0 + 100);
    asked = pace_asked_gate(p);
    assert_true(asked >= T0 + 60000);
    pace_heard(p, 8, T0 + 200);
    assert_int_equal(pace_gate(p), asked);
    assert_true(pace_connect_ask(p, 8, T0 + 200) >= T0 + 60000);
    assert_true(pace_want(p, 8, 1000, T0 + 200));
    poll(p, T0 + 59000);
    assert_int_equal(g.count, 0);
    pace_destroy(&p);
}

static void retries_are_a_tenth_of_what_is_sent(void **state)
{
    struct pace *p = make(PACE_MODE_OPEN, 10);
    uint64_t now = T0, again;
    int retries = 0;

    assert_int_equal(pace_retry_ask(p, now), 0);
    again = pace_retry_ask(p, now);
    assert_int_equal(again, now + 10000);
    assert_int_equal(pace_retry_ask(p, again), 0);
    now = again;
    for (int round = 0; round < 100; round++)
        for (uint32_t i = 0; i < 10; i++) {
            assert_true(pace_want(p, i, 1, now));
            poll(p, now);
            pace_answered(p, i, 1, 10, now);
            retries += pace_retry_ask(p, now) == 0;
        }
    assert_true(retries >= 98 && retries <= 100);
    pace_destroy(&p);
}

static void a_ledger_carries_gate_and_rate_to_a_peer(void **state)
{
    struct pace *a = make(PACE_MODE_EXCHANGE, 20), *b = make(PACE_MODE_EXCHANGE, 20);
    struct ledger_record record;
    struct pace_view va, vb;
    uint64_t now = T0, now_b = T0;

    busy(a, 20, &now, T0 + 60000);
    busy(b, 20, &now_b, T0 + 60000);
    for (uint32_t i = 0; i < 3; i++)
        pace_throttled(a, i, 0, 60000, now);
    pace_ledger_tell(a, 1, now, WALL, &record);
    pace_ledger_hear(b, 2, &record, 1, now + 2000, WALL + 2000);
    pace_snapshot(a, now + 2000, &va);
    pace_snapshot(b, now + 2000, &vb);
    assert_true(vb.gated && vb.gate_ms == va.gate_ms);
    assert_int_equal(vb.phase, PACE_PHASE_LIMITED);
    assert_int_equal(vb.tenant_events, 1);
    assert_true(vb.rate_hat > 0);
    /* Hearing the same again changes nothing. */
    pace_ledger_hear(b, 2, &record, 1, now + 3000, WALL + 3000);
    pace_snapshot(b, now + 3000, &va);
    assert_true(va.tenant_events == 1 && fabs(va.rate - vb.rate) < 0.5 * vb.rate);
    /* A sender that is gone leaves its share. */
    pace_snapshot(b, now + 3000, &va);
    pace_ledger_hear(b, 2, NULL, 0, now + 100000, WALL + 100000);
    pace_snapshot(b, now + 100000, &vb);
    assert_true(vb.rate > 1.5 * va.rate);
    pace_destroy(&a);
    pace_destroy(&b);
}

static void again_and_again(void *context, uint32_t lane, uint64_t bytes)
{
    struct pace *p = context;

    pace_gave_back(p, lane, bytes, T0);
    assert_true(pace_want(p, lane, bytes, T0));
}

static void a_caller_that_wants_for_ever_ends(void **state)
{
    struct pace *p = make(PACE_MODE_OPEN, 1);

    assert_true(pace_want(p, 0, 1, T0));
    assert_int_equal(pace_poll(p, T0, again_and_again, p), T0 + 1);
    pace_destroy(&p);
}

static void five_thousand_lanes_cost_a_logarithm_each(void **state)
{
    enum { LANES = 5000 };
    struct pace *p = make(PACE_MODE_OPEN, LANES);
    uint64_t operations = 0, steps, now = T0;
    struct lane *lanes = p->lanes;
    const struct pace_lane_saved own_rate = { .saved_ms = WALL, .rate = 0.01, .rate_hat = 0.01 };

    for (uint32_t i = 7; i < LANES; i += 100) /* these wait by time, too */
        pace_lane_restore(p, i, now, WALL, &own_rate);
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < LANES; i++)
            operations += pace_want(p, i, i, now);
        poll(p, now);
        assert_true(g.count >= LANES - LANES / 100);
        for (uint32_t i = 0; i < g.count; i++)
            pace_answered(p, g.lanes[i], g.lanes[i], 100, now);
        operations += 2 * (uint64_t)g.count;
        now += 1000;
    }
    assert_true(p->later.steps > 1000);
    steps = p->fair.waiting.steps + p->later.steps;
    /* Each put or removal moves at most the heap's depth, 13, up or down, and a few more. */
    printf("5,000 lanes: %llu operations, %.1f heap moves each\n", (unsigned long long)operations,
           (double)steps / (double)operations);
    assert_true(steps <= operations * 20);
    assert_ptr_equal(p->lanes, lanes); /* nothing was allocated on the way */
    pace_destroy(&p);
}

static void time_that_goes_back_stands_still(void **state)
{
    struct pace *p = make(PACE_MODE_EXCHANGE, 1);

    pace_throttled(p, 0, 0, 5000, T0 + 10000);
    assert_true(pace_want(p, 0, 1, 0));
    assert_true(poll(p, 0) >= T0 + 15000);
    poll(p, T0 + 14999);
    assert_int_equal(g.count, 0);
    pace_destroy(&p);
}

static void every_phase_has_a_name(void **state)
{
    for (int i = 0; i < PACE_PHASE_COUNT; i++)
        assert_true(strlen(pace_phase_name((enum pace_phase)i)) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_mode_grants_all_and_in_order_of_asking),
        cmocka_unit_test(exchange_mode_starts_slow),
        cmocka_unit_test(a_rate_that_is_not_used_does_not_grow),
        cmocka_unit_test(hints_hold_a_lane_exactly),
        cmocka_unit_test(a_shorter_hint_does_not_shorten_a_hold),
        cmocka_unit_test(waits_without_hints_double_to_a_quarter_hour),
        cmocka_unit_test(three_lanes_close_the_gate_for_all),
        cmocka_unit_test(a_witness_that_is_taken_acquits_the_tenant),
        cmocka_unit_test(witnesses_that_are_refused_convict_it),
        cmocka_unit_test(a_gate_for_lost_lines_ends_the_trial),
        cmocka_unit_test(nothing_saved_up_is_spent_when_the_gate_opens),
        cmocka_unit_test(saved_bytes_are_checked),
        cmocka_unit_test(wrong_clocks_and_old_rates_do_not_stop_a_run),
        cmocka_unit_test(no_evidence_teaches_nothing),
        cmocka_unit_test(one_slow_mailbox_gets_a_rate_of_its_own),
        cmocka_unit_test(a_few_messages_teach_nothing_of_a_mailbox),
        cmocka_unit_test(permits_given_back_are_granted_again),
        cmocka_unit_test(a_permit_used_for_another_size_costs_that_size),
        cmocka_unit_test(a_mended_permit_of_a_session_that_died_is_over_and_paid),
        cmocka_unit_test(the_gate_is_told_to_those_who_hold_permits),
        cmocka_unit_test(cancelled_wants_and_removed_lanes_are_gone),
        cmocka_unit_test(after_a_drop_lanes_come_back_in_an_even_flow),
        cmocka_unit_test(places_that_come_late_together_do_not_add_up),
        cmocka_unit_test(permits_are_not_used_while_the_tenant_is_suspected),
        cmocka_unit_test(a_mailbox_that_gets_in_again_waits_for_a_part_of_the_trouble),
        cmocka_unit_test(an_answer_to_any_command_ends_the_gate_for_lost_connections),
        cmocka_unit_test(a_sign_of_life_is_no_leave_to_send_inside_a_back_off),
        cmocka_unit_test(retries_are_a_tenth_of_what_is_sent),
        cmocka_unit_test(a_ledger_carries_gate_and_rate_to_a_peer),
        cmocka_unit_test(a_caller_that_wants_for_ever_ends),
        cmocka_unit_test(five_thousand_lanes_cost_a_logarithm_each),
        cmocka_unit_test(time_that_goes_back_stands_still),
        cmocka_unit_test(every_phase_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
