/* The hook at the end of a run: a command of the administrator's, for mail or chat. It is run by a helper that
 * is forked before anything is read, so that it has no secret and no open file of the run, and may do what
 * the run itself has given up (engine/cli/sandbox). */
#ifndef ENGINE_CLI_NOTIFY_H
#define ENGINE_CLI_NOTIFY_H

#include "engine/settings/settings.h"
#include "io/base/slice.h"

/* Forks the helper; to be called first of all, and once. The helper outlives signals that stop the run, and
 * ends with this process when no hook is run. What fails is told by notify_run. */
void notify_begin(const char *command);

/* Has the helper run the command by /bin/sh with the summary (a run's closing text) on its standard input, and waits
 * for it. Its environment has MAILHAUL_EXIT_CODE, MAILHAUL_BATCH (the name), MAILHAUL_STATE (the folder) and
 * MAILHAUL_COMMAND; nothing out of any mail comes near the shell. A hook that fails is warned of
 * and changes nothing. Does nothing without notify_begin. */
void notify_run(const char *verb, const struct settings *settings, struct slice summary, int exit_code);

#endif
