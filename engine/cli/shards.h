/* State folders of a batch that was run in shards: they stand beside its own, BASE.N-of-M. */
#ifndef ENGINE_CLI_SHARDS_H
#define ENGINE_CLI_SHARDS_H

#include "io/base/err.h"
#include "io/base/secret.h"

struct shard_folder {
    char *path;
    unsigned number, of; /* 1 <= number <= of, of > 1 */
};
struct shards {
    struct shard_folder *list; /* by of, then number */
    size_t count;
};

/* Those of base, whatever the number of shards; files of other names are passed over. The caller
 * deinits it. */
void shards_find(const char *base, struct shards *found_r);
void shards_deinit(struct shards *found);
/* Is it a shard's name, of whatever batch? */
bool shards_of_name(const char *folder, unsigned *number_r, unsigned *of_r);
/* ran_r: has anything been done in it besides looking (`plan`)? last_ms_r: wall clock of its last commit.
 * Errors: as spool_open's; ENOENT where no run came as far as its first commit. */
bool shards_judge(const char *folder, const struct secret *key, bool *ran_r, int64_t *last_ms_r,
                  struct err *err_r) ERR_CHECK;

#endif
