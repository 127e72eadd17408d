#include "engine/pace/fair.h"

#include "io/base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void fair_init(struct fair *f, double lag)
{
    memset(f, 0, sizeof(*f));
    heap_init(&f->waiting);
    f->lag = lag;
}

void fair_deinit(struct fair *f)
{
    heap_deinit(&f->waiting);
    free(f->vtime);
    free(f->weight);
    memset(f, 0, sizeof(*f));
}

void fair_reserve(struct fair *f, uint32_t id_count)
{
    if (id_count <= f->room)
        return;
    heap_reserve(&f->waiting, id_count);
    f->vtime = mem_resize(f->vtime, id_count, sizeof(*f->vtime));
    f->weight = mem_resize(f->weight, id_count, sizeof(*f->weight));
    f->room = id_count;
}

void fair_start(struct fair *f, uint32_t id, double weight)
{
    assert(id < f->room && weight > 0 && isfinite(weight));
    f->vtime[id] = f->floor;
    f->weight[id] = weight;
}

void fair_enter(struct fair *f, uint32_t id)
{
    assert(id < f->room);
    if (heap_has(&f->waiting, id))
        return;
    f->vtime[id] = fmax(f->vtime[id], f->floor - f->lag);
    heap_put(&f->waiting, id, f->vtime[id]);
}

void fair_leave(struct fair *f, uint32_t id)
{
    heap_remove(&f->waiting, id);
}

bool fair_empty(const struct fair *f)
{
    return f->waiting.count == 0;
}

uint32_t fair_first(const struct fair *f)
{
    return heap_top(&f->waiting);
}

void fair_serve(struct fair *f, uint32_t id, double cost)
{
    assert(cost >= 0 && heap_has(&f->waiting, id));
    f->floor = fmax(f->floor, f->vtime[id]);
    f->vtime[id] += cost / f->weight[id];
    heap_put(&f->waiting, id, f->vtime[id]);
}

void fair_refund(struct fair *f, uint32_t id, double cost)
{
    assert(id < f->room);
    f->vtime[id] -= cost / f->weight[id];
    if (heap_has(&f->waiting, id))
        heap_put(&f->waiting, id, f->vtime[id]);
}
