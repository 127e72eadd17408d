/* Which folder has the copy of a message that the source shows in several: a set of the source's
 * own identities, each with the folder that claimed it first. Pure; 32 bytes a message at most.
 */
#ifndef ENGINE_RULES_CLAIMS_H
#define ENGINE_RULES_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

struct claim {
    uint64_t id;     /* 0: free */
    uint32_t folder; /* 0: given up */
};

/* Zeroed is empty. Fields are its own. */
struct claims {
    struct claim *all; /* open-addressed; room is a power of two */
    uint32_t count, room;
};

void claims_deinit(struct claims *claims);
/* id and folder are not 0. True when the folder has the message from now on, or had it already;
 * false when another one has. */
bool claims_take(struct claims *claims, uint64_t id, uint32_t folder);
/* The folder that has it, 0: none. */
uint32_t claims_holder(const struct claims *claims, uint64_t id);
/* Gives the message up, if this folder has it. */
void claims_release(struct claims *claims, uint64_t id, uint32_t folder);
/* Gives up all that the folder has. */
void claims_release_folder(struct claims *claims, uint32_t folder);

#endif
