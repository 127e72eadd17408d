/* Files that are no socket and no ring: all of it is written or read, or it is an error. */
#ifndef IO_BASE_WHOLE_H
#define IO_BASE_WHOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Writes size bytes from the file's place on; a signal amid it changes nothing. False: errno says why, and a part
 * may be written. */
bool whole_write(int fd, const void *bytes, size_t size);

/* Reads size bytes from a place of the file on; a signal amid it changes nothing. Fewer: the file ends there; -1:
 * errno. */
ssize_t whole_pread(int fd, void *bytes, size_t size, uint64_t from);

/* Opens what stands under this name for writing, or a new file of mode 0666 less the umask; what it holds stays with
 * append. A pipe that nobody reads is not waited for, as whoever can put one there could hold the program up: EPIPE.
 * Returns the descriptor, the caller's, or -1 with errno. */
int whole_open(const char *path, bool append);

#endif
