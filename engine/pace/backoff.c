#include "engine/pace/backoff.h"

#include <assert.h>

#define LASTED_PART 8

uint64_t prng_next(struct prng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double prng_unit(struct prng *r)
{
    return (double)(prng_next(r) >> 11) * 0x1.0p-53;
}

uint64_t backoff_ms(uint64_t base_ms, uint32_t step, uint64_t max_ms)
{
    if (base_ms >= max_ms)
        return max_ms;
    /* base_ms is at least 1 here or the result is 0 for every step. */
    if (step >= 63 || base_ms > max_ms >> step)
        return base_ms ? max_ms : 0;
    return base_ms << step;
}

uint64_t backoff_jitter(uint64_t wait_ms, double share, struct prng *r)
{
    assert(share >= 0 && share <= 1);
    return wait_ms + (uint64_t)((double)wait_ms * share * prng_unit(r));
}

uint64_t backoff_lasted_ms(uint64_t since_ms, uint64_t now)
{
    return since_ms != 0 && now > since_ms ? (now - since_ms) / LASTED_PART : 0;
}

uint64_t backoff_hint_ms(int64_t hint_ms)
{
    assert(hint_ms > 0);
    if (hint_ms < HINT_MIN_MS)
        return HINT_MIN_MS;
    return hint_ms > HINT_MAX_MS ? HINT_MAX_MS : (uint64_t)hint_ms;
}
