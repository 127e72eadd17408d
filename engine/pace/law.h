/* The rate of the tenant: what is allowed, what was learnt, how it grows and what cuts it
 * (docs/decisions.md has the figures behind each number). Knows no lanes. Pure.
 */
#ifndef ENGINE_PACE_LAW_H
#define ENGINE_PACE_LAW_H

#include "engine/pace/bucket.h"
#include "engine/pace/latency.h"
#include "engine/pace/meter.h"
#include "engine/pace/pace.h"
#include "engine/pace/suspicion.h"

struct law {
    const struct pace_config *config; /* outlives the law */
    enum pace_phase phase;
    double rate;     /* cost per second allowed; meaningless in OPEN */
    double rate_hat; /* learnt refill, 0 unknown */
    struct bucket tokens;
    struct average quick;    /* accepted, 5 s */
    struct average measured; /* accepted, 20 s */
    struct meter accepted;   /* since the last cut */
    struct latency latency;
    uint64_t gate_ms;                /* the server asked for no message before; 0 none */
    uint64_t line_ms;                /* nor before this, for lost connections; 0 none */
    uint64_t event_ms;               /* last tenant-wide throttle, 0 none */
    uint64_t brake_ms;               /* last brake, 0 none */
    double brake_ratio;              /* what it saw; 0: the answer to it is known */
    bool slow;                       /* answers have been since the last brake */
    bool brake_ended_start;          /* it was the one that ended the doubling */
    uint64_t tick_ms;                /* last look at growth */
    uint64_t first_ms;               /* first success, 0 none */
    uint64_t success_ms;             /* last success */
    double offered, spilled;         /* tokens since the last look */
    double cut_offered, cut_spilled; /* tokens since the last cut; spilled for want of mail */
    uint64_t cut_gated_ms;           /* gated_ms at the last cut */
    bool hungry;                     /* the owner's: mail waits, whoever or whatever holds it */
    bool burst_spent;                /* there was a cut at full speed: since then `accepted` is what is refilled */
    bool rate_hat_low;               /* learnt from a time that was mostly pause: the truth may be higher */
    bool rate_hat_guess;             /* from the first cut: the burst was in it */
    struct suspicion suspicion;      /* before anything was learnt */
    uint64_t resume_ms;              /* CRUISE: the rate doubles again from then on */
    uint32_t drops;                  /* gates for lost connections in a row, nothing heard between */
    uint64_t events, brakes, gated_ms, line_gated_ms;
};

void law_init(struct law *l, const struct pace_config *config, uint64_t now);
bool law_limited(const struct law *l);
/* Either gate runs. */
bool law_gated(const struct law *l, uint64_t now);
/* Until when nothing is sent, whatever for; 0 none. */
uint64_t law_gate(const struct law *l);
/* Lets tokens in and the rate grow. now never goes back. */
void law_advance(struct law *l, uint64_t now);
/* Whether a permit may go out; otherwise the time to look again, PACE_NEVER for no time. 0: yes. */
uint64_t law_ask(const struct law *l, uint64_t now);
void law_take(struct law *l, double cost);
uint32_t law_in_flight_limit(const struct law *l);
void law_answered(struct law *l, double cost, uint32_t latency_ms, uint64_t now);
/* What was measured when a cut came. */
struct law_cut {
    uint64_t at_ms;
    double est;    /* accepted per second since the last cut */
    double recent; /* the same, of the last 20 s */
    double cost;   /* accepted since the last cut */
};
struct law_cut law_measure(struct law *l, uint64_t now);
/* A tenant-wide throttle that asks for wait_ms from now on; at most one a gate is learnt from. */
void law_throttled(struct law *l, const struct law_cut *cut, uint64_t wait_ms, uint64_t now);
/* Several lanes lost their connections together. heard: the server answered something meanwhile, so
 * that nobody need wait to learn whether it lives. */
void law_dropped(struct law *l, bool heard, uint64_t now);
/* The server answered something: the gate for lost connections ends, and its doubling. A gate that
 * was asked for stays. */
void law_heard(struct law *l, uint64_t now);
/* Nobody wanted anything for a while: what follows is measured afresh. */
void law_was_idle(struct law *l, uint64_t now);
/* The server, or a neighbour, asks for no message until then, if that is later. */
void law_close(struct law *l, uint64_t until_ms, uint64_t now);

/* What a cut teaches, for tenant and lane alike. est: accepted since the last cut per second; used:
 * the rate was used up since. Returns the new rate_hat, never below a tenth of the old one. */
double law_learn(double rate_hat, double est, bool used);
/* rate after dt_ms of probing. */
double law_probe(const struct pace_config *config, double rate, double rate_hat, double dt_ms);

#define LAW_SAFETY      0.92 /* of the learnt rate, after a cut */
#define LAW_FALL_MOST   0.1
#define LAW_FIRST_SHARE 0.7 /* of what was measured at the first cut, which includes the burst */

#endif
