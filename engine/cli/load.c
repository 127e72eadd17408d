#include "engine/cli/load.h"

#include "engine/cli/complain.h"
#include "engine/cli/exits.h"
#include "engine/config/password_command.h"
#include "engine/config/users.h"
#include "engine/config/users_from.h"

#include <stdio.h>

/* What else was found beside the error that ended the last load. */
static struct settings_list other_faults;

int load_complain(const struct err *err)
{
    bool own = err->code >= EXIT_USAGE && err->code <= EXIT_BATCH_FILE;
    int code = complain(err, own ? err->code : EXIT_INTERNAL);

    for (size_t i = 0; i < other_faults.count; i++)
        fprintf(stderr, "mailhaul: %s\n", other_faults.items[i]);
    settings_list_deinit(&other_faults);
    return code;
}

static void add_all(struct settings_list *to, const struct settings_list *from)
{
    for (size_t i = 0; i < from->count; i++)
        settings_list_add(to, slice_cstr(from->items[i]));
}

/* Nothing is chosen from an empty list: a file that cannot be read chooses nobody. */
static bool users_chosen(const struct opts *o, struct settings *s, struct settings_list *warnings, struct err *err_r)
{
    struct users_from from = { 0 };
    bool ok = !o->users_from || users_from_read(&from, o->users_from, err_r);

    if (o->users_from)
        settings_list_add(&s->input_files, slice_cstr(o->users_from));
    ok = ok && users_select(s, o->users_from ? &from : NULL, warnings, err_r);
    users_from_deinit(&from);
    return ok;
}

bool load_choice(const struct opts *o, struct settings *s, struct settings_list *warnings, struct err *err_r)
{
    add_all(&s->only_users, &o->users);
    add_all(&s->but_users, &o->but_users);
    add_all(&s->waves, &o->waves);
    add_all(&s->accept_counts, &o->accept_counts);
    add_all(&s->accept_deletions, &o->accept_deletions);
    return users_chosen(o, s, warnings, err_r);
}

static bool users_loaded(const struct opts *o, struct load_need need, struct settings *s,
                         struct settings_list *warnings, struct err *err_r)
{
    struct users_need logins = { .source = need.source, .target = need.target && !need.other_target };
    struct users_place place;

    s->mode = opts_mode(o->command);
    if (o->has_threads)
        s->threads = o->threads;
    if (!need.users)
        return true;
    if (!users_load(s, logins, warnings, &place, err_r)) {
        add_all(&other_faults, &s->user_faults);
        return false;
    }
    settings_finish(s);
    if (!load_choice(o, s, warnings, err_r))
        return false;
    if (s->user_count == 0)
        fprintf(stderr, "mailhaul: no user falls into shard %u of %u: nothing to do\n", s->shard_number,
                s->shard_count);
    return password_commands_run(s, logins.source, logins.target, PASSWORD_COMMAND_LIMIT_S, &other_faults, err_r);
}

bool load_settings(const struct opts *o, struct load_need need, const struct settings_list *more_overrides,
                   struct settings **settings_r, struct settings_list *warnings, struct err *err_r)
{
    struct settings_list overrides = { 0 };
    struct config_request request = {
        .batch_file = o->batch_files.items[0],
        .overrides = &overrides,
        .shard_number = o->shard_number,
        .shard_count = o->shard_count,
        .faults = &other_faults,
        .local = need.local,
        .any_shard = need.any_shard,
        .other_target = need.other_target,
    };
    bool ok;

    settings_list_deinit(&other_faults);
    for (size_t i = 0; i < o->overrides.count; i++)
        settings_list_add(&overrides, slice_cstr(o->overrides.items[i]));
    for (size_t i = 0; more_overrides && i < more_overrides->count; i++)
        settings_list_add(&overrides, slice_cstr(more_overrides->items[i]));
    ok = config_load(&request, settings_r, warnings, err_r) && users_loaded(o, need, *settings_r, warnings, err_r);
    settings_list_deinit(&overrides);
    return ok;
}
