/* What `bench` measured as one self-contained HTML page: what it says, plots, tables; nothing is asked for from
 * elsewhere. */
#ifndef ENGINE_CLI_BENCH_PAGE_H
#define ENGINE_CLI_BENCH_PAGE_H

#include <jansson.h>
#include <stdio.h>

/* bench: of bench_json; all texts are escaped. The caller looks at the stream's error. */
void bench_page_write(FILE *out, const json_t *bench);

#endif
