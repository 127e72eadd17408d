#include "engine/mailbox/maildir/view.h"

#include "engine/imap/session.h"
#include "engine/mailbox/maildir/courier.h"
#include "engine/mailbox/maildir/numbers.h"
#include "io/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory that changes while it is read is read again; one that always does is taken as it comes. */
#define READ_AGAIN 3u
#define KEYWORD_BYTES_MAX 255u

/* What is kept of numbers is one, whoever asks: two looks at one folder must not give one number twice. */
static pthread_mutex_t numbers_lock = PTHREAD_MUTEX_INITIALIZER;

struct maildir_view *maildir_view_hold(struct maildir_view *view)
{
    atomic_fetch_add(&view->holders, 1);
    return view;
}

void maildir_view_drop(struct maildir_view **view)
{
    struct maildir_view *v = *view;

    *view = NULL;
    if (!v || atomic_fetch_sub(&v->holders, 1) > 1)
        return;
    if (v->cur >= 0)
        close(v->cur);
    if (v->new >= 0)
        close(v->new);
    for (uint32_t i = 0; i < v->count; i++)
        free(v->all[i].name);
    for (unsigned i = 0; i < MAILDIR_KEYWORDS; i++)
        free(v->keywords[i]);
    courier_keywords_destroy(&v->courier);
    free(v->all);
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
        if (entry->d_name[0] == '.' || entry->d_type == DT_DIR || v->count == UINT32_MAX)
            continue;
        if ((v->count & (v->count - 1)) == 0)
            v->all = mem_resize(v->all, v->count ? v->count * 2ul : 1, sizeof *v->all);
        v->all[v->count++] = (struct maildir_message){ .is_new = is_new,
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
    for (uint32_t i = 0; i < v->count; i++)
        free(v->all[i].name);
    v->count = 0;
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

void maildir_flags(const struct maildir_view *v, const char *name, char *words, struct imap_flags *flags_r)
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
        else if (keyword && used + strlen(keyword) + 1 < MAILDIR_WORDS_BYTES)
            used += (size_t)sprintf(words + used, "%s%s", used ? " " : "", keyword);
        else if (*info >= 'a' && *info <= 'z')
            flags_r->dropped++;
    }
    if (own.size && used + own.size + 1 < MAILDIR_WORDS_BYTES)
        used += (size_t)sprintf(words + used, "%s%.*s", used ? " " : "", (int)own.size, own.data);
    flags_r->keywords = slice_of(words, used);
}

/* ---- numbers ----------------------------------------------------------------------------------- */

static int by_base(const void *a, const void *b)
{
    const struct maildir_message *x = a, *y = b;
    int order = numbers_base_order(slice_cstr(x->name), slice_cstr(y->name));

    return order ? order : (int)x->is_new - (int)y->is_new;
}

static int by_uid(const void *a, const void *b)
{
    const struct maildir_message *x = a, *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

/* One that is in new/ and in cur/ was moved between the two looks, or by hand: the one in cur/ is kept. */
static void drop_doubles(struct maildir_view *v)
{
    uint32_t kept = 0;

    if (v->count)
        qsort(v->all, v->count, sizeof *v->all, by_base);
    for (uint32_t i = 0; i < v->count; i++) {
        if (kept && numbers_base_order(slice_cstr(v->all[kept - 1].name), slice_cstr(v->all[i].name)) == 0)
            free(v->all[i].name);
        else
            v->all[kept++] = v->all[i];
    }
    v->count = kept;
}

static bool number(struct maildir_view *v, int folder, const struct maildir_numbers *where, struct err *err_r)
{
    const char **names = mem_zero(v->count + 1ul, sizeof *names);
    uint32_t *uids = mem_zero(v->count + 1ul, sizeof *uids);
    bool ok;

    for (uint32_t i = 0; i < v->count; i++)
        names[i] = v->all[i].name;
    pthread_mutex_lock(&numbers_lock);
    ok = numbers_give(where, folder, names, v->count, uids, &v->uidvalidity, &v->uidnext, err_r);
    pthread_mutex_unlock(&numbers_lock);
    for (uint32_t i = 0; i < v->count; i++)
        v->all[i].uid = uids[i];
    free(names);
    free(uids);
    return ok;
}

struct maildir_view *maildir_look(int folder, const struct maildir_numbers *where, struct err *err_r)
{
    struct maildir_view *v = mem_zero(1, sizeof *v);
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
    bool ok;

    atomic_init(&v->holders, 1);
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
        maildir_view_drop(&v);
        return NULL;
    }
    if (v->count)
        qsort(v->all, v->count, sizeof *v->all, by_uid);
    return v;
}

/* ---- one message --------------------------------------------------------------------------------- */

uint32_t maildir_view_at(const struct maildir_view *v, uint32_t uid)
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

int maildir_view_open(const struct maildir_view *v, const struct maildir_message *m, char **name_r)
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
    if (fd >= 0 && name_r)
        *name_r = name;
    else
        free(name);
    return fd;
}
