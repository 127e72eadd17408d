/* test: move */
#include "engine/move/bandwidth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS 1000000ull

static void the_sum_of_all_connections_is_kept(void **state)
{
    struct settings_bandwidths limits = { .count = 1, .all = { { .bytes_per_s = 1000000 } } };
    struct bandwidth b;
    uint64_t now = 5000 * MS, free_at[40] = { 0 }, moved = 0, begin = now;

    (void)state;
    bandwidth_init(&b, &limits);
    /* 40 connections, each with a piece whenever it may, for a minute of this clock. */
    for (; now < begin + 60000 * MS; now += MS)
        for (unsigned i = 0; i < 40; i++)
            if (now >= free_at[i]) {
                uint32_t wait_ms = bandwidth_book(&b, 30000, now);

                moved += 30000;
                free_at[i] = now + wait_ms * MS;
            }
    assert_in_range(moved, 59 * 1000000ull, 62 * 1000000ull + 40 * 30000);
    assert_int_equal(bandwidth_piece(&b, now / MS), 31250);
}

static void no_limit_is_no_wait(void **state)
{
    struct settings_bandwidths none = { 0 }, day = { .count = 1, .all = { { .bytes_per_s = 0 } } };
    struct bandwidth b;

    (void)state;
    bandwidth_init(&b, &none);
    assert_int_equal(bandwidth_book(&b, 1u << 30, 1000 * MS), 0);
    assert_int_equal(bandwidth_book(NULL, 1u << 30, 1000 * MS), 0);
    assert_true(bandwidth_piece(NULL, 1000) == SIZE_MAX);
    bandwidth_init(&b, &day);
    assert_int_equal(bandwidth_book(&b, 1u << 30, 1000 * MS), 0);
    assert_int_equal(bandwidth_now(&b, 1000), 0);
}

/* What was booked under a low limit does not hold a connection for hours, and the sum comes back to the limit. */
static void waits_are_bounded(void **state)
{
    struct settings_bandwidths limits = { .count = 1, .all = { { .bytes_per_s = 100000 } } };
    struct bandwidth b;

    (void)state;
    bandwidth_init(&b, &limits);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(bandwidth_book(&b, 65536, 1000 * MS) <= BANDWIDTH_WAIT_MAX_MS);
    assert_in_range(bandwidth_book(&b, 1, 1000 * MS), BANDWIDTH_WAIT_MAX_MS - 200, BANDWIDTH_WAIT_MAX_MS);
    assert_int_equal(bandwidth_book(&b, 1, 100000 * MS), 0);
    assert_int_equal(bandwidth_piece(&b, 1000), 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_of_all_connections_is_kept),
        cmocka_unit_test(no_limit_is_no_wait),
        cmocka_unit_test(waits_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
