#include "io/base/secret.h"

#include "io/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_FILE_MAX 65536
#define PIPE_WAIT_MS    10000 /* for a command that writes the secret */

struct secret {
    size_t size;
    char bytes[];
};

/* ---- memory that is neither swapped nor dumped --------------------------------------------- */

/* Pages that hold nothing but secrets, in slots; a secret has as many in a row as it needs. Those of a batch are some
 * thousands, and a page that is locked is one of few (RLIMIT_MEMLOCK). */
#define REGION_BYTES 65536u
#define SLOT_BYTES   64u
#define SLOTS        (REGION_BYTES / SLOT_BYTES)

struct region {
    struct region *next;
    char *bytes;
    size_t size; /* REGION_BYTES, or of the one secret that is larger */
    unsigned taken;
    bool slots[SLOTS];
};

static pthread_mutex_t regions_lock = PTHREAD_MUTEX_INITIALIZER;
static struct region *regions;
static _Atomic bool unlocked; /* some page could not be locked */

static struct region *region_create(size_t size)
{
    struct region *r = mem_zero(1, sizeof *r);

    r->size = size;
    r->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r->bytes == MAP_FAILED)
        r->bytes = mem_alloc(SIZE_MAX / 2); /* says so, and ends */
    (void)madvise(r->bytes, size, MADV_DONTDUMP);
    if (mlock(r->bytes, size) != 0)
        unlocked = true;
    r->next = regions;
    regions = r;
    return r;
}

/* The first of `count` free slots in a row; SLOTS: there are none. */
static unsigned slots_find(const struct region *r, unsigned count)
{
    unsigned row = 0;

    if (r->size != REGION_BYTES || count > SLOTS - r->taken)
        return SLOTS;
    for (unsigned i = 0; i < SLOTS; i++) {
        row = r->slots[i] ? 0 : row + 1;
        if (row == count)
            return i + 1 - count;
    }
    return SLOTS;
}

static unsigned slots_of(size_t size)
{
    return (unsigned)((size + SLOT_BYTES - 1) / SLOT_BYTES);
}

static void *place_take(size_t size)
{
    unsigned count = size <= REGION_BYTES ? slots_of(size) : 0, at = SLOTS;
    struct region *r = NULL;

    pthread_mutex_lock(&regions_lock);
    for (r = count ? regions : NULL; r; r = r->next)
        if ((at = slots_find(r, count)) != SLOTS)
            break;
    if (!r) {
        r = region_create(count ? REGION_BYTES : size);
        at = 0;
    }
    for (unsigned i = 0; i < count; i++)
        r->slots[at + i] = true;
    r->taken += count;
    pthread_mutex_unlock(&regions_lock);
    return r->bytes + (size_t)at * SLOT_BYTES;
}

/* A region of slots stays for the next secret. */
static void place_give(void *place, size_t size)
{
    char *bytes = place;

    OPENSSL_cleanse(place, size);
    pthread_mutex_lock(&regions_lock);
    for (struct region **link = &regions, *r; (r = *link) != NULL; link = &r->next) {
        unsigned at;

        if (bytes < r->bytes || bytes >= r->bytes + r->size)
            continue;
        if (r->size != REGION_BYTES) {
            *link = r->next;
            (void)munmap(r->bytes, r->size);
            free(r);
            break;
        }
        at = (unsigned)((size_t)(bytes - r->bytes) / SLOT_BYTES);
        for (unsigned i = 0; i < slots_of(size); i++)
            r->slots[at + i] = false;
        r->taken -= slots_of(size);
        break;
    }
    pthread_mutex_unlock(&regions_lock);
}

bool secret_is_locked(void)
{
    /* Asked before there is any: it is tried. */
    struct secret *one = secret_create(SLICE("x"));

    secret_destroy(&one);
    return !unlocked;
}

/* ---- one secret ---------------------------------------------------------------------------- */

struct secret *secret_create(struct slice value)
{
    struct secret *s = place_take(sizeof *s + value.size + 1);

    s->size = value.size;
    if (value.size)
        memcpy(s->bytes, value.data, value.size);
    s->bytes[value.size] = '\0';
    return s;
}

void secret_destroy(struct secret **s)
{
    if (*s) {
        place_give(*s, sizeof **s + (*s)->size + 1);
        *s = NULL;
    }
}

struct slice secret_peek(const struct secret *s)
{
    return s ? slice_of(s->bytes, s->size) : SLICE("");
}

void secret_wipe(void *data, size_t size)
{
    OPENSSL_cleanse(data, size);
}

static bool file_refused(struct err *err_r, const char *path, const char *why)
{
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0, "%s: %s", path, why);
}

/* A pipe has a writer who is at work. */
static bool gives_soon(int fd)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    int count = poll(&wait, 1, PIPE_WAIT_MS);

    errno = EAGAIN;
    return count > 0;
}

bool secret_read_file(const char *path, struct secret **secret_r, bool *readable_by_others_r, struct err *err_r)
{
    char text[SECRET_FILE_MAX];
    struct stat st;
    size_t size = 0;
    /* Not blocking: a pipe to which nobody writes is empty at once. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool ok = false;

    if (fd < 0)
        return file_refused(err_r, path, strerror(errno));
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        close(fd);
        return file_refused(err_r, path, "not a file that can be read");
    }
    for (;;) {
        ssize_t n = read(fd, text + size, sizeof text - size);

        if (n < 0 && (errno == EINTR || (errno == EAGAIN && gives_soon(fd))))
            continue;
        if (n < 0) {
            file_refused(err_r, path, errno == EAGAIN ? "a pipe that gives nothing" : strerror(errno));
            break;
        }
        if (n == 0) {
            ok = true;
            break;
        }
        size += (size_t)n;
        if (size == sizeof text) {
            file_refused(err_r, path, "longer than 64 KiB, which no password or token is");
            break;
        }
    }
    close(fd);
    if (ok) {
        struct slice line = slice_first(slice_of(text, size), slice_find(slice_of(text, size), '\n'));

        if (line.size && line.data[line.size - 1] == '\r')
            line.size--;
        if (line.size == 0)
            ok = file_refused(err_r, path, "the first line is empty; it must hold the secret");
        else
            *secret_r = secret_create(line);
        *readable_by_others_r = (st.st_mode & (S_IRGRP | S_IROTH | S_IWGRP | S_IWOTH)) != 0;
    }
    OPENSSL_cleanse(text, sizeof text);
    return ok;
}

void secret_harden_process(void)
{
    struct rlimit none = { 0, 0 };

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
