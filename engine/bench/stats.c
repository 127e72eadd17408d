#include "engine/bench/stats.h"

#include <assert.h>
#include <math.h>

#define STEPS_MAX 300
#define NEAR      1e-14
#define TINY      1e-300

struct stats stats_of(const double *values, unsigned count)
{
    struct stats s = { .count = count };
    double squares = 0;

    for (unsigned i = 0; i < count; i++)
        s.mean += values[i] / count;
    for (unsigned i = 0; i < count; i++)
        squares += (values[i] - s.mean) * (values[i] - s.mean);
    s.deviation = count > 1 ? sqrt(squares / (count - 1)) : 0;
    return s;
}

/* The continued fraction of the incomplete beta function, by Lentz's method. */
static double fraction(double a, double b, double x)
{
    double c = 1, d = 1 - (a + b) * x / (a + 1), h;

    d = 1 / (fabs(d) < TINY ? TINY : d);
    h = d;
    for (int m = 1; m <= STEPS_MAX; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), factor;

        d = 1 + even * d;
        d = 1 / (fabs(d) < TINY ? TINY : d);
        c = 1 + even / c;
        c = fabs(c) < TINY ? TINY : c;
        h *= d * c;
        d = 1 + odd * d;
        d = 1 / (fabs(d) < TINY ? TINY : d);
        c = 1 + odd / c;
        c = fabs(c) < TINY ? TINY : c;
        factor = d * c;
        h *= factor;
        if (fabs(factor - 1) < NEAR)
            break;
    }
    return h;
}

static double log_gamma(double x)
{
    int sign;

    return lgamma_r(x, &sign);
}

/* I_x(a, b), regularized. */
static double beta(double a, double b, double x)
{
    double front;

    if (x <= 0 || x >= 1)
        return x >= 1;
    front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * fraction(a, b, x) / a : 1 - front * fraction(b, a, 1 - x) / b;
}

double stats_t_below(double t, double df)
{
    double tail;

    assert(df > 0);
    tail = beta(df / 2, 0.5, df / (df + t * t)) / 2;
    return t > 0 ? 1 - tail : tail;
}

double stats_t_quantile(double p, double df)
{
    double low = 0, high = 1;

    assert(p > 0 && p < 1);
    if (p < 0.5)
        return -stats_t_quantile(1 - p, df);
    while (stats_t_below(high, df) < p && high < 1e12)
        high *= 2;
    for (int i = 0; i < 200 && high - low > 1e-12 * high; i++) {
        double middle = (low + high) / 2;

        if (stats_t_below(middle, df) < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

double stats_half_width(const struct stats *s)
{
    if (s->count < 2)
        return INFINITY;
    return stats_t_quantile((1 + STATS_CONFIDENCE) / 2, s->count - 1) * s->deviation / sqrt(s->count);
}

/* The standard error of the difference, and Welch's degrees of freedom. False: not known. */
static bool welch(const struct stats *a, const struct stats *b, double *error_r, double *df_r)
{
    double x, y;

    if (a->count < 2 || b->count < 2)
        return false;
    x = a->deviation * a->deviation / a->count;
    y = b->deviation * b->deviation / b->count;
    *error_r = sqrt(x + y);
    *df_r = x + y > 0 ? (x + y) * (x + y) / (x * x / (a->count - 1) + y * y / (b->count - 1)) : a->count + b->count - 2;
    return true;
}

bool stats_differ(const struct stats *a, const struct stats *b, double *p_r)
{
    double error, df, apart = fabs(a->mean - b->mean);

    if (!welch(a, b, &error, &df))
        return false;
    if (error > 0)
        *p_r = 2 * stats_t_below(-apart / error, df);
    else
        *p_r = apart > 0 ? 0 : 1;
    return true;
}

double stats_difference_half_width(const struct stats *a, const struct stats *b)
{
    double error, df;

    if (!welch(a, b, &error, &df))
        return INFINITY;
    return stats_t_quantile((1 + STATS_CONFIDENCE) / 2, df) * error;
}
