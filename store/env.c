#include "store/env.h"

#include "io/base/log.h"
#include "io/base/mem.h"
#include "store/durable.h"
#include "store/integrity.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_BYTES_WANTED (1ull << 40)
#define MAP_BYTES_LEAST  (16ull << 20)
#define READERS_MAX      1024

static const char *const table_names[TABLE_COUNT] = {
    [TABLE_META] = "meta",       [TABLE_USER] = "user",       [TABLE_ADDRESS] = "address", [TABLE_FOLDER] = "folder",
    [TABLE_MESSAGE] = "message", [TABLE_NOTE] = "note",       [TABLE_BODY] = "body",       [TABLE_PARTIAL] = "partial",
    [TABLE_SHARE] = "share",     [TABLE_FAILURE] = "failure", [TABLE_PROBLEM] = "problem", [TABLE_SAMPLE] = "sample",
    [TABLE_FOLLOW] = "follow",
};

bool env_damaged(struct spool *spool, struct err *err_r, const char *what, const char *doing)
{
    atomic_store(&spool->damaged, true);
    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, MDB_CORRUPTED,
            "%.120s%s/data.mdb is damaged%s%s%s. " ENV_DAMAGED_ADVICE, spool->state_dir.folder,
            strlen(spool->state_dir.folder) > 120 ? "..." : "", what ? " (" : "", what ? what : "", what ? ")" : "");
    return err_doing(err_r, "%s", doing);
}

bool env_lost(struct spool *spool, struct err *err_r, const char *what)
{
    if (what)
        return env_damaged(spool, err_r, what, "open the spool");
    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, MDB_CORRUPTED,
            "%.100s%s/data.mdb is missing, though a run began here. " ENV_DAMAGED_ADVICE, spool->state_dir.folder,
            strlen(spool->state_dir.folder) > 100 ? "..." : "");
    return err_doing(err_r, "open the spool");
}

/* What may not be looked into is somebody else's too, most often: a folder above it is closed. */
static bool is_another_users(const char *folder)
{
    struct stat st;

    return stat(folder, &st) == 0 ? st.st_uid != geteuid() : errno == EACCES;
}

bool env_error(struct spool *spool, struct err *err_r, int rc, const char *doing)
{
    const char *text = mdb_strerror(rc);

    switch (rc) {
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_BAD_VALSIZE:
    case MDB_CURSOR_FULL:
    case MDB_INCOMPATIBLE:
        return env_damaged(spool, err_r, NULL, doing);
    case MDB_VERSION_MISMATCH:
        text = "the spool was written by another version of LMDB";
        break;
    case MDB_PANIC:
        text = "a write to the spool failed half-way; stop and run again";
        break;
    case MDB_MAP_FULL:
        text = "the spool has reached its largest size (address space is limited: ulimit -v)";
        break;
    case ENV_TOO_LONG:
        text = "a name or another text is longer than the spool keeps";
        break;
    case MDB_READERS_FULL:
        text = "too many programs read the spool";
        break;
    case EROFS:
        text = "the file system is read-only";
        break;
    case EACCES:
        text = is_another_users(spool->state_dir.folder)
                   ? "it belongs to another user, who alone may read it: run this as that user"
                   : "no permission on the spool's files";
        break;
    case ENOSPC:
        text = "no space left on the disk";
        break;
    default:
        break;
    }
    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, rc, "%.160s: %s", spool->state_dir.folder,
            text);
    return err_doing(err_r, "%s", doing);
}

static uint64_t map_bytes_first(void)
{
    struct rlimit limit;
    uint64_t bytes = MAP_BYTES_WANTED;

    /* Half of a limited address space stays for everything else. */
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        while (bytes > limit.rlim_cur / 2 && bytes > MAP_BYTES_LEAST)
            bytes /= 2;
    return bytes;
}

bool env_not_begun(const struct spool *spool, struct err *err_r)
{
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, ENOENT,
                   "%s: there is no spool in it; nothing has run yet", spool->state_dir.folder);
}

/* A file that LMDB had not finished when the first run broke off stands in its way; nothing is in it. */
static bool broken_off(struct spool *spool, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is = fd >= 0 && run_mark_broke_off(fd);

    if (fd >= 0)
        close(fd);
    return is && (spool->read_only || unlink(path) == 0);
}

static bool file_judged(struct spool *spool, struct err *err_r)
{
    char *path = state_dir_path(&spool->state_dir, "data.mdb");
    struct stat st;
    int rc = stat(path, &st) == 0 ? 0 : errno;
    bool empty = rc == ENOENT || (rc == 0 && st.st_size == 0);

    if (!empty && rc == 0 && !spool->begun.was)
        empty = broken_off(spool, path);
    free(path);
    if (empty && spool->begun.was)
        return env_lost(spool, err_r, rc == ENOENT ? NULL : "it is empty, though a run began here");
    if (empty && spool->read_only)
        return env_not_begun(spool, err_r);
    if (rc && rc != ENOENT)
        return env_error(spool, err_r, rc, "open the spool");
    return integrity_check(spool, err_r);
}

static int open_sized(struct spool *spool, uint64_t map_bytes)
{
    /* NOTLS: read transactions belong to objects, not threads. NORDAHEAD: bodies are read once, in
     * file order at best by chance. */
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (spool->read_only ? MDB_RDONLY : 0);
    int rc = mdb_env_create(&spool->env);

    if (rc)
        return rc;
    rc = mdb_env_set_maxdbs(spool->env, TABLE_COUNT);
    if (!rc)
        rc = mdb_env_set_maxreaders(spool->env, READERS_MAX);
    if (!rc)
        rc = mdb_env_set_mapsize(spool->env, map_bytes);
    if (!rc)
        rc = mdb_env_open(spool->env, spool->state_dir.folder, flags, 0600);
    if (rc) {
        mdb_env_close(spool->env);
        spool->env = NULL;
    }
    return rc;
}

static int free_pages(struct spool *spool, uint64_t *free_r)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t count = 0;
    int rc = mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn);

    if (rc)
        return rc;
    /* Table 0 is LMDB's own list of free pages: number of pages, then the pages. */
    rc = mdb_cursor_open(txn, 0, &cursor);
    if (!rc) {
        while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
            size_t n;

            if (value.mv_size < sizeof n)
                continue;
            memcpy(&n, value.mv_data, sizeof n);
            if (n > value.mv_size / sizeof n - 1) {
                rc = MDB_CORRUPTED;
                break;
            }
            count += n;
        }
        if (rc == MDB_NOTFOUND)
            rc = 0;
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    *free_r = count;
    return rc;
}

/* Where LMDB has mapped the file, which it tells only of maps at a fixed address (me_mapaddr); NULL
 * where the kernel does not tell either. */
static void *map_of(const struct stat *file)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long from, offset, inode;
    void *map = NULL;
    char line[512];

    while (maps && !map && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%*x %*s %lx %*x:%*x %lu", &from, &offset, &inode) == 3 && offset == 0 &&
            inode == file->st_ino && strstr(line, "data.mdb"))
            map = (void *)(uintptr_t)from;
    if (maps)
        fclose(maps);
    return map;
}

static bool measured(struct spool *spool, struct err *err_r)
{
    MDB_envinfo info;
    MDB_stat stat_env;
    struct stat st;
    char *path;
    int fd, rc;

    rc = mdb_env_get_fd(spool->env, &fd);
    if (!rc)
        rc = mdb_env_info(spool->env, &info);
    if (!rc)
        rc = mdb_env_stat(spool->env, &stat_env);
    if (!rc && fstat(fd, &st) < 0)
        rc = errno;
    if (rc)
        return env_error(spool, err_r, rc, "open the spool");
    spool->page_bytes = stat_env.ms_psize;
    spool->map_bytes = info.me_mapsize;
    spool->map = map_of(&st);
    path = state_dir_path(&spool->state_dir, "data.mdb");
    integrity_watch(spool, path);
    free(path);
    return true;
}

static bool tables_opened(struct spool *spool, struct err *err_r)
{
    MDB_txn *txn;
    MDB_stat root;
    int rc = mdb_env_stat(spool->env, &root);

    /* A run that was killed before its first commit leaves an environment without tables. */
    if (!rc && root.ms_entries == 0 && spool->begun.was)
        return env_lost(spool, err_r, "nothing is in it, though a run began here");
    if (!rc && spool->read_only && root.ms_entries == 0)
        return env_not_begun(spool, err_r);
    if (!rc)
        rc = mdb_txn_begin(spool->env, NULL, spool->read_only ? MDB_RDONLY : 0, &txn);
    if (rc)
        return env_error(spool, err_r, rc, "open the spool");
    for (unsigned i = 0; i < TABLE_COUNT && !rc; i++) {
        rc = mdb_dbi_open(txn, table_names[i], spool->read_only ? 0 : MDB_CREATE, &spool->tables[i]);
        if (rc == MDB_NOTFOUND && i == TABLE_FOLLOW) {
            spool->tables[i] = TABLE_ABSENT;
            rc = 0;
        }
    }
    if (rc) {
        mdb_txn_abort(txn);
        if (rc == MDB_NOTFOUND)
            return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, rc,
                           "%s: the spool is not one of mailhaul's", spool->state_dir.folder);
        return env_error(spool, err_r, rc, "open the spool");
    }
    /* Also in a read-only environment: it keeps the handles. */
    rc = mdb_txn_commit(txn);
    return rc == 0 || env_error(spool, err_r, rc, "open the spool");
}

/* LMDB makes the file and syncs what it holds, but not the folder in which it has its name. */
static bool named_durably(struct spool *spool, struct err *err_r)
{
    char *path = state_dir_path(&spool->state_dir, "data.mdb");
    bool ok = spool->read_only || durable_name(path);
    int error = errno;

    free(path);
    return ok || env_error(spool, err_r, error, "open the spool");
}

bool env_open(struct spool *spool, struct err *err_r)
{
    uint64_t map_bytes = map_bytes_first();
    int rc, dead = 0;

    if (!file_judged(spool, err_r) || (!spool->read_only && !integrity_run_begins(spool, err_r)))
        return false;
    while ((rc = open_sized(spool, map_bytes)) == ENOMEM && map_bytes > MAP_BYTES_LEAST)
        map_bytes /= 2;
    if (rc)
        return env_error(spool, err_r, rc, "open the spool");
    /* Slots of killed readers would keep pages from being reused for ever. */
    if (!spool->read_only && (rc = mdb_reader_check(spool->env, &dead)) != 0)
        log_line(LOG_WARN, "spool.readers", "%s", mdb_strerror(rc));
    if (!measured(spool, err_r) || !tables_opened(spool, err_r) || !named_durably(spool, err_r)) {
        env_close(spool);
        return false;
    }
    return true;
}

void env_close(struct spool *spool)
{
    if (!spool->env)
        return;
    integrity_unwatch(spool);
    mdb_env_close(spool->env);
    spool->env = NULL;
    integrity_run_ended(spool);
}

bool env_free_share(struct spool *spool, unsigned *percent_r, uint64_t *file_bytes_r, struct err *err_r)
{
    MDB_envinfo info;
    uint64_t count;
    int rc = free_pages(spool, &count);

    if (!rc)
        rc = mdb_env_info(spool->env, &info);
    if (rc)
        return env_error(spool, err_r, rc, "measure the spool");
    *file_bytes_r = ((uint64_t)info.me_last_pgno + 1) * spool->page_bytes;
    *percent_r = (unsigned)(count * 100 / ((uint64_t)info.me_last_pgno + 1));
    return true;
}

static void number_key(struct key *key, const char *name)
{
    int n = snprintf((char *)key->bytes, sizeof key->bytes, "s:%s", name);

    assert(n > 0 && (size_t)n < sizeof key->bytes);
    key->size = (size_t)n;
}

int env_number_get(const struct spool *spool, MDB_txn *txn, const char *name, uint64_t *number_r)
{
    struct key key;
    MDB_val k, v;
    int rc;

    number_key(&key, name);
    k = env_val(key_slice(&key));
    rc = mdb_get(txn, spool->tables[TABLE_META], &k, &v);
    *number_r = 0;
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc)
        return rc;
    return decode_number(key_slice(&key), env_slice(v), number_r) ? 0 : MDB_CORRUPTED;
}

int env_number_put(struct spool *spool, MDB_txn *txn, const char *name, uint64_t number)
{
    uint8_t bytes[64];
    struct key key;
    MDB_val k, v;

    number_key(&key, name);
    k = env_val(key_slice(&key));
    v = (MDB_val){ encode_number(bytes, &key, number), bytes };
    return mdb_put(txn, spool->tables[TABLE_META], &k, &v, 0);
}

/* Space the disk leaves: what the file takes plus what is free, less a reserve, and of that three
 * quarters, since pages are only partly filled and copy-on-write needs spare ones (measured: file
 * 1.2 to 1.6 times what lives in it). */
void env_measure_fill(struct spool *spool)
{
    uint64_t held = atomic_load(&spool->held_bytes), free_bytes, disk_bytes, budget, reserve, room;
    MDB_envinfo info;

    budget = spool->map_bytes - spool->map_bytes / 4;
    if (state_dir_disk(&spool->state_dir, &free_bytes, &disk_bytes) && mdb_env_info(spool->env, &info) == 0) {
        atomic_store_explicit(&spool->free_bytes, free_bytes, memory_order_relaxed);
        reserve = disk_bytes / 10;
        if (reserve > (1ull << 30))
            reserve = 1ull << 30;
        room =
            ((uint64_t)info.me_last_pgno + 1) * spool->page_bytes + (free_bytes > reserve ? free_bytes - reserve : 0);
        if (room - room / 4 < budget)
            budget = room - room / 4;
    }
    if (spool->budget_config && spool->budget_config < budget)
        budget = spool->budget_config;
    atomic_store(&spool->budget_bytes, budget);
    if (atomic_load(&spool->draining) || held >= budget - budget / 5)
        atomic_store(&spool->high, true);
    else if (held <= budget / 5 * 3)
        atomic_store(&spool->high, false);
}

void env_let_go(struct spool *spool)
{
    MDB_envinfo info;

    if (spool->map && mdb_env_info(spool->env, &info) == 0)
        madvise(spool->map, (info.me_last_pgno + 1) * spool->page_bytes, MADV_DONTNEED);
}
