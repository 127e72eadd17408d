#include "engine/config/nearest.h"
#include "engine/config/split.h"
#include "engine/config/text.h"
#include "engine/config/users.h"
#include "engine/config/users_from.h"
#include "engine/folders/names_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 60

/* Names by which options call users: an address in any case, or a login as it is written. One account may be the
 * source of many addresses. */
struct called {
    struct names_index folded, exact;
};

static void called_init(struct called *c)
{
    names_index_init(&c->folded);
    names_index_init(&c->exact);
}

static void called_deinit(struct called *c)
{
    names_index_deinit(&c->folded);
    names_index_deinit(&c->exact);
}

static bool has_folded(struct names_index *index, const char *text)
{
    return names_index_find_folded(index, slice_cstr(text)) != NAMES_INDEX_NONE;
}

static void call(struct called *c, const char *address, const char *user_name)
{
    (void)names_index_add_folded(&c->folded, slice_cstr(address), 0);
    names_index_put(&c->exact, slice_cstr(user_name), 0);
}

static bool is_called(struct called *c, const char *address, const char *user_name)
{
    return has_folded(&c->folded, address) || names_index_find(&c->exact, slice_cstr(user_name)) != NAMES_INDEX_NONE;
}

static void call_list(struct called *c, const struct settings_list *names)
{
    called_init(c);
    for (size_t i = 0; i < names->count; i++)
        call(c, names->items[i], names->items[i]);
}

/* ---- names that no row has ---- */

static const char *nearest_user(const struct settings *s, const char *name, char *hint, size_t cap)
{
    struct nearest near;

    nearest_init(&near, slice_cstr(name));
    for (size_t i = 0; i < s->user_count; i++)
        nearest_offer(&near, s->users[i].email_address);
    return nearest_text(&near, "", "", hint, cap);
}

/* place: "--user", or where in a file the name stands. */
static bool unknown_user(const struct settings *s, const char *place, const char *name, struct err *err_r)
{
    char hint[120];

    return config_refuse(err_r, CONFIG_EXIT_USAGE, "%.100s %.*s: no such EmailAddress or UserName in %s%s", place,
                         SHOWN_MAX, name, config_text_name(s->users_file), nearest_user(s, name, hint, sizeof hint));
}

static bool are_known(const struct settings *s, struct called *rows, const char *option,
                      const struct settings_list *names, struct err *err_r)
{
    for (size_t i = 0; i < names->count; i++)
        if (!is_called(rows, names->items[i], names->items[i]))
            return unknown_user(s, option, names->items[i], err_r);
    return true;
}

static bool are_waves_known(const struct settings *s, struct err *err_r)
{
    struct names_index waves;
    bool known = true;

    names_index_init(&waves);
    for (size_t i = 0; i < s->user_count; i++)
        if (s->users[i].wave)
            (void)names_index_add_folded(&waves, slice_cstr(s->users[i].wave), 0);
    for (size_t i = 0; known && i < s->waves.count; i++) {
        struct nearest near;
        char hint[120];

        known = has_folded(&waves, s->waves.items[i]);
        if (known)
            continue;
        nearest_init(&near, slice_cstr(s->waves.items[i]));
        for (size_t k = 0; k < s->user_count; k++)
            if (s->users[k].wave)
                nearest_offer(&near, s->users[k].wave);
        (void)config_refuse(err_r, CONFIG_EXIT_USAGE, "--wave %.*s: no row of %s has this Wave%s%s", SHOWN_MAX,
                            s->waves.items[i], config_text_name(s->users_file),
                            waves.count ? "" : "; it names no waves", nearest_text(&near, "", "", hint, sizeof hint));
    }
    names_index_deinit(&waves);
    return known;
}

/* ---- the choice ---- */

struct choice {
    const struct settings *settings;
    struct called only, but;
    struct names_index waves;
    struct split split;
    size_t meant; /* of whatever shard */
};

static bool is_meant(struct choice *c, const struct settings_user *user)
{
    const struct settings *s = c->settings;

    return (s->only_users.count == 0 || is_called(&c->only, user->email_address, user->user_name)) &&
           (s->waves.count == 0 || (user->wave && has_folded(&c->waves, user->wave))) &&
           !(s->but_users.count && is_called(&c->but, user->email_address, user->user_name));
}

static bool is_in_shard(struct choice *choice, const struct settings_user *user)
{
    const struct settings *s = choice->settings;
    unsigned shard = split_shard_of(&choice->split, user->email_address);

    return shard ? shard == s->shard_number
                 : settings_user_in_shard(slice_cstr(user->email_address), s->shard_number, s->shard_count);
}

static bool is_selected(void *context, const struct settings_user *user)
{
    struct choice *c = context;

    if (!is_meant(c, user))
        return false;
    c->meant++;
    return is_in_shard(c, user);
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

static bool choose(struct settings *s, struct settings_list *warnings, struct err *err_r)
{
    struct choice c = { .settings = s };

    if (!read_split(s, &c.split, warnings, err_r))
        return false;
    call_list(&c.only, &s->only_users);
    call_list(&c.but, &s->but_users);
    names_index_init(&c.waves);
    for (size_t i = 0; i < s->waves.count; i++)
        (void)names_index_add_folded(&c.waves, slice_cstr(s->waves.items[i]), 0);
    settings_users_keep(s, is_selected, &c);
    called_deinit(&c.only);
    called_deinit(&c.but);
    names_index_deinit(&c.waves);
    split_deinit(&c.split);
    return c.meant > 0 || !settings_is_narrowed(s) ||
           config_refuse(err_r, CONFIG_EXIT_USAGE,
                         "no user of %s is left by --user, --users-from, --wave and --exclude-user together",
                         config_text_name(s->users_file));
}

bool users_select(struct settings *s, const struct users_from *from, struct settings_list *warnings, struct err *err_r)
{
    struct called rows;
    bool ok;

    called_init(&rows);
    for (size_t i = 0; i < s->user_count; i++)
        call(&rows, s->users[i].email_address, s->users[i].user_name);
    ok = are_known(s, &rows, "--user", &s->only_users, err_r) &&
         are_known(s, &rows, "--exclude-user", &s->but_users, err_r) &&
         are_known(s, &rows, "--accept-counts", &s->accept_counts, err_r) &&
         are_known(s, &rows, "--accept-deletions", &s->accept_deletions, err_r) && are_waves_known(s, err_r);
    for (size_t i = 0; ok && from && i < from->names.count; i++) {
        char place[128];

        snprintf(place, sizeof place, "%.80s:%u:", config_text_name(from->path), from->lines[i]);
        if (!is_called(&rows, from->names.items[i], from->names.items[i]))
            ok = unknown_user(s, place, from->names.items[i], err_r);
        else
            settings_list_add(&s->only_users, slice_cstr(from->names.items[i]));
    }
    called_deinit(&rows);
    return ok && choose(s, warnings, err_r);
}
