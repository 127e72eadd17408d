/* Which folder has the copy of a message that the source shows in several: a set of the source's
 * own identities, each with the folder that claimed it first. Pure; 32 bytes a message at most.
 */
#ifndef ENGINE_MESSAGE_LABEL_OWNERS_H
#define ENGINE_MESSAGE_LABEL_OWNERS_H

#include <stdbool.h>
#include <stdint.h>

struct label_owner {
    uint64_t id;     /* 0: free */
    uint32_t folder; /* 0: given up */
};

/* Zeroed is empty. Fields are its own. */
struct label_owners {
    struct label_owner *all; /* open-addressed; room is a power of two */
    uint32_t count, room;
};

void label_owners_deinit(struct label_owners *label_owners);
/* id and folder are not 0. True when the folder has the message from now on, or had it already;
 * false when another one has. */
bool label_owners_take(struct label_owners *label_owners, uint64_t id, uint32_t folder);
/* The folder that has it, 0: none. */
uint32_t label_owners_holder(const struct label_owners *label_owners, uint64_t id);
/* Gives the message up, if this folder has it. */
void label_owners_release(struct label_owners *label_owners, uint64_t id, uint32_t folder);
/* Gives up all that the folder has. */
void label_owners_release_folder(struct label_owners *label_owners, uint32_t folder);

#endif
