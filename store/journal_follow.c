/* What became of messages at the source after they were listed, and how far the target was brought
 * after them. */
#include "store/journal_private.h"

int journal_follow_drop(struct journal *j, const struct key *key)
{
    MDB_val k = env_val(key_slice(key));
    int rc = mdb_del(j->txn, j->spool->tables[TABLE_FOLLOW], &k, NULL);

    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* A record whose texts are its own. */
struct follow_kept {
    struct follow_record record;
    char now[CODEC_KEYWORDS_BYTES_MAX], next[CODEC_KEYWORDS_BYTES_MAX];
};

static void words_kept(struct slice *words, char kept[CODEC_KEYWORDS_BYTES_MAX])
{
    if (words->size)
        memcpy(kept, words->data, words->size);
    words->data = kept;
}

/* Nothing known is an empty record. */
static int follow_get(struct journal *j, const struct key *key, struct follow_kept *f_r)
{
    struct slice value;
    int rc = journal_get(j, TABLE_FOLLOW, key, &value);

    f_r->record = (struct follow_record){ 0 };
    if (rc == MDB_NOTFOUND)
        return 0;
    if (!rc && !decode_follow(key_slice(key), value, &f_r->record))
        rc = MDB_CORRUPTED;
    words_kept(&f_r->record.now.keywords, f_r->now);
    words_kept(&f_r->record.next.keywords, f_r->next);
    return rc;
}

static int follow_put(struct journal *j, const struct key *key, const struct follow_record *f)
{
    RECORD_ROOM(bytes);

    if (!f->gone && !f->followed && !f->wanted && !f->modseq && !f->absent)
        return journal_follow_drop(j, key);
    return journal_put(j, TABLE_FOLLOW, key, bytes, encode_follow(bytes, key, f));
}

static int one_followed(struct journal *j, const struct store_op *op, const struct store_follow *one)
{
    struct message_record m;
    struct follow_kept f;
    struct slice value;
    struct key key;
    int rc;

    key_message(&key, op->user, op->folder, one->uid);
    rc = journal_get(j, TABLE_MESSAGE, &key, &value);
    if (rc)
        return rc == MDB_NOTFOUND ? 0 : rc; /* its folder was forgotten meanwhile */
    if (!decode_message(key_slice(&key), value, &m))
        return MDB_CORRUPTED;
    if (m.state == MESSAGE_SKIPPED)
        return 0;
    rc = follow_get(j, &key, &f);
    if (rc)
        return rc;
    switch (one->what) {
    case STORE_FOLLOW_WANTS:
        f.record.wanted = true;
        f.record.next = one->flags;
        break;
    case STORE_FOLLOW_SAME:
        f.record.wanted = false;
        break;
    case STORE_FOLLOW_DONE:
        f.record.followed = true;
        f.record.now = one->flags;
        /* The source may have changed it again meanwhile. */
        f.record.wanted = f.record.wanted && !follow_flags_equal(&f.record.next, &one->flags);
        break;
    case STORE_FOLLOW_GONE:
        f.record.gone = true;
        f.record.wanted = false;
        break;
    case STORE_FOLLOW_KEPT:
        f.record.gone = f.record.kept = true;
        f.record.wanted = false;
        break;
    case STORE_FOLLOW_HERE:
        f.record.gone = f.record.kept = false;
        break;
    }
    return follow_put(j, &key, &f.record);
}

int journal_follow(struct journal *j, const struct store_op *op)
{
    struct folder_slot *slot;
    struct follow_kept f;
    struct key key;
    int rc = journal_slot_need(j, op, &slot);

    for (unsigned i = 0; i < op->follow.count && !rc; i++)
        rc = one_followed(j, op, &op->follow.all[i]);
    if (rc || (!op->follow.modseq && !op->follow.counted))
        return rc;
    key_message(&key, op->user, op->folder, 0);
    rc = follow_get(j, &key, &f);
    if (op->follow.modseq)
        f.record.modseq = op->follow.modseq;
    if (op->follow.counted)
        f.record.absent = op->follow.absent;
    return rc ? rc : follow_put(j, &key, &f.record);
}

int journal_follow_ended(struct journal *j, const struct key *key, struct message_record *m, bool back,
                         char kept[CODEC_KEYWORDS_BYTES_MAX])
{
    const struct follow_flags *newest;
    struct follow_kept f;
    int rc = follow_get(j, key, &f);

    if (rc)
        return rc;
    newest = f.record.wanted ? &f.record.next : f.record.followed ? &f.record.now : NULL;
    if (back && newest) {
        m->flags = newest->system;
        m->keywords = newest->keywords;
        words_kept(&m->keywords, kept);
    }
    /* What the source has not any more is not fetched either, and the listing tells so. */
    return journal_follow_drop(j, key);
}
