/* Which mbox files a user has, and what each is called. */
#include "engine/mailbox/disk/mbox.h"

#include "io/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_FLAGS   (O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
#define DEPTH_MAX    30u
#define FILES_MAX    200000u
#define LOCK_S_MAX   600 /* an older lock was left behind */

struct file {
    char *name; /* raw, levels divided by "/" */
    char *path; /* below the tree */
};

struct files {
    struct slice only; /* no data: all; else what cannot be of this name is passed over, so that one is found at the
                          cost of the folders above it */
    struct file *all;
    unsigned count;
    int error; /* of a folder that could not be read; 0: none */
};

static void files_deinit(struct files *f)
{
    for (unsigned i = 0; i < f->count; i++) {
        free(f->all[i].name);
        free(f->all[i].path);
    }
    free(f->all);
}

static bool ends_in(struct slice name, const char *ending)
{
    size_t size = strlen(ending);

    return name.size > size && slice_equal_nocase(slice_from(name, name.size - size), slice_cstr(ending));
}

/* What programs keep beside their mail. All else that does not begin as an mbox is a folder that cannot be read, and
 * told so. */
static bool is_no_mail(const char *name)
{
    static const char *const endings[] = { ".msf",  ".dat", ".json", ".sqlite", ".lock",  ".csv",
                                           ".html", ".txt", ".log",  ".rc",     ".wdseml" };
    static const char *const names[] = { "subscriptions", "dovecot.index", "dovecot-uidlist", "maildirfolder" };

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_in(slice_cstr(name), endings[i]))
            return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equal_nocase(slice_cstr(name), slice_cstr(names[i])))
            return true;
    return name[0] == '.' || name[0] == '\0';
}

/* The last level's name: "Work.mbox" is Work, and "Work.2020.mbox", as export writes it, Work/2020. */
static char *shown(const char *name, bool is_folder)
{
    struct slice s = slice_cstr(name);
    char *text;

    if (is_folder && ends_in(s, ".sbd")) /* Thunderbird: what lies below the file of this name */
        return slice_dup(slice_first(s, s.size - 4));
    if (!ends_in(s, ".mbox"))
        return slice_dup(s);
    text = slice_dup(slice_first(s, s.size - 5));
    for (char *at = text; !is_folder && *at; at++)
        if (*at == '.')
            *at = '/';
    return text;
}

static void add(struct files *f, char *name, char *path)
{
    if ((f->count & (f->count - 1)) == 0)
        f->all = mem_resize(f->all, f->count ? f->count * 2u : 1u, sizeof *f->all);
    f->all[f->count++] = (struct file){ name, path };
}

static void walk(struct files *f, int folder, const char *name, const char *path, unsigned depth);

/* Apple Mail: a folder NAME.mbox with a file mbox in it. */
static char *name_below(const char *name, const char *path, const char *entry, bool is_folder)
{
    bool apples = !is_folder && ends_in(slice_cstr(path), ".mbox") && strcmp(entry, "mbox") == 0;
    char *own = apples ? mem_text("") : shown(entry, is_folder);
    char *whole = mem_format("%s%s%s", name, *name && *own ? "/" : "", own);

    free(own);
    return whole;
}

/* It is the one that is looked for, or lies above it; the INBOX is that in any case. */
static bool leads_there(const struct files *f, const char *name)
{
    size_t size = strlen(name);

    return !f->only.data ||
           (slice_starts_nocase(f->only, slice_cstr(name)) && (f->only.size == size || f->only.data[size] == '/'));
}

static void entry_seen(struct files *f, int folder, const char *entry, const char *name, const char *path,
                       unsigned depth)
{
    char *as_file = name_below(name, path, entry, false), *as_folder = name_below(name, path, entry, true);
    struct stat st;
    int inner;

    if (!is_no_mail(entry) && f->count < FILES_MAX && (leads_there(f, as_file) || leads_there(f, as_folder)) &&
        fstatat(folder, entry, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        char *inner_path = mem_format("%s%s%s", path, *path ? "/" : "", entry);

        if (S_ISREG(st.st_mode)) {
            add(f, mem_text(as_file), mem_text(inner_path));
        } else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
            inner = openat(folder, entry, FOLDER_FLAGS);
            if (inner >= 0)
                walk(f, inner, as_folder, inner_path, depth + 1);
            else
                f->error = errno;
        }
        free(inner_path);
    }
    free(as_file);
    free(as_folder);
}

/* Closes folder. */
static void walk(struct files *f, int folder, const char *name, const char *path, unsigned depth)
{
    DIR *dir = fdopendir(folder);
    const struct dirent *entry;

    if (!dir) {
        f->error = errno;
        close(folder);
        return;
    }
    while ((entry = readdir(dir)))
        entry_seen(f, folder, entry->d_name, name, path, depth);
    closedir(dir);
}

static int by_name_then_path(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : strcmp(x->path, y->path);
}

static bool is_inbox(struct slice name)
{
    return slice_equal_nocase(name, SLICE("INBOX"));
}

/* Of files that would have one name the first by its path has it; each other one is called by its path, and a sign.
 * What else is there decides nothing of that: a name must be the same in the next run. */
static void tell_apart(struct files *f)
{
    for (unsigned i = 0; i < f->count; i++)
        if (is_inbox(slice_cstr(f->all[i].name)))
            memcpy(f->all[i].name, "INBOX", 5);
    if (f->count)
        qsort(f->all, f->count, sizeof *f->all, by_name_then_path);
    for (unsigned i = 1, first = 0; i < f->count; i++)
        if (strcmp(f->all[i].name, f->all[first].name) == 0) {
            char *apart = mem_format("%s~2", f->all[i].path);

            free(f->all[i].name);
            f->all[i].name = apart;
        } else {
            first = i;
        }
    if (f->count)
        qsort(f->all, f->count, sizeof *f->all, by_name_then_path);
}

static bool find_files(int tree, struct slice only, struct files *f, struct err *err_r)
{
    struct stat st;
    int copy;

    *f = (struct files){ .only = only };
    if (fstat(tree, &st) != 0) {
        disk_refuse(&mbox_layout, err_r, ERR_SCOPE_ACCOUNT, errno, "the tree");
        return false;
    }
    if (S_ISREG(st.st_mode)) {
        add(f, mem_text("INBOX"), mem_text(""));
        return true;
    }
    copy = openat(tree, ".", FOLDER_FLAGS);
    if (copy >= 0)
        walk(f, copy, "", "", 0);
    else
        f->error = errno;
    if (f->error || f->count >= FILES_MAX) {
        disk_refuse(&mbox_layout, err_r, ERR_SCOPE_ACCOUNT, f->error ? f->error : EFBIG, "the tree");
        files_deinit(f);
        return false;
    }
    tell_apart(f);
    return true;
}

bool mbox_list(int tree, struct disk_rows *rows_r, struct err *err_r)
{
    struct files f;

    *rows_r = (struct disk_rows){ NULL, 0 };
    if (!find_files(tree, slice_of(NULL, 0), &f, err_r))
        return false;
    if (f.count == 0) {
        err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_MBOX, ENOENT, "no mbox file is there");
        return err_doing(err_r, "open the mbox");
    }
    rows_r->all = mem_zero(f.count, sizeof *rows_r->all);
    rows_r->count = f.count;
    for (unsigned i = 0; i < f.count; i++) {
        rows_r->all[i].name = f.all[i].name;
        f.all[i].name = NULL;
    }
    files_deinit(&f);
    return true;
}

/* A lock file that a mail program made beside it: it writes just now. */
static bool is_locked(int folder, const char *name)
{
    char *lock = mem_format("%s.lock", name);
    struct stat st;
    bool is = fstatat(folder, lock, &st, AT_SYMLINK_NOFOLLOW) == 0 && time(NULL) - st.st_mtime < LOCK_S_MAX;

    free(lock);
    return is;
}

static int open_below(int tree, const char *path)
{
    struct slice rest = slice_cstr(path), part;
    int folder = openat(tree, ".", FOLDER_FLAGS), fd = -1;

    while (folder >= 0 && slice_split(&rest, '/', &part)) {
        char *name = slice_dup(part);
        int inner = rest.size ? openat(folder, name, FOLDER_FLAGS) : -1, error;

        if (rest.size == 0) {
            fd = is_locked(folder, name) ? -1 : openat(folder, name, FILE_FLAGS);
            error = fd < 0 && is_locked(folder, name) ? EAGAIN : errno;
        } else {
            error = errno;
        }
        free(name);
        close(folder);
        folder = inner;
        errno = error;
    }
    return fd;
}

bool mbox_refuse(struct err *err_r, enum err_class class, int error, struct slice name, const char *why)
{
    err_set(err_r, class, ERR_SCOPE_FOLDER, ERR_ORIGIN_MBOX, error, "%.*s: %s",
            (int)(name.size < 150 ? name.size : 150), name.data ? name.data : "", why);
    return err_doing(err_r, "read the mbox");
}

static const char *path_of(const struct files *f, struct slice name)
{
    for (unsigned i = 0; i < f->count; i++)
        if (slice_equal(slice_cstr(f->all[i].name), name) || (is_inbox(name) && is_inbox(slice_cstr(f->all[i].name))))
            return f->all[i].path;
    return NULL;
}

int mbox_open(int tree, struct slice name, struct err *err_r)
{
    struct files f;
    struct stat st;
    const char *path = NULL;
    int fd = -1;

    /* One that has a name by its path is found among all. */
    for (unsigned i = 0; i < 2 && !path; i++) {
        if (i > 0)
            files_deinit(&f);
        if (!find_files(tree, i == 0 ? name : slice_of(NULL, 0), &f, err_r)) {
            err_r->scope = ERR_SCOPE_FOLDER;
            return -1;
        }
        path = path_of(&f, name);
    }
    errno = ENOENT;
    if (path)
        fd = path[0] ? open_below(tree, path) : fcntl(tree, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        close(fd);
        fd = -1;
        errno = EINVAL;
    }
    if (fd < 0 && errno == EAGAIN)
        (void)mbox_refuse(err_r, ERR_CLASS_TRANSIENT, EAGAIN, name,
                          "a lock file is beside it: another program writes it");
    else if (fd < 0)
        (void)mbox_refuse(
            err_r, errno == EIO || errno == EMFILE || errno == ENFILE ? ERR_CLASS_TRANSIENT : ERR_CLASS_PERMANENT,
            errno, name, strerror(errno));
    files_deinit(&f);
    return fd;
}
