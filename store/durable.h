/* Names that outlive a loss of power. A file's bytes are durable after fsync of the file; that it is there under
 * its name, or no longer, only after fsync of the folder. Internal to store/. */
#ifndef STORE_DURABLE_H
#define STORE_DURABLE_H

#include <stdbool.h>

/* Makes what was made, renamed or removed at path durable: fsync of the folder that holds it. A file system that
 * knows no such thing (EINVAL) is content. False, with errno, when the disk refuses. */
bool durable_name(const char *path);

#endif
