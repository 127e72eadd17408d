#include "store/reader.h"

#include "io/base/mem.h"
#include "store/reader_private.h"

#include <assert.h>
#include <stdlib.h>

bool reader_create(struct spool *spool, struct reader **reader_r, struct err *err_r)
{
    struct reader *reader = mem_zero(1, sizeof *reader);
    int rc = mdb_txn_begin(spool->env, NULL, MDB_RDONLY, &reader->txn);

    if (rc) {
        free(reader);
        return env_error(spool, err_r, rc, "read the spool");
    }
    mdb_txn_reset(reader->txn);
    reader->spool = spool;
    *reader_r = reader;
    return true;
}

void reader_destroy(struct reader **reader)
{
    if (!*reader)
        return;
    mdb_txn_abort((*reader)->txn);
    blob_opener_destroy(&(*reader)->opener);
    free(*reader);
    *reader = NULL;
}

bool reader_begin(struct reader *reader, struct err *err_r)
{
    int rc;

    assert(!reader->busy);
    rc = reader->held ? 0 : mdb_txn_renew(reader->txn);
    if (rc)
        return env_error(reader->spool, err_r, rc, "read the spool");
    reader->busy = true;
    return true;
}

void reader_rest(struct reader *reader)
{
    if (!reader->held)
        mdb_txn_reset(reader->txn);
    reader->busy = false;
}

bool reader_hold(struct reader *reader, struct err *err_r)
{
    if (!reader_begin(reader, err_r))
        return false;
    reader->held = true;
    reader->busy = false;
    return true;
}

/* One walk over the keys that begin with prefix. on_entry: false ends the walk; it sets *damaged for
 * a record that does not decode. */
struct walk {
    enum table table;
    struct key from;
    size_t prefix_bytes;
    bool descending; /* from `from` or the next lower key downwards */
    bool (*on_entry)(struct walk *walk, struct slice key, struct slice value);
    bool damaged;
    void *context;
    union {
        bool (*user)(void *, const struct user_record *);
        bool (*folder)(void *, const struct folder_record *);
        bool (*message)(void *, const struct message_record *);
        bool (*note)(void *, const struct message_record *, const struct message_note *);
        bool (*failure)(void *, const struct failure_record *);
        bool (*problem)(void *, const struct problem_record *);
        bool (*sample)(void *, int64_t, const uint64_t values[12]);
        bool (*follow)(void *, const struct follow_record *);
    } each;
    unsigned states, left; /* messages; left 0: no limit */
    struct reader *reader;
};

static int walk_first(struct walk *walk, MDB_cursor *cursor, MDB_val *k, MDB_val *v)
{
    int rc;

    *k = env_val(key_slice(&walk->from));
    if (walk->from.size == 0)
        return mdb_cursor_get(cursor, k, v, MDB_FIRST);
    rc = mdb_cursor_get(cursor, k, v, MDB_SET_RANGE);
    if (!walk->descending)
        return rc;
    if (rc == MDB_NOTFOUND)
        return mdb_cursor_get(cursor, k, v, MDB_LAST);
    if (rc == 0 && (k->mv_size != walk->from.size || memcmp(k->mv_data, walk->from.bytes, k->mv_size) != 0))
        return mdb_cursor_get(cursor, k, v, MDB_PREV);
    return rc;
}

static bool walked(struct reader *reader, struct walk *walk, struct err *err_r)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    int rc;

    if (!reader_begin(reader, err_r))
        return false;
    walk->reader = reader;
    if (reader->spool->tables[walk->table] == TABLE_ABSENT) {
        reader_rest(reader);
        return true;
    }
    rc = mdb_cursor_open(reader->txn, reader->spool->tables[walk->table], &cursor);
    if (rc == 0) {
        for (rc = walk_first(walk, cursor, &k, &v); rc == 0;
             rc = mdb_cursor_get(cursor, &k, &v, walk->descending ? MDB_PREV : MDB_NEXT)) {
            if (k.mv_size < walk->prefix_bytes || memcmp(k.mv_data, walk->from.bytes, walk->prefix_bytes) != 0)
                break;
            if (!walk->on_entry(walk, env_slice(k), env_slice(v)))
                break;
        }
        if (rc == MDB_NOTFOUND)
            rc = 0;
        mdb_cursor_close(cursor);
    }
    reader_rest(reader);
    if (rc == 0 && walk->damaged)
        rc = MDB_CORRUPTED;
    return rc == 0 || env_error(reader->spool, err_r, rc, "read the journal");
}

static bool damaged(struct walk *walk)
{
    walk->damaged = true;
    return false;
}

static bool on_user(struct walk *walk, struct slice key, struct slice value)
{
    struct user_record user;

    if (!decode_user(key, value, &user))
        return damaged(walk);
    return walk->each.user(walk->context, &user);
}

bool reader_users(struct reader *reader, bool (*each)(void *context, const struct user_record *user), void *context,
                  struct err *err_r)
{
    struct walk walk = { .table = TABLE_USER, .on_entry = on_user, .context = context };

    walk.each.user = each;
    return walked(reader, &walk, err_r);
}

bool reader_user(struct reader *reader, uint32_t user, bool (*each)(void *context, const struct user_record *user),
                 void *context, struct err *err_r)
{
    struct walk walk = { .table = TABLE_USER, .on_entry = on_user, .context = context, .prefix_bytes = 4 };

    key_user(&walk.from, user);
    walk.each.user = each;
    return walked(reader, &walk, err_r);
}

static bool on_folder(struct walk *walk, struct slice key, struct slice value)
{
    struct folder_record folder;

    if (!decode_folder(key, value, &folder))
        return damaged(walk);
    return walk->each.folder(walk->context, &folder);
}

bool reader_folders(struct reader *reader, uint32_t user,
                    bool (*each)(void *context, const struct folder_record *folder), void *context, struct err *err_r)
{
    struct walk walk = { .table = TABLE_FOLDER, .on_entry = on_folder, .context = context, .prefix_bytes = 4 };

    key_folder(&walk.from, user, 0);
    walk.each.folder = each;
    return walked(reader, &walk, err_r);
}

static bool on_message(struct walk *walk, struct slice key, struct slice value)
{
    struct message_record message;

    if (!decode_message(key, value, &message))
        return damaged(walk);
    if (!(walk->states >> message.state & 1))
        return true;
    return walk->each.message(walk->context, &message) && (walk->left == 0 || --walk->left > 0);
}

bool reader_messages(struct reader *reader, uint32_t user, uint32_t folder, unsigned states, uint32_t from_uid,
                     bool descending, unsigned limit, bool (*each)(void *context, const struct message_record *message),
                     void *context, struct err *err_r)
{
    struct walk walk = { .table = TABLE_MESSAGE,
                         .on_entry = on_message,
                         .context = context,
                         .prefix_bytes = 8,
                         .descending = descending,
                         .states = states,
                         .left = limit };

    key_message(&walk.from, user, folder, from_uid);
    walk.each.message = each;
    return walked(reader, &walk, err_r);
}

static bool on_noted(struct walk *walk, struct slice key, struct slice value)
{
    MDB_val k = env_val(key), v;
    struct message_record message;
    struct message_note note = { 0 };
    int rc;

    if (!decode_message(key, value, &message))
        return damaged(walk);
    if (!(walk->states >> message.state & 1))
        return true;
    rc = mdb_get(walk->reader->txn, walk->reader->spool->tables[TABLE_NOTE], &k, &v);
    if (rc != MDB_NOTFOUND && (rc != 0 || !decode_note(key, env_slice(v), &note)))
        return damaged(walk);
    return walk->each.note(walk->context, &message, &note);
}

bool reader_notes(struct reader *reader, uint32_t user, uint32_t folder, unsigned states, uint32_t from_uid,
                  bool (*each)(void *context, const struct message_record *message, const struct message_note *note),
                  void *context, struct err *err_r)
{
    struct walk walk = {
        .table = TABLE_MESSAGE, .on_entry = on_noted, .context = context, .prefix_bytes = 8, .states = states
    };

    key_message(&walk.from, user, folder, from_uid);
    walk.each.note = each;
    return walked(reader, &walk, err_r);
}

/* Notes stand under their messages' keys, so the few notes lead and the messages are looked up. */
static bool on_repaired(struct walk *walk, struct slice key, struct slice value)
{
    MDB_val k = env_val(key), v;
    struct message_record message;
    struct message_note note;

    if (mdb_get(walk->reader->txn, walk->reader->spool->tables[TABLE_MESSAGE], &k, &v) != 0 ||
        !decode_message(key, env_slice(v), &message) || !decode_note(key, value, &note))
        return damaged(walk);
    return message.state != MESSAGE_UPLOADED || message.repairs == 0 || walk->each.note(walk->context, &message, &note);
}

bool reader_repaired(struct reader *reader, uint32_t user, uint32_t folder,
                     bool (*each)(void *context, const struct message_record *message, const struct message_note *note),
                     void *context, struct err *err_r)
{
    struct walk walk = { .table = TABLE_NOTE, .on_entry = on_repaired, .context = context, .prefix_bytes = 8 };

    key_message(&walk.from, user, folder, 0);
    walk.each.note = each;
    return walked(reader, &walk, err_r);
}

static bool on_follow(struct walk *walk, struct slice key, struct slice value)
{
    struct follow_record follow;

    if (!decode_follow(key, value, &follow))
        return damaged(walk);
    return walk->each.follow(walk->context, &follow);
}

bool reader_follows(struct reader *reader, uint32_t user, uint32_t folder, uint32_t from_uid,
                    bool (*each)(void *context, const struct follow_record *follow), void *context, struct err *err_r)
{
    struct walk walk = {
        .table = TABLE_FOLLOW, .on_entry = on_follow, .context = context, .prefix_bytes = folder ? 8 : 4
    };

    key_message(&walk.from, user, folder, folder ? from_uid : 0);
    walk.each.follow = each;
    return walked(reader, &walk, err_r);
}

static bool on_failure(struct walk *walk, struct slice key, struct slice value)
{
    struct failure_record failure;

    if (!decode_failure(key, value, &failure))
        return damaged(walk);
    return walk->each.failure(walk->context, &failure);
}

bool reader_failures(struct reader *reader, uint32_t user,
                     bool (*each)(void *context, const struct failure_record *failure), void *context,
                     struct err *err_r)
{
    struct walk walk = { .table = TABLE_FAILURE, .on_entry = on_failure, .context = context, .prefix_bytes = 5 };

    key_failure(&walk.from, user, 0);
    walk.each.failure = each;
    return walked(reader, &walk, err_r);
}

static bool on_problem(struct walk *walk, struct slice key, struct slice value)
{
    struct problem_record problem;

    if (!decode_problem(key, value, &problem))
        return damaged(walk);
    return walk->each.problem(walk->context, &problem);
}

bool reader_problems(struct reader *reader, uint32_t user,
                     bool (*each)(void *context, const struct problem_record *problem), void *context,
                     struct err *err_r)
{
    struct walk walk = { .table = TABLE_PROBLEM, .on_entry = on_problem, .context = context, .prefix_bytes = 4 };

    key_user(&walk.from, user);
    walk.each.problem = each;
    return walked(reader, &walk, err_r);
}

static bool on_sample(struct walk *walk, struct slice key, struct slice value)
{
    uint64_t values[12];
    int64_t wall_ms;

    if (!key_read_sample(key, &wall_ms) || !decode_sample(key, value, values))
        return damaged(walk);
    return walk->each.sample(walk->context, wall_ms, values);
}

bool reader_samples(struct reader *reader, bool (*each)(void *context, int64_t wall_ms, const uint64_t values[12]),
                    void *context, struct err *err_r)
{
    struct walk walk = { .table = TABLE_SAMPLE, .on_entry = on_sample, .context = context };

    walk.each.sample = each;
    return walked(reader, &walk, err_r);
}
