/* Log lines "2026-11-24T03:50:11Z info source.login user=a@b ms=12": time, level, event, then
 * key=value as the caller formats them; or the same as JSON. Any thread. A line that repeats within a minute is counted
 * instead of written again. Secrets never reach this module: callers pass none.
 */
#ifndef IO_BASE_LOG_H
#define IO_BASE_LOG_H

#include "io/base/err.h"

#include <stdio.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/* Lines at or above the level go to file (default: stderr, LOG_WARN). The file stays the caller's
 * and must outlive the process's threads. */
void log_to(FILE *file, enum log_level level);
/* Lines are JSON objects from now on: "time", "level", "event", then a member a field of the line (a number where the
 * format prints one), "message" for its free words, and "repeated" for how many like it were held back. */
void log_as_json(bool json);
/* Called with each line that would go to a terminal that shows live progress, so that the display
 * can make room; NULL to write straight. The line has no line end. */
void log_through(void (*write_line)(void *context, const char *line), void *context);
bool log_enabled(enum log_level level);
/* "error" .. "trace"; false when the name is none of them. */
bool log_level_parse(const char *name, enum log_level *level_r) ERR_CHECK;
const char *log_level_name(enum log_level level);

/* event: dotted lower-case words, a constant. The rest is cut at 1 KiB and made printable. */
void log_line(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same with the error's line at the end. */
void log_err(enum log_level level, const char *event, const struct err *e);

#endif
