#include "engine/cli/load.h"

#include "engine/cli/complain.h"
#include "engine/cli/exits.h"
#include "engine/config/users.h"

#include <stdio.h>

int load_complain(const struct err *err)
{
    bool own = err->code >= EXIT_USAGE && err->code <= EXIT_BATCH_FILE;

    return complain(err, own ? err->code : EXIT_INTERNAL);
}

static bool users_loaded(const struct opts *o, struct load_need need, struct settings *s,
                         struct settings_list *warnings, struct err *err_r)
{
    struct users_need logins = { .source = need.source, .target = need.target && !need.other_target };
    struct users_place place;

    s->mode = opts_mode(o->command);
    if (o->has_threads)
        s->threads = o->threads;
    for (size_t i = 0; i < o->users.count; i++)
        settings_list_add(&s->only_users, slice_cstr(o->users.items[i]));
    for (size_t i = 0; i < o->accept_counts.count; i++)
        settings_list_add(&s->accept_counts, slice_cstr(o->accept_counts.items[i]));
    if (!need.users)
        return true;
    if (!users_load(s, logins, warnings, &place, err_r))
        return false;
    settings_finish(s);
    if (!users_select(s, warnings, err_r))
        return false;
    if (s->user_count == 0)
        fprintf(stderr, "mailhaul: no user falls into shard %u of %u: nothing to do\n", s->shard_number,
                s->shard_count);
    return true;
}

bool load_settings(const struct opts *o, struct load_need need,
                   const struct settings_list *more_overrides, struct settings **settings_r,
                   struct settings_list *warnings, struct err *err_r)
{
    struct settings_list overrides = { 0 };
    struct config_request request = {
        .batch_file = o->batch_files.items[0],
        .overrides = &overrides,
        .shard_number = o->shard_number,
        .shard_count = o->shard_count,
        .local = need.local,
        .any_shard = need.any_shard,
        .other_target = need.other_target,
    };
    bool ok;

    for (size_t i = 0; i < o->overrides.count; i++)
        settings_list_add(&overrides, slice_cstr(o->overrides.items[i]));
    for (size_t i = 0; more_overrides && i < more_overrides->count; i++)
        settings_list_add(&overrides, slice_cstr(more_overrides->items[i]));
    ok = config_load(&request, settings_r, warnings, err_r) &&
         users_loaded(o, need, *settings_r, warnings, err_r);
    settings_list_deinit(&overrides);
    return ok;
}
