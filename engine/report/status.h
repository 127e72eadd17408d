/* `status`: one line a user while a run goes on, or afterwards, read from the state folders. */
#ifndef ENGINE_REPORT_STATUS_H
#define ENGINE_REPORT_STATUS_H

#include "engine/report/report.h"

struct status_style {
    unsigned columns; /* width to keep to; 0: as wide as it comes */
    unsigned rows;    /* at most so many lines, the users that matter first; 0: all */
    bool color;
    bool utf8;
};

bool status_write_text(const struct report_state *states, unsigned count,
                       const struct status_style *style, FILE *out, struct err *err_r) ERR_CHECK;
/* interface.md: mailhaul.status.v1. eta_s is null when it cannot be told. */
bool status_write_json(const struct report_state *states, unsigned count, FILE *out,
                       struct err *err_r) ERR_CHECK;
/* Repaints the text on the terminal `out` every 2 s until SIGINT, SIGTERM or a hang-up, whose
 * handlers it sets and puts back. json: writes one status object a line instead of painting. look: what
 * there is by now, before each; borrowed until the next. */
typedef bool status_look(void *context, const struct report_state **states_r, unsigned *count_r,
                         struct err *err_r);
bool status_watch(status_look *look, void *context, bool json, bool color, FILE *out,
                  struct err *err_r) ERR_CHECK;

#endif
