/* The hook at the end of a run: a command of the administrator's, for mail or chat. */
#ifndef ENGINE_CLI_NOTIFY_H
#define ENGINE_CLI_NOTIFY_H

#include "engine/rules/settings.h"
#include "io/base/slice.h"

/* Runs command by /bin/sh with the summary (a run's closing text) on its standard input, and waits for it. Its environment
 * has MAILHAUL_EXIT_CODE, MAILHAUL_BATCH (the name), MAILHAUL_STATE (the folder) and
 * MAILHAUL_COMMAND; nothing out of any mail comes near the shell. A hook that fails is warned of
 * and changes nothing. */
void notify_run(const char *command, const char *verb, const struct settings *settings,
                struct slice summary, int exit_code);

#endif
