/* Rows of a users.csv in memory, RFC 4180; what the cells mean is engine/config/users. */
#ifndef ENGINE_CONFIG_USERS_ROWS_H
#define ENGINE_CONFIG_USERS_ROWS_H

#include "engine/config/users.h"

struct users_rows {
    char *data; /* cells in quotes are decoded in place */
    size_t size, at;
    struct users_place here;
    char comma;       /* what divides the cells: , ; or a tab */
    const char *name; /* for messages */
    struct users_place *place_r;
    struct err *err_r;
};

/* One cell; text is borrowed from the file's buffer, where it was decoded in place. */
struct users_cell {
    struct slice text;
    bool quoted;
    struct users_place at;
};

/* Sets err_r and place_r, as users_load says; false. */
bool users_refuse(struct users_rows *f, struct users_place at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Goes past this line. */
void users_skip_line(struct users_rows *f);
/* Goes past line ends; false at the end of the file. */
bool users_skip_blank(struct users_rows *f);
/* The row that begins here: at most max cells are kept, all are counted. */
bool users_read_row(struct users_rows *f, struct users_cell *cells, unsigned max, unsigned *count_r);
/* As spreadsheets leave them below the last user: blanks, or commas alone. At most max cells were kept. */
bool users_row_is_blank(const struct users_cell *cells, unsigned count, unsigned max);

#endif
