#include "store/journal.h"

#include "io/base/mem.h"
#include "store/gc.h"

#include <assert.h>
#include <stdlib.h>

#define FORGET_PER_TRANSACTION 4096

struct folder_slot {
    struct folder_slot *next, *in_bucket;
    struct folder_record record;
    char *text; /* backing of the record's slices */
    bool changed;
};

static int (*fault)(void *context);
static void *fault_context;

void journal_fault(int (*before_commit)(void *context), void *context)
{
    fault = before_commit;
    fault_context = context;
}

bool journal_transition_allowed(enum message_state from, enum message_state to)
{
    static const unsigned allowed[MESSAGE_STATE_COUNT] = {
        [0] = 1u << MESSAGE_FOUND | 1u << MESSAGE_SKIPPED,
        [MESSAGE_FOUND] = 1u << MESSAGE_FOUND | 1u << MESSAGE_SPOOLED | 1u << MESSAGE_PRESENT |
                          1u << MESSAGE_SKIPPED | 1u << MESSAGE_FAILED,
        [MESSAGE_SPOOLED] = 1u << MESSAGE_FOUND | 1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT |
                            1u << MESSAGE_SKIPPED | 1u << MESSAGE_FAILED,
        [MESSAGE_SKIPPED] = 1u << MESSAGE_FOUND,
        [MESSAGE_FAILED] = 1u << MESSAGE_FOUND | 1u << MESSAGE_SPOOLED | 1u << MESSAGE_UPLOADED |
                           1u << MESSAGE_PRESENT | 1u << MESSAGE_SKIPPED,
    };

    return (unsigned)from < MESSAGE_STATE_COUNT && (unsigned)to < MESSAGE_STATE_COUNT &&
           (allowed[from] >> to & 1);
}

int journal_put(struct journal *j, enum table table, const struct key *key, const uint8_t *bytes,
                size_t size)
{
    MDB_val k = env_val(key_slice(key)), v = { size, (void *)(uintptr_t)bytes };

    return mdb_put(j->txn, j->spool->tables[table], &k, &v, 0);
}

int journal_get(struct journal *j, enum table table, const struct key *key, struct slice *value_r)
{
    MDB_val k = env_val(key_slice(key)), v;
    int rc = mdb_get(j->txn, j->spool->tables[table], &k, &v);

    if (rc == 0)
        *value_r = env_slice(v);
    return rc;
}

static int illegal(const struct journal *j)
{
    /* Somebody above asked for what must not happen: better to stop than to lose count of mail. */
    assert(j->lenient);
    return JOURNAL_ILLEGAL;
}

int journal_begin(struct journal *j, struct spool *spool)
{
    *j = (struct journal){ .spool = spool };
    return mdb_txn_begin(spool->env, NULL, 0, &j->txn);
}

static void slots_freed(struct journal *j)
{
    while (j->slots) {
        struct folder_slot *slot = j->slots;

        j->slots = slot->next;
        free(slot->text);
        free(slot);
    }
}

void journal_abort(struct journal *j)
{
    if (j->txn)
        mdb_txn_abort(j->txn);
    j->txn = NULL;
    slots_freed(j);
}

static struct folder_slot *slot_add(struct journal *j, uint32_t user, uint32_t folder)
{
    struct folder_slot *slot = mem_zero(1, sizeof *slot);
    unsigned bucket = (user * 31 + folder) % 256;

    slot->record.user = user;
    slot->record.folder = folder;
    slot->next = j->slots;
    j->slots = slot;
    slot->in_bucket = j->buckets[bucket];
    j->buckets[bucket] = slot;
    return slot;
}

/* NULL in *slot_r when there is no such folder. */
static int slot_get(struct journal *j, uint32_t user, uint32_t folder, struct folder_slot **slot_r)
{
    struct folder_slot *slot = j->buckets[(user * 31 + folder) % 256];
    struct folder_record record;
    struct slice value;
    struct key key;
    char *text;
    int rc;

    while (slot && (slot->record.user != user || slot->record.folder != folder))
        slot = slot->in_bucket;
    *slot_r = slot;
    if (slot)
        return 0;
    key_folder(&key, user, folder);
    rc = journal_get(j, TABLE_FOLDER, &key, &value);
    if (rc)
        return rc == MDB_NOTFOUND ? 0 : rc;
    text = memcpy(mem_alloc(value.size), value.data, value.size);
    if (!decode_folder(key_slice(&key), slice_of(text, value.size), &record)) {
        free(text);
        return MDB_CORRUPTED;
    }
    slot = slot_add(j, user, folder);
    slot->record = record;
    slot->text = text;
    *slot_r = slot;
    return 0;
}

/* The folder must be there. */
static int slot_need(struct journal *j, const struct store_op *op, struct folder_slot **slot_r)
{
    int rc = slot_get(j, op->user, op->folder, slot_r);

    if (rc == 0 && !*slot_r)
        rc = illegal(j);
    return rc;
}

static uint64_t *tally_of(struct tally *t, enum message_state state)
{
    switch (state) {
    case MESSAGE_FOUND:
        return &t->waiting;
    case MESSAGE_SPOOLED:
        return &t->spooled;
    case MESSAGE_UPLOADED:
        return &t->uploaded;
    case MESSAGE_PRESENT:
        return &t->present;
    case MESSAGE_SKIPPED:
        return &t->skipped;
    case MESSAGE_FAILED:
        return &t->failed;
    case MESSAGE_STATE_COUNT:
        break;
    }
    assert(!"a message without a state");
    return NULL;
}

static int tally_less(uint64_t *count)
{
    if (*count == 0)
        return MDB_CORRUPTED;
    --*count;
    return 0;
}

int journal_commit(struct journal *j, int64_t wall_ms)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    uint64_t held = atomic_load_explicit(&j->spool->held_bytes, memory_order_relaxed);
    struct key key;
    int rc = 0;

    for (struct folder_slot *slot = j->slots; slot && !rc; slot = slot->next) {
        if (!slot->changed)
            continue;
        assert(tally_balanced(&slot->record.tally));
        key_folder(&key, slot->record.user, slot->record.folder);
        rc = journal_put(j, TABLE_FOLDER, &key, bytes, encode_folder(bytes, &key, &slot->record));
    }
    if (!rc && held + j->held_added < j->held_freed)
        rc = MDB_CORRUPTED;
    held = held + j->held_added - j->held_freed;
    if (!rc && (j->held_added || j->held_freed))
        rc = env_number_put(j->spool, j->txn, "held", held);
    if (!rc)
        rc = env_number_put(j->spool, j->txn, "last_commit", (uint64_t)wall_ms);
    if (!rc && fault)
        rc = fault(fault_context);
    if (rc) {
        journal_abort(j);
        return rc;
    }
    rc = mdb_txn_commit(j->txn);
    j->txn = NULL;
    slots_freed(j);
    if (rc == 0)
        atomic_store_explicit(&j->spool->held_bytes, held, memory_order_relaxed);
    return rc;
}

static int apply_user(struct journal *j, const struct store_op *op)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    struct key key;

    assert(op->user_record.id == op->user && op->user);
    key_user(&key, op->user);
    return journal_put(j, TABLE_USER, &key, bytes, encode_user(bytes, &key, &op->user_record));
}

/* Sums of a folder's own rows; used for excluded folders, which rarely have any. */
static int rows_summed(struct journal *j, const struct store_op *op, uint64_t *skipped_r,
                       uint64_t *bytes_r)
{
    struct message_record m;
    MDB_cursor *cursor;
    struct key key;
    MDB_val k, v;
    int rc = mdb_cursor_open(j->txn, j->spool->tables[TABLE_MESSAGE], &cursor);

    *skipped_r = *bytes_r = 0;
    if (rc)
        return rc;
    key_message(&key, op->user, op->folder, 0);
    k = env_val(key_slice(&key));
    for (rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE); rc == 0;
         rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        if (k.mv_size != 12 || memcmp(k.mv_data, key.bytes, 8) != 0)
            break;
        if (!decode_message(env_slice(k), env_slice(v), &m)) {
            rc = MDB_CORRUPTED;
            break;
        }
        *skipped_r += m.state == MESSAGE_SKIPPED;
        *bytes_r += m.listed_bytes;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* An excluded folder's found is what its server counts, all skipped, besides what rows it may have
 * from a time when it was not excluded. */
static int recount(struct journal *j, const struct store_op *op, struct folder_slot *slot,
                   uint64_t messages, uint64_t bytes)
{
    struct tally *t = &slot->record.tally;
    uint64_t base = t->uploaded + t->present + t->failed + t->waiting + t->spooled, skipped, own;
    int rc = rows_summed(j, op, &skipped, &own);

    if (rc)
        return rc;
    if (messages > base && messages - base > skipped)
        skipped = messages - base;
    t->skipped = skipped;
    t->found = base + skipped;
    t->bytes_found = bytes > own ? bytes : own;
    slot->changed = true;
    return 0;
}

static int apply_count(struct journal *j, const struct store_op *op)
{
    struct folder_slot *slot;
    int rc = slot_need(j, op, &slot);

    return rc ? rc : recount(j, op, slot, op->count.messages, op->count.bytes);
}

static char *texts_copied(struct folder_record *record)
{
    struct slice *texts[] = { &record->source_raw, &record->source_name, &record->target_raw,
                              &record->target_name };
    size_t size = 0, at = 0;
    char *text;

    for (int i = 0; i < 4; i++)
        size += texts[i]->size;
    text = mem_alloc(size);
    for (int i = 0; i < 4; i++) {
        if (texts[i]->size)
            memcpy(text + at, texts[i]->data, texts[i]->size);
        texts[i]->data = text + at;
        at += texts[i]->size;
    }
    return text;
}

static int apply_folder(struct journal *j, const struct store_op *op)
{
    struct folder_slot *slot;
    struct tally tally;
    bool was_excluded;
    int rc = slot_get(j, op->user, op->folder, &slot);

    assert(op->user && op->folder);
    if (rc)
        return rc;
    if (!slot)
        slot = slot_add(j, op->user, op->folder);
    tally = slot->record.tally;
    was_excluded = slot->record.excluded;
    free(slot->text);
    slot->record = op->folder_record;
    slot->record.user = op->user;
    slot->record.folder = op->folder;
    slot->record.tally = tally;
    slot->text = texts_copied(&slot->record);
    slot->changed = true;
    return was_excluded && !slot->record.excluded ? recount(j, op, slot, 0, 0) : 0;
}

static int message_put(struct journal *j, const struct key *key, const struct message_record *m)
{
    uint8_t bytes[RECORD_BYTES_MAX];

    return journal_put(j, TABLE_MESSAGE, key, bytes, encode_message(bytes, key, m));
}

static int note_put(struct journal *j, const struct key *key, const struct message_note *note)
{
    uint8_t bytes[RECORD_BYTES_MAX];

    return journal_put(j, TABLE_NOTE, key, bytes, encode_note(bytes, key, note));
}

static int note_dropped(struct journal *j, const struct key *key)
{
    MDB_val k = env_val(key_slice(key));
    int rc = mdb_del(j->txn, j->spool->tables[TABLE_NOTE], &k, NULL);

    return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool note_empty(const struct message_note *note)
{
    return !note->subject[0] && !note->message_id[0] && !note->date[0];
}

static int apply_found(struct journal *j, const struct store_op *op)
{
    uint8_t bytes[RECORD_BYTES_MAX];
    struct folder_slot *slot;
    struct key key;
    int rc = slot_need(j, op, &slot);

    for (unsigned i = 0; i < op->found.count && !rc; i++) {
        const struct message_record *m = &op->found.rows[i];
        MDB_val k, v;

        assert(m->uid && (i == 0 || m->uid > m[-1].uid) && m->body == 0);
        if (!journal_transition_allowed(0, m->state))
            return illegal(j);
        key_message(&key, op->user, op->folder, m->uid);
        k = env_val(key_slice(&key));
        v = (MDB_val){ encode_message(bytes, &key, m), bytes };
        rc = mdb_put(j->txn, j->spool->tables[TABLE_MESSAGE], &k, &v, MDB_NOOVERWRITE);
        /* Servers answer n:* with their last message even when it is below n: known is known. */
        if (rc == MDB_KEYEXIST) {
            rc = 0;
            continue;
        }
        slot->record.tally.found++;
        slot->record.tally.bytes_found += m->listed_bytes;
        ++*tally_of(&slot->record.tally, m->state);
        if (!rc && op->found.notes && !note_empty(&op->found.notes[i]))
            rc = note_put(j, &key, &op->found.notes[i]);
    }
    if (rc)
        return rc;
    if (op->found.uidnext_listed > slot->record.uidnext_listed)
        slot->record.uidnext_listed = op->found.uidnext_listed;
    slot->changed = true;
    return 0;
}

static int chunk_put(struct journal *j, const struct store_op *op)
{
    MDB_val k, v = { op->body.size, op->body.data };
    struct key key;

    key_chunk(&key, op->body.body, op->body.chunk);
    k = env_val(key_slice(&key));
    j->held_added += op->body.size;
    return mdb_put(j->txn, j->spool->tables[TABLE_BODY], &k, &v, MDB_NOOVERWRITE);
}

static int apply_chunk(struct journal *j, const struct store_op *op)
{
    uint8_t bytes[64];
    struct key key;

    assert(op->body.body && op->body.size);
    if (op->body.chunk == 0) {
        int rc;

        key_body(&key, op->body.body);
        rc = journal_put(j, TABLE_PARTIAL, &key, bytes, encode_number(bytes, &key, op->user));
        if (rc)
            return rc;
    }
    return chunk_put(j, op);
}

static int partial_dropped(struct journal *j, uint64_t body)
{
    struct key key;
    MDB_val k;
    int rc;

    key_body(&key, body);
    k = env_val(key_slice(&key));
    rc = mdb_del(j->txn, j->spool->tables[TABLE_PARTIAL], &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int apply_drop_body(struct journal *j, const struct store_op *op)
{
    struct key key;
    struct slice value;
    int rc;

    key_body(&key, op->body.body);
    rc = journal_get(j, TABLE_PARTIAL, &key, &value);
    if (rc) /* it broke off before its first chunk was written */
        return rc == MDB_NOTFOUND ? 0 : rc;
    rc = partial_dropped(j, op->body.body);
    return rc ? rc : gc_drop_chunks(j->spool, j->txn, op->body.body, &j->held_freed);
}

/* Finds the same bytes in the spool already: then *body_r is theirs. */
static int shared(struct journal *j, const struct store_op *op, uint64_t *body_r)
{
    struct share_record share = { .body = op->body.body, .refs = 0 };
    uint8_t bytes[64];
    struct slice value;
    struct key key;
    int rc;

    *body_r = op->body.body;
    if (op->body.body_bytes < GC_SHARE_BYTES_LEAST)
        return 0;
    key_digest(&key, op->body.digest, op->body.body_bytes);
    rc = journal_get(j, TABLE_SHARE, &key, &value);
    if (rc == 0 && !decode_share(key_slice(&key), value, &share))
        rc = MDB_CORRUPTED;
    if (rc && rc != MDB_NOTFOUND)
        return rc;
    share.refs++;
    *body_r = share.body;
    return journal_put(j, TABLE_SHARE, &key, bytes, encode_share(bytes, &key, &share));
}

static int message_get(struct journal *j, const struct key *key, struct message_record *m_r)
{
    struct slice value;
    int rc = journal_get(j, TABLE_MESSAGE, key, &value);

    if (rc == MDB_NOTFOUND)
        return illegal(j);
    if (rc)
        return rc;
    return decode_message(key_slice(key), value, m_r) ? 0 : MDB_CORRUPTED;
}

/* Keywords stand in the page that the put of the same record may change. */
static void keywords_kept(struct message_record *m, char kept[KEYS_KEYWORDS_BYTES_MAX])
{
    if (m->keywords.size)
        memcpy(kept, m->keywords.data, m->keywords.size);
    m->keywords.data = kept;
}

static int apply_spooled(struct journal *j, const struct store_op *op)
{
    char kept[KEYS_KEYWORDS_BYTES_MAX];
    struct folder_slot *slot;
    struct message_record m;
    struct key key;
    int rc = slot_need(j, op, &slot);

    if (rc)
        return rc;
    assert(op->body.body && op->body.uid);
    key_message(&key, op->user, op->folder, op->body.uid);
    rc = message_get(j, &key, &m);
    if (rc)
        return rc;
    if (m.state != MESSAGE_FOUND)
        return illegal(j);
    keywords_kept(&m, kept);
    rc = tally_less(&slot->record.tally.waiting);
    if (!rc)
        rc = shared(j, op, &m.body);
    if (!rc && op->body.chunk > 0)
        rc = partial_dropped(j, op->body.body);
    if (!rc && m.body != op->body.body)
        rc = op->body.chunk > 0
                 ? gc_drop_chunks(j->spool, j->txn, op->body.body, &j->held_freed)
                 : 0;
    else if (!rc && op->body.size)
        rc = chunk_put(j, op);
    if (rc)
        return rc;
    m.state = MESSAGE_SPOOLED;
    m.body_bytes = op->body.body_bytes;
    memcpy(m.digest, op->body.digest, sizeof m.digest);
    memcpy(m.header_key, op->body.header_key, sizeof m.header_key);
    slot->record.tally.spooled++;
    slot->record.tally.bytes_fetched += op->body.body_bytes;
    slot->changed = true;
    return message_put(j, &key, &m);
}

static int apply_open(struct journal *j, const struct store_op *op)
{
    struct folder_slot *slot;
    int rc = slot_need(j, op, &slot);

    if (rc)
        return rc;
    slot->record.target_open = true;
    slot->record.target_uidvalidity = op->open.uidvalidity;
    slot->record.target_uid_floor = op->open.floor;
    slot->record.target_highest_seen = op->open.highest_seen;
    if (op->open.scanned)
        slot->record.target_scanned = true;
    slot->changed = true;
    return 0;
}

static int one_ended(struct journal *j, const struct store_op *op, struct folder_slot *slot,
                     const struct store_end *end)
{
    char kept[KEYS_KEYWORDS_BYTES_MAX];
    struct tally *t = &slot->record.tally;
    struct message_record m;
    enum message_state from;
    struct key key;
    int rc;

    key_message(&key, op->user, op->folder, end->uid);
    rc = message_get(j, &key, &m);
    if (rc)
        return rc;
    from = m.state;
    if (!journal_transition_allowed(from, end->state) ||
        (end->state == MESSAGE_SPOOLED && m.body == 0))
        return illegal(j);
    keywords_kept(&m, kept);
    rc = tally_less(tally_of(t, from));
    if (rc)
        return rc;
    ++*tally_of(t, end->state);
    m.state = end->state;
    m.reason = end->state == MESSAGE_SKIPPED ? end->reason : SKIP_NONE;
    if (end->target_uid)
        m.target_uid = end->target_uid;
    if (end->state == MESSAGE_UPLOADED)
        t->bytes_uploaded += m.body_bytes;
    if (end->state == MESSAGE_FOUND) /* a person's retry begins to count anew */
        m.tries = from == MESSAGE_FAILED || from == MESSAGE_SKIPPED ? 0
                  : m.tries < UINT32_MAX                            ? m.tries + 1
                                                                    : m.tries;
    /* What was refused keeps its body for export and retry. */
    if (m.body && end->state != MESSAGE_FAILED && end->state != MESSAGE_SPOOLED) {
        rc = gc_release(j->spool, j->txn, &m, &j->held_freed);
        if (rc)
            return rc;
        m.body = 0;
        if (end->state == MESSAGE_FOUND) {
            m.body_bytes = 0;
            memset(m.digest, 0, sizeof m.digest);
            memset(m.header_key, 0, sizeof m.header_key);
        }
    }
    if (end->note && (end->state == MESSAGE_SKIPPED || end->state == MESSAGE_FAILED))
        rc = note_put(j, &key, end->note);
    else if (from == MESSAGE_FAILED || from == MESSAGE_SKIPPED)
        rc = note_dropped(j, &key);
    return rc ? rc : message_put(j, &key, &m);
}

bool journal_ends_legal(struct journal *j, const struct store_op *op)
{
    struct message_record m;
    struct folder_slot *slot;
    struct slice value;
    struct key key;

    if (slot_get(j, op->user, op->folder, &slot) != 0 || !slot)
        return false;
    for (unsigned i = 0; i < op->end.count; i++) {
        const struct store_end *end = &op->end.ends[i];

        key_message(&key, op->user, op->folder, end->uid);
        if (journal_get(j, TABLE_MESSAGE, &key, &value) != 0 ||
            !decode_message(key_slice(&key), value, &m) ||
            !journal_transition_allowed(m.state, end->state) ||
            (end->state == MESSAGE_SPOOLED && m.body == 0))
            return false;
    }
    return true;
}

static int apply_end(struct journal *j, const struct store_op *op)
{
    struct folder_slot *slot;
    int rc = slot_need(j, op, &slot);

    for (unsigned i = 0; i < op->end.count && !rc; i++)
        rc = one_ended(j, op, slot, &op->end.ends[i]);
    if (rc)
        return rc;
    if (op->end.floor)
        slot->record.target_uid_floor = op->end.floor;
    if (op->end.highest_seen)
        slot->record.target_highest_seen = op->end.highest_seen;
    slot->changed = true;
    return 0;
}

static int row_forgotten(struct journal *j, struct folder_slot *slot, const struct key *key,
                         const struct message_record *m)
{
    struct tally *t = &slot->record.tally;
    MDB_val k = env_val(key_slice(key));
    int rc = tally_less(tally_of(t, m->state));

    if (!rc)
        rc = tally_less(&t->found);
    if (!rc && m->body)
        rc = gc_release(j->spool, j->txn, m, &j->held_freed);
    if (!rc)
        rc = note_dropped(j, key);
    return rc ? rc : mdb_del(j->txn, j->spool->tables[TABLE_MESSAGE], &k, NULL);
}

/* The cursor goes first, so that a crash half-way lists the folder anew. */
static int apply_forget(struct journal *j, const struct store_op *op)
{
    struct folder_slot *slot;
    struct key key;
    MDB_cursor *cursor;
    MDB_val k, v;
    unsigned count = 0;
    int rc = slot_need(j, op, &slot);

    if (rc)
        return rc;
    slot->record.uidnext_listed = 0;
    slot->record.status_uidnext = slot->record.status_messages = 0;
    slot->record.status_modseq = 0;
    slot->record.target_scanned = false;
    slot->changed = true;
    rc = mdb_cursor_open(j->txn, j->spool->tables[TABLE_MESSAGE], &cursor);
    if (rc)
        return rc;
    key_message(&key, op->user, op->folder, 0);
    for (; count < FORGET_PER_TRANSACTION; count++) {
        struct message_record m;

        k = env_val(key_slice(&key));
        rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
        if (rc)
            break;
        if (k.mv_size != 12 || memcmp(k.mv_data, key.bytes, 8) != 0) {
            rc = MDB_NOTFOUND;
            break;
        }
        rc = decode_message(env_slice(k), env_slice(v), &m) ? 0 : MDB_CORRUPTED;
        if (rc)
            break;
        key_message(&key, op->user, op->folder, m.uid);
        rc = row_forgotten(j, slot, &key, &m);
        if (rc)
            break;
    }
    mdb_cursor_close(cursor);
    if (rc == 0)
        return JOURNAL_MORE;
    if (rc != MDB_NOTFOUND)
        return rc;
    slot->record.tally = (struct tally){ 0 };
    return 0;
}

static int apply_meta(struct journal *j, const struct store_op *op)
{
    char name[sizeof op->meta.name + 2];
    size_t size = strnlen(op->meta.name, sizeof op->meta.name - 1);
    MDB_val k = { size + 2, name }, v = { op->meta.size, op->meta.data };

    assert(op->meta.size <= 65536 && size > 0);
    memcpy(name, "e:", 2);
    memcpy(name + 2, op->meta.name, size);
    return mdb_put(j->txn, j->spool->tables[TABLE_META], &k, &v, 0);
}

int journal_apply(struct journal *j, const struct store_op *op)
{
    switch (op->kind) {
    case STORE_OP_USER:
        return apply_user(j, op);
    case STORE_OP_FOLDER:
        return apply_folder(j, op);
    case STORE_OP_FORGET:
        return apply_forget(j, op);
    case STORE_OP_COUNT:
        return apply_count(j, op);
    case STORE_OP_FOUND:
        return apply_found(j, op);
    case STORE_OP_CHUNK:
        return apply_chunk(j, op);
    case STORE_OP_SPOOLED:
        return apply_spooled(j, op);
    case STORE_OP_DROP_BODY:
        return apply_drop_body(j, op);
    case STORE_OP_OPEN:
        return apply_open(j, op);
    case STORE_OP_END:
        return apply_end(j, op);
    case STORE_OP_FAILURE:
        return remark_failure(j, op->user, &op->failure);
    case STORE_OP_PROBLEM:
        return remark_problem(j, op->user, &op->problem);
    case STORE_OP_CLEAR_REMARKS:
        return remark_clear(j, op->user);
    case STORE_OP_META:
        return apply_meta(j, op);
    case STORE_OP_SAMPLE:
        return remark_sample(j, op->sample.wall_ms, op->sample.values);
    case STORE_OP_FLUSH:
        return 0;
    }
    assert(!"an operation without a kind");
    return 0;
}
