/* What the options of `bench` ask for, as a study's configuration. */
#ifndef ENGINE_CLI_BENCH_ARGS_H
#define ENGINE_CLI_BENCH_ARGS_H

#include "engine/bench/study.h"
#include "engine/cli/opts.h"

#define BENCH_ACCOUNTS_DEFAULT 20u

/* Fills specs, step_count, repeats, seconds, rate, bounds, seed (a drawn one where none is given) and polite; users and
 * house are the caller's. Steps that say the same twice are one. Errors: PERMANENT/RUN, origin CONFIG, code 64. */
bool bench_args(const struct opts *o, const struct settings *settings, struct study_config *config_r,
                struct err *err_r) ERR_CHECK;

#endif
