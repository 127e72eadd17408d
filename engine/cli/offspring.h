/* A part of a command that runs in a process of its own, with its exit code: what it takes up (memory, threads, tokens)
 * goes with it, and what it gives up (the sandbox) it alone has given up. One at a time.
 */
#ifndef ENGINE_CLI_OFFSPRING_H
#define ENGINE_CLI_OFFSPRING_H

#include "engine/cli/opts.h"

/* From now on SIGTERM, SIGINT and SIGUSR1 reach the offspring at work and are noted here; SIGHUP reaches it. A second
 * SIGINT is for the offspring to judge. */
void offspring_catch_signals(void);
/* One of them came since. */
bool offspring_is_stopped(void);

/* Runs work(context) in a child, standard output into out (a file descriptor) unless it is below 0. *code_r: its exit
 * code; of one that was killed by a signal 70, and it is told. False, told: there is no child. */
bool offspring_run(int (*work)(void *context), void *context, int out, int *code_r);

#endif
