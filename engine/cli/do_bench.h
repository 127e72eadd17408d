/* `mailhaul bench`: how fast the source can be read, and with how many connections. */
#ifndef ENGINE_CLI_DO_BENCH_H
#define ENGINE_CLI_DO_BENCH_H

#include "engine/cli/opts.h"
#include "engine/settings/settings.h"

/* Exit code. */
int do_bench(const struct opts *o, const struct settings *settings);

#endif
