/* `mailhaul cutover`: the last delta, a look at both sides, a grade, and a line a user for the help desk. */
#ifndef ENGINE_CLI_DO_CUTOVER_H
#define ENGINE_CLI_DO_CUTOVER_H

#include "engine/cli/opts.h"

/* Who is Synced and whose verify is Perfect or Good is Completed from then on, durably; later runs still take what
 * arrives late. Returns the exit code: 0 when each user asked for is Completed. */
int do_cutover(const struct opts *o, const struct settings *settings);

#endif
