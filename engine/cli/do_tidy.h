/* `tidy`: lists second copies on the target that are this program's own, and removes them when asked to. Exit code 0
 * when none is left, 3 when some are or a user could not be looked at.
 */
#ifndef ENGINE_CLI_DO_TIDY_H
#define ENGINE_CLI_DO_TIDY_H

#include "engine/cli/opts.h"

int do_tidy(const struct opts *o, const struct settings *settings);

#endif
