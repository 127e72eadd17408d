#include "io/base/quota.h"

#include "io/base/mem.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define FLOOR_SHARE 64u

struct quota {
    _Atomic uint64_t used;
    uint64_t max, common, floor;
};

struct quota_part {
    struct quota *of;
    uint64_t used;
    bool left;
};

struct quota *quota_create(uint64_t max_bytes)
{
    struct quota *q = mem_zero(1, sizeof *q);

    q->max = max_bytes;
    q->common = max_bytes / 4 * 3;
    q->floor = max_bytes / FLOOR_SHARE;
    return q;
}

void quota_destroy(struct quota **quota)
{
    free(*quota);
    *quota = NULL;
}

uint64_t quota_used(const struct quota *quota)
{
    return atomic_load_explicit(&quota->used, memory_order_relaxed);
}

struct quota_part *quota_join(struct quota *quota)
{
    struct quota_part *part = mem_zero(1, sizeof *part);

    part->of = quota;
    return part;
}

static void part_done(struct quota_part *part)
{
    if (part->left && part->used == 0)
        free(part);
}

void quota_leave(struct quota_part **part)
{
    if (!*part)
        return;
    (*part)->left = true;
    part_done(*part);
    *part = NULL;
}

uint64_t quota_part_used(const struct quota_part *part)
{
    return part->used;
}

bool quota_is_over(const struct quota_part *part)
{
    uint64_t used;

    if (!part)
        return false;
    used = quota_used(part->of);
    return used >= part->of->max || (used >= part->of->common && part->used > part->of->floor);
}

void quota_hold(struct quota_hold *hold, struct quota_part *part, size_t bytes)
{
    if (hold->bytes == 0)
        hold->part = part;
    part = hold->part;
    if (!part || bytes == hold->bytes)
        return;
    assert(part->used >= hold->bytes);
    /* Unsigned: less is a large addition that comes round. */
    part->used += bytes - hold->bytes;
    atomic_fetch_add_explicit(&part->of->used, (uint64_t)bytes - hold->bytes, memory_order_relaxed);
    hold->bytes = bytes;
    if (bytes == 0) {
        hold->part = NULL;
        part_done(part);
    }
}
