#include "store/gc.h"

#include "io/base/log.h"
#include "io/base/mem.h"
#include "store/durable.h"
#include "store/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ORPHANS_PER_TRANSACTION 64

int gc_drop_chunks(struct spool *spool, MDB_txn *txn, uint64_t body, uint64_t *freed_r)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    struct key key;
    uint64_t passed = 0;
    int rc = mdb_cursor_open(txn, spool->tables[TABLE_BODY], &cursor);

    if (rc)
        return rc;
    key_chunk(&key, body, 0);
    k = env_val(key_slice(&key));
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (rc == 0) {
        uint64_t found;
        uint32_t chunk;

        if (!key_read_chunk(env_slice(k), &found, &chunk)) {
            rc = MDB_CORRUPTED;
            break;
        }
        if (found != body)
            break;
        if (!pages_value_sound(env_slice(k), env_slice(v), spool->page_bytes)) {
            rc = MDB_CORRUPTED;
            break;
        }
        *freed_r += v.mv_size;
        passed += v.mv_size;
        rc = mdb_cursor_del(cursor, 0);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
        if (passed > ENV_LET_GO_BYTES) {
            passed = 0;
            env_let_go(spool);
        }
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int gc_release(struct spool *spool, MDB_txn *txn, const struct message_record *message, uint64_t *freed_r)
{
    struct share_record share;
    uint8_t bytes[64];
    struct key key;
    MDB_val k, v;
    int rc;

    if (message->body_bytes >= GC_SHARE_BYTES_LEAST) {
        key_digest(&key, message->digest, message->body_bytes);
        k = env_val(key_slice(&key));
        rc = mdb_get(txn, spool->tables[TABLE_SHARE], &k, &v);
        if (rc)
            return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
        if (!decode_share(key_slice(&key), env_slice(v), &share) || share.body != message->body)
            return MDB_CORRUPTED;
        if (--share.refs > 0) {
            v = (MDB_val){ encode_share(bytes, &key, &share), bytes };
            return mdb_put(txn, spool->tables[TABLE_SHARE], &k, &v, 0);
        }
        rc = mdb_del(txn, spool->tables[TABLE_SHARE], &k, NULL);
        if (rc)
            return rc;
    }
    return gc_drop_chunks(spool, txn, message->body, freed_r);
}

/* One transaction's worth; *more_r while there is more. */
static int orphans_some(struct spool *spool, bool *more_r)
{
    uint64_t bodies[ORPHANS_PER_TRANSACTION], freed = 0, held;
    unsigned count = 0;
    MDB_cursor *cursor;
    MDB_txn *txn;
    MDB_val k, v;
    int rc = mdb_txn_begin(spool->env, NULL, 0, &txn);

    if (rc)
        return rc;
    rc = mdb_cursor_open(txn, spool->tables[TABLE_PARTIAL], &cursor);
    if (!rc) {
        while (count < ORPHANS_PER_TRANSACTION && (rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0)
            if (!key_read_body(env_slice(k), &bodies[count++])) {
                rc = MDB_CORRUPTED;
                break;
            }
        if (rc == MDB_NOTFOUND)
            rc = 0;
        mdb_cursor_close(cursor);
    }
    for (unsigned i = 0; i < count && !rc; i++) {
        struct key key;

        key_body(&key, bodies[i]);
        k = env_val(key_slice(&key));
        rc = gc_drop_chunks(spool, txn, bodies[i], &freed);
        if (!rc)
            rc = mdb_del(txn, spool->tables[TABLE_PARTIAL], &k, NULL);
    }
    if (!rc && count) {
        rc = env_number_get(spool, txn, "held", &held);
        if (!rc)
            rc = held < freed ? MDB_CORRUPTED : env_number_put(spool, txn, "held", held - freed);
    }
    if (rc || !count) {
        mdb_txn_abort(txn);
        *more_r = false;
        return rc;
    }
    *more_r = count == ORPHANS_PER_TRANSACTION;
    log_line(LOG_INFO, "spool.orphans", "bodies=%u bytes=%llu", count, (unsigned long long)freed);
    return mdb_txn_commit(txn);
}

int gc_orphans(struct spool *spool)
{
    bool more = true;
    int rc = 0;

    while (more && !rc)
        rc = orphans_some(spool, &more);
    return rc;
}

/* Holds lock.mdb as LMDB does for a first opener, so that nobody opens the spool meanwhile. -1 when
 * somebody has it open. */
static int readers_kept_out(const struct spool *spool)
{
    struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0 };
    char *path = state_dir_path(&spool->state_dir, "lock.mdb");
    int fd = open(path, O_RDWR | O_CLOEXEC);

    free(path);
    if (fd >= 0 && fcntl(fd, F_SETLK, &all) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int copy_made(const struct spool *spool, const char *path)
{
    int fd, rc;

    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    rc = mdb_env_copyfd2(spool->env, fd, MDB_CP_COMPACT);
    if (!rc && fsync(fd) < 0)
        rc = errno;
    close(fd);
    if (rc)
        unlink(path);
    return rc;
}

static void swap_in(const struct spool *spool, const char *copy)
{
    static const char nothing[8];
    char *data;
    int lock_fd = readers_kept_out(spool);

    if (lock_fd < 0) {
        unlink(copy);
        return;
    }
    data = state_dir_path(&spool->state_dir, "data.mdb");
    /* The copy counts transactions from 1 again; a lock file that remembers a later one would point
     * the next opener at the wrong meta page. Without its magic LMDB sets it up anew. */
    if (pwrite(lock_fd, nothing, sizeof nothing, 0) == (ssize_t)sizeof nothing && rename(copy, data) == 0) {
        if (!durable_name(data))
            log_line(LOG_INFO, "spool.compact", "folder not synced");
    } else {
        unlink(copy);
    }
    free(data);
    close(lock_fd);
}

bool gc_compact(struct spool *spool, uint64_t file_bytes_least, struct err *err_r)
{
    uint64_t file_bytes, live_bytes, free_bytes, disk_bytes;
    unsigned percent;
    char *copy;
    int rc;

    if (!env_free_share(spool, &percent, &file_bytes, err_r))
        return false;
    copy = state_dir_path(&spool->state_dir, "data.mdb.compact");
    unlink(copy); /* a run that was killed amid it leaves a copy that takes as much room as the file */
    live_bytes = file_bytes / 100 * (100 - percent);
    if (file_bytes < file_bytes_least || percent <= 50 ||
        !state_dir_disk(&spool->state_dir, &free_bytes, &disk_bytes) ||
        free_bytes < live_bytes + live_bytes / 4 + (64ull << 20)) {
        free(copy);
        return true;
    }
    rc = copy_made(spool, copy);
    if (rc) {
        log_line(LOG_INFO, "spool.compact", "left as it is: %s", mdb_strerror(rc));
        free(copy);
        return true;
    }
    env_close(spool);
    swap_in(spool, copy);
    free(copy);
    if (!env_open(spool, err_r))
        return false;
    log_line(LOG_INFO, "spool.compact", "from_bytes=%llu free_percent=%u", (unsigned long long)file_bytes, percent);
    return true;
}

bool gc_holds_whole(struct spool *spool)
{
    MDB_txn *txn;
    MDB_cursor *cursor = NULL;
    MDB_val k, v;
    struct key next; /* k is of it, in the next turn */
    bool whole = false;
    int rc = mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn);

    if (rc)
        return false;
    rc = mdb_cursor_open(txn, spool->tables[TABLE_BODY], &cursor);
    for (MDB_cursor_op op = MDB_FIRST; !rc && !whole && (rc = mdb_cursor_get(cursor, &k, &v, op)) == 0;
         op = MDB_SET_RANGE) {
        uint64_t body;
        uint32_t chunk;
        MDB_val number;

        if (!key_read_chunk(env_slice(k), &body, &chunk))
            break;
        number = (MDB_val){ 8, k.mv_data };
        rc = mdb_get(txn, spool->tables[TABLE_PARTIAL], &number, &v);
        whole = rc == MDB_NOTFOUND;
        key_chunk(&next, body, UINT32_MAX);
        k = env_val(key_slice(&next));
    }
    if (cursor)
        mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return whole;
}
