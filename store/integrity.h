/* Is the state folder's data.mdb whole and unchanged? Looked at before LMDB maps it, and by one net
 * under LMDB for what happens to the file afterwards. Internal to store/.
 *
 * A run that ends in order leaves the file's length, times and newest transaction in `data.mdb.checked`; as
 * long as they hold, the pages are not read again, so that opening a journal of millions of messages stays
 * quick. A run takes the mark away, durably, before it writes anything: after a loss of power there is none.
 */
#ifndef STORE_INTEGRITY_H
#define STORE_INTEGRITY_H

#include "store/env.h"

/* Reads the file's pages and records (store/pages) unless they are as the last run left them, or a run
 * holds the state. A file that is not there is sound. A record that cannot be right is left in
 * spool->unsound, for the caller to tell once the format is known. */
bool integrity_check(struct spool *spool, struct err *err_r) ERR_CHECK;
/* Before a run writes anything: the mark goes, durably. Errors: as env_open's. */
bool integrity_run_begins(struct spool *spool, struct err *err_r) ERR_CHECK;
/* After a run, when LMDB has closed the file. */
void integrity_run_ended(const struct spool *spool);

/* From here on an assertion of LMDB, or a page of its map that cannot be read (damage after the file was
 * looked at, a bad disk), ends the process with exit code 74 and one line that names the file; all that
 * was committed is safe. One spool at a time; a later one takes the former's place. */
void integrity_watch(const struct spool *spool, const char *path);
void integrity_unwatch(const struct spool *spool);

#endif
