/* A set of UIDs that grows in any order, each step of the same cost: a server names them as it likes, backwards or
 * chosen for the harm they do. One thread; 8 bytes a UID at most while it stands, 12 while it grows. */
#ifndef ENGINE_IMAP_UIDTABLE_H
#define ENGINE_IMAP_UIDTABLE_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed is empty. Fields are its own. */
struct uidtable {
    uint32_t *all; /* 0: free; room is a power of two */
    uint32_t count, room;
    uint64_t times, plus; /* drawn for each, so that nobody knows which UIDs fall together */
};

void uidtable_deinit(struct uidtable *table);
/* uid: not 0. False: it is there already. */
bool uidtable_add(struct uidtable *table, uint32_t uid);
bool uidtable_has(const struct uidtable *table, uint32_t uid);
/* How many are lower; looks at each. */
uint32_t uidtable_below(const struct uidtable *table, uint32_t uid);

#endif
