#include "store/integrity.h"

#include "io/base/mem.h"
#include "store/durable.h"
#include "store/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECKED     "data.mdb.checked"
#define LOOKS_MAX   5
#define EXIT_BROKEN 74 /* interface.md: disk or spool error */

/* Bodies have checksums of their own, the engine's values (meta) no common form. */
static bool record_right(const char *table, struct slice key, struct slice value)
{
    return strcmp(table, "meta") == 0 || strcmp(table, "body") == 0 || pack_right(key, value);
}

/* Times alone do not tell: fdatasync writes none when the length stays, so that after a loss of power newer
 * pages may stand in a file with the times of before. */
static bool mark_of(int fd, char *mark, size_t size)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return false;
    snprintf(mark, size, "mailhaul checked 2 %llu %lld %lld.%09ld %lld.%09ld %llu\n", (unsigned long long)st.st_ino,
             (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec,
             st.st_ctim.tv_nsec, (unsigned long long)pages_transaction(fd));
    return true;
}

static bool is_mine(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_uid == geteuid();
}

static bool folder_is_mine(const struct spool *spool)
{
    struct stat st;

    return stat(spool->state_dir.folder, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 022);
}

static bool as_left(const struct spool *spool, int fd)
{
    char *path = state_dir_path(&spool->state_dir, CHECKED), mark[200], left[200] = "";
    int left_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    /* What others say of their files is not believed. */
    ssize_t got = left_fd < 0 || !is_mine(left_fd) || !is_mine(fd) || !folder_is_mine(spool)
                      ? -1
                      : read(left_fd, left, sizeof left - 1);

    if (left_fd >= 0)
        close(left_fd);
    free(path);
    return got > 0 && mark_of(fd, mark, sizeof mark) && strcmp(mark, left) == 0;
}

bool integrity_run_begins(struct spool *spool, struct err *err_r)
{
    char *path = state_dir_path(&spool->state_dir, CHECKED);
    bool ok = unlink(path) == 0 ? durable_name(path) : errno == ENOENT;
    int error = errno;

    free(path);
    return ok || env_error(spool, err_r, error, "open the spool");
}

void integrity_run_ended(const struct spool *spool)
{
    char *data, *path, mark[200];
    int fd, mark_fd;

    if (spool->read_only || atomic_load(&spool->damaged) || spool->unsound[0])
        return;
    data = state_dir_path(&spool->state_dir, "data.mdb");
    path = state_dir_path(&spool->state_dir, CHECKED);
    fd = open(data, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        mark_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (mark_fd >= 0) {
            /* A mark that is not whole is none: the next run looks for itself. */
            if (mark_of(fd, mark, sizeof mark) && write(mark_fd, mark, strlen(mark)) != (ssize_t)strlen(mark))
                unlink(path);
            close(mark_fd);
        }
        close(fd);
    }
    free(data);
    free(path);
}

static bool held_by_another(const struct spool *spool)
{
    bool held;

    return spool->read_only && (!state_dir_is_held(&spool->state_dir, &held) || held);
}

/* A run that begins while pages are read may use free ones again. */
static int looked_at(struct spool *spool, int fd, struct pages_result *result_r)
{
    for (unsigned i = 0;; i++) {
        int rc = pages_check(fd, "body", record_right, result_r);

        if ((rc == 0 && !result_r->record[0]) || !spool->read_only || i == LOOKS_MAX)
            return rc;
        if (held_by_another(spool))
            return 0;
        if (pages_transaction(fd) == result_r->transaction)
            return rc;
    }
}

bool integrity_check(struct spool *spool, struct err *err_r)
{
    struct pages_result result = { 0 };
    char *path = state_dir_path(&spool->state_dir, "data.mdb");
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0, error = errno;
    struct stat st;

    free(path);
    if (fd < 0)
        return error == ENOENT || env_error(spool, err_r, error, "open the spool");
    if (fstat(fd, &st) < 0)
        rc = errno;
    else if (st.st_size > 0 && !held_by_another(spool) && (spool->distrust || !as_left(spool, fd)))
        rc = looked_at(spool, fd, &result);
    close(fd);
    if (rc == MDB_CORRUPTED || rc == MDB_INVALID)
        return env_damaged(spool, err_r, result.what, "open the spool");
    if (rc)
        return env_error(spool, err_r, rc, "open the spool");
    memcpy(spool->unsound, result.record, sizeof spool->unsound);
    return true;
}

/* What the handlers read. Set before the spool is used by other threads, cleared after. */
static struct {
    const struct spool *spool;
    uintptr_t from, to;
    char line[600];
    struct sigaction before[2];
    bool caught;
} net;

static _Noreturn void ended(void)
{
    if (write(STDERR_FILENO, net.line, strlen(net.line)) < 0)
        _exit(EXIT_BROKEN);
    _exit(EXIT_BROKEN);
}

static void on_assertion(MDB_env *env, const char *message)
{
    ended();
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    uintptr_t at = (uintptr_t)info->si_addr;

    if (net.spool && at >= net.from && at < net.to)
        ended();
    /* Not of the spool: it happens again, as if nobody had asked. */
    sigaction(number, &net.before[number == SIGBUS], NULL);
}

void integrity_watch(const struct spool *spool, const char *path)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

    snprintf(net.line, sizeof net.line,
             "mailhaul: %s: it cannot be read any more: it was changed while it was in use, or the disk "
             "is bad. " ENV_DAMAGED_ADVICE "\n",
             path);
    net.from = (uintptr_t)spool->map;
    net.to = net.from + (spool->map ? spool->map_bytes : 0);
    net.spool = spool;
    mdb_env_set_assert(spool->env, on_assertion);
    if (net.caught)
        return;
    net.caught = true;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &net.before[0]);
    sigaction(SIGBUS, &action, &net.before[1]);
}

void integrity_unwatch(const struct spool *spool)
{
    if (net.spool == spool)
        net.spool = NULL;
}
