/* test: store
 * A spool's file from anybody: what is passed as sound LMDB can be read to its end, and gives as many records as its
 * tables say. The input is changes to a sound file: a place (4 bytes, by twos), a length (1) and the bytes; a place
 * that is behind the file cuts it. */
#include "store/pages.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *sound;
static size_t sound_bytes;
static char folder[64];

static void must(int rc)
{
    if (rc)
        abort();
}

static void put_some(MDB_env *env, MDB_dbi one, MDB_dbi two)
{
    MDB_txn *txn;
    char text[6000];

    memset(text, 'v', sizeof text);
    for (unsigned round = 0; round < 3; round++) {
        must(mdb_txn_begin(env, NULL, 0, &txn));
        for (unsigned i = 0; i < 60; i++) {
            char name[32];
            size_t size = (size_t)sprintf(name, "%08u", i * 7 + round);
            MDB_val key = { size, name }, value = { i % 20 == 0 ? 5000 : 10 + i, text };

            must(mdb_put(txn, i % 2 ? one : two, &key, &value, 0));
            if (round == 2 && i % 3 == 0)
                (void)mdb_del(txn, i % 2 ? one : two, &key, NULL);
        }
        must(mdb_txn_commit(txn));
    }
}

static MDB_env *env_open(const char *path, unsigned flags)
{
    MDB_env *env;

    must(mdb_env_create(&env));
    must(mdb_env_set_maxdbs(env, 8));
    must(mdb_env_set_mapsize(env, 16 << 20));
    if (mdb_env_open(env, path, flags | MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK, 0600)) {
        mdb_env_close(env);
        return NULL;
    }
    return env;
}

static void make_sound(void)
{
    char path[80];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi one, two;
    int fd;
    struct stat st;

    snprintf(folder, sizeof folder, "/dev/shm/fuzz-pages-XXXXXX");
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/data.mdb", folder);
    env = env_open(path, 0);
    if (!env)
        abort();
    must(mdb_txn_begin(env, NULL, 0, &txn));
    must(mdb_dbi_open(txn, "one", MDB_CREATE, &one));
    must(mdb_dbi_open(txn, "two", MDB_CREATE, &two));
    must(mdb_txn_commit(txn));
    put_some(env, one, two);
    mdb_env_close(env);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fstat(fd, &st));
    sound_bytes = (size_t)st.st_size;
    sound = malloc(sound_bytes);
    if (read(fd, sound, sound_bytes) != (ssize_t)sound_bytes)
        abort();
    close(fd);
    unlink(path);
    rmdir(folder);
}

static bool any_record(const char *table, struct slice key, struct slice value)
{
    return true;
}

/* What LMDB makes of it: each table to its end, both ways. */
static void read_all(const char *path)
{
    static const char *const tables[] = { "one", "two" };
    MDB_env *env = env_open(path, MDB_RDONLY);
    MDB_txn *txn;

    if (!env)
        abort();
    must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
    for (unsigned i = 0; i < 2; i++) {
        MDB_dbi dbi;
        MDB_cursor *cursor;
        MDB_val key, value;
        MDB_stat stat;
        size_t count = 0;
        unsigned sum = 0;
        int rc = mdb_dbi_open(txn, tables[i], 0, &dbi);

        if (rc == MDB_NOTFOUND)
            continue;
        must(rc);
        must(mdb_stat(txn, dbi, &stat));
        must(mdb_cursor_open(txn, dbi, &cursor));
        for (MDB_cursor_op op = MDB_FIRST; (rc = mdb_cursor_get(cursor, &key, &value, op)) == 0; op = MDB_NEXT) {
            for (size_t k = 0; k < value.mv_size; k++)
                sum += ((unsigned char *)value.mv_data)[k];
            count++;
        }
        if (rc != MDB_NOTFOUND || count != stat.ms_entries || sum == 1)
            abort();
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    mdb_env_close(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pages_result result;
    size_t bytes;
    char *file, path[64];
    int fd, rc;

    if (!sound)
        make_sound();
    bytes = sound_bytes;
    file = malloc(bytes);
    memcpy(file, sound, bytes);
    while (size >= 5) {
        size_t at = 2 * ((size_t)data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16), n = data[4] % 16;

        if (data[3] & 0x80 && at < bytes && at > 0)
            bytes = at;
        data += 5;
        size -= 5;
        for (size_t i = 0; i < n && size; i++, data++, size--)
            if (at + i < bytes)
                file[at + i] = (char)*data;
    }
    fd = memfd_create("fuzz-pages", MFD_CLOEXEC);
    if (fd < 0 || write(fd, file, bytes) != (ssize_t)bytes)
        abort();
    rc = pages_check(fd, "nothing", any_record, &result);
    (void)pages_transaction(fd);
    if (memchr(result.what, '\0', sizeof result.what) == NULL ||
        memchr(result.record, '\0', sizeof result.record) == NULL)
        abort();
    if (bytes == sound_bytes && memcmp(file, sound, bytes) == 0 && rc)
        abort();
    if (rc == 0) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        read_all(path);
    }
    close(fd);
    free(file);
    return 0;
}
