#include "engine/mailbox/disk/numbers.h"

#include "engine/imap/session.h"
#include "io/base/mem.h"
#include "io/base/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FOLDER      "maildir" /* of the state folder */
#define FIRST_WORDS "mailhaul maildir 1"
/* A list of ten million files is about this long. */
#define LIST_BYTES_MAX (1024u << 20)

struct given {
    uint32_t uid;
    struct slice base; /* of the text it was read from, or of the caller's names */
};

struct list {
    struct given *all; /* by base, once sorted */
    uint32_t count;
    uint32_t uidvalidity, uidnext; /* 0: there is no such list */
    char *text;
};

static struct slice base_of(struct slice name)
{
    return slice_first(name, slice_find(name, ':'));
}

static int slice_order(struct slice a, struct slice b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;

    return order ? order : (a.size > b.size) - (a.size < b.size);
}

int numbers_base_order(struct slice a, struct slice b)
{
    return slice_order(base_of(a), base_of(b));
}

/* NULL: errno; ENOENT: it is not there. */
static char *read_all(int folder, const char *name, size_t max_bytes)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), error = 0;
    struct stat st;
    char *text = NULL;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) != 0)
        error = errno;
    else if (!S_ISREG(st.st_mode) || st.st_size < 0 || (size_t)st.st_size > max_bytes)
        error = EFBIG;
    if (!error) {
        ssize_t got;

        text = mem_alloc((size_t)st.st_size + 1);
        got = whole_pread(fd, text, (size_t)st.st_size, 0);
        error = got < 0 ? errno : 0;
        text[got > 0 ? got : 0] = '\0';
    }
    close(fd);
    if (error) {
        free(text);
        text = NULL;
    }
    errno = error;
    return text;
}

char *numbers_read_file(int folder, const char *name, size_t max_bytes)
{
    char *text = read_all(folder, name, max_bytes);

    return text ? text : mem_text("");
}

/* ---- reading ------------------------------------------------------------------------------------- */

static void add(struct list *l, uint32_t uid, struct slice base)
{
    if ((l->count & (l->count - 1)) == 0)
        l->all = mem_resize(l->all, l->count ? l->count * 2ul : 1, sizeof *l->all);
    l->all[l->count++] = (struct given){ uid, base };
}

static int by_base(const void *a, const void *b)
{
    const struct given *x = a, *y = b;

    return slice_order(x->base, y->base);
}

static int by_base_then_newest(const void *a, const void *b)
{
    const struct given *x = a, *y = b;
    int order = by_base(a, b);

    return order ? order : (x->uid < y->uid) - (x->uid > y->uid);
}

static const struct given *find(const struct list *l, struct slice base)
{
    struct given wanted = { 0, base };

    return l->count ? bsearch(&wanted, l->all, l->count, sizeof wanted, by_base) : NULL;
}

/* A name that is there twice, as after a crash of its server, has the later number. */
static void sort(struct list *l)
{
    uint32_t kept = 0;

    if (l->count)
        qsort(l->all, l->count, sizeof *l->all, by_base_then_newest);
    for (uint32_t i = 0; i < l->count; i++)
        if (kept == 0 || by_base(&l->all[kept - 1], &l->all[i]) != 0)
            l->all[kept++] = l->all[i];
    l->count = kept;
}

static void read_lines(struct list *l, struct slice rest)
{
    struct slice line, word;
    uint32_t uid;

    while (slice_split(&rest, '\n', &line)) {
        size_t at;

        if (!slice_split(&line, ' ', &word) || !slice_u32(word, &uid) || uid == 0 || uid > SESSION_UID_MAX)
            continue;
        /* Dovecot's third form has words of its own between the number and ":NAME". */
        at = line.size && line.data[0] == ':' ? 0 : slice_find_nocase(line, SLICE(" :"));
        if (at != SIZE_MAX)
            line = slice_from(line, line.data[at] == ':' ? at + 1 : at + 2);
        if (line.size == 0)
            continue;
        for (size_t i = 0; i < line.size; i++)
            if (line.data[i] == '/')
                l->text[line.data + i - l->text] = '\n';
        add(l, uid, base_of(line));
        if (uid >= l->uidnext)
            l->uidnext = uid + 1;
    }
    sort(l);
}

/* "V123" or "123"; 0: another word. */
static uint32_t number_behind(struct slice word, char letter)
{
    uint32_t number;

    if (letter && (word.size == 0 || word.data[0] != letter))
        return 0;
    return slice_u32(slice_from(word, letter ? 1 : 0), &number) ? number : 0;
}

/* A server's list: "3 V123 N45 ..." (Dovecot), or "1 123 45" (Courier, older Dovecots). */
static void read_servers(struct list *l, int folder)
{
    static const char *const files[] = { "dovecot-uidlist", "courierimapuiddb" };

    for (unsigned i = 0; i < 2 && l->uidvalidity == 0; i++) {
        struct slice rest, line, word;
        bool lettered;
        uint32_t next = 0;
        unsigned at = 0;

        free(l->text);
        l->text = numbers_read_file(folder, files[i], LIST_BYTES_MAX);
        rest = slice_cstr(l->text);
        if (!slice_split(&rest, '\n', &line) || !slice_split(&line, ' ', &word) ||
            (!slice_equal(word, SLICE("3")) && !slice_equal(word, SLICE("1"))))
            continue;
        lettered = slice_equal(word, SLICE("3"));
        for (; slice_split(&line, ' ', &word); at++) {
            if (lettered ? number_behind(word, 'V') : at == 0)
                l->uidvalidity = number_behind(word, lettered ? 'V' : '\0');
            else if (lettered ? number_behind(word, 'N') : at == 1)
                next = number_behind(word, lettered ? 'N' : '\0');
        }
        if (l->uidvalidity == 0)
            continue;
        l->uidnext = next ? next : 1;
        read_lines(l, rest);
    }
}

char *numbers_file(const struct disk_numbers *where)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char *whole = mem_format("%s\n%.*s", where->path, (int)where->name.size, where->name.data);
    char text[33];

    if (EVP_Digest(whole, strlen(whole), digest, NULL, EVP_sha256(), NULL) != 1)
        memset(digest, 0, sizeof digest);
    disk_hex(digest, text);
    free(whole);
    return mem_format("%s/" FOLDER "/%s", where->state_folder, text);
}

/* False: errno. It is there and cannot be read, or is none of ours: other numbers in its place would make other
 * messages of those that a run has moved. */
static bool read_own(struct list *l, const char *file)
{
    struct slice rest, line, word;
    unsigned validity, next;

    l->text = read_all(AT_FDCWD, file, LIST_BYTES_MAX);
    if (!l->text)
        return errno == ENOENT;
    errno = EBADMSG;
    rest = slice_cstr(l->text);
    if (!slice_split(&rest, '\n', &line) || !slice_starts(line, SLICE(FIRST_WORDS " ")))
        return false;
    line = slice_from(line, sizeof FIRST_WORDS);
    if (!slice_split(&line, ' ', &word) || !slice_u32(word, &validity) || !slice_u32(line, &next) || validity == 0)
        return false;
    l->uidvalidity = validity;
    l->uidnext = next;
    read_lines(l, rest);
    return true;
}

/* ---- writing ------------------------------------------------------------------------------------- */

static bool not_kept(struct err *err_r, const char *path)
{
    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, errno, "%.150s: %s", path, strerror(errno));
    return err_doing(err_r, "keep the numbers of a folder on a disk");
}

static bool sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return ok;
}

/* A line end in a name is written as "/", which no name has. */
static bool write_line(FILE *out, const struct given *g)
{
    bool ok = fprintf(out, "%" PRIu32 " :", g->uid) > 0;

    for (size_t i = 0; ok && i < g->base.size; i++)
        ok = putc(g->base.data[i] == '\n' ? '/' : g->base.data[i], out) != EOF;
    return ok && putc('\n', out) != EOF;
}

/* Whole or not at all: a number that was told and is not kept would be given to another message. */
static bool write_own(const struct list *l, const char *state_folder, const char *file, struct err *err_r)
{
    char *path = mem_format("%s.new", file), *folder = mem_format("%s/" FOLDER, state_folder);
    FILE *out;
    int fd;
    bool ok = (mkdir(folder, 0700) == 0 || errno == EEXIST);

    fd = ok ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    out = fd >= 0 ? fdopen(fd, "w") : NULL;
    ok = out && fprintf(out, FIRST_WORDS " %" PRIu32 " %" PRIu32 "\n", l->uidvalidity, l->uidnext) > 0;
    for (uint32_t i = 0; ok && i < l->count; i++)
        ok = write_line(out, &l->all[i]);
    ok = ok && fflush(out) == 0 && fsync(fd) == 0;
    if (!ok)
        not_kept(err_r, path);
    if (out ? fclose(out) != 0 && ok : fd >= 0 && close(fd) != 0)
        ok = not_kept(err_r, path);
    if (ok && (rename(path, file) != 0 || !sync_folder(folder)))
        ok = not_kept(err_r, file);
    free(folder);
    free(path);
    return ok;
}

/* ---- giving -------------------------------------------------------------------------------------- */

struct newcomer {
    uint32_t index, server; /* in names; the server's number for it, 0: none */
    uint64_t when;          /* the seconds that its name begins with */
    struct slice base;
};

static uint64_t seconds_of(struct slice base)
{
    uint64_t seconds = 0;

    for (size_t i = 0; i < base.size && i < 18 && base.data[i] >= '0' && base.data[i] <= '9'; i++)
        seconds = seconds * 10 + (uint64_t)(base.data[i] - '0');
    return seconds;
}

/* Those that a server numbered first, as it did; then by the time of their delivery. */
static int by_turn(const void *a, const void *b)
{
    const struct newcomer *x = a, *y = b;

    if (!x->server != !y->server)
        return x->server ? -1 : 1;
    if (x->server != y->server)
        return x->server < y->server ? -1 : 1;
    if (x->when != y->when)
        return x->when < y->when ? -1 : 1;
    return slice_order(x->base, y->base);
}

/* least: for those that have no number of a server's; what that server gave to others before is not given again. */
static bool number_new(struct list *own, const struct newcomer *all, uint32_t count, uint32_t least, uint32_t *uids_r,
                       struct err *err_r)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t wanted = all[i].server ? all[i].server : least;
        uint32_t uid = wanted >= own->uidnext ? wanted : own->uidnext;

        if (uid > SESSION_UID_MAX) {
            err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_MAILDIR, 0,
                    "the folder has no numbers left for new messages");
            return err_doing(err_r, "number the messages of a folder on a disk");
        }
        add(own, uid, all[i].base);
        own->uidnext = uid + 1;
        uids_r[all[i].index] = uid;
    }
    return true;
}

static bool give(const struct disk_numbers *where, int folder, const struct numbers_servers *servers,
                 const char *const *names, uint32_t count, uint32_t *uids_r, uint32_t *uidvalidity_r,
                 uint32_t *uidnext_r, struct err *err_r)
{
    struct list own = { 0 }, server = { 0 };
    struct newcomer *newcomers = mem_zero(count + 1ul, sizeof *newcomers);
    char *file = where->state_folder ? numbers_file(where) : NULL;
    uint32_t fresh = 0;
    bool first, ok;

    if (file && !read_own(&own, file)) {
        not_kept(err_r, file);
        free(own.text);
        free(newcomers);
        free(file);
        return false;
    }
    first = own.uidvalidity == 0;
    if (servers) {
        server.uidvalidity = servers->uidvalidity;
        server.uidnext = servers->uidnext;
    } else {
        read_servers(&server, folder);
    }
    if (first)
        own.uidvalidity = server.uidvalidity ? server.uidvalidity : (uint32_t)time(NULL);
    if (own.uidnext == 0)
        own.uidnext = 1;
    for (uint32_t i = 0; i < count; i++) {
        struct slice base = base_of(slice_cstr(names[i]));
        const struct given *known = find(&own, base), *theirs = known || servers ? NULL : find(&server, base);

        if (known)
            uids_r[i] = known->uid;
        else if (servers)
            newcomers[fresh++] = (struct newcomer){ i, first ? servers->uids[i] : 0, servers->turns[i], base };
        else
            newcomers[fresh++] = (struct newcomer){ i, theirs ? theirs->uid : 0, seconds_of(base), base };
    }
    if (fresh)
        qsort(newcomers, fresh, sizeof *newcomers, by_turn);
    ok = number_new(&own, newcomers, fresh, first ? server.uidnext : 0, uids_r, err_r);
    if (first && server.uidnext > own.uidnext && server.uidnext <= SESSION_UID_MAX)
        own.uidnext = server.uidnext;
    if (ok && file && where->keeps && (fresh > 0 || first))
        ok = write_own(&own, where->state_folder, file, err_r);
    *uidvalidity_r = own.uidvalidity;
    *uidnext_r = own.uidnext;
    free(own.all);
    free(own.text);
    free(server.all);
    free(server.text);
    free(newcomers);
    free(file);
    return ok;
}

bool numbers_give(const struct disk_numbers *where, int folder, const struct numbers_servers *servers,
                  const char *const *names, uint32_t count, uint32_t *uids_r, uint32_t *uidvalidity_r,
                  uint32_t *uidnext_r, struct err *err_r)
{
    /* What is kept of numbers is one, whoever asks: two looks at one folder must not give one number twice. */
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    bool ok;

    pthread_mutex_lock(&lock);
    ok = give(where, folder, servers, names, count, uids_r, uidvalidity_r, uidnext_r, err_r);
    pthread_mutex_unlock(&lock);
    return ok;
}
