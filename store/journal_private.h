/* What the parts of the journal share: the folders a transaction has touched, and one function for
 * each operation, called by journal_apply() alone. Their results are those of journal_apply(). */
#ifndef STORE_JOURNAL_PRIVATE_H
#define STORE_JOURNAL_PRIVATE_H

#include "store/journal.h"

/* A folder's record in the open transaction, written at its commit when `changed`. */
struct folder_slot {
    struct folder_slot *next, *in_bucket;
    struct folder_record record;
    char *text; /* backing of the record's slices; owned */
    bool changed;
};

/* A slot without a record read: for a folder that is new. */
struct folder_slot *journal_slot_add(struct journal *j, uint32_t user, uint32_t folder);
/* NULL in *slot_r when there is no such folder. */
int journal_slot_get(struct journal *j, uint32_t user, uint32_t folder, struct folder_slot **slot_r);
/* The folder of `op` must be there. */
int journal_slot_need(struct journal *j, const struct store_op *op, struct folder_slot **slot_r);

/* The count of messages in `state`. */
uint64_t *journal_tally_of(struct tally *t, enum message_state state);
/* One less; MDB_CORRUPTED when there is none. */
int journal_tally_less(uint64_t *count);

/* journal_message: puts a message's record. */
int journal_message_put(struct journal *j, const struct key *key, const struct message_record *m);
/* journal_message: keywords stand in the page that the put of the same record may change. */
void journal_keywords_kept(struct message_record *m, char kept[CODEC_KEYWORDS_BYTES_MAX]);
/* journal_message: a message's note goes, if it has one. */
int journal_note_drop(struct journal *j, const struct key *key);

/* journal_follow */
int journal_follow(struct journal *j, const struct store_op *op);
/* The message goes back to be sent again (back), with the newest flags that are known of it, or has left for good:
 * what was kept of it besides its row goes. Keywords of m may point into `kept` then. */
int journal_follow_ended(struct journal *j, const struct key *key, struct message_record *m, bool back,
                         char kept[CODEC_KEYWORDS_BYTES_MAX]);
/* Its row goes; key of uid 0: the folder's record. */
int journal_follow_drop(struct journal *j, const struct key *key);

/* journal_folder */
int journal_user(struct journal *j, const struct store_op *op);
int journal_folder(struct journal *j, const struct store_op *op);
int journal_count(struct journal *j, const struct store_op *op);
int journal_open(struct journal *j, const struct store_op *op);
/* JOURNAL_MORE while rows are left. The cursor goes first, so that a crash half-way lists the
 * folder anew. */
int journal_forget(struct journal *j, const struct store_op *op);
int journal_meta(struct journal *j, const struct store_op *op);

/* journal_message */
int journal_found(struct journal *j, const struct store_op *op);
int journal_chunk(struct journal *j, const struct store_op *op);
int journal_drop_body(struct journal *j, const struct store_op *op);
int journal_spooled(struct journal *j, struct store_op *op);
int journal_repair(struct journal *j, const struct store_op *op);
int journal_unanswered(struct journal *j, const struct store_op *op);
int journal_doom(struct journal *j, const struct store_op *op);
int journal_end(struct journal *j, const struct store_op *op);

#endif
