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
    PROGRESS_LIVE   /* for a terminal */
};

#define PROGRESS_ACTIVE 4

struct progress_active {
    char address[128], folder[128]; /* cut to fit by progress */
    const char *doing;              /* "fetching", "uploading", "listing" ... : a constant */
    uint64_t done, total;           /* messages of the user in an end state; found */
    uint32_t throttled_s;           /* seconds left of a hold, 0: none */
};

/* Filled by the caller at each tick. Counts of messages are those of the journal (all runs),
 * fetched and the bytes are cumulative in this run. */
struct progress_view {
    unsigned users, queued, working, synced, failed;
    unsigned doubted; /* of synced: with doubts */
    unsigned folders_done, folders;
    uint64_t found, uploaded, present, skipped, failed_messages, pending;
    bool found_final;        /* every folder is listed: found is no estimate */
    uint64_t fetched;        /* messages */
    uint64_t bytes_fetched, bytes_uploaded;
    uint64_t bytes_left;     /* estimate of what is still to upload; 0: not known */
    uint64_t spool_held, spool_budget; /* budget 0: no limit */
    unsigned throttled_mailboxes;
    uint32_t throttled_s;    /* until the last of them goes on */
    const char *state;       /* batch state word */
    const char *stopping;    /* why it stops ("SIGTERM", "time limit"), or NULL */
    struct progress_active active[PROGRESS_ACTIVE];
    unsigned active_count;
};

/* As PROGRESS_LIVE draws it; computed from the views. */
struct progress_rates {
    double in_bytes_s, out_bytes_s, in_messages_s, out_messages_s;
    int64_t left_s;     /* -1: cannot be told */
    uint64_t elapsed_s;
};

struct progress;

/* out: stderr as a rule; stays the caller's. Any mode but NONE also catches what io/base/log would
 * write to a terminal (log_through). setlocale(LC_CTYPE, "") must have been called for UTF-8. */
struct progress *progress_create(enum progress_mode mode, FILE *out, bool color);
/* mode from --progress auto|always|never: a terminal that can be painted, or not. */
enum progress_mode progress_mode_for(FILE *out, const char *word);
/* One thread; as often as wanted: paints at most 4 times a second (LINES: every 30 s). */
void progress_update(struct progress *p, const struct progress_view *view, uint64_t now_ms);
/* Any thread: a line above the block. */
void progress_note(struct progress *p, const char *line);
/* Paints the last state, leaves the cursor below it, frees and nulls; NULL is fine. */
void progress_finish(struct progress **p);

/* For tests and progress itself. The block, lines ended by \n, at most columns wide; PROGRESS_LINES
 * gives the single line. clock: "12:31:05". */
struct progress_style {
    enum progress_mode mode;
    unsigned columns; /* 60..200; others are taken to the nearest */
    bool color, utf8;
    const char *clock;
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
