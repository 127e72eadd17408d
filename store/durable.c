#include "store/durable.h"

#include "io/base/mem.h"
#include "io/base/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
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
