/* The part of `check` that is about this machine: what a run needs of it before any server is asked. */
#ifndef ENGINE_CLI_CHECK_LOCAL_H
#define ENGINE_CLI_CHECK_LOCAL_H

#include "engine/inspect/probe.h"

/* Tells the steps state, disk, files, memory, clock and proxy, in this order, each as a connection's steps are told.
 * Only what a run could not begin with, or not get through with, is a step that does not hold; what it may get
 * through with holds and has a cause and a remedy all the same. Returns EXIT_DONE, or what a run would end with:
 * EXIT_DISK, EXIT_BATCH_FILE. */
int check_local(const struct settings *settings, void (*tell)(void *context, const struct probe_step *step),
                void *context);

#endif
