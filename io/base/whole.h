/* Writing to files that are no socket and no ring: all of it, or an error. */
#ifndef IO_BASE_WHOLE_H
#define IO_BASE_WHOLE_H

#include <stdbool.h>
#include <stddef.h>

/* Writes size bytes from the file's place on; a signal amid it changes nothing. False: errno says why, and a part
 * may be written. */
bool whole_write(int fd, const void *bytes, size_t size);

#endif
