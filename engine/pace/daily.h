/* A budget of bytes in any 24 hours (Gmail: 2,500 MB a user), counted in hourly bins of wall time,
 * so that the promise holds whenever the server's day begins. Pure; survives restarts as bytes.
 */
#ifndef ENGINE_PACE_DAILY_H
#define ENGINE_PACE_DAILY_H

#include "io/base/err.h"

#define DAILY_BINS  25 /* the running hour and the 24 before it */
#define DAILY_BYTES 217

struct daily {
    uint64_t budget_bytes;     /* 0: no limit */
    int64_t hour;              /* wall time / 3,600,000 of bins[hour % DAILY_BINS] */
    uint64_t bins[DAILY_BINS]; /* bytes read in that hour */
};

void daily_init(struct daily *d, uint64_t budget_bytes, int64_t wall_ms);
/* May `bytes` more be read? 0: yes. Otherwise the wall time (ms) to ask again. A message larger
 * than the whole budget is let through when the last 24 hours are empty. */
int64_t daily_ask(struct daily *d, uint64_t bytes, int64_t wall_ms);
/* So many were read. */
void daily_spend(struct daily *d, uint64_t bytes, int64_t wall_ms);
/* Read in the last 24 hours. */
uint64_t daily_used(struct daily *d, int64_t wall_ms);

void daily_encode(const struct daily *d, uint8_t out[DAILY_BYTES]);
/* Keeps d's budget. False for another version, length or checksum: d is then untouched. */
bool daily_decode(struct daily *d, const uint8_t *bytes, size_t size) ERR_CHECK;

#endif
