/* What both layouts need: views, paths, line ends. */
#include "engine/mailbox/disk/layout.h"

#include "io/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* ---- views and rows ------------------------------------------------------------------------------- */

struct disk_view *disk_view_hold(struct disk_view *view)
{
    atomic_fetch_add(&view->holders, 1);
    return view;
}

void disk_view_drop(struct disk_view **view)
{
    struct disk_view *v = *view;

    *view = NULL;
    if (!v || atomic_fetch_sub(&v->holders, 1) > 1)
        return;
    for (uint32_t i = 0; i < v->count; i++) {
        free(v->all[i].name);
        free(v->all[i].words);
    }
    free(v->all);
    v->layout->drop(v);
}

uint32_t disk_view_at(const struct disk_view *v, uint32_t uid)
{
    uint32_t low = 0, high = v->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (v->all[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void disk_rows_deinit(struct disk_rows *rows)
{
    for (unsigned i = 0; i < rows->count; i++)
        free(rows->all[i].name);
    free(rows->all);
    *rows = (struct disk_rows){ NULL, 0 };
}

/* ---- paths ----------------------------------------------------------------------------------------- */

void disk_refuse(const struct disk_layout *layout, struct err *err_r, enum err_scope scope, int error, const char *path)
{
    bool lasts = error == ENOENT || error == ENOTDIR || error == EACCES || error == ELOOP || error == EPERM;

    err_set(err_r, lasts ? ERR_CLASS_PERMANENT : ERR_CLASS_TRANSIENT, scope, layout->origin, error, "%.150s: %s", path,
            error == ELOOP ? "is a link, which is not followed" : strerror(error));
    err_doing(err_r, "open the %s", layout->word);
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

bool disk_path(const struct disk_layout *layout, const char *pattern, const char *user, char **path_r,
               struct err *err_r)
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
            err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, layout->origin, 0,
                    "UserName \"%.100s\" names no mail in %.100s", user, pattern);
            return err_doing(err_r, "open the %s", layout->word);
        }
        if (rest.size && !size) { /* a brace of the path's own */
            word = slice_first(rest, 1);
            size = 1;
        }
        longer =
            mem_format("%s%.*s%.*s", path, (int)before.size, before.data, (int)word.size, word.data ? word.data : "");
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

/* The last step is the file or folder itself. */
static int step_into(int folder, struct slice name, int flags)
{
    char *text = slice_dup(name);
    int inner = openat(folder, text, flags | O_NOFOLLOW);
    int error = errno;

    close(folder);
    free(text);
    errno = error;
    return inner;
}

int disk_open_path(const struct disk_layout *layout, const char *pattern, const char *user, int flags,
                   struct err *err_r)
{
    char *path, *own;
    struct slice rest, part;
    int fd;

    if (!disk_path(layout, pattern, user, &path, err_r))
        return -1;
    own = slice_dup(slice_first(slice_cstr(path), own_part(pattern)));
    rest = slice_from(slice_cstr(path), strlen(own));
    while (rest.size && rest.data[rest.size - 1] == '/')
        rest.size--;
    fd = open(own[0] ? own : ".", rest.size ? FOLDER_FLAGS : flags);
    while (fd >= 0 && slice_split(&rest, '/', &part))
        if (part.size)
            fd = step_into(fd, part, rest.size ? FOLDER_FLAGS : flags);
    if (fd < 0)
        disk_refuse(layout, err_r, ERR_SCOPE_ACCOUNT, errno, path);
    free(own);
    free(path);
    return fd;
}

void disk_hex(const unsigned char *digest, char text_r[33])
{
    for (unsigned i = 0; i < 16; i++)
        snprintf(text_r + 2 * i, 3, "%02x", digest[i]);
}

/* ---- line ends --------------------------------------------------------------------------------------- */

size_t disk_line_ends(struct disk_filter *f, const char *in, size_t size, char *out)
{
    size_t used = 0;

    for (size_t i = 0; i < size; i++) {
        if (in[i] == '\n' && !f->after_cr)
            out[used++] = '\r';
        out[used++] = in[i];
        f->after_cr = in[i] == '\r';
    }
    return used;
}
