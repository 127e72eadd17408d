/* test: bench */
#include "engine/bench/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <math.h>

#include <cmocka.h>

static void near(double value, double expected, double within)
{
    if (!(fabs(value - expected) <= within))
        fail_msg("%.9g is not %.9g", value, expected);
}

static struct stats made(unsigned count, double mean, double deviation)
{
    return (struct stats){ count, mean, deviation };
}

/* Any table of Student's t. */
static void test_quantiles_of_the_tables(void **state)
{
    near(stats_t_quantile(0.975, 1), 12.7062, 1e-4);
    near(stats_t_quantile(0.975, 2), 4.30265, 1e-5);
    near(stats_t_quantile(0.975, 4), 2.77645, 1e-5);
    near(stats_t_quantile(0.975, 9), 2.26216, 1e-5);
    near(stats_t_quantile(0.95, 30), 1.69726, 1e-5);
    near(stats_t_quantile(0.995, 10), 3.16927, 1e-5);
    near(stats_t_quantile(0.975, 1e6), 1.95997, 1e-4);
    near(stats_t_quantile(0.025, 4), -2.77645, 1e-5);
    near(stats_t_quantile(0.5, 7), 0, 1e-9);
}

/* With one degree of freedom it is Cauchy's, with two there is a closed form. */
static void test_closed_forms(void **state)
{
    for (double t = -40; t <= 40; t += 0.37) {
        near(stats_t_below(t, 1), 0.5 + atan(t) / M_PI, 1e-12);
        near(stats_t_below(t, 2), 0.5 + t / (2 * sqrt(2 + t * t)), 1e-12);
        near(stats_t_below(t, 5) + stats_t_below(-t, 5), 1, 1e-12);
    }
    near(stats_t_quantile(stats_t_below(2.5, 6.3), 6.3), 2.5, 1e-8);
}

static void test_mean_and_interval(void **state)
{
    static const double values[] = { 2, 4, 4, 4, 5, 5, 7, 9 };
    struct stats s = stats_of(values, 8), one = stats_of(values, 1), none = stats_of(values, 0);

    near(s.mean, 5, 1e-12);
    near(s.deviation, sqrt(32.0 / 7), 1e-12);
    near(stats_half_width(&s), 2.364624 * sqrt(32.0 / 7) / sqrt(8), 1e-5);
    near(one.mean, 2, 0);
    assert_true(isinf(stats_half_width(&one)));
    assert_true(isinf(stats_half_width(&none)));
}

/* t = -2.8530, df = 27.887; p by numerical integration of the density: 0.0080719. */
static void test_welch(void **state)
{
    static const double a[] = {
        27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4
    };
    static const double b[] = {
        27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 30.5, 24.4
    };
    struct stats x = stats_of(a, 15), y = stats_of(b, 15);
    double p = 2;

    near(x.mean, 20.82, 0.01);
    assert_true(stats_differ(&x, &y, &p));
    near(p, 0.0080719, 1e-6);
    x = made(5, 36.9, 1), y = made(5, 36.9, 1);
    assert_true(stats_differ(&x, &y, &p));
    near(p, 1, 1e-9);
    /* Equal spread and size: Student's own test, df = 8, t = 2.306 is its 5 %. */
    y.mean = 36.9 + 2.306004 * sqrt(2.0 / 5);
    assert_true(stats_differ(&x, &y, &p));
    near(p, 0.05, 1e-5);
    near(stats_difference_half_width(&x, &y), 2.306004 * sqrt(2.0 / 5), 1e-5);
}

static void test_what_is_not_known(void **state)
{
    struct stats one = made(1, 5, 0), two = made(2, 5, 1), flat = made(3, 5, 0), other = made(3, 6, 0);
    double p = 7;

    assert_false(stats_differ(&one, &two, &p));
    assert_true(isinf(stats_difference_half_width(&two, &one)));
    assert_true(stats_differ(&flat, &other, &p));
    near(p, 0, 0);
    assert_true(stats_differ(&flat, &flat, &p));
    near(p, 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles_of_the_tables), cmocka_unit_test(test_closed_forms),
        cmocka_unit_test(test_mean_and_interval),       cmocka_unit_test(test_welch),
        cmocka_unit_test(test_what_is_not_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
