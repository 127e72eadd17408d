#include "engine/mailbox/maildir/tree.h"

#include "io/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
/* A list of subscriptions that is longer is not read. */
#define SUBSCRIPTIONS_BYTES_MAX (4u << 20)

/* ---- paths ----------------------------------------------------------------------------------- */

/* A folder that is not there, or not for us, stays so; what the disk says otherwise may pass. */
static void refuse(struct err *err_r, enum err_scope scope, int error, const char *path)
{
    bool lasts = error == ENOENT || error == ENOTDIR || error == EACCES || error == ELOOP || error == EPERM;

    err_set(err_r, lasts ? ERR_CLASS_PERMANENT : ERR_CLASS_TRANSIENT, scope, ERR_ORIGIN_MAILDIR, error, "%.150s: %s", path,
            error == ELOOP ? "is a link, which is not followed" : strerror(error));
    err_doing(err_r, "open the Maildir");
}

static bool is_safe(struct slice part)
{
    if (part.size == 0 || part.data[0] == '.' || slice_find(part, '/') != SIZE_MAX)
        return false;
    for (size_t i = 0; i < part.size; i++)
        if ((unsigned char)part.data[i] < ' ')
            return false;
    return true;
}

/* What stands at the pattern's "{"; *size_r: of the word in the pattern. NULL data: no such word. */
static struct slice word_at(struct slice pattern, struct slice user, size_t *size_r)
{
    struct slice local = user, domain = SLICE("");

    for (size_t i = 0; i < user.size; i++)
        if (user.data[i] == '@') {
            local = slice_first(user, i);
            domain = slice_from(user, i + 1);
        }
    if (slice_starts(pattern, SLICE("{user}"))) {
        *size_r = 6;
        return user;
    }
    if (slice_starts(pattern, SLICE("{local}"))) {
        *size_r = 7;
        return local;
    }
    *size_r = slice_starts(pattern, SLICE("{domain}")) ? 8 : 0;
    return *size_r ? domain : slice_of(NULL, 0);
}

bool maildir_path(const char *pattern, const char *user, char **path_r, struct err *err_r)
{
    struct slice rest = slice_cstr(pattern);
    char *path = mem_text("");

    while (rest.size) {
        size_t at = slice_find(rest, '{'), size = 0;
        struct slice before = slice_first(rest, at), word;
        char *longer;

        rest = slice_from(rest, before.size);
        word = word_at(rest, slice_cstr(user), &size);
        if (size && !is_safe(word)) {
            free(path);
            err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_MAILDIR, 0,
                    "UserName \"%.100s\" names no folder of the Maildir tree %.100s", user, pattern);
            return err_doing(err_r, "open the Maildir");
        }
        if (rest.size && !size) { /* a brace of the path's own */
            word = slice_first(rest, 1);
            size = 1;
        }
        longer = mem_format("%s%.*s%.*s", path, (int)before.size, before.data, (int)word.size,
                            word.data ? word.data : "");
        free(path);
        path = longer;
        rest = slice_from(rest, size);
    }
    *path_r = path;
    return true;
}

/* Bytes of the pattern, and so of the path, that are the administrator's own: up to the last "/" before a "{". */
static size_t own_part(const char *pattern)
{
    size_t end = slice_find(slice_cstr(pattern), '{');

    if (end == SIZE_MAX)
        return strlen(pattern);
    while (end > 0 && pattern[end - 1] != '/')
        end--;
    return end;
}

static int step_into(int folder, struct slice name)
{
    char *text = slice_dup(name);
    int inner = openat(folder, text, OPEN_FLAGS | O_NOFOLLOW);
    int error = errno;

    close(folder);
    free(text);
    errno = error;
    return inner;
}

int maildir_open_tree(const char *pattern, const char *user, struct err *err_r)
{
    char *path, *own;
    struct slice rest, part;
    int fd;

    if (!maildir_path(pattern, user, &path, err_r))
        return -1;
    own = slice_dup(slice_first(slice_cstr(path), own_part(pattern)));
    rest = slice_from(slice_cstr(path), strlen(own));
    fd = open(own[0] ? own : ".", OPEN_FLAGS);
    while (fd >= 0 && slice_split(&rest, '/', &part))
        if (part.size)
            fd = step_into(fd, part);
    if (fd < 0)
        refuse(err_r, ERR_SCOPE_ACCOUNT, errno, path);
    free(own);
    free(path);
    return fd;
}

static bool is_inbox(struct slice name)
{
    return slice_equal_nocase(name, SLICE("INBOX"));
}

int maildir_open_folder(int tree, struct slice name, struct err *err_r)
{
    char *text;
    int fd;

    if (!is_inbox(name) && (name.size == 0 || name.data[0] == '.' || slice_find(name, '/') != SIZE_MAX)) {
        text = slice_dup(name);
        refuse(err_r, ERR_SCOPE_FOLDER, ENOENT, text);
        free(text);
        return -1;
    }
    text = is_inbox(name) ? mem_text(".") : mem_format(".%.*s", (int)name.size, name.data);
    fd = openat(tree, text, OPEN_FLAGS | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT && slice_starts(name, SLICE("INBOX.")) && is_inbox(slice_from(name, 6))) {
        free(text);
        text = mem_format(".%.*s", (int)name.size - 6, name.data + 6);
        fd = openat(tree, text, OPEN_FLAGS | O_NOFOLLOW);
    }
    if (fd < 0)
        refuse(err_r, ERR_SCOPE_FOLDER, errno, text);
    free(text);
    return fd;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static bool has_mail(int tree, const char *folder)
{
    static const char *const parts[] = { "cur", "new" };

    for (unsigned i = 0; i < 2; i++) {
        char *path = mem_format("%s/%s", folder, parts[i]);
        struct stat st;
        bool there = fstatat(tree, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);

        free(path);
        if (there)
            return true;
    }
    return false;
}

/* A directory that has the INBOX's name is another folder: it is shown below the INBOX, and opened so. */
static char *raw_name(const char *name)
{
    return is_inbox(slice_cstr(name)) ? mem_format("INBOX.%s", name) : mem_text(name);
}

static void add(struct maildir_rows *rows, char *name)
{
    if ((rows->count & (rows->count - 1)) == 0)
        rows->all = mem_resize(rows->all, rows->count ? rows->count * 2u : 1u, sizeof *rows->all);
    rows->all[rows->count++] = (struct maildir_row){ .name = name };
}

static int by_name(const void *a, const void *b)
{
    const struct maildir_row *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static void subscribed(struct maildir_rows *rows, struct slice name)
{
    char *text;
    struct maildir_row wanted, *found;

    if (slice_starts(name, SLICE("INBOX."))) /* Courier's */
        name = slice_from(name, 6);
    text = slice_dup(name);
    wanted.name = text;
    found = rows->count ? bsearch(&wanted, rows->all, rows->count, sizeof wanted, by_name) : NULL;
    if (found)
        found->attributes |= IMAP_MAILBOX_SUBSCRIBED;
    free(text);
}

/* A name a line, in Dovecot's file and in Courier's; lines of Dovecot's second form divide levels by tabs. */
static void read_subscriptions(int tree, const char *file, struct maildir_rows *rows)
{
    int fd = openat(tree, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct slice rest, line;
    struct stat st;
    char *text = NULL;
    ssize_t size = -1;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= SUBSCRIPTIONS_BYTES_MAX) {
        text = mem_alloc((size_t)st.st_size + 1);
        size = pread(fd, text, (size_t)st.st_size, 0);
    }
    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i < size; i++)
        if (text[i] == '\t')
            text[i] = '.';
    rest = slice_of(text, size > 0 ? (size_t)size : 0);
    while (slice_split(&rest, '\n', &line))
        subscribed(rows, line);
    free(text);
}

bool maildir_list(int tree, struct maildir_rows *rows_r, struct err *err_r)
{
    int copy = openat(tree, ".", OPEN_FLAGS);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    const struct dirent *entry;

    *rows_r = (struct maildir_rows){ NULL, 0 };
    if (!dir) {
        refuse(err_r, ERR_SCOPE_ACCOUNT, errno, "the tree");
        if (copy >= 0)
            close(copy);
        return false;
    }
    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;

        if (name[0] == '.' && name[1] && name[1] != '.' && has_mail(tree, name))
            add(rows_r, raw_name(name + 1));
    }
    closedir(dir);
    if (has_mail(tree, "."))
        add(rows_r, mem_text("INBOX"));
    if (rows_r->count == 0) {
        err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_MAILDIR, ENOENT,
                "no Maildir: neither cur nor new is there, and no folder that has them");
        return err_doing(err_r, "open the Maildir");
    }
    if (rows_r->count)
        qsort(rows_r->all, rows_r->count, sizeof *rows_r->all, by_name);
    read_subscriptions(tree, "subscriptions", rows_r);
    read_subscriptions(tree, "courierimapsubscribed", rows_r);
    return true;
}

void maildir_rows_deinit(struct maildir_rows *rows)
{
    for (unsigned i = 0; i < rows->count; i++)
        free(rows->all[i].name);
    free(rows->all);
    *rows = (struct maildir_rows){ NULL, 0 };
}
