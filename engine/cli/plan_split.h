/* `plan --split`: which user goes in which shard, from what the plan has found, written down beside the batch file. */
#ifndef ENGINE_CLI_PLAN_SPLIT_H
#define ENGINE_CLI_PLAN_SPLIT_H

#include "engine/cli/plan.h"
#include "engine/config/split.h"

/* What one shard gets. */
struct plan_shard {
    uint64_t users, messages, bytes;
};

struct plan_split {
    unsigned shards;
    unsigned stayed;  /* users that the file named already: they stay where they are */
    unsigned guessed; /* users that could not be planned: taken for average ones */
    struct split_share *shares;
    struct plan_shard *of; /* of each shard */
    size_t count;
};

/* Whether --split can be done with these settings, before any server is asked. Errors: PERMANENT/RUN, origin CONFIG,
 * code 64 or 78. */
bool plan_split_check(const struct settings *settings, unsigned shards, struct err *err_r) ERR_CHECK;

/* Divides and writes. Users that the file names keep their shard. plan: after plan_read. plan_split_deinit is due
 * either way. Errors: as split_read; PERMANENT/RUN, origin OS. */
bool plan_split(const struct plan *plan, unsigned shards, struct plan_split *split_r, struct err *err_r) ERR_CHECK;
void plan_split_deinit(struct plan_split *split);

#endif
