/* `mailhaul init`: asks at a terminal what its options do not say, and writes what a first batch needs. */
#ifndef ENGINE_CLI_DO_INIT_H
#define ENGINE_CLI_DO_INIT_H

#include "engine/cli/opts.h"

/* Never writes over anything. Ends with `check` where there are users to check with; returns its exit code. */
int do_init(const struct opts *o, const struct settings *settings);

#endif
