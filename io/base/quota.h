/* How much memory all together may hold of what others feed them, and what each one holds of it. Who keeps lists tells
 * how large they are; who takes in bytes asks whether there is room for more. So the lists themselves know no bound,
 * and what goes beyond it is what one read brings.
 */
#ifndef IO_BASE_QUOTA_H
#define IO_BASE_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Any thread. */
struct quota;
/* max_bytes >= 1. */
struct quota *quota_create(uint64_t max_bytes);
/* After the last part is gone. NULL is fine; nulls. */
void quota_destroy(struct quota **quota);
/* All parts together, now. */
uint64_t quota_used(const struct quota *quota);

/* One user's part of it; one thread's. Goes when it was left and nothing is held of it any more. */
struct quota_part;
struct quota_part *quota_join(struct quota *quota);
/* NULL is fine; nulls. */
void quota_leave(struct quota_part **part);
uint64_t quota_part_used(const struct quota_part *part);
/* No more may be taken in for this part. Below three quarters of the whole nobody is told so; from there on who holds
 * more than a 64th of it; at the whole everybody. NULL: never. */
bool quota_is_over(const struct quota_part *part);

/* What one list holds of a part; zeroed: nothing. */
struct quota_hold {
    struct quota_part *part;
    size_t bytes;
};
/* It holds so many bytes from now on; 0: it is gone. part: where nothing was held before; NULL: nobody counts. */
void quota_hold(struct quota_hold *hold, struct quota_part *part, size_t bytes);
static inline void quota_hold_more(struct quota_hold *hold, struct quota_part *part, size_t bytes)
{
    quota_hold(hold, part, hold->bytes + bytes);
}
static inline void quota_let_go(struct quota_hold *hold)
{
    quota_hold(hold, hold->part, 0);
}

#endif
