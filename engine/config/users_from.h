/* A file that names some of the users: one EmailAddress or UserName a line. UTF-8 with or without byte-order mark, LF
 * or CRLF; empty lines and what follows a # at the beginning of a line or behind a blank are nothing.
 */
#ifndef ENGINE_CONFIG_USERS_FROM_H
#define ENGINE_CONFIG_USERS_FROM_H

#include "engine/settings/settings.h"

#define USERS_FROM_BYTES_MAX 268435456

struct users_from {
    const char *path; /* borrowed */
    struct settings_list names;
    unsigned *lines; /* a name each, from 1 */
};

/* users_from_deinit is due either way. Errors: PERMANENT/RUN, origin CONFIG, code 64: the file cannot be read, is no
 * text, or names nobody, which must not be taken for everybody. */
bool users_from_read(struct users_from *from, const char *path, struct err *err_r) ERR_CHECK;
void users_from_deinit(struct users_from *from);

#endif
