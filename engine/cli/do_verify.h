/* `verify`: both sides read again and compared; a line a user, or JSON by interface.md. */
#ifndef ENGINE_CLI_DO_VERIFY_H
#define ENGINE_CLI_DO_VERIFY_H

#include "engine/cli/opts.h"

/* Exit code 0 when nothing is missing or doubled, 3 when something is or a user could not be read.
 */
int do_verify(const struct opts *o, const struct settings *settings);

#endif
