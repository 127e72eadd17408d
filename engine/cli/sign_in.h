/* A person signs in by code: shows address and code on standard error, polls until it is done, and
 * keeps the refresh token. Runs before any loop does and waits in the calling thread.
 */
#ifndef ENGINE_CLI_SIGN_IN_H
#define ENGINE_CLI_SIGN_IN_H

#include "engine/cli/opts.h"

/* The command: signs in on each side that has device-code = yes. Returns the exit code. */
int do_sign_in(const struct opts *o, const struct settings *settings);

/* For a command that will meet these sides: where nobody has signed in yet and a person sits at the
 * terminal, asks; otherwise leaves it to the command, which will say so. Returns EXIT_DONE or the
 * exit code of a sign-in that failed. */
int sign_in_if_needed(const struct settings *settings, bool source, bool target, bool quiet);

#endif
