/* Trouble that names no limit: lost connections, answers that got slow. It may be congestion, or
 * the line, or this machine. One event proves nothing; what comes back at the same rate as soon as
 * that is reached again does. Remembers the rate at which trouble came last (the slow start
 * threshold of TCP) and how often in a row, and lets it go once that rate was carried for a while.
 * Pure.
 */
#ifndef ENGINE_PACE_SUSPICION_H
#define ENGINE_PACE_SUSPICION_H

#include <stdint.h>

struct suspicion {
    double rate;         /* cost per second carried when trouble came last; 0 none */
    double cost;         /* accepted since */
    uint32_t times;      /* in a row at that rate */
    uint64_t carried_ms; /* that rate is carried without trouble since; 0 it is not */
};

/* `cost` was accepted. */
void suspicion_accepted(struct suspicion *s, double cost);
/* Trouble while `carried` a second was accepted. Returns how often in a row it came at about this
 * rate,
 * >= 1. Far below the rate of the last time (something else is wrong) and far above it (that rate
 * was no limit) count as the first time. Where next to nothing was accepted since the last time, it
 * tells nothing: 0, and nothing is changed. */
uint32_t suspicion_add(struct suspicion *s, double carried);
/* What is carried now; to be called about every second. True when the suspicion was dropped by it.
 */
int suspicion_carried(struct suspicion *s, double carried, uint64_t now);
/* How long the rate is left to creep before it doubles again: binary exponential backoff. 0 at the
 * first time. */
uint64_t suspicion_rest_ms(uint32_t times);

#endif
