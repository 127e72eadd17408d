/* Names that outlive a loss of power. A file's bytes are durable after fsync of the file; that it is there under
 * its name, or no longer, only after fsync of the folder. Internal to store/. */
#ifndef STORE_DURABLE_H
#define STORE_DURABLE_H

#include <stdbool.h>
#include <stddef.h>

/* Makes what was made, renamed or removed at path durable: fsync of the folder that holds it. A file system that
 * knows no such thing (EINVAL) is content. False, with errno, when the disk refuses. */
bool durable_name(const char *path);
/* Puts size bytes in place of the file at path, whole or not at all, mode 0600. next: the name beside it under which fd
 * was made for them; fd is closed here. Below 0 it was not, and errno says why. False, with errno, when the disk
 * refuses: next is gone then, and what stood at path stands. */
bool durable_replace(const char *path, const char *next, int fd, const void *bytes, size_t size);

#endif
