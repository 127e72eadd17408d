/* The `bench` command's engine: how fast a source can be read. Connections log in as the batch's
 * users, open folders read-only and pull bodies as a run would (several FETCHes of several messages
 * in flight), but throw the bytes away. Nothing is written anywhere.
 *
 * Visits and loops are engine/move's and io's; one step is one team of loops.
 */
#ifndef ENGINE_BENCH_READ_BENCH_H
#define ENGINE_BENCH_READ_BENCH_H

#include "engine/move/visit.h"
#include "engine/settings/settings.h"
#include "io/base/hist.h"

/* Latencies in microseconds. */
struct read_bench_step {
    unsigned connections; /* asked for */
    unsigned connected;   /* of these, logged in at least once */
    double seconds;       /* that bodies were counted */
    uint64_t messages, bytes, errors;
    struct hist login, select, first_byte, message;
    struct err err; /* the last one, when errors > 0 */
    char type[40];  /* its report type */
};

/* Runs one step of `seconds`, counted from when each connection stands or was turned away, or a minute has gone by. loops: threads, 1.. .
 * False when the team could not be had. stop: asked a few times a second, ends the step early. */
bool read_bench_step_run(const struct visit_house *house, unsigned connections, unsigned seconds,
                    unsigned loops, bool (*stop)(void), struct read_bench_step *step_r,
                    struct err *err_r) ERR_CHECK;

#define READ_BENCH_REASON_BYTES 200

/* Where more connections stop paying: the first step from which the next adds less than a tenth, or
 * one that brings errors. reason_r: in words. */
unsigned read_bench_knee(const struct read_bench_step *steps, unsigned count,
                    char reason_r[READ_BENCH_REASON_BYTES]);

#endif
