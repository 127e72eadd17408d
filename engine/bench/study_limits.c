/* What the passes say: the step from which more is no faster, and what limits there. */
#include "engine/bench/study_private.h"

#include "io/base/mem.h"
#include "io/team.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CONTRAST_REPEATS 5u
#define CONTRAST_PART    0.5
#define NEAR_BOUND       0.75

static int by_bytes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

struct group {
    struct corpus_piece *pieces;
    struct corpus_piece **pointers;
    unsigned count;
    double mean;
};

/* The draw's messages of a size from low to high, as many as the set has bytes. */
static void gather(const struct study *s, uint64_t low, uint64_t high, struct group *g)
{
    double bytes = 0, messages = 0;

    *g = (struct group){ .pieces = mem_zero(s->cut_count + 1u, sizeof *g->pieces),
                         .pointers = mem_zero(s->cut_count + 1u, sizeof(void *)) };
    for (unsigned i = 0; i < s->cut_count && bytes < (double)s->set.bytes; i++) {
        const struct corpus_piece *from = &s->cut[i];
        struct corpus_piece *to = &g->pieces[g->count];

        *to = *from;
        to->messages = mem_zero(from->count, sizeof *to->messages);
        to->count = 0;
        to->bytes = 0;
        for (unsigned k = 0; k < from->count; k++)
            if (from->messages[k].bytes >= low && from->messages[k].bytes <= high) {
                to->messages[to->count++] = from->messages[k];
                to->bytes += from->messages[k].bytes;
            }
        if (to->count == 0) {
            free(to->messages);
            continue;
        }
        bytes += (double)to->bytes;
        messages += to->count;
        g->pointers[g->count] = to;
        g->count++;
    }
    g->mean = messages > 0 ? bytes / messages : 0;
}

static void group_free(struct group *g)
{
    for (unsigned i = 0; i < g->count; i++)
        free(g->pieces[i].messages);
    free(g->pieces);
    free(g->pointers);
}

/* Small: the smaller half of the messages; large: the largest ones, that have half of the bytes. */
static void split(const struct study *s, struct group *small, struct group *large)
{
    uint64_t *sizes, bytes = 0, half = 0;
    size_t n = 0, at;

    for (unsigned i = 0; i < s->cut_count; i++)
        n += s->cut[i].count;
    sizes = mem_zero(n + 1, sizeof *sizes);
    n = 0;
    for (unsigned i = 0; i < s->cut_count; i++)
        for (unsigned k = 0; k < s->cut[i].count; k++)
            bytes += sizes[n++] = s->cut[i].messages[k].bytes;
    if (n)
        qsort(sizes, n, sizeof *sizes, by_bytes);
    for (at = n; at > 1 && half < bytes / 2; at--)
        half += sizes[at - 1];
    gather(s, 0, n ? sizes[n / 2] : 0, small);
    gather(s, at < n ? sizes[at] : 0, UINT64_MAX, large);
    free(sizes);
}

static bool read_group(struct study *s, const struct group *g, double *rate_r, struct err *err_r)
{
    struct corpus_piece **pieces = s->pieces;
    unsigned count = s->piece_count;
    bool ok;

    s->pieces = g->pointers;
    s->piece_count = g->count;
    ok = study_pass(s, &s->config.specs[s->knee.step], STUDY_CONTRAST, (unsigned)s->knee.step, 0,
                    s->config.seconds * CONTRAST_PART, err_r);
    s->pieces = pieces;
    s->piece_count = count;
    /* What the line carried; all of it where the server compresses. */
    *rate_r = study_per_second(
        (double)(s->scratch->wire_bytes > s->scratch->bytes / 20 ? s->scratch->wire_bytes : s->scratch->bytes),
        s->scratch->seconds);
    return ok;
}

static bool contrast(struct study *s, struct err *err_r)
{
    double small[CONTRAST_REPEATS + 1] = { 0 }, large[CONTRAST_REPEATS + 1] = { 0 };
    struct group a, b;
    unsigned n = 0;
    bool ok = true;

    split(s, &a, &b);
    s->facts.small_bytes = a.mean;
    s->facts.large_bytes = b.mean;
    /* The first time some of it may come from the server's disks. */
    while (ok && n < CONTRAST_REPEATS + 1 && a.mean > 0 && b.mean >= VERDICT_SIZES_APART * a.mean && !s->ended) {
        ok = read_group(s, &a, &small[n], err_r) && read_group(s, &b, &large[n], err_r);
        n += ok && !s->ended;
    }
    s->facts.small = stats_of(small + 1, n ? n - 1 : 0);
    s->facts.large = stats_of(large + 1, n ? n - 1 : 0);
    for (unsigned i = 0; i < n; i++) {
        small[i] = log(small[i] > 1 ? small[i] : 1);
        large[i] = log(large[i] > 1 ? large[i] : 1);
    }
    s->facts.small_log = stats_of(small + 1, n ? n - 1 : 0);
    s->facts.large_log = stats_of(large + 1, n ? n - 1 : 0);
    group_free(&a);
    group_free(&b);
    return ok;
}

static bool same_but_connections(const struct study_spec *a, const struct study_spec *b)
{
    return a->depth == b->depth && a->per_fetch == b->per_fetch && a->compress == b->compress &&
           a->per_user == b->per_user;
}

/* The ladder: the steps that differ from the first in nothing but connections, ascending. */
static unsigned ladder(const struct study *s, struct verdict_step *rungs, unsigned *steps_r)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->config.step_count; i++) {
        const struct study_step *of = &s->steps[i];
        unsigned at = n;

        if (!same_but_connections(&of->spec, &s->config.specs[0]) || of->left_out)
            continue;
        while (at > 0 && rungs[at - 1].asked > of->spec.connections) {
            rungs[at] = rungs[at - 1];
            steps_r[at] = steps_r[at - 1];
            at--;
        }
        rungs[at] = (struct verdict_step){ .asked = of->spec.connections,
                                           .connected = of->connected,
                                           .rate = of->bytes_per_s,
                                           .errors = of->total->errors > of->total->turned_away };
        if (rungs[at].errors)
            snprintf(rungs[at].why, sizeof rungs[at].why, "%s: %.100s", of->total->type, of->total->err.server_text);
        steps_r[at] = i;
        n++;
    }
    return n;
}

/* By what this bench was told, not by the server. */
static bool is_held_back(const struct study *s, const struct study_step *of)
{
    const struct polite_config *p = &s->config.polite;

    return of->total->held_s > 0 || s->config.rate > 0 ||
           (p->bytes_per_s > 0 && of->bytes_per_s.mean > NEAR_BOUND * p->bytes_per_s) ||
           (p->messages_per_s > 0 && of->messages_per_s.mean > NEAR_BOUND * p->messages_per_s);
}

bool study_judge(struct study *s, struct err *err_r)
{
    struct verdict_step *rungs = mem_zero(STUDY_STEPS_MAX, sizeof *rungs);
    unsigned steps[STUDY_STEPS_MAX], count = ladder(s, rungs, steps), measured = 0;
    bool ok = true;

    for (unsigned i = 0; i < count; i++)
        measured += rungs[i].rate.count > 0;
    verdict_of_steps(rungs, count, s->ended != NULL, &s->knee);
    free(rungs);
    for (unsigned i = 0; i < count; i++)
        s->facts.held |= s->knee.step < 0 && s->steps[steps[i]].total->held_s > 0;
    if (s->knee.step >= 0) {
        const struct study_step *of;

        s->knee.step = (int)steps[s->knee.step];
        of = &s->steps[s->knee.step];
        s->facts.held = is_held_back(s, of);
        s->facts.one_step = measured < 2;
        s->facts.seconds = of->total->seconds;
        s->facts.cpu_s = of->cpu_s;
        s->facts.wait_s = of->wait_s;
        s->facts.loops = s->config.loops < of->spec.connections ? s->config.loops : of->spec.connections;
        s->facts.machine = of->machine;
        s->facts.processors = team_processors();
        s->facts.round_trip_ms = (double)of->total->round_trip_us / 1000;
        s->facts.select_ms = (double)hist_quantile(&of->total->latency.of[READ_BENCH_SELECT], 50) / 1000;
        if (measured > 1 && !s->knee.grows && !s->facts.held && !s->ended)
            ok = contrast(s, err_r);
    }
    s->limit = verdict_of_limit(&s->knee, &s->facts, s->limit_text);
    return ok;
}
