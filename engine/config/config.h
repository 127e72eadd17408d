/* Reads a batch file into settings: the file's lines, then `--set`, then what contradicts or is
 * missing, then secrets and the presets' defaults. Contacts nothing. users.csv is engine/config/users.
 */
#ifndef ENGINE_CONFIG_CONFIG_H
#define ENGINE_CONFIG_CONFIG_H

#include "engine/settings/settings.h"

#define CONFIG_BYTES_MAX 1048576 /* of a batch file */

struct config_request {
    const char *batch_file;                /* borrowed */
    const struct settings_list *overrides; /* --set: "section.key=value"; or NULL */
    unsigned shard_number, shard_count;    /* --shard; count 0: not given */
    bool other_target;                     /* rehearse: what the file says of [target] is passed over */
    bool any_shard;                        /* no state is written: without --shard the users of all shards are meant */
    struct settings_list *faults;          /* the other faults, a sentence each, when config_load fails; may be NULL */
    bool local;                            /* status, report: no server is met, so secrets and shard may be missing */
};

/* Fills a fresh *settings_r, the caller's. warnings: sentences are added, each with its place.
 * Errors: PERMANENT/RUN, origin CONFIG, code 78 (64 for --set and --shard themselves); the text
 * begins "FILE:LINE: [section] key: " or "--set section.key=value: ". */
bool config_load(const struct config_request *request, struct settings **settings_r, struct settings_list *warnings,
                 struct err *err_r) ERR_CHECK;

/* A key as the manual shows it. */
struct config_key_info {
    const char *section, *name;
    const char *value_name; /* "SIZE" */
    const char *fallback;   /* the default, as text */
    const char *help;
    bool hidden;
    const char *const *words; /* all that it takes, NULL at the end; or NULL */
};
/* Each key of each section, in the manual's order. */
void config_describe(void (*tell)(void *context, const struct config_key_info *key), void *context);

#endif
