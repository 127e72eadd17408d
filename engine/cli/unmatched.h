/* Folder patterns and [folders] lines of the batch file that no folder of any mailbox answers to: most
 * likely a slip of the pen, which silently copies what was to stay, or leaves what was to come. */
#ifndef ENGINE_CLI_UNMATCHED_H
#define ENGINE_CLI_UNMATCHED_H

#include "engine/settings/settings.h"
#include "store/spool.h"

#include <stdio.h>

struct unmatched;

struct unmatched *unmatched_create(const struct settings *settings);
void unmatched_destroy(struct unmatched **unmatched);
/* A mailbox has this folder. name: for people, as names_describe gives it; role: its word, or "". */
void unmatched_meet(struct unmatched *unmatched, const char *name, const char *role);
/* A sentence for each pattern and line that no folder met. where: "any mailbox". */
void unmatched_each(const struct unmatched *unmatched, const char *where, void (*tell)(void *context, const char *text),
                    void *context);

/* After a run or a plan, with the journal of what was listed: warns on `out` (NULL: says nothing) and keeps
 * the warnings in the journal (REPORT_WARNINGS_NAME), for the report. Errors: as reader's. No writer may run. */
bool unmatched_tell(struct spool *spool, const struct settings *settings, FILE *out, struct err *err_r) ERR_CHECK;

#endif
