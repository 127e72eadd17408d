#include "engine/pace/strikes.h"

#include <string.h>

static bool seen_before(const struct strikes *s, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (s->kept[i].lane == s->kept[index].lane)
            return true;
    return false;
}

bool strikes_add(struct strikes *s, const struct strike *strike, uint32_t successes_most,
                 uint64_t *wait_ms_r)
{
    uint64_t wait_ms = 0;
    uint32_t lanes = 0;

    if (s->count < STRIKES_KEPT)
        s->count++;
    memmove(s->kept + 1, s->kept, (s->count - 1) * sizeof(s->kept[0]));
    s->kept[0] = *strike;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct strike *first = &s->kept[i];

        if (first->at_ms + STRIKES_WITHIN_MS < strike->at_ms)
            break;
        if (!seen_before(s, i))
            lanes++;
        if (first->wait_ms > wait_ms)
            wait_ms = first->wait_ms;
        if (lanes >= STRIKES_LANES && strike->successes - first->successes <=
                                          first->in_flight + successes_most * (uint64_t)lanes) {
            s->count = 0;
            *wait_ms_r = wait_ms;
            return true;
        }
    }
    return false;
}
