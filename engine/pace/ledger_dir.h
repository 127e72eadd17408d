/* The ledger's folder: one file a process, written by rename so that readers never see half a
 * record. Blocking file calls: never on a loop thread. Works on shared file systems (no locks, no
 * mmap).
 */
#ifndef ENGINE_PACE_LEDGER_DIR_H
#define ENGINE_PACE_LEDGER_DIR_H

#include "engine/pace/ledger.h"

/* Writes "pace-PROCESS.rec" in the folder. TRANSIENT/RUN, origin OS. */
bool ledger_dir_write(const char *folder, const struct ledger_record *record, struct err *err_r) ERR_CHECK;
/* Reads what all processes wrote, ours too, at most `max` records; skips files that are torn,
 * foreign or of another version. Files whose heartbeat is more than a day old are removed.
 * TRANSIENT/RUN, origin OS, when the folder cannot be read. */
bool ledger_dir_read(const char *folder, int64_t wall_ms, struct ledger_record *records_r, size_t max, size_t *count_r,
                     struct err *err_r) ERR_CHECK;
/* Removes our own file at the end of a run, so that the others need not wait for it to age. */
void ledger_dir_leave(const char *folder, uint64_t process);

#endif
