#include "engine/pace/cohort.h"

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

/* Two pauses that may be told by equal budgets. */
static bool cohort_same_wait(uint64_t a, uint64_t b)
{
    double low = (double)(a < b ? a : b), high = (double)(a < b ? b : a);

    return high < SAME_WAIT * low || high < low + SAME_WAIT_MS;
}

static int by_rate(const void *a, const void *b)
{
    double x = ((const struct cohort_known *)a)->rate, y = ((const struct cohort_known *)b)->rate;

    return (x > y) - (x < y);
}

double cohort_minute_ms(const struct cohort_class *c)
{
    return fmax(60000, MINUTE_WAITS * (double)c->wait_ms);
}

/* The rate in the middle; 0 where they do not agree. */
static double agreed(const struct cohort_class *c)
{
    struct cohort_known sorted[COHORT_KEPT];
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

static void forget(struct cohort_class *c, uint32_t lane)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->kept[i].lane == lane) {
            memmove(c->kept + i, c->kept + i + 1, (--c->count - i) * sizeof(c->kept[0]));
            return;
        }
}

void cohort_forget(struct cohort *k, uint32_t lane)
{
    for (uint32_t i = 0; i < COHORT_CLASSES; i++)
        forget(&k->classes[i], lane);
}

static double distance(const struct cohort_class *c, uint64_t wait_ms)
{
    return fabs(log((double)c->wait_ms / (double)wait_ms));
}

static struct cohort_class *nearest(struct cohort *k, uint64_t wait_ms)
{
    struct cohort_class *best = NULL;

    for (uint32_t i = 0; i < COHORT_CLASSES; i++) {
        struct cohort_class *c = &k->classes[i];

        if (c->wait_ms > 0 && cohort_same_wait(c->wait_ms, wait_ms) &&
            (!best || distance(c, wait_ms) < distance(best, wait_ms)))
            best = c;
    }
    return best;
}

struct cohort_class *cohort_find(struct cohort *k, uint64_t wait_ms)
{
    struct cohort_class *c = nearest(k, wait_ms);

    return c && c->rate > 0 ? c : NULL;
}

/* The one that nothing was learnt in for longest makes room. */
static struct cohort_class *take(struct cohort *k, uint64_t wait_ms)
{
    struct cohort_class *c = nearest(k, wait_ms);

    if (c)
        return c;
    c = &k->classes[0];
    for (uint32_t i = 1; i < COHORT_CLASSES; i++)
        if (k->classes[i].heard_ms < c->heard_ms)
            c = &k->classes[i];
    *c = (struct cohort_class){ .wait_ms = wait_ms };
    return c;
}

static void agree(struct cohort *k, struct cohort_class *c, uint64_t now)
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

void cohort_learnt(struct cohort *k, uint32_t lane, double rate, uint64_t wait_ms, uint64_t now)
{
    struct cohort_class *c;
    double middle;

    if (wait_ms == 0)
        return;
    cohort_forget(k, lane);
    c = take(k, wait_ms);
    c->heard_ms = now;
    if (c->count == COHORT_KEPT)
        c->count--;
    memmove(c->kept + 1, c->kept, c->count++ * sizeof(c->kept[0]));
    c->kept[0] = (struct cohort_known){ .rate = rate, .lane = lane };
    middle = agreed(c);
    if (c->rate > 0 && middle <= 0)
        c->rest_ms = now + REST_MS;
    else if (c->rate <= 0 && middle > 0 && now >= c->rest_ms)
        agree(k, c, now);
    c->rate = now >= c->rest_ms ? SAFETY * middle * c->lift : 0;
}

void cohort_used(struct cohort_class *c, uint64_t now)
{
    double dt = fmin((double)(now - c->grown_ms), STEP_MS), by;

    c->grown_ms = now;
    if (!c->below && (double)(now - c->cut_ms) < QUIET_MIN * cohort_minute_ms(c) * (1 << c->confirmed))
        return;
    by = pow(c->below ? BELOW_PER_MIN : GROW_PER_MIN, dt / cohort_minute_ms(c));
    c->lift *= by;
    c->rate *= by;
}

bool cohort_may_try(struct cohort_class *c, uint64_t now)
{
    if (now < c->try_ms)
        return false;
    c->try_ms = now + (uint64_t)(TRY_EVERY_MIN * pow(TRY_RARER, c->alike) * cohort_minute_ms(c));
    return true;
}

void cohort_tried(struct cohort_class *c, bool more, uint64_t now)
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

void cohort_cut(struct cohort_class *c, uint64_t now)
{
    if ((double)(now - c->cut_ms) > cohort_minute_ms(c))
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
