/* One user on the move: both sides' connections, the folders, and the way from Queued to Synced or
 * Failed. Lives on one reactor; pull and push do the work, this module starts, watches and ends it.
 */
#ifndef ENGINE_MOVE_ACCOUNT_H
#define ENGINE_MOVE_ACCOUNT_H

#include "engine/failure/crawl.h"
#include "engine/failure/trouble.h"
#include "engine/folders/names_index.h"
#include "engine/move/folder.h"
#include "engine/move/folder_list.h"
#include "engine/move/link.h"
#include "engine/move/size_limit.h"
#include "engine/move/stall.h"
#include "engine/pace/daily.h"

/* One connection of an account and what it is doing. */
struct worker {
    struct account *account;
    enum side side;
    struct link *link; /* NULL: not connected */
    struct folder *folder;
    bool selected;     /* source: the folder is EXAMINEd on this link */
    bool lists;        /* it reads the folder list for its side */
    bool busy;         /* a step is under way whose end calls on */
    bool scout;        /* its login is the one that tries a shared secret */
    unsigned inflight; /* body FETCHes or APPENDs without an answer */
    void *work;        /* pull's or push's own, for the life of the link */
    struct worker *next;
    struct loop_timer again;  /* reconnect, or come back later */
    unsigned attempts;        /* failed connects in a row */
    unsigned came_seen;       /* see reactor_turned_away */
    struct crawl crawl;       /* of its links */
    unsigned losses;          /* of connections that were ready, in a row without progress of its side */
    uint64_t losses_progress; /* the side's, at the first of them */
    enum stall_cause waits;   /* why it was not connected when that was last wanted */
    struct secret *token;     /* OAuth: what this link logs in with; NULL without */
    uint64_t token_ends_ms;   /* loop time */
    uint64_t token_life_ms;   /* what was left of it at login */
    bool token_doubted;       /* its last login was refused with a token: one more, with a new one */
    bool draining;            /* its token ends soon: nothing new is started on it */
    bool leaves;              /* another mailbox waits for its connection: it is not opened again */
    uint64_t opened_ns;       /* when its link was */
    uint64_t answered_ms;     /* loop time of the last answer to an APPEND of one message */
    uint64_t answers;         /* of its link, when the governor last looked */
};

enum account_phase { ACCOUNT_WORKING, ACCOUNT_PROVING, ACCOUNT_SAVING, ACCOUNT_CLOSING };

/* One side of an account. */
struct account_side {
    struct worker *workers;
    unsigned worker_count, ready_count;
    unsigned links; /* of the workers, open or on their way */
    /* As of the last tick, told to the other reactors: */
    uint64_t left;         /* messages that are still to be moved */
    bool left_unknown;     /* it cannot be told yet */
    unsigned at_work;      /* connections, when there is something to move and it is not held */
    uint64_t gave_back_ms; /* loop time when a connection went to another mailbox; 0: never */
    bool refused;          /* counted in presence.refused (account_shut) */
    bool worked;           /* a login stood in this run: the server is there, or was */
    bool listed;           /* namespaces and folders are known */
    bool listing;
    uint64_t hold_until_ms;         /* nothing is begun before; loop time */
    enum stall_cause hold_cause;    /* STALL_NONE: the server asked for it, which is throttling */
    unsigned links_max;             /* the server allows this user no more; 0: not known */
    uint64_t links_max_until_ms;    /* loop time; then one more is tried */
    int64_t links_max_wall_ms;      /* when it was learnt */
    unsigned failures;              /* transient ones in a row */
    uint64_t failing_ms;            /* loop time of the first of these */
    uint64_t progress;              /* folders listed, messages that reached an end: whatever ends a row */
    struct err throttle;            /* the first throttle answer of this run; its class is NONE before */
    struct folder_list folder_list; /* its folders, as its server tells them */
};

struct account {
    struct reactor *reactor;
    struct account *next, *previous;
    const struct settings_user *user;
    unsigned index; /* in settings->users */
    uint32_t id;    /* in the journal */
    enum account_phase phase;
    struct user_record record;
    struct user_record before; /* as the last command left the user */
    struct account_side sides[SIDE_COUNT];
    struct folder **folders;
    unsigned folder_count;
    uint32_t folder_highest;           /* journal number */
    struct names_index folders_by_raw; /* source's raw name -> index in folders */
    /* pull's, in order: folders that may not be listed yet, and those that may not be DONE or REFUSED */
    struct folder *unlisted, *undone;
    struct push_queue pushes;
    struct tally total; /* of all folders */
    unsigned incoming;  /* messages asked for of the source and not durable yet */
    unsigned parked;    /* folders that rest after their server failed inside */
    bool mapped;        /* target names are known */
    bool stopping;      /* ends early; what is in flight is finished */
    bool put_aside;     /* because a person wants it so: since aside_ms, loop time */
    uint64_t aside_ms;
    bool target_dead;      /* the target takes nothing more from this user (quota) */
    bool failed;           /* the user's verdict is Failed; record.failure says why */
    struct err trouble;    /* a plan's: the last trouble, when failed what it failed by */
    bool appends_keywords; /* PERMANENTFLAGS of the target has \* */
    bool knows_keywords;
    char *permanent_keywords;            /* those the target names, space separated */
    unsigned flags_not_kept, flags_told; /* system flags that its PERMANENTFLAGS does not name; those that were told */
    struct gmail *gmail;                 /* the source's folders are labels: each message is copied once; or NULL */
    struct {
        unsigned rounds;          /* of APPENDs in a row that the target answered as when it is out of order */
        uint32_t folder, uid;     /* the first of them */
        bool several;             /* others were answered so, too */
        bool opens;               /* meanwhile a folder told its numbers */
    } unavailable;                /* push_full's */
    uint64_t took;                /* messages that the target took in this run */
    uint64_t opened;              /* folders that it made or told the numbers of */
    unsigned resting;             /* folders that rest since it took one (push_later) */
    uint64_t came;                /* bodies that the source gave in this run */
    struct refusals unread;       /* of bodies, by the source (pull_refused) */
    struct refusals opens;        /* of folders, by the source (pull_opens) */
    struct shut opens_shut;       /* likewise */
    struct size_limit size_limit; /* of the target */
    bool tells_uids;              /* the target offers UIDPLUS */
    bool dates_told;              /* that its target gives messages dates of its own */
    bool puts_aside;              /* messages waited, or wait, until more is known of their folder (push_pair) */
    bool gives_others;            /* the source gave the body of another message: each one is looked at */
    unsigned fetch_most;          /* bodies a FETCH asks for at most, 0: as many as is usual; learnt */
    unsigned told;                /* store operations whose answer is awaited */
    struct quota_part *memory;    /* its lists */
    uint64_t large_items;         /* left behind for their size, in all runs; known when proven */
    uint64_t fetched_bytes, uploaded_bytes; /* in this run */
    uint64_t rate_bytes, rate_ms, rate;     /* bytes per second over the last seconds */
    uint64_t last_tick_ms, begun_ms;
    uint64_t time_put_ms;           /* the journal has the time account up to here; loop time */
    struct stalls stalls;           /* in all runs */
    bool spool_waits;               /* fetching waits for room since the last tick */
    struct daily daily[SIDE_COUNT]; /* bytes-per-day of each side */
    bool day_over[SIDE_COUNT];      /* it is used up: nothing more of that side in this run */
    struct governed *governed;      /* the governor's, while joined */
    struct loop_timer step;         /* runs account_step on a turn of its own */
    struct folder *unproven;        /* those whose count is still to be asked for */
    unsigned late_at, late_end;     /* folders that may have to be looked at for second copies, in their order */
    unsigned proving;               /* counts asked for and not answered */
    struct {
        struct account_doubt {
            uint32_t folder;
            char type[40];
            uint64_t count;
        } * all;
        unsigned count;
    } doubts;                 /* as the journal has them, or will */
    struct folder *unaudited; /* those that hold less than was acknowledged, to be looked at (a retry) */
    struct {
        int64_t started_ms;                /* wall clock */
        uint64_t found_before;             /* messages known when it began */
        uint64_t moved;                    /* messages that were moved on the target */
        uint64_t flags;                    /* messages whose flags were followed */
        uint64_t deleted;                  /* messages that were moved to the target's deleted items */
        uint64_t left;                     /* changes at the source that were seen and not followed */
    } night;                               /* of this run */
    struct follow_identity *gone_identity; /* of all that is gone from the source; NULL: not asked yet */
    uint64_t follow_gone;   /* of all folders: copied messages that the source has not any more, and not judged yet */
    uint64_t follow_wanted; /* of all folders: messages whose flags the target has to be brought to */
    bool resumes;           /* a look found mail that is to be moved again: the work goes on behind the proof */
};

/* Does this run's mode have this side? */
bool account_uses(const struct account *account, enum side side);
/* A plan: it takes the inventory and goes no further. What the last run made of the user stands: state,
 * failures, time. */
bool account_only_looks(const struct account *account);
/* A plan found mail that is not in the journal yet: who was Synced is not any more, and that goes first. */
void account_found_mail(struct account *account);
struct folder *account_add_folder(struct account *account, const struct folder_record *record);
/* By its raw name at the source, byte by byte; NULL: none. */
struct folder *account_find_folder(struct account *account, struct slice raw);

/* Starts the user at settings->users[index]; the account frees itself at the end and tells
 * reactor_account_ended. */
void account_start(struct reactor *reactor, unsigned index, uint32_t id);
/* What the display shows of it. */
struct batch_show;
struct sample_live;
/* Some folder is not listed yet. */
bool account_is_listing(const struct account *account);
void account_live(struct account *account, uint64_t now_ms, struct sample_live *live_r);
void account_show(const struct account *account, struct batch_show *show_r);
/* How long the side's connections have been without a byte of an answer that is due, in ms: the one that heard
 * something last; UINT64_MAX: none has anything under way. */
uint64_t account_silent_ms(const struct account *account, enum side side);
/* Ends early: nothing new is started, what is in flight is finished (or cut after a few seconds by
 * account_cut). */
void account_stop(struct account *account);
void account_cut(struct account *account);

/* Something may have become possible: looks at everything once, on a later turn. */
void account_poke(struct account *account);
/* Every second or so: time account, back-offs, extra connections. */
void account_tick(struct account *account, uint64_t now_ms);

/* account_spread: the folders of this worker's side have been listed: on a far server a mailbox of many of
 * them gets more connections at once. */
void account_spread_links(struct account *account, const struct worker *worker);
/* account_spread: the APPEND of one message, sent at sent_ms of the loop's time, was answered. */
void account_answered(struct worker *worker, uint64_t sent_ms);
/* account_spread: for all accounts of the reactor: tells the other reactors what they have left, measures how fast
 * mail moves, and has second connections given back to mailboxes that wait for their first. */
void account_spread_tick(struct reactor *reactor, uint32_t tick_ms);

/* The user has failed with this type; the rest of the mailbox still goes on when rest is set. */
void account_fail(struct account *account, const char *type, bool rest);
/* account_shut: a folder of the mailbox was opened or made; its server refused one and is waited for, behind so many
 * tries of at most `most` (engine/failure/shut); nobody waits for that any more. */
void account_opened(struct account *account, enum side side);
void account_refused(struct account *account, enum side side, struct shut *shut, unsigned tries, unsigned most);
void account_shut_end(struct account *account);
/* Adds a failure record (and logs it). folder and uid may be NULL and 0. */
void account_failure(struct account *account, enum failure_side side, enum trouble_doing doing, const char *type,
                     const struct err *err, const struct folder *folder, uint32_t uid);
/* A remark about a folder; of a type that is a doubt it becomes one. */
void account_problem(struct account *account, uint32_t folder, const char *type, const char *text, const char *remedy);
/* account_doubt: what could not be proved of a folder, or with NULL of the user. Kept in the journal over
 * runs, until it is said anew (which replaces what was said of this type and folder) or cleared; with one
 * or more of them the user ends as SyncedWithDoubts. type: an advice of kind doubt. count: how many
 * messages or folders it is about, 0: not known. The text is cut to 255 bytes. */
void account_doubt(struct account *account, const struct folder *folder, const char *type, uint64_t count,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));
/* It is proved, or has no meaning any more. */
void account_doubt_clear(struct account *account, const struct folder *folder, const char *type);
/* Does it stand? *count_r (may be NULL): what it was said of. */
bool account_doubts(const struct account *account, const struct folder *folder, const char *type, uint64_t *count_r);
/* Nothing is begun on this side for so long. cause: for the time account; STALL_NONE: the server asked
 * for it. */
void account_hold(struct account *account, enum side side, uint32_t wait_ms, enum stall_cause cause);
/* The server of this side asks for patience: wait_ms is what it named, or the judge's own. messages:
 * of the APPEND that it answered, 0 for any other command. */
void account_throttled(struct account *account, enum side side, unsigned messages, const struct err *err,
                       uint32_t wait_ms);
/* account_limits: the server's limits of this user were met: they are kept for the next run. */
void account_limits_keep(struct account *account, enum side side);
/* The spool is full: fetching waits, uploading goes on. */
void account_spool_high(struct account *account);
bool account_held(const struct account *account, enum side side);

/* account_prove: a folder of the target is opened for sending, and target_status says what it holds. Less than was
 * moved there by earlier runs is a doubt. */
void account_target_opened(struct folder *folder);
/* account_prove: the target says that the folder is not there any more; what had been acknowledged went with it. */
void account_target_removed(struct folder *folder);

/* A link's worker has ended a step, or its link has: pull and push call this to give it new work. */
void worker_idle(struct worker *worker);

static inline enum failure_side failure_side_of(enum side side)
{
    return side == SIDE_SOURCE ? FAILURE_SOURCE : FAILURE_TARGET;
}

#endif
