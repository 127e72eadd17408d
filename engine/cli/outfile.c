#include "engine/cli/outfile.h"

#include "io/base/mem.h"
#include "io/base/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Owner, group and permissions of what stood there, else of any new file. False: this user may not. */
static bool take_over(int fd, const struct stat *old)
{
    mode_t mask = umask(077);
    struct stat st;

    umask(mask);
    if (!old)
        return fchmod(fd, 0666 & ~mask) == 0;
    return fstat(fd, &st) == 0 &&
           ((st.st_uid == old->st_uid && st.st_gid == old->st_gid) || fchown(fd, old->st_uid, old->st_gid) == 0) &&
           fchmod(fd, old->st_mode & 0777) == 0;
}

/* "/a/.r.html.XXXXXX" beside "/a/r.html". */
static int make_part(struct outfile *f, const struct stat *old)
{
    const char *slash = strrchr(f->path, '/'), *name = slash ? slash + 1 : f->path;
    char *part = mem_format("%.*s.%s.XXXXXX", (int)(name - f->path), f->path, name);
    int fd = mkostemp(part, O_CLOEXEC), error = errno;

    if (fd >= 0 && !take_over(fd, old)) {
        error = errno;
        unlink(part);
        close(fd);
        fd = -1;
    }
    f->part = fd < 0 ? NULL : part;
    if (fd < 0)
        free(part);
    errno = error;
    return fd;
}

int outfile_begin(struct outfile *f, const char *path)
{
    struct stat st;
    bool there = stat(path, &st) == 0;
    int fd, error;

    *f = (struct outfile){ .path = there ? realpath(path, NULL) : NULL };
    if (!f->path)
        f->path = mem_text(path);
    if (there && !S_ISREG(st.st_mode)) {
        fd = whole_open(f->path, false);
        f->out = fd < 0 ? NULL : fdopen(fd, "w");
    } else if (there && access(f->path, W_OK) != 0) {
        f->out = NULL; /* it is to stay as it is: no new one takes its place */
    } else if ((fd = make_part(f, there ? &st : NULL)) >= 0) {
        f->out = fdopen(fd, "w");
    } else if (there) {
        f->out = open_memstream(&f->text, &f->size);
    }
    if (f->out)
        return 0;
    error = errno;
    free(f->path);
    *f = (struct outfile){ 0 };
    return error ? error : EIO;
}

/* Room first, so that a full disk is found out while the old text stands. */
static bool has_room(int fd, size_t size)
{
    struct stat st;
    int error = 0;

    if (fstat(fd, &st) != 0)
        return false;
    if ((size_t)st.st_size < size && fallocate(fd, 0, 0, (off_t)size) != 0)
        error = errno;
    else if (size && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) != 0) /* it may have holes */
        error = errno;
    if (error == 0 || error == EOPNOTSUPP || error == ENOSYS)
        return true;
    (void)!ftruncate(fd, st.st_size);
    errno = error;
    return false;
}

static bool write_over(const struct outfile *f)
{
    int fd = open(f->path, O_WRONLY | O_CLOEXEC), error;
    bool good = fd >= 0 && has_room(fd, f->size) && whole_write(fd, f->text, f->size) &&
                ftruncate(fd, (off_t)f->size) == 0 && fsync(fd) == 0;

    error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return good;
}

static bool flushed(struct outfile *f)
{
    bool good = fflush(f->out) == 0 && !ferror(f->out) && (!f->part || fsync(fileno(f->out)) == 0);
    int error = good ? 0 : errno;

    if (fclose(f->out) != 0 && good) {
        good = false;
        error = errno;
    }
    errno = error ? error : EIO;
    return good;
}

bool outfile_end(struct outfile *f, bool keep, struct err *err_r)
{
    bool good = flushed(f) && keep;
    int error;

    if (good && f->part)
        good = rename(f->part, f->path) == 0;
    else if (good && f->text)
        good = write_over(f);
    error = errno;
    if (!good && f->part)
        unlink(f->part);
    if (!good && keep)
        err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, error, f->path);
    free(f->path);
    free(f->part);
    free(f->text);
    *f = (struct outfile){ 0 };
    return good || !keep;
}
