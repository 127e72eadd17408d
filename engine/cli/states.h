/* The state folders that a command line stands for, opened for reading: a state folder itself, or a batch
 * file, which means the folder beside it or, where the batch was run in shards, those of all shards; for `report`
 * also the JSON that an earlier one wrote.
 */
#ifndef ENGINE_CLI_STATES_H
#define ENGINE_CLI_STATES_H

#include "engine/cli/opts.h"
#include "engine/report/report.h"

struct states {
    struct report_state *list; /* also shards that have no state folder, without a spool; these stand last */
    unsigned count, opened;    /* of them: with a spool */
    struct spool **spools;     /* opened of them, in the same places */
    /* private */
    struct share **shares; /* JSON reports; they stand behind those with a spool */
    unsigned share_count;
    struct states_origin *origins;
    unsigned origin_count;
    struct settings **settings; /* of the batch files that were read here */
    unsigned settings_count;
    bool distrust;                  /* as in struct spool_config */
    struct settings_list only, but; /* as in struct report_state */
};

/* All arguments of the command line, of status and report with the users of --user, --users-from, --wave and
 * --exclude-user only; a name of these that no state folder knows is an error. What is wrong is told on standard error;
 * returns the exit code. states_close is due either way. */
int states_open(const struct opts *o, struct states *s);
/* Those of a batch file that is read already; settings must outlive the states. The same otherwise. */
int states_open_batch(const struct settings *settings, bool quiet, struct states *s);
void states_close(struct states *s);

/* Opens what has come since; a status_look. */
bool states_look(void *states, const struct report_state **list_r, unsigned *count_r, struct err *err_r);
/* Warns of shards without a state folder; what: "verified". */
void states_tell_missing(const struct states *s, const char *what, FILE *out);

#endif
