/* Mailboxes that are alike are used up together. Three were refused and it was not the tenant
 * (engine/pace/trial.c): many that have sent about as much may be refused next, each to learn the
 * same. So most of them go slow until some have learnt it (engine/pace/cohort.h), and a few pilots go
 * on. Where pilots come much further, or are told about a much shorter pause, they are not alike,
 * and all go on as before. */
#include "engine/pace/lane.h"

#include <math.h>

#define SEEN_MOST     15   /* refused lanes that are looked at */
#define SLOW_LEAST    16   /* lanes: fewer may as well learn for themselves */
#define PILOT_EVERY   16   /* one of so many that would go slow */
#define LEARNERS      12   /* refused once, that try a higher rate */
#define AS_MUCH       0.6  /* of what those that were refused had sent */
#define FURTHER       2    /* times as much: not alike */
#define OTHER_WAIT    2    /* times as long a pause as that of a pilot: not alike ... */
#define WAIT_SLACK_MS 1000 /* ... if by more than that */
#define OTHERS        2    /* such pilots, and half as many as alike ones */
#define SHARE         0.5  /* of what was carried */
#define RECENT_S      5    /* what the average of the last messages is of */
#define FIRST_COST    2    /* about a message: not at once */
#define RATE_MIN      0.01
#define UNTIL_MS      60000
#define UNTIL_WAITS   3
#define REST_MS       600000 /* after they were found not to be alike */

/* Since its last cut, or since it began. */
static double sent(struct lane *lane, uint64_t now)
{
    return meter_rate(&lane->accepted, now) * (double)meter_span_ms(&lane->accepted, now) / 1000;
}

/* Nothing is known of a limit of its own. */
static bool is_free(const struct lane *lane)
{
    return lane->live && lane->rate <= 0 && !lane->cut_pending && !lane->pilot && !lane->alone;
}

static bool has_sent_as_much(const struct pace *p, struct lane *lane, double cost)
{
    return is_free(lane) && sent(lane, p->now) >= AS_MUCH * cost;
}

/* Of the lanes that were refused for the first time since then, the one whose pause is in the
 * middle; NULL none. *cost_r grows to the most that one had sent. */
static const struct lane *middle_refused(const struct pace *p, uint64_t since_ms, double *cost_r)
{
    const struct lane *sorted[SEEN_MOST];
    uint32_t count = 0;

    for (uint32_t i = 0; i < p->lane_count && count < SEEN_MOST; i++) {
        const struct lane *lane = &p->lanes[i];
        uint32_t at = count;

        if (!lane->live || !lane->cut_pending || lane->cut_ms < since_ms || lane->rate_hat > 0 || lane->cut_est <= 0)
            continue;
        *cost_r = fmax(*cost_r, lane->cut_cost);
        for (; at > 0 && sorted[at - 1]->cut_wait_ms > lane->cut_wait_ms; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = lane;
        count++;
    }
    return count > 0 ? sorted[count / 2] : NULL;
}

/* A rate that is hardly too high: half of what was carried, all the time or lately. The pause
 * counts as time, for at its end the server has refilled what was too much. */
static double careful_rate(const struct lane *refused)
{
    double pause_s = (double)refused->cut_wait_ms / 1000;
    double all = refused->cut_cost / (refused->cut_cost / refused->cut_est + pause_s);
    double lately = refused->cut_recent * RECENT_S / (RECENT_S + pause_s);

    return fmax(SHARE * fmax(all, lately), RATE_MIN);
}

static void go_slow(struct pace *p, uint32_t index)
{
    struct lane *lane = &p->lanes[index];
    const struct wary *w = &p->wary;

    if (p->wary.slowed++ % PILOT_EVERY == 0) {
        lane->pilot = true;
        return;
    }
    lane->wary = true;
    lane->guess = true;
    lane->rate = lane->rate_hat = w->rate;
    lane->told_ms = w->wait_ms;
    bucket_init(&lane->tokens, -FIRST_COST, p->now);
    lane->quiet_ms = lane->grown_ms = w->until_ms > p->now ? w->until_ms : p->now;
    pace_place(p, index);
}

static bool is_on(const struct pace *p)
{
    return p->now < p->wary.until_ms;
}

void pace_wary_begin(struct pace *p, uint64_t since_ms)
{
    const struct lane *refused;
    uint64_t length_ms;
    uint32_t count = 0;
    double cost = 0;

    if (is_on(p) || p->now < p->wary.rest_ms)
        return;
    refused = middle_refused(p, since_ms, &cost);
    if (!refused || cohort_find(&p->cohort, refused->cut_wait_ms))
        return;
    for (uint32_t i = 0; i < p->lane_count; i++)
        count += has_sent_as_much(p, &p->lanes[i], cost);
    if (count < SLOW_LEAST)
        return;
    length_ms = UNTIL_WAITS * refused->cut_wait_ms;
    p->wary = (struct wary){
        .until_ms = p->now + (length_ms > UNTIL_MS ? length_ms : UNTIL_MS),
        .wait_ms = refused->cut_wait_ms,
        .cost = cost,
        .rate = careful_rate(refused),
    };
    for (uint32_t i = 0; i < p->lane_count; i++)
        if (has_sent_as_much(p, &p->lanes[i], p->wary.cost))
            go_slow(p, i);
}

static void release(struct pace *p)
{
    p->wary = (struct wary){ .rest_ms = p->now + REST_MS };
    for (uint32_t i = 0; i < p->lane_count; i++) {
        struct lane *lane = &p->lanes[i];

        lane->pilot = false;
        if (!lane->live || !lane->wary || lane->cut_pending)
            continue;
        pace_lane_leave(p, lane);
        lane->wary = lane->guess = false;
        lane->rate = lane->rate_hat = 0;
        lane->told_ms = 0;
        pace_place(p, i);
    }
}

static void tell(struct pace *p, struct lane *lane, bool alike)
{
    struct wary *w = &p->wary;

    lane->pilot = false;
    w->alike += alike;
    w->others += !alike;
    if (w->cost > 0 && w->others >= OTHERS && 2 * w->others >= w->alike)
        release(p);
}

void pace_wary_sent(struct pace *p, uint32_t index)
{
    struct lane *lane = &p->lanes[index];
    const struct wary *w = &p->wary;

    if (w->cost <= 0)
        return;
    if (lane->pilot && sent(lane, p->now) > FURTHER * w->cost)
        tell(p, lane, false);
    else if (has_sent_as_much(p, lane, w->cost) && (is_on(p) || cohort_find(&p->cohort, w->wait_ms)))
        go_slow(p, index);
}

void pace_wary_cut(struct pace *p, struct lane *lane, uint64_t wait_ms)
{
    /* A longer pause may be of one large message. */
    if (lane->pilot)
        tell(p, lane, p->wary.wait_ms < OTHER_WAIT * wait_ms + WAIT_SLACK_MS);
}

void pace_wary_guessed(struct pace *p, struct lane *lane)
{
    if (!is_on(p) || p->wary.learners++ < LEARNERS)
        return;
    lane->rate = fmin(lane->rate, p->wary.rate);
    lane->quiet_ms = lane->grown_ms = p->wary.until_ms;
}
