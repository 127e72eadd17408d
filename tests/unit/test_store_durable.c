/* test: store */
/* In what order names and pages of the state folder reach the disk. This program stands between the store and
 * the system calls: each call that changes a name, the file or makes either durable is kept as a line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/env.h"
#include "tests/fault/store_kit.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define CALLS_MAX  4096

static struct {
    bool on;
    unsigned count;
    char calls[CALLS_MAX][40]; /* "fsync state", "write data.mdb", "unlink data.mdb.checked" */
} kept;

static void keep(const char *call, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!kept.on || kept.count == CALLS_MAX)
        return;
    snprintf(kept.calls[kept.count++], sizeof kept.calls[0], "%s %.28s", call, slash ? slash + 1 : path);
}

static void keep_fd(const char *call, int fd)
{
    char link[64], path[512];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    keep(call, path);
}

int fsync(int fd)
{
    keep_fd("fsync", fd);
    return REAL(fsync)(fd);
}

int unlink(const char *path)
{
    keep("unlink", path);
    return REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode)
{
    keep("mkdir", path);
    return REAL(mkdir)(path, mode);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    keep_fd("write", fd);
    return REAL(pwrite)(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    keep_fd("write", fd);
    return REAL(pwrite64)(fd, data, size, at);
}

ssize_t write(int fd, const void *data, size_t size)
{
    keep_fd("write", fd);
    return REAL(write)(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    keep_fd("write", fd);
    return REAL(writev)(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    keep_fd("write", fd);
    return REAL(pwritev)(fd, parts, count, at);
}

/* The first call from `from` on; kept.count when there is none. */
static unsigned first(unsigned from, const char *call)
{
    while (from < kept.count && strcmp(kept.calls[from], call) != 0)
        from++;
    return from;
}

static void listen_to(struct kit *kit)
{
    kept.count = 0;
    kept.on = true;
    kit_open(kit);
    kept.on = false;
}

static bool is_there(const struct kit *kit, const char *name, char *text, size_t size)
{
    char path[400];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", kit->state, name);
    file = fopen(path, "re");
    if (file && text)
        text[fread(text, 1, size - 1, file)] = '\0';
    if (file)
        fclose(file);
    return file != NULL;
}

static void a_new_folder_and_file_outlive_a_loss_of_power(void **state)
{
    struct kit kit;
    unsigned made, named;

    (void)state;
    kit_folder(&kit);
    listen_to(&kit);
    made = first(0, "mkdir state");
    assert_true(made < kept.count);
    /* The folder's own name: an fsync of what it stands in, before anything is in it. */
    assert_memory_equal(kept.calls[made + 1], "fsync mh-store-", 15);
    named = first(0, "write data.mdb");
    assert_true(named < kept.count);
    assert_true(first(named, "fsync state") < kept.count);
    kit_deinit(&kit);
}

static void the_mark_of_a_clean_end_goes_before_the_first_write(void **state)
{
    struct kit kit;
    unsigned gone, synced;
    char mark[200], later[200];

    (void)state;
    kit_folder(&kit);
    kit_open(&kit);
    kit_close(&kit);
    assert_true(is_there(&kit, "data.mdb.checked", mark, sizeof mark));
    listen_to(&kit);
    assert_false(is_there(&kit, "data.mdb.checked", NULL, 0));
    gone = first(0, "unlink data.mdb.checked");
    synced = first(gone, "fsync state");
    assert_true(synced < kept.count);
    assert_true(first(0, "write data.mdb") > synced);
    kit_close(&kit);
    assert_true(is_there(&kit, "data.mdb.checked", later, sizeof later));
    /* The newest transaction is in it, at its end: times may stay when pages do not. */
    assert_string_not_equal(strrchr(mark, ' '), strrchr(later, ' '));
    kit_deinit(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_folder_and_file_outlive_a_loss_of_power),
        cmocka_unit_test(the_mark_of_a_clean_end_goes_before_the_first_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
