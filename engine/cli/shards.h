/* State folders of a batch that was run in shards: they stand beside its own, BASE.N-of-M. */
#ifndef ENGINE_CLI_SHARDS_H
#define ENGINE_CLI_SHARDS_H

#include <glob.h>
#include <stdbool.h>

/* Those of base, whatever the number of shards; gl_pathc is 0 where there are none. The caller
 * globfrees it. */
void shards_find(const char *base, glob_t *found_r);
/* Has a run begun in this state folder? The folder alone may be there for a sign-in. */
bool shards_used(const char *folder);

#endif
