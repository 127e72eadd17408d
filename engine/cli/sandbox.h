/* What a command that talks to servers may still do once it knows what it is for: a hostile server that found
 * a hole in it would find no other file to write, no program to run, and no right to gain. */
#ifndef ENGINE_CLI_SANDBOX_H
#define ENGINE_CLI_SANDBOX_H

#include "engine/cli/opts.h"
#include "engine/settings/settings.h"

/* From here on the process writes only into the batch's state, the ledger, the folder of a refresh-token-file and of a
 * status-file, the file of --html, the folder of
 * --to (both are made if need be), and below more (NULL, or a folder in /tmp that is removed at the end). A log that is
 * open stays open. Does nothing with --no-sandbox, and where the kernel has no Landlock; the log tells which. Call it
 * once the state is open, and before there is a second thread. */
void sandbox(const struct opts *o, const struct settings *settings, const char *more);

/* One line for --version: what the kernel of this computer can do of it. */
void sandbox_describe(FILE *out);

#endif
