/* test: store */
/* What is left of a spool after its writer was killed, and after its machine lost power.
 *
 * Killed: a child writes and tells through a pipe what was acknowledged; it gets SIGKILL at some
 * instant; what it told must be there. Power: this program stands between LMDB and the system calls
 * that change the file, keeps every write and flush, and builds the files that a disk could hold
 * after losing power at any write: all that was flushed, and any part of what was not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/env.h"
#include "tests/fault/store_kit.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define ROWS 40u /* a FOUND's */

/* ---- the recorder -------------------------------------------------------------------------------
 */

enum { EVENT_WRITE, EVENT_SIZE, EVENT_FLUSH, EVENT_ACK };

struct event {
    int kind;
    off_t at; /* WRITE: where; SIZE: the new size; ACK: how many were acknowledged */
    size_t size;
    char *data;
};

static struct {
    pthread_mutex_t lock;
    bool on;
    dev_t device;
    ino_t inode;
    struct event *events;
    size_t count, room;
} tape = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void taped(int kind, off_t at, const void *data, size_t size)
{
    struct event *e;

    if (tape.count == tape.room) {
        tape.room = tape.room ? tape.room * 2 : 1024;
        tape.events = realloc(tape.events, tape.room * sizeof *tape.events);
    }
    e = &tape.events[tape.count++];
    *e = (struct event){ .kind = kind, .at = at, .size = size };
    if (size) {
        e->data = malloc(size);
        memcpy(e->data, data, size);
    }
}

static bool is_taped(int fd)
{
    struct stat st;

    return tape.on && fstat(fd, &st) == 0 && st.st_dev == tape.device && st.st_ino == tape.inode;
}

/* A write through a descriptor opened with O_DSYNC is durable when it returns, and nothing says so
 * but the descriptor. */
static void taped_write(int fd, off_t at, const struct iovec *parts, int count)
{
    int flags = fcntl(fd, F_GETFL);

    pthread_mutex_lock(&tape.lock);
    for (int i = 0; i < count; i++) {
        taped(EVENT_WRITE, at, parts[i].iov_base, parts[i].iov_len);
        at += (off_t)parts[i].iov_len;
    }
    if (flags & O_DSYNC)
        taped(EVENT_FLUSH, 0, NULL, 0);
    pthread_mutex_unlock(&tape.lock);
}

#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))

ssize_t pwrite(int fd, const void *data, size_t size, off_t at);
ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t) = REAL("pwrite", ssize_t(*)(int, const void *, size_t, off_t));
    ssize_t done = real(fd, data, size, at);

    if (done > 0 && is_taped(fd))
        taped_write(fd, at, &(struct iovec){ (void *)(uintptr_t)data, (size_t)done }, 1);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    ssize_t (*real)(int, const struct iovec *, int) = REAL("writev", ssize_t(*)(int, const struct iovec *, int));
    bool kept = is_taped(fd);
    off_t at = kept ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t done = real(fd, parts, count);
    size_t whole = 0;

    for (int i = 0; i < count; i++)
        whole += parts[i].iov_len;
    if (kept && done > 0) {
        assert_int_equal(done, whole);
        taped_write(fd, at, parts, count);
    }
    return done;
}

int ftruncate(int fd, off_t size)
{
    int (*real)(int, off_t) = REAL("ftruncate", int (*)(int, off_t));
    int rc = real(fd, size);

    if (rc == 0 && is_taped(fd)) {
        pthread_mutex_lock(&tape.lock);
        taped(EVENT_SIZE, size, NULL, 0);
        pthread_mutex_unlock(&tape.lock);
    }
    return rc;
}

int fdatasync(int fd)
{
    int (*real)(int) = REAL("fdatasync", int (*)(int));
    int rc = real(fd);

    if (rc == 0 && is_taped(fd)) {
        pthread_mutex_lock(&tape.lock);
        taped(EVENT_FLUSH, 0, NULL, 0);
        pthread_mutex_unlock(&tape.lock);
    }
    return rc;
}

/* ---- a story of operations, each with a number --------------------------------------------------
 */

static size_t body_size(uint32_t uid)
{
    return uid % 7 == 0 ? 600000 : 200 + uid * 37 % 9000;
}

/* Step n of the story, on folder 1: rows come, bodies come, messages end. Steps repeat with a
 * period; what step n makes true is asked by story_holds. */
static struct store_op *story_step(struct kit *kit, uint32_t user, unsigned n)
{
    uint32_t round = n / (3 * ROWS + 1), at = n % (3 * ROWS + 1);
    uint32_t uid = round * ROWS + 1 + (at - 1) / 3;

    if (at == 0)
        return kit_found_op(user, 1, round * ROWS + 1, ROWS);
    if (at % 3 == 1) {
        char *data = kit_body(uid, body_size(uid));
        struct store_op *op = kit_spooled_op(kit, user, 1, uid, data, body_size(uid), NULL);

        free(data);
        return op;
    }
    if (at % 3 == 2) {
        struct store_op *op = store_op_new(STORE_OP_FLUSH, 0, 0);

        return op;
    }
    return kit_end_op(user, 1, uid, uid % 5 == 0 ? MESSAGE_FAILED : MESSAGE_UPLOADED);
}

/* Is what step n makes true so? */
static bool story_is(struct kit *kit, uint32_t user, unsigned n)
{
    uint32_t round = n / (3 * ROWS + 1), at = n % (3 * ROWS + 1);
    uint32_t uid = round * ROWS + 1 + (at - 1) / 3;
    enum message_state least;

    if (kit_tally(kit, user, 1).found < (round + 1) * ROWS)
        return false;
    if (at == 0 || at % 3 == 2)
        return true;
    least = at % 3 == 1 ? MESSAGE_SPOOLED : uid % 5 == 0 ? MESSAGE_FAILED : MESSAGE_UPLOADED;
    return kit_message(kit, user, 1, uid).state >= least;
}

static void story_holds(struct kit *kit, uint32_t user, unsigned n)
{
    if (!story_is(kit, user, n))
        fail_msg("step %u was acknowledged, but is not there", n);
}

/* ---- killed -------------------------------------------------------------------------------------
 */

static void child_writes(struct kit *kit, uint32_t user, unsigned from, int fd)
{
    for (unsigned n = from;; n++) {
        kit_do(kit, story_step(kit, user, n));
        if (write(fd, &n, sizeof n) != sizeof n)
            _exit(1);
    }
}

static void nothing_acknowledged_is_lost_when_the_writer_is_killed(void **state)
{
    unsigned told = UINT32_MAX, rounds = 12;
    uint64_t x = 88172645463325252ull;
    uint32_t user;
    struct kit kit;

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    kit_do(&kit, kit_folder_op(user, 1));
    kit_close(&kit);
    for (unsigned round = 0; round < rounds; round++) {
        int fds[2], status;
        unsigned n;
        pid_t pid;

        assert_int_equal(pipe(fds), 0);
        fflush(NULL);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(fds[0]);
            kit_open(&kit);
            child_writes(&kit, user, told + 1, fds[1]);
        }
        close(fds[1]);
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        /* So many acknowledgements, and then a little into the next commit. */
        for (unsigned left = 1 + x % 60; left > 0 && read(fds[0], &n, sizeof n) == sizeof n; left--)
            told = n;
        usleep(x >> 20 & 2047);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        while (read(fds[0], &n, sizeof n) == sizeof n)
            told = n;
        close(fds[0]);
        kit_open(&kit);
        assert_int_equal(kit_faults(&kit, NULL), 0);
        for (unsigned i = 0; i != told + 1; i++)
            story_holds(&kit, user, i);
        /* Killed between the commit and the word of it: no step is done twice. */
        if (story_is(&kit, user, told + 1))
            told++;
        kit_close(&kit);
    }
    assert_true(told > rounds);
    kit_deinit(&kit);
}

/* ---- power lost ---------------------------------------------------------------------------------
 */

struct disk {
    char *bytes;
    size_t size, room;
};

static void disk_sized(struct disk *disk, size_t size)
{
    if (size > disk->room) {
        disk->room = size * 2;
        disk->bytes = realloc(disk->bytes, disk->room);
    }
    if (size > disk->size)
        memset(disk->bytes + disk->size, 0, size - disk->size);
    disk->size = size;
}

static void disk_takes(struct disk *disk, const struct event *e)
{
    if (e->kind == EVENT_SIZE) {
        disk_sized(disk, (size_t)e->at);
    } else if (e->kind == EVENT_WRITE) {
        if ((size_t)e->at + e->size > disk->size)
            disk_sized(disk, (size_t)e->at + e->size);
        memcpy(disk->bytes + e->at, e->data, e->size);
    }
}

static void disk_opens(const struct disk *disk, struct kit *after, uint32_t user, unsigned told)
{
    char path[400];
    FILE *f;

    assert_int_equal(mkdir(after->state, 0700), 0);
    snprintf(path, sizeof path, "%s/data.mdb", after->state);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(disk->bytes, 1, disk->size, f), disk->size);
    assert_int_equal(fclose(f), 0);
    kit_open(after);
    assert_int_equal(kit_faults(after, NULL), 0);
    for (unsigned i = 0; i < told; i++)
        story_holds(after, user, i);
    kit_close(after);
    kit_remove(after->state);
}

static void every_state_a_disk_can_be_left_in_opens_and_holds(void **state)
{
    const unsigned steps = 2 * (3 * ROWS + 1);
    struct disk flushed = { 0 }, torn = { 0 };
    uint64_t x = 2463534242ull;
    unsigned told = 0, tried = 0;
    struct kit kit, after;
    struct stat st;
    char path[400];
    uint32_t user;
    FILE *f;

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    kit_do(&kit, kit_folder_op(user, 1));
    snprintf(path, sizeof path, "%s/data.mdb", kit.state);
    assert_int_equal(stat(path, &st), 0);
    disk_sized(&flushed, (size_t)st.st_size);
    f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fread(flushed.bytes, 1, flushed.size, f), flushed.size);
    fclose(f);
    tape.device = st.st_dev;
    tape.inode = st.st_ino;
    tape.on = true;
    for (unsigned n = 0; n < steps; n++) {
        kit_do(&kit, story_step(&kit, user, n));
        pthread_mutex_lock(&tape.lock);
        taped(EVENT_ACK, (off_t)n + 1, NULL, 0);
        pthread_mutex_unlock(&tape.lock);
    }
    tape.on = false;
    kit_close(&kit);
    kit_folder(&after);
    for (size_t from = 0, at = 0; at < tape.count; at++) {
        const struct event *e = &tape.events[at];

        if (e->kind == EVENT_ACK) {
            told = (unsigned)e->at;
            continue;
        }
        if (e->kind != EVENT_FLUSH)
            continue;
        /* Power went before this flush was done: any part of what it covers is there. */
        for (int way = 0; way < 2 && at > from; way++) {
            torn.size = 0;
            disk_sized(&torn, flushed.size);
            memcpy(torn.bytes, flushed.bytes, flushed.size);
            for (size_t i = from; i < at; i++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                if (x & 1)
                    disk_takes(&torn, &tape.events[i]);
            }
            /* Most commits are alike: every seventh is tried, and those of the first dozen. */
            if (tried++ % 7 == 0 || tried < 24)
                disk_opens(&torn, &after, user, told);
        }
        for (size_t i = from; i < at; i++)
            disk_takes(&flushed, &tape.events[i]);
        from = at + 1;
    }
    disk_opens(&flushed, &after, user, told);
    assert_int_equal(told, steps);
    /* Each commit flushes twice: pages, then the meta page that makes them count. */
    assert_true(tried > steps);
    for (size_t i = 0; i < tape.count; i++)
        free(tape.events[i].data);
    free(tape.events);
    free(flushed.bytes);
    free(torn.bytes);
    kit_deinit(&after);
    kit_deinit(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_when_the_writer_is_killed),
        cmocka_unit_test(every_state_a_disk_can_be_left_in_opens_and_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
