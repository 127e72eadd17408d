/* A batch file and its users for one command: config, users.csv, presets, --user and --shard. The
 * warnings are printed by the caller.
 */
#ifndef ENGINE_CLI_LOAD_H
#define ENGINE_CLI_LOAD_H

#include "engine/cli/opts.h"
#include "engine/config/config.h"

/* Which logins the command will do, and so which passwords must be there. */
struct load_need {
    bool users, source, target;
    bool local;        /* no server: secrets may be missing */
    bool any_shard;    /* as in struct config_request */
    bool other_target; /* [target] is passed over; more_overrides say what stands in its place */
};

/* more_overrides: "section.key=value", applied after --set; NULL: none. *settings_r is the caller's,
 * also on failure. Errors: as config_load and users_load. */
bool load_settings(const struct opts *o, struct load_need need, const struct settings_list *more_overrides,
                   struct settings **settings_r, struct settings_list *warnings, struct err *err_r) ERR_CHECK;

/* Of s->users, which are read, only those whom the command line chooses: --user, --users-from, --wave, --exclude-user
 * and the shard of s. warnings: sentences are added. Errors: as users_select. */
bool load_choice(const struct opts *o, struct settings *s, struct settings_list *warnings, struct err *err_r) ERR_CHECK;

/* Prints the error, and the other faults that the last load_settings found beside it, and gives its exit code. */
int load_complain(const struct err *err);

#endif
