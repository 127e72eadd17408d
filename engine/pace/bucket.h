/* Tokens that flow in at a rate and stay up to a burst; and slots in time for what happens one by
 * one (connects). Taking may leave a debt. Pure; the caller's clock.
 */
#ifndef ENGINE_PACE_BUCKET_H
#define ENGINE_PACE_BUCKET_H

#include <stdint.h>

struct bucket {
    double tokens; /* below 0: a debt */
    uint64_t at_ms;
};

void bucket_init(struct bucket *b, double tokens, uint64_t now);
/* Lets in what came since the last call at `rate` per second, up to `burst`. Returns what did not
 * fit. More than burst that is already there stays. */
double bucket_refill(struct bucket *b, double rate, double burst, uint64_t now);
/* Nothing flows in for the time until now. */
void bucket_skip(struct bucket *b, uint64_t now);
/* Milliseconds, at least 1, until there are `need` tokens at `rate` per second; UINT64_MAX when
 * rate is 0. */
uint64_t bucket_wait_ms(const struct bucket *b, double rate, double need);
/* Whether there are `need`, forgiving the rounding of times to milliseconds. */
int bucket_holds(const struct bucket *b, double need);

/* Slots: at most `burst` at once, later `per_s` a second, handed out in order of asking. */
struct slots {
    double per_s;
    double burst;
    double next_ms; /* when the slot after the last one handed out is due on an even flow */
};

/* Zeroed storage, or a change of numbers: places handed out already stay. */
void slots_set(struct slots *s, double per_s, uint32_t burst);
/* Takes the next slot; returns its time, >= now. */
uint64_t slots_take(struct slots *s, uint64_t now);

#endif
