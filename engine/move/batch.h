/* A run of a whole batch: the team, its reactors, the users in turn, and the end of it all. The engine's
 * front door for engine/cli.
 */
#ifndef ENGINE_MOVE_BATCH_H
#define ENGINE_MOVE_BATCH_H

#include "engine/move/reactor.h"
#include "engine/pace/pace.h"

struct batch;

enum batch_end {
    BATCH_SYNCED,        /* every user Synced, every folder balances: exit 0 */
    BATCH_STOPPED,       /* early and clean: exit 2 */
    BATCH_WITH_FAILURES, /* finished, at least one user Failed: exit 3 */
    BATCH_WITH_DOUBTS,   /* finished, nobody Failed, at least one user is SyncedWithDoubts: exit 4 */
    BATCH_UNREACHABLE,   /* no user got through to a server: exit 69 */
    BATCH_REFUSED,       /* every user's login was refused: exit 77 */
    BATCH_DISK           /* disk or spool error: exit 74 */
};

/* What one run did, as far as it is durable. */
struct batch_did {
    uint64_t found; /* messages not known before */
    uint64_t fetched, uploaded;
    uint64_t present; /* found on the target */
    uint64_t bytes_fetched, bytes_uploaded;
    uint64_t elapsed_ms;
};

struct batch_result {
    enum batch_end end;
    struct err err;                   /* BATCH_DISK, BATCH_UNREACHABLE, BATCH_REFUSED: what and where */
    const char *stop_reason;          /* BATCH_STOPPED: "SIGTERM", "time limit", batch_stop_window ...; or why a
                                         server is left alone */
    unsigned synced, failed, stopped; /* users; synced: also those of whom no more was asked */
    unsigned doubted;                 /* of synced: with doubts */
    unsigned paused,
        dropped;        /* users whom a person set aside; the paused ones are among the stopped, the dropped nowhere */
    unsigned half_done; /* of synced: one side alone was asked of them; after an upload: nothing of theirs was
                           fetched yet */
    struct batch_did did;
};

/* A user that is being worked on, for the display. */
struct batch_show {
    char address[64], folder[64];
    uint64_t found, done;           /* messages */
    const char *doing;              /* a constant */
    uint64_t held_ms;               /* left of a back-off, 0: none */
    uint64_t silent_ms[SIDE_COUNT]; /* for how long an answer was awaited without a byte of one, on the connection that
                                       heard something last; 0: nothing is due */
};
#define BATCH_SHOW_MAX      16 /* of one reactor */
#define BATCH_VIEW_SHOW_MAX 64

/* Users that are Failed, by what they failed by. */
struct batch_failures {
    char type[40];
    unsigned users;
};
#define BATCH_FAILURES_MAX 12

/* What the display is told, several times a second. Sums over all reactors. */
struct batch_view {
    unsigned users, queued, working, synced, failed;
    unsigned doubted; /* of synced: with doubts */
    uint64_t folders, folders_done;
    /* of all runs, as in the journal */
    uint64_t found, uploaded, present, skipped, failed_messages, pending;
    uint64_t bytes_found;
    uint64_t bytes_uploaded_before; /* by earlier runs */
    bool found_final;               /* every folder is listed */
    /* of this run */
    uint64_t fetched, uploaded_now, bytes_fetched, bytes_uploaded;
    uint64_t throttled, reconnects;
    unsigned source_links, target_links, held;
    struct spool_fill fill;
    struct pace_view pace;
    uint64_t elapsed_ms;
    uint64_t silent_ms[SIDE_COUNT]; /* as of batch_show, of all users: above 0 when none of them gets an answer */
    const char *stopping;           /* why the run is about to end early, a constant; or NULL */
    struct batch_failures failures[BATCH_FAILURES_MAX]; /* of this run */
    unsigned failure_count;
    struct batch_show show[BATCH_VIEW_SHOW_MAX];
    unsigned show_count;
};

/* How far a plan saw a mailbox. */
enum batch_look_end {
    BATCH_LOOK_NONE, /* not, or only the beginning of it: its inventory is an earlier one's, if any */
    BATCH_LOOK_PART, /* all but folders that the server did not show or open */
    BATCH_LOOK_WHOLE
};

struct batch_look {
    enum batch_look_end end;
    char type[40];  /* failure type; "": WHOLE, or nobody asked */
    struct err err; /* with a type: what was tried and what the server said */
};

struct batch_config {
    const struct settings *settings;
    struct spool *spool;
    unsigned loops;
    /* Called on thread 0 every tick_ms. */
    void (*tick)(void *context, const struct batch_view *view);
    void *context;
    uint32_t tick_ms;
    struct batch_look *looks; /* of a plan: as many as settings has users, zeroed; filled when batch_run
                                 returns. Else NULL */
};

/* Runs to the end. Errors: PERMANENT/RUN when it could not even start (TLS files, threads, spool);
 * otherwise *result_r tells. */
bool batch_run(const struct batch_config *config, struct batch_result *result_r, struct err *err_r) ERR_CHECK;
/* Any thread and signal-safe; reason is a constant. Stops cleanly within ten seconds. */
void batch_stop(const char *reason);
/* Reasons that callers tell apart: these very constants. */
extern const char batch_stop_window[], batch_stop_spool_full[], batch_stop_paused[];

/* --- for reactors and accounts --- */
/* The next user to work on; false when there is none. Any thread. */
bool batch_next_user(struct batch *batch, unsigned *index_r, uint32_t *id_r);
/* A person has paused or dropped him (store/wishes), perhaps while he is worked on. Any thread. */
bool batch_user_is_set_aside(const struct batch *batch, unsigned index);
/* In place of batch_user_ended, for one of these: he may be begun anew when the person resumes him. Any thread. */
void batch_user_put_aside(struct batch *batch, unsigned index);
/* Is there another one that nobody works on yet? Any thread. */
bool batch_user_waits(const struct batch *batch);
/* Users at once on a loop, so that none has more than another where there are connections for all: each
 * loop has its part of them. At least one, also in a batch without users: only a loop that asks for its
 * next user learns that there is none. Any thread. */
unsigned batch_users_a_loop(const struct batch *batch);
/* A user has ended. Any thread. */
void batch_user_ended(struct batch *batch, enum user_state state, const char *failure);
/* A plan has looked at the user at settings->users[index]; err may be NULL with type "". Any thread,
 * once a user. */
void batch_user_looked_at(struct batch *batch, unsigned index, enum batch_look_end end, const char *type,
                          const struct err *err);
void batch_reactor_ended(struct batch *batch);
/* What all reactors told of this side's mailboxes at work at their last ticks. Any thread. */
struct spread_others;
void batch_spread(const struct batch *batch, enum side side, struct spread_others *all_r);
void batch_abort(struct batch *batch, const struct err *err);
/* A server is to be left alone (engine/move/login_guard): stops cleanly and ends as `end`, BATCH_UNREACHABLE or
 * BATCH_REFUSED. reason: a constant. Any thread. */
void batch_leave_server(struct batch *batch, enum batch_end end, const char *reason);
/* A user's bytes-per-day is used up: the run ends as stopped for that. Any thread. */
void batch_day_over(struct batch *batch);
struct login_guard *batch_login_guard(struct batch *batch);
/* The target ("host:port", or an Exchange Online tenant) to which this state folder's mail was moved, where
 * it is not the one of the batch; else NULL. Any thread. */
const char *batch_other_target(const struct batch *batch);
/* The batch's server of this side: "host:port", or an Exchange Online tenant. The caller's to free. */
char *batch_server_name(const struct settings *settings, enum side side);
/* The server of this side, named so, that the mail of the state folder is of, where that is not the batch's; else,
 * and where it holds none yet, NULL. The caller's to free. Needs no run. */
char *batch_known_server(struct spool *spool, const struct settings *settings, enum side side);
bool batch_stopping(const struct batch *batch);
struct governor *batch_governor(struct batch *batch);
/* Another process that shares the ledger is moving this user. */
bool batch_user_is_held(const struct batch *batch, unsigned index);
/* The display's sample of one reactor; never blocks. */
struct sample_live;
#define BATCH_LIVE_MAX 128
void batch_show(struct batch *batch, unsigned reactor, const struct batch_show *show, unsigned count,
                const struct sample_live *live, unsigned live_count);

#endif
