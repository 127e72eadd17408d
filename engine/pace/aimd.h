/* How many connections a server bears: learnt from its words, cut when it says "too many", raised
 * again slowly. Used for sources, whose limits are counted in connections. Pure; the caller's
 * clock.
 */
#ifndef ENGINE_PACE_AIMD_H
#define ENGINE_PACE_AIMD_H

#include <stdint.h>

/* Plain values, copied freely. 1 <= limit <= ceiling always. */
struct aimd {
    uint32_t limit;      /* connections allowed now */
    uint32_t ceiling;    /* the configured most, or less when the server named a number */
    uint32_t restore_ms; /* quiet time before one more is tried; doubles with each cut to 1 h */
    uint64_t cut_ms;     /* time of the last cut, 0 none */
    uint64_t grown_ms;   /* time of the last cut or raise */
};

/* limit_max >= 1: what the batch file allows; begins there. */
void aimd_init(struct aimd *a, uint32_t limit_max, uint64_t now);
/* The server said how many it allows in all; `keep_free` of them are left to others (a person's own
 * mail program). At least 1 remains; never above limit_max. */
void aimd_set_limit(struct aimd *a, uint32_t allowed, uint32_t keep_free, uint64_t now);
/* It refused one more while in_use others worked: the limit becomes in_use when that is lower, or
 * three quarters of itself when sessions that worked are being closed (in_use >= limit). Refusals
 * of attempts made together count once: nothing happens within 5 s of a cut unless in_use is below
 * the limit. */
void aimd_too_many(struct aimd *a, uint32_t in_use, uint64_t now);
/* All is well with in_use connections. Raises by one when the limit was used up for restore_ms. */
void aimd_worked(struct aimd *a, uint32_t in_use, uint64_t now);

#endif
