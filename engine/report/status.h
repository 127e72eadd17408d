/* `status`: one line a user while a run goes on, or afterwards, read from the state folders. */
#ifndef ENGINE_REPORT_STATUS_H
#define ENGINE_REPORT_STATUS_H

#include "engine/report/report.h"

struct status_style {
    unsigned columns; /* width to keep to; 0: as wide as it comes */
    unsigned rows;    /* at most so many lines, the users that matter first; 0: all */
    bool color;
    bool utf8;
    bool totals; /* with a line of sums, rate, time left and the time of day (UTC) */
};

/* How the batch stands that was just shown. */
struct status_seen {
    bool running; /* a run is at work */
    bool done;    /* nothing is left to do: every user is synced or failed, and no shard is missing */
    bool missing; /* a shard has no state folder yet */
};

bool status_write_text(const struct report_state *states, unsigned count, const struct status_style *style, FILE *out,
                       struct err *err_r) ERR_CHECK;
/* interface.md: mailhaul.status.v1. eta_s is null when it cannot be told. */
bool status_write_json(const struct report_state *states, unsigned count, FILE *out, struct err *err_r) ERR_CHECK;
/* The sums alone, as one line. seen_r: how it stands. */
bool status_write_line(const struct report_state *states, unsigned count, FILE *out, struct status_seen *seen_r,
                       struct err *err_r) ERR_CHECK;
/* Repaints the text on the terminal `out` every 2 s; where that is none, writes the line of sums every 30 s, and
 * whenever a user has ended. Until a run that was seen at work has ended, there is nothing left to do, or SIGINT,
 * SIGTERM or a hang-up, whose handlers it sets and puts back. json: writes one status object a line, every 2 s,
 * instead. look: what there is by now, before each; borrowed until the next. */
typedef bool status_look(void *context, const struct report_state **states_r, unsigned *count_r, struct err *err_r);
bool status_watch(status_look *look, void *context, bool json, bool color, FILE *out, struct err *err_r) ERR_CHECK;

#endif
