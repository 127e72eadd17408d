/* What `init` writes: a batch file with each key of the table, those that are not set as comments, a users.csv with its
 * header, and for Exchange Online the PowerShell that lets the program in. Text only: makes no file.
 */
#ifndef ENGINE_CLI_INIT_TEXT_H
#define ENGINE_CLI_INIT_TEXT_H

#include "engine/settings/settings.h"

#include <stdio.h>

/* Borrowed; NULL: not given. */
struct init_answers {
    const char *users; /* as the batch file names it */
    const char *source_url, *target_url;
    bool exchange; /* the target is Exchange Online */
    const char *tenant, *client_id, *secret_file;
};

/* What is wrong with the value of a key, or NULL; in words that fit behind it. room: for the words. */
const char *init_fault(const char *section, const char *key, const char *value, char *room, size_t cap);
void init_write_batch(const struct init_answers *answers, FILE *out);
/* The header, with the columns that these answers need. */
void init_write_users(const struct init_answers *answers, FILE *out);
/* Names of the answers and of users.csv stand in it; the object ID, which only the portal knows, is asked for there. */
void init_write_powershell(const struct init_answers *answers, FILE *out);

#endif
