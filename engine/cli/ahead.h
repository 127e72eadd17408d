/* What a run tells before it begins: that its hour has not come, that the batch was run in another
 * division of its users, and that the state was another batch's. */
#ifndef ENGINE_CLI_AHEAD_H
#define ENGINE_CLI_AHEAD_H

#include "engine/settings/settings.h"
#include "store/spool.h"

#include <stdio.h>

/* Is `now` (seconds since 1970) outside the batch's window? Then says on `out` when it opens. */
bool ahead_window_closed(const struct settings *settings, int64_t now, FILE *out);
/* Warns on `out` of state folders beside this one: of the batch without shards, or in another number of
 * them. What they hold is not known to this run. */
void ahead_tell_other_states(const struct settings *settings, FILE *out);

/* Warns on `out` where the state folder was another batch's, by its name. A run that begins takes the name. */
void ahead_tell_other_batch(struct spool *spool, const struct settings *settings, FILE *out);
/* Warns on `out` where the state folder's mail is of another server on this side, by its name. A run in which all
 * users are Synced takes the name. */
void ahead_tell_other_server(struct spool *spool, const struct settings *settings, enum side side, FILE *out);

#endif
