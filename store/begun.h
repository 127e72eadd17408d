/* The mark of a state folder in which a run has begun: the file `begun` beside data.mdb, with the number that
 * data.mdb has as well. By it a data.mdb that was lost, emptied or taken from elsewhere is told from one that was
 * never made: a folder that is used is no new one. Internal to store/.
 *
 * The mark is made after the first commit. So a run that was killed before leaves none, and the next one begins.
 */
#ifndef STORE_BEGUN_H
#define STORE_BEGUN_H

#include "store/place.h"

#include <stdbool.h>
#include <stdint.h>

struct begun {
    bool was;          /* a run had its first commit here */
    uint64_t identity; /* of the data.mdb of that run; 0: the mark does not tell */
};

/* What the folder says, without a look into data.mdb. Folders of programs that wrote no mark tell it by what they
 * make only after the first commit: data.mdb.checked and the ballast. */
void begun_look(const struct place *place, struct begun *begun_r);
/* Is it certain that a folder of whatever kind is a run's state? Only by the names of data.mdb and a mark that is
 * this program's. */
bool begun_is_state(const struct place *place);
/* Makes the mark durable unless it stands there already. False, with errno, when the disk refuses. */
bool begun_keep(const struct place *place, uint64_t identity);
/* Is data.mdb, fd, what the very first creation leaves when it breaks off? fd at any position. */
bool begun_broke_off(int fd);

#endif
