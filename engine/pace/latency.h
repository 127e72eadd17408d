/* Are answers getting slow? Means over windows of time, freed from the influence of message sizes,
 * and compared with the best of the last 64 windows. Minima of single samples are useless here:
 * they made an earlier controller brake for ever. Pure.
 */
#ifndef ENGINE_PACE_LATENCY_H
#define ENGINE_PACE_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

#define LATENCY_WINDOWS     64
#define LATENCY_SAMPLES_MIN 20

struct latency {
    double typical_ms;             /* running median of answers; 0 unknown */
    double slope;                  /* extra share of time per unit of size, >= 0 */
    double n, sx, sy, sxx, sxy;    /* weighted sums of the fit, forgetting */
    uint64_t window_ms;            /* start of the running window; 0 none */
    uint32_t samples;              /* in it */
    double sum, sum2;              /* of the samples in it, freed from size */
    double answers, sizes;         /* the same, as they came */
    /* Of closed windows, as they came: what frees them from size is learnt all the while, and means
       freed by different slopes cannot be compared. */
    double mean_answer[LATENCY_WINDOWS], mean_size[LATENCY_WINDOWS];
    uint32_t windows;              /* closed so far */
    double ratio;                  /* last window's mean over the base; 0 unknown */
    double excess_ms;              /* last window's mean less the base */
};

void latency_init(struct latency *l);
/* size: in units of the cost's bytes. window_min_ms: a window closes once it is that old and has
 * LATENCY_SAMPLES_MIN samples. True when one closed: l->ratio is then new, already lowered by twice
 * its standard error, so that few samples do not cry wolf. */
bool latency_add(struct latency *l, double size, double answer_ms, uint32_t window_min_ms,
                 uint64_t now);
/* Answers are as slow as they were just now for a reason that is not ours: what was quicker before
 * is forgotten. */
void latency_accept(struct latency *l);
/* Forgets the running window (after a pause its samples would mix two states). */
void latency_restart(struct latency *l);

#endif
