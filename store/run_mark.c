#include "store/run_mark.h"

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

static bool exists(const struct state_dir *state_dir, const char *name)
{
    char *path = state_dir_path(state_dir, name);
    struct stat st;
    bool there = lstat(path, &st) == 0;

    free(path);
    return there;
}

/* Another user may read the state: a mark is no reason to believe anything, only one to refuse. */
static bool mark_read(const struct state_dir *state_dir, uint64_t *identity_r)
{
    char *path = state_dir_path(state_dir, MARK), text[TEXT_BYTES] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    unsigned long long identity = 0;
    struct stat st;
    bool told = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && read(fd, text, sizeof text - 1) > 0 &&
                sscanf(text, "mailhaul begun 1 %16llx", &identity) == 1;

    if (fd >= 0)
        close(fd);
    free(path);
    *identity_r = told ? identity : 0;
    return told;
}

void run_mark_look(const struct state_dir *state_dir, struct run_mark *begun_r)
{
    begun_r->was = exists(state_dir, MARK) || exists(state_dir, "data.mdb.checked") || exists(state_dir, "ballast");
    (void)mark_read(state_dir, &begun_r->identity);
}

bool run_mark_is_state(const struct state_dir *state_dir)
{
    uint64_t identity;

    return exists(state_dir, "data.mdb") || exists(state_dir, "data.mdb.checked") || mark_read(state_dir, &identity);
}

bool run_mark_keep(const struct state_dir *state_dir, uint64_t identity)
{
    char text[TEXT_BYTES], *made, *path;
    uint64_t kept;
    int fd, error;
    bool ok;

    if (mark_read(state_dir, &kept) && kept == identity)
        return true;
    snprintf(text, sizeof text, "mailhaul begun 1 %016llx\n", (unsigned long long)identity);
    made = state_dir_path(state_dir, MARK_NEW);
    path = state_dir_path(state_dir, MARK);
    fd = state_dir_file(state_dir, MARK_NEW, O_WRONLY | O_CREAT | O_TRUNC);
    ok = durable_replace(path, made, fd, text, strlen(text));
    error = errno;
    if (fd < 0)
        unlink(made); /* no plain file of this user's stands in the way of the next run */
    free(made);
    free(path);
    errno = error;
    return ok;
}

bool run_mark_broke_off(int fd)
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
