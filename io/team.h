/* The team of threads: the only place with OpenMP (or pthreads in race-checking builds, whose
 * barriers ThreadSanitizer knows). Thread 0 runs the writer, threads 1..loops one loop each.
 */
#ifndef IO_TEAM_H
#define IO_TEAM_H

#include "io/base/err.h"

#define TEAM_LOOPS_MAX 256u

/* Processors this process may use (affinity mask and cgroup quota), at least 1. */
unsigned team_processors(void);
/* How many loops to run: as many as wanted, 0 as many as there are processors; never more than
 * TEAM_LOOPS_MAX. */
unsigned team_loops(unsigned wanted);

/* Runs body(context, 0 .. loops) at the same time, one thread each, and returns when all have
 * returned. loops: 1..TEAM_LOOPS_MAX. Errors: PERMANENT/RUN when the threads cannot be had; no body
 * runs. */
bool team_run(unsigned loops, void (*body)(void *context, unsigned thread), void *context, struct err *err_r) ERR_CHECK;

#endif
