#include "store/state_dir.h"

#include "io/base/log.h"
#include "io/base/mem.h"
#include "store/durable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

/* How long a lock that is held is looked at again before it is taken for another run's. */
#define LOOKS   10
#define LOOK_MS 20

static _Atomic int pretended;

void state_dir_pretend(enum state_dir_disk_answer answer)
{
    atomic_store(&pretended, (int)answer);
}

char *state_dir_path(const struct state_dir *state_dir, const char *name)
{
    return mem_format("%s/%s", state_dir->folder, name);
}

/* lmdb.h: "Do not use LMDB databases on remote filesystems": its locks and its map do not hold
 * between hosts. FUSE is refused with them, since what stands behind it cannot be told. */
const char *state_dir_remote_name(unsigned long f_type)
{
    static const struct {
        unsigned long type;
        const char *name;
    } remote[] = {
        { 0x6969, "NFS" },        { 0x517B, "SMB" },      { 0xFF534D42, "CIFS" },  { 0xFE534D42, "SMB" },
        { 0x0BD00BD0, "Lustre" }, { 0x47504653, "GPFS" }, { 0x65735546, "FUSE" },  { 0x01021997, "9p" },
        { 0x00C36400, "Ceph" },   { 0x5346414F, "AFS" },  { 0x6B414653, "AFS" },   { 0x73757245, "Coda" },
        { 0x19830326, "BeeGFS" }, { 0x01161970, "GFS2" }, { 0x7461636F, "OCFS2" }, { 0x20030528, "OrangeFS" },
        { 0x786F4256, "vboxsf" }, { 0x564C, "NCP" },      { 0xAAD7AAEA, "PanFS" }, { 0xBACBACBC, "vmhgfs" },
    };

    for (size_t i = 0; i < sizeof remote / sizeof *remote; i++)
        if (remote[i].type == (f_type & 0xFFFFFFFFul))
            return remote[i].name;
    return NULL;
}

static bool refused(struct err *err_r, int code, const char *folder, const char *what)
{
    /* The reason must find room behind a long name. */
    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_OS, code, "%.100s%s: %s", folder,
            strlen(folder) > 100 ? "..." : "", what);
    return err_doing(err_r, "open the state folder");
}

/* The key `state` names it wrongly. */
static bool misnamed(struct err *err_r, int code, const char *folder, const char *what)
{
    (void)refused(err_r, code, folder, what);
    err_r->origin = ERR_ORIGIN_CONFIG;
    return false;
}

/* What mailhaul itself leaves in a state folder, or a file system at its root. */
static bool name_is_ours(const char *name)
{
    static const char *const whole[] = { ".",       "..",    "lost+found", "lock",      "lock.mdb",
                                         "ballast", "probe", "begun",      "begun.new", "maildir" };

    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (strcmp(name, whole[i]) == 0)
            return true;
    return strncmp(name, "data.mdb", 8) == 0 || strncmp(name, "refresh-token.", 14) == 0;
}

/* Does the file begin with what this program writes there? An empty lock is one too, after a full disk. */
static bool file_is_ours(const char *folder, const char *name, const char *begins, bool may_be_empty)
{
    char *path = mem_format("%s/%s", folder, name), text[16];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    bool ours = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

    if (ours && (st.st_size > 0 || !may_be_empty))
        ours = read(fd, text, strlen(begins)) == (ssize_t)strlen(begins) && memcmp(text, begins, strlen(begins)) == 0;
    if (fd >= 0)
        close(fd);
    free(path);
    return ours;
}

/* A run was here. */
static bool was_used(const char *folder)
{
    return file_is_ours(folder, "lock", "pid ", true) || file_is_ours(folder, "begun", "mailhaul begun", false);
}

/* `state = /home/anna` is a slip: that folder must not be narrowed, nor be filled. */
static bool folder_is_ours(const char *folder, struct err *err_r)
{
    DIR *dir;
    struct dirent *entry;
    char what[400];
    bool ours = true;

    if (was_used(folder))
        return true;
    dir = opendir(folder);
    if (!dir)
        return refused(err_r, errno, folder, strerror(errno));
    while (ours && (entry = readdir(dir)))
        if (!name_is_ours(entry->d_name)) {
            snprintf(what, sizeof what,
                     "holds other things than a run's (%.255s); name an empty folder, or one that "
                     "does not exist yet",
                     entry->d_name);
            ours = misnamed(err_r, ENOTEMPTY, folder, what);
        }
    closedir(dir);
    return ours;
}

/* Who owns the folder, or a link that leads to it, can put anything in its place: another journal, a token of his
 * own, a link to a file of ours. To read is no harm; to write there is. */
static bool owner_judged(const char *folder, const struct stat *st, struct err *err_r)
{
    struct stat link;
    char what[200];

    if (st->st_uid != geteuid()) {
        snprintf(what, sizeof what,
                 "belongs to another user (uid %ld); give it to this one (uid %ld), or name another folder",
                 (long)st->st_uid, (long)geteuid());
        return misnamed(err_r, EPERM, folder, what);
    }
    if (lstat(folder, &link) == 0 && S_ISLNK(link.st_mode) && link.st_uid != geteuid() && link.st_uid != 0)
        return misnamed(err_r, EPERM, folder, "is a link that another user made");
    return true;
}

int state_dir_file(const struct state_dir *state_dir, const char *name, int flags)
{
    char *path = state_dir_path(state_dir, name);
    /* Non-blocking, so that a pipe is seen for what it is. */
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat st;

    free(path);
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1 || st.st_uid != geteuid())) {
        close(fd);
        errno = EPERM;
        return -1;
    }
    return fd;
}

/* The same look without opening, for who opens by name; what is not there is fine. */
static bool state_dir_file_judged(const struct state_dir *state_dir, const char *name, struct err *err_r)
{
    char *path = state_dir_path(state_dir, name);
    struct stat st;
    bool good = lstat(path, &st) < 0 || (S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == geteuid());

    if (!good)
        refused(err_r, EPERM, path, "is no plain file of this user's; somebody may have put it there");
    free(path);
    return good;
}

static bool folder_ready(const char *folder, bool read_only, struct err *err_r)
{
    struct stat st;

    if (!read_only && mkdir(folder, 0700) == 0) {
        if (!durable_name(folder))
            return refused(err_r, errno, folder, strerror(errno));
    } else if (!read_only && errno != EEXIST) {
        switch (errno) {
        case ENOTDIR:
            return misnamed(err_r, ENOTDIR, folder, "a part of the path is a file, not a folder");
        case ENAMETOOLONG:
            return misnamed(err_r, ENAMETOOLONG, folder, "the name is too long for the file system");
        case ELOOP:
            return misnamed(err_r, ELOOP, folder, "a link of the path leads back to itself");
        case ENOENT:
            return misnamed(err_r, ENOENT, folder, "the folder it should stand in does not exist");
        case EROFS:
            return refused(err_r, EROFS, folder, "the file system is read-only");
        case EACCES:
            return refused(err_r, EACCES, folder, "no permission to make the folder");
        case ENOSPC:
            return refused(err_r, ENOSPC, folder, "no space left on the disk");
        default:
            return refused(err_r, errno, folder, strerror(errno));
        }
    }
    if (stat(folder, &st) < 0)
        return refused(err_r, errno, folder,
                       errno == ENOENT ? "there is no such state folder; nothing has run yet" : strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return misnamed(err_r, ENOTDIR, folder, "is not a folder");
    if (read_only)
        return true;
    if (!owner_judged(folder, &st, err_r) || !folder_is_ours(folder, err_r))
        return false;
    /* Mail is private. */
    if ((st.st_mode & 077) && (chmod(folder, 0700) < 0 || stat(folder, &st) < 0 || (st.st_mode & 022))) {
        if (st.st_mode & 022)
            return misnamed(err_r, EPERM, folder, "others may write in it, and that cannot be changed");
        log_line(LOG_WARN, "spool.mode", "folder=%s others may read it", folder);
    }
    return true;
}

static bool disk_judged(const char *folder, struct err *err_r)
{
    struct statfs fs;
    const char *name;

    if (statfs(folder, &fs) < 0)
        return refused(err_r, errno, folder, strerror(errno));
    name = state_dir_remote_name((unsigned long)fs.f_type);
    if (!name)
        return true;
    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, EOPNOTSUPP,
            "%s lies on %s; the spool needs a local disk (on shared storage: a disk image with a "
            "local file system, mounted by one host)",
            folder, name);
    return err_doing(err_r, "open the state folder");
}

/* state_dir_is_held of a `status` holds the lock for a moment: that is no run. */
static bool locked(int fd)
{
    struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };

    for (unsigned i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
        if (errno != EWOULDBLOCK || i == LOOKS)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

/* 1: somebody holds it; 0: nobody; -1: it cannot be told. */
static int held_by(int fd)
{
    int got = flock(fd, LOCK_SH | LOCK_NB), error = errno;

    close(fd);
    return got == 0 ? 0 : error == EWOULDBLOCK ? 1 : -1;
}

bool state_dir_is_held(const struct state_dir *state_dir, bool *held_r)
{
    char *path = state_dir_path(state_dir, "lock");
    int folder_fd = open(state_dir->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int folder = folder_fd < 0 ? -1 : held_by(folder_fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int file = fd >= 0 ? held_by(fd) : errno == ENOENT ? 0 : -1;

    free(path);
    *held_r = folder == 1 || file == 1;
    return *held_r || (folder == 0 && file == 0);
}

/* The folder itself too: the lock's file can be lost, by a hand or a tidying script, while a run holds it, and a
 * second run would lock a new one. */
static bool folder_locked(struct state_dir *state_dir, struct err *err_r)
{
    int error;

    state_dir->folder_fd = open(state_dir->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state_dir->folder_fd >= 0 && locked(state_dir->folder_fd))
        return true;
    error = errno;
    if (state_dir->folder_fd < 0 || error != EWOULDBLOCK)
        return refused(err_r, error, state_dir->folder, strerror(error));
    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, EWOULDBLOCK,
            "%s: another run holds it; its file `lock` was removed", state_dir->folder);
    return err_doing(err_r, "open the state folder");
}

/* -1 with *err_r. */
static int lock_opened(const struct state_dir *state_dir, struct err *err_r)
{
    int fd = state_dir_file(state_dir, "lock", O_RDWR | O_CREAT), error = errno;

    if (fd < 0)
        (void)refused(err_r, error, state_dir->folder,
                      error == EROFS    ? "the file system is read-only"
                      : error == EACCES ? "no permission to write in it"
                      : error == EPERM || error == ELOOP || error == ENXIO
                          ? "its lock is no plain file of this user's; somebody may have put it there"
                      : error == ENOSPC ? "no space left on the disk"
                                        : strerror(error));
    return fd;
}

bool place_may_lock(const struct state_dir *state_dir, struct err *err_r)
{
    int fd = lock_opened(state_dir, err_r);

    if (fd >= 0)
        close(fd);
    return fd >= 0 && state_dir_file_judged(state_dir, "data.mdb", err_r) &&
           state_dir_file_judged(state_dir, "lock.mdb", err_r);
}

static bool lock_taken(struct state_dir *state_dir, struct err *err_r)
{
    char text[300] = "", host[256] = "";
    ssize_t got;
    int error;

    state_dir->lock_fd = lock_opened(state_dir, err_r);
    if (state_dir->lock_fd < 0)
        return false;
    if (!locked(state_dir->lock_fd)) {
        error = errno;
        if (error == EWOULDBLOCK) {
            got = pread(state_dir->lock_fd, text, sizeof text - 1, 0);
            text[got > 0 ? got : 0] = '\0';
            text[strcspn(text, "\n")] = '\0';
            err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, EWOULDBLOCK,
                    "%s: another run holds it (%s)", state_dir->folder, text[0] ? text : "just starting");
            err_doing(err_r, "open the state folder");
        } else {
            refused(err_r, error, state_dir->folder, strerror(error));
        }
        close(state_dir->lock_fd);
        state_dir->lock_fd = -1;
        return false;
    }
    if (!folder_locked(state_dir, err_r))
        return false;
    gethostname(host, sizeof host - 1);
    snprintf(text, sizeof text, "pid %ld on %s\n", (long)getpid(), host);
    /* Only for people: on a full disk an empty file still locks. */
    if (ftruncate(state_dir->lock_fd, 0) < 0 ||
        pwrite(state_dir->lock_fd, text, strlen(text), 0) != (ssize_t)strlen(text))
        log_line(LOG_INFO, "spool.lock", "the holder's pid could not be written: %s", strerror(errno));
    return true;
}

bool state_dir_open(struct state_dir *state_dir, const char *folder, bool read_only, struct err *err_r)
{
    *state_dir = (struct state_dir){ .lock_fd = -1, .folder_fd = -1 };
    if (!folder_ready(folder, read_only, err_r) || !disk_judged(folder, err_r))
        return false;
    state_dir->folder = mem_text(folder);
    if (!read_only && (!lock_taken(state_dir, err_r) || !state_dir_file_judged(state_dir, "data.mdb", err_r) ||
                       !state_dir_file_judged(state_dir, "lock.mdb", err_r))) {
        state_dir_close(state_dir);
        return false;
    }
    return true;
}

void state_dir_close(struct state_dir *state_dir)
{
    if (state_dir->lock_fd >= 0)
        close(state_dir->lock_fd);
    if (state_dir->folder_fd >= 0)
        close(state_dir->folder_fd);
    free(state_dir->folder);
    *state_dir = (struct state_dir){ .lock_fd = -1, .folder_fd = -1 };
}

bool state_dir_disk(const struct state_dir *state_dir, uint64_t *free_bytes_r, uint64_t *disk_bytes_r)
{
    struct statfs fs;

    if (statfs(state_dir->folder, &fs) < 0 || fs.f_bsize <= 0)
        return false;
    *free_bytes_r = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    *disk_bytes_r = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
    return true;
}

/* A quota does not show in statfs, so a file is really made. */
static bool growth_refused(const struct state_dir *state_dir, uint64_t bytes)
{
    char *path = state_dir_path(state_dir, "probe");
    int fd = state_dir_file(state_dir, "probe", O_WRONLY | O_CREAT);
    int error = fd < 0 ? errno : 0;

    if (fd >= 0) {
        error = posix_fallocate(fd, 0, (off_t)bytes);
        close(fd);
        unlink(path);
    }
    free(path);
    return error == ENOSPC || error == EDQUOT;
}

bool state_dir_is_full(const struct state_dir *state_dir, uint64_t bytes)
{
    uint64_t free_bytes, disk_bytes;

    switch ((enum state_dir_disk_answer)atomic_load(&pretended)) {
    case STATE_DIR_DISK_FULL:
        return true;
    case STATE_DIR_DISK_ROOMY:
        return false;
    case STATE_DIR_DISK_REAL:
        break;
    }
    if (state_dir_disk(state_dir, &free_bytes, &disk_bytes) && free_bytes < bytes)
        return true;
    return growth_refused(state_dir, bytes);
}

bool state_dir_ballast_load(struct state_dir *state_dir, uint64_t budget_bytes)
{
    uint64_t want = STATE_DIR_BALLAST_BYTES, free_bytes, disk_bytes;
    char *path;
    struct stat st;
    int fd, error;

    if (!state_dir_disk(state_dir, &free_bytes, &disk_bytes))
        return false;
    /* On a small disk the ballast must not be what fills it. */
    if (want > disk_bytes / 16)
        want = disk_bytes / 16;
    if (budget_bytes && want > budget_bytes / 8)
        want = budget_bytes / 8;
    want &= ~(uint64_t)0xFFFF;
    state_dir->ballast_bytes = want;
    if (want == 0)
        return false;
    path = state_dir_path(state_dir, "ballast");
    if (stat(path, &st) == 0 && (uint64_t)st.st_blocks * 512 >= want) {
        free(path);
        return true;
    }
    error = ENOSPC;
    if (free_bytes >= 4 * want) {
        fd = state_dir_file(state_dir, "ballast", O_WRONLY | O_CREAT);
        error = fd < 0 ? errno : posix_fallocate(fd, 0, (off_t)want);
        if (fd >= 0)
            close(fd);
        if (error)
            unlink(path);
    }
    free(path);
    return error == 0;
}

bool state_dir_ballast_drop(struct state_dir *state_dir)
{
    char *path = state_dir_path(state_dir, "ballast");
    bool was_there = unlink(path) == 0;

    free(path);
    return was_there;
}
