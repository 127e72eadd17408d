#include "io/base/hist.h"

#define SUB_COUNT (1u << HIST_SUB_BITS)

static unsigned bucket_of(uint64_t value)
{
    unsigned shift;

    if (value < 2 * SUB_COUNT)
        return (unsigned)value;
    shift = 63 - (unsigned)__builtin_clzll(value) - HIST_SUB_BITS;
    return (shift << HIST_SUB_BITS) + (unsigned)(value >> shift);
}

uint64_t hist_bucket_end(unsigned bucket)
{
    unsigned shift;

    if (bucket < 2 * SUB_COUNT)
        return bucket;
    shift = (bucket >> HIST_SUB_BITS) - 1;
    return ((uint64_t)(bucket - (shift << HIST_SUB_BITS)) << shift) + (((uint64_t)1 << shift) - 1);
}

void hist_add(struct hist *h, uint64_t value)
{
    uint32_t *bucket = &h->buckets[bucket_of(value)];

    if (*bucket < UINT32_MAX)
        ++*bucket;
    h->count++;
    h->sum += value;
    if (value > h->max)
        h->max = value;
}

void hist_merge(struct hist *to, const struct hist *from)
{
    for (unsigned i = 0; i < HIST_BUCKET_COUNT; i++)
        if (__builtin_add_overflow(to->buckets[i], from->buckets[i], &to->buckets[i]))
            to->buckets[i] = UINT32_MAX;
    to->count += from->count;
    to->sum += from->sum;
    if (from->max > to->max)
        to->max = from->max;
}

uint64_t hist_quantile(const struct hist *h, double percent)
{
    double wanted = (double)h->count * percent / 100;
    uint64_t seen = 0;

    for (unsigned i = 0; i < HIST_BUCKET_COUNT && h->count; i++) {
        seen += h->buckets[i];
        if (seen && (double)seen >= wanted)
            return hist_bucket_end(i) < h->max ? hist_bucket_end(i) : h->max;
    }
    return h->max;
}
