/* test: pace */
#include "engine/pace/backoff.h"
#include "engine/pace/bucket.h"
#include "engine/pace/fair.h"
#include "engine/pace/heap.h"
#include "engine/pace/latency.h"
#include "engine/pace/law.h"
#include "engine/pace/meter.h"
#include "engine/pace/strikes.h"
#include "engine/pace/suspicion.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NEAR(a, b, within) assert_true(fabs((a) - (b)) <= (within))

static void heap_gives_ids_in_order_of_their_latest_keys(void **state)
{
    struct heap h;
    struct prng r = { 5 };
    double keys[200], last = -1;
    bool in[200] = { false };
    uint32_t count = 0;

    heap_init(&h);
    heap_reserve(&h, 10);
    heap_reserve(&h, 200);
    for (int i = 0; i < 5000; i++) {
        uint32_t id = (uint32_t)(prng_next(&r) % 200);

        if (prng_next(&r) % 3 == 0) {
            heap_remove(&h, id);
            in[id] = false;
        } else {
            keys[id] = prng_unit(&r);
            heap_put(&h, id, keys[id]);
            in[id] = true;
        }
        assert_int_equal(heap_has(&h, id), in[id]);
    }
    for (uint32_t id = 0; id < 200; id++)
        count += in[id];
    assert_int_equal(h.count, count);
    while (h.count > 0) {
        uint32_t id = heap_top(&h);

        assert_true(in[id] && keys[id] >= last);
        assert_true(heap_top_key(&h) == keys[id]);
        last = keys[id];
        in[id] = false;
        heap_remove(&h, id);
    }
    heap_deinit(&h);
}

static void bucket_fills_to_its_burst_and_says_what_spilled(void **state)
{
    struct bucket b;

    bucket_init(&b, 0, 1000);
    NEAR(bucket_refill(&b, 2, 10, 2000), 0, 1e-9);
    NEAR(b.tokens, 2, 1e-9);
    NEAR(bucket_refill(&b, 2, 10, 7000), 2, 1e-9);
    NEAR(b.tokens, 10, 1e-9);
    NEAR(bucket_refill(&b, 2, 10, 6000), 0, 1e-9); /* time went back: nothing */
    b.tokens = -3;
    bucket_skip(&b, 8000);
    NEAR(b.tokens, -3, 1e-9);
    assert_int_equal(bucket_wait_ms(&b, 2, 1), 2000);
    assert_true(bucket_wait_ms(&b, 0, 1) == UINT64_MAX);
    assert_int_equal(bucket_wait_ms(&b, 1e-300, 1), 1000000000000u);
    assert_false(bucket_holds(&b, 0));
    b.tokens = 12; /* more than the burst, from a larger one: stays */
    NEAR(bucket_refill(&b, 2, 10, 9000), 2, 1e-9);
    NEAR(b.tokens, 12, 1e-9);
}

static void slots_come_in_a_burst_and_then_evenly(void **state)
{
    struct slots s = { 0 };

    slots_set(&s, 2, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(slots_take(&s, 100000), 100000);
    assert_int_equal(slots_take(&s, 100000), 100500);
    assert_int_equal(slots_take(&s, 100000), 101000);
    /* Later, the burst is there again. */
    for (int i = 0; i < 5; i++)
        assert_int_equal(slots_take(&s, 200000), 200000);
    assert_int_equal(slots_take(&s, 200000), 200500);
}

static void backoff_doubles_to_its_cap_and_never_wraps(void **state)
{
    static const struct {
        uint64_t base, max, wait;
        uint32_t step;
    } cases[] = {
        { 30000, 900000, 30000, 0 },       { 30000, 900000, 60000, 1 },
        { 30000, 900000, 480000, 4 },      { 30000, 900000, 900000, 5 },
        { 30000, 900000, 900000, 63 },     { 30000, 900000, 900000, UINT32_MAX },
        { 5000, 1000, 1000, 0 },           { 0, 1000, 0, 70 },
        { 1, UINT64_MAX, 1ull << 62, 62 }, { 3, UINT64_MAX, UINT64_MAX, 63 },
    };
    struct prng r = { 1 };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_true(backoff_ms(cases[i].base, cases[i].step, cases[i].max) == cases[i].wait);
    for (int i = 0; i < 1000; i++) {
        uint64_t wait = backoff_jitter(10000, 0.1, &r);

        assert_true(wait >= 10000 && wait <= 11000);
    }
}

static void hints_are_kept_within_a_second_and_an_hour(void **state)
{
    assert_int_equal(backoff_hint_ms(1), 1000);
    assert_int_equal(backoff_hint_ms(1000), 1000);
    assert_int_equal(backoff_hint_ms(299961), 299961);
    assert_int_equal(backoff_hint_ms(3600000), 3600000);
    assert_int_equal(backoff_hint_ms(INT64_C(1000000000000)), 3600000);
    assert_int_equal(backoff_hint_ms(INT64_MAX), 3600000);
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
    struct prng a = { 42 }, b = { 42 }, c = { 43 };
    double sum = 0;

    assert_true(prng_next(&a) == prng_next(&b));
    assert_true(prng_next(&a) != prng_next(&c));
    for (int i = 0; i < 10000; i++) {
        double x = prng_unit(&a);

        assert_true(x >= 0 && x < 1);
        sum += x;
    }
    NEAR(sum / 10000, 0.5, 0.02);
}

static void turns_are_shared_by_weight(void **state)
{
    struct fair f;
    double served[3] = { 0 };

    fair_init(&f, 30);
    fair_reserve(&f, 3);
    fair_start(&f, 0, 1);
    fair_start(&f, 1, 1);
    fair_start(&f, 2, 2);
    for (uint32_t i = 0; i < 3; i++)
        fair_enter(&f, i);
    for (int i = 0; i < 4000; i++) {
        uint32_t id = fair_first(&f);
        double cost = id == 0 ? 5 : 1; /* large messages buy nothing */

        served[id] += cost;
        fair_serve(&f, id, cost);
    }
    NEAR(served[0] / served[1], 1, 0.02);
    NEAR(served[2] / served[1], 2, 0.02);
    fair_deinit(&f);
}

static void credit_of_the_absent_is_bounded(void **state)
{
    struct fair f;
    int in_a_row = 0;

    fair_init(&f, 30);
    fair_reserve(&f, 3);
    fair_start(&f, 0, 1);
    fair_start(&f, 1, 1);
    fair_enter(&f, 0);
    for (int i = 0; i < 1000; i++)
        fair_serve(&f, 0, 1);
    fair_enter(&f, 1);
    while (fair_first(&f) == 1) {
        fair_serve(&f, 1, 1);
        in_a_row++;
    }
    assert_true(in_a_row >= 30 && in_a_row <= 32);
    /* One that was never here gets none. */
    fair_start(&f, 2, 1);
    fair_enter(&f, 2);
    fair_serve(&f, 2, 2);
    assert_int_not_equal(fair_first(&f), 2);
    /* A refund puts it in front again, in the queue and out of it. */
    fair_refund(&f, 2, 40);
    assert_int_equal(fair_first(&f), 2);
    fair_leave(&f, 2);
    assert_int_not_equal(fair_first(&f), 2);
    fair_leave(&f, 0);
    fair_leave(&f, 1);
    assert_true(fair_empty(&f));
    fair_deinit(&f);
}

static void average_is_right_from_the_start_and_forgets(void **state)
{
    struct average a;
    uint64_t now = 5000;

    average_init(&a, 20000, now);
    for (int i = 0; i < 40; i++)
        average_add(&a, 1, now += 100);
    NEAR(average_rate(&a, now), 10, 1);
    for (int i = 0; i < 600; i++)
        average_add(&a, 1, now += 200);
    NEAR(average_rate(&a, now), 5, 0.3);
    assert_true(average_rate(&a, now + 200000) < 0.01);
}

static void meter_counts_since_the_cut_and_at_most_six_blocks(void **state)
{
    struct meter m;
    uint64_t now = 1000;

    meter_init(&m, METER_TENANT_MS, now);
    for (int i = 0; i < 600; i++)
        meter_add(&m, 2, now += 1000);
    NEAR(meter_rate(&m, now), 2, 0.01);
    assert_int_equal(meter_span_ms(&m, now), 600000);
    /* A pause counts as time. */
    NEAR(meter_rate(&m, now + 600000), 1, 0.01);
    for (int i = 0; i < 3600; i++)
        meter_add(&m, 5, now += 1000);
    NEAR(meter_rate(&m, now), 5, 0.01);
    assert_true(meter_span_ms(&m, now) >= 5 * METER_TENANT_MS);
    assert_true(meter_span_ms(&m, now) <= 6 * METER_TENANT_MS);
    meter_restart(&m, now);
    meter_add(&m, 30, now + 10000);
    NEAR(meter_rate(&m, now + 10000), 3, 0.01);
    NEAR(meter_rate(&m, now + 10 * METER_BLOCKS * (uint64_t)METER_TENANT_MS), 0, 1e-9);
}

/* Feeds `count` answers of base_ms * factor and sizes from small to large; returns the last ratio.
 */
static double answers(struct latency *l, struct prng *r, int count, double factor, uint64_t *now)
{
    for (int i = 0; i < count; i++) {
        double size = prng_unit(r) < 0.1 ? 50 * prng_unit(r) : prng_unit(r);

        latency_add(l, size, 100 * factor * (0.7 + 0.6 * prng_unit(r)) * (1 + size / 4), 10000, *now += 100);
    }
    return l->ratio;
}

static void latency_sees_slowness_but_not_size(void **state)
{
    struct latency l;
    struct prng r = { 3 };
    uint64_t now = 0;

    latency_init(&l);
    for (int i = 0; i < 20; i++)
        assert_true(answers(&l, &r, 200, 1, &now) < 1.25);
    assert_true(answers(&l, &r, 400, 2, &now) > 1.6);
    assert_true(l.excess_ms > 50);
    assert_true(answers(&l, &r, 400, 1, &now) < 1.25);
    NEAR(l.slope, 0.25, 0.08);
    assert_true(l.typical_ms > 80 && l.typical_ms < 200);
}

/* A machine with other work sees a third of the answers late: that is not the server. */
static void latency_overlooks_a_third_that_comes_late(void **state)
{
    struct latency l;
    struct prng r = { 5 };
    uint64_t now = 0;

    (void)state;
    latency_init(&l);
    answers(&l, &r, 2000, 1, &now);
    for (int i = 0; i < 2000; i++) {
        double late = prng_unit(&r) < 0.33 ? 400 * prng_unit(&r) : 0;

        if (latency_add(&l, 0.5, 112 * (0.7 + 0.6 * prng_unit(&r)) + late, 10000, now += 100))
            assert_true(l.ratio < 1.4);
    }
    assert_true(answers(&l, &r, 400, 1.8, &now) > 1.5);
}

static void latency_needs_time_and_samples_for_a_window(void **state)
{
    struct latency l;
    uint64_t now = 0;

    latency_init(&l);
    for (int i = 0; i < 19; i++)
        assert_false(latency_add(&l, 0, 100, 10000, now += 2000));
    assert_true(latency_add(&l, 0, 100, 10000, now += 2000));
    for (int i = 0; i < 99; i++)
        assert_false(latency_add(&l, 0, 100, 10000, now += 100));
    latency_restart(&l);
    for (int i = 0; i < 100; i++)
        assert_false(latency_add(&l, 0, 0, 10000, now += 100)); /* 0 ms: a near server */
    assert_true(latency_add(&l, 0, 0, 10000, now += 100));
    NEAR(l.ratio, 1, 1e-9);
}

static bool strike(struct strikes *s, uint64_t at_ms, uint32_t lane, struct strike_group *group_r)
{
    return strikes_add(s, lane, 1000 * (lane + 1), at_ms, 1, group_r);
}

static void three_lanes_in_thirty_seconds_are_a_group(void **state)
{
    struct strikes s = { 0 };
    struct strike_group group = { 0 };

    (void)state;
    assert_false(strike(&s, 1000, 2, &group));
    assert_false(strike(&s, 2000, 2, &group));
    assert_false(strike(&s, 3000, 1, &group));
    assert_true(strike(&s, 31000, 0, &group));
    assert_int_equal(group.since_ms, 2000);
    assert_int_equal(group.longest_ms, 3000);
    assert_int_equal(group.shortest_ms, 1000);
    assert_false(strike(&s, 31000, 3, &group)); /* forgotten */

    memset(&s, 0, sizeof(s));
    assert_false(strike(&s, 1000, 0, &group));
    assert_false(strike(&s, 20000, 1, &group));
    assert_false(strike(&s, 31001, 2, &group)); /* the first is too old */
    assert_true(strike(&s, 31002, 3, &group));
}

static void what_was_sent_after_a_refusal_and_taken_speaks_against_a_group(void **state)
{
    struct strikes s = { 0 };
    struct strike_group group;

    (void)state;
    assert_false(strike(&s, 1000, 0, &group));
    assert_false(strike(&s, 2000, 1, &group));
    for (int i = 0; i < 50; i++)
        strikes_success(&s, 1000); /* sent before the first was answered: tells nothing */
    for (int i = 0; i < 4; i++)
        strikes_success(&s, 1001);
    assert_false(strike(&s, 3000, 2, &group)); /* 4 > 3 lanes */
    assert_true(strike(&s, 4000, 3, &group));  /* the last three: none after 2000 */
    for (uint32_t i = 0; i < 1000; i++) {      /* bounded memory */
        for (int k = 0; k < 20; k++)
            strikes_success(&s, 50000 + i);
        assert_false(strike(&s, 50000 + i, i, &group));
    }
}

static void trouble_that_comes_back_at_the_same_rate_is_suspected(void **state)
{
    struct suspicion s = { 0 };

    (void)state;
    assert_int_equal(suspicion_add(&s, 40), 0); /* nothing accepted: nothing told */
    suspicion_accepted(&s, 100);
    assert_int_equal(suspicion_add(&s, 40), 1);
    assert_int_equal(suspicion_add(&s, 40), 0);
    suspicion_accepted(&s, 100);
    assert_int_equal(suspicion_add(&s, 38), 2);
    suspicion_accepted(&s, 100);
    assert_int_equal(suspicion_add(&s, 20), 1); /* 38 was carried before: it is something else */
    suspicion_accepted(&s, 100);
    assert_int_equal(suspicion_add(&s, 40), 1); /* twice what was suspected */
    assert_true(suspicion_rest_ms(0) == 0 && suspicion_rest_ms(1) == 0);
    assert_int_equal(suspicion_rest_ms(2), 60000);
    assert_int_equal(suspicion_rest_ms(4), 240000);
    assert_int_equal(suspicion_rest_ms(UINT32_MAX), 1800000);
}

static void a_rate_that_is_carried_is_suspected_no_more(void **state)
{
    struct suspicion s = { 0 };
    uint64_t now = 1000;

    (void)state;
    suspicion_accepted(&s, 100);
    assert_int_equal(suspicion_add(&s, 40), 1);
    for (; now < 120000; now += 1000)
        assert_false(suspicion_carried(&s, 39, now));
    assert_false(suspicion_carried(&s, 30, now)); /* lower: counted anew */
    for (; now < 239000; now += 1000)
        assert_false(suspicion_carried(&s, 39, now));
    assert_true(suspicion_carried(&s, 39, now + 121000));
    assert_int_equal(s.times, 0);
    suspicion_accepted(&s, 100);
    assert_int_equal(suspicion_add(&s, 40), 1);
    assert_true(suspicion_carried(&s, 65, now)); /* far beyond it, at once */
}

static void a_cut_teaches_within_bounds(void **state)
{
    NEAR(law_learn(0, 10, true), 7, 1e-9);
    NEAR(law_learn(20, 18, true), 19, 1e-9);
    NEAR(law_learn(20, 10, true), 10, 1e-9);
    NEAR(law_learn(20, 30, true), 25, 1e-9);
    NEAR(law_learn(20, 0.001, true), 2, 1e-9);
    NEAR(law_learn(20, 1, false), 14, 1e-9); /* not used up: not that low */
}

static void throttled(struct law *l, uint64_t wait_ms, uint64_t now)
{
    struct law_cut cut = law_measure(l, now);

    law_throttled(l, &cut, wait_ms, now);
}

/* What the first cut teaches when it comes after so many minutes of 40/s, the answers slow at the
 * end. */
static double first_cut(uint32_t minutes)
{
    struct pace_config config;
    struct law l;
    uint64_t now = 0, end = minutes * UINT64_C(60000);

    pace_config_init(&config, PACE_MODE_EXCHANGE);
    law_init(&l, &config, 0);
    while (now < end) {
        now += now < end - 20000 ? 25 : 50;
        law_advance(&l, now);
        law_answered(&l, 1, 100, now);
    }
    throttled(&l, 60000, now);
    assert_true(l.rate_hat_low); /* a guess, to be probed soon */
    return l.rate_hat;
}

static void a_first_cut_that_comes_late_teaches_what_was_accepted(void **state)
{
    assert_true(first_cut(1) < 0.7 * 40);
    assert_true(first_cut(5) > first_cut(2));
    assert_true(first_cut(15) > 0.92 * 40);
    assert_true(first_cut(60) < 40);
}

/* A guess, then six minutes of so much a second, the answers of the last half minute slow. */
static struct law braked(double per_s)
{
    struct pace_config config;
    struct law l;
    uint64_t now = 0;

    pace_config_init(&config, PACE_MODE_EXCHANGE);
    law_init(&l, &config, 0);
    for (; now < 60000; now += 25) {
        law_advance(&l, now);
        law_take(&l, 1);
        law_answered(&l, 1, 100, now);
    }
    throttled(&l, 1000, now);
    assert_true(l.rate_hat_guess);
    for (uint64_t end = now + 360000; now < end; now += (uint64_t)(1000 / per_s)) {
        law_advance(&l, now);
        law_take(&l, 1);
        law_answered(&l, 1, now + 30000 < end ? 100 : 400, now);
    }
    assert_true(l.brakes > 0);
    return l;
}

static void a_brake_below_a_guess_does_not_confirm_it(void **state)
{
    struct law low = braked(20), high = braked(40);

    (void)state;
    assert_true(low.rate_hat_low && !low.rate_hat_guess);
    assert_true(low.rate_hat > 20);
    assert_false(high.rate_hat_low || high.rate_hat_guess);
    assert_true(high.rate_hat > 36 && high.rate_hat < 44);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_gives_ids_in_order_of_their_latest_keys),
        cmocka_unit_test(bucket_fills_to_its_burst_and_says_what_spilled),
        cmocka_unit_test(slots_come_in_a_burst_and_then_evenly),
        cmocka_unit_test(backoff_doubles_to_its_cap_and_never_wraps),
        cmocka_unit_test(hints_are_kept_within_a_second_and_an_hour),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(turns_are_shared_by_weight),
        cmocka_unit_test(credit_of_the_absent_is_bounded),
        cmocka_unit_test(average_is_right_from_the_start_and_forgets),
        cmocka_unit_test(meter_counts_since_the_cut_and_at_most_six_blocks),
        cmocka_unit_test(latency_sees_slowness_but_not_size),
        cmocka_unit_test(latency_overlooks_a_third_that_comes_late),
        cmocka_unit_test(latency_needs_time_and_samples_for_a_window),
        cmocka_unit_test(three_lanes_in_thirty_seconds_are_a_group),
        cmocka_unit_test(what_was_sent_after_a_refusal_and_taken_speaks_against_a_group),
        cmocka_unit_test(trouble_that_comes_back_at_the_same_rate_is_suspected),
        cmocka_unit_test(a_rate_that_is_carried_is_suspected_no_more),
        cmocka_unit_test(a_cut_teaches_within_bounds),
        cmocka_unit_test(a_first_cut_that_comes_late_teaches_what_was_accepted),
        cmocka_unit_test(a_brake_below_a_guess_does_not_confirm_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
