/* The next wait: doubling, capped, jittered; and the seeded numbers the jitter comes from. Pure. */
#ifndef ENGINE_PACE_BACKOFF_H
#define ENGINE_PACE_BACKOFF_H

#include <stdint.h>

/* SplitMix64: any seed is good. Not for secrets. */
struct prng {
    uint64_t state;
};

uint64_t prng_next(struct prng *r);
/* 0 <= x < 1. */
double prng_unit(struct prng *r);

/* base_ms * 2^step, at most max_ms, without jitter. */
uint64_t backoff_ms(uint64_t base_ms, uint32_t step, uint64_t max_ms);
/* wait_ms to wait_ms * (1 + share), never less than wait_ms: a hint is a promise. */
uint64_t backoff_jitter(uint64_t wait_ms, double share, struct prng *r);

/* Where other things are answered, a wait need not double: a part of the time since the first
 * failure is enough to be polite by, and what follows the last failure is a part of the trouble.
 * since_ms: 0 none. */
uint64_t backoff_lasted_ms(uint64_t since_ms, uint64_t now);

#define HINT_MIN_MS 1000
#define HINT_MAX_MS 3600000
/* A server's own number, whatever it is, kept within 1 s..1 h. hint_ms > 0. */
uint64_t backoff_hint_ms(int64_t hint_ms);

#endif
