/* bandwidth-max: the most bytes a second that all connections of the process move, both sides together, at any time of
 * the day. Each transfer books its time behind all that were booked before, and its connection waits until then: over
 * a second or so the sum is kept, and nobody looks again and again.
 */
#ifndef ENGINE_MOVE_BANDWIDTH_H
#define ENGINE_MOVE_BANDWIDTH_H

#include "engine/settings/settings.h"

#include <stdatomic.h>

struct bandwidth {
    const struct settings_bandwidths *limits; /* borrowed */
    _Atomic uint64_t bytes_per_s;             /* now; 0: no limit */
    _Atomic uint64_t looked_ms;               /* when that was asked of the clock */
    _Atomic uint64_t free_ns;                 /* up to when all is booked */
};

void bandwidth_init(struct bandwidth *b, const struct settings_bandwidths *limits);
/* The limit at this moment of the day, bytes a second; 0: none. Any thread. */
uint64_t bandwidth_now(struct bandwidth *b, uint64_t now_ms);
/* So many bytes were moved: for how long, in ms, the connection that moved them moves no more. At most
 * BANDWIDTH_WAIT_MAX_MS: the limit may have changed by then. Any thread; b may be NULL: no limit. */
#define BANDWIDTH_WAIT_MAX_MS 60000u
uint32_t bandwidth_book(struct bandwidth *b, size_t bytes, uint64_t now_ns);
/* How much a connection moves at once, so that many of them share a low limit: bytes. */
size_t bandwidth_piece(struct bandwidth *b, uint64_t now_ms);

#endif
