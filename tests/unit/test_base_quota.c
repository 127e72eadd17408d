/* test: base */
#include "io/base/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX 64000u

static void who_holds_most_is_told_first(void **state)
{
    struct quota *all = quota_create(MAX);
    struct quota_part *greedy = quota_join(all), *modest = quota_join(all);
    struct quota_hold rows = { 0 }, names = { 0 }, few = { 0 };

    (void)state;
    assert_false(quota_is_over(NULL));
    quota_hold(&rows, greedy, 40000);
    quota_hold(&few, modest, MAX / 64);
    assert_false(quota_is_over(greedy));
    quota_hold_more(&names, greedy, 8000);
    assert_true(quota_is_over(greedy));
    assert_false(quota_is_over(modest));
    quota_hold_more(&few, modest, 1);
    assert_true(quota_is_over(modest));
    quota_hold(&few, modest, 1);
    assert_false(quota_is_over(modest));
    quota_hold(&names, greedy, MAX - 40001);
    assert_true(quota_is_over(modest));
    assert_int_equal(quota_used(all), MAX);
    quota_let_go(&names);
    assert_int_equal(quota_used(all), 40001);
    assert_int_equal(quota_part_used(greedy), 40000);
    quota_let_go(&rows);
    quota_let_go(&few);
    assert_int_equal(quota_used(all), 0);
    quota_leave(&greedy);
    quota_leave(&modest);
    quota_destroy(&all);
    assert_null(all);
}

/* Lists outlive the connection that they came over, and whoever read them. */
static void what_is_held_outlives_its_part(void **state)
{
    struct quota *all = quota_create(MAX);
    struct quota_part *part = quota_join(all);
    struct quota_hold list = { 0 }, uncounted = { 0 };

    (void)state;
    quota_hold(&list, part, 5);
    quota_leave(&part);
    assert_null(part);
    assert_int_equal(quota_used(all), 5);
    quota_hold_more(&list, NULL, 5);
    assert_int_equal(quota_used(all), 10);
    quota_let_go(&list);
    assert_int_equal(quota_used(all), 0);
    quota_let_go(&list);
    quota_hold(&uncounted, NULL, 7);
    quota_let_go(&uncounted);
    quota_leave(&part);
    part = quota_join(all);
    quota_leave(&part);
    quota_destroy(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_holds_most_is_told_first),
        cmocka_unit_test(what_is_held_outlives_its_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
