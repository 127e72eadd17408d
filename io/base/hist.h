/* Latency histogram: counts per bucket, 32 buckets to each doubling, so that every quantile is
 * within 1/32 (3.2 %) above the true value, over the whole range of 64 bits. One thread writes;
 * histograms of several threads are added afterwards.
 */
#ifndef IO_BASE_HIST_H
#define IO_BASE_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS     5
#define HIST_BUCKET_COUNT ((64 - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

/* Zeroed storage is an empty histogram. The unit is the caller's (microseconds, bytes ...). */
struct hist {
    uint64_t count, sum, max; /* sum wraps after 2^64 */
    uint32_t buckets[HIST_BUCKET_COUNT];
};

void hist_add(struct hist *h, uint64_t value);
void hist_merge(struct hist *to, const struct hist *from);
/* The smallest bucket end at or below which `percent` (0..100) of the values lie; exact for values
 * under 64, never above the maximum; 0 when empty. */
uint64_t hist_quantile(const struct hist *h, double percent);
/* The largest value of a bucket. */
uint64_t hist_bucket_end(unsigned bucket);

#endif
