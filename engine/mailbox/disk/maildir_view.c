/* The messages of one Maildir folder. A Maildir has no numbers of its own, so this program keeps them: in a file of the
 * state folder, a line a message, by the base name of its file, which stays the same when flags change. Numbers that
 * Dovecot (dovecot-uidlist) or Courier (courierimapuiddb) had given are taken over when a folder is seen first; from
 * then on the own list alone counts, and what is new gets the next number. A line is never dropped: a file that is away
 * for a while comes back under its own number.
 */
#include "engine/mailbox/disk/maildir_tree.h"

#include "engine/imap/session.h"
#include "engine/mailbox/disk/courier.h"
#include "engine/mailbox/disk/numbers.h"
#include "io/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory that changes while it is read is read again; one that always does is taken as it comes. */
#define READ_AGAIN        3u
#define KEYWORD_BYTES_MAX 255u
#define MAILDIR_KEYWORDS  26u /* letters a to z */

struct maildir_view {
    struct disk_view view;            /* first */
    int cur, new;                     /* directories; -1: not there */
    char *keywords[MAILDIR_KEYWORDS]; /* of the letters, NULL: none */
    struct courier_keywords *courier; /* or NULL */
};

static struct maildir_view *of(const struct disk_view *view)
{
    return (struct maildir_view *)(uintptr_t)view;
}

static void drop(struct disk_view *view)
{
    struct maildir_view *v = of(view);

    if (v->cur >= 0)
        close(v->cur);
    if (v->new >= 0)
        close(v->new);
    for (unsigned i = 0; i < MAILDIR_KEYWORDS; i++)
        free(v->keywords[i]);
    courier_keywords_destroy(&v->courier);
    free(v);
}

/* ---- directories ------------------------------------------------------------------------------- */

static uint64_t bytes_told(const char *name)
{
    const char *at = strstr(name, ",W=");
    uint64_t bytes = 0;

    for (at = at ? at + 3 : ""; *at >= '0' && *at <= '9' && bytes < UINT64_MAX / 16; at++)
        bytes = bytes * 10 + (uint64_t)(*at - '0');
    return bytes;
}

static void read_directory(struct maildir_view *v, int fd, bool is_new)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    const struct dirent *entry;

    if (!dir) {
        if (copy >= 0)
            close(copy);
        return;
    }
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || entry->d_type == DT_DIR || v->view.count == UINT32_MAX)
            continue;
        if ((v->view.count & (v->view.count - 1)) == 0)
            v->view.all = mem_resize(v->view.all, v->view.count ? v->view.count * 2ul : 1, sizeof *v->view.all);
        v->view.all[v->view.count++] = (struct disk_message){ .is_new = is_new,
                                                              .name = mem_text(entry->d_name),
                                                              .bytes = bytes_told(entry->d_name) };
    }
    closedir(dir);
}

static bool stamp(int fd, struct timespec *when_r)
{
    struct stat st;

    *when_r = (struct timespec){ 0, 0 };
    if (fd < 0)
        return true;
    if (fstat(fd, &st) != 0)
        return false;
    *when_r = st.st_mtim;
    return true;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static void forget_files(struct maildir_view *v)
{
    for (uint32_t i = 0; i < v->view.count; i++)
        free(v->view.all[i].name);
    v->view.count = 0;
}

/* A file that is renamed meanwhile may be shown under both names, or under none. */
static void read_directories(struct maildir_view *v)
{
    for (unsigned tries = 0; tries < READ_AGAIN; tries++) {
        struct timespec cur, new, cur_after, new_after;

        forget_files(v);
        if (!stamp(v->cur, &cur) || !stamp(v->new, &new))
            return;
        if (v->new >= 0)
            read_directory(v, v->new, true);
        if (v->cur >= 0)
            read_directory(v, v->cur, false);
        if (stamp(v->cur, &cur_after) && stamp(v->new, &new_after) && same_time(cur, cur_after) &&
            same_time(new, new_after))
            return;
    }
}

/* ---- keywords ---------------------------------------------------------------------------------- */

/* Dovecot's file: "0 $Forwarded", a number for each letter from a on. */
static void read_keywords(struct maildir_view *v, int folder)
{
    char *text = numbers_read_file(folder, "dovecot-keywords", 1u << 16);
    struct slice rest = slice_cstr(text), line, number;
    uint32_t at;

    while (slice_split(&rest, '\n', &line))
        if (slice_split(&line, ' ', &number) && slice_u32(number, &at) && at < MAILDIR_KEYWORDS && line.size &&
            line.size <= KEYWORD_BYTES_MAX && slice_find(line, ' ') == SIZE_MAX && !v->keywords[at])
            v->keywords[at] = slice_dup(line);
    free(text);
}

static void flags_of(const struct maildir_view *v, const char *name, char *words, struct imap_flags *flags_r)
{
    struct slice base = slice_first(slice_cstr(name), slice_find(slice_cstr(name), ':'));
    struct slice own = courier_keywords_of(v->courier, base);
    const char *info = strstr(name, ":2,");
    size_t used = 0;

    *flags_r = (struct imap_flags){ 0 };
    for (info = info ? info + 3 : ""; *info && *info != ','; info++) {
        char *keyword = *info >= 'a' && *info <= 'z' ? v->keywords[*info - 'a'] : NULL;

        if (*info == 'S')
            flags_r->system |= IMAP_FLAG_SEEN;
        else if (*info == 'R')
            flags_r->system |= IMAP_FLAG_ANSWERED;
        else if (*info == 'F')
            flags_r->system |= IMAP_FLAG_FLAGGED;
        else if (*info == 'T')
            flags_r->system |= IMAP_FLAG_DELETED;
        else if (*info == 'D')
            flags_r->system |= IMAP_FLAG_DRAFT;
        else if (keyword && used + strlen(keyword) + 1 < DISK_WORDS_BYTES)
            used += (size_t)sprintf(words + used, "%s%s", used ? " " : "", keyword);
        else if (*info >= 'a' && *info <= 'z')
            flags_r->dropped++;
    }
    if (own.size && used + own.size + 1 < DISK_WORDS_BYTES)
        used += (size_t)sprintf(words + used, "%s%.*s", used ? " " : "", (int)own.size, own.data);
    flags_r->keywords = slice_of(words, used);
}

/* ---- numbers ----------------------------------------------------------------------------------- */

static int by_base(const void *a, const void *b)
{
    const struct disk_message *x = a, *y = b;
    int order = numbers_base_order(slice_cstr(x->name), slice_cstr(y->name));

    return order ? order : (int)x->is_new - (int)y->is_new;
}

static int by_uid(const void *a, const void *b)
{
    const struct disk_message *x = a, *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

/* One that is in new/ and in cur/ was moved between the two looks, or by hand: the one in cur/ is kept. */
static void drop_doubles(struct maildir_view *v)
{
    uint32_t kept = 0;

    if (v->view.count)
        qsort(v->view.all, v->view.count, sizeof *v->view.all, by_base);
    for (uint32_t i = 0; i < v->view.count; i++) {
        if (kept && numbers_base_order(slice_cstr(v->view.all[kept - 1].name), slice_cstr(v->view.all[i].name)) == 0)
            free(v->view.all[i].name);
        else
            v->view.all[kept++] = v->view.all[i];
    }
    v->view.count = kept;
}

static bool number(struct maildir_view *v, int folder, const struct disk_numbers *where, struct err *err_r)
{
    const char **names = mem_zero(v->view.count + 1ul, sizeof *names);
    uint32_t *uids = mem_zero(v->view.count + 1ul, sizeof *uids);
    bool ok;

    for (uint32_t i = 0; i < v->view.count; i++)
        names[i] = v->view.all[i].name;
    ok = numbers_give(where, folder, NULL, names, v->view.count, uids, &v->view.uidvalidity, &v->view.uidnext, err_r);
    for (uint32_t i = 0; i < v->view.count; i++)
        v->view.all[i].uid = uids[i];
    free(names);
    free(uids);
    return ok;
}

static struct disk_view *look(int tree, struct slice name, const struct disk_numbers *where, struct err *err_r)
{
    int folder = maildir_open_folder(tree, name, err_r), flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
    struct maildir_view *v;
    struct disk_view *view;
    bool ok;

    if (folder < 0)
        return NULL;
    v = mem_zero(1, sizeof *v);
    view = &v->view;
    view->layout = &maildir_layout;
    atomic_init(&view->holders, 1);
    v->cur = openat(folder, "cur", flags);
    ok = v->cur >= 0 || errno == ENOENT;
    if (ok) {
        v->new = openat(folder, "new", flags);
        ok = v->new >= 0 || errno == ENOENT;
    } else {
        v->new = -1;
    }
    if (!ok) {
        err_set(err_r, errno == EACCES || errno == ELOOP ? ERR_CLASS_PERMANENT : ERR_CLASS_TRANSIENT, ERR_SCOPE_FOLDER,
                ERR_ORIGIN_MAILDIR, errno, "cur or new: %s", strerror(errno));
        err_doing(err_r, "read the Maildir folder");
    } else {
        read_directories(v);
        drop_doubles(v);
        read_keywords(v, folder);
        v->courier = courier_keywords_read(folder);
        ok = number(v, folder, where, err_r);
    }
    close(folder);
    if (!ok) {
        disk_view_drop(&view);
        return NULL;
    }
    if (view->count)
        qsort(view->all, view->count, sizeof *view->all, by_uid);
    return view;
}

/* ---- one message --------------------------------------------------------------------------------- */

static char *find_again(int directory, const char *name)
{
    int copy = directory >= 0 ? openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    const struct dirent *entry;
    char *found = NULL;

    if (!dir) {
        if (copy >= 0)
            close(copy);
        return NULL;
    }
    while (!found && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && numbers_base_order(slice_cstr(entry->d_name), slice_cstr(name)) == 0)
            found = mem_text(entry->d_name);
    closedir(dir);
    return found;
}

static int open_file(const struct maildir_view *v, const struct disk_message *m, char **name_r)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int directories[] = { m->is_new ? v->new : v->cur, m->is_new ? v->cur : v->new };
    char *name = mem_text(m->name);
    int fd = openat(directories[0], name, flags);

    /* Its flags changed, or a server moved it from new to cur. */
    for (unsigned i = 0; fd < 0 && errno == ENOENT && i < 2; i++) {
        char *now = find_again(directories[i], m->name);

        errno = ENOENT;
        if (!now)
            continue;
        free(name);
        name = now;
        fd = openat(directories[i], name, flags);
    }
    *name_r = name;
    return fd;
}

static bool message(const struct disk_view *view, const struct disk_message *m, struct disk_part *part_r, char *words,
                    struct imap_flags *flags_r)
{
    char *name = NULL;
    struct stat st;
    int fd = open_file(of(view), m, &name);
    bool ok = fd >= 0 && fstat(fd, &st) == 0;

    if (ok && !S_ISREG(st.st_mode)) {
        ok = false;
        errno = EIO;
    }
    if (ok) {
        *part_r = (struct disk_part){ .fd = fd, .raw_bytes = (uint64_t)st.st_size, .seconds = st.st_mtime };
        if (flags_r)
            flags_of(of(view), name, words, flags_r);
    } else if (fd >= 0) {
        int error = errno;

        close(fd);
        errno = error;
    }
    free(name);
    return ok;
}

static bool same(const struct disk_view *view, const struct disk_message *m, const struct disk_part *part)
{
    struct stat st;

    return fstat(part->fd, &st) == 0 && (uint64_t)st.st_size == part->raw_bytes;
}

static size_t filter(struct disk_filter *f, const char *in, size_t size, bool last, char *out)
{
    return disk_line_ends(f, in, size, out);
}

static int open_tree(const char *pattern, const char *user, struct err *err_r)
{
    return disk_open_path(&maildir_layout, pattern, user, O_RDONLY | O_DIRECTORY | O_CLOEXEC, err_r);
}

const struct disk_layout maildir_layout = {
    .word = "Maildir",
    .origin = ERR_ORIGIN_MAILDIR,
    .open = open_tree,
    .list = maildir_list,
    .delimiter = '.',
    .look = look,
    .drop = drop,
    .message = message,
    .same = same,
    .filter = filter,
};
