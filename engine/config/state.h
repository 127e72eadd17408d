/* Between config.c, which gathers what was written, and config_check.c, which judges the whole.
 * Included by these two only.
 */
#ifndef ENGINE_CONFIG_STATE_H
#define ENGINE_CONFIG_STATE_H

#include "engine/config/config.h"
#include "engine/config/table.h"

/* What was written for one key of one section. */
struct config_given {
    char *value;   /* owned; NULL: nothing was written */
    unsigned line; /* of the batch file; 0: by --set */
};

struct config_state {
    const struct config_request *request;
    const char *name; /* of the batch file, for messages */
    struct settings *settings;
    struct settings_list *warnings;
    struct config_given given[CONFIG_FOLDERS][CONFIG_KEYS_MAX];
    unsigned section_line[CONFIG_SECTION_COUNT]; /* 0: the section was not there */
};

/* The value as written, or NULL. key: a name of the table, an assert otherwise. */
const char *config_given_value(const struct config_state *c, enum config_section section, const char *key);
/* Fails with the place where the key was written, or the file's name when it was not. */
bool config_fail(const struct config_state *c, enum config_section section, const char *key, struct err *err_r,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));
void config_warn(const struct config_state *c, enum config_section section, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* After all was stored: contradictions, what is missing, files and secrets, then settings_finish.
 * Warnings are added. */
bool config_check(struct config_state *c, struct err *err_r) ERR_CHECK;

#endif
