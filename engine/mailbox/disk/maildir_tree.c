#include "engine/mailbox/disk/maildir_tree.h"

#include "engine/mailbox/disk/layout.h"

#include "io/base/mem.h"
#include "io/base/whole.h"

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
        disk_refuse(&maildir_layout, err_r, ERR_SCOPE_FOLDER, ENOENT, text);
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
        disk_refuse(&maildir_layout, err_r, ERR_SCOPE_FOLDER, errno, text);
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

static void add(struct disk_rows *rows, char *name)
{
    if ((rows->count & (rows->count - 1)) == 0)
        rows->all = mem_resize(rows->all, rows->count ? rows->count * 2u : 1u, sizeof *rows->all);
    rows->all[rows->count++] = (struct disk_row){ .name = name };
}

static int by_name(const void *a, const void *b)
{
    const struct disk_row *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static void subscribed(struct disk_rows *rows, struct slice name)
{
    char *text;
    struct disk_row wanted, *found;

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
static void read_subscriptions(int tree, const char *file, struct disk_rows *rows)
{
    int fd = openat(tree, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct slice rest, line;
    struct stat st;
    char *text = NULL;
    ssize_t size = -1;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= SUBSCRIPTIONS_BYTES_MAX) {
        text = mem_alloc((size_t)st.st_size + 1);
        size = whole_pread(fd, text, (size_t)st.st_size, 0);
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

bool maildir_list(int tree, struct disk_rows *rows_r, struct err *err_r)
{
    int copy = openat(tree, ".", OPEN_FLAGS);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    const struct dirent *entry;

    *rows_r = (struct disk_rows){ NULL, 0 };
    if (!dir) {
        disk_refuse(&maildir_layout, err_r, ERR_SCOPE_ACCOUNT, errno, "the tree");
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
