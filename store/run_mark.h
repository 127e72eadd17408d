/* The mark of a state folder in which a run has begun: the file `begun` beside data.mdb, with the number that
 * data.mdb has as well. By it a data.mdb that was lost, emptied or taken from elsewhere is told from one that was
 * never made: a folder that is used is no new one. Internal to store/.
 *
 * The mark is made after the first commit. So a run that was killed before leaves none, and the next one begins.
 */
#ifndef STORE_RUN_MARK_H
#define STORE_RUN_MARK_H

#include "store/state_dir.h"

#include <stdbool.h>
#include <stdint.h>

struct run_mark {
    bool was;          /* a run had its first commit here */
    uint64_t identity; /* of the data.mdb of that run; 0: the mark does not tell */
};

/* What the folder says, without a look into data.mdb. Folders of programs that wrote no mark tell it by what they
 * make only after the first commit: data.mdb.checked and the ballast. */
void run_mark_look(const struct state_dir *state_dir, struct run_mark *begun_r);
/* Is it certain that a folder of whatever kind is a run's state? Only by the names of data.mdb and a mark that is
 * this program's. */
bool run_mark_is_state(const struct state_dir *state_dir);
/* Makes the mark durable unless it stands there already. False, with errno, when the disk refuses. */
bool run_mark_keep(const struct state_dir *state_dir, uint64_t identity);
/* Is data.mdb, fd, what the very first creation leaves when it breaks off? fd at any position. */
bool run_mark_broke_off(int fd);

#endif
