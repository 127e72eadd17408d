#include "engine/cli/export_file.h"

#include "engine/imap/values.h"
#include "io/base/whole.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool failed(struct err *err_r, const char *doing, const char *path)
{
    err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, doing);
    return err_doing(err_r, "%s %s", doing, path);
}

void export_file_folder(struct export_file *f, const char *folder)
{
    assert(f->fd < 0 && f->mbox < 0);
    snprintf(f->folder, sizeof f->folder, "%s", folder);
    f->made = false;
}

static bool make(struct export_file *f, const char *end, struct err *err_r)
{
    char path[EXPORT_PATH_BYTES + 8];

    snprintf(path, sizeof path, "%s%s", f->folder, end);
    return mkdirat(f->root, path, 0700) == 0 || errno == EEXIST || failed(err_r, "mkdir", path);
}

static int create(struct export_file *f, const char *path, struct err *err_r)
{
    int fd = openat(f->root, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        failed(err_r, "create", path);
    return fd;
}

static bool make_folder(struct export_file *f, struct err *err_r)
{
    if (f->made)
        return true;
    switch (f->format) {
    case EXPORT_MAILDIR:
        if (!make(f, "", err_r) || !make(f, "/cur", err_r) || !make(f, "/new", err_r) || !make(f, "/tmp", err_r))
            return false;
        break;
    case EXPORT_EML:
        if (!make(f, "", err_r))
            return false;
        break;
    case EXPORT_MBOX:
        f->mbox = create(f, f->folder, err_r);
        if (f->mbox < 0)
            return false;
        break;
    }
    f->made = true;
    return true;
}

static void maildir_flags(unsigned flags, char out[8])
{
    /* In ASCII order, as the format asks. */
    static const struct {
        unsigned flag;
        char letter;
    } letters[] = { { IMAP_FLAG_DRAFT, 'D' },
                    { IMAP_FLAG_FLAGGED, 'F' },
                    { IMAP_FLAG_ANSWERED, 'R' },
                    { IMAP_FLAG_SEEN, 'S' },
                    { IMAP_FLAG_DELETED, 'T' } };
    unsigned used = 0;

    for (unsigned i = 0; i < sizeof letters / sizeof *letters; i++)
        if (flags & letters[i].flag)
            out[used++] = letters[i].letter;
    out[used] = '\0';
}

static bool flush(struct export_file *f, struct err *err_r)
{
    if (!whole_write(f->fd, f->piece, f->piece_size))
        return failed(err_r, "write", f->path);
    f->piece_size = 0;
    return true;
}

static bool raw(struct export_file *f, struct slice bytes, struct err *err_r)
{
    while (bytes.size) {
        size_t n = sizeof f->piece - f->piece_size;

        n = n < bytes.size ? n : bytes.size;
        memcpy(f->piece + f->piece_size, bytes.data, n);
        f->piece_size += n;
        bytes = slice_from(bytes, n);
        if (f->piece_size == sizeof f->piece && !flush(f, err_r))
            return false;
    }
    return true;
}

bool export_file_begin(struct export_file *f, const struct message_record *m, uint64_t number, struct err *err_r)
{
    char flags[8], line[96];
    time_t seconds = m->date_known ? (time_t)m->date_seconds : 0;
    struct tm tm;

    assert(f->fd < 0);
    if (!make_folder(f, err_r))
        return false;
    f->piece_size = 0;
    f->bytes = 0;
    f->line_start = true;
    f->held_cr = false;
    f->quotes = f->from_matched = 0;
    f->date_seconds = m->date_known ? m->date_seconds : INT64_MIN;
    f->temporary[0] = '\0';
    switch (f->format) {
    case EXPORT_MAILDIR:
        maildir_flags(m->flags, flags);
        snprintf(f->temporary, sizeof f->temporary, "%.550s/tmp/%" PRIu64, f->folder, number);
        snprintf(f->path, sizeof f->path, "%.500s/cur/%" PRId64 ".U%" PRIu32 "N%" PRIu64 ".mailhaul:2,%s", f->folder,
                 m->date_known ? m->date_seconds : 0, m->uid, number, flags);
        f->fd = create(f, f->temporary, err_r);
        return f->fd >= 0;
    case EXPORT_EML:
        snprintf(f->path, sizeof f->path, "%.550s/%08" PRIu32 ".eml", f->folder, m->uid);
        f->fd = create(f, f->path, err_r);
        return f->fd >= 0;
    case EXPORT_MBOX:
        break;
    }
    snprintf(f->path, sizeof f->path, "%s", f->folder);
    f->fd = f->mbox;
    f->mbox_start = (int64_t)lseek(f->mbox, 0, SEEK_CUR);
    if (!gmtime_r(&seconds, &tm) ||
        strftime(line, sizeof line, "From MAILER-DAEMON %a %b %e %H:%M:%S %Y +0000\n", &tm) == 0)
        snprintf(line, sizeof line, "From MAILER-DAEMON Thu Jan  1 00:00:00 1970 +0000\n");
    return raw(f, slice_cstr(line), err_r);
}

/* What was held back while it could have become a From_ line. */
static bool release(struct export_file *f, bool quote, struct err *err_r)
{
    bool good = !quote || raw(f, SLICE(">"), err_r);

    while (good && f->quotes) {
        f->quotes--;
        good = raw(f, SLICE(">"), err_r);
    }
    good = good && raw(f, slice_first(SLICE("From "), f->from_matched), err_r);
    f->from_matched = 0;
    f->line_start = false;
    return good;
}

/* mboxrd: CRLF becomes LF, and lines that begin with any number of '>' and "From " get one '>' more.
 */
static bool mbox_byte(struct export_file *f, char c, struct err *err_r)
{
    if (f->held_cr) {
        f->held_cr = false;
        if (c != '\n' && ((f->line_start && !release(f, false, err_r)) || !raw(f, SLICE("\r"), err_r)))
            return false;
    }
    if (c == '\r') {
        f->held_cr = true;
        return true;
    }
    if (f->line_start && f->from_matched == 0 && c == '>' && f->quotes < 1000) {
        f->quotes++;
        return true;
    }
    if (f->line_start && c == "From "[f->from_matched]) {
        f->from_matched++;
        return f->from_matched < 5 || release(f, true, err_r);
    }
    if (f->line_start && !release(f, false, err_r))
        return false;
    f->line_start = c == '\n';
    return raw(f, slice_of(&c, 1), err_r);
}

bool export_file_add(struct export_file *f, struct slice bytes, struct err *err_r)
{
    f->bytes += bytes.size;
    if (f->format != EXPORT_MBOX)
        return raw(f, bytes, err_r);
    for (size_t i = 0; i < bytes.size; i++)
        if (!mbox_byte(f, bytes.data[i], err_r))
            return false;
    return true;
}

bool export_file_end(struct export_file *f, struct err *err_r)
{
    bool good = true;

    if (f->format == EXPORT_MBOX) {
        /* A last line without an end gets one; then the blank line between messages. */
        bool empty = f->line_start && f->quotes == 0 && f->from_matched == 0 && !f->held_cr;

        if (!empty)
            good = (!f->line_start || release(f, false, err_r)) && raw(f, SLICE("\n"), err_r);
        good = good && raw(f, SLICE("\n"), err_r) && flush(f, err_r);
        if (good)
            f->fd = -1;
        else
            export_file_abandon(f);
        return good;
    }
    good = flush(f, err_r);
    if (good && f->date_seconds != INT64_MIN) {
        struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = (time_t)f->date_seconds } };

        /* Only a convenience: some file systems cannot hold every date. */
        if (futimens(f->fd, times) != 0)
            errno = 0;
    }
    if (good && close(f->fd) != 0) {
        f->fd = -1;
        good = failed(err_r, "close", f->path);
    } else if (good) {
        f->fd = -1;
        if (f->temporary[0] && renameat2(f->root, f->temporary, f->root, f->path, RENAME_NOREPLACE) != 0 &&
            (errno != EINVAL || renameat(f->root, f->temporary, f->root, f->path) != 0))
            good = failed(err_r, "rename", f->path);
    }
    if (!good)
        export_file_abandon(f);
    return good;
}

void export_file_abandon(struct export_file *f)
{
    if (f->format == EXPORT_MBOX) {
        if (f->fd >= 0 &&
            (ftruncate(f->fd, (off_t)f->mbox_start) != 0 || lseek(f->fd, (off_t)f->mbox_start, SEEK_SET) < 0))
            errno = 0; /* half a message stays; the index does not name it */
    } else {
        if (f->fd >= 0)
            close(f->fd);
        unlinkat(f->root, f->temporary[0] ? f->temporary : f->path, 0);
    }
    f->fd = -1;
    f->piece_size = 0;
}

bool export_file_close(struct export_file *f, struct err *err_r)
{
    int fd = f->mbox;

    assert(f->fd < 0);
    f->mbox = -1;
    return fd < 0 || close(fd) == 0 || failed(err_r, "close", f->folder);
}
