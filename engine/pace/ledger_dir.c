#include "engine/pace/ledger_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PREFIX       "pace-"
#define SUFFIX       ".rec"
#define FORGOTTEN_MS INT64_C(86400000)
#define FILES_MAX    65536 /* entries looked at: a folder with more is not a ledger */

static bool os_error(struct err *err_r, const char *doing)
{
    return err_set_os(err_r, ERR_CLASS_TRANSIENT, ERR_SCOPE_RUN, errno, doing);
}

static void name_of(uint64_t process, const char *suffix, char *out, size_t cap)
{
    snprintf(out, cap, PREFIX "%016" PRIx64 "%s", process, suffix);
}

static bool open_folder(const char *folder, int *fd_r, struct err *err_r)
{
    *fd_r = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd_r >= 0 || os_error(err_r, "open the ledger folder");
}

bool ledger_dir_write(const char *folder, const struct ledger_record *record, struct err *err_r)
{
    uint8_t bytes[LEDGER_RECORD_BYTES];
    char part[64], name[64];
    int dir, fd;
    bool ok;

    if (!open_folder(folder, &dir, err_r))
        return false;
    ledger_encode(record, bytes);
    name_of(record->process, ".part", part, sizeof(part));
    name_of(record->process, SUFFIX, name, sizeof(name));
    fd = openat(dir, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (fd < 0) {
        os_error(err_r, "write to the ledger");
        close(dir);
        return false;
    }
    /* No fsync: a record lost with the power is five seconds old, and readers check the sum. */
    ok = write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes);
    if (close(fd) != 0)
        ok = false;
    if (ok)
        ok = renameat(dir, part, dir, name) == 0;
    if (!ok) {
        os_error(err_r, "write to the ledger");
        unlinkat(dir, part, 0);
    }
    close(dir);
    return ok;
}

static bool read_record(int dir, const char *name, struct ledger_record *record_r)
{
    uint8_t bytes[LEDGER_RECORD_BYTES + 1];
    ssize_t got;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return false;
    got = read(fd, bytes, sizeof(bytes));
    close(fd);
    return got > 0 && ledger_decode(bytes, (size_t)got, record_r);
}

static bool ours(const char *name)
{
    size_t size = strlen(name);

    return size == strlen(PREFIX) + 16 + strlen(SUFFIX) && strncmp(name, PREFIX, strlen(PREFIX)) == 0 &&
           strcmp(name + size - strlen(SUFFIX), SUFFIX) == 0;
}

bool ledger_dir_read(const char *folder, int64_t wall_ms, struct ledger_record *records_r, size_t max, size_t *count_r,
                     struct err *err_r)
{
    struct dirent *entry;
    size_t seen = 0;
    DIR *stream;
    int dir;

    *count_r = 0;
    if (!open_folder(folder, &dir, err_r))
        return false;
    stream = fdopendir(dir);
    if (!stream) {
        os_error(err_r, "read the ledger folder");
        close(dir);
        return false;
    }
    while (*count_r < max && seen++ < FILES_MAX && (entry = readdir(stream))) {
        struct ledger_record *record = &records_r[*count_r];

        if (!ours(entry->d_name) || !read_record(dir, entry->d_name, record))
            continue;
        if (record->heartbeat_ms < wall_ms - FORGOTTEN_MS)
            unlinkat(dir, entry->d_name, 0);
        else
            ++*count_r;
    }
    closedir(stream);
    return true;
}

void ledger_dir_leave(const char *folder, uint64_t process)
{
    struct err ignored;
    char name[64];
    int dir;

    if (!open_folder(folder, &dir, &ignored))
        return;
    name_of(process, SUFFIX, name, sizeof(name));
    unlinkat(dir, name, 0);
    close(dir);
}
