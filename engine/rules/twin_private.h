/* What twin and twin_pair share. Internal to the two. */
#ifndef ENGINE_RULES_TWIN_PRIVATE_H
#define ENGINE_RULES_TWIN_PRIVATE_H

#include "engine/rules/twin.h"

/* Sorted by key, date, size and UID when first asked. */
struct candidate {
    uint8_t key[TWIN_KEY_BYTES];
    int64_t seconds;
    uint64_t size;
    uint32_t uid; /* 0 once taken */
    uint32_t was; /* the UID, for good */
};

struct twin_rows;

struct twins {
    struct candidate *all;
    size_t count, room, left;
    bool sorted;
    struct quota_part *memory;
    struct quota_hold held;
    size_t *by_uid; /* positions in UID order, made for twins_at; goes with any reordering */
    struct twin_rows *rows; /* what is to be paired with them; twin_pair's */
};

void twins_sort(struct twins *twins);
void twins_taken(struct twins *twins, struct candidate *candidate);
/* How many have the key, taken ones as well, and where they begin. */
size_t twins_of_key(struct twins *twins, const uint8_t key[TWIN_KEY_BYTES], size_t *first_r);
/* Of those the ones that have this date; *from_r is where they begin. */
size_t twins_of_date(const struct twins *twins, size_t first, size_t count, int64_t seconds, size_t *from_r);
void twins_rows_free(struct twins *twins);

#endif
