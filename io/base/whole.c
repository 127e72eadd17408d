#include "io/base/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool whole_write(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size > 0) {
        ssize_t n = write(fd, at, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

int whole_open(const char *path, bool append)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | (append ? O_APPEND : O_TRUNC), 0666), flags;

    if (fd < 0) {
        errno = errno == ENXIO ? EPIPE : errno;
        return -1;
    }
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

ssize_t whole_pread(int fd, void *bytes, size_t size, uint64_t from)
{
    size_t got = 0;

    while (got < size) {
        ssize_t more = pread(fd, (char *)bytes + got, size - got, (off_t)(from + got));

        if (more < 0 && errno == EINTR)
            continue;
        if (more < 0)
            return -1;
        if (more == 0)
            break;
        got += (size_t)more;
    }
    return (ssize_t)got;
}
