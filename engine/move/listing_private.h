/* What listing tells of the folder list itself. Internal to engine/move/listing*.c.
 */
#ifndef ENGINE_MOVE_LISTING_PRIVATE_H
#define ENGINE_MOVE_LISTING_PRIVATE_H

#include "engine/move/listing.h"

/* A root that nothing lies in moves nothing: that must not look like success. */
void listing_judge_root(struct account *account, const struct names_source *rows, unsigned count);
/* What the list does not show may be mail: the user is not Synced, and the rest goes on. */
void listing_tell_gaps(struct account *account);

#endif
