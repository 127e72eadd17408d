/* What a run tells of itself while it works: the display, the status file, and the page and metrics
 * of --listen. All of them show one sample, which the display keeps (progress_look).
 */
#ifndef ENGINE_CLI_LIVE_H
#define ENGINE_CLI_LIVE_H

#include "engine/cli/opts.h"
#include "engine/cli/progress.h"
#include "engine/move/batch.h"

struct listen;
struct status_file;

struct live {
    struct progress *progress;
    struct status_file *status_file;
    struct listen *listen;
};

/* Before sandbox, after which no address can be had: takes the address of --listen, where there is
 * one. Errors: PERMANENT/RUN, origin CONFIG or OS. live_end is due either way. */
bool live_open(struct live *live, const struct opts *o, const struct settings *settings, struct err *err_r) ERR_CHECK;
/* After sandbox, for its threads are to be confined too. */
void live_begin(struct live *live, const struct opts *o, const struct settings *settings);
/* Thread 0, at each tick. */
void live_update(struct live *live, const struct batch_view *view);
/* Any thread: a line of words beside the display. */
void live_note(struct live *live, const char *line);
/* The run is over: the display makes room for what is said of it. */
void live_stop(struct live *live);
/* Tells how it ended, and frees all of it. */
void live_end(struct live *live, int exit_code);

#endif
