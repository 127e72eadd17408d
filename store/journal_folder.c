/* The operations on users and folders: their records, counts, intents, and forgetting. */
#include "io/base/mem.h"
#include "store/gc.h"
#include "store/journal_private.h"

#include <assert.h>
#include <stdlib.h>

#define FORGET_PER_TRANSACTION 4096
#define META_BYTES_MAX         65536u

int journal_user(struct journal *j, const struct store_op *op)
{
    RECORD_ROOM(bytes);
    struct key key;

    assert(op->user_record.id == op->user && op->user);
    key_user(&key, op->user);
    return journal_put(j, TABLE_USER, &key, bytes, encode_user(bytes, &key, &op->user_record));
}

/* Sums of a folder's own rows; used for excluded folders, which rarely have any. */
static int rows_summed(struct journal *j, const struct store_op *op, uint64_t *skipped_r, uint64_t *bytes_r)
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
    for (rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE); rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
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
static int recount(struct journal *j, const struct store_op *op, struct folder_slot *slot, uint64_t messages,
                   uint64_t bytes)
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

int journal_count(struct journal *j, const struct store_op *op)
{
    struct folder_slot *slot;
    int rc = journal_slot_need(j, op, &slot);

    return rc ? rc : recount(j, op, slot, op->count.messages, op->count.bytes);
}

static char *texts_copied(struct folder_record *record)
{
    struct slice *texts[] = { &record->source_raw, &record->source_name, &record->target_raw, &record->target_name };
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

int journal_folder(struct journal *j, const struct store_op *op)
{
    struct folder_slot *slot;
    struct tally tally;
    bool was_excluded;
    int rc = journal_slot_get(j, op->user, op->folder, &slot);

    assert(op->user && op->folder);
    if (rc)
        return rc;
    if (!slot)
        slot = journal_slot_add(j, op->user, op->folder);
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

/* The target folder is another one: UIDs in the old one say nothing of it. JOURNAL_MORE while rows are left. */
static int target_uids_dropped(struct journal *j, const struct store_op *op)
{
    uint32_t from = op->open.empty ? MESSAGE_NOT_THERE : 0;
    char keywords[CODEC_KEYWORDS_BYTES_MAX];
    struct message_record m;
    unsigned count = 0;
    MDB_cursor *cursor;
    struct key key;
    MDB_val k, v;
    int rc = mdb_cursor_open(j->txn, j->spool->tables[TABLE_MESSAGE], &cursor);

    if (rc)
        return rc;
    key_message(&key, op->user, op->folder, 0);
    k = env_val(key_slice(&key));
    for (rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE); rc == 0 && count < FORGET_PER_TRANSACTION;
         rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE)) {
        if (k.mv_size != 12 || memcmp(k.mv_data, key.bytes, 8) != 0) {
            rc = MDB_NOTFOUND;
            break;
        }
        if (!decode_message(env_slice(k), env_slice(v), &m)) {
            rc = MDB_CORRUPTED;
            break;
        }
        key_message(&key, op->user, op->folder, m.uid);
        if ((m.state == MESSAGE_UPLOADED || m.state == MESSAGE_PRESENT || m.target_uid) &&
            (m.target_uid || m.target_uid_from != from)) {
            journal_keywords_kept(&m, keywords);
            m.target_uid = m.doomed_uid = 0;
            m.target_uid_from = from;
            rc = journal_message_put(j, &key, &m);
            if (rc)
                break;
            count++;
        }
        if (m.uid == UINT32_MAX) {
            rc = MDB_NOTFOUND;
            break;
        }
        key_message(&key, op->user, op->folder, m.uid + 1);
        k = env_val(key_slice(&key));
    }
    mdb_cursor_close(cursor);
    return rc == 0 ? JOURNAL_MORE : rc == MDB_NOTFOUND ? 0 : rc;
}

int journal_open(struct journal *j, const struct store_op *op)
{
    struct folder_slot *slot;
    int rc = journal_slot_need(j, op, &slot);

    if (rc)
        return rc;
    if (slot->record.target_uidvalidity && op->open.uidvalidity &&
        slot->record.target_uidvalidity != op->open.uidvalidity) {
        rc = target_uids_dropped(j, op);
        if (rc)
            return rc;
        slot->record.target_late_seen = 0;
    }
    slot->record.target_open = true;
    slot->record.target_counted = false;
    if (op->open.uidvalidity)
        slot->record.target_uidvalidity = op->open.uidvalidity;
    slot->record.target_uid_floor = op->open.floor;
    slot->record.target_highest_seen = op->open.highest_seen;
    if (op->open.scanned)
        slot->record.target_scanned = true;
    if (op->open.lost_from)
        slot->record.target_lost_from = op->open.lost_from;
    slot->changed = true;
    return 0;
}

static int row_forgotten(struct journal *j, struct folder_slot *slot, const struct key *key,
                         const struct message_record *m)
{
    struct tally *t = &slot->record.tally;
    MDB_val k = env_val(key_slice(key));
    int rc = journal_tally_less(journal_tally_of(t, m->state));

    if (!rc)
        rc = journal_tally_less(&t->found);
    if (!rc && m->body)
        rc = gc_release(j->spool, j->txn, m, &j->held_freed);
    if (!rc)
        rc = journal_note_drop(j, key);
    if (!rc)
        rc = journal_follow_drop(j, key);
    return rc ? rc : mdb_del(j->txn, j->spool->tables[TABLE_MESSAGE], &k, NULL);
}

/* The cursor goes first, so that a crash half-way lists the folder anew. */
int journal_forget(struct journal *j, const struct store_op *op)
{
    struct folder_slot *slot;
    struct key key;
    MDB_cursor *cursor;
    MDB_val k, v;
    unsigned count = 0;
    int rc = journal_slot_need(j, op, &slot);

    if (rc)
        return rc;
    slot->record.status_uidnext = slot->record.status_messages = 0;
    slot->record.status_modseq = 0;
    folder_record_forget(&slot->record);
    slot->changed = true;
    key_message(&key, op->user, op->folder, 0);
    rc = journal_follow_drop(j, &key);
    if (!rc)
        rc = mdb_cursor_open(j->txn, j->spool->tables[TABLE_MESSAGE], &cursor);
    if (rc)
        return rc;
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

int journal_meta(struct journal *j, const struct store_op *op)
{
    char name[sizeof op->meta.name + 2];
    size_t size = strnlen(op->meta.name, sizeof op->meta.name - 1);
    MDB_val k = { size + 2, name }, v = { op->meta.size, op->meta.data };

    assert(size > 0);
    if (op->meta.size > META_BYTES_MAX)
        return ENV_TOO_LONG;
    memcpy(name, "e:", 2);
    memcpy(name + 2, op->meta.name, size);
    return mdb_put(j->txn, j->spool->tables[TABLE_META], &k, &v, 0);
}
