#include "store/spool.h"

#include "io/base/log.h"
#include "io/base/mem.h"
#include "store/env.h"
#include "store/gc.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>

/* Body numbers one run may use; 64 bits hold four billion runs. */
#define BODIES_PER_RUN (1ull << 32)

static bool blob_get(struct spool *spool, MDB_txn *txn, const char *name, MDB_val *v_r, int *rc_r)
{
    MDB_val k = { strlen(name), (void *)(uintptr_t)name };

    *rc_r = mdb_get(txn, spool->tables[TABLE_META], &k, v_r);
    return *rc_r == 0;
}

static bool refused(struct spool *spool, struct err *err_r, const char *why)
{
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0, "%s: %s", spool->state_dir.folder,
                   why);
}

/* A new spool gets its format and, with a key, a salt and a proof of the key. */
static int identity_written(struct spool *spool, MDB_txn *txn, const uint8_t salt[SEAL_SALT_BYTES])
{
    uint8_t bytes[SEAL_SALT_BYTES + SEAL_PROOF_BYTES];
    MDB_val k = { 6, (void *)(uintptr_t) "s:seal" }, v = { sizeof bytes, bytes };
    int rc = env_number_put(spool, txn, "format", SPOOL_FORMAT);

    if (rc || !spool->seal.on)
        return rc;
    memcpy(bytes, salt, SEAL_SALT_BYTES);
    memcpy(bytes + SEAL_SALT_BYTES, spool->seal.proof, SEAL_PROOF_BYTES);
    return mdb_put(txn, spool->tables[TABLE_META], &k, &v, 0);
}

static bool key_judged(struct spool *spool, MDB_txn *txn, const struct secret *key, struct err *err_r)
{
    const uint8_t *stored;
    MDB_val v;
    int rc;

    if (!blob_get(spool, txn, "s:seal", &v, &rc)) {
        if (rc != MDB_NOTFOUND)
            return env_error(spool, err_r, rc, "open the spool");
        return !key || refused(spool, err_r,
                               "the spool was made without a key; run without one, "
                               "or with another state folder");
    }
    if (v.mv_size != SEAL_SALT_BYTES + SEAL_PROOF_BYTES)
        return env_error(spool, err_r, MDB_CORRUPTED, "open the spool");
    if (!key) /* status and report read no body */
        return spool->read_only || refused(spool, err_r, "the spool is encrypted and no key was given");
    stored = v.mv_data;
    if (!seal_derive(&spool->seal, secret_peek(key), stored, err_r))
        return false;
    if (CRYPTO_memcmp(stored + SEAL_SALT_BYTES, spool->seal.proof, SEAL_PROOF_BYTES) != 0)
        return refused(spool, err_r, "the key is not the one the spool was made with");
    return true;
}

/* The number by which the folder's mark knows this data.mdb. A spool of a program that gave none gets one. */
static bool number_judged(struct spool *spool, MDB_txn *txn, struct err *err_r)
{
    int rc = env_number_get(spool, txn, "identity", &spool->identity);

    if (!rc && spool->begun.identity && spool->begun.identity != spool->identity)
        return env_lost(spool, err_r, "it is not the one of the run that began here");
    while (!rc && !spool->read_only && spool->identity == 0) {
        if (RAND_bytes((uint8_t *)&spool->identity, sizeof spool->identity) != 1)
            return refused(spool, err_r, "no random bytes for the spool's number");
        rc = spool->identity ? env_number_put(spool, txn, "identity", spool->identity) : 0;
    }
    return rc == 0 || env_error(spool, err_r, rc, "open the spool");
}

static bool identity_judged(struct spool *spool, MDB_txn *txn, const struct secret *key, bool *changed_r,
                            struct err *err_r)
{
    uint8_t salt[SEAL_SALT_BYTES];
    uint64_t format;
    MDB_stat users;
    int rc = env_number_get(spool, txn, "format", &format);

    if (rc == MDB_CORRUPTED)
        return refused(spool, err_r,
                       "the spool was written by another version of mailhaul, or is "
                       "damaged");
    if (!rc)
        rc = mdb_stat(txn, spool->tables[TABLE_USER], &users);
    if (rc)
        return env_error(spool, err_r, rc, "open the spool");
    if (format == SPOOL_FORMAT && spool->unsound[0])
        return env_damaged(spool, err_r, spool->unsound, "open the spool");
    if (format == SPOOL_FORMAT)
        return number_judged(spool, txn, err_r) && key_judged(spool, txn, key, err_r);
    if (format == 0 && users.ms_entries == 0 && spool->begun.was)
        return env_lost(spool, err_r, "nothing is in it, though a run began here");
    /* Killed between the commit that made the tables and the one that set them up. */
    if (format == 0 && users.ms_entries == 0 && spool->read_only)
        return env_not_begun(spool, err_r);
    if (format != 0 || users.ms_entries != 0) {
        err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, 0,
                "%s: the spool has format %llu, this program reads %d; finish the batch with the "
                "program that began it, or begin with a new state folder",
                spool->state_dir.folder, (unsigned long long)format, SPOOL_FORMAT);
        return false;
    }
    if (key) {
        if (RAND_bytes(salt, sizeof salt) != 1)
            return refused(spool, err_r, "no random bytes for the spool's salt");
        if (!seal_derive(&spool->seal, secret_peek(key), salt, err_r))
            return false;
    }
    rc = identity_written(spool, txn, salt);
    *changed_r = true;
    if (rc)
        return env_error(spool, err_r, rc, "set up the spool");
    return number_judged(spool, txn, err_r);
}

static bool numbers_read(struct spool *spool, MDB_txn *txn, struct err *err_r)
{
    uint64_t next, held, last;
    int rc = env_number_get(spool, txn, "body_next", &next);

    if (!rc)
        rc = env_number_get(spool, txn, "held", &held);
    if (!rc)
        rc = env_number_get(spool, txn, "last_commit", &last);
    if (!rc && next > UINT64_MAX - 2 * BODIES_PER_RUN)
        rc = MDB_CORRUPTED;
    if (!rc && !spool->read_only)
        rc = env_number_put(spool, txn, "body_next", next + BODIES_PER_RUN);
    if (rc)
        return env_error(spool, err_r, rc, "open the spool");
    atomic_store(&spool->body_next, next + 1);
    spool->body_end = next + BODIES_PER_RUN;
    atomic_store(&spool->held_bytes, held);
    spool->last_commit_ms = (int64_t)last;
    return true;
}

static bool contents_opened(struct spool *spool, const struct secret *key, struct err *err_r)
{
    bool changed = false;
    MDB_txn *txn;
    int rc = mdb_txn_begin(spool->env, NULL, spool->read_only ? MDB_RDONLY : 0, &txn);

    if (rc)
        return env_error(spool, err_r, rc, "open the spool");
    if (!identity_judged(spool, txn, key, &changed, err_r) || !numbers_read(spool, txn, err_r)) {
        mdb_txn_abort(txn);
        return false;
    }
    if (spool->read_only) {
        mdb_txn_abort(txn);
        return true;
    }
    rc = mdb_txn_commit(txn);
    return rc == 0 || env_error(spool, err_r, rc, "open the spool");
}

/* On a full disk the mark comes with a later run: uploading makes room, and needs none of it. */
static void mark_kept(struct spool *spool, uint64_t identity)
{
    if (!run_mark_keep(&spool->state_dir, identity))
        log_line(LOG_WARN, "spool.begun", "the mark that a run began here could not be written: %s", strerror(errno));
}

/* A full disk from the last run: room is made before anything is written. */
static bool opened(struct spool *spool, const struct spool_config *config, struct err *err_r)
{
    uint64_t held;
    MDB_txn *txn;
    int rc;

    run_mark_look(&spool->state_dir, &spool->begun);
    if (!spool->read_only && state_dir_is_full(&spool->state_dir, 1u << 20))
        state_dir_ballast_drop(&spool->state_dir);
    /* What else told it is taken away from here on. */
    if (!spool->read_only && spool->begun.was)
        mark_kept(spool, spool->begun.identity);
    if (!env_open(spool, err_r) || !contents_opened(spool, config->key, err_r))
        return false;
    if (!spool->read_only) {
        mark_kept(spool, spool->identity);
        rc = gc_orphans(spool);
        if (rc)
            return env_error(spool, err_r, rc, "clear half-written bodies");
        if (!gc_compact(spool, GC_COMPACT_BYTES_LEAST, err_r))
            return false;
        rc = mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn);
        if (!rc) {
            rc = env_number_get(spool, txn, "held", &held);
            mdb_txn_abort(txn);
        }
        if (rc)
            return env_error(spool, err_r, rc, "open the spool");
        atomic_store(&spool->held_bytes, held);
        if (!state_dir_ballast_load(&spool->state_dir, config->budget_bytes))
            log_line(LOG_DEBUG, "spool.ballast", "none: the disk is small or nearly full");
    }
    env_measure_fill(spool);
    return true;
}

bool spool_open(const struct spool_config *config, struct spool **spool_r, struct err *err_r)
{
    struct spool *spool = mem_zero(1, sizeof *spool);

    spool->read_only = config->read_only;
    spool->distrust = config->distrust;
    spool->budget_config = config->budget_bytes;
    spool->state_dir.lock_fd = spool->state_dir.folder_fd = -1;
    if (!state_dir_open(&spool->state_dir, config->folder, config->read_only, err_r) || !opened(spool, config, err_r)) {
        spool_close(&spool);
        return false;
    }
    *spool_r = spool;
    return true;
}

bool spool_is_used(const char *folder)
{
    struct state_dir state_dir = { .folder = mem_text(folder), .lock_fd = -1, .folder_fd = -1 };
    bool used = run_mark_is_state(&state_dir);

    state_dir_close(&state_dir);
    return used;
}

void spool_close(struct spool **spool)
{
    if (!*spool)
        return;
    env_close(*spool);
    state_dir_close(&(*spool)->state_dir);
    seal_wipe(&(*spool)->seal);
    free(*spool);
    *spool = NULL;
}

static int highest_user(struct spool *spool, MDB_txn *txn, uint32_t *id_r)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(txn, spool->tables[TABLE_USER], &cursor);

    *id_r = 0;
    if (rc)
        return rc;
    rc = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
    if (rc == 0 && !key_read_user(env_slice(k), id_r))
        rc = MDB_CORRUPTED;
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int user_put(struct spool *spool, MDB_txn *txn, const struct user_record *record)
{
    RECORD_ROOM(bytes);
    struct key key;
    MDB_val k, v;

    key_user(&key, record->id);
    k = env_val(key_slice(&key));
    v = (MDB_val){ encode_user(bytes, &key, record), bytes };
    if (v.mv_size == 0)
        return ENV_TOO_LONG;
    return mdb_put(txn, spool->tables[TABLE_USER], &k, &v, 0);
}

static int register_one(struct spool *spool, MDB_txn *txn, struct slice address, struct slice user_name,
                        uint32_t *highest, uint32_t *id_r)
{
    RECORD_ROOM(bytes);
    struct user_record record = { .address = address, .user_name = user_name };
    struct key key, user_key;
    uint64_t id;
    MDB_val k, v;
    int rc;

    if (address.size > KEYS_ADDRESS_BYTES_MAX)
        return ENV_TOO_LONG;
    key_address(&key, address);
    k = env_val(key_slice(&key));
    rc = mdb_get(txn, spool->tables[TABLE_ADDRESS], &k, &v);
    if (rc == MDB_NOTFOUND) {
        record.id = *id_r = ++*highest;
        v = (MDB_val){ encode_number(bytes, &key, record.id), bytes };
        rc = mdb_put(txn, spool->tables[TABLE_ADDRESS], &k, &v, 0);
        return rc ? rc : user_put(spool, txn, &record);
    }
    if (rc)
        return rc;
    if (!decode_number(key_slice(&key), env_slice(v), &id) || id == 0 || id > UINT32_MAX)
        return MDB_CORRUPTED;
    *id_r = (uint32_t)id;
    key_user(&user_key, *id_r);
    k = env_val(key_slice(&user_key));
    rc = mdb_get(txn, spool->tables[TABLE_USER], &k, &v);
    if (rc)
        return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
    /* The record's slices stand in a page that the put may move. */
    if (v.mv_size > sizeof bytes)
        return MDB_CORRUPTED;
    memcpy(bytes, v.mv_data, v.mv_size);
    if (!decode_user(key_slice(&user_key), slice_of((char *)bytes, v.mv_size), &record))
        return MDB_CORRUPTED;
    if (slice_equal(record.address, address) && slice_equal(record.user_name, user_name))
        return 0;
    record.address = address;
    record.user_name = user_name;
    return user_put(spool, txn, &record);
}

bool spool_register_users(struct spool *spool, const struct slice *addresses, const struct slice *user_names,
                          unsigned count, uint32_t *ids_r, struct err *err_r)
{
    uint32_t highest;
    MDB_txn *txn;
    int rc;

    assert(!spool->read_only);
    for (unsigned i = 0; i < count; i++)
        if (addresses[i].size == 0 || addresses[i].size > KEYS_ADDRESS_BYTES_MAX ||
            user_names[i].size > CODEC_USER_NAME_BYTES_MAX)
            return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, 0,
                           "an address of %zu or a user name of %zu bytes does not fit the journal", addresses[i].size,
                           user_names[i].size);
    rc = mdb_txn_begin(spool->env, NULL, 0, &txn);
    if (rc)
        return env_error(spool, err_r, rc, "register users");
    rc = highest_user(spool, txn, &highest);
    for (unsigned i = 0; i < count && !rc; i++)
        rc = register_one(spool, txn, addresses[i], user_names[i], &highest, &ids_r[i]);
    if (rc)
        mdb_txn_abort(txn);
    else
        rc = mdb_txn_commit(txn);
    return rc == 0 || env_error(spool, err_r, rc, "register users");
}

uint64_t spool_next_body(struct spool *spool)
{
    uint64_t body = atomic_fetch_add_explicit(&spool->body_next, 1, memory_order_relaxed);

    assert(!spool->read_only && body < spool->body_end);
    return body;
}

void spool_fill(const struct spool *spool, struct spool_fill *fill_r)
{
    fill_r->held_bytes = atomic_load_explicit(&spool->held_bytes, memory_order_relaxed);
    fill_r->budget_bytes = atomic_load_explicit(&spool->budget_bytes, memory_order_relaxed);
    fill_r->high = atomic_load_explicit(&spool->high, memory_order_relaxed);
    fill_r->disk_full = atomic_load_explicit(&spool->draining, memory_order_relaxed);
    fill_r->disk_free_bytes = atomic_load_explicit(&spool->free_bytes, memory_order_relaxed);
}

bool spool_meta_get(struct spool *spool, const char *name, struct slice *value_r, struct err *err_r)
{
    char *key = mem_format("e:%s", name);
    MDB_txn *txn;
    MDB_val v;
    int rc = mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn);

    *value_r = slice_of(NULL, 0);
    if (!rc) {
        if (blob_get(spool, txn, key, &v, &rc))
            *value_r = slice_of(slice_dup(env_slice(v)), v.mv_size);
        mdb_txn_abort(txn);
    }
    free(key);
    return rc == 0 || rc == MDB_NOTFOUND || env_error(spool, err_r, rc, "read a value of the spool");
}

enum spool_holder spool_holder(const struct spool *spool)
{
    bool held = true;

    if (spool->state_dir.lock_fd < 0 && !state_dir_is_held(&spool->state_dir, &held))
        return SPOOL_HELD_UNKNOWN;
    return held ? SPOOL_HELD_BY_RUN : SPOOL_HELD_BY_NONE;
}

int64_t spool_last_commit_ms(const struct spool *spool)
{
    MDB_txn *txn;
    uint64_t last = (uint64_t)spool->last_commit_ms;

    /* Beside a run it is asked for again and again. */
    if (spool->read_only && mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &txn) == 0) {
        if (env_number_get(spool, txn, "last_commit", &last) != 0)
            last = (uint64_t)spool->last_commit_ms;
        mdb_txn_abort(txn);
    }
    return (int64_t)last;
}
