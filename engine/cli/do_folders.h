/* `mailhaul folders`: a user's folder tree, and what it becomes on the target. */
#ifndef ENGINE_CLI_DO_FOLDERS_H
#define ENGINE_CLI_DO_FOLDERS_H

#include "engine/cli/opts.h"
#include "engine/settings/settings.h"

/* Exit code. */
int do_folders(const struct opts *o, const struct settings *settings);

#endif
