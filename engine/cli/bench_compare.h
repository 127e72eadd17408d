/* `bench compare A.json B.json...`: whether the later results differ from the first, step by step. */
#ifndef ENGINE_CLI_BENCH_COMPARE_H
#define ENGINE_CLI_BENCH_COMPARE_H

#include "engine/cli/opts.h"

/* Exit code: done, whatever it found; a file that is no result: usage. */
int bench_compare(const struct opts *o);

#endif
