/* The processes that fill the same tenant: a thread that writes this one's ledger record and reads
 * the others', since a shared folder may make a file call wait for seconds and nothing on a loop may
 * wait. engine/pace/ledger says what a record means, engine/pace/ledger_dir how it lies in the folder.
 */
#ifndef ENGINE_MOVE_MATES_H
#define ENGINE_MOVE_MATES_H

#include "engine/pace/ledger.h"
#include "io/base/slice.h"
#include "io/loop.h"

struct mates;

/* Makes the folder (and its last part, one a tenant: no tenant's budget is another's) when it is
 * missing and writes to it once. tenant: a host or tenant name. PERMANENT/RUN, origin OS, when
 * nothing can be written there. *mates_r is the caller's until mates_destroy. */
bool mates_create(const char *ledger_folder, const char *tenant, struct mates **mates_r,
                  struct err *err_r) ERR_CHECK;
/* Ends the thread, which removes this process's record. NULL inside is fine. */
void mates_destroy(struct mates **mates);
/* A number no other process has. */
uint64_t mates_process(const struct mates *mates);

/* On `loop`, with the records of all processes, ours among them; count may be 0. Borrowed for the
 * call. */
typedef void mates_heard(void *context, const struct ledger_record *records, size_t count);
/* From here on heard is called after each mates_tell, until mates_end. */
void mates_begin(struct mates *mates, struct loop *loop, mates_heard *heard, void *context);
/* Writes the record and reads the others', in the background; the newest one counts when several
 * come at once. On the loop of mates_begin. */
void mates_tell(struct mates *mates, const struct ledger_record *record);
/* heard is not called any more. On the loop of mates_begin, before it ends. */
void mates_end(struct mates *mates);

/* Before the team starts: taken_r[i] says whether the mailbox of addresses[i] is this process's until
 * mates_destroy; false: another one that shares the ledger has it. state_folder: whose lock this process has. TRANSIENT/RUN, origin OS. */
bool mates_take(struct mates *mates, const char *state_folder, const struct slice *addresses, size_t count,
                bool *taken_r, struct err *err_r) ERR_CHECK;

#endif
