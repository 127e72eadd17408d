/* One secret kept in a file of its own, such as a refresh token: mode 0600, written whole or not at
 * all, sealed (AES-256-GCM) when the user gave a key for the spool. A lock beside it lets several
 * loops and processes take turns where a secret is good for one use only. Reads and writes one
 * small file and fsyncs it, which a loop may do once an hour.
 */
#ifndef STORE_SECRET_FILE_H
#define STORE_SECRET_FILE_H

#include "io/base/secret.h"

/* key: the spool's, or NULL: the value is written as one line of plain text. Makes the folder
 * (0700) when it is missing. Errors: PERMANENT/RUN, origin OS. */
bool secret_file_write(const char *path, const struct secret *value, const struct secret *key,
                       struct err *err_r) ERR_CHECK;
/* Reads either form; a plain file is taken also when there is a key. *value_r: the caller's.
 * Errors: PERMANENT/RUN, origin CONFIG: no such file, no key or a wrong one, not what
 * secret_file_write writes. */
bool secret_file_read(const char *path, const struct secret *key, struct secret **value_r, struct err *err_r) ERR_CHECK;
bool secret_file_exists(const char *path);

enum secret_file_turn {
    SECRET_FILE_MINE,   /* *lock_r is to be given back */
    SECRET_FILE_BUSY,   /* another has it: ask again soon */
    SECRET_FILE_NO_LOCK /* a folder that cannot be written: nothing can be rotated there either */
};
/* Never waits. */
enum secret_file_turn secret_file_lock(const char *path, int *lock_r);
/* Sets *lock to -1; -1 is fine. */
void secret_file_unlock(int *lock);

#endif
