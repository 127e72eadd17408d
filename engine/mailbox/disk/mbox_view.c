/* The messages of one mbox file. What identifies a message is what IMAP would send of it, and which of equal ones it
 * is: its UID goes by that, so that it stays when others are taken out of the file or flags change. UIDs that a server
 * had written into the file (X-UID, X-IMAPbase) are taken over when it is seen first.
 */
#include "engine/mailbox/disk/mbox.h"

#include "engine/mailbox/disk/numbers.h"
#include "io/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A file that grows while it is read is read again. */
#define READ_AGAIN 3u
/* So old a time of change is never given to a later change as well. */
#define TIME_IS_SAFE_S 2
#define SEEN_WORDS     "mailhaul mbox 1"
#define SEEN_BYTES_MAX 400u

struct mbox_view {
    struct disk_view view; /* first */
    int fd;
    struct stat then; /* of the file, as its messages were found */
};

static struct mbox_view *of(const struct disk_view *view)
{
    return (struct mbox_view *)(uintptr_t)view;
}

static void drop(struct disk_view *view)
{
    if (of(view)->fd >= 0)
        close(of(view)->fd);
    free(of(view));
}

static bool is_as_then(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* ---- numbers that were told before --------------------------------------------------------------------- */

static char *seen_file(const struct disk_numbers *where)
{
    char *file = numbers_file(where), *seen = mem_format("%s.seen", file);

    free(file);
    return seen;
}

static char *seen_text(const struct stat *st, uint32_t uidvalidity, uint32_t uidnext, uint32_t count)
{
    return mem_format(SEEN_WORDS " %" PRIu64 " %" PRIu64 " %" PRId64 " %ld %" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
                      (uint64_t)st->st_ino, (uint64_t)st->st_size, (int64_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
                      uidvalidity, uidnext, count);
}

/* Not needed for anything but speed: where it cannot be written the file is read the next time. */
static void keep_seen(const struct mbox_view *v, const struct disk_numbers *where)
{
    char *file, *text, *fresh;
    int fd;

    if (!where->state_folder || !where->keeps || time(NULL) - v->then.st_mtim.tv_sec < TIME_IS_SAFE_S)
        return;
    file = seen_file(where);
    fresh = mem_format("%s.new", file);
    text = seen_text(&v->then, v->view.uidvalidity, v->view.uidnext, v->view.count);
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);

        if (close(fd) != 0 || !ok || rename(fresh, file) != 0)
            (void)unlink(fresh);
    }
    free(file);
    free(fresh);
    free(text);
}

static bool numbers(int tree, struct slice name, const struct disk_numbers *where, struct imap_status *status_r)
{
    uint32_t uidvalidity = 0, uidnext = 0, count = 0;
    char *file, *text, *now;
    struct stat st;
    struct err err;
    bool same;
    int fd;

    if (!where->state_folder)
        return false;
    fd = mbox_open(tree, name, &err);
    if (fd < 0)
        return false;
    same = fstat(fd, &st) == 0;
    close(fd);
    file = seen_file(where);
    text = numbers_read_file(AT_FDCWD, file, SEEN_BYTES_MAX);
    same = same && sscanf(text, SEEN_WORDS " %*u %*u %*d %*d %" SCNu32 " %" SCNu32 " %" SCNu32, &uidvalidity, &uidnext,
                          &count) == 3;
    now = same ? seen_text(&st, uidvalidity, uidnext, count) : mem_text("");
    same = same && strcmp(text, now) == 0;
    if (same)
        *status_r = (struct imap_status){ .has = IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT | IMAP_STATUS_UIDVALIDITY,
                                          .messages = count,
                                          .uidnext = uidnext,
                                          .uidvalidity = uidvalidity };
    free(file);
    free(text);
    free(now);
    return same;
}

/* ---- a look ----------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct disk_message *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static int by_uid(const void *a, const void *b)
{
    const struct disk_message *x = a, *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

/* Under a lock for readers where the file system has one; who writes it has it alone. */
static bool lock(int fd)
{
    struct flock whole = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

    return fcntl(fd, F_OFD_SETLK, &whole) == 0 || (errno != EAGAIN && errno != EACCES);
}

static bool scan(struct mbox_view *v, struct slice name, struct mbox_scan *found_r, struct err *err_r)
{
    for (unsigned tries = 0; tries < READ_AGAIN; tries++) {
        struct stat after;

        if (fstat(v->fd, &v->then) != 0)
            return mbox_refuse(err_r, ERR_CLASS_TRANSIENT, errno, name, strerror(errno));
        if (!mbox_scan(v->fd, (uint64_t)v->then.st_size, found_r)) {
            if (errno == ESTALE)
                continue;
            return errno ? mbox_refuse(err_r, errno == EACCES ? ERR_CLASS_PERMANENT : ERR_CLASS_TRANSIENT, errno, name,
                                       strerror(errno))
                         : mbox_refuse(err_r, ERR_CLASS_PERMANENT, 0, name,
                                       "no mbox: its first line is no \"From \" line with a date");
        }
        if (fstat(v->fd, &after) == 0 && is_as_then(&v->then, &after))
            return true;
        mbox_scan_deinit(found_r);
    }
    return mbox_refuse(err_r, ERR_CLASS_TRANSIENT, 0, name, "another program writes it");
}

/* Equal messages are told apart by their order. */
static bool number(struct mbox_view *v, struct mbox_scan *found, const struct disk_numbers *where, struct err *err_r)
{
    struct disk_view *view = &v->view;
    const char **names = mem_zero(found->count + 1ul, sizeof *names);
    uint32_t *uids = mem_zero(found->count + 1ul, sizeof *uids), *theirs = mem_zero(found->count + 1ul, sizeof *theirs);
    uint64_t *turns = mem_zero(found->count + 1ul, sizeof *turns);
    struct numbers_servers servers = { found->uidvalidity, found->uidnext, theirs, turns };
    uint32_t equal = 0;
    bool ok;

    view->all = mem_zero(found->count + 1ul, sizeof *view->all);
    view->count = found->count;
    for (uint32_t i = 0; i < found->count; i++) {
        struct mbox_found *m = &found->all[i];

        view->all[i] = (struct disk_message){ .uid = m->uid,
                                              .name = mem_text(m->digest),
                                              .bytes = m->bytes,
                                              .at = m->at,
                                              .raw_bytes = m->raw_bytes,
                                              .seconds = m->seconds,
                                              .system = m->system,
                                              .words = m->words };
        m->words = NULL;
    }
    if (view->count)
        qsort(view->all, view->count, sizeof *view->all, by_name);
    for (uint32_t i = 0; i < view->count; i++) {
        char *name;

        equal = i > 0 && strncmp(view->all[i].name, view->all[i - 1].name, 32) == 0 ? equal + 1 : 0;
        name = mem_format("%s.%010" PRIu32, view->all[i].name, equal);
        free(view->all[i].name);
        view->all[i].name = name;
        names[i] = name;
        theirs[i] = view->all[i].uid;
        turns[i] = view->all[i].at;
    }
    ok = numbers_give(where, -1, &servers, names, view->count, uids, &view->uidvalidity, &view->uidnext, err_r);
    for (uint32_t i = 0; i < view->count; i++)
        view->all[i].uid = uids[i];
    if (view->count)
        qsort(view->all, view->count, sizeof *view->all, by_uid);
    free(names);
    free(uids);
    free(theirs);
    free(turns);
    return ok;
}

static struct disk_view *look(int tree, struct slice name, const struct disk_numbers *where, struct err *err_r)
{
    struct mbox_scan found = { 0 };
    struct disk_view *view;
    struct mbox_view *v;
    int fd = mbox_open(tree, name, err_r);
    bool ok;

    if (fd < 0)
        return NULL;
    v = mem_zero(1, sizeof *v);
    view = &v->view;
    view->layout = &mbox_layout;
    atomic_init(&view->holders, 1);
    v->fd = fd;
    if (lock(fd)) {
        struct flock none = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

        ok = scan(v, name, &found, err_r) && number(v, &found, where, err_r);
        (void)fcntl(fd, F_OFD_SETLK, &none);
    } else {
        ok = mbox_refuse(err_r, ERR_CLASS_TRANSIENT, errno, name, "another program has it locked to write it");
    }
    mbox_scan_deinit(&found);
    if (!ok) {
        disk_view_drop(&view);
        return NULL;
    }
    keep_seen(v, where);
    return view;
}

/* ---- one message --------------------------------------------------------------------------------------- */

/* Messages that were put behind it since do not matter; what was written over it does. */
static bool is_still_there(const struct mbox_view *v, const struct disk_message *m)
{
    char digest[33] = "";
    struct stat now;

    if (fstat(v->fd, &now) != 0)
        return false;
    if (is_as_then(&v->then, &now))
        return true;
    if (!mbox_digest(v->fd, m->at, m->raw_bytes, digest))
        return false;
    errno = ESTALE;
    return strncmp(digest, m->name, 32) == 0;
}

static bool message(const struct disk_view *view, const struct disk_message *m, struct disk_part *part_r, char *words,
                    struct imap_flags *flags_r)
{
    if (!is_still_there(of(view), m))
        return false;
    *part_r = (struct disk_part){ fcntl(of(view)->fd, F_DUPFD_CLOEXEC, 0), m->at, m->raw_bytes, m->seconds };
    if (flags_r) {
        snprintf(words, DISK_WORDS_BYTES, "%s", m->words ? m->words : "");
        *flags_r = (struct imap_flags){ .system = m->system, .keywords = slice_cstr(words) };
    }
    return part_r->fd >= 0;
}

static bool same(const struct disk_view *view, const struct disk_message *m, const struct disk_part *part)
{
    return is_still_there(of(view), m);
}

static int open_tree(const char *pattern, const char *user, struct err *err_r)
{
    return disk_open_path(&mbox_layout, pattern, user, O_RDONLY | O_CLOEXEC | O_NONBLOCK, err_r);
}

const struct disk_layout mbox_layout = {
    .word = "mbox",
    .origin = ERR_ORIGIN_MBOX,
    .open = open_tree,
    .list = mbox_list,
    .delimiter = '/',
    .sizes_exact = true,
    .look = look,
    .numbers = numbers,
    .drop = drop,
    .message = message,
    .same = same,
    .filter = mbox_filter,
};
