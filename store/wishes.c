#include "store/wishes.h"

#include "io/base/buf.h"
#include "io/base/mem.h"
#include "store/durable.h"
#include "store/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME      "wishes"
#define NAME_NEW  "wishes.new"
#define NAME_LOCK "wishes.lock"
#define HEADER    "mailhaul wishes 1"
#define BYTES_MAX 67108864u

static const char *const words[] = {
    [WISH_PAUSED] = "paused", [WISH_DROPPED] = "dropped", [WISH_COMPLETED] = "completed"
};

static bool failed(struct err *err_r, int error, const char *folder)
{
    err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, error, "");
    return err_doing(err_r, "the file %s of %s", NAME, folder);
}

static bool malformed(struct err *err_r, const char *folder, unsigned line)
{
    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, 0,
            "%s/%s:%u: expected \"paused ADDRESS\", or dropped or completed, below \"" HEADER "\"", folder, NAME, line);
    return false;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct wishes_user *)a)->address, ((const struct wishes_user *)b)->address);
}

static void add(struct wishes *w, struct slice address, enum wish wish)
{
    if ((w->count & (w->count - 1)) == 0)
        w->all = mem_resize(w->all, w->count ? 2 * w->count : 1, sizeof *w->all);
    w->all[w->count++] = (struct wishes_user){ slice_dup_folded(address), wish };
}

static bool parse(struct slice text, const char *folder, struct wishes *w, struct err *err_r)
{
    struct slice line, word;
    unsigned number = 0;

    while (slice_split(&text, '\n', &line)) {
        enum wish wish;

        if (++number == 1) {
            if (!slice_equal(slice_trim(line), SLICE(HEADER)))
                return malformed(err_r, folder, number);
            continue;
        }
        line = slice_trim(line);
        if (line.size == 0)
            continue;
        (void)slice_split(&line, ' ', &word);
        wish = slice_equal(word, slice_cstr(words[WISH_PAUSED]))      ? WISH_PAUSED
               : slice_equal(word, slice_cstr(words[WISH_DROPPED]))   ? WISH_DROPPED
               : slice_equal(word, slice_cstr(words[WISH_COMPLETED])) ? WISH_COMPLETED
                                                                      : WISH_NONE;
        line = slice_trim(line);
        if (wish == WISH_NONE || line.size == 0)
            return malformed(err_r, folder, number);
        add(w, line, wish);
    }
    if (number == 0)
        return malformed(err_r, folder, 1);
    if (w->count)
        qsort(w->all, w->count, sizeof *w->all, compare);
    return true;
}

static bool read_all(int fd, struct buf *text)
{
    char piece[8192];
    ssize_t got;

    while ((got = read(fd, piece, sizeof piece)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (!buf_append(text, slice_of(piece, (size_t)got))) {
            errno = EFBIG;
            return false;
        }
    }
    return true;
}

bool wishes_read(const char *folder, struct wishes *w, struct err *err_r)
{
    const struct state_dir state_dir = { .folder = (char *)(uintptr_t)folder, .lock_fd = -1, .folder_fd = -1 };
    int fd = state_dir_file(&state_dir, NAME, O_RDONLY), error = errno;
    struct buf text;
    bool ok;

    *w = (struct wishes){ 0 };
    if (fd < 0)
        return error == ENOENT || failed(err_r, error, folder);
    buf_init(&text, BYTES_MAX);
    ok = read_all(fd, &text) || failed(err_r, errno, folder);
    close(fd);
    ok = ok && parse(buf_slice(&text), folder, w, err_r);
    buf_deinit(&text);
    return ok;
}

void wishes_free(struct wishes *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->all[i].address);
    free(w->all);
    *w = (struct wishes){ 0 };
}

static struct wishes_user *find(const struct wishes *w, const char *folded)
{
    struct wishes_user key = { .address = (char *)(uintptr_t)folded };

    return w->count ? bsearch(&key, w->all, w->count, sizeof *w->all, compare) : NULL;
}

enum wish wishes_of(const struct wishes *w, struct slice address)
{
    char *folded;
    const struct wishes_user *user;

    if (w->count == 0)
        return WISH_NONE;
    folded = slice_dup_folded(address);
    user = find(w, folded);
    free(folded);
    return user ? user->wish : WISH_NONE;
}

/* ---- writing ---- */

static bool write_all(const struct state_dir *state_dir, const struct wishes *w, struct err *err_r)
{
    char *path = state_dir_path(state_dir, NAME), *next = state_dir_path(state_dir, NAME_NEW);
    struct buf text;
    bool ok;

    buf_init(&text, BYTES_MAX);
    ok = buf_append_format(&text, "%s\n", HEADER);
    for (size_t i = 0; ok && i < w->count; i++)
        if (w->all[i].wish != WISH_NONE)
            ok = buf_append_format(&text, "%s %s\n", words[w->all[i].wish], w->all[i].address);
    if (!ok)
        errno = EFBIG;
    ok = ok && durable_replace(path, next, state_dir_file(state_dir, NAME_NEW, O_WRONLY | O_CREAT | O_TRUNC),
                               buf_slice(&text).data, buf_slice(&text).size);
    if (!ok)
        failed(err_r, errno, state_dir->folder);
    buf_deinit(&text);
    free(path);
    free(next);
    return ok;
}

static bool change(const struct state_dir *state_dir, const char *const *addresses, size_t count, enum wish wish,
                   enum wish *before_r, struct err *err_r)
{
    struct wishes w;
    bool ok = wishes_read(state_dir->folder, &w, err_r), changes = false;
    bool *is_new = mem_zero(count, sizeof *is_new);

    for (size_t i = 0; ok && i < count; i++) {
        char *folded = slice_dup_folded(slice_cstr(addresses[i]));
        struct wishes_user *user = find(&w, folded);

        before_r[i] = user ? user->wish : WISH_NONE;
        changes |= before_r[i] != wish;
        if (user)
            user->wish = wish;
        is_new[i] = !user;
        free(folded);
    }
    /* What is found is found in what is sorted. */
    for (size_t i = 0; ok && i < count; i++)
        if (is_new[i])
            add(&w, slice_cstr(addresses[i]), wish);
    ok = ok && (!changes || write_all(state_dir, &w, err_r));
    free(is_new);
    wishes_free(&w);
    return ok;
}

bool wishes_set_all(const char *folder, const char *const *addresses, size_t count, enum wish wish, enum wish *before_r,
                    struct err *err_r)
{
    struct state_dir state_dir = { .folder = (char *)(uintptr_t)folder, .lock_fd = -1, .folder_fd = -1 };
    int lock = state_dir_file(&state_dir, NAME_LOCK, O_RDWR | O_CREAT);
    bool ok;

    if (lock < 0)
        return failed(err_r, errno, folder);
    while ((ok = flock(lock, LOCK_EX) == 0) == false && errno == EINTR)
        ;
    ok = ok ? change(&state_dir, addresses, count, wish, before_r, err_r) : failed(err_r, errno, folder);
    close(lock);
    return ok;
}

bool wishes_set(const char *folder, const char *address, enum wish wish, enum wish *before_r, struct err *err_r)
{
    return wishes_set_all(folder, &address, 1, wish, before_r, err_r);
}

bool wishes_changed(const char *folder, struct wishes_stamp *stamp)
{
    char *path = mem_format("%s/%s", folder, NAME);
    struct wishes_stamp now = { 0 };
    struct stat st;
    bool changed;

    if (stat(path, &st) == 0)
        now = (struct wishes_stamp){ (uint64_t)st.st_ino, (uint64_t)st.st_size,
                                     (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec };
    free(path);
    changed = memcmp(&now, stamp, sizeof now) != 0;
    *stamp = now;
    return changed;
}
