/* test: failure */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/failure/crawl.h"

#define PATIENCE_MS 120000u

/* Seconds until it is given up, at so many bytes in each of them; 0: within a day it is not. */
static unsigned given_up_after(struct crawl *crawl, unsigned bytes_per_s)
{
    for (unsigned s = 1; s <= 86400; s++) {
        crawl_pass(crawl, 1000, bytes_per_s);
        if (crawl_is_over(crawl, PATIENCE_MS))
            return s;
    }
    return 0;
}

static void slow_lines_live(void **state)
{
    struct crawl crawl = { 0 };

    (void)state;
    assert_int_equal(given_up_after(&crawl, 30000 / 8), 0);
    assert_int_equal(given_up_after(&crawl, 30000 / 8 / 29), 0); /* shared by twenty-nine */
    assert_int_equal(given_up_after(&crawl, CRAWL_BYTES_PER_S), 0);
}

static void who_gives_a_byte_now_and_then_is_given_up(void **state)
{
    struct crawl none = { 0 }, two = { 0 }, half = { 0 };

    (void)state;
    assert_int_equal(given_up_after(&none, 0), 481);
    assert_in_range(given_up_after(&two, 2), 482, 500);
    assert_in_range(given_up_after(&half, CRAWL_BYTES_PER_S / 2), 950, 970);
}

/* Minutes of nothing, then all at once: a line that is shared, or a server that thinks. */
static void who_gives_by_fits_lives(void **state)
{
    struct crawl crawl = { 0 };

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        crawl_pass(&crawl, 110000, 0);
        assert_false(crawl_is_over(&crawl, PATIENCE_MS));
        crawl_pass(&crawl, 1000, 64 * 1024);
    }
}

static void nothing_is_saved_up(void **state)
{
    struct crawl crawl = { 0 };

    (void)state;
    crawl_pass(&crawl, 1000, UINT64_MAX);
    assert_int_equal(given_up_after(&crawl, 0), 481);
}

static void the_next_connection_has_less(void **state)
{
    struct crawl crawl = { 0 };

    (void)state;
    given_up_after(&crawl, 2);
    crawl_again(&crawl, PATIENCE_MS);
    assert_false(crawl_is_over(&crawl, PATIENCE_MS));
    assert_in_range(given_up_after(&crawl, 2), 121, 125);
    crawl_again(&crawl, PATIENCE_MS);
    crawl_pass(&crawl, 0, 1000000); /* it was the line */
    assert_int_equal(given_up_after(&crawl, 0), 481);
}

static void no_sum_is_too_large(void **state)
{
    struct crawl crawl = { 0 };

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        crawl_pass(&crawl, UINT64_MAX, 0);
    assert_true(crawl_is_over(&crawl, UINT32_MAX));
    crawl_again(&crawl, UINT32_MAX);
    assert_false(crawl_is_over(&crawl, UINT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_lines_live),
        cmocka_unit_test(who_gives_a_byte_now_and_then_is_given_up),
        cmocka_unit_test(who_gives_by_fits_lives),
        cmocka_unit_test(nothing_is_saved_up),
        cmocka_unit_test(the_next_connection_has_less),
        cmocka_unit_test(no_sum_is_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
