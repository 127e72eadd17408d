/* How a run stands, as one line of JSON (mailhaul.progress.v1): what --progress json, the status
 * file and the live page's data all are. Field names are the manual's and stay.
 */
#ifndef ENGINE_CLI_PROGRESS_JSON_H
#define ENGINE_CLI_PROGRESS_JSON_H

#include "engine/cli/progress.h"

/* One object and a line end; "type" is "progress", or "end" when it is over. */
void progress_json(const struct progress_look *look, FILE *out);
/* A line of words between two of them: "type" is "note". */
void progress_json_note(const char *text, FILE *out);

#endif
