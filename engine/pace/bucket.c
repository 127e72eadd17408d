#include "engine/pace/bucket.h"

#include <assert.h>
#include <math.h>

void bucket_init(struct bucket *b, double tokens, uint64_t now)
{
    b->tokens = tokens;
    b->at_ms = now;
}

double bucket_refill(struct bucket *b, double rate, double burst, uint64_t now)
{
    double in;
    double spilled = 0;

    if (now <= b->at_ms)
        return 0;
    in = rate * (double)(now - b->at_ms) / 1000.0;
    b->at_ms = now;
    if (b->tokens + in > burst) {
        double room = fmax(burst - b->tokens, 0);

        spilled = in - room;
        in = room;
    }
    b->tokens += in;
    return spilled;
}

void bucket_skip(struct bucket *b, uint64_t now)
{
    if (now > b->at_ms)
        b->at_ms = now;
}

uint64_t bucket_wait_ms(const struct bucket *b, double rate, double need)
{
    double wait;

    if (!(rate > 0))
        return UINT64_MAX;
    wait = ceil((need - b->tokens) / rate * 1000.0);
    if (wait < 1)
        return 1;
    /* Thirty years are never enough for a permit, and keep sums of times far from wrapping. */
    return wait > 1e12 ? 1000000000000u : (uint64_t)wait;
}

int bucket_holds(const struct bucket *b, double need)
{
    return b->tokens >= need - 1e-6;
}

void slots_set(struct slots *s, double per_s, uint32_t burst)
{
    assert(per_s > 0 && burst >= 1);
    s->per_s = per_s;
    s->burst = burst;
}

uint64_t slots_take(struct slots *s, uint64_t now)
{
    double gap = 1000.0 / s->per_s;
    double slot;

    s->next_ms = fmax(s->next_ms, (double)now - (s->burst - 1) * gap);
    slot = fmax((double)now, ceil(s->next_ms));
    s->next_ms += gap;
    return (uint64_t)slot;
}
