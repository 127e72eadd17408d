#include "engine/folders/names_index.h"

#include "io/base/mem.h"

#include <stdlib.h>
#include <sys/random.h>

void names_index_init(struct names_index *index)
{
    *index = (struct names_index){ 0 };
    /* Without randomness it is only slower against names made to collide. */
    if (getrandom(&index->seed, sizeof index->seed, GRND_NONBLOCK) < 0)
        index->seed = (uint64_t)(uintptr_t)index;
}

void names_index_deinit(struct names_index *index)
{
    for (size_t i = 0; i < index->room; i++)
        free(index->slots[i].text);
    free(index->slots);
    *index = (struct names_index){ 0 };
}

static uint64_t hash_of(const struct names_index *index, struct slice text)
{
    uint64_t h = index->seed ^ text.size * 0x9E3779B97F4A7C15u;

    for (size_t i = 0; i < text.size; i++) {
        h = (h ^ (unsigned char)text.data[i]) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }
    return h;
}

/* The slot of text, or the free one where it would go. */
static struct names_index_slot *slot_of(struct names_index *index, struct slice text, uint64_t hash)
{
    for (size_t at = hash & (index->room - 1);; at = (at + 1) & (index->room - 1)) {
        struct names_index_slot *slot = &index->slots[at];

        index->looks++;
        if (!slot->text || (slot->hash == hash && slice_equal(slice_of(slot->text, slot->size), text)))
            return slot;
    }
}

static void grow(struct names_index *index)
{
    struct names_index_slot *old = index->slots;
    size_t room = index->room;

    index->room = room ? room * 2 : 64;
    index->slots = mem_zero(index->room, sizeof *index->slots);
    for (size_t i = 0; i < room; i++)
        if (old[i].text)
            *slot_of(index, slice_of(old[i].text, old[i].size), old[i].hash) = old[i];
    free(old);
}

static struct names_index_slot *room_for(struct names_index *index, struct slice text)
{
    uint64_t hash = hash_of(index, text);
    struct names_index_slot *slot;

    if ((index->count + 1) * 2 > index->room)
        grow(index);
    slot = slot_of(index, text, hash);
    if (!slot->text) {
        *slot = (struct names_index_slot){ slice_dup(text), text.size, NAMES_INDEX_NONE, hash };
        index->count++;
    }
    return slot;
}

bool names_index_add(struct names_index *index, struct slice text, size_t value)
{
    struct names_index_slot *slot = room_for(index, text);

    if (slot->value != NAMES_INDEX_NONE)
        return false;
    slot->value = value;
    return true;
}

void names_index_put(struct names_index *index, struct slice text, size_t value)
{
    room_for(index, text)->value = value;
}

size_t names_index_find(struct names_index *index, struct slice text)
{
    struct names_index_slot *slot;

    if (index->count == 0)
        return NAMES_INDEX_NONE;
    slot = slot_of(index, text, hash_of(index, text));
    return slot->text ? slot->value : NAMES_INDEX_NONE;
}

bool names_index_add_folded(struct names_index *index, struct slice text, size_t value)
{
    char *folded = slice_dup_folded(text);
    bool added = names_index_add(index, slice_of(folded, text.size), value);

    free(folded);
    return added;
}

size_t names_index_find_folded(struct names_index *index, struct slice text)
{
    char *folded = slice_dup_folded(text);
    size_t value = names_index_find(index, slice_of(folded, text.size));

    free(folded);
    return value;
}
