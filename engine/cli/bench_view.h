/* `bench` for people: the table as it grows on a terminal, and the result as text of 80 columns. */
#ifndef ENGINE_CLI_BENCH_VIEW_H
#define ENGINE_CLI_BENCH_VIEW_H

#include "engine/bench/draw.h"
#include "engine/bench/study.h"

#include <pthread.h>
#include <stdio.h>

enum bench_live {
    BENCH_LIVE_NONE,
    BENCH_LIVE_LINES, /* a line a pass */
    BENCH_LIVE_TABLE  /* painted in place, for a terminal */
};

struct bench_view {
    enum bench_live live;
    FILE *out; /* of what is live: standard error */
    const struct study *study;
    pthread_mutex_t lock;
    unsigned painted; /* lines */
    enum study_phase phase;
    unsigned step, repeat;
    double rates[STUDY_STEPS_MAX][STUDY_REPEATS_MAX]; /* of passes that have ended */
    unsigned counts[STUDY_STEPS_MAX], errors[STUDY_STEPS_MAX];
    char line[120]; /* how the pass goes */
};

void bench_view_begin(struct bench_view *view, enum bench_live live, FILE *out, const struct study *study);
/* What was painted goes. */
void bench_view_end(struct bench_view *view);
void bench_view_listed(void *view, unsigned done, unsigned of);
/* Callbacks of a study, context: the view. */
void bench_view_pass(void *view, enum study_phase phase, unsigned step, unsigned repeat);
void bench_view_second(void *view, const struct read_bench_second *second);
void bench_view_ended(void *view, enum study_phase phase, unsigned step, unsigned repeat,
                      const struct read_bench_result *result);

/* What is known before the first pass, and the result. */
void bench_print_server(const char *greeting, const char *tls, const struct draw_result *draw);
void bench_print(const struct study *study, unsigned accounts, bool no_mail, unsigned per_user);

#endif
