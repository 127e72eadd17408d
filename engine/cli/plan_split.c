#include "engine/cli/plan_split.h"

#include "engine/cli/outfile.h"
#include "engine/config/text.h"
#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* What a message costs besides its bytes: servers give and take some two thousand small messages in the time of 30 MB.
 */
#define MESSAGE_WORK 16384u

bool plan_split_check(const struct settings *settings, unsigned shards, struct err *err_r)
{
    struct settings_list unsaid = { 0 };
    struct split split;
    bool ok;

    if (settings->shard_count > 1 || settings_is_narrowed(settings))
        return config_refuse(err_r, CONFIG_EXIT_USAGE,
                             "--split divides all users: give it without --shard and without a choice of users");
    if (settings->shards && settings->shards != shards)
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "--split %u: the batch file fixes the count: shards = %u",
                             shards, settings->shards);
    if (!split_read(settings->split_file, &split, &unsaid, err_r))
        return false;
    ok = split.shards == 0 || split.shards == shards ||
         config_refuse(
             err_r, CONFIG_EXIT_USAGE,
             "--split %u: %s divides the users into %u shards already. Another number lets users change their "
             "shard, and so their state folder: their mail is looked at again. If that is meant, remove that file",
             shards, config_text_name(settings->split_file), split.shards);
    split_deinit(&split);
    settings_list_deinit(&unsaid);
    return ok;
}

/* All that there is, moved or not: the next nights bring new mail to a mailbox by its size. */
static uint64_t work_of(const struct plan_user *u)
{
    return u->bytes_move + (u->move + u->done) * MESSAGE_WORK;
}

static void take_users(const struct plan *plan, struct split *before, struct plan_split *s)
{
    uint64_t known = 0, sum = 0;

    s->count = plan->settings->user_count;
    s->shares = mem_zero(s->count ? s->count : 1, sizeof *s->shares);
    for (size_t i = 0; i < s->count; i++) {
        const struct plan_user *u = &plan->users[i];
        bool guess = u->look->end == BATCH_LOOK_NONE && !u->found;

        s->shares[i] = (struct split_share){ u->user->email_address, guess ? UINT64_MAX : work_of(u),
                                             split_shard_of(before, u->user->email_address), i };
        s->stayed += s->shares[i].shard != 0;
        s->guessed += guess;
        known += !guess;
        sum += guess ? 0 : s->shares[i].work;
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->shares[i].work == UINT64_MAX)
            s->shares[i].work = known ? sum / known : MESSAGE_WORK;
}

static void count_shards(const struct plan *plan, struct plan_split *s)
{
    s->of = mem_zero(s->shards, sizeof *s->of);
    for (size_t i = 0; i < s->count; i++) {
        const struct plan_user *u = &plan->users[s->shares[i].user];
        struct plan_shard *shard = &s->of[s->shares[i].shard - 1];

        shard->users++;
        shard->messages += u->move;
        shard->bytes += u->bytes_move;
    }
}

static bool write_down(const char *path, const struct plan_split *s, struct err *err_r)
{
    struct outfile to;
    int error = outfile_begin(&to, path);

    if (error)
        return config_refuse(err_r, CONFIG_EXIT_BATCH, "%s: %s", config_text_name(path), strerror(error));
    split_write(to.out, s->shares, s->count, s->shards);
    return outfile_end(&to, true, err_r);
}

bool plan_split(const struct plan *plan, unsigned shards, struct plan_split *split_r, struct err *err_r)
{
    struct settings_list unsaid = { 0 };
    struct split before;
    bool ok;

    *split_r = (struct plan_split){ .shards = shards };
    ok = split_read(plan->settings->split_file, &before, &unsaid, err_r);
    settings_list_deinit(&unsaid);
    if (!ok)
        return false;
    take_users(plan, &before, split_r);
    split_deinit(&before);
    split_balance(split_r->shares, split_r->count, shards);
    count_shards(plan, split_r);
    return write_down(plan->settings->split_file, split_r, err_r);
}

void plan_split_deinit(struct plan_split *split)
{
    free(split->shares);
    free(split->of);
    *split = (struct plan_split){ 0 };
}
