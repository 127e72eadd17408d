/* What `run` shows while it works: on a terminal a block of lines that is painted in place, else a
 * line every 30 s. Numbers come in plain; rates and the time left are computed here.
 *
 * The cursor is hidden only within the one write of a frame, so that a process killed at any instant
 * leaves the terminal as it was.
 */
#ifndef ENGINE_CLI_PROGRESS_H
#define ENGINE_CLI_PROGRESS_H

#include "io/base/buf.h"

#include <stdio.h>

enum progress_mode {
    PROGRESS_NONE,
    PROGRESS_LINES, /* a line every 30 s */
    PROGRESS_JSON,  /* an object a line, at the beginning, every 30 s and at the end */
    PROGRESS_LIVE   /* for a terminal */
};

#define PROGRESS_ACTIVE   64
#define PROGRESS_FAILURES 12

struct progress_active {
    char address[128], folder[128]; /* cut to fit by progress */
    const char *doing;              /* "fetching", "uploading", "listing" ... : a constant */
    uint64_t done, total;           /* messages of the user in an end state; found */
    uint32_t throttled_s;           /* seconds left of a hold, 0: none */
    uint32_t silent_s[2];           /* no byte of an answer from source, target for so long; 0: it answers */
};

struct progress_failure {
    char type[40];
    unsigned users; /* that failed by it in this run */
};

/* Filled by the caller at each tick. Counts of messages are those of the journal (all runs),
 * fetched and the bytes are cumulative in this run. */
struct progress_view {
    unsigned users, queued, working, synced, failed;
    unsigned doubted; /* of synced: with doubts */
    unsigned folders_done, folders;
    uint64_t found, uploaded, present, skipped, failed_messages, pending;
    bool found_final;               /* every folder is listed: found is no estimate */
    uint64_t fetched, uploaded_now; /* messages */
    uint64_t bytes_fetched, bytes_uploaded;
    uint64_t bytes_found;
    uint64_t bytes_left;               /* estimate of what is still to upload; 0: not known */
    uint64_t spool_held, spool_budget; /* budget 0: no limit */
    unsigned throttled_mailboxes;
    uint32_t throttled_s;                  /* until the last of them goes on */
    uint64_t throttle_answers, reconnects; /* in this run */
    unsigned links[2];                     /* connections to source and target that stand */
    double pace;                           /* messages a second that the target was learnt to take; 0: not limited */
    uint32_t silent_s[2]; /* source, target: nobody gets an answer from it, for so long; 0: it answers */
    struct progress_failure failures[PROGRESS_FAILURES];
    unsigned failure_count;
    const char *state;    /* batch state word */
    const char *stopping; /* why it stops ("SIGTERM", "time limit"), or NULL */
    struct progress_active active[PROGRESS_ACTIVE];
    unsigned active_count;
};

/* As PROGRESS_LIVE draws it; computed from the views. */
struct progress_rates {
    double in_bytes_s, out_bytes_s, in_messages_s, out_messages_s;
    int64_t left_s; /* -1: cannot be told */
    uint64_t elapsed_s;
};

struct progress;

/* A sample: what the last update told, and what came of it. Strings are borrowed from the progress. */
struct progress_look {
    bool there;    /* there was an update */
    bool over;     /* the run has ended */
    int exit_code; /* of a run that is over */
    const char *batch, *command;
    int64_t started_ms, wall_ms; /* wall clock: of progress_create, of the update */
    uint64_t at_ms;              /* now_ms() of the update */
    struct progress_view view;
    struct progress_rates rates;
};

/* out: stderr as a rule; stays the caller's. Any mode but NONE also catches what io/base/log would
 * write to a terminal (log_through). setlocale(LC_CTYPE, "") must have been called for UTF-8. */
struct progress *progress_create(enum progress_mode mode, FILE *out, bool color);
/* For JSON and for who looks; borrowed. */
void progress_name(struct progress *p, const char *batch, const char *command);
/* mode from --progress auto|always|never|json: a terminal that can be painted, or not. */
enum progress_mode progress_mode_for(FILE *out, const char *word);
/* One thread; as often as wanted: paints at most 4 times a second (LINES: every 30 s). */
void progress_update(struct progress *p, const struct progress_view *view, uint64_t now_ms);
/* Any thread: a line above the block. */
void progress_note(struct progress *p, const char *line);
/* Any thread: the sample that display, JSON, status file and live page all show. */
void progress_look(struct progress *p, struct progress_look *look_r);
/* Nothing is painted any more: the block is taken off the terminal, for the summary says it better; the last of the
 * lines is written. NULL is fine. */
void progress_stop(struct progress *p);
/* After progress_stop, when the run's exit code is known: JSON's last line. */
void progress_over(struct progress *p, int exit_code);
/* Frees and nulls; NULL is fine. */
void progress_destroy(struct progress **p);

/* For tests and progress itself. The block, lines ended by \n, at most columns wide; PROGRESS_LINES
 * gives the single line. clock: "12:31:05". */
struct progress_style {
    enum progress_mode mode;
    unsigned columns; /* 20..200; others are taken to the nearest */
    bool color, utf8;
    const char *clock;
    unsigned rows; /* at most so many lines; 0: as many as there are */
};
void progress_draw(const struct progress_view *view, const struct progress_rates *rates,
                   const struct progress_style *style, struct buf *out);
/* Feeds one view into the averages (half-life 10 s). state: zeroed before the first. */
struct progress_meter {
    bool begun;
    uint64_t first_ms, last_ms, last[4];
    double averages[4], weight;
};
void progress_measure(struct progress_meter *m, const struct progress_view *view, uint64_t now_ms,
                      struct progress_rates *rates_r);

#endif
