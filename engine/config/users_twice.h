/* Rows of users.csv that name the same thing: an address, a mailbox at the target, a login at the source.
 */
#ifndef ENGINE_CONFIG_USERS_TWICE_H
#define ENGINE_CONFIG_USERS_TWICE_H

#include "engine/settings/settings.h"

/* What a row names. Borrowed from it. */
typedef const char *users_name(const struct settings_user *user);

/* EmailAddress. */
users_name users_address;
/* The login at the target, and so the mailbox there: TargetUserName, or EmailAddress without one. */
users_name users_target_mailbox;

/* Two rows that have one name; indexes count from 0. */
struct users_pair {
    size_t first, second;
};
/* All rows that have the name of one before them, each with the nearest such one, by second; malloc'ed. */
struct users_pair *users_all_twice(const struct settings_user *users, size_t count, users_name *name, size_t *pairs_r);
/* Adds a sentence to warnings where rows from first on read the same mail at the source (one UserName, and no
 * UserRoot that parts them), and where source and target are one mailbox. name: the file's, for the sentence.
 */
void users_warn_of_source(const struct settings *s, size_t first, const char *name, struct settings_list *warnings);

#endif
