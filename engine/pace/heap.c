#include "engine/pace/heap.h"

#include "io/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX

void heap_init(struct heap *h)
{
    memset(h, 0, sizeof(*h));
}

void heap_deinit(struct heap *h)
{
    free(h->ids);
    free(h->keys);
    free(h->places);
    memset(h, 0, sizeof(*h));
}

void heap_reserve(struct heap *h, uint32_t id_count)
{
    if (id_count <= h->room)
        return;
    h->ids = mem_resize(h->ids, id_count, sizeof(*h->ids));
    h->keys = mem_resize(h->keys, id_count, sizeof(*h->keys));
    h->places = mem_resize(h->places, id_count, sizeof(*h->places));
    for (uint32_t id = h->room; id < id_count; id++)
        h->places[id] = NOWHERE;
    h->room = id_count;
}

static void set(struct heap *h, uint32_t place, uint32_t id)
{
    h->ids[place] = id;
    h->places[id] = place;
    h->steps++;
}

static void rise(struct heap *h, uint32_t place)
{
    uint32_t id = h->ids[place];

    while (place > 0) {
        uint32_t above = (place - 1) / 2;

        if (h->keys[h->ids[above]] <= h->keys[id])
            break;
        set(h, place, h->ids[above]);
        place = above;
    }
    set(h, place, id);
}

static void sink(struct heap *h, uint32_t place)
{
    uint32_t id = h->ids[place];

    for (;;) {
        uint32_t below = 2 * place + 1;

        if (below >= h->count)
            break;
        if (below + 1 < h->count && h->keys[h->ids[below + 1]] < h->keys[h->ids[below]])
            below++;
        if (h->keys[id] <= h->keys[h->ids[below]])
            break;
        set(h, place, h->ids[below]);
        place = below;
    }
    set(h, place, id);
}

void heap_put(struct heap *h, uint32_t id, double key)
{
    assert(id < h->room);
    h->keys[id] = key;
    if (h->places[id] == NOWHERE)
        set(h, h->count++, id);
    rise(h, h->places[id]);
    sink(h, h->places[id]);
}

void heap_remove(struct heap *h, uint32_t id)
{
    uint32_t place;
    uint32_t last;

    assert(id < h->room);
    place = h->places[id];
    if (place == NOWHERE)
        return;
    h->places[id] = NOWHERE;
    last = h->ids[--h->count];
    if (last == id)
        return;
    set(h, place, last);
    rise(h, place);
    sink(h, h->places[last]);
}

bool heap_has(const struct heap *h, uint32_t id)
{
    return id < h->room && h->places[id] != NOWHERE;
}

uint32_t heap_top(const struct heap *h)
{
    assert(h->count > 0);
    return h->ids[0];
}

double heap_top_key(const struct heap *h)
{
    return h->keys[heap_top(h)];
}
