/* The account of a batch: loaded from one or more state folders (the shards of a job array) and
 * written as JSON (interface.md), CSV, HTML and text. Reads the store only, beside a running process
 * if need be; numbers of a running batch are of the moment in which each was read.
 *
 * In memory are a row a user and the sums; folders, failures and skipped items are read user by user
 * while writing, so that a million skipped messages cost no memory.
 */
#ifndef ENGINE_REPORT_REPORT_H
#define ENGINE_REPORT_REPORT_H

#include "engine/move/sample.h"
#include "engine/move/stall.h"
#include "engine/report/limits.h"
#include "store/reader.h"

#include <stdio.h>

struct report_user {
    unsigned shard;            /* index of its state folder */
    uint32_t id;               /* in that folder's journal */
    char *address, *user_name; /* printable UTF-8 */
    enum user_state state;
    char failure[40]; /* report type or "" */
    int64_t started_ms, finished_ms;
    uint32_t syncs;
    uint64_t throttled, reconnects, retries;
    uint64_t repaired;    /* messages that were mended for the target; not in report_load_users */
    unsigned doubts;      /* that stand */
    uint64_t doubled;     /* surplus copies on the target that were seen and not removed */
    uint64_t time_ms[6];  /* enum time_kind */
    struct stalls stalls; /* what made up the stalled two of them */
    struct tally tally;   /* sum of the folders */
    unsigned folders;
    unsigned unbalanced;   /* folders that do not balance: a bug */
    uint8_t failure_sides; /* a bit, 1 << enum failure_side, for each side at which `failure` happened */
};

/* Failures of one type in the whole batch. */
#define REPORT_WHO   3u
#define REPORT_SIDES 3u
struct report_group {
    char type[40];
    uint64_t count;                      /* as often as it happened */
    unsigned users;                      /* that it happened to */
    unsigned verdicts;                   /* users that are Failed for it */
    bool lasting;                        /* some were permanent: a message or folder is left behind */
    unsigned last_user;                  /* index + 1, while counting */
    unsigned who[REPORT_WHO], who_count; /* the first users that it happened to; indexes */
    struct report_side {                 /* by enum failure_side */
        unsigned users, last_user;
        char server_text[256]; /* of the first; printable */
    } sides[REPORT_SIDES];
};

/* Doubts of one type in the whole batch. */
struct report_doubt {
    char type[40];
    uint64_t folders, count; /* how often it stands; of how many messages or folders, as far as is known */
    unsigned users, last_user;
    unsigned who[REPORT_WHO], who_count;
    char text[256]; /* of the first; printable */
};

/* A person has to do something about it. */
bool report_group_waits(const struct report_group *group);
/* " at the source", " (2 at the source, 1 at the target)", or "" where no side is known or it is this computer. */
const char *report_group_where(const struct report_group *group, char *out, size_t cap);

struct report_skips {
    uint64_t messages[SKIP_REASON_COUNT];
};

/* The course in equal steps of time, all shards together. */
#define REPORT_POINTS_MAX 360u
struct report_timeline {
    int64_t from_ms; /* wall clock of the first point's beginning; 0: no samples */
    uint64_t step_ms;
    unsigned points;                                 /* 0.. REPORT_POINTS_MAX */
    double values[REPORT_POINTS_MAX][SAMPLE_VALUES]; /* cumulative ones: per second; others: mean */
    uint64_t active_ms;                              /* of the runs that moved something; the longest of the shards */
};

/* Lines of warning about the batch file that a run or a plan left; each ends in a newline. */
#define REPORT_WARNINGS_NAME "batch.warnings"

struct report_batch {
    char *name; /* printable UTF-8 */
    char state[32];
    int64_t started_ms, finished_ms; /* 0: not yet */
    bool has_exit_code;
    int exit_code;
    int64_t until_ms; /* its end, now while it is running, or the last sign of life; 0: not begun */
    double seconds;   /* from its start until then */
    char **warnings;  /* of REPORT_WARNINGS_NAME; of several shards those that all have. Printable */
    unsigned warning_count;
    uint64_t bandwidth; /* bandwidth-max at this hour, bytes a second; 0: none, or nothing is running */
    bool running;       /* a living process holds the state of a shard and is at work */
    int64_t killed_ms;  /* last sign of life of a run that ended without a word: killed, or its disk was
                           full; 0: none */
};

/* A state folder of those that make up a report. */
struct report_state {
    struct spool *spool;              /* borrowed; opened, read-only will do; NULL: the shard has no state folder yet */
    const char *folder;               /* borrowed; its path */
    unsigned number, of;              /* which shard it is of how many; of 0: the users are not divided */
    const struct settings_list *only; /* borrowed; of its users only these, see report_is_asked; NULL or empty: all */
    const struct settings_list *but;  /* borrowed; and none of these; NULL or empty: nobody */
    struct share *share; /* borrowed; in place of a spool: the JSON report that a state folder left; folder: its path.
                            number and of are in it */
};

/* Whether a user is of these, by address (case does not count) or login name. NULL or empty: each is. */
bool report_is_asked(const struct settings_list *only, struct slice address, struct slice user_name);

/* Why a part counts for nothing: its batch was divided otherwise since, or all of its users are in newer ones. */
enum report_left_out { REPORT_COUNTED, REPORT_STALE, REPORT_SUPERSEDED };

/* How it stands. */
struct report_shard {
    struct report_state given;         /* without spool and share: it is missing */
    const struct share_part *of_share; /* what a JSON report says of it; NULL: it is no report's */
    const char *place;                 /* path of the state folder, here or where the report was made */
    char *batch_name;                  /* NULL: missing */
    char *base;                        /* what the parts of one batch have in common of their paths */
    int64_t updated_ms;                /* last sign of life; 0: none */
    enum report_left_out left_out;
    bool told;         /* that it is left out */
    bool unheard;      /* it was at work when its report was written; how it is now is not known */
    unsigned division; /* from 1, place in report.divisions; 0: none */
    char state[32];    /* a batch's word */
    bool running, has_exit_code;
    int exit_code;
    unsigned users;
    int64_t started_ms; /* its last run's begin; 0: none */
};

/* An address that stands in two parts; each counts once. */
struct report_duplicate {
    char *address;
    unsigned counted, left_out; /* parts */
    bool told;
};

struct report {
    struct report_shard *parts; /* those that are missing stand last */
    unsigned part_count;
    unsigned *divisions, division_count; /* the first part of each batch that is divided */
    struct spool **spools;               /* borrowed; NULL for the part of a JSON report */
    struct reader **readers;             /* one a spool */
    unsigned shards;                     /* spools; parts of the same places */
    unsigned missing;                    /* shards of the divisions that are not among them */
    struct report_duplicate *duplicates;
    unsigned duplicate_count;
    char **notes; /* what was left out, or is old, a sentence each; printable */
    unsigned note_count;
    struct report_batch batch;
    struct report_user *users; /* by shard, then id */
    unsigned user_count;
    unsigned by_state[USER_STATE_COUNT];
    unsigned synced, failed_users;
    unsigned doubted; /* of synced: with doubts */
    uint64_t doubts, doubled;
    struct tally totals;
    uint64_t throttled, reconnects, retries, repaired, time_ms[6];
    struct stalls stalls;
    uint64_t unbalanced;         /* folders */
    struct report_group *groups; /* those that need a person first, then the most frequent */
    unsigned group_count;
    struct report_doubt *doubt_types; /* the most frequent first */
    unsigned doubt_type_count;
    struct report_skips skips;
    struct report_timeline course;
    struct report_limits learnt;
    int64_t made_ms; /* wall clock of the load */
};

/* states and what they borrow must outlive the report. Which thread: any, one at a time. Errors: as
 * reader's. */
bool report_load(const struct report_state *states, unsigned count, struct report **report_r,
                 struct err *err_r) ERR_CHECK;
/* Only the users, the batch's facts and what was learnt of the servers, without groups, skips and course: what status
 * needs. */
bool report_load_users(const struct report_state *states, unsigned count, struct report **report_r,
                       struct err *err_r) ERR_CHECK;
/* Frees and nulls; NULL is fine. */
void report_free(struct report **report);

/* Each writes to out and reports a failed write as PERMANENT/RUN origin OS. */
bool report_write_json(struct report *report, FILE *out, struct err *err_r) ERR_CHECK;
/* One line a user, RFC 4180, UTF-8; a text that a spreadsheet would take for a formula gets an
 * apostrophe in front. */
bool report_write_csv(const struct report *report, FILE *out, struct err *err_r) ERR_CHECK;
/* One file without anything from elsewhere. What is too much for a page is told as "N more in the
 * JSON". */
bool report_write_html(struct report *report, FILE *out, struct err *err_r) ERR_CHECK;
/* The summary block: verdict, counts, rates, errors by type. did: what the run that has just ended did,
 * told beside the sums of all runs; or NULL. */
struct batch_did;
enum report_part { REPORT_WHOLE, REPORT_WITHOUT_FAILURES };
bool report_write_text(const struct report *report, enum report_part part, const struct batch_did *did, FILE *out,
                       struct err *err_r) ERR_CHECK;
/* For a person at a terminal: the summary, failures with advice, users that are not done. */
struct status_style;
bool report_write_terminal(const struct report *report, const struct status_style *style, FILE *out,
                           struct err *err_r) ERR_CHECK;

/* Seconds that the runs took which moved mail: neither the days between the nights of a batch nor a plan or
 * a run that found nothing new. 0: nothing was moved yet. */
double report_active_seconds(const struct report *report);
/* One sentence or two that say how the batch stands, into out[cap]; returns out. 600 bytes suffice
 * with names of ordinary length. */
const char *report_verdict(const struct report *report, char *out, size_t cap);
/* How good it is: 0 done and complete, 1 under way or to be run again, 2 a person is needed. */
int report_verdict_level(const struct report *report);

#endif
