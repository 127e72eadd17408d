/* test: base */
#include "io/base/hist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_small_values_are_exact(void **state)
{
    struct hist h = { 0 };

    for (uint64_t v = 1; v <= 60; v++)
        hist_add(&h, v);
    assert_int_equal(hist_quantile(&h, 50), 30);
    assert_int_equal(hist_quantile(&h, 100), 60);
    assert_int_equal(hist_quantile(&h, 0), 1);
    assert_int_equal(h.sum, 60 * 61 / 2);
}

static void test_every_value_is_within_the_stated_bound(void **state)
{
    uint64_t value = 1;

    for (unsigned i = 0; i < 20000; i++) {
        struct hist *h = calloc(1, sizeof *h);
        uint64_t got;

        value = value * 6364136223846793005u + 1442695040888963407u;
        hist_add(h, value >> (i % 64));
        hist_add(h, UINT64_MAX); /* so that the maximum does not hide the bucket's end */
        got = hist_quantile(h, 50);
        assert_true(got >= value >> (i % 64));
        assert_true(got - (value >> (i % 64)) <= (value >> (i % 64)) / 32);
        free(h);
    }
}

static void test_extremes_and_empty(void **state)
{
    struct hist h = { 0 };

    assert_int_equal(hist_quantile(&h, 99), 0);
    hist_add(&h, UINT64_MAX);
    assert_true(hist_quantile(&h, 99) == UINT64_MAX);
    assert_true(h.max == UINT64_MAX);
}

static void test_merged_equals_added_together(void **state)
{
    struct hist a = { 0 }, b = { 0 }, all = { 0 };

    for (uint64_t v = 0; v < 5000; v++) {
        hist_add(v % 3 ? &a : &b, v * v);
        hist_add(&all, v * v);
    }
    hist_merge(&a, &b);
    assert_memory_equal(&a, &all, sizeof a);
    assert_int_equal(hist_quantile(&a, 90), hist_quantile(&all, 90));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_values_are_exact),
        cmocka_unit_test(test_every_value_is_within_the_stated_bound),
        cmocka_unit_test(test_extremes_and_empty),
        cmocka_unit_test(test_merged_equals_added_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
