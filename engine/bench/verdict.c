#include "engine/bench/verdict.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define UNSURE           0.25 /* of the mean: a gain of so much is not excluded */
#define BUSY             0.70 /* of a loop's time: it is what limits */
#define BUSY_WAITING     0.85 /* with what it waited for a processor */
#define BUSY_LEAST       0.10
#define MACHINE_BUSY     0.95
#define OWN_OF_IT        0.25
#define WAITS_ROUND_TRIP 0.25 /* of a SELECT's time is the line's */
#define BYTES_ALIKE      1.25
#define BYTES_APART      1.5

const char *verdict_p(double p, char out[16])
{
    if (p < 0.001)
        snprintf(out, 16, "p < 0.001");
    else
        snprintf(out, 16, "p = %.*f", p < 0.1 ? (p < 0.01 ? 3 : 2) : 1, p);
    return out;
}

const char *verdict_rate(const struct stats *s, char out[64])
{
    double half = stats_half_width(s);
    int digits = s->mean < 1e6 ? 2 : 1;

    if (isfinite(half))
        snprintf(out, 64, "%.*f ± %.*f MB/s", digits, s->mean / 1e6, digits, half / 1e6);
    else
        snprintf(out, 64, "%.*f MB/s", digits, s->mean / 1e6);
    return out;
}

static void say(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(char *text, const char *format, ...)
{
    size_t used = strlen(text);
    va_list list;

    va_start(list, format);
    vsnprintf(text + used, VERDICT_TEXT_BYTES - used, format, list);
    va_end(list);
}

static const char *are(unsigned n)
{
    return n == 1 ? "is" : "are";
}

static bool usable(const struct verdict_step *s)
{
    return !s->errors && s->connected > 0 && s->rate.count > 0;
}

/* Two steps that got the same connections are one measurement asked for twice: the first counts. */
static bool repeats(const struct verdict_step *steps, unsigned at)
{
    for (unsigned i = 0; i < at; i++)
        if (usable(&steps[i]) && steps[i].connected == steps[at].connected)
            return true;
    return false;
}

static bool counts(const struct verdict_step *steps, unsigned at)
{
    return usable(&steps[at]) && !repeats(steps, at);
}

static bool as_fast(const struct verdict_step *s, const struct verdict_step *best)
{
    double p;

    if (s->rate.mean < VERDICT_NEAR * best->rate.mean)
        return false;
    return s->rate.mean >= VERDICT_SAME * best->rate.mean || !stats_differ(&s->rate, &best->rate, &p) || p >= VERDICT_P;
}

/* Says how another step compares. True: what was said is known. */
static bool compare(const struct verdict_step *other, const struct verdict_step *knee, char *text)
{
    double p, half = stats_difference_half_width(&other->rate, &knee->rate);
    double gain = other->rate.mean / knee->rate.mean - 1;
    char rate[64], chance[16];

    verdict_rate(&other->rate, rate);
    if (!stats_differ(&other->rate, &knee->rate, &p)) {
        say(text, "; %u read %s, measured too seldom to compare", other->connected, rate);
        return false;
    }
    verdict_p(p, chance);
    if (p < VERDICT_P && gain > 0)
        say(text, "; %u %s %.0f %% faster (%s, %s)", other->connected, are(other->connected), gain * 100, rate, chance);
    else if (p < VERDICT_P)
        say(text, "; %u %s slower (%s, %s)", other->connected, are(other->connected), rate, chance);
    else if (half > UNSURE * knee->rate.mean)
        say(text, "; whether %u %s faster or slower is not known (%s, %s)", other->connected, are(other->connected),
            rate, chance);
    else
        say(text, "; %u %s no faster (%s, %s)", other->connected, are(other->connected), rate, chance);
    return p < VERDICT_P || half <= UNSURE * knee->rate.mean;
}

static void say_limit(const struct verdict_step *steps, unsigned count, struct verdict_knee *k)
{
    for (unsigned i = 0; i < count; i++)
        if (usable(&steps[i]) && steps[i].connected < steps[i].asked) {
            k->turned_away = true;
            if (steps[i].connected > k->let_in)
                k->let_in = steps[i].connected;
        }
    if (!k->turned_away)
        return;
    for (unsigned i = 0; i < count; i++)
        if (usable(&steps[i]) && steps[i].connected < steps[i].asked) {
            say(k->text, "; of %u asked for the server let in %u", steps[i].asked, steps[i].connected);
            break;
        }
}

static void say_errors(const struct verdict_step *steps, unsigned count, struct verdict_knee *k)
{
    for (unsigned i = 0; i < count; i++)
        if (!usable(&steps[i]) && (steps[i].errors || steps[i].rate.count)) {
            say(k->text, "%s%u had errors and %s not compared: %s", k->text[0] ? "; " : "", steps[i].asked,
                are(steps[i].asked), steps[i].why);
            break;
        }
}

void verdict_of_steps(const struct verdict_step *steps, unsigned count, bool interrupted, struct verdict_knee *k)
{
    int best = -1, last = -1, below = -1, above = -1;
    unsigned measured = 0;
    double p;
    char rate[64];

    *k = (struct verdict_knee){ .step = -1 };
    for (unsigned i = 0; i < count; i++)
        if (counts(steps, i)) {
            measured++;
            last = last < 0 || steps[i].connected > steps[last].connected ? (int)i : last;
            best = best < 0 || steps[i].rate.mean > steps[best].rate.mean ? (int)i : best;
        }
    if (best < 0) {
        say(k->text, "nothing was measured");
        say_errors(steps, count, k);
        return;
    }
    k->step = best;
    for (int i = 0; i < best; i++)
        if (counts(steps, (unsigned)i) && steps[i].connected < steps[best].connected &&
            as_fast(&steps[i], &steps[best])) {
            k->step = i;
            break;
        }
    k->connections = steps[k->step].connected;
    say(k->text, "%u connection%s: %s", k->connections, k->connections == 1 ? "" : "s",
        verdict_rate(&steps[k->step].rate, rate));
    for (unsigned i = 0; i < count; i++) {
        if (!counts(steps, i))
            continue;
        if (steps[i].connected < k->connections && (below < 0 || steps[i].connected > steps[below].connected))
            below = (int)i;
        if (steps[i].connected > k->connections && (above < 0 || steps[i].connected < steps[above].connected))
            above = (int)i;
    }
    k->known = measured > 1 && !interrupted;
    if (above >= 0)
        k->known &= compare(&steps[above], &steps[k->step], k->text);
    if (best != k->step && best != above)
        k->known &= compare(&steps[best], &steps[k->step], k->text);
    if (below >= 0)
        k->known &= compare(&steps[below], &steps[k->step], k->text);
    say_limit(steps, count, k);
    say_errors(steps, count, k);
    k->grows =
        k->step == last && below >= 0 && stats_differ(&steps[below].rate, &steps[k->step].rate, &p) && p < VERDICT_P;
    if (measured == 1)
        say(k->text, "; no other number was measured, so whether more or fewer would be faster is not known");
    else if (k->step == last && !k->turned_away)
        say(k->text, "; whether more would be faster is not known");
    if (interrupted)
        say(k->text, "; measured in part only");
}

/* ---- the limit ------------------------------------------------------------------------------- */

const char *verdict_limit_name(enum verdict_limit limit)
{
    static const char *const names[] = { "not known", "not reached", "own",  "connections",
                                         "client",    "round trip",  "line", "server" };

    return names[limit];
}

static bool client_is_busy(const struct verdict_facts *f, double *share_r, double *waits_r)
{
    double time = f->seconds * f->loops, cpu = time > 0 ? f->cpu_s / time : 0, waits = time > 0 ? f->wait_s / time : 0;
    double of_machine = f->seconds > 0 && f->processors ? f->cpu_s / f->seconds / f->processors : 0;

    *share_r = cpu;
    *waits_r = waits;
    return cpu >= BUSY || (cpu >= BUSY_LEAST && cpu + waits >= BUSY_WAITING) ||
           (f->machine >= MACHINE_BUSY && of_machine >= OWN_OF_IT);
}

/* Small messages cost a line what their bytes cost, and a server that works for each of them more. */
static enum verdict_limit contrast(const struct verdict_facts *f, char *text)
{
    double times, p;
    char small[64], large[64], chance[16];

    if (f->small_bytes <= 0) {
        say(text, "not known: it ended before that was looked at");
        return VERDICT_NOT_KNOWN;
    }
    if (f->small.count == 0 || f->large.count == 0 || f->small.mean <= 0 ||
        f->large_bytes < VERDICT_SIZES_APART * f->small_bytes) {
        say(text, "whether the line or the server is the limit is not known: this mail has not enough large and small "
                  "messages to tell them apart");
        return VERDICT_NOT_KNOWN;
    }
    times = exp(f->large_log.mean - f->small_log.mean);
    verdict_rate(&f->small, small);
    verdict_rate(&f->large, large);
    if (times < BYTES_ALIKE && times > 1 / BYTES_ALIKE) {
        say(text,
            "the line, or a bound of the server's in bytes a second: small messages (%.0f KB) come with %s, large "
            "ones (%.0f KB) with %s",
            f->small_bytes / 1e3, small, f->large_bytes / 1e3, large);
        return VERDICT_LINE;
    }
    if (times >= BYTES_APART && stats_differ(&f->small_log, &f->large_log, &p) && p < VERDICT_P) {
        say(text,
            "the server, by its work for each message: small messages (%.0f KB) come with %s, large ones (%.0f KB) "
            "with %s (%s)",
            f->small_bytes / 1e3, small, f->large_bytes / 1e3, large, verdict_p(p, chance));
        return VERDICT_SERVER;
    }
    say(text,
        "whether the line or the server is the limit is not known: small messages (%.0f KB) come with %s, large ones "
        "(%.0f KB) with %s",
        f->small_bytes / 1e3, small, f->large_bytes / 1e3, large);
    return VERDICT_NOT_KNOWN;
}

enum verdict_limit verdict_of_limit(const struct verdict_knee *k, const struct verdict_facts *f,
                                    char text[VERDICT_TEXT_BYTES])
{
    enum verdict_limit limit;
    double share, waits;

    text[0] = '\0';
    if (f->held) {
        say(text, "the bounds that this bench was given held it back");
        return VERDICT_OWN;
    }
    if (k->step < 0) {
        say(text, "not known: nothing was measured");
        return VERDICT_NOT_KNOWN;
    }
    if (k->turned_away && k->connections == k->let_in) {
        say(text, "the server lets in no more than %u connections", k->let_in);
        return VERDICT_CONNECTIONS;
    }
    if (client_is_busy(f, &share, &waits)) {
        say(text,
            "the client's own processors: its loops worked %.0f %% of the time and waited for a processor %.0f %%",
            share * 100, waits * 100);
        if (f->machine >= 0)
            say(text, ", and this machine was %.0f %% busy", f->machine * 100);
        return VERDICT_CLIENT;
    }
    if ((k->grows || f->one_step) && f->round_trip_ms > 0 && f->select_ms > 0 &&
        f->round_trip_ms >= WAITS_ROUND_TRIP * f->select_ms) {
        say(text, "the line's round trip of %.1f ms, for which each connection waits; %s", f->round_trip_ms,
            k->grows ? "more connections still helped" : "more connections may help");
        return k->grows ? VERDICT_ROUND_TRIP : VERDICT_NOT_KNOWN;
    }
    if (f->one_step) {
        say(text, "not known: one step has nothing to compare with");
        return VERDICT_NOT_KNOWN;
    }
    if (k->grows) {
        say(text, "none was reached with up to %u connections", k->connections);
        return VERDICT_NOT_REACHED;
    }
    limit = contrast(f, text);
    if (f->machine >= MACHINE_BUSY)
        say(text, "; this machine was %.0f %% busy, mostly with other work than this", f->machine * 100);
    return limit;
}
