/* The header row of users.csv. Private to engine/config. */
#ifndef ENGINE_CONFIG_USERS_HEADER_H
#define ENGINE_CONFIG_USERS_HEADER_H

#include "engine/config/users_rows.h"

enum users_column {
    USERS_COLUMN_ADDRESS,
    USERS_COLUMN_USER_NAME,
    USERS_COLUMN_PASSWORD,
    USERS_COLUMN_USER_ROOT,
    USERS_COLUMN_TARGET_USER_NAME,
    USERS_COLUMN_TARGET_PASSWORD,
    USERS_COLUMN_PASSWORD_FILE,
    USERS_COLUMN_MAX_MESSAGE_SIZE,
    USERS_COLUMN_EXCLUDE_FOLDERS,
    USERS_COLUMN_WAVE,
    USERS_COLUMN_COUNT
};

struct users_header {
    enum users_column order[USERS_COLUMN_COUNT]; /* by position in a row */
    unsigned width;                              /* cells a row */
    bool has[USERS_COLUMN_COUNT];
};

/* Reads up to the first row, and finds in->comma. False: refused, as users_refuse tells; nothing of a first row that is
 * a user's is shown. */
bool users_header_read(struct users_header *header, struct users_rows *in);
const char *users_column_name(enum users_column column);

#endif
