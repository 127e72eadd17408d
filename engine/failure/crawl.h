/* Does a server crawl: a byte now and then, so that it is never silent and never comes to an end? Judged by the time
 * that its bytes are worth, as a leaky bucket. Pure; the caller has the clock.
 */
#ifndef ENGINE_FAILURE_CRAWL_H
#define ENGINE_FAILURE_CRAWL_H

#include <stdbool.h>
#include <stdint.h>

/* A line of 30 kbit/s gives thirty connections as much as that at once. */
#define CRAWL_BYTES_PER_S 128u
/* It may be below that for so many times the longest silence. */
#define CRAWL_PATIENCE 4u

struct crawl {
    uint64_t owed_us; /* time spent amid a piece, less what the bytes that came since are worth */
};

/* Time that was spent waiting for the rest of a piece, and the bytes that came, of this piece or another. */
void crawl_pass(struct crawl *crawl, uint64_t waited_ms, uint64_t bytes);
/* It has crawled for longer than CRAWL_PATIENCE times patience_ms. */
bool crawl_is_over(const struct crawl *crawl, uint32_t patience_ms);
/* For a new connection to the same server: who crawled before has one patience_ms left, until its bytes have made up
 * for it. */
void crawl_again(struct crawl *crawl, uint32_t patience_ms);

#endif
