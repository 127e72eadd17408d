/* How much was accepted: an average that forgets (20 s), and a count since the last cut that
 * forgets what is older than about 20 minutes. Pure.
 */
#ifndef ENGINE_PACE_METER_H
#define ENGINE_PACE_METER_H

#include <stdint.h>

/* Exponential average of a rate; right from its first seconds on. */
struct average {
    double rate; /* per second, not corrected for the start */
    double tau_ms;
    uint64_t start_ms;
    uint64_t at_ms;
};

void average_init(struct average *a, double tau_ms, uint64_t now);
void average_add(struct average *a, double amount, uint64_t now);
double average_rate(const struct average *a, uint64_t now);

#define METER_BLOCKS    6
#define METER_TENANT_MS 240000 /* a block: five full ones are 20 minutes */
#define METER_LANE_MS   720000 /* a lane accepts a few messages a minute: an hour */

/* Small, since each lane has one. */
struct meter {
    uint64_t start_ms;          /* of the count: the last cut, or the beginning */
    uint64_t block_ms;          /* start of the running block */
    uint32_t length_ms;         /* of a block */
    float blocks[METER_BLOCKS]; /* [0] is the running one */
};

void meter_init(struct meter *m, uint32_t length_ms, uint64_t now);
void meter_restart(struct meter *m, uint64_t now);
void meter_add(struct meter *m, double amount, uint64_t now);
/* The time that meter_rate speaks of; at least 1000. */
uint64_t meter_span_ms(struct meter *m, uint64_t now);
/* Per second, from the restart or at most six blocks back until now; pauses count as time. */
double meter_rate(struct meter *m, uint64_t now);

#endif
