/* Are answers getting slow? Medians over windows of time, freed from the influence of message sizes,
 * and compared with the best of the last 64 windows. A server that slows down slows every answer; a
 * few that come late, as on a machine that has other work, move a mean and not the median. Minima of
 * single samples are useless here: they made an earlier controller brake for ever. Pure.
 */
#ifndef ENGINE_PACE_LATENCY_H
#define ENGINE_PACE_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

#define LATENCY_WINDOWS     64
#define LATENCY_SAMPLES_MIN 20
#define LATENCY_STEPS       32                   /* steps of the scale that double the time */
#define LATENCY_SCALE       (18 * LATENCY_STEPS) /* from 1 ms on */

struct latency {
    double typical_ms;             /* running median of answers; 0 unknown */
    double slope;                  /* extra share of time per unit of size, >= 0 */
    double n, sx, sy, sxx, sxy;    /* weighted sums of the fit, forgetting */
    uint64_t window_ms;            /* start of the running window; 0 none */
    uint32_t samples;              /* in it */
    double sizes;                  /* of the samples in it */
    uint32_t scale[LATENCY_SCALE]; /* the samples in it, freed from size, by time */
    /* Of closed windows. What frees them from size is learnt all the while, and times freed by
       different slopes cannot be compared: the median is kept as of a message of the mean size. */
    double median[LATENCY_WINDOWS], mean_size[LATENCY_WINDOWS];
    uint32_t windows; /* closed so far */
    double ratio;     /* last window's median over the base; 0 unknown */
    double excess_ms; /* last window's median less the base */
};

void latency_init(struct latency *l);
/* size: in units of the cost's bytes. window_min_ms: a window closes once it is that old and has
 * LATENCY_SAMPLES_MIN samples. True when one closed: l->ratio is then new, already lowered by twice
 * the median's standard error, so that few samples do not cry wolf. */
bool latency_add(struct latency *l, double size, double answer_ms, uint32_t window_min_ms, uint64_t now);
/* Answers are as slow as they were just now for a reason that is not ours: what was quicker before
 * is forgotten. */
void latency_accept(struct latency *l);
/* Forgets the running window (after a pause its samples would mix two states). */
void latency_restart(struct latency *l);

#endif
