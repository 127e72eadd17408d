/* What `bench` measured as one self-contained HTML page: a table and a plot. */
#ifndef ENGINE_CLI_BENCH_PAGE_H
#define ENGINE_CLI_BENCH_PAGE_H

#include "engine/bench/read_bench.h"

#include <stdio.h>

/* server: its greeting; any text, it is escaped. The caller looks at the stream's error. */
void bench_page_write(FILE *out, const char *server, const struct read_bench_step *steps, unsigned count,
                      unsigned knee, const char *reason);

#endif
