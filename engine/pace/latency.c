#include "engine/pace/latency.h"

#include <math.h>
#include <string.h>

void latency_init(struct latency *l)
{
    memset(l, 0, sizeof(*l));
}

void latency_restart(struct latency *l)
{
    l->window_ms = 0;
    l->samples = 0;
    l->sizes = 0;
    memset(l->scale, 0, sizeof(l->scale));
}

static void fit(struct latency *l, double size, double answer_ms)
{
    /* Spread grows with size, so that a large message says less about the slope per byte;
     * forgetting over some 2,000 answers is slow against a brake and quick against a change of
     * route. */
    double weight = 1 / ((1 + size) * (1 + size));
    double keep = 1 - 1.0 / 2000;

    l->n = l->n * keep + weight;
    l->sx = l->sx * keep + weight * size;
    l->sy = l->sy * keep + weight * answer_ms;
    l->sxx = l->sxx * keep + weight * size * size;
    l->sxy = l->sxy * keep + weight * size * answer_ms;
}

static void fit_slope(struct latency *l)
{
    double spread = l->n * l->sxx - l->sx * l->sx;
    double per_size, at_zero;

    if (spread <= 1e-9 * l->n * l->n)
        return;
    per_size = (l->n * l->sxy - l->sx * l->sy) / spread;
    at_zero = (l->sy - per_size * l->sx) / l->n;
    if (at_zero <= 0 || per_size <= 0)
        return;
    l->slope = fmin(per_size / at_zero, 10);
}

static double freed(const struct latency *l, uint32_t window)
{
    return l->median[window] / (1 + l->slope * l->mean_size[window]);
}

static double base(const struct latency *l)
{
    uint32_t known = l->windows < LATENCY_WINDOWS ? l->windows : LATENCY_WINDOWS;
    double least = freed(l, 0);

    for (uint32_t i = 1; i < known; i++)
        least = fmin(least, freed(l, i));
    return least;
}

void latency_accept(struct latency *l)
{
    uint32_t last = (l->windows - 1) % LATENCY_WINDOWS;

    if (l->windows == 0)
        return;
    l->median[0] = l->median[last];
    l->mean_size[0] = l->mean_size[last];
    l->windows = 1;
    l->ratio = 1;
    l->excess_ms = 0;
}

static uint32_t step_of(double ms)
{
    double step = ms > 1 ? floor(log2(ms) * LATENCY_STEPS) : 0;

    return step < LATENCY_SCALE - 1 ? (uint32_t)step : LATENCY_SCALE - 1;
}

/* The time below which that share of the running window's samples lies. */
static double quantile(const struct latency *l, double share)
{
    double rank = share * l->samples, before = 0;
    uint32_t step = 0;

    while (step < LATENCY_SCALE - 1 && before + l->scale[step] < rank)
        before += l->scale[step++];
    return exp2((step + 0.5) / LATENCY_STEPS);
}

bool latency_add(struct latency *l, double size, double answer_ms, uint32_t window_min_ms, uint64_t now)
{
    double low;
    uint32_t at;

    answer_ms = fmax(answer_ms, 1);
    if (l->typical_ms == 0)
        l->typical_ms = answer_ms;
    else
        l->typical_ms *= answer_ms > l->typical_ms ? 1.02 : 1 / 1.02;
    fit(l, size, answer_ms);
    if (l->windows == 0 && l->samples < LATENCY_SAMPLES_MIN)
        fit_slope(l);
    if (l->samples == 0)
        l->window_ms = now;
    l->samples++;
    l->scale[step_of(answer_ms / (1 + l->slope * size))]++;
    l->sizes += size;
    if (l->samples < LATENCY_SAMPLES_MIN || now < l->window_ms + window_min_ms)
        return false;
    /* Twice the standard error of a rank in the middle, whatever the times are spread like. */
    low = quantile(l, 0.5 - 1 / sqrt(l->samples));
    at = l->windows++ % LATENCY_WINDOWS;
    l->mean_size[at] = l->sizes / l->samples;
    l->median[at] = quantile(l, 0.5) * (1 + l->slope * l->mean_size[at]);
    l->excess_ms = freed(l, at) - base(l);
    l->ratio = low / base(l);
    latency_restart(l);
    fit_slope(l);
    return true;
}
