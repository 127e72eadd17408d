/* Small ids ordered by a key, least first; any id can be moved or taken out in O(log n). */
#ifndef ENGINE_PACE_HEAP_H
#define ENGINE_PACE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

/* Storage is the heap's own; grown by heap_reserve only. */
struct heap {
    uint32_t *ids;    /* heap order */
    double *keys;     /* by id */
    uint32_t *places; /* by id: index in ids, or UINT32_MAX */
    uint32_t count;
    uint32_t room;  /* ids 0..room-1 may be put */
    uint64_t steps; /* moves made so far, for tests of the work per operation */
};

void heap_init(struct heap *h);
void heap_deinit(struct heap *h);
/* Makes room for ids below id_count. */
void heap_reserve(struct heap *h, uint32_t id_count);
/* Puts id in, or gives it a new key when it is in. id < room. */
void heap_put(struct heap *h, uint32_t id, double key);
/* Nothing happens when id is not in. */
void heap_remove(struct heap *h, uint32_t id);
bool heap_has(const struct heap *h, uint32_t id);
/* The id with the least key; count > 0. */
uint32_t heap_top(const struct heap *h);
double heap_top_key(const struct heap *h);

#endif
