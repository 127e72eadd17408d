#include "store/journal.h"

/* Two failures are one when a person would see the same line twice. */
static uint64_t failure_hash(const struct failure_record *f)
{
    uint8_t numbers[6] = {
        f->class,          f->side, (uint8_t)(f->folder >> 24), (uint8_t)(f->folder >> 16), (uint8_t)(f->folder >> 8),
        (uint8_t)f->folder
    };
    uint64_t h = keys_hash(0, slice_of((char *)numbers, sizeof numbers));

    h = keys_hash(h, slice_of(f->type, strnlen(f->type, sizeof f->type - 1) + 1));
    h = keys_hash(h, slice_of(f->doing, strnlen(f->doing, sizeof f->doing - 1) + 1));
    return keys_hash(h, slice_of(f->server_text, strnlen(f->server_text, sizeof f->server_text)));
}

static bool failure_equal(const struct failure_record *a, const struct failure_record *b)
{
    return a->class == b->class && a->side == b->side && a->folder == b->folder &&
           strncmp(a->type, b->type, sizeof a->type) == 0 && strncmp(a->doing, b->doing, sizeof a->doing) == 0 &&
           strncmp(a->server_text, b->server_text, sizeof a->server_text) == 0;
}

static int failure_put(struct journal *j, const struct key *key, const struct failure_record *f)
{
    RECORD_ROOM(bytes);

    return journal_put(j, TABLE_FAILURE, key, bytes, encode_failure(bytes, key, f));
}

static int failure_counted(struct journal *j, const struct key *key, struct slice value,
                           const struct failure_record *more)
{
    struct failure_record f;
    uint32_t count = more->count ? more->count : 1;

    if (!decode_failure(key_slice(key), value, &f))
        return MDB_CORRUPTED;
    f.count = f.count > UINT32_MAX - count ? UINT32_MAX : f.count + count;
    if (more->last_ms > f.last_ms)
        f.last_ms = more->last_ms;
    return failure_put(j, key, &f);
}

/* Failures of a user stand under their numbers 0.., so the last number tells how many there are. */
static int failure_next(struct journal *j, uint32_t user, uint32_t *next_r)
{
    struct key key;
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(j->txn, j->spool->tables[TABLE_FAILURE], &cursor);

    *next_r = 0;
    if (rc)
        return rc;
    key_failure(&key, user, REMARK_FAILURES_MAX);
    k = env_val(key_slice(&key));
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &k, &v, MDB_PREV);
    else if (rc == MDB_NOTFOUND)
        rc = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
    if (rc == 0 && k.mv_size == key.size && memcmp(k.mv_data, key.bytes, 5) == 0) {
        const uint8_t *p = (const uint8_t *)k.mv_data + 5;

        *next_r = ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]) + 1;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int remark_failure(struct journal *j, uint32_t user, const struct failure_record *failure)
{
    struct failure_record f = *failure, known;
    struct key index, key;
    struct slice value;
    uint8_t bytes[64];
    uint64_t sequence;
    uint32_t next;
    int rc;

    key_failure_index(&index, user, failure_hash(failure));
    rc = journal_get(j, TABLE_FAILURE, &index, &value);
    if (rc == 0) {
        if (!decode_number(key_slice(&index), value, &sequence) || sequence >= UINT32_MAX)
            return MDB_CORRUPTED;
        key_failure(&key, user, (uint32_t)sequence);
        rc = journal_get(j, TABLE_FAILURE, &key, &value);
        if (rc)
            return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
        if (!decode_failure(key_slice(&key), value, &known))
            return MDB_CORRUPTED;
        if (failure_equal(&known, failure))
            return failure_counted(j, &key, value, failure);
        /* Equal hashes of different lines: the second goes without an index. */
    } else if (rc != MDB_NOTFOUND) {
        return rc;
    }
    rc = failure_next(j, user, &next);
    if (rc)
        return rc;
    if (next >= REMARK_FAILURES_MAX) {
        key_failure(&key, user, REMARK_FAILURES_MAX);
        rc = journal_get(j, TABLE_FAILURE, &key, &value);
        if (rc == 0)
            return failure_counted(j, &key, value, failure);
        if (rc != MDB_NOTFOUND)
            return rc;
        f = (struct failure_record){ .first_ms = failure->first_ms,
                                     .last_ms = failure->last_ms,
                                     .class = failure->class,
                                     .side = failure->side,
                                     .type = "More",
                                     .advice = "more failures of this user than are listed" };
    } else {
        key_failure(&key, user, next);
        rc = journal_put(j, TABLE_FAILURE, &index, bytes, encode_number(bytes, &index, next));
        if (rc)
            return rc;
    }
    f.count = failure->count ? failure->count : 1;
    return failure_put(j, &key, &f);
}

static uint64_t problem_hash(const struct problem_record *p)
{
    uint64_t h = keys_hash(0, slice_of(p->type, strnlen(p->type, sizeof p->type - 1) + 1));

    return keys_hash(h, slice_of(p->text, strnlen(p->text, sizeof p->text)));
}

int remark_problem(struct journal *j, uint32_t user, const struct problem_record *problem)
{
    RECORD_ROOM(bytes);
    uint64_t hash = problem_hash(problem);
    struct key key, first;
    MDB_cursor *cursor;
    MDB_val k, v;
    unsigned count = 0;
    bool known = false;
    int rc = mdb_cursor_open(j->txn, j->spool->tables[TABLE_PROBLEM], &cursor);

    if (rc)
        return rc;
    key_problem(&key, user, problem->folder, hash);
    key_problem(&first, user, problem->folder, 0);
    k = env_val(key_slice(&first));
    for (rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE); rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        if (k.mv_size != key.size || memcmp(k.mv_data, key.bytes, 8) != 0)
            break;
        known = known || memcmp(k.mv_data, key.bytes, key.size) == 0;
        count++;
    }
    mdb_cursor_close(cursor);
    if (rc && rc != MDB_NOTFOUND)
        return rc;
    if (known || count >= REMARK_PROBLEMS_MAX)
        return 0;
    return journal_put(j, TABLE_PROBLEM, &key, bytes, encode_problem(bytes, &key, problem));
}

/* Drops the entries whose keys begin with this one and which goes() wants gone; NULL: all of them. */
static int cleared(struct journal *j, enum table table, const struct key *first,
                   bool (*goes)(struct slice key, struct slice value, const void *context), const void *context)
{
    MDB_cursor *cursor;
    MDB_val k = env_val(key_slice(first)), v;
    int rc = mdb_cursor_open(j->txn, j->spool->tables[table], &cursor);

    if (rc)
        return rc;
    for (rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE); rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        if (k.mv_size < first->size || memcmp(k.mv_data, first->bytes, first->size) != 0)
            break;
        if (!goes || goes(slice_of(k.mv_data, k.mv_size), slice_of(v.mv_data, v.mv_size), context))
            rc = mdb_cursor_del(cursor, 0);
        if (rc)
            break;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool has_type(struct slice key, struct slice value, const void *type)
{
    struct problem_record p;

    return !decode_problem(key, value, &p) || strcmp(p.type, type) == 0;
}

int remark_doubt(struct journal *j, uint32_t user, const struct problem_record *doubt)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    struct problem_record nameless = { .folder = doubt->folder };
    struct key key;
    int rc;

    key_folder(&key, user, doubt->folder);
    rc = cleared(j, TABLE_PROBLEM, &key, has_type, doubt->type);
    if (rc || !doubt->doubt)
        return rc;
    memcpy(nameless.type, doubt->type, sizeof nameless.type);
    key_problem(&key, user, doubt->folder, problem_hash(&nameless));
    return journal_put(j, TABLE_PROBLEM, &key, bytes, encode_problem(bytes, &key, doubt));
}

static bool is_over(struct slice key, struct slice value, const void *context)
{
    struct problem_record p;

    (void)context;
    return !decode_problem(key, value, &p) || !p.doubt;
}

int remark_clear(struct journal *j, uint32_t user)
{
    struct key key;
    int rc;

    key_user(&key, user);
    rc = cleared(j, TABLE_FAILURE, &key, NULL, NULL);
    return rc ? rc : remark_clear_problems(j, user);
}

int remark_clear_problems(struct journal *j, uint32_t user)
{
    struct key key;

    key_user(&key, user);
    return cleared(j, TABLE_PROBLEM, &key, is_over, NULL);
}

/* Every second of the older three quarters goes: the line gets coarser with age, its ends stay. */
static int samples_thinned(struct journal *j)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc = mdb_cursor_open(j->txn, j->spool->tables[TABLE_SAMPLE], &cursor);

    if (rc)
        return rc;
    rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
    for (unsigned i = 0; i < REMARK_SAMPLES_MAX / 4 * 3 && rc == 0; i++) {
        if (i % 2)
            rc = mdb_cursor_del(cursor, 0);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int remark_sample(struct journal *j, int64_t wall_ms, const uint64_t values[12])
{
    uint8_t bytes[256];
    struct key key;
    MDB_stat stat;
    int rc = mdb_stat(j->txn, j->spool->tables[TABLE_SAMPLE], &stat);

    if (!rc && stat.ms_entries >= REMARK_SAMPLES_MAX)
        rc = samples_thinned(j);
    if (rc)
        return rc;
    key_sample(&key, wall_ms);
    return journal_put(j, TABLE_SAMPLE, &key, bytes, encode_sample(bytes, &key, values));
}
