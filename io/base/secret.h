/* Password and token bytes: kept out of logs, wiped when freed, excluded from core files.
 * Never print the value; nothing in this module does.
 */
#ifndef IO_BASE_SECRET_H
#define IO_BASE_SECRET_H

#include "io/base/err.h"
#include "io/base/slice.h"

struct secret; /* immutable, reference-free: one owner */

/* Copies value into memory of its own, which is in no core file, and locked (mlock) as far as RLIMIT_MEMLOCK lets. */
struct secret *secret_create(struct slice value);
/* Wipes, frees and nulls. *s may be NULL. */
void secret_destroy(struct secret **s);
/* Borrowed until secret_destroy. s may be NULL: empty. */
struct slice secret_peek(const struct secret *s);
/* The first line of a file without its line end; refuses files over 64 KiB and warns through
 * *readable_by_others_r when group or others may read or change it. PERMANENT/RUN, origin CONFIG. */
bool secret_read_file(const char *path, struct secret **secret_r, bool *readable_by_others_r,
                      struct err *err_r) ERR_CHECK;
/* All of them so far are in memory that is not swapped out. Any thread. */
bool secret_is_locked(void);
/* Wipes size bytes in a way the compiler keeps. */
void secret_wipe(void *data, size_t size);
/* Once at start: no core files, no ptrace by others of the same user. */
void secret_harden_process(void);

#endif
