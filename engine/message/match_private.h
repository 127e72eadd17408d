/* What match and match_pair share. Internal to the two. */
#ifndef ENGINE_MESSAGE_MATCH_PRIVATE_H
#define ENGINE_MESSAGE_MATCH_PRIVATE_H

#include "engine/message/match.h"

/* Sorted by key, date, size and UID when first asked. */
struct candidate {
    uint8_t key[MATCH_KEY_BYTES];
    int64_t seconds;
    uint64_t size;
    uint32_t uid; /* 0 once taken */
    uint32_t was; /* the UID, for good */
};

struct match_rows;

struct matcher {
    struct candidate *all;
    size_t count, room, left;
    uint32_t ours_from; /* UINT32_MAX: none */
    bool sorted;
    struct quota_part *memory;
    struct quota_hold held;
    size_t *by_uid;          /* positions in UID order, made for matcher_at; goes with any reordering */
    struct match_rows *rows; /* what is to be paired with them; match_pair's */
};

void matcher_sort(struct matcher *matcher);
void matcher_taken(struct matcher *matcher, struct candidate *candidate);
/* How many have the key, taken ones as well, and where they begin. */
size_t matcher_of_key(struct matcher *matcher, const uint8_t key[MATCH_KEY_BYTES], size_t *first_r);
/* Of those the ones that have this date; *from_r is where they begin. */
size_t matcher_of_date(const struct matcher *matcher, size_t first, size_t count, int64_t seconds, size_t *from_r);
void matcher_rows_free(struct matcher *matcher);

#endif
