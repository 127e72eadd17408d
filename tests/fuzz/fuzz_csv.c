/* test: cli */
#include "engine/config/users.h"

#include "io/base/mem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any bytes as users.csv: rows or one error with a place, never more. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings *s = settings_create();
    struct settings_list warnings = { NULL, 0 };
    struct users_place place;
    struct err e;
    bool has_passwords;
    char *text = mem_alloc(size);

    if (size)
        memcpy(text, data, size);
    /* No source login, so that no PasswordFile is opened. */
    if (users_parse(s, text, size, "users.csv", (struct users_need){ false, size % 2 != 0 }, &warnings, &has_passwords,
                    &place, &e)) {
        for (size_t i = 0; i < s->user_count; i++)
            if (!s->users[i].email_address || !s->users[i].user_name || !s->users[i].target_user_name)
                abort();
    } else if (e.code != 65 || place.line == 0 || place.column == 0) {
        abort();
    }
    free(text);
    settings_list_deinit(&warnings);
    settings_destroy(&s);
    return 0;
}
