/* The status file: how a run stands, renewed while it works, for who watches from another machine
 * through a shared file system. Written on a thread of its own, for such a file system may hang;
 * nothing of the run waits for it.
 */
#ifndef ENGINE_CLI_STATUS_FILE_H
#define ENGINE_CLI_STATUS_FILE_H

#include "engine/cli/progress.h"

struct status_file;

/* Begins with the first sample there is. path is copied; progress is borrowed until the stop. NULL
 * when the thread cannot be had, which is warned of. */
struct status_file *status_file_start(const char *path, struct progress *progress);
/* Writes it once more, waits for that (not for ever), frees and nulls; NULL is fine. False: it
 * hangs, and goes on using progress, which must stay. */
bool status_file_stop(struct status_file **file);

#endif
