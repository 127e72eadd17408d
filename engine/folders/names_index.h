/* Finds a text among many without comparing it with each: a mailbox may have a hundred thousand
 * folders. Hashed with a seed of its own each time, for the names are a server's to choose.
 */
#ifndef ENGINE_FOLDERS_NAMES_INDEX_H
#define ENGINE_FOLDERS_NAMES_INDEX_H

#include "io/base/slice.h"

#define NAMES_INDEX_NONE SIZE_MAX

struct names_index_slot {
    char *text; /* owned; NULL: free */
    size_t size, value;
    uint64_t hash;
};
struct names_index {
    struct names_index_slot *slots;
    size_t room, count; /* room: 0 or a power of two */
    uint64_t seed;
    uint64_t looks; /* slots looked at so far, for tests that count work */
};

/* Empty and without memory. */
void names_index_init(struct names_index *index);
void names_index_deinit(struct names_index *index);
/* Keeps a copy of text with value (below NAMES_INDEX_NONE). False, and nothing changed, when text is
 * there already. */
bool names_index_add(struct names_index *index, struct slice text, size_t value);
/* Likewise, but the value of a text that is there is replaced. */
void names_index_put(struct names_index *index, struct slice text, size_t value);
/* The value, or NAMES_INDEX_NONE. */
size_t names_index_find(struct names_index *index, struct slice text);

/* The same of texts that mean the same whatever the case of their letters A to Z, as addresses do; an index is used in
 * one of the two ways. */
bool names_index_add_folded(struct names_index *index, struct slice text, size_t value);
size_t names_index_find_folded(struct names_index *index, struct slice text);

#endif
