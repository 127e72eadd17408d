/* The insides that engine/pace/pace.c (permits), own.c (rates of lanes), trouble.c (throttles,
 * drops, connects), trial.c and state.c (restart, ledger, views) share. Nobody else includes this.
 */
#ifndef ENGINE_PACE_LANE_H
#define ENGINE_PACE_LANE_H

#include "engine/pace/backoff.h"
#include "engine/pace/cohort.h"
#include "engine/pace/fair.h"
#include "engine/pace/law.h"
#include "engine/pace/strikes.h"

struct lane {
    bool live;
    bool cut_pending;   /* throttled; whether for its own rate shows when the hold ends */
    uint8_t want_first; /* ring of wants */
    uint8_t want_count;
    uint32_t in_flight;
    uint64_t wants[PACE_WANTS_MAX]; /* bytes */

    uint64_t hold_ms;       /* no grant before; 0 none */
    uint64_t drop_hold_ms;  /* nor before this, for a lost connection; 0 none */
    uint64_t busy_ms;       /* last time it wanted, sent or was held */
    uint32_t throttle_step; /* throttles without a hint in a row */
    uint64_t struck_ms;     /* of its last throttle; 0 none */
    uint64_t cut_ms;        /* time of the pending or last throttle */
    double cut_est;         /* accepted per second up to then; negative: too little to learn from */
    uint32_t confirmed;     /* cuts in a row that taught nothing new */

    double rate; /* own limit, 0 none */
    double rate_hat;
    struct bucket tokens; /* used when rate > 0 */
    struct meter accepted;
    struct average recent; /* accepted, 5 s */
    double cut_recent;     /* that, at the cut */
    bool guess;            /* rate_hat is from the first cut: the burst was in it */
    bool cut_whole;        /* cut_est is of all the time since the cut before */
    double cut_cost;       /* accepted up to the cut, since the one before */
    uint64_t cut_wait_ms;  /* the pause that was told with it */
    uint64_t from_wait_ms; /* the same, of the cut that `accepted` counts from; 0 it is none */
    uint64_t told_ms;      /* the longest pause that it was told with a cut */
    uint64_t quiet_ms;     /* since when no own cut is known */
    uint64_t grown_ms;     /* last look at growth */

    struct cohort_class *cohort; /* whose rate it takes for its own, NULL none */
    uint64_t cohort_made;        /* by which agreement */
    uint64_t cohort_ms;          /* since when */
    uint64_t cohort_cut_ms;      /* its last cut as a member, 0 none */
    uint32_t cohort_cuts;        /* since then */
    double cohort_more;          /* its rate over the class's, while it tries whether it has more */
    bool tries;                  /* whether it has more than the class */
    uint64_t try_ms;             /* since when */
    double try_cost;             /* cost_accepted then */
    bool wary;                   /* its rate is a precaution (engine/pace/wary.c) */
    bool pilot;                  /* it goes on while others are wary */
    bool alone;                  /* its rate is another, as two cuts have shown */

    uint64_t reconnect_ms; /* no connect before */
    uint64_t slot_ms;      /* place in the order of connects, 0 none */
    uint64_t drop_ms;      /* last drop, 0 none */
    uint32_t drop_step;    /* drops in a row, nothing heard between */
    uint64_t lost_ms;      /* the first drop with nothing accepted since; 0 none */
    bool heard;            /* the server answered it something since the last drop */
    bool struck;           /* throttled, and nothing accepted since */

    double cost_accepted;
    uint64_t throttle_replies;
    uint64_t silent_ms; /* throttled until then, counted in throttled_ms */
    uint64_t throttled_ms;
};

/* The tenant is suspected (engine/pace/trial.c). Nothing is granted but to a witness. */
struct trial {
    bool on;
    bool asked;        /* the witness's message is out */
    uint32_t witness;  /* lane */
    uint32_t needed;   /* witnesses refused before it was the tenant */
    uint32_t refused;  /* so far */
    uint64_t since_ms; /* first refusal of the group */
    uint64_t open_ms;  /* no witness before */
    uint64_t asked_ms;
    uint64_t wait_ms; /* the pause the server asked for */
    struct law_cut cut;
};

/* Lanes that are about to be refused go slow (engine/pace/wary.c). */
struct wary {
    uint64_t until_ms;      /* 0 they do not */
    uint64_t rest_ms;       /* not again before */
    uint64_t wait_ms;       /* the pause that others were told */
    double cost;            /* what these had sent; 0 nothing is known */
    double rate;            /* to go slow at */
    uint32_t alike, others; /* pilots, as they turned out */
    uint32_t learners;      /* lanes refused once since */
    uint32_t slowed;        /* lanes, the pilots among them */
};

struct pace {
    struct pace_config config;
    struct law law;
    struct prng prng;
    uint64_t now; /* latest seen */
    struct lane *lanes;
    uint32_t lane_count; /* indices given out so far */
    uint32_t lane_room;
    uint32_t lanes_live;
    uint32_t *free_lanes; /* stack of dead indices */
    uint32_t free_count;
    struct fair fair;  /* lanes that may be served */
    struct heap later; /* lanes with wants that may not, by time */
    uint32_t in_flight;
    uint64_t idle_since_ms; /* no wants and nothing in flight since; 0 busy */
    bool polling;
    struct strikes throttles, drops;
    struct trial trial;
    struct cohort cohort;
    struct wary wary;
    struct slots connects;
    struct bucket leaves; /* to connect, as they are given: places that come late together do not add up */
    uint64_t drop_ms;     /* last drop of any lane, 0 none */
    bool down;            /* lanes lost their connections together and nothing was heard since */
    bool loses;           /* the same, and nothing was taken since */
    uint64_t heard_ms;    /* last sign of life that is no message; 0 none */
    uint64_t scout_ms;    /* while the gate for lost connections runs: no connect before */
    struct bucket retries;
    double peer_rate, peer_rate_hat; /* the processes' sums when last heard */
    uint32_t peer_count;
    double cost_accepted;
    uint64_t messages_accepted, bytes_accepted, throttle_replies, drop_count;
};

#define PACE_IDLE_MS                                                                                                   \
    60000 /* after so long without work what was measured says nothing any more                                        \
           */

/* p->now = max(p->now, now); the law's clock with it. Returns it. */
uint64_t pace_advance(struct pace *p, uint64_t now);
/* A live lane, or the program has a bug. */
struct lane *pace_lane(const struct pace *p, uint32_t lane);
/* Puts the lane where it belongs: ready, later, or nowhere. */
void pace_place(struct pace *p, uint32_t lane);
/* This process takes one of so many shares of the connects; later places keep their order. */
void pace_share_connects(struct pace *p, uint32_t processes);
/* False, and nothing is begun, where no lane can bear witness: then it was the tenant. */
bool pace_trial_begin(struct pace *p, const struct strike_group *group);
/* While it is on. 0 with *lane_r: that lane sends one message now; 0 without (PACE_LANES_MAX): the
 * trial is over; otherwise the time to ask again. */
uint64_t pace_trial_ask(struct pace *p, uint32_t *lane_r);
/* What became of a message: taken, refused with a pause, or nothing that tells. */
void pace_trial_taken(struct pace *p, uint32_t lane, uint64_t sent_ms);
void pace_trial_refused(struct pace *p, uint32_t lane, uint64_t wait_ms);
void pace_trial_void(struct pace *p, uint32_t lane);
/* The server answers again: what lanes still wait because nothing was answered is over. taken: it
 * takes messages, and all that they wait for lost connections is. */
void pace_up_again(struct pace *p, bool taken);
/* `permits` of the lane ended. */
void pace_end_permits(struct pace *p, uint32_t lane, uint32_t permits);
/* Counts the lane as throttled until then. */
void pace_lane_silence(struct lane *lane, uint64_t until_ms, uint64_t now);
/* The same for every lane until the gate opens: the only work that grows with the lanes. */
void pace_silence_all(struct pace *p);
/* What is known of its own limit, by itself or from lanes that are alike; 0 nothing. */
double pace_lane_rate_hat(const struct lane *lane);
/* Most tokens of its own that the lane may have gathered. */
double pace_lane_burst(const struct lane *lane);
/* It was throttled, for wait_ms: measures what its rate was, if this is the first of the kind. */
void pace_lane_cut(struct pace *p, struct lane *lane, uint64_t wait_ms);
/* Decides about a pending cut once the lane's hold is over. */
void pace_lane_judge(struct pace *p, struct lane *lane);
/* One that has a rate is about to send: the rate grows with use and time. */
void pace_lane_used(struct pace *p, struct lane *lane);
/* Lanes were refused since then, and not by the tenant: others like them go slow. */
void pace_wary_begin(struct pace *p, uint64_t since_ms);
/* A message of the lane was taken. */
void pace_wary_sent(struct pace *p, uint32_t lane);
/* It was throttled; before anything is learnt from that. */
void pace_wary_cut(struct pace *p, struct lane *lane, uint64_t wait_ms);
/* Its first cut taught it a guess. */
void pace_wary_guessed(struct pace *p, struct lane *lane);
/* It wanted nothing for a while: what follows is measured afresh. */
void pace_lane_was_idle(struct pace *p, struct lane *lane);
/* The lane ends. */
void pace_lane_leave(struct pace *p, struct lane *lane);

#endif
