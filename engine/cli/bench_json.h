/* The result of `bench` as JSON, schema mailhaul.bench.v1. The page, `bench compare`, plan and run read it. */
#ifndef ENGINE_CLI_BENCH_JSON_H
#define ENGINE_CLI_BENCH_JSON_H

#include "engine/bench/draw.h"
#include "engine/bench/study.h"

#include <jansson.h>

struct bench_server {
    const struct settings_endpoint *endpoint;
    const char *greeting, *capabilities, *tls;
};

struct bench_whole {
    const struct bench_server *server;
    const struct draw_result *draw;
    const struct study *study;
    unsigned accounts; /* that the batch file has */
    int64_t began_ms;  /* wall */
    double seconds;
    const char *command_line;
    bool no_mail; /* nothing to read: each step says so */
};

/* The caller's. */
json_t *bench_json(const struct bench_whole *whole);
/* Of an account, at most: what a recommendation for the batch file says. */
unsigned bench_per_user(const struct study *study);

#endif
