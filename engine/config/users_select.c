#include "engine/config/nearest.h"
#include "engine/config/split.h"
#include "engine/config/text.h"
#include "engine/config/users.h"
#include "engine/config/users_twice.h"

#include <string.h>

#define SHOWN_MAX 60

/* Options take either name: one account may be the source of many addresses. */
static bool is_called(const struct settings_user *user, const char *name)
{
    return users_same_name(name, user->email_address) || strcmp(name, user->user_name) == 0;
}

struct choice {
    const struct settings *settings;
    struct split split;
};

static bool is_in_shard(const struct choice *choice, const struct settings_user *user)
{
    const struct settings *s = choice->settings;
    unsigned shard = split_shard_of(&choice->split, user->email_address);

    return shard ? shard == s->shard_number
                 : settings_user_in_shard(slice_cstr(user->email_address), s->shard_number, s->shard_count);
}

static bool is_selected(void *context, const struct settings_user *user)
{
    const struct choice *choice = context;
    const struct settings *s = choice->settings;

    return (s->only_users.count == 0 || settings_list_has_user(&s->only_users, user)) && is_in_shard(choice, user);
}

/* A command that only looks may be asked for the shards of an older division. */
static bool read_split(const struct settings *s, struct split *split_r, struct settings_list *warnings,
                       struct err *err_r)
{
    unsigned there;

    *split_r = (struct split){ 0 };
    if (s->shard_count < 2 || !s->split_file)
        return true;
    if (!split_read(s->split_file, split_r, warnings, err_r))
        return false;
    there = split_r->shards;
    if (there == 0 || there == s->shard_count)
        return true;
    split_deinit(split_r);
    return s->mode == SETTINGS_MODE_OTHER ||
           config_refuse(err_r, CONFIG_EXIT_USAGE,
                         "--shard %u/%u: %s divides the users into %u shards: use --shard I/%u, or remove that file "
                         "to divide them anew",
                         s->shard_number, s->shard_count, config_text_name(s->split_file), there, there);
}

static bool are_known(const struct settings *s, const char *option, const struct settings_list *names,
                      struct err *err_r)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *address = names->items[i];
        struct nearest near;
        bool found = false;
        char hint[120];

        nearest_init(&near, slice_cstr(address));
        for (size_t j = 0; j < s->user_count && !found; j++) {
            found = is_called(&s->users[j], address);
            nearest_offer(&near, s->users[j].email_address);
        }
        if (!found)
            return config_refuse(err_r, CONFIG_EXIT_USAGE,
                                 "--%s %.*s: no such EmailAddress or UserName in %s%s", option, SHOWN_MAX,
                                 address, config_text_name(s->users_file),
                                 nearest_text(&near, "", "", hint, sizeof hint));
    }
    return true;
}

bool users_select(struct settings *s, struct settings_list *warnings, struct err *err_r)
{
    struct choice choice = { .settings = s };

    if (!are_known(s, "user", &s->only_users, err_r) ||
        !are_known(s, "accept-counts", &s->accept_counts, err_r))
        return false;
    if (!read_split(s, &choice.split, warnings, err_r))
        return false;
    settings_users_keep(s, is_selected, &choice);
    split_deinit(&choice.split);
    return true;
}
