/* What the files of engine/report/share*.c have in common. */
#ifndef ENGINE_REPORT_SHARE_PRIVATE_H
#define ENGINE_REPORT_SHARE_PRIVATE_H

#include "engine/report/share.h"

#include <jansson.h>
#include <sys/types.h>

/* One value of the file that is held whole in memory: a user with all that is told of it, or the
 * head. */
#define SHARE_VALUE_BYTES (256u << 20)
/* RFC 8259 6: what every reader of JSON takes for the same number. */
#define SHARE_NUMBER_MAX (UINT64_C(1) << 53)

struct share_private {
    FILE *file;
    off_t *at; /* where each user begins */
    unsigned at_count, room;
    json_t *batch, *servers, *timeline; /* NULL: not there */
    bool is_report;                     /* its schema was read, and is right */
    json_t *current;                    /* the user read last */
    unsigned current_index;
};

/* Fills in the fields of private from the file, each user handed to take as it comes. */
bool share_read(struct share *share, bool (*take)(struct share *share, const json_t *user, struct err *err_r),
                struct err *err_r) ERR_CHECK;
/* The user of that index; borrowed until the next call. */
bool share_user(struct share *share, unsigned user, const json_t **user_r, struct err *err_r) ERR_CHECK;
/* "FILE: ..." into err_r; returns false. */
bool share_damaged(const struct share *share, struct err *err_r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Members of an object. What is missing, or of another type, is "", 0 or false; share_number is
 * false where it is there and no number from 0 to SHARE_NUMBER_MAX. */
const char *share_text(const json_t *object, const char *name);
bool share_number(const json_t *object, const char *name, uint64_t *value_r);
bool share_is_true(const json_t *object, const char *name);
/* RFC 3339 in UTC, as emit_time writes it; 0 for what is no time. */
int64_t share_time(const json_t *object, const char *name);
/* Seconds as milliseconds. */
uint64_t share_seconds(const json_t *object, const char *name);
/* Into a field of fixed size, printable. */
void share_copy(char *out, size_t cap, const json_t *object, const char *name);

#endif
