/* How long a migration will take, from what is to be moved and what is known of both servers: rates
 * that earlier runs learnt or measured, else stated assumptions. Pure arithmetic.
 *
 * Source and target work at the same time, so the slower one decides.
 */
#ifndef ENGINE_INSPECT_FORECAST_H
#define ENGINE_INSPECT_FORECAST_H

#include "engine/move/sample.h"
#include "engine/settings/settings.h"

enum forecast_basis {
    FORECAST_ASSUMED,  /* nothing was moved yet, or so little that it tells nothing */
    FORECAST_MEASURED, /* earlier runs' bytes and messages over their time */
    FORECAST_LEARNT,   /* target: the rate that pace keeps */
    FORECAST_BENCH     /* source: nothing was moved yet, but `bench` has read from it */
};

/* What one of the sides does in a second. */
struct forecast_rate {
    enum forecast_basis basis;
    double bytes_per_s, messages_per_s; /* all but LEARNT; of a mailbox when per_mailbox */
    bool per_mailbox;                   /* the assumption for Exchange Online */
    double cost_per_s;                  /* LEARNT: in pace's cost */
    double measured_s;                  /* MEASURED: over how long */
};

struct forecast_user {
    uint64_t fetch_messages, fetch_bytes; /* not in the spool yet */
    uint64_t send_messages, send_bytes;
};

struct forecast {
    const struct settings *settings;
    struct forecast_rate source, target;
    uint64_t source_day_bytes, target_day_bytes; /* what one user may move in 24 hours; 0: no limit */
    bool day_assumed;                            /* Gmail's, and the batch file does not say it */
    /* sums */
    unsigned users; /* with something to move */
    uint64_t fetch_messages, fetch_bytes, send_messages, send_bytes;
    double longest_s; /* of one mailbox */
    unsigned days;    /* of the user that a daily limit keeps longest; 0: of none */
    /* forecast_end */
    double source_s, target_s;
    double seconds;  /* of work */
    double night_s;  /* what the window and the time limit leave of a day; 86,400: all of it */
    unsigned nights; /* runs of night_s, or days of a daily limit; 0: nothing to move */
};

/* rates: of earlier runs, ended. cost_per_s: what pace has learnt (pace_saved_rate), or 0. settings
 * are borrowed. */
void forecast_begin(struct forecast *f, const struct settings *settings, const struct sample_rates *rates,
                    double cost_per_s);
/* Returns the days that this user's daily limit alone makes it take; 0: no limit, or nothing to
 * move. */
unsigned forecast_add(struct forecast *f, const struct forecast_user *user);
void forecast_end(struct forecast *f);

#endif
