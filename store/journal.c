#include "store/journal.h"

#include "io/base/mem.h"
#include "store/journal_private.h"

#include <assert.h>
#include <stdlib.h>

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
        [MESSAGE_FOUND] = 1u << MESSAGE_FOUND | 1u << MESSAGE_SPOOLED | 1u << MESSAGE_PRESENT | 1u << MESSAGE_SKIPPED |
                          1u << MESSAGE_FAILED,
        [MESSAGE_SPOOLED] = 1u << MESSAGE_FOUND | 1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT |
                            1u << MESSAGE_SKIPPED | 1u << MESSAGE_FAILED,
        [MESSAGE_UPLOADED] = 1u << MESSAGE_FOUND | 1u << MESSAGE_SKIPPED, /* deleted at the source, and followed */
        [MESSAGE_PRESENT] = 1u << MESSAGE_FOUND,
        [MESSAGE_SKIPPED] = 1u << MESSAGE_FOUND | 1u << MESSAGE_SKIPPED, /* for another reason */
        [MESSAGE_FAILED] = 1u << MESSAGE_FOUND | 1u << MESSAGE_SPOOLED | 1u << MESSAGE_UPLOADED |
                           1u << MESSAGE_PRESENT | 1u << MESSAGE_SKIPPED,
    };

    return (unsigned)from < MESSAGE_STATE_COUNT && (unsigned)to < MESSAGE_STATE_COUNT && (allowed[from] >> to & 1);
}

int journal_put(struct journal *j, enum table table, const struct key *key, const uint8_t *bytes, size_t size)
{
    MDB_val k = env_val(key_slice(key)), v = { size, (void *)(uintptr_t)bytes };

    if (size == 0)
        return ENV_TOO_LONG;
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

struct folder_slot *journal_slot_add(struct journal *j, uint32_t user, uint32_t folder)
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
int journal_slot_get(struct journal *j, uint32_t user, uint32_t folder, struct folder_slot **slot_r)
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
    slot = journal_slot_add(j, user, folder);
    slot->record = record;
    slot->text = text;
    *slot_r = slot;
    return 0;
}

/* The folder must be there. */
int journal_slot_need(struct journal *j, const struct store_op *op, struct folder_slot **slot_r)
{
    int rc = journal_slot_get(j, op->user, op->folder, slot_r);

    if (rc == 0 && !*slot_r)
        rc = JOURNAL_ILLEGAL;
    return rc;
}

uint64_t *journal_tally_of(struct tally *t, enum message_state state)
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

int journal_tally_less(uint64_t *count)
{
    if (*count == 0)
        return MDB_CORRUPTED;
    --*count;
    return 0;
}

int journal_commit(struct journal *j, int64_t wall_ms)
{
    RECORD_ROOM(bytes);
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

int journal_apply(struct journal *j, struct store_op *op)
{
    switch (op->kind) {
    case STORE_OP_USER:
        return journal_user(j, op);
    case STORE_OP_FOLDER:
        return journal_folder(j, op);
    case STORE_OP_FORGET:
        return journal_forget(j, op);
    case STORE_OP_COUNT:
        return journal_count(j, op);
    case STORE_OP_FOUND:
        return journal_found(j, op);
    case STORE_OP_CHUNK:
        return journal_chunk(j, op);
    case STORE_OP_SPOOLED:
        return journal_spooled(j, op);
    case STORE_OP_DROP_BODY:
        return journal_drop_body(j, op);
    case STORE_OP_OPEN:
        return journal_open(j, op);
    case STORE_OP_REPAIR:
        return journal_repair(j, op);
    case STORE_OP_UNANSWERED:
        return journal_unanswered(j, op);
    case STORE_OP_DOOM:
        return journal_doom(j, op);
    case STORE_OP_FOLLOW:
        return journal_follow(j, op);
    case STORE_OP_END:
        return journal_end(j, op);
    case STORE_OP_FAILURE:
        return remark_failure(j, op->user, &op->failure);
    case STORE_OP_PROBLEM:
        return remark_problem(j, op->user, &op->problem);
    case STORE_OP_DOUBT:
        return remark_doubt(j, op->user, &op->problem);
    case STORE_OP_CLEAR_REMARKS:
        return remark_clear(j, op->user);
    case STORE_OP_CLEAR_PROBLEMS:
        return remark_clear_problems(j, op->user);
    case STORE_OP_META:
        return journal_meta(j, op);
    case STORE_OP_SAMPLE:
        return remark_sample(j, op->sample.wall_ms, op->sample.values);
    case STORE_OP_FLUSH:
        return 0;
    }
    assert(!"an operation without a kind");
    return 0;
}
