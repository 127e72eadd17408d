/* `run --every 24h [--until-cutover]`: a run, a wait, a run, each in a process of its own, which reads batch file,
 * users.csv and secrets anew.
 */
#ifndef ENGINE_CLI_DO_EVERY_H
#define ENGINE_CLI_DO_EVERY_H

#include "engine/cli/opts.h"

/* once: what is done each time. Ends when stopped (with the last run's exit code), when a first run cannot begin
 * (usage, users.csv, batch file), or, with --until-cutover, when all users are Completed or dropped (EXIT_DONE). */
int do_every(const struct opts *o, int (*once)(const struct opts *o));

#endif
