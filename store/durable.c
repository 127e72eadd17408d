#include "store/durable.h"

#include "io/base/mem.h"
#include "io/base/slice.h"
#include "io/base/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool durable_name(const char *path)
{
    size_t size = strlen(path);
    char *folder;
    bool ok;
    int fd, error;

    while (size > 1 && path[size - 1] == '/')
        size--;
    while (size > 0 && path[size - 1] != '/')
        size--;
    folder = size ? slice_dup(slice_of(path, size)) : mem_text(".");
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
    error = errno;
    if (fd >= 0)
        close(fd);
    free(folder);
    errno = error;
    return ok;
}

bool durable_replace(const char *path, const char *next, int fd, const void *bytes, size_t size)
{
    bool ok = fd >= 0 && fchmod(fd, 0600) == 0 && whole_write(fd, bytes, size) && fsync(fd) == 0;
    int error = errno;

    if (fd >= 0)
        close(fd); /* its errno is not of interest: all is synced */
    if (ok && (rename(next, path) != 0 || !durable_name(path))) {
        ok = false;
        error = errno;
    }
    if (!ok && fd >= 0)
        unlink(next);
    errno = error;
    return ok;
}
