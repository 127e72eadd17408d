#include "engine/config/users.h"

#include "engine/config/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool users_load(struct settings *s, struct users_need need, struct settings_list *warnings, struct users_place *place_r,
                struct err *err_r)
{
    const char *name = config_text_name(s->users_file);
    struct config_text text;
    bool ok, has_passwords, by_others;

    *place_r = (struct users_place){ 0, 0 };
    if (access(s->users_file, F_OK) != 0)
        return config_refuse(err_r, CONFIG_EXIT_USERS, "%s: %s; the key users of [batch] names it%s", name,
                             strerror(errno),
                             strchr(name, '#') ? ". A comment behind a value begins with ; and not with #" : "");
    if (!config_text_read(s->users_file, USERS_BYTES_MAX, CONFIG_EXIT_USERS, &text, err_r))
        return false;
    by_others = text.readable_by_others;
    config_text_warn(&text, s->users_file, warnings);
    ok = users_parse(s, text.data, text.size, s->users_file, need, warnings, &has_passwords, place_r, err_r);
    config_text_deinit(&text);
    if (ok && has_passwords && by_others) {
        char line[256];

        snprintf(line, sizeof line, "%s: holds passwords and others may read it; chmod 600 helps", name);
        settings_list_add(warnings, slice_cstr(line));
    }
    return ok;
}
