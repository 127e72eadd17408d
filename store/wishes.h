/* What a person wants done with single users of a batch: paused, or dropped; and who is completed. A file of the state
 * folder, beside the journal, so that it can be written while a run holds the lock; it is replaced whole, and outlives
 * all runs. A line a user: "paused ann@example.org". Text is plain on purpose: it can be read, and mended, by hand.
 */
#ifndef STORE_WISHES_H
#define STORE_WISHES_H

#include "io/base/err.h"
#include "io/base/slice.h"

enum wish { WISH_NONE, WISH_PAUSED, WISH_DROPPED, WISH_COMPLETED };

struct wishes {
    struct wishes_user {
        char *address; /* A-Z folded */
        enum wish wish;
    } * all; /* by address */
    size_t count;
};

/* Of a folder without the file there are none. Errors: RUN scope, origin OS or STORE: the file cannot be read, or holds
 * what this program did not write. wishes_free is due either way. */
bool wishes_read(const char *folder, struct wishes *wishes_r, struct err *err_r) ERR_CHECK;
void wishes_free(struct wishes *wishes);
enum wish wishes_of(const struct wishes *wishes, struct slice address);

/* Writes one, durable when this returns true. Several writers wait for each other. *before_r: what it was. */
bool wishes_set(const char *folder, const char *address, enum wish wish, enum wish *before_r,
                struct err *err_r) ERR_CHECK;
/* The same wish for many, each named once, by one write: all of them or, where this returns false, none. before_r: as
 * many as addresses. */
bool wishes_set_all(const char *folder, const char *const *addresses, size_t count, enum wish wish, enum wish *before_r,
                    struct err *err_r) ERR_CHECK;

/* Tells whether the file is another one than at the last call with this stamp, which begins zeroed: true at the first
 * call when there is one. Cheap: a stat. */
struct wishes_stamp {
    uint64_t inode, size;
    int64_t changed_ns;
};
bool wishes_changed(const char *folder, struct wishes_stamp *stamp);

#endif
