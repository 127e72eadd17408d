#include "engine/pace/holds.h"

#include "engine/pace/ledger_dir.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/base/whole.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PREFIX    "holds-"
#define SUFFIX    ".rec"
#define FILES_MAX 65536
#define USERS_MAX 1000000u
#define WAIT_MS   50
#define WAITS_MAX 200u /* for one that is taking its own at this moment */
#define MAGIC     UINT64_C(0x314853444c4f4831)

/* A file: this, then the mailboxes, ascending. Its sum is of all behind it. */
struct head {
    uint64_t magic, sum, process, place, taking, count;
};

struct list {
    struct head head;
    uint64_t *mailboxes;
};

/* FNV-1a. */
static uint64_t summed(uint64_t sum, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < size; i++)
        sum = (sum ^ at[i]) * UINT64_C(1099511628211);
    return sum;
}

uint64_t holds_number(struct slice address)
{
    char *folded = slice_dup_folded(address);
    uint64_t number = summed(UINT64_C(14695981039346656037), folded, strlen(folded));

    free(folded);
    return number;
}

uint64_t holds_place(const char *path)
{
    char host[256] = "", *real = realpath(path, NULL);
    uint64_t number = UINT64_C(14695981039346656037);

    (void)gethostname(host, sizeof host - 1);
    number = summed(number, host, sizeof host);
    path = real ? real : path;
    number = summed(number, path, strlen(path));
    free(real);
    return number;
}

static uint64_t sum_of(const struct list *l)
{
    uint64_t sum = summed(UINT64_C(14695981039346656037), &l->head.process, sizeof l->head - 2 * sizeof(uint64_t));

    return l->head.count ? summed(sum, l->mailboxes, l->head.count * sizeof *l->mailboxes) : sum;
}

static void name_of(uint64_t process, const char *suffix, char out[64])
{
    snprintf(out, 64, PREFIX "%016" PRIx64 "%s", process, suffix);
}

static bool os_error(struct err *err_r)
{
    return err_set_os(err_r, ERR_CLASS_TRANSIENT, ERR_SCOPE_RUN, errno, "write to the ledger");
}

static bool write_list(int dir, struct list *l, struct err *err_r)
{
    char part[64], name[64];
    bool ok;
    int fd;

    l->head.sum = sum_of(l);
    name_of(l->head.process, ".part", part);
    name_of(l->head.process, SUFFIX, name);
    fd = openat(dir, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (fd < 0)
        return os_error(err_r);
    ok = whole_write(fd, &l->head, sizeof l->head) &&
         (l->head.count == 0 || whole_write(fd, l->mailboxes, l->head.count * sizeof *l->mailboxes));
    ok = close(fd) == 0 && ok;
    ok = ok && renameat(dir, part, dir, name) == 0;
    if (!ok) {
        os_error(err_r);
        unlinkat(dir, part, 0);
    }
    return ok;
}

static bool all_read(int fd, void *bytes, size_t size)
{
    char *at = bytes;

    while (size) {
        ssize_t n = read(fd, at, size);

        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* The mailboxes are the caller's to free. False: there is none, or it is torn. */
static bool read_list(int dir, uint64_t process, struct list *l)
{
    char name[64];
    bool ok;
    int fd;

    name_of(process, SUFFIX, name);
    *l = (struct list){ 0 };
    fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    ok = all_read(fd, &l->head, sizeof l->head) && l->head.magic == MAGIC && l->head.process == process &&
         l->head.count <= USERS_MAX;
    if (ok) {
        l->mailboxes = mem_zero(l->head.count + 1, sizeof *l->mailboxes);
        ok = (l->head.count == 0 || all_read(fd, l->mailboxes, l->head.count * sizeof *l->mailboxes)) &&
             sum_of(l) == l->head.sum;
    }
    close(fd);
    if (!ok) {
        free(l->mailboxes);
        l->mailboxes = NULL;
    }
    return ok;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static bool has(const struct list *l, uint64_t mailbox)
{
    return l->head.count && bsearch(&mailbox, l->mailboxes, l->head.count, sizeof *l->mailboxes, by_number);
}

static bool meets(const struct list *a, const struct list *b)
{
    for (uint64_t i = 0; i < a->head.count; i++)
        if (has(b, a->mailboxes[i]))
            return true;
    return false;
}

/* Takes away from mine what the other has. */
static void yield_to(struct list *mine, const struct list *other)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < mine->head.count; i++)
        if (!has(other, mine->mailboxes[i]))
            mine->mailboxes[count++] = mine->mailboxes[i];
    mine->head.count = count;
}

/* Against one other process. Of two that take at the same moment the higher number yields, and the lower one waits
 * until the other knows what it has. */
static void settle(int dir, struct list *mine, uint64_t other)
{
    struct timespec pause = { .tv_nsec = WAIT_MS * 1000000L };
    struct list theirs;

    for (unsigned waits = 0; read_list(dir, other, &theirs); waits++) {
        if (theirs.head.place == mine->head.place) {
            free(theirs.mailboxes);
            return;
        }
        if (!theirs.head.taking || mine->head.process > other || waits == WAITS_MAX || !meets(mine, &theirs)) {
            yield_to(mine, &theirs);
            free(theirs.mailboxes);
            return;
        }
        free(theirs.mailboxes);
        nanosleep(&pause, NULL);
    }
}

static bool is_alive(const struct ledger_record *r, int64_t wall_ms)
{
    return r->heartbeat_ms > wall_ms - LEDGER_DEAD_AFTER_MS;
}

static bool settle_all(const char *folder, int dir, struct list *mine, struct err *err_r)
{
    struct ledger_record *records = mem_zero(LEDGER_PEERS_MAX, sizeof *records);
    int64_t wall_ms = now_wall_ms();
    size_t count = 0;
    bool ok = ledger_dir_read(folder, wall_ms, records, LEDGER_PEERS_MAX, &count, err_r);

    for (size_t i = 0; ok && i < count; i++)
        if (records[i].process != mine->head.process && is_alive(&records[i], wall_ms))
            settle(dir, mine, records[i].process);
    free(records);
    return ok;
}

/* Of processes that were killed long ago: nobody has their ledger record any more. */
static void forget_old(int dir)
{
    struct dirent *entry;
    size_t seen = 0;
    int copy = dup(dir);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);

    if (!stream) {
        if (copy >= 0)
            close(copy);
        return;
    }
    rewinddir(stream);
    while (seen++ < FILES_MAX && (entry = readdir(stream))) {
        char mate[64];
        uint64_t process;
        int end = 0;

        if (sscanf(entry->d_name, PREFIX "%16" SCNx64 SUFFIX "%n", &process, &end) != 1 || end == 0 ||
            entry->d_name[end])
            continue;
        snprintf(mate, sizeof mate, "pace-%016" PRIx64 ".rec", process);
        if (faccessat(dir, mate, F_OK, 0) != 0 && errno == ENOENT)
            unlinkat(dir, entry->d_name, 0);
    }
    closedir(stream);
}

bool holds_take(const char *folder, uint64_t process, uint64_t place, const uint64_t *mailboxes, size_t count,
                bool *taken_r, struct err *err_r)
{
    struct list mine = { .head = { .magic = MAGIC, .process = process, .place = place, .taking = 1, .count = count } };
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok;

    if (dir < 0)
        return os_error(err_r);
    mine.mailboxes = mem_zero(count + 1, sizeof *mine.mailboxes);
    if (count) {
        memcpy(mine.mailboxes, mailboxes, count * sizeof *mailboxes);
        qsort(mine.mailboxes, count, sizeof *mine.mailboxes, by_number);
    }
    forget_old(dir);
    ok = write_list(dir, &mine, err_r) && settle_all(folder, dir, &mine, err_r);
    mine.head.taking = 0;
    ok = ok && write_list(dir, &mine, err_r);
    for (size_t i = 0; ok && i < count; i++)
        taken_r[i] = has(&mine, mailboxes[i]);
    free(mine.mailboxes);
    close(dir);
    return ok;
}

void holds_leave(const char *folder, uint64_t process)
{
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char name[64];

    if (dir < 0)
        return;
    name_of(process, SUFFIX, name);
    unlinkat(dir, name, 0);
    close(dir);
}
