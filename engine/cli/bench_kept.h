/* The newest result of `bench` beside its batch file (NAME.bench.json): what it measured is what plan and run go by
 * where the batch file does not say. A result of another server, or one that does not read as a result, is none.
 */
#ifndef ENGINE_CLI_BENCH_KEPT_H
#define ENGINE_CLI_BENCH_KEPT_H

#include "engine/settings/settings.h"

#include <jansson.h>

/* Where it is kept; the caller's. */
char *bench_kept_path(const struct settings *settings);
/* A result of this program stands there, or nothing, and something may. */
bool bench_kept_may_write(const char *path);
/* Says what was done, or why not, on standard error, unless quiet: that it cannot be kept is no fault of the bench. */
void bench_kept_write(const char *path, const json_t *result, bool quiet);

/* Puts what the newest bench found into the settings, where the batch file does not say: connections and
 * connections-per-user of the source, and its rates for the forecast. Says so on standard error, unless quiet. */
void bench_kept_use(struct settings *settings, bool quiet);

#endif
