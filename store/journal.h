/* One write transaction on the journal: applies operations by the only legal changes of a message's
 * state, and keeps each folder's tally in step. A folder's record is read once and written once a
 * transaction, however many of its messages change. Internal to store/; the writer's thread only.
 *
 * Applying an operation never changes it, so that after a failed commit it can be applied again.
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "store/env.h"
#include "store/writer.h"

/* May a message go from `from` to `to`? from 0: it is new.
 *   new      -> FOUND SKIPPED
 *   FOUND    -> FOUND (an attempt is counted) SPOOLED PRESENT SKIPPED FAILED
 *   SPOOLED  -> FOUND (body lost) UPLOADED PRESENT SKIPPED FAILED
 *   UPLOADED -> FOUND (looked for on the target, and not there any more)
 *   PRESENT  -> FOUND (likewise)
 *   SKIPPED  -> FOUND (policy changed)
 *   FAILED   -> FOUND SPOOLED (retried; SPOOLED with the body it kept) UPLOADED PRESENT (arrived
 *               after all) SKIPPED */
bool journal_transition_allowed(enum message_state from, enum message_state to);

struct folder_slot;
struct journal {
    struct spool *spool;
    MDB_txn *txn;
    struct folder_slot *slots; /* folders touched, newest first */
    struct folder_slot *buckets[256];
    uint64_t held_added, held_freed;
};

/* Results: 0, an LMDB code, an errno, or one of these (outside both ranges). ILLEGAL: the journal holds
 * something else than what the operation goes by (no such row, or a state it cannot leave so). */
enum { JOURNAL_MORE = -1, JOURNAL_ILLEGAL = -2 };

int journal_begin(struct journal *j, struct spool *spool);
/* JOURNAL_MORE: done in part; commit, then apply it again. After any other failure: abort. */
int journal_apply(struct journal *j, struct store_op *op);
/* Would STORE_OP_END be applied whole? Changes nothing. */
bool journal_ends_legal(struct journal *j, const struct store_op *op);
/* wall_ms becomes the heartbeat. Ends the transaction also on failure. */
int journal_commit(struct journal *j, int64_t wall_ms);
void journal_abort(struct journal *j);

/* For tests: asked before each commit; what it returns other than 0 is the commit's result, and
 * nothing is written. NULL: none. */
void journal_fault(int (*before_commit)(void *context), void *context);

/* store/remarks: failures, problems, samples. */
int remark_failure(struct journal *j, uint32_t user, const struct failure_record *failure);
int remark_problem(struct journal *j, uint32_t user, const struct problem_record *problem);
/* doubt->doubt false: only takes away. */
int remark_doubt(struct journal *j, uint32_t user, const struct problem_record *doubt);
int remark_clear(struct journal *j, uint32_t user); /* both kinds, doubts excepted */
int remark_clear_problems(struct journal *j, uint32_t user);
int remark_sample(struct journal *j, int64_t wall_ms, const uint64_t values[12]);

#define REMARK_FAILURES_MAX 1000u /* different ones a user */
#define REMARK_PROBLEMS_MAX 64u   /* a folder */
#define REMARK_SAMPLES_MAX  4096u

/* Put and get of a record in the journal's transaction. get: MDB_NOTFOUND is not an error of the
 * transaction; the value is valid until the next write. */
int journal_put(struct journal *j, enum table table, const struct key *key, const uint8_t *bytes, size_t size);
int journal_get(struct journal *j, enum table table, const struct key *key, struct slice *value_r);

#endif
