/* run, fetch, upload and retry: the batch from its file to its exit code, with signals and the
 * display.
 */
#ifndef ENGINE_CLI_DO_RUN_H
#define ENGINE_CLI_DO_RUN_H

#include "engine/cli/opts.h"

/* settings: loaded for the command's mode, users selected. Returns the exit code. */
int do_run(const struct opts *o, const struct settings *settings);

/* Likewise of a rehearsal, whose own folder in /tmp may still be written and removed. */
int do_run_beside(const struct opts *o, const struct settings *settings, const char *folder);

/* Signals that end a batch cleanly; for other commands that run one. */
void do_run_catch_signals(void);

#endif
