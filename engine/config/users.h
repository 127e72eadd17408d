/* users.csv into settings: RFC 4180, UTF-8 with or without byte-order mark, a header row, any order
 * of columns; semicolons or tabs in place of commas, as spreadsheets write them, and a first line sep=; too. Contacts
 * nothing.
 */
#ifndef ENGINE_CONFIG_USERS_H
#define ENGINE_CONFIG_USERS_H

#include "engine/settings/settings.h"

#define USERS_ROWS_MAX  1000000
#define USERS_BYTES_MAX 268435456

/* Where in the file an error stands; both from 1, 0 when it is not about a place. Columns count
 * characters. */
struct users_place {
    unsigned line, column;
};

/* Which logins this command will do, and so which passwords must be there. */
struct users_need {
    bool source, target;
};

/* Reads s->users_file and appends its rows to s->users; s has been through config_load. Passwords
 * go to secrets at once and the file's buffer is wiped. PasswordFile is relative to users.csv.
 * warnings: sentences are added. Errors: PERMANENT/RUN, origin CONFIG, code 65, text
 * "FILE:LINE:COLUMN: what" of the first fault; s->user_faults has those of the next rows, and s->users some of the
 * rows. */
bool users_load(struct settings *s, struct users_need need, struct settings_list *warnings, struct users_place *place_r,
                struct err *err_r) ERR_CHECK;
/* The same for a text in memory, which is overwritten. name: the file's, for messages and for
 * PasswordFile. has_passwords_r: a Password or TargetPassword was there. */
bool users_parse(struct settings *s, char *text, size_t size, const char *name, struct users_need need,
                 struct settings_list *warnings, bool *has_passwords_r, struct users_place *place_r,
                 struct err *err_r) ERR_CHECK;

struct users_from;
/* Keeps the users of s->only_users and from (all when both are empty; from may be NULL, else its names go into
 * s->only_users) that are of s->waves, not of s->but_users, and in this shard, by s->split_file where that is there and
 * by address otherwise. warnings: sentences are added. Errors: a name or wave that no row has (code 64, with the
 * nearest one); a choice that leaves nobody in any shard (64); a split_file with another number of shards (64, commands
 * that only look at the state go by address) or a faulty one (78). */
bool users_select(struct settings *s, const struct users_from *from, struct settings_list *warnings,
                  struct err *err_r) ERR_CHECK;

/* Names and meanings of the columns, for the manual. */
void users_describe(void (*tell)(void *context, const char *column, const char *help), void *context);

#endif
