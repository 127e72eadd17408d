#include "engine/pace/kin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_LEAST   8
#define KNOWN_MANY    12   /* from here on they must agree better */
#define OUTER_PART    5    /* one of so many at either end does not count */
#define AGREE         1.25 /* fastest over slowest of the others */
#define AGREE_STILL   1.5  /* the same, once they agreed, of few */
#define SAME_WAIT     1.3  /* times the other pause, or ... */
#define SAME_WAIT_MS  1000 /* ... within so much of it */
#define SAFETY        0.97 /* of the middle one, which many measured */
#define BELOW_PER_MIN 1.02 /* growth while no members were cut ... */
#define GROW_PER_MIN  1.01 /* ... and later */
#define MINUTE_WAITS  4    /* pauses, where that is longer */
#define QUIET_MIN     10   /* after cuts, before it grows again */
#define CONFIRMED_MAX 4
#define STEP_MS       2000 /* a longer time between two uses was not one of use */
#define CUTS_LEAST    2    /* and one more of so many members */
#define CUTS_PART     24
#define TRY_EVERY_MIN 0.15    /* one member; ... */
#define TRY_RARER     1.1     /* ... the next later by so much for each that was alike */
#define FOUND_LEAST   2       /* with more than the others, and ... */
#define FOUND_PART    4       /* ... one of so many that tried: they differ */
#define REST_MS       1800000 /* after they were found to differ */

bool kin_same_wait(uint64_t a, uint64_t b)
{
    double low = (double)(a < b ? a : b), high = (double)(a < b ? b : a);

    return high < SAME_WAIT * low || high < low + SAME_WAIT_MS;
}

static int by_rate(const void *a, const void *b)
{
    double x = ((const struct kin_known *)a)->rate, y = ((const struct kin_known *)b)->rate;

    return (x > y) - (x < y);
}

double kin_minute_ms(const struct kin_class *c)
{
    return fmax(60000, MINUTE_WAITS * (double)c->wait_ms);
}

/* The rate in the middle; 0 where they do not agree. */
static double agreed(const struct kin_class *c)
{
    struct kin_known sorted[KIN_KEPT];
    uint32_t n = c->count, outer = n / OUTER_PART;
    double most = n >= KNOWN_MANY || c->rate <= 0 ? AGREE : AGREE_STILL;

    if (n < KNOWN_LEAST)
        return 0;
    memcpy(sorted, c->kept, n * sizeof(sorted[0]));
    qsort(sorted, n, sizeof(sorted[0]), by_rate);
    if (sorted[n - 1 - outer].rate > most * sorted[outer].rate)
        return 0;
    return (sorted[(n - 1) / 2].rate + sorted[n / 2].rate) / 2;
}

static void forget(struct kin_class *c, uint32_t lane)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->kept[i].lane == lane) {
            memmove(c->kept + i, c->kept + i + 1, (--c->count - i) * sizeof(c->kept[0]));
            return;
        }
}

void kin_forget(struct kin *k, uint32_t lane)
{
    for (uint32_t i = 0; i < KIN_CLASSES; i++)
        forget(&k->classes[i], lane);
}

static double distance(const struct kin_class *c, uint64_t wait_ms)
{
    return fabs(log((double)c->wait_ms / (double)wait_ms));
}

static struct kin_class *nearest(struct kin *k, uint64_t wait_ms)
{
    struct kin_class *best = NULL;

    for (uint32_t i = 0; i < KIN_CLASSES; i++) {
        struct kin_class *c = &k->classes[i];

        if (c->wait_ms > 0 && kin_same_wait(c->wait_ms, wait_ms) &&
            (!best || distance(c, wait_ms) < distance(best, wait_ms)))
            best = c;
    }
    return best;
}

struct kin_class *kin_find(struct kin *k, uint64_t wait_ms)
{
    struct kin_class *c = nearest(k, wait_ms);

    return c && c->rate > 0 ? c : NULL;
}

/* The one that nothing was learnt in for longest makes room. */
static struct kin_class *take(struct kin *k, uint64_t wait_ms)
{
    struct kin_class *c = nearest(k, wait_ms);

    if (c)
        return c;
    c = &k->classes[0];
    for (uint32_t i = 1; i < KIN_CLASSES; i++)
        if (k->classes[i].heard_ms < c->heard_ms)
            c = &k->classes[i];
    *c = (struct kin_class){ .wait_ms = wait_ms };
    return c;
}

static void agree(struct kin *k, struct kin_class *c, uint64_t now)
{
    c->made = ++k->made;
    c->members = 0;
    c->lift = 1;
    c->below = true;
    c->cuts = 0;
    c->confirmed = 0;
    c->cut_ms = c->grown_ms = now;
    c->try_ms = now;
    c->tried = c->found = c->alike = 0;
}

void kin_learnt(struct kin *k, uint32_t lane, double rate, uint64_t wait_ms, uint64_t now)
{
    struct kin_class *c;
    double middle;

    if (wait_ms == 0)
        return;
    kin_forget(k, lane);
    c = take(k, wait_ms);
    c->heard_ms = now;
    if (c->count == KIN_KEPT)
        c->count--;
    memmove(c->kept + 1, c->kept, c->count++ * sizeof(c->kept[0]));
    c->kept[0] = (struct kin_known){ .rate = rate, .lane = lane };
    middle = agreed(c);
    if (c->rate > 0 && middle <= 0)
        c->rest_ms = now + REST_MS;
    else if (c->rate <= 0 && middle > 0 && now >= c->rest_ms)
        agree(k, c, now);
    c->rate = now >= c->rest_ms ? SAFETY * middle * c->lift : 0;
}

void kin_used(struct kin_class *c, uint64_t now)
{
    double dt = fmin((double)(now - c->grown_ms), STEP_MS), by;

    c->grown_ms = now;
    if (!c->below && (double)(now - c->cut_ms) < QUIET_MIN * kin_minute_ms(c) * (1 << c->confirmed))
        return;
    by = pow(c->below ? BELOW_PER_MIN : GROW_PER_MIN, dt / kin_minute_ms(c));
    c->lift *= by;
    c->rate *= by;
}

bool kin_may_try(struct kin_class *c, uint64_t now)
{
    if (now < c->try_ms)
        return false;
    c->try_ms = now + (uint64_t)(TRY_EVERY_MIN * pow(TRY_RARER, c->alike) * kin_minute_ms(c));
    return true;
}

void kin_tried(struct kin_class *c, bool more, uint64_t now)
{
    c->tried++;
    c->found += more;
    c->alike = more ? 0 : c->alike + 1;
    if (more)
        c->try_ms = now;
    if (c->found < FOUND_LEAST || FOUND_PART * c->found < c->tried)
        return;
    c->rest_ms = now + REST_MS;
    c->rate = 0;
}

void kin_cut(struct kin_class *c, uint64_t now)
{
    if ((double)(now - c->cut_ms) > kin_minute_ms(c))
        c->cuts = 0;
    c->cut_ms = now;
    if (++c->cuts < CUTS_LEAST + c->members / CUTS_PART)
        return;
    if (!c->below && c->lift > 1 && c->confirmed < CONFIRMED_MAX)
        c->confirmed++;
    c->cuts = 0;
    c->below = false;
    c->rate /= c->lift;
    c->lift = 1;
}
