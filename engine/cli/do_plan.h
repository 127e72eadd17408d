/* plan: what a run would move, without a body being read. The inventory goes into the state folder,
 * so that the run that follows need not list again.
 */
#ifndef ENGINE_CLI_DO_PLAN_H
#define ENGINE_CLI_DO_PLAN_H

#include "engine/cli/opts.h"

int do_plan(const struct opts *o, const struct settings *settings);

#endif
