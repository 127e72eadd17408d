/* What repeated measurements say: mean, Student's confidence interval, Welch's test. Pure arithmetic; after
 * Student (1908) and Welch (1947), the distribution by the continued fraction of the incomplete beta function.
 */
#ifndef ENGINE_BENCH_STATS_H
#define ENGINE_BENCH_STATS_H

#include <stdbool.h>

#define STATS_CONFIDENCE 0.95

struct stats {
    unsigned count;
    double mean;
    double deviation; /* of the sample (divided by count - 1); 0 below two values */
};

struct stats stats_of(const double *values, unsigned count);
/* Half of the width of the mean's interval of STATS_CONFIDENCE; INFINITY below two values, which tell nothing of it. */
double stats_half_width(const struct stats *s);
/* Welch's t-test, two-sided: how likely a difference of the means as large as this one is when there is none. False
 * below two values on a side: not known. Without any spread on both sides p is 0 or 1. */
bool stats_differ(const struct stats *a, const struct stats *b, double *p_r);
/* The interval of STATS_CONFIDENCE of mean(a) - mean(b) by the same test: its half width; INFINITY: not known. */
double stats_difference_half_width(const struct stats *a, const struct stats *b);

/* Student's t with df > 0 degrees of freedom: P(T <= t), and the t with P(T <= t) = p, 0 < p < 1. */
double stats_t_below(double t, double df);
double stats_t_quantile(double p, double df);

#endif
