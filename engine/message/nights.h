/* A row a night: what one run did for a user, kept in the journal as a named value. Pure.
 */
#ifndef ENGINE_MESSAGE_NIGHTS_H
#define ENGINE_MESSAGE_NIGHTS_H

#include "io/base/slice.h"

#define NIGHTS_NAME_BYTES 32u
/* Rows that are kept: the last ones. */
#define NIGHTS_MAX 100u

struct night {
    int64_t started_ms; /* wall clock */
    uint64_t found;     /* messages that were new at the source */
    uint64_t flags;     /* whose flags were followed */
    uint64_t moved;     /* that were moved on the target */
    uint64_t deleted;   /* that went into the target's deleted items */
    uint64_t left;      /* changes at the source that were seen and not followed */
};

/* The named value of a user. */
const char *nights_name(uint32_t user, char name[NIGHTS_NAME_BYTES]);
/* The value with one more row, without the first ones where there are too many; malloc'ed text.
 * What cannot be read of the value is left out. */
char *nights_add(struct slice value, const struct night *night);
/* Takes the next row off. False: there is none. */
bool nights_next(struct slice *value, struct night *night_r);

#endif
