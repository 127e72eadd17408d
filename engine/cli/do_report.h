/* status, report, export and spool-check: what is read from state folders alone. */
#ifndef ENGINE_CLI_DO_REPORT_H
#define ENGINE_CLI_DO_REPORT_H

#include "engine/cli/opts.h"

/* settings is NULL: these commands find their state folders by themselves. Return the exit code. */
int do_status(const struct opts *o, const struct settings *settings);
int do_report(const struct opts *o, const struct settings *settings);
int do_export(const struct opts *o, const struct settings *settings);
int do_spool_check(const struct opts *o, const struct settings *settings);

#endif
