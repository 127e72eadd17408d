/* Which user is in which shard, where `plan --split` has written that down beside the batch file: shares of the same
 * work rather than of the same luck. A user whom the file does not name falls in a shard by address alone, as all do
 * where there is no such file.
 */
#ifndef ENGINE_CONFIG_SPLIT_H
#define ENGINE_CONFIG_SPLIT_H

#include "engine/folders/names_index.h"
#include "engine/settings/settings.h"

#include <stdio.h>

#define SPLIT_BYTES_MAX 67108864 /* of the file */

/* Zeroed: nothing is written down. */
struct split {
    struct names_index shard_of; /* addresses */
    unsigned shards;             /* 0: there is no file, or an empty one */
};

/* split_deinit is due when it was read. warnings: where others may write the file. Errors: PERMANENT/RUN, origin
 * CONFIG, code 78, "FILE:LINE: what". */
bool split_read(const char *path, struct split *split_r, struct settings_list *warnings, struct err *err_r) ERR_CHECK;
void split_deinit(struct split *split);

/* The user's shard; 0: not named. */
unsigned split_shard_of(struct split *split, const char *email_address);

/* A user for a new division. */
struct split_share {
    const char *address; /* borrowed */
    uint64_t work;       /* any unit */
    unsigned shard;      /* 0: to be given one; else it stays */
    size_t user;         /* the caller's own number for it */
};

/* Gives those without a shard one each, the largest first and each to the shard with least work so far (longest
 * processing time first: at most a third above the best division there is). Sorts the array by address. */
void split_balance(struct split_share *shares, size_t count, unsigned shards);

/* The file's text. An error of the stream is left for the caller to find. */
void split_write(FILE *out, const struct split_share *shares, size_t count, unsigned shards);

#endif
