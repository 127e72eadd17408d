/* test: pace */
#include "engine/pace/aimd.h"
#include "engine/pace/daily.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HOUR_MS INT64_C(3600000)
#define MB      UINT64_C(1000000)

static void the_servers_number_is_the_ceiling(void **state)
{
    struct aimd a;

    aimd_init(&a, 64, 0);
    assert_int_equal(a.limit, 64);
    aimd_set_limit(&a, 16, 1, 1000);
    assert_int_equal(a.limit, 15);
    aimd_set_limit(&a, 20, 1, 1000); /* a higher number does not undo a lower one */
    assert_int_equal(a.limit, 15);
    for (uint64_t now = 0; now < 100000000; now += 10000)
        aimd_worked(&a, a.limit, now);
    assert_int_equal(a.limit, 15);
    aimd_set_limit(&a, 1, 5, 1000);
    assert_int_equal(a.limit, 1);
    aimd_set_limit(&a, 0, 0, 1000);
    assert_int_equal(a.limit, 1);
}

static void refusals_cut_once_and_restore_slowly(void **state)
{
    struct aimd a;
    uint64_t now = 1000;

    aimd_init(&a, 64, 0);
    aimd_too_many(&a, 20, now);
    assert_int_equal(a.limit, 20);
    for (uint32_t i = 0; i < 10; i++) /* the other attempts of the same moment */
        aimd_too_many(&a, 20, now + i);
    assert_int_equal(a.limit, 20);
    aimd_too_many(&a, 12, now + 100); /* fewer worked than thought */
    assert_int_equal(a.limit, 12);
    aimd_too_many(&a, 12, now += 10000); /* working sessions are closed */
    assert_int_equal(a.limit, 9);

    aimd_worked(&a, 9, now + 119999);
    assert_int_equal(a.limit, 9);
    aimd_worked(&a, 8, now + 120000); /* not used up */
    assert_int_equal(a.limit, 9);
    aimd_worked(&a, 9, now + 120000); /* the second cut doubled the wait */
    assert_int_equal(a.limit, 10);
    aimd_worked(&a, 10, now + 120001);
    assert_int_equal(a.limit, 10);
}

static void at_least_one_and_at_most_an_hour(void **state)
{
    struct aimd a;
    uint64_t now = 0;

    aimd_init(&a, 8, now);
    for (int i = 0; i < 100; i++) {
        aimd_too_many(&a, i % 2 ? 0 : 8, now += 10000);
        assert_true(a.limit >= 1 && a.limit <= 8);
        assert_true(a.restore_ms <= 3600000);
    }
    assert_int_equal(a.limit, 1);
    aimd_worked(&a, 1, now + 3600000);
    assert_int_equal(a.limit, 2);
}

static void no_more_than_the_budget_in_any_day(void **state)
{
    struct daily d;
    int64_t now = 1000 * HOUR_MS + 1234;
    uint64_t read_at[400] = { 0 };
    uint64_t total = 0;

    daily_init(&d, 2500 * MB, now);
    /* Four days, greedy: 100 MB at a time as often as allowed. */
    for (int quarter = 0; quarter < 384; quarter++) {
        now = 1000 * HOUR_MS + quarter * HOUR_MS / 4;
        for (;;) {
            int64_t again = daily_ask(&d, 100 * MB, now);

            if (again != 0) {
                assert_true(again > now && again <= now + 25 * HOUR_MS);
                break;
            }
            daily_spend(&d, 100 * MB, now);
            read_at[quarter] += 100 * MB;
            total += 100 * MB;
        }
        if (quarter >= 95) {
            uint64_t day = 0;

            for (int i = quarter - 95; i <= quarter; i++)
                day += read_at[i];
            assert_true(day <= 2500 * MB);
        }
    }
    assert_true(total >= 9000 * MB);
}

static void asking_at_the_time_named_succeeds(void **state)
{
    struct daily d;
    int64_t now = 5000 * HOUR_MS;
    int64_t again;

    daily_init(&d, 10 * MB, now);
    daily_spend(&d, 6 * MB, now);
    daily_spend(&d, 4 * MB, now + 3 * HOUR_MS);
    again = daily_ask(&d, 5 * MB, now + 4 * HOUR_MS);
    assert_int_equal(again, now + 25 * HOUR_MS);
    assert_int_equal(daily_ask(&d, 5 * MB, again), 0);
    /* Larger than the budget: alone in its day. */
    daily_init(&d, 10 * MB, now);
    assert_int_equal(daily_ask(&d, 50 * MB, now), 0);
    daily_spend(&d, 50 * MB, now);
    again = daily_ask(&d, 1, now);
    assert_int_equal(again, now + 25 * HOUR_MS);
    assert_int_equal(daily_ask(&d, 1, again), 0);
    /* No budget: always. */
    daily_init(&d, 0, now);
    daily_spend(&d, UINT64_MAX, now);
    daily_spend(&d, UINT64_MAX, now);
    assert_int_equal(daily_ask(&d, UINT64_MAX, now), 0);
}

static void clocks_that_jump_lose_nothing(void **state)
{
    struct daily d;
    int64_t now = 5000 * HOUR_MS;

    daily_init(&d, 10 * MB, now);
    daily_spend(&d, 8 * MB, now);
    assert_int_equal(daily_used(&d, now - 2 * HOUR_MS), 8 * MB);
    assert_int_equal(daily_used(&d, now - 2000 * HOUR_MS), 8 * MB);
    assert_int_equal(daily_used(&d, now - 2000 * HOUR_MS + 24 * HOUR_MS), 8 * MB);
    assert_int_equal(daily_used(&d, now - 2000 * HOUR_MS + 25 * HOUR_MS), 0);
    assert_int_equal(daily_used(&d, -5), 0);
}

static void days_survive_as_bytes(void **state)
{
    struct daily d, back;
    uint8_t bytes[DAILY_BYTES];

    daily_init(&d, 10 * MB, 5000 * HOUR_MS);
    daily_spend(&d, 7 * MB, 5001 * HOUR_MS);
    daily_encode(&d, bytes);
    daily_init(&back, 99 * MB, 0);
    assert_true(daily_decode(&back, bytes, sizeof(bytes)));
    assert_int_equal(back.budget_bytes, 99 * MB);
    assert_int_equal(daily_used(&back, 5002 * HOUR_MS), 7 * MB);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] ^= 0x10;
        assert_false(daily_decode(&back, bytes, sizeof(bytes)));
        bytes[i] ^= 0x10;
    }
    assert_false(daily_decode(&back, bytes, sizeof(bytes) - 1));
    assert_false(daily_decode(&back, bytes, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_servers_number_is_the_ceiling),
        cmocka_unit_test(refusals_cut_once_and_restore_slowly),
        cmocka_unit_test(at_least_one_and_at_most_an_hour),
        cmocka_unit_test(no_more_than_the_budget_in_any_day),
        cmocka_unit_test(asking_at_the_time_named_succeeds),
        cmocka_unit_test(clocks_that_jump_lose_nothing),
        cmocka_unit_test(days_survive_as_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
