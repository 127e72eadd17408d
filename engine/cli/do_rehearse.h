/* `mailhaul rehearse`: the batch as it is, into a simulated Exchange Online of this process. */
#ifndef ENGINE_CLI_DO_REHEARSE_H
#define ENGINE_CLI_DO_REHEARSE_H

#include "engine/cli/opts.h"
#include "engine/settings/settings.h"

/* Loads the batch file itself (settings is NULL). Exit code as run's. */
int do_rehearse(const struct opts *o, const struct settings *settings);

#endif
