/* check: both servers tried step by step, for one user, some, or all. */
#ifndef ENGINE_CLI_DO_CHECK_H
#define ENGINE_CLI_DO_CHECK_H

#include "engine/cli/opts.h"

int do_check(const struct opts *o, const struct settings *settings);

#endif
