#include "engine/config/nearest.h"
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

static bool is_selected(void *context, const struct settings_user *user)
{
    const struct settings *s = context;

    return (s->only_users.count == 0 || settings_list_has_user(&s->only_users, user)) &&
           settings_user_in_shard(slice_cstr(user->email_address), s->shard_number, s->shard_count);
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

bool users_select(struct settings *s, struct err *err_r)
{
    if (!are_known(s, "user", &s->only_users, err_r) ||
        !are_known(s, "accept-counts", &s->accept_counts, err_r))
        return false;
    settings_users_keep(s, is_selected, s);
    return true;
}
