/* The state folder: one LMDB environment with spooled bodies and the journal, a lock against a
 * second run, and a ballast file that lets deletes commit on a full disk. engineering.md A3.
 */
#ifndef STORE_SPOOL_H
#define STORE_SPOOL_H

#include "io/base/err.h"
#include "io/base/secret.h"
#include "store/record.h"

struct spool;

struct spool_config {
    const char *folder;       /* made with mode 0700 when missing; its parent must exist */
    uint64_t budget_bytes;    /* bodies (compressed) that may wait here; 0: no limit but the disk */
    bool read_only;           /* status, report: no lock, nothing written, works beside a run */
    bool distrust;            /* every page is read, also when data.mdb is as the last run left it */
    const struct secret *key; /* encryption at rest, 32 bytes or more, or NULL */
};

/* Errors (all RUN scope, origin STORE or OS): PERMANENT with code EWOULDBLOCK when another run holds
 * the state (exit 75; the text names its pid); EROFS/EACCES/ENOSPC worded; a network file system; a
 * spool of another version or key; a file that is damaged, or missing in a folder in which a run has begun. Orphans of
 * a killed run (half-written bodies, stale reader slots) are cleared. */
bool spool_open(const struct spool_config *config, struct spool **spool_r, struct err *err_r) ERR_CHECK;
/* Is the folder a state folder in which a run has begun, whole or damaged? Opens and makes nothing. */
bool spool_is_used(const char *folder);
/* Whether a run could begin with this folder, judged as spool_open judges it; what was not there is not there
 * afterwards either. */
struct spool_trial {
    bool is_used;                         /* a run has begun in it */
    bool held;                            /* by a run, right now */
    uint64_t disk_free_bytes, disk_bytes; /* 0: cannot be told */
};
bool spool_try(const struct spool_config *config, struct spool_trial *trial_r, struct err *err_r) ERR_CHECK;
/* After writer and all readers ended. Nulls; NULL is fine. */
void spool_close(struct spool **spool);

/* Registers users in one durable transaction (before the team starts): finds the record of
 * address (compared lower-cased) or makes one in state USER_QUEUED. ids_r[count]. */
bool spool_register_users(struct spool *spool, const struct slice *addresses, const struct slice *user_names,
                          unsigned count, uint32_t *ids_r, struct err *err_r) ERR_CHECK;

/* A number for a new body; any thread; never handed out twice in the life of the spool. */
uint64_t spool_next_body(struct spool *spool);

/* How full: compressed bytes of bodies held, budget (the smaller of config and what the disk
 * leaves), any thread, cheap. */
struct spool_fill {
    uint64_t held_bytes, budget_bytes;
    bool high;                /* stop fetching; stays set until the fill fell to 60 % */
    bool disk_full;           /* a write failed for lack of space: only what makes room is written */
    uint64_t disk_free_bytes; /* as last measured */
};
void spool_fill(const struct spool *spool, struct spool_fill *fill_r);

/* Small named values of the engine ("batch.state", pace state ...), <= 64 KiB. The value's bytes are the
 * caller's to free; its data is NULL when there is none, and after an error. */
bool spool_meta_get(struct spool *spool, const char *name, struct slice *value_r, struct err *err_r) ERR_CHECK;

/* Does a run hold the state? Looked at anew with each call. */
enum spool_holder {
    SPOOL_HELD_BY_NONE,
    SPOOL_HELD_BY_RUN, /* a living process: another one, or this one when it opened the spool to write */
    SPOOL_HELD_UNKNOWN /* the lock cannot be looked at */
};
enum spool_holder spool_holder(const struct spool *spool);

/* While a writer runs it commits at least this often. */
#define SPOOL_HEARTBEAT_MS 10000u
/* Without a commit for so long no writer lives; a slow disk and a busy machine are allowed for. */
#define SPOOL_SILENT_MS (3 * SPOOL_HEARTBEAT_MS)
/* Wall clock of the last durable commit before this spool_open (read-only: until now), 0 when new. */
int64_t spool_last_commit_ms(const struct spool *spool);

/* Proves the spool sound: every record decodes, states and counters agree, every body has its
 * chunks, decompresses and matches its digest, no body is without a message. Calls tell for each
 * fault; returns false only when the check itself could not be done. full: read bodies too. */
bool spool_check(struct spool *spool, bool full, void (*tell)(void *context, const char *fault), void *context,
                 uint64_t *faults_r, struct err *err_r) ERR_CHECK;

#endif
