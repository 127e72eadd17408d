#include "engine/pace/strikes.h"

#include <string.h>

static bool seen_before(const struct strikes *s, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (s->kept[i].lane == s->kept[index].lane)
            return true;
    return false;
}

bool strikes_add(struct strikes *s, uint32_t lane, uint64_t wait_ms, uint64_t now, uint32_t later_most,
                 struct strike_group *group_r)
{
    struct strike_group group = { .shortest_ms = UINT64_MAX };
    uint32_t lanes = 0;

    if (s->count < STRIKES_KEPT)
        s->count++;
    memmove(s->kept + 1, s->kept, (s->count - 1) * sizeof(s->kept[0]));
    s->kept[0] = (struct strike){ .at_ms = now, .wait_ms = wait_ms, .lane = lane };
    for (uint32_t i = 0; i < s->count; i++) {
        const struct strike *first = &s->kept[i];

        if (first->at_ms + STRIKES_WITHIN_MS < now)
            break;
        if (!seen_before(s, i))
            lanes++;
        group.since_ms = first->at_ms;
        if (first->wait_ms > group.longest_ms)
            group.longest_ms = first->wait_ms;
        if (first->wait_ms < group.shortest_ms)
            group.shortest_ms = first->wait_ms;
        if (lanes >= STRIKES_LANES && first->later <= later_most * lanes) {
            s->count = 0;
            *group_r = group;
            return true;
        }
    }
    return false;
}

void strikes_success(struct strikes *s, uint64_t sent_ms)
{
    for (uint32_t i = 0; i < s->count; i++)
        s->kept[i].later += sent_ms > s->kept[i].at_ms;
}
