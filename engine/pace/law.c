#include "engine/pace/law.h"

#include "engine/pace/backoff.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define TICK_MS           1000
#define RATE_MIN          0.05
#define RATE_MAX          1e6
#define BURST_S           2
#define USED_SPILL        0.25 /* more of the tokens unused: the rate is not what holds us back */
#define CRUISE_PER_S      0.001
#define BRAKE_EVERY_MS    20000
#define BRAKE_ANSWER_MS   8000 /* what was sent before the brake has its answer by then */
#define BRAKE_SAME        0.1  /* of the ratio: no answer to the brake */
#define BRAKE_USED_BEFORE 0.6  /* while it doubles, the average lags */
#define BRAKE_USED_AFTER  0.9
#define BRAKE_FEW         16 /* in flight, by Little's law: more may be a queue that stays full */
#define BRAKE_EXCESS_MS   30 /* less is noise of a near server, whatever the ratio */
#define WINDOW_MS         10000
#define WINDOW_START_MS   4000 /* while doubling every 5 s, 10 s would be too late */
#define PROGRESS_MS       10000
#define SUSPECT_NEAR      0.9    /* of a rate where trouble came back: no doubling beyond */
#define DROP_AGAIN        0.7    /* of what was carried when connections were lost at that rate again */
#define REFUSED_REST_MS   60000  /* after a cut that taught nothing */
#define BRAKE_REST_MS     20000  /* after a first brake, before the rate doubles again */
#define LEARN_COST_MIN    20     /* accepted between two cuts: less teaches nothing */
#define LEARN_S_MIN       1      /* the same in seconds of the learnt rate */
#define LEARN_BRAKE_MS    240000 /* time since the last cut before a brake teaches */
#define BRAKE_LEAST       0.85   /* of what was learnt: no brake takes the rate lower ... */
#define BRAKE_LEAST_LOW   0.7    /* ... and of a rate that may be wrong */
#define FIRST_BURST_MS    180000 /* the burst is LAW_FIRST_SHARE's part of so long a measurement */
#define PAUSE_SHARE       0.4    /* more of the time between two cuts gated: rate_hat_low */
#define LOW_PROBE_MS      60000  /* a rate that is too low is soon raised ... */
#define LOW_PER_MIN       1.05   /* ... and faster, until a cut or a brake tells more; */
#define GUESS_PER_MIN     1.15   /* a guess, and what a brake took, faster still */

void law_init(struct law *l, const struct pace_config *config, uint64_t now)
{
    memset(l, 0, sizeof(*l));
    l->config = config;
    l->phase = config->mode == PACE_MODE_OPEN ? PACE_PHASE_OPEN : PACE_PHASE_START;
    l->rate = config->start_rate / config->process_count;
    bucket_init(&l->tokens, 1, now);
    average_init(&l->quick, 5000, now);
    average_init(&l->measured, 20000, now);
    meter_init(&l->accepted, METER_TENANT_MS, now);
    latency_init(&l->latency);
    l->tick_ms = now;
}

bool law_limited(const struct law *l)
{
    return l->phase != PACE_PHASE_OPEN;
}

uint64_t law_gate(const struct law *l)
{
    return l->gate_ms > l->line_ms ? l->gate_ms : l->line_ms;
}

bool law_gated(const struct law *l, uint64_t now)
{
    return now < law_gate(l);
}

double law_probe(const struct pace_config *config, double rate, double rate_hat, double dt_ms)
{
    double per_min = rate < 1.1 * rate_hat ? config->probe_per_min : config->probe_beyond_per_min;

    return rate * pow(per_min, dt_ms / 60000);
}

/* A brake took the rate below what was learnt, and the answers are quick again. */
static bool below(const struct law *l)
{
    return l->rate < LAW_SAFETY * l->rate_hat && l->latency.ratio <= l->config->brake_ratio;
}

/* Doubling again: every start_double_ms from the next answer on, or only every start_slow_ms. */
static void start_again(struct law *l, bool quick)
{
    l->phase = PACE_PHASE_START;
    if (quick)
        l->first_ms = 0;
}

/* Trouble that names no limit. Slow start goes on after it; only what comes back at the same rate
 * makes it rest, the longer the more often. Returns how often it came back
 * (engine/pace/suspicion.h). */
static uint32_t suspect(struct law *l, double carried, uint64_t rest_ms, uint64_t now)
{
    uint32_t times = suspicion_add(&l->suspicion, carried);
    uint64_t again_ms = suspicion_rest_ms(times);

    if (again_ms < rest_ms)
        again_ms = rest_ms;
    if (again_ms == 0) {
        start_again(l, true);
    } else {
        l->phase = PACE_PHASE_CRUISE;
        l->resume_ms = now + again_ms;
    }
    return times;
}

static void grow(struct law *l, uint64_t dt_ms, uint64_t now)
{
    double dt = (double)dt_ms;

    switch (l->phase) {
    case PACE_PHASE_OPEN:
        break;
    case PACE_PHASE_START:
        /* Without answers there is nothing to conclude from. */
        if (l->first_ms == 0 || now > l->success_ms + PROGRESS_MS)
            break;
        if (l->suspicion.times > 1 && l->rate >= SUSPECT_NEAR * l->suspicion.rate) {
            l->rate *= 1 + CRUISE_PER_S * dt / 1000;
            break;
        }
        l->rate *=
            exp2(fmin(dt, 2 * TICK_MS) / (now < l->first_ms + l->config->start_quick_ms ? l->config->start_double_ms
                                                                                        : l->config->start_slow_ms));
        break;
    case PACE_PHASE_CRUISE:
        l->rate *= 1 + CRUISE_PER_S * dt / 1000;
        if (now >= l->resume_ms && l->latency.ratio <= l->config->brake_ratio)
            start_again(l, false);
        break;
    case PACE_PHASE_LIMITED:
        if (!l->rate_hat_low && below(l))
            l->rate *= pow(GUESS_PER_MIN, dt / 60000);
        if (now >= l->gate_ms + (l->rate_hat_low ? LOW_PROBE_MS : l->config->probe_after_ms))
            l->phase = PACE_PHASE_PROBE;
        break;
    case PACE_PHASE_PROBE:
        if (l->rate_hat_guess || below(l))
            l->rate *= pow(GUESS_PER_MIN, dt / 60000);
        else if (l->rate_hat_low)
            l->rate *= pow(LOW_PER_MIN, dt / 60000);
        else
            l->rate = law_probe(l->config, l->rate, l->rate_hat, dt);
        break;
    case PACE_PHASE_COUNT:
        assert(false);
    }
    l->rate = fmin(l->rate, RATE_MAX);
}

void law_advance(struct law *l, uint64_t now)
{
    double rate = l->rate;
    uint64_t from = l->tokens.at_ms, gate = law_gate(l);

    if (!law_limited(l) || now < gate) {
        bucket_skip(&l->tokens, now);
        l->tick_ms = now;
        return;
    }
    if (from < gate) {
        bucket_skip(&l->tokens, gate);
        l->tick_ms = from = gate;
        /* Answers to what was sent before the gate would make the first window after it look slow.
         */
        latency_restart(&l->latency);
        l->offered = l->spilled = 0;
    }
    if (now > from) {
        double offered = rate * (double)(now - from) / 1000;
        double spilled = bucket_refill(&l->tokens, rate, fmax(BURST_S * rate, 1), now);

        l->offered += offered;
        l->spilled += spilled;
        l->cut_offered += offered;
        if (!l->hungry)
            l->cut_spilled += spilled;
    }
    if (now < l->tick_ms + TICK_MS)
        return;
    if (suspicion_carried(&l->suspicion, average_rate(&l->quick, now), now) &&
        (l->phase == PACE_PHASE_START || l->phase == PACE_PHASE_CRUISE))
        start_again(l, true);
    if (l->spilled <= USED_SPILL * l->offered)
        grow(l, now - l->tick_ms, now);
    l->tick_ms = now;
    l->offered = l->spilled = 0;
}

uint64_t law_ask(const struct law *l, uint64_t now)
{
    if (law_gated(l, now))
        return law_gate(l);
    if (!law_limited(l) || bucket_holds(&l->tokens, 1))
        return 0;
    return now + bucket_wait_ms(&l->tokens, l->rate, 1);
}

void law_take(struct law *l, double cost)
{
    if (law_limited(l))
        l->tokens.tokens -= cost;
}

uint32_t law_in_flight_limit(const struct law *l)
{
    uint32_t cap = l->config->in_flight_max ? l->config->in_flight_max : UINT32_MAX;
    double answer_s = l->latency.typical_ms > 0 ? l->latency.typical_ms / 1000 : 1;
    double little = 4 * l->rate * answer_s + 8;

    if (!law_limited(l) || little >= cap)
        return cap;
    return (uint32_t)little;
}

/* A brake that the latency does not follow was for nothing: answers are slow, or this machine is,
 * for a reason of their own, and they are not made quicker by sending less. Near a limit they do
 * get quicker, or slower still while the debt grows. */
static void judge_brake(struct law *l, uint64_t now)
{
    double before = l->brake_ratio;

    if (before <= 0 || now < l->brake_ms + BRAKE_ANSWER_MS)
        return;
    l->brake_ratio = 0;
    if (l->rate_hat > 0 || fabs(l->latency.ratio - before) > BRAKE_SAME * before ||
        average_rate(&l->quick, now) < BRAKE_USED_AFTER * l->rate || l->rate * l->latency.typical_ms / 1000 > BRAKE_FEW)
        return;
    latency_accept(&l->latency);
    if (l->brake_ended_start) {
        l->suspicion = (struct suspicion){ 0 };
        start_again(l, true);
    }
}

/* Since a cut that taught a guess the server took est, which is less than what it refilled, for at
 * first the rate was too low to use that up; what it takes now, near the next, is more. */
static double between(double est, double recent)
{
    return (est + fmax(est, recent)) / 2;
}

/* Answers that stay slow from one brake to the next are one piece of trouble, not two. */
static void suspect_slow(struct law *l, double accepted, uint64_t now)
{
    if (!l->slow)
        (void)suspect(l, accepted, BRAKE_REST_MS, now);
    else if (l->resume_ms < now + BRAKE_REST_MS)
        l->resume_ms = now + BRAKE_REST_MS;
    l->slow = true;
}

static void brake(struct law *l, uint64_t now)
{
    double accepted, down_to, rate;

    judge_brake(l, now);
    if (!law_limited(l) || law_gated(l, now) || (l->brake_ms != 0 && now < l->brake_ms + BRAKE_EVERY_MS))
        return;
    if (l->latency.ratio <= l->config->brake_ratio || l->latency.excess_ms < BRAKE_EXCESS_MS) {
        l->slow = false;
        return;
    }
    /* While the rate doubles, a 20 s average is a quarter of it. */
    accepted = average_rate(l->phase == PACE_PHASE_START ? &l->quick : &l->measured, now);
    down_to = 0.9 * fmin(accepted, l->rate);
    /* A rate that was not used says nothing about what the server bears; never fall to its level.
     */
    down_to = fmax(down_to, (l->rate_hat_low ? BRAKE_LEAST_LOW : BRAKE_LEAST) * l->rate_hat);
    down_to = fmax(down_to, fmax(0.5 * l->rate, RATE_MIN));
    rate = l->rate;
    l->rate = fmin(l->rate, down_to);
    /* The server is near its limit: what it took over a long time is the limit, or less. */
    if (l->phase == PACE_PHASE_PROBE && now >= l->accepted.start_ms + LEARN_BRAKE_MS) {
        double est = meter_rate(&l->accepted, now);
        double learnt = l->rate_hat_guess ? between(est, average_rate(&l->measured, now)) : est;

        /* Below a guess it says little against it: this machine may have been slow. */
        l->rate_hat_low = l->rate_hat_guess && learnt <= l->rate_hat;
        l->rate_hat_guess = false;
        l->rate_hat = fmax(l->rate_hat, learnt);
    }
    l->brake_ended_start = l->phase == PACE_PHASE_START;
    if (l->phase == PACE_PHASE_START || l->phase == PACE_PHASE_CRUISE)
        suspect_slow(l, accepted, now);
    /* A rate that is not reached was not what held back: lowering it changes nothing at first. */
    l->brake_ratio = accepted >= BRAKE_USED_BEFORE * rate ? l->latency.ratio : 0;
    l->brake_ms = now;
    l->brakes++;
}

void law_answered(struct law *l, double cost, uint32_t latency_ms, uint64_t now)
{
    uint32_t window_ms = l->phase == PACE_PHASE_START ? WINDOW_START_MS : WINDOW_MS;

    if (l->first_ms == 0)
        l->first_ms = now;
    l->success_ms = now;
    l->drops = 0;
    suspicion_accepted(&l->suspicion, cost);
    average_add(&l->quick, cost, now);
    average_add(&l->measured, cost, now);
    meter_add(&l->accepted, cost, now);
    if (!law_gated(l, now) && latency_add(&l->latency, cost - 1, latency_ms, window_ms, now))
        brake(l, now);
}

static void close_gate(struct law *l, uint64_t *gate, uint64_t until_ms, uint64_t now)
{
    uint64_t from = law_gated(l, now) ? law_gate(l) : now;

    if (until_ms > *gate)
        *gate = until_ms;
    if (until_ms <= from)
        return;
    l->gated_ms += until_ms - from;
    l->tokens.tokens = fmin(l->tokens.tokens, 0);
    latency_restart(&l->latency);
}

void law_close(struct law *l, uint64_t until_ms, uint64_t now)
{
    close_gate(l, &l->gate_ms, until_ms, now);
}

static void close_line(struct law *l, uint64_t wait_ms, uint64_t now)
{
    uint64_t from = l->line_ms > now ? l->line_ms : now;

    if (now + wait_ms > from)
        l->line_gated_ms += now + wait_ms - from;
    close_gate(l, &l->line_ms, now + wait_ms, now);
}

void law_heard(struct law *l, uint64_t now)
{
    uint64_t gate = law_gate(l);

    l->drops = 0;
    if (now >= l->line_ms)
        return;
    l->line_gated_ms -= l->line_ms - now;
    l->line_ms = now;
    l->gated_ms -= gate - law_gate(l);
}

double law_learn(double rate_hat, double est, bool used)
{
    if (rate_hat <= 0)
        return LAW_FIRST_SHARE * est;
    /* Where the rate was not used up, the bucket overflowed and est is too low. */
    if (!used && est < rate_hat)
        return fmax(est, LAW_FIRST_SHARE * rate_hat);
    return rate_hat > 1.3 * est ? fmax(est, LAW_FALL_MOST * rate_hat) : (rate_hat + est) / 2;
}

/* What is accepted counts from this cut on. */
static void restart_meter(struct law *l, uint64_t now)
{
    meter_restart(&l->accepted, now);
    l->cut_offered = l->cut_spilled = 0;
    l->cut_gated_ms = l->gated_ms;
}

/* What the server had saved up is in what the first cut measured, the less the longer that took. */
static double first_rate(double est, uint64_t since_ms)
{
    double part = fmin(1, FIRST_BURST_MS / fmax((double)since_ms, 1));

    return (1 - (1 - LAW_FIRST_SHARE) * part) * est;
}

static void learn(struct law *l, double est, double recent, uint64_t now)
{
    bool used = l->cut_spilled <= USED_SPILL * l->cut_offered;
    uint64_t since = now - l->accepted.start_ms;
    bool paused = (double)(l->gated_ms - l->cut_gated_ms) > PAUSE_SHARE * (double)since;
    double learnt;

    if (l->rate_hat <= 0)
        learnt = l->burst_spent ? est : first_rate(est, since);
    else if (l->rate_hat_guess && used)
        learnt = between(est, recent);
    else
        learnt = law_learn(l->rate_hat, est, used);
    l->rate_hat_guess = l->rate_hat <= 0 && !l->burst_spent;
    l->rate_hat_low = l->rate_hat_guess || paused;
    l->rate_hat = fmax(learnt, RATE_MIN);
    l->rate = LAW_SAFETY * l->rate_hat;
    l->phase = PACE_PHASE_LIMITED;
    restart_meter(l, now);
}

/* Full speed has used up whatever the server had saved up: how much was accepted tells nothing of
 * what it refills. It is looked for from below, as with a server that is known to have a limit;
 * what is accepted from this cut to the next is the refill. */
static void begin_below(struct law *l, uint64_t now)
{
    l->rate = l->config->start_rate / l->config->process_count;
    l->phase = PACE_PHASE_START;
    l->first_ms = 0;
    l->burst_spent = true;
    restart_meter(l, now);
}

struct law_cut law_measure(struct law *l, uint64_t now)
{
    double est = meter_rate(&l->accepted, now);

    return (struct law_cut){
        .at_ms = now,
        .est = est,
        .recent = average_rate(&l->measured, now),
        .cost = est * (double)meter_span_ms(&l->accepted, now) / 1000,
    };
}

void law_throttled(struct law *l, const struct law_cut *cut, uint64_t wait_ms, uint64_t now)
{
    double est = cut->est;

    assert(now >= l->gate_ms);
    l->event_ms = now;
    l->events++;
    /* Soon after the start the burst is most of it; later what is measured last is only how slow
     * the answers got just before the cut. */
    if (l->rate_hat <= 0 && cut->at_ms < l->accepted.start_ms + FIRST_BURST_MS)
        est = fmin(est, cut->recent);
    if (l->phase == PACE_PHASE_OPEN) {
        begin_below(l, now);
    } else if (cut->cost >= fmax(LEARN_COST_MIN, LEARN_S_MIN * l->rate_hat)) {
        learn(l, est, cut->recent, now);
    } else if (l->rate_hat <= 0) {
        /* Refused from the beginning: somebody else used the budget up. Nothing is known, so begin
         * again lower and go on carefully. */
        l->rate = fmax(l->rate / 2, RATE_MIN);
        l->phase = PACE_PHASE_CRUISE;
        l->resume_ms = now + wait_ms + REFUSED_REST_MS;
    }
    law_close(l, now + wait_ms + wait_ms / 20, now);
}

void law_dropped(struct law *l, bool heard, uint64_t now)
{
    double carried = average_rate(&l->quick, now);

    if (!heard) {
        close_line(l, backoff_ms(l->config->drop_gate_first_ms, l->drops, l->config->drop_gate_ms), now);
        if (l->drops < 31)
            l->drops++;
    }
    if (!law_limited(l))
        return;
    /* A budget that was learnt is not changed by a lost line; one still sought is taken lower, and
     * found again by doubling. */
    if (l->rate_hat > 0) {
        l->rate = fmin(l->rate, LAW_SAFETY * l->rate_hat);
        return;
    }
    if (suspect(l, carried, 0, now) > 1)
        l->rate = fmin(l->rate, DROP_AGAIN * carried);
    else
        l->rate = fmin(l->rate, fmax(l->rate / 2, l->config->start_rate / l->config->process_count));
}

void law_was_idle(struct law *l, uint64_t now)
{
    restart_meter(l, now);
    latency_restart(&l->latency);
}
