/* What may pass what while the disk is full. Internal to store/: the writer asks, nobody else.
 *
 * Bodies and new rows wait until there is room; what frees space, or is small, goes on, unless it
 * must not overtake something that waits: a cursor its rows, a state its body.
 */
#ifndef STORE_DISK_FULL_H
#define STORE_DISK_FULL_H

#include "store/writer.h"

/* Takes room for itself, so that it waits. */
bool disk_full_inserts(const struct store_op *op);
/* op must stay behind `earlier`, which waits. */
bool disk_full_blocked_by(const struct store_op *op, const struct store_op *earlier);
/* Still taken after an operation was given up for want of room. */
bool disk_full_outlives_loss(const struct store_op *op);

#endif
