/* The operations on messages: found, their bodies, and their ends. */
#include "store/gc.h"
#include "store/journal_private.h"

#include <assert.h>

int journal_message_put(struct journal *j, const struct key *key, const struct message_record *m)
{
    RECORD_ROOM(bytes);

    return journal_put(j, TABLE_MESSAGE, key, bytes, encode_message(bytes, key, m));
}

static int note_put(struct journal *j, const struct key *key, const struct message_note *note)
{
    RECORD_ROOM(bytes);

    return journal_put(j, TABLE_NOTE, key, bytes, encode_note(bytes, key, note));
}

int journal_note_drop(struct journal *j, const struct key *key)
{
    MDB_val k = env_val(key_slice(key));
    int rc = mdb_del(j->txn, j->spool->tables[TABLE_NOTE], &k, NULL);

    return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool note_empty(const struct message_note *note)
{
    return !note->subject[0] && !note->message_id[0] && !note->date[0];
}

int journal_found(struct journal *j, const struct store_op *op)
{
    RECORD_ROOM(bytes);
    struct folder_slot *slot;
    struct key key;
    int rc = journal_slot_need(j, op, &slot);

    for (unsigned i = 0; i < op->found.count && !rc; i++) {
        const struct message_record *m = &op->found.rows[i];
        MDB_val k, v;

        assert(m->uid && (i == 0 || m->uid > m[-1].uid) && m->body == 0);
        if (!journal_transition_allowed(0, m->state))
            return JOURNAL_ILLEGAL;
        key_message(&key, op->user, op->folder, m->uid);
        k = env_val(key_slice(&key));
        v = (MDB_val){ encode_message(bytes, &key, m), bytes };
        if (v.mv_size == 0)
            return ENV_TOO_LONG;
        rc = mdb_put(j->txn, j->spool->tables[TABLE_MESSAGE], &k, &v, MDB_NOOVERWRITE);
        /* Servers answer n:* with their last message even when it is below n: known is known. */
        if (rc == MDB_KEYEXIST) {
            rc = 0;
            continue;
        }
        slot->record.tally.found++;
        slot->record.tally.bytes_found += m->listed_bytes;
        ++*journal_tally_of(&slot->record.tally, m->state);
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

int journal_chunk(struct journal *j, const struct store_op *op)
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

int journal_drop_body(struct journal *j, const struct store_op *op)
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
        return JOURNAL_ILLEGAL;
    if (rc)
        return rc;
    return decode_message(key_slice(key), value, m_r) ? 0 : MDB_CORRUPTED;
}

void journal_keywords_kept(struct message_record *m, char kept[CODEC_KEYWORDS_BYTES_MAX])
{
    if (m->keywords.size)
        memcpy(kept, m->keywords.data, m->keywords.size);
    m->keywords.data = kept;
}

int journal_spooled(struct journal *j, struct store_op *op)
{
    char kept[CODEC_KEYWORDS_BYTES_MAX];
    struct folder_slot *slot;
    struct message_record m;
    struct key key;
    int rc = journal_slot_need(j, op, &slot);

    if (rc)
        return rc;
    assert(op->body.body && op->body.uid);
    key_message(&key, op->user, op->folder, op->body.uid);
    rc = message_get(j, &key, &m);
    if (rc)
        return rc;
    if (m.state != MESSAGE_FOUND)
        return JOURNAL_ILLEGAL;
    journal_keywords_kept(&m, kept);
    rc = journal_tally_less(&slot->record.tally.waiting);
    if (!rc)
        rc = shared(j, op, &m.body);
    if (!rc && op->body.chunk > 0)
        rc = partial_dropped(j, op->body.body);
    if (!rc && m.body != op->body.body)
        rc = op->body.chunk > 0 ? gc_drop_chunks(j->spool, j->txn, op->body.body, &j->held_freed) : 0;
    else if (!rc && op->body.size)
        rc = chunk_put(j, op);
    if (rc)
        return rc;
    op->body.kept = m.body;
    m.state = MESSAGE_SPOOLED;
    m.body_bytes = op->body.body_bytes;
    memcpy(m.digest, op->body.digest, sizeof m.digest);
    memcpy(m.header_key, op->body.header_key, sizeof m.header_key);
    if (!m.date_known && op->body.dated) {
        m.date_known = true;
        m.date_seconds = op->body.date_seconds;
        m.zone_minutes = op->body.zone_minutes;
    }
    slot->record.tally.spooled++;
    slot->record.tally.bytes_fetched += op->body.body_bytes;
    slot->changed = true;
    return journal_message_put(j, &key, &m);
}

int journal_repair(struct journal *j, const struct store_op *op)
{
    char kept[CODEC_KEYWORDS_BYTES_MAX];
    struct message_record m;
    struct key key;
    int rc;

    key_message(&key, op->user, op->folder, op->repair.uid);
    rc = message_get(j, &key, &m);
    if (rc)
        return rc;
    if (m.state != MESSAGE_SPOOLED)
        return JOURNAL_ILLEGAL;
    journal_keywords_kept(&m, kept);
    m.repairs = op->repair.repairs;
    m.repaired_bytes = op->repair.repairs ? op->repair.repaired_bytes : 0;
    memcpy(m.header_key, op->repair.header_key, sizeof m.header_key);
    if (op->repair.note) /* an empty one too: by its note a mended message is found for the report */
        rc = note_put(j, &key, op->repair.note);
    return rc ? rc : journal_message_put(j, &key, &m);
}

/* UINT8_MAX stays: nobody counted further. */
int journal_unanswered(struct journal *j, const struct store_op *op)
{
    char kept[CODEC_KEYWORDS_BYTES_MAX];
    struct message_record m;
    struct key key;
    int rc = 0;

    for (unsigned i = 0; i < op->unanswered.count && rc == 0; i++) {
        key_message(&key, op->user, op->folder, op->unanswered.uids[i]);
        rc = message_get(j, &key, &m);
        if (rc == 0 && m.state == MESSAGE_SPOOLED && m.unanswered < UINT8_MAX) {
            journal_keywords_kept(&m, kept);
            m.unanswered++;
            rc = journal_message_put(j, &key, &m);
        } else if (rc == JOURNAL_ILLEGAL) {
            rc = 0; /* its folder was forgotten meanwhile */
        }
    }
    return rc;
}

int journal_doom(struct journal *j, const struct store_op *op)
{
    char kept[CODEC_KEYWORDS_BYTES_MAX];
    struct message_record m;
    struct key key;
    int rc;

    key_message(&key, op->user, op->folder, op->doom.uid);
    rc = message_get(j, &key, &m);
    if (rc)
        return rc;
    if (m.state != MESSAGE_UPLOADED && m.state != MESSAGE_PRESENT)
        return JOURNAL_ILLEGAL;
    journal_keywords_kept(&m, kept);
    m.doomed_uid = op->doom.doomed_uid;
    if (op->doom.removed && m.unanswered && m.unanswered < UINT8_MAX)
        m.unanswered--;
    return journal_message_put(j, &key, &m);
}

/* It is not on the target any more; back: and is sent again. Its header_key stays: by that it is known for one that was
 * there, should the source not have it any more either. */
static int taken_back(struct journal *j, struct tally *t, const struct key *key, struct message_record *m,
                      enum message_state from, bool back)
{
    if (from == MESSAGE_UPLOADED) {
        if (t->bytes_uploaded < m->body_bytes)
            return MDB_CORRUPTED;
        t->bytes_uploaded -= m->body_bytes;
        /* It was answered OK: so it may come yet. */
        m->unanswered += back && m->unanswered < UINT8_MAX;
    }
    m->target_uid = m->doomed_uid = 0;
    m->body_bytes = 0;
    memset(m->digest, 0, sizeof m->digest);
    if (m->repairs == 0)
        return 0;
    m->repairs = 0;
    m->repaired_bytes = 0;
    return journal_note_drop(j, key);
}

static int one_ended(struct journal *j, const struct store_op *op, struct folder_slot *slot,
                     const struct store_end *end)
{
    char kept[CODEC_KEYWORDS_BYTES_MAX];
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
    if (!journal_transition_allowed(from, end->state) || (end->state == MESSAGE_SPOOLED && m.body == 0))
        return JOURNAL_ILLEGAL;
    journal_keywords_kept(&m, kept);
    rc = journal_tally_less(journal_tally_of(t, from));
    if (rc)
        return rc;
    ++*journal_tally_of(t, end->state);
    m.state = end->state;
    m.reason = end->state == MESSAGE_SKIPPED ? end->reason : SKIP_NONE;
    if (end->found && m.unanswered && m.unanswered < UINT8_MAX)
        m.unanswered--;
    if (end->target_uid) {
        m.target_uid = end->target_uid;
        m.target_uid_from = 0;
    } else if (end->state == MESSAGE_UPLOADED) {
        /* It had no answer until now, and so is not below the floor of until now. */
        m.target_uid_from = slot->record.target_uid_floor;
    }
    m.in_doubt = end->state == MESSAGE_UPLOADED && end->in_doubt;
    if (end->state == MESSAGE_UPLOADED)
        t->bytes_uploaded += m.body_bytes;
    if (end->state == MESSAGE_FOUND) /* a person's retry begins to count anew */
        m.tries = from != MESSAGE_FOUND && from != MESSAGE_SPOOLED ? 0 : m.tries < UINT32_MAX ? m.tries + 1 : m.tries;
    if (from == MESSAGE_UPLOADED || from == MESSAGE_PRESENT) {
        rc = taken_back(j, t, &key, &m, from, end->state == MESSAGE_FOUND);
        if (rc)
            return rc;
    }
    if (from == MESSAGE_UPLOADED || from == MESSAGE_PRESENT || end->state == MESSAGE_SKIPPED) {
        rc = journal_follow_ended(j, &key, &m, end->state == MESSAGE_FOUND, kept);
        if (rc)
            return rc;
    }
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
            m.repairs = 0;
            m.repaired_bytes = 0;
        }
    }
    if (end->note && (end->state == MESSAGE_SKIPPED || end->state == MESSAGE_FAILED))
        rc = note_put(j, &key, end->note);
    else if ((from == MESSAGE_FAILED || from == MESSAGE_SKIPPED) && end->state != MESSAGE_SKIPPED && !m.repairs)
        rc = journal_note_drop(j, &key);
    return rc ? rc : journal_message_put(j, &key, &m);
}

bool journal_ends_legal(struct journal *j, const struct store_op *op)
{
    struct message_record m;
    struct folder_slot *slot;
    struct slice value;
    struct key key;

    if (journal_slot_get(j, op->user, op->folder, &slot) != 0 || !slot)
        return false;
    for (unsigned i = 0; i < op->end.count; i++) {
        const struct store_end *end = &op->end.ends[i];

        key_message(&key, op->user, op->folder, end->uid);
        if (journal_get(j, TABLE_MESSAGE, &key, &value) != 0 || !decode_message(key_slice(&key), value, &m) ||
            !journal_transition_allowed(m.state, end->state) || (end->state == MESSAGE_SPOOLED && m.body == 0))
            return false;
    }
    return true;
}

int journal_end(struct journal *j, const struct store_op *op)
{
    struct folder_slot *slot;
    int rc = journal_slot_need(j, op, &slot);

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
