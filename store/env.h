/* The LMDB environment of a state folder: opening, tables, fixed values in the meta table. Plain
 * durable mode only: without it a commit that was acknowledged could be undone (engineering.md A3.1).
 * Internal to store/; others see store/spool.h.
 */
#ifndef STORE_ENV_H
#define STORE_ENV_H

#include "store/codec.h"
#include "store/run_mark.h"
#include "store/seal.h"
#include "store/spool.h"
#include "store/state_dir.h"

#include <errno.h>
#include <lmdb.h>
#include <stdatomic.h>

/* In place of a table's handle: the journal is an earlier version's, opened for reading, and does not have it. */
#define TABLE_ABSENT ((MDB_dbi)-1)

#define SPOOL_FORMAT 1 /* of the whole environment; another one is refused */

enum table {
    TABLE_META,    /* "e:NAME" the engine's values, "s:NAME" numbers of the spool itself */
    TABLE_USER,    /* user -> record */
    TABLE_ADDRESS, /* lower-cased address -> user id */
    TABLE_FOLDER,  /* user, folder -> record with tally */
    TABLE_MESSAGE, /* user, folder, uid -> record */
    TABLE_NOTE,    /* the same key, for some skipped and failed messages */
    TABLE_BODY,    /* body, chunk -> sealed or plain zstd frame */
    TABLE_PARTIAL, /* bodies that have chunks but no message yet */
    TABLE_SHARE,   /* digest, size -> body and its count of messages; larger bodies only */
    TABLE_FAILURE,
    TABLE_PROBLEM,
    TABLE_SAMPLE,
    TABLE_FOLLOW, /* user, folder, uid (0: the folder) -> what became of it at the source since it was listed */
    TABLE_COUNT
};

struct spool {
    struct state_dir state_dir;
    MDB_env *env;
    MDB_dbi tables[TABLE_COUNT];
    bool read_only, distrust;
    struct run_mark begun; /* as found at open */
    uint64_t identity;     /* of this data.mdb; 0: it has none yet */
    char unsound[96];      /* integrity_check: a record that cannot be right, or "" */
    _Atomic bool damaged;  /* something in data.mdb cannot be right */
    struct seal_key seal;  /* seal.on false: bodies are not encrypted */
    uint64_t budget_config;
    uint64_t map_bytes, page_bytes;
    void *map;              /* where LMDB has mapped the file; NULL: not known */
    int64_t last_commit_ms; /* as found at open */
    _Atomic uint64_t body_next;
    uint64_t body_end; /* numbers below are reserved durably for this run */
    /* Written by the writer's thread (before it: by spool_open), read by any. */
    _Atomic uint64_t held_bytes, budget_bytes;
    _Atomic bool high, draining;
    _Atomic uint64_t free_bytes; /* on the disk, when it was last looked at */
};

/* Opens (or makes) the environment, by what spool->begun tells of the folder; on failure everything is closed again. */
bool env_open(struct spool *spool, struct err *err_r) ERR_CHECK;
void env_close(struct spool *spool);
/* Share of the file's pages that is free, 0..100, and the file's size in use. */
bool env_free_share(struct spool *spool, unsigned *percent_r, uint64_t *file_bytes_r, struct err *err_r) ERR_CHECK;

/* A state folder in which no run has come as far as its first commit, opened for reading: PERMANENT/RUN
 * code ENOENT. Returns false. */
bool env_not_begun(const struct spool *spool, struct err *err_r);

/* A folder in which a run has begun, without what that run had in data.mdb; what: where it shows, or NULL when
 * the file itself is missing. PERMANENT/RUN, origin STORE. Returns false. */
bool env_lost(struct spool *spool, struct err *err_r, const char *what);

/* Words for an LMDB result, as PERMANENT/RUN origin STORE. Returns false. */
bool env_error(struct spool *spool, struct err *err_r, int rc, const char *doing);
/* The same for what is in the file and cannot be right; what: where, or NULL. */
bool env_damaged(struct spool *spool, struct err *err_r, const char *what, const char *doing);
/* What is returned in place of an LMDB code for a text that passes what the spool keeps. */
#define ENV_TOO_LONG EOVERFLOW
#define ENV_DAMAGED_ADVICE                                                                                             \
    "Restore the state folder from a copy, or put it aside and run again: what is on the target is "                   \
    "recognised, nothing is doubled"

static inline MDB_val env_val(struct slice s)
{
    return (MDB_val){ s.size, (void *)(uintptr_t)s.data };
}

static inline struct slice env_slice(MDB_val v)
{
    return slice_of(v.mv_data, v.mv_size);
}

/* Numbers of the spool itself, under "s:NAME". Missing: 0. Results are LMDB's. */
int env_number_get(const struct spool *spool, MDB_txn *txn, const char *name, uint64_t *number_r);
int env_number_put(struct spool *spool, MDB_txn *txn, const char *name, uint64_t number);

/* Budget and high mark from what is held and what the disk has; writer's thread. */
void env_measure_fill(struct spool *spool);

/* Unmaps the pages of the file that reading has touched: they stay in the page cache and come back by
 * themselves, but no longer count as this process's memory. Any thread. */
void env_let_go(struct spool *spool);
/* What is read through the map, or merely passed over (a kernel may map two MiB where one page is
 * touched), before it is let go. */
#define ENV_LET_GO_BYTES (16u << 20)

#endif
