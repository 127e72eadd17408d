/* Which mailboxes the processes of one ledger have: a mailbox belongs to one process at a time. One file a process,
 * "holds-PROCESS.rec", beside its ledger record, by whose heartbeat it counts as alive. Written by rename; no locks, no
 * mmap. A shared file system whose names are seen late (NFS, up to a minute) lets two pass that begin within that time.
 *
 * Blocking file calls: never on a loop thread.
 */
#ifndef ENGINE_PACE_HOLDS_H
#define ENGINE_PACE_HOLDS_H

#include "io/base/err.h"
#include "io/base/slice.h"

/* The mailbox's number in a holds file; addresses that differ in case alone are one. */
uint64_t holds_number(struct slice address);

/* The number of a place that one process at a time can have (a state folder, which is locked), on this host. */
uint64_t holds_place(const char *path);

/* Takes all of these mailboxes that no living process of the folder has; taken_r[i] false: one has it. process: whose
 * ledger record is there already. place: what another process held by it is over, since this one has the place now;
 * other processes that are killed count as alive for a minute. Of two that begin at the same time each mailbox has one:
 * who comes first says what it wants before it looks at what the others want. TRANSIENT/RUN, origin OS. */
bool holds_take(const char *folder, uint64_t process, uint64_t place, const uint64_t *mailboxes, size_t count,
                bool *taken_r, struct err *err_r) ERR_CHECK;
/* Gives all back. */
void holds_leave(const char *folder, uint64_t process);

#endif
