/* The processes that fill the same tenant: a thread that writes this one's ledger record and reads
 * the others', since a shared folder may make a file call wait for seconds and nothing on a loop may
 * wait. engine/pace/ledger says what a record means, engine/pace/ledger_dir how it lies in the folder.
 */
#ifndef ENGINE_MOVE_PEERS_H
#define ENGINE_MOVE_PEERS_H

#include "engine/pace/ledger.h"
#include "io/base/slice.h"
#include "io/loop.h"

struct peers;

/* Makes the folder (and its last part, one a tenant: no tenant's budget is another's) when it is
 * missing and writes to it once. tenant: a host or tenant name. PERMANENT/RUN, origin OS, when
 * nothing can be written there. *peers_r is the caller's until peers_destroy. */
bool peers_create(const char *ledger_folder, const char *tenant, struct peers **peers_r, struct err *err_r) ERR_CHECK;
/* Ends the thread, which removes this process's record. NULL inside is fine. */
void peers_destroy(struct peers **peers);
/* A number no other process has. */
uint64_t peers_process(const struct peers *peers);

/* On `loop`, with the records of all processes, ours among them; count may be 0. Borrowed for the
 * call. */
typedef void peers_heard(void *context, const struct ledger_record *records, size_t count);
/* From here on heard is called after each peers_tell, until peers_end. */
void peers_begin(struct peers *peers, struct loop *loop, peers_heard *heard, void *context);
/* Writes the record and reads the others', in the background; the newest one counts when several
 * come at once. On the loop of peers_begin. */
void peers_tell(struct peers *peers, const struct ledger_record *record);
/* heard is not called any more. On the loop of peers_begin, before it ends. */
void peers_end(struct peers *peers);

/* Before the team starts: taken_r[i] says whether the mailbox of addresses[i] is this process's until
 * peers_destroy; false: another one that shares the ledger has it. state_folder: whose lock this process has.
 * TRANSIENT/RUN, origin OS. */
bool peers_take(struct peers *peers, const char *state_folder, const struct slice *addresses, size_t count,
                bool *taken_r, struct err *err_r) ERR_CHECK;

#endif
