/* Which users go first (user-order), by what plan and earlier runs know of them. Pure. */
#ifndef ENGINE_SETTINGS_TURNS_H
#define ENGINE_SETTINGS_TURNS_H

#include "engine/settings/settings.h"
#include "store/record.h"

/* What is known of one user. */
struct turn_facts {
    bool known;               /* some of his mail was found */
    uint64_t messages, bytes; /* in all */
    uint64_t left;            /* messages that have no end yet */
};

struct turn_facts turns_of(const struct tally *tally);
/* Fills order_r with the numbers 0..count-1 in their order. Of equals, and of those of whom nothing is known, which
 * come last, the one listed first goes first. */
void turns_order(const struct turn_facts *users, size_t count, enum settings_user_order order, unsigned *order_r);

#endif
