#include "engine/pace/aimd.h"

#include <assert.h>

#define SAME_REFUSAL_MS 5000
#define RESTORE_MS      60000
#define RESTORE_MAX_MS  3600000

void aimd_init(struct aimd *a, uint32_t limit_max, uint64_t now)
{
    assert(limit_max >= 1);
    a->limit = limit_max;
    a->ceiling = limit_max;
    a->restore_ms = RESTORE_MS;
    a->cut_ms = 0;
    a->grown_ms = now;
}

void aimd_set_limit(struct aimd *a, uint32_t allowed, uint32_t keep_free, uint64_t now)
{
    uint32_t usable = allowed > keep_free ? allowed - keep_free : 1;

    if (usable < a->ceiling)
        a->ceiling = usable;
    if (a->limit > a->ceiling)
        a->limit = a->ceiling;
    a->grown_ms = now;
}

void aimd_too_many(struct aimd *a, uint32_t in_use, uint64_t now)
{
    uint32_t next;

    if (in_use >= a->limit) {
        if (a->cut_ms != 0 && now < a->cut_ms + SAME_REFUSAL_MS)
            return;
        next = a->limit - (a->limit + 3) / 4;
    } else {
        next = in_use;
    }
    if (a->cut_ms == 0 || now >= a->cut_ms + SAME_REFUSAL_MS) {
        if (a->cut_ms != 0)
            a->restore_ms = a->restore_ms > RESTORE_MAX_MS / 2 ? RESTORE_MAX_MS : a->restore_ms * 2;
        /* 0 stands for "never"; a clock at 0 loses a millisecond. */
        a->cut_ms = now ? now : 1;
    }
    a->limit = next >= 1 ? next : 1;
    a->grown_ms = now;
}

void aimd_worked(struct aimd *a, uint32_t in_use, uint64_t now)
{
    if (a->limit >= a->ceiling || in_use < a->limit || now < a->grown_ms + a->restore_ms)
        return;
    a->limit++;
    a->grown_ms = now;
}
