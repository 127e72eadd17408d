/* `mailhaul user pause|resume|drop ADDRESS`: takes one user out of a batch for a while, back, or for good. */
#ifndef ENGINE_CLI_DO_USER_H
#define ENGINE_CLI_DO_USER_H

#include "engine/cli/opts.h"

/* Durable when it returns; a run at work follows within seconds. Returns the exit code. */
int do_user(const struct opts *o, const struct settings *settings);

#endif
