/* Whose limit was it (engine/pace/pace.h)? Three lanes were refused and nothing that was sent since
 * succeeded: the tenant is suspected. Equal mailboxes with budgets of their own look the same, for
 * they are used up together. So all wait for a moment, in which a budget of its own refills and the
 * tenant's is still closed, and then a lane that was not refused sends one message: a witness.
 * Taken, it was not the tenant. */
#include "engine/pace/lane.h"

#define PAUSE_SHARE   0.8 /* of the shortest pause that was asked for */
#define PAUSE_MAX_MS  3000
#define WITNESS_MS    30000 /* an answer that does not come by then says nothing */
#define NO_WITNESS_MS 5000  /* nobody sends: nobody can tell */
#define WITNESSES     3     /* refused, the first time */

static bool may_witness(const struct pace *p, const struct lane *lane, uint64_t since_ms)
{
    return lane->live && lane->hold_ms <= p->now && lane->drop_hold_ms <= p->now && lane->struck_ms < since_ms;
}

static bool has_witness(const struct pace *p, uint64_t since_ms)
{
    for (uint32_t i = 0; i < p->lane_count; i++)
        if (may_witness(p, &p->lanes[i], since_ms) && (p->lanes[i].want_count > 0 || p->lanes[i].in_flight > 0))
            return true;
    return false;
}

/* Each of those that were refused had a rate of its own that was a guess and grew: being refused is
 * what it was for. */
static bool all_guess(const struct pace *p, uint64_t since_ms)
{
    for (uint32_t i = 0; i < p->lane_count; i++) {
        const struct lane *lane = &p->lanes[i];

        if (lane->live && lane->struck_ms >= since_ms && (lane->rate <= 0 || !lane->guess))
            return false;
    }
    return true;
}

/* A gate that closed meanwhile, for lost connections or told by another process, ends it: what was
 * refused since is explained by it, or will be asked again after it. */
static bool overtaken(struct pace *p)
{
    if (p->trial.on && law_gate(&p->law) > p->trial.cut.at_ms)
        p->trial.on = false;
    return !p->trial.on;
}

bool pace_trial_begin(struct pace *p, const struct strike_group *group)
{
    double pause_ms = PAUSE_SHARE * (double)group->shortest_ms;

    if (!overtaken(p))
        return true;
    if (!law_limited(&p->law))
        return false;
    if (!has_witness(p, group->since_ms))
        return p->law.rate_hat <= 0 && all_guess(p, group->since_ms);
    p->trial = (struct trial){
        .on = true,
        .since_ms = group->since_ms,
        .open_ms = group->since_ms + (uint64_t)(pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS),
        .wait_ms = group->longest_ms,
        .needed = p->law.rate_hat > 0 ? 1 : WITNESSES,
        .cut = law_measure(&p->law, p->now),
    };
    return true;
}

static void convict(struct pace *p)
{
    /* The pause that was asked for counts from then on. */
    uint64_t passed = p->now - p->trial.cut.at_ms;
    uint64_t wait_ms = p->trial.wait_ms > passed ? p->trial.wait_ms - passed : 0;

    p->trial.on = false;
    law_throttled(&p->law, &p->trial.cut, wait_ms, p->now);
    pace_silence_all(p);
}

static bool better(const struct lane *a, const struct lane *b)
{
    if (a->struck_ms != b->struck_ms)
        return a->struck_ms < b->struck_ms;
    return a->cost_accepted < b->cost_accepted;
}

/* It waits for its turn, or for a rate of its own that is hardly too high: not for a guess. */
static bool asks(const struct pace *p, uint32_t index)
{
    const struct lane *lane = &p->lanes[index];

    return lane->want_count > 0 &&
           (heap_has(&p->fair.waiting, index) || lane->wary || (lane->rate > 0 && !lane->guess));
}

/* The lane that was refused longest ago, or never, and served least; PACE_LANES_MAX none. */
static uint32_t best_witness(const struct pace *p)
{
    uint32_t best = PACE_LANES_MAX;

    for (uint32_t i = 0; i < p->lane_count; i++)
        if (may_witness(p, &p->lanes[i], p->trial.since_ms) && asks(p, i) &&
            (best == PACE_LANES_MAX || better(&p->lanes[i], &p->lanes[best])))
            best = i;
    return best;
}

uint64_t pace_trial_ask(struct pace *p, uint32_t *lane_r)
{
    struct trial *t = &p->trial;

    *lane_r = PACE_LANES_MAX;
    if (overtaken(p))
        return 0;
    if (p->now < t->open_ms)
        return t->open_ms;
    if (t->asked && p->now < t->asked_ms + WITNESS_MS)
        return t->asked_ms + WITNESS_MS;
    t->asked = false;
    *lane_r = best_witness(p);
    if (*lane_r != PACE_LANES_MAX) {
        t->asked = true;
        t->asked_ms = p->now;
        t->witness = *lane_r;
        return 0;
    }
    if (p->now >= t->open_ms + NO_WITNESS_MS)
        t->on = false;
    return t->on ? t->open_ms + NO_WITNESS_MS : 0;
}

void pace_trial_taken(struct pace *p, uint32_t lane, uint64_t sent_ms)
{
    struct trial *t = &p->trial;

    if (t->on && ((t->asked && lane == t->witness) || sent_ms > t->cut.at_ms)) {
        t->on = false;
        pace_wary_begin(p, t->since_ms);
    }
}

void pace_trial_refused(struct pace *p, uint32_t lane, uint64_t wait_ms)
{
    struct trial *t = &p->trial;

    if (overtaken(p) || !t->asked || lane != t->witness)
        return;
    if (wait_ms > t->wait_ms)
        t->wait_ms = wait_ms;
    t->asked = false;
    if (++t->refused >= t->needed)
        convict(p);
}

void pace_trial_void(struct pace *p, uint32_t lane)
{
    if (p->trial.on && p->trial.asked && lane == p->trial.witness)
        p->trial.asked = false;
}
