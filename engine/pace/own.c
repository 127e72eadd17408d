/* What a lane learns of a budget of its own, from its cuts and from lanes that are alike
 * (engine/pace/cohort.h). */
#include "engine/pace/lane.h"

#include <math.h>

#define RATE_MIN          0.01
#define LEARN_COST        20.0  /* accepted between two cuts: less teaches nothing */
#define COHORT_LEARN_COST 40.0  /* the same, for others, or ... */
#define COHORT_LEARN_S    20.0  /* ... over so long a time */
#define WAIT_MOST         0.5   /* of that time; pauses that differ by more have another reason */
#define TRUST_COST        200.0 /* accepted before more is tried: sizes differ, less tells little */
#define CONFIRM_SHARE     0.15
#define CONFIRMED_MAX     4     /* with thousands of lanes, each probing every 10 min is a flood */
#define GUESS_MS          60000 /* a guess doubles in so long, until the next cut */
#define UNUSED            0.25  /* of the burst: it was its turn that the lane waited for, not its rate */
#define NO_LIMIT          8     /* times what was learnt: nobody enforces it any more */
#define COHORT_NEW_MS     30000 /* a cut so soon after joining is of what was sent before */
#define COHORT_CUTS_MOST  2     /* of a member, then it is none */
#define COHORT_CUTS_MIN   10    /* minutes (cohort_minute_ms) after which they are counted anew */
#define TRY_DOUBLE_MS     30000 /* a member that tries for more doubles in so long, or ... */
#define TRY_WAITS         2     /* ... in so many pauses */
#define TRY_SAVED         4     /* pauses' worth may have been saved up, ... */
#define TRY_COST          20.0  /* ... and a little more */

static uint32_t index_of(const struct pace *p, const struct lane *lane)
{
    return (uint32_t)(lane - p->lanes);
}

static bool is_member(const struct lane *lane)
{
    return lane->cohort && lane->cohort->rate > 0 && lane->cohort->made == lane->cohort_made;
}

double pace_lane_rate_hat(const struct lane *lane)
{
    if (is_member(lane))
        return lane->cohort->rate;
    return lane->wary ? 0 : lane->rate_hat;
}

double pace_lane_burst(const struct lane *lane)
{
    return fmax(2 * lane->rate, 1);
}

/* A tenant event explains the lanes' throttles around it: those teach nothing about a lane. */
static bool tenant_was_it(const struct pace *p, const struct lane *lane)
{
    return p->law.event_ms != 0 && p->law.event_ms + STRIKES_WITHIN_MS >= lane->cut_ms;
}

/* How long after its last cut a lane's rate is left alone. */
static uint64_t trust_ms(const struct pace *p, const struct lane *lane)
{
    uint64_t quiet_ms = (uint64_t)p->config.probe_after_ms << lane->confirmed;
    double measured_ms = TRUST_COST / lane->rate * 1000;

    return measured_ms > (double)quiet_ms ? (uint64_t)measured_ms : quiet_ms;
}

static void leave(struct lane *lane)
{
    if (lane->cohort && lane->cohort->made == lane->cohort_made)
        lane->cohort->members--;
    lane->cohort = NULL;
}

void pace_lane_leave(struct pace *p, struct lane *lane)
{
    leave(lane);
    cohort_forget(&p->cohort, index_of(p, lane));
}

/* What it does not know itself it may take from others, unless it has shown better. What it knows
 * must be about the same. */
static bool may_join(const struct pace *p, struct lane *lane, const struct cohort_class *c)
{
    double est = meter_rate(&lane->accepted, p->now);

    if (lane->alone)
        return false;
    if (lane->wary)
        return true;
    if (!lane->guess)
        return lane->rate_hat <= COHORT_FAR * c->rate && c->rate <= COHORT_FAR * lane->rate_hat;
    return est <= COHORT_FAR * c->rate || est * (double)meter_span_ms(&lane->accepted, p->now) < LEARN_COST * 1000;
}

/* Joins the lanes that are alike, leaves them when they no longer agree, and takes their rate. */
static void follow(struct pace *p, struct lane *lane)
{
    struct cohort_class *c = lane->cohort;

    if (c && !is_member(lane))
        leave(lane);
    if (!lane->cohort && lane->rate_hat > 0 && lane->told_ms > 0) {
        c = cohort_find(&p->cohort, lane->told_ms);
        if (!c || !may_join(p, lane, c))
            return;
        lane->cohort = c;
        lane->cohort_made = c->made;
        lane->cohort_ms = p->now;
        lane->cohort_cuts = 0;
        lane->cohort_more = 1;
        lane->tries = false;
        lane->quiet_ms = lane->grown_ms = p->now;
        c->members++;
    }
    if (lane->cohort)
        lane->rate = lane->cohort->rate * lane->cohort_more;
}

/* What the mailbox had saved up is in what the first cut measured, and the time in which the rate
 * was too low to use it is, too: half of what was carried last is the other guess, as TCP has it.
 * From the first cut to the second the server takes what it refills. */
static double learn(const struct lane *lane)
{
    if (lane->rate_hat <= 0)
        return fmax(law_learn(0, lane->cut_est, true), lane->cut_recent / 2);
    if (lane->guess)
        return lane->cut_est <= lane->rate_hat ? lane->cut_est
                                               : (lane->cut_est + fmax(lane->cut_est, lane->cut_recent)) / 2;
    return law_learn(lane->rate_hat, lane->cut_est, true);
}

/* A member was cut: it is one still, unless its rate is another. Otherwise the rate that it had
 * until then is what it learns from. */
static bool stays(struct lane *lane)
{
    if (!lane->cohort || lane->cut_ms < lane->cohort_ms + COHORT_NEW_MS)
        return false;
    if ((double)(lane->cut_ms - lane->cohort_cut_ms) > COHORT_CUTS_MIN * cohort_minute_ms(lane->cohort))
        lane->cohort_cuts = 0;
    lane->cohort_cut_ms = lane->cut_ms;
    if (!lane->cut_whole)
        return true;
    lane->alone = ++lane->cohort_cuts >= COHORT_CUTS_MOST || lane->cut_est < lane->cohort->rate / COHORT_FAR;
    return !lane->alone;
}

/* What was refilled a second since the cut that the meter was started at. At the end of a pause it
 * is refilled what was too much, so the time runs from the end of that cut's to the end of this
 * one's: the one may have been noticed as soon as it came, the other late. */
static double refill(const struct pace *p, struct lane *lane, uint64_t wait_ms)
{
    double est = meter_rate(&lane->accepted, p->now);
    double span_ms = (double)meter_span_ms(&lane->accepted, p->now);
    double more_ms = (double)wait_ms - (double)lane->from_wait_ms;

    if (lane->from_wait_ms == 0 || fabs(more_ms) > WAIT_MOST * span_ms)
        return est;
    return est * span_ms / (span_ms + more_ms);
}

void pace_lane_cut(struct pace *p, struct lane *lane, uint64_t wait_ms)
{
    /* An answer that was on its way when the gate closed tells nothing new but its own hint. */
    if (p->now < p->law.gate_ms || lane->cut_pending)
        return;
    pace_wary_cut(p, lane, wait_ms);
    lane->cut_pending = true;
    lane->cut_ms = p->now;
    lane->cut_est = refill(p, lane, wait_ms);
    lane->cut_recent = average_rate(&lane->recent, p->now);
    lane->cut_cost = meter_rate(&lane->accepted, p->now) * (double)meter_span_ms(&lane->accepted, p->now) / 1000;
    lane->cut_wait_ms = wait_ms;
    /* One that is older than what the meter remembers: the budget may have been saved up before. */
    lane->cut_whole = p->now <= lane->accepted.start_ms + meter_span_ms(&lane->accepted, p->now);
    if (lane->cut_cost < LEARN_COST)
        lane->cut_est = -1;
    if (wait_ms > lane->told_ms)
        lane->told_ms = wait_ms;
    follow(p, lane);
    if (lane->cohort && lane->tries)
        cohort_tried(lane->cohort, false, p->now);
    else if (lane->cohort && lane->cut_est >= 0 && p->now >= lane->cohort_ms + COHORT_NEW_MS)
        cohort_cut(lane->cohort, p->now);
    lane->tries = false;
    lane->cohort_more = 1;
}

void pace_lane_was_idle(struct pace *p, struct lane *lane)
{
    meter_restart(&lane->accepted, p->now);
    lane->from_wait_ms = 0;
}

static void take_up(struct lane *lane, double learnt)
{
    lane->guess = lane->rate_hat <= 0;
    if (fabs(learnt - lane->rate_hat) > CONFIRM_SHARE * learnt)
        lane->confirmed = 0;
    else if (lane->confirmed < CONFIRMED_MAX)
        lane->confirmed++;
    lane->rate_hat = learnt;
    lane->rate = LAW_SAFETY * lane->rate_hat;
}

void pace_lane_judge(struct pace *p, struct lane *lane)
{
    if (!lane->cut_pending)
        return;
    lane->cut_pending = false;
    if (tenant_was_it(p, lane) || lane->cut_est < 0)
        return;
    if (lane->wary && is_member(lane)) {
        lane->rate_hat = lane->cohort->rate;
    } else if (stays(lane)) {
        if (lane->cut_whole) {
            lane->rate_hat = fmax(lane->cut_est, RATE_MIN);
            lane->guess = false;
        }
    } else {
        leave(lane);
        if (lane->wary)
            lane->rate_hat = 0;
        take_up(lane, fmax(learn(lane), RATE_MIN));
    }
    lane->wary = false;
    if (!lane->guess && lane->cut_whole &&
        (lane->cut_cost >= COHORT_LEARN_COST || lane->cut_cost >= COHORT_LEARN_S * lane->cut_est))
        cohort_learnt(&p->cohort, index_of(p, lane), lane->rate_hat, lane->told_ms, p->now);
    /* Counted from the throttle on: the pause belongs to the time in which the server refilled. */
    meter_restart(&lane->accepted, lane->cut_ms);
    lane->from_wait_ms = lane->cut_wait_ms;
    lane->quiet_ms = lane->grown_ms = lane->hold_ms > p->now ? lane->hold_ms : p->now;
    bucket_init(&lane->tokens, 0, lane->quiet_ms);
    if (lane->guess)
        pace_wary_guessed(p, lane);
    follow(p, lane);
}

/* A member whose own rate was never measured: has it more than the others? What it sent beyond
 * their rate is more than any of them may have saved up. */
static void try_more(struct pace *p, struct lane *lane, double dt_ms)
{
    struct cohort_class *c = lane->cohort;
    double wait_ms = (double)c->wait_ms, even;

    if (!lane->tries) {
        lane->tries = lane->guess && cohort_may_try(c, p->now);
        lane->try_ms = p->now;
        lane->try_cost = lane->cost_accepted;
        return;
    }
    lane->cohort_more *= exp2(dt_ms / fmax(TRY_DOUBLE_MS, TRY_WAITS * wait_ms));
    even = c->rate * ((double)(p->now - lane->try_ms) + TRY_SAVED * wait_ms) / 1000;
    if (lane->cost_accepted - lane->try_cost <= even + TRY_COST)
        return;
    lane->alone = true;
    lane->tries = false;
    leave(lane);
    cohort_tried(c, true, p->now);
}

static void grow(struct pace *p, struct lane *lane, double dt_ms)
{
    if (lane->cohort) {
        try_more(p, lane, dt_ms);
        return;
    }
    if (lane->guess)
        lane->rate *= exp2(dt_ms / GUESS_MS);
    else
        lane->rate = law_probe(&p->config, lane->rate, lane->rate_hat, dt_ms);
    if (lane->rate > NO_LIMIT * lane->rate_hat) {
        lane->alone |= lane->wary;
        lane->wary = lane->guess = false;
        lane->rate = lane->rate_hat = 0;
        pace_lane_leave(p, lane);
    }
}

/* From when on it may grow. */
static uint64_t grows_from(const struct pace *p, const struct lane *lane)
{
    return lane->quiet_ms + (lane->guess || lane->cohort ? 0 : trust_ms(p, lane));
}

void pace_lane_used(struct pace *p, struct lane *lane)
{
    uint64_t from;

    follow(p, lane);
    bucket_refill(&lane->tokens, lane->rate, pace_lane_burst(lane), p->now);
    from = grows_from(p, lane);
    if (from < lane->grown_ms)
        from = lane->grown_ms;
    if (lane->tokens.tokens <= UNUSED * pace_lane_burst(lane)) {
        if (lane->cohort)
            cohort_used(lane->cohort, p->now);
        if (p->now > from)
            grow(p, lane, (double)(p->now - from));
    }
    if (lane->grown_ms < p->now)
        lane->grown_ms = p->now;
}
