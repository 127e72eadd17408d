#include "store/begun.h"

#include "store/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK        "begun"
#define MARK_NEW    "begun.new"
#define TEXT_BYTES  64
#define FIRST_BYTES 8192 /* LMDB's two pages of an environment without tables */

static bool exists(const struct place *place, const char *name)
{
    char *path = place_path(place, name);
    struct stat st;
    bool there = lstat(path, &st) == 0;

    free(path);
    return there;
}

/* Another user may read the state: a mark is no reason to believe anything, only one to refuse. */
static bool mark_read(const struct place *place, uint64_t *identity_r)
{
    char *path = place_path(place, MARK), text[TEXT_BYTES] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    unsigned long long identity = 0;
    struct stat st;
    bool told = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                read(fd, text, sizeof text - 1) > 0 &&
                sscanf(text, "mailhaul begun 1 %16llx", &identity) == 1;

    if (fd >= 0)
        close(fd);
    free(path);
    *identity_r = told ? identity : 0;
    return told;
}

void begun_look(const struct place *place, struct begun *begun_r)
{
    begun_r->was =
        exists(place, MARK) || exists(place, "data.mdb.checked") || exists(place, "ballast");
    (void)mark_read(place, &begun_r->identity);
}

bool begun_is_state(const struct place *place)
{
    uint64_t identity;

    return exists(place, "data.mdb") || exists(place, "data.mdb.checked") ||
           mark_read(place, &identity);
}

bool begun_keep(const struct place *place, uint64_t identity)
{
    char text[TEXT_BYTES], *made, *path;
    uint64_t kept;
    int fd, error;
    bool ok;

    if (mark_read(place, &kept) && kept == identity)
        return true;
    snprintf(text, sizeof text, "mailhaul begun 1 %016llx\n", (unsigned long long)identity);
    made = place_path(place, MARK_NEW);
    path = place_path(place, MARK);
    fd = place_file(place, MARK_NEW, O_WRONLY | O_CREAT | O_TRUNC);
    ok = durable_replace(path, made, fd, text, strlen(text));
    error = errno;
    if (fd < 0)
        unlink(made); /* no plain file of this user's stands in the way of the next run */
    free(made);
    free(path);
    errno = error;
    return ok;
}

bool begun_broke_off(int fd)
{
    uint8_t bytes[FIRST_BYTES];
    struct stat st;
    ssize_t got;

    if (fstat(fd, &st) < 0 || st.st_size > FIRST_BYTES)
        return false;
    if (st.st_size < FIRST_BYTES)
        return true;
    /* The length may outlive a loss of power without the bytes. */
    got = pread(fd, bytes, sizeof bytes, 0);
    for (ssize_t i = 0; i < got; i++)
        if (bytes[i])
            return false;
    return got == FIRST_BYTES;
}
