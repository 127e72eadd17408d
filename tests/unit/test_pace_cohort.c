/* test: pace
 * Mailboxes that are alike: when they agree, for how long, and how their rate moves. */
#include "engine/pace/cohort.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NEAR(a, b, within) assert_true(fabs((a) - (b)) <= (within))
#define PAUSE_MS           15000
#define MINUTE_MS          UINT64_C(60000)

/* Lanes from `first` on learn a rate each, a second apart from now on. */
static void learn(struct cohort *k, uint32_t first, const double *rates, uint32_t count, uint64_t now)
{
    for (uint32_t i = 0; i < count; i++)
        cohort_learnt(k, first + i, rates[i], PAUSE_MS, now + i * 1000);
}

static const double alike[] = { 1.0, 1.1, 0.95, 1.05, 1.0, 0.9, 1.0, 1.0 };

static void rates_that_agree_are_a_rate_for_others(void **state)
{
    struct cohort k = { 0 };
    const struct cohort_class *c;

    (void)state;
    assert_null(cohort_find(&k, PAUSE_MS));
    learn(&k, 0, alike, 7, 0);
    assert_null(cohort_find(&k, PAUSE_MS));
    /* One lane that learns again is no other one. */
    cohort_learnt(&k, 3, 1.02, PAUSE_MS, 8000);
    assert_null(cohort_find(&k, PAUSE_MS));
    cohort_learnt(&k, 7, 1.0, PAUSE_MS, 9000);
    c = cohort_find(&k, PAUSE_MS);
    assert_non_null(c);
    NEAR(c->rate, 0.97, 1e-9);
    /* About the same pause is the same class, another one is not. */
    assert_ptr_equal(cohort_find(&k, PAUSE_MS * 5 / 4), c);
    assert_null(cohort_find(&k, PAUSE_MS / 2));
    assert_null(cohort_find(&k, PAUSE_MS * 2));
    /* What is learnt later counts, too. */
    for (uint32_t i = 0; i < 9; i++)
        cohort_learnt(&k, 20 + i, 1.06, PAUSE_MS, 10000);
    NEAR(c->rate, 0.97 * 1.06, 1e-9);
}

static void rates_that_differ_are_none(void **state)
{
    static const double spread[] = { 0.5, 0.6, 0.8, 0.9, 1.0, 1.1, 1.3, 1.5 };
    /* The outer ones do not count: a fifth of eight, which is one, at either end. */
    static const double outliers[] = { 0.1, 1.0, 1.0, 1.1, 1.0, 1.0, 1.1, 9.0 };
    struct cohort k = { 0 };

    (void)state;
    learn(&k, 0, spread, 8, 0);
    assert_null(cohort_find(&k, PAUSE_MS));
    k = (struct cohort){ 0 };
    learn(&k, 0, outliers, 8, 0);
    assert_non_null(cohort_find(&k, PAUSE_MS));
}

static void an_agreement_ends_and_rests(void **state)
{
    static const double others[] = { 2.0, 2.0, 2.0, 2.0, 2.0, 2.0 };
    struct cohort k = { 0 };
    const struct cohort_class *c;
    uint64_t made;

    (void)state;
    learn(&k, 0, alike, 8, 0);
    c = cohort_find(&k, PAUSE_MS);
    assert_non_null(c);
    made = c->made;
    learn(&k, 10, others, 6, 20000);
    assert_null(cohort_find(&k, PAUSE_MS));
    /* Alike again at once, but not believed before half an hour is over. */
    for (uint32_t i = 0; i < COHORT_KEPT; i++)
        cohort_learnt(&k, 100 + i, 1, PAUSE_MS, MINUTE_MS);
    assert_null(cohort_find(&k, PAUSE_MS));
    cohort_learnt(&k, 200, 1, PAUSE_MS, 32 * MINUTE_MS);
    assert_ptr_equal(cohort_find(&k, PAUSE_MS), c);
    assert_true(c->made > made);
}

static void classes_are_few_and_the_oldest_makes_room(void **state)
{
    struct cohort k = { 0 };

    (void)state;
    for (uint64_t wait_ms = 1000, n = 0; n <= COHORT_CLASSES; wait_ms *= 2, n++)
        for (uint32_t i = 0; i < 8; i++)
            cohort_learnt(&k, (uint32_t)n * 10 + i, (double)n + 1, wait_ms, n * MINUTE_MS + i);
    assert_null(cohort_find(&k, 1000));
    for (uint64_t wait_ms = 2000, n = 1; n <= COHORT_CLASSES; wait_ms *= 2, n++)
        NEAR(cohort_find(&k, wait_ms)->rate, 0.97 * ((double)n + 1), 1e-9);
    /* Without a pause that was told there is no class. */
    cohort_learnt(&k, 99, 1, 0, 10 * MINUTE_MS);
    assert_null(cohort_find(&k, 0));
    /* Those that are gone no longer speak. */
    for (uint32_t i = 0; i < 8; i++)
        cohort_forget(&k, 10 + i);
    cohort_learnt(&k, 300, 7, 2000, 10 * MINUTE_MS);
    assert_null(cohort_find(&k, 2000));
}

static uint64_t use(struct cohort_class *c, uint64_t now, uint64_t minutes)
{
    for (uint64_t i = 0; i < 60 * minutes; i++)
        cohort_used(c, now += 1000);
    return now;
}

static void the_rate_grows_until_several_members_are_cut(void **state)
{
    struct cohort k = { 0 };
    struct cohort_class *c;
    uint64_t now = 20000;

    (void)state;
    learn(&k, 0, alike, 8, 0);
    c = cohort_find(&k, PAUSE_MS);
    assert_non_null(c);
    c->members = 48;
    cohort_used(c, now);
    now = use(c, now, 5);
    NEAR(c->rate, 0.97 * pow(1.02, 5), 0.005);
    /* A time without use is none in which it could have shown. */
    cohort_used(c, now += 30 * MINUTE_MS);
    NEAR(c->rate, 0.97 * pow(1.02, 5), 0.01);
    for (int i = 0; i < 3; i++)
        cohort_cut(c, now += 1000);
    assert_true(c->rate > 1);
    /* Not one after another, but together. */
    for (int i = 0; i < 4; i++)
        cohort_cut(c, now += 2 * MINUTE_MS);
    assert_true(c->rate > 1);
    for (int i = 0; i < 3; i++)
        cohort_cut(c, now += 1000);
    NEAR(c->rate, 0.97, 1e-9);
    /* Then it is quiet for ten minutes, and after it was found again for twenty. */
    now = use(c, now, 9);
    NEAR(c->rate, 0.97, 1e-9);
    now = use(c, now, 5);
    assert_true(c->rate > 0.98 && c->rate < 1.02);
    for (int i = 0; i < 4; i++)
        cohort_cut(c, now += 1000);
    now = use(c, now, 19);
    NEAR(c->rate, 0.97, 1e-9);
    use(c, now, 5);
    assert_true(c->rate > 0.98);
}

static uint32_t tries(struct cohort_class *c, uint64_t from, uint64_t to, bool more)
{
    uint32_t count = 0;

    for (uint64_t now = from; now < to; now += 1000)
        if (cohort_may_try(c, now)) {
            cohort_tried(c, more, now);
            count++;
        }
    return count;
}

/* Members that never learnt a rate try for more, the rarer the more of them were alike. */
static void members_try_one_after_another(void **state)
{
    struct cohort k = { 0 };
    struct cohort_class *c;
    uint32_t first, later;

    (void)state;
    learn(&k, 0, alike, 8, 0);
    c = cohort_find(&k, PAUSE_MS);
    assert_non_null(c);
    first = tries(c, 20000, 20 * MINUTE_MS, false);
    assert_true(first > 15 && first < 40);
    later = tries(c, 20 * MINUTE_MS, 60 * MINUTE_MS, false);
    assert_true(later > 0 && later < first);
    assert_ptr_equal(cohort_find(&k, PAUSE_MS), c);
    /* One that has more brings others to try soon; many of them, and there is no class. */
    cohort_tried(c, true, 61 * MINUTE_MS);
    assert_true(cohort_may_try(c, 61 * MINUTE_MS));
    assert_ptr_equal(cohort_find(&k, PAUSE_MS), c);
    for (int i = 0; i < 30 && cohort_find(&k, PAUSE_MS); i++)
        cohort_tried(c, true, 62 * MINUTE_MS);
    assert_null(cohort_find(&k, PAUSE_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_that_agree_are_a_rate_for_others),
        cmocka_unit_test(rates_that_differ_are_none),
        cmocka_unit_test(an_agreement_ends_and_rests),
        cmocka_unit_test(classes_are_few_and_the_oldest_makes_room),
        cmocka_unit_test(the_rate_grows_until_several_members_are_cut),
        cmocka_unit_test(members_try_one_after_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
