/* The one thread that writes: takes operations from all loops, applies them in order in one LMDB
 * transaction per group (engineering.md A3.2), commits, then tells whoever waits.
 *
 * An operation is made by the calling thread, owned by the writer from writer_submit until done is
 * called on the writer's thread; done frees it (store_op_free) or posts it home to its loop. Without
 * done the writer frees it after the commit, and nobody waits for it. Operations of one thread keep their order.
 */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include "io/base/mpsc.h"
#include "store/spool.h"

struct writer;

enum store_op_kind {
    STORE_OP_USER,       /* put a user record (tallies live in folders) */
    STORE_OP_FOLDER,     /* put a folder record; its tally field is ignored, the journal's stays */
    STORE_OP_FORGET,     /* UIDVALIDITY changed: drop all messages, notes and bodies of a folder, zero
                            its tally; large folders take several transactions */
    STORE_OP_COUNT,      /* excluded folder: set found = skipped = count (and bytes_found) */
    STORE_OP_FOUND,      /* new message rows and the cursor behind them, in one transaction */
    STORE_OP_CHUNK,      /* one compressed chunk of a body that is not whole yet */
    STORE_OP_SPOOLED,    /* FOUND -> SPOOLED, with the last (often only) chunk */
    STORE_OP_DROP_BODY,  /* a body broke off: its chunks go */
    STORE_OP_OPEN,       /* target intent of a folder: target_open, uidvalidity, floor */
    STORE_OP_REPAIR,     /* how a SPOOLED message is mended when it is sent */
    STORE_OP_UNANSWERED, /* messages that were sent, and nobody said what became of them; those that are not
                           SPOOLED any more stay as they are */
    STORE_OP_DOOM,    /* the second copy of an UPLOADED or PRESENT message is to be removed from the target, or was */
    STORE_OP_FOLLOW,  /* what became of messages at the source, or was followed on the target */
    STORE_OP_END,     /* messages to UPLOADED, PRESENT, SKIPPED, FAILED, or back to FOUND */
    STORE_OP_FAILURE, /* counts into an equal record or adds one (<= 1,000 a user; then counted into
                         one "more" record) */
    STORE_OP_PROBLEM, /* adds a folder problem unless an equal one is there */
    STORE_OP_DOUBT,   /* puts a doubt in place of the problems of its type and folder; with problem.doubt
                         false these go and none comes */
    STORE_OP_CLEAR_REMARKS,  /* drops a user's failures and problems (start of a pass, retry); doubts stay */
    STORE_OP_CLEAR_PROBLEMS, /* drops the problems only: a look at the source undoes no failure */
    STORE_OP_META,           /* put a named value */
    STORE_OP_SAMPLE,         /* a timeline sample; old ones are thinned so that <= 4,096 stay */
    STORE_OP_FLUSH           /* nothing; done tells that all before it is durable */
};

/* One thing that became of a message. Of one that has no row, or is SKIPPED, nothing is kept. */
enum store_follow_what {
    STORE_FOLLOW_WANTS, /* the source has other flags than the target was brought to: flags are the source's */
    STORE_FOLLOW_SAME,  /* it has those again */
    STORE_FOLLOW_DONE,  /* the target was brought to flags */
    STORE_FOLLOW_GONE,  /* the source does not have it any more */
    STORE_FOLLOW_KEPT,  /* nor does it, and it stays on the target */
    STORE_FOLLOW_HERE   /* it has it again */
};
struct store_follow {
    uint32_t uid;
    enum store_follow_what what;
    struct follow_flags flags; /* keywords point into the operation's text */
};

/* One message changing to an end state (or back to FOUND). */
struct store_end {
    uint32_t uid;
    enum message_state state;
    enum skip_reason reason;
    uint32_t target_uid;       /* UPLOADED/PRESENT, 0: unknown */
    bool in_doubt;             /* UPLOADED: see message_record */
    bool found;                /* UPLOADED: by a look, in place of an answer */
    struct message_note *note; /* skipped and failed; from malloc, freed by the writer; or NULL */
};

/* Zeroed by store_op_new; fill what the kind needs. Pointers are to malloc'ed memory that
 * store_op_free frees; slices in records point into `text`. */
struct store_op {
    struct mpsc_node node;
    struct store_op *next;         /* the writer's own */
    uint64_t since_ns, cost_bytes; /* the writer's own: when it came, what it counts as pressure */
    enum store_op_kind kind;
    void (*done)(struct store_op *op, const struct err *err); /* writer thread; err NULL: durable */
    void *context, *context2;                                 /* the maker's */
    uint64_t number;                                          /* the maker's */
    char *text;                                               /* backing of the record's slices, malloc'ed */
    uint32_t user, folder;
    union {
        struct user_record user_record;
        struct folder_record folder_record;
        struct {                         /* FOUND */
            struct message_record *rows; /* ascending UIDs, states FOUND or SKIPPED */
            struct message_note *notes;  /* parallel to rows, or NULL */
            unsigned count;
            uint32_t uidnext_listed; /* cursor afterwards */
        } found;
        struct { /* CHUNK, SPOOLED, DROP_BODY */
            uint64_t body;
            uint64_t kept;  /* set by SPOOLED: the body that the message has now: this one, or
                               one with the same bytes that was there before */
            uint32_t chunk; /* index of data, 0.. */
            bool last;      /* set by SPOOLED */
            char *data;     /* compressed, malloc'ed */
            size_t size;
            uint32_t uid;        /* SPOOLED */
            uint64_t body_bytes; /* SPOOLED: exact raw size */
            uint8_t digest[16], header_key[16];
            bool dated;           /* SPOOLED: what the message's date is taken for; counts only */
            int16_t zone_minutes; /* where FOUND told none */
            int64_t date_seconds;
        } body;
        struct {
            uint32_t uidvalidity, floor, highest_seen;
            bool scanned;
            uint32_t lost_from; /* 0, or the folder's new target_lost_from */
            bool empty;         /* the folder holds nothing: with another UIDVALIDITY than before it was made anew */
        } open;
        struct { /* REPAIR */
            uint32_t uid;
            uint16_t repairs;
            uint8_t header_key[16]; /* of the mended message */
            uint64_t repaired_bytes;
            struct message_note *note; /* from malloc, freed by the writer; or NULL */
        } repair;
        struct {            /* UNANSWERED */
            uint32_t *uids; /* malloc'ed */
            unsigned count;
        } unanswered;
        struct {                      /* DOOM */
            uint32_t uid, doomed_uid; /* 0: none is being removed any more */
            bool removed;             /* one was: it is not waited for any more */
        } doom;
        struct {                      /* FOLLOW */
            struct store_follow *all; /* malloc'ed */
            unsigned count;
            uint64_t modseq; /* 0, or the folder's new one */
            bool counted;
            uint64_t absent; /* counted: the folder's new one */
        } follow;
        struct { /* END */
            struct store_end *ends;
            unsigned count;
            uint32_t floor;        /* 0, or the folder's new target_uid_floor */
            uint32_t highest_seen; /* 0, or the folder's new target_highest_seen */
        } end;
        struct {
            uint64_t messages, bytes;
        } count;
        struct failure_record failure;
        struct problem_record problem;
        struct {
            char name[48];
            char *data;
            size_t size;
        } meta;
        struct {
            int64_t wall_ms;
            uint64_t values[12];
        } sample;
    };
};
struct store_op *store_op_new(enum store_op_kind kind, uint32_t user, uint32_t folder);
/* A META operation: the named value becomes data[size], which is malloc'ed and the operation's from
 * here on. The name is cut at its bound. */
struct store_op *store_op_meta(const char *name, char *data, size_t size);
/* The same with text; copied. */
struct store_op *store_op_meta_text(const char *name, const char *text);
void store_op_free(struct store_op *op);

/* Group commit is fixed: an operation that meets an idle writer is committed at once; behind a commit
 * the next one starts when 64 records or 4 MiB wait, when the first has waited 4 ms, or at once for
 * OPEN, REPAIR, DOOM, FLUSH and META; at most 1,024 records / 16 MiB make one transaction. Operations without
 * done start none before they have waited 500 ms: they go with what somebody waits for. */
struct writer *writer_create(struct spool *spool);
void writer_destroy(struct writer **writer);
/* Thread 0: applies until writer_stop, then everything still queued, then returns. tick (may be NULL)
 * runs between commits at least every tick_ms until writer_stop, for the display and the like; it may
 * submit. */
void writer_run(struct writer *writer, void (*tick)(void *context), void *context, uint32_t tick_ms);
/* Any thread, signal-safe. */
void writer_stop(struct writer *writer);
/* For tests, before writer_run: how long an operation may wait for a full disk (60,000 ms). */
void writer_set_patience(struct writer *writer, uint32_t wait_ms);
/* Any thread. Never blocks; callers bound what they have under way (writer_pressure). */
void writer_submit(struct writer *writer, struct store_op *op);
/* Bytes submitted and not yet durable, all threads. */
uint64_t writer_pressure(const struct writer *writer);

/* Errors that done may get: TRANSIENT/RUN origin STORE code ENOSPC (disk full: the writer goes into
 * drain mode, applies only what frees space, retries what inserts when there is room; an op that
 * cannot be applied for 60 s, or when writer_stop comes first, gets this error, and with it all that
 * waits behind it; from then on only END, USER, META and remarks are taken, so that nothing can pass
 * what was lost; a FLUSH that is refused is still told after all that came before it), PERMANENT/RUN for anything that
 * needs a person: also a state change that the journal does not allow, since it then holds something else than what
 * this run knows of it. Nothing more is written after that. */

#endif
