/* A bench as a study: one set of mail, steps in a random order, what each pass told. */
#include "engine/bench/study_private.h"

#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/team.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALIBRATE_PART        0.2
#define CALIBRATE_S_MAX       2.0
#define CALIBRATE_ROUND_TRIPS 15.0
#define SET_PART              0.8
#define COLD_TIMES            3.0
#define SET_BYTES_UNSEEN      20000000u /* where calibrating gave nothing */
#define PIECES_EACH           4u        /* connection, at least */

static double now_s(void)
{
    return (double)now_ns() / 1e9;
}

/* ---- the set --------------------------------------------------------------------------------- */

static unsigned most_connections(const struct study_config *c)
{
    unsigned most = 1;

    for (unsigned i = 0; i < c->step_count; i++)
        if (c->specs[i].connections > most)
            most = c->specs[i].connections;
    return most;
}

/* Blocks are cut into equal parts, so that a set of so many messages has some for each connection. */
static void cut(struct study *s, double messages)
{
    unsigned size = CORPUS_BLOCK, count = 0;

    while (size > 1 && messages / size < most_connections(&s->config) * PIECES_EACH)
        size /= 2;
    for (unsigned i = 0; i < s->corpus.count; i++)
        count += (s->corpus.pieces[i].count + size - 1) / size;
    s->cut = mem_resize(s->cut, count + 1u, sizeof *s->cut);
    s->pieces = mem_resize(s->pieces, count + 1u, sizeof(void *));
    s->cut_count = 0;
    for (unsigned i = 0; i < s->corpus.count; i++)
        for (unsigned at = 0; at < s->corpus.pieces[i].count; at += size) {
            struct corpus_piece *piece = &s->cut[s->cut_count++];
            unsigned left = s->corpus.pieces[i].count - at;

            *piece = s->corpus.pieces[i];
            piece->messages += at;
            piece->count = left < size ? left : size;
            piece->bytes = 0;
            for (unsigned k = 0; k < piece->count; k++)
                piece->bytes += piece->messages[k].bytes;
        }
}

static void set_is(struct study *s, unsigned first, unsigned count)
{
    s->piece_count = count;
    for (unsigned i = 0; i < count; i++)
        s->pieces[i] = &s->cut[first + i];
}

/* Of so many bytes and messages (0: no bound), but some for each connection. */
static void take_set(struct study *s, double bytes, double messages)
{
    struct corpus all = { 0 };
    double each = s->corpus.found.messages ? (double)s->corpus.found.bytes / (double)s->corpus.found.messages : 1;
    double about = bytes > 0 ? bytes / (each > 1 ? each : 1) : (double)s->corpus.found.messages;
    unsigned least = most_connections(&s->config) * PIECES_EACH, count;

    if (messages > 0 && messages < about)
        about = messages;
    cut(s, about);
    all.pieces = s->cut;
    all.count = s->cut_count;
    count = corpus_take(&all, 0, (uint64_t)bytes, (uint64_t)messages);
    if (count < least)
        count = least < s->cut_count ? least : s->cut_count;
    set_is(s, 0, count);
}

static bool was_read(const struct corpus_piece *piece)
{
    for (unsigned i = 0; i < piece->count; i++)
        if (piece->messages[i].reads == 0)
            return false;
    return true;
}

/* What the first reading had no time for is none of the set. */
static void keep_what_was_read(struct study *s)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < s->piece_count; i++)
        if (was_read(s->pieces[i]))
            s->pieces[kept++] = s->pieces[i];
    if (kept)
        s->piece_count = kept;
}

static void shape_set(struct study *s)
{
    struct corpus_piece *flat = mem_zero(s->piece_count + 1u, sizeof *flat);

    for (unsigned i = 0; i < s->piece_count; i++)
        flat[i] = *s->pieces[i];
    corpus_shape_of(flat, s->piece_count, &s->set);
    free(flat);
}

/* ---- one pass -------------------------------------------------------------------------------- */

static void second(void *context, const struct read_bench_second *told)
{
    struct study *s = context;

    if (s->course_count == STUDY_SECONDS_MAX) {
        for (unsigned i = 0; i < STUDY_SECONDS_MAX / 2; i++)
            s->course[i] = s->course[2 * i];
        s->course_count /= 2;
        s->course_every *= 2;
    }
    if (told->seconds > 0 && (s->course_every < 2 || (unsigned)told->at_s % s->course_every == 0))
        s->course[s->course_count++] =
            (struct study_second){ .at_s = now_s() - s->began_s, .step = s->now_step, .of = *told };
    if (s->config.second)
        s->config.second(s->config.context, told);
}

const char study_interrupted[] = "interrupted";

static void look_for_end(struct study *s)
{
    const struct study_config *c = &s->config;

    if (s->ended)
        return;
    if (c->stop && c->stop())
        s->ended = study_interrupted;
    else if (c->seconds_max != 0 && now_s() - s->began_s >= c->seconds_max)
        s->ended = "max-time";
    else if (c->bytes_max && s->bytes_read >= c->bytes_max)
        s->ended = "max-bytes";
}

bool study_pass(struct study *s, const struct study_spec *spec, enum study_phase phase, unsigned step, unsigned repeat,
                double seconds, struct err *err_r)
{
    const struct study_config *c = &s->config;
    struct settings settings = *c->house->settings;
    struct visit_house house = *c->house;
    double left = c->seconds_max != 0 ? c->seconds_max - (now_s() - s->began_s) : INFINITY;
    struct read_bench_plan plan = {
        .house = &house,
        .pieces = s->pieces,
        .piece_count = s->piece_count,
        .users = c->users,
        .user_count = c->user_count,
        .connections = spec->connections,
        .per_user = spec->per_user,
        .depth = spec->depth,
        .per_fetch = spec->per_fetch,
        .rate = phase == STUDY_STEPS ? c->rate : 0,
        .seconds = seconds < left ? seconds : left,
        .bytes_max = c->bytes_max ? c->bytes_max - s->bytes_read : 0,
        .loops = c->loops,
        .polite = s->polite,
        .stop = c->stop,
        .second = phase == STUDY_STEPS ? second : NULL,
        .context = s,
    };

    /* Visits look at nothing else of it but where and how to log in. */
    settings.source.compress = spec->compress;
    house.settings = &settings;
    s->now_step = step;
    if (c->pass)
        c->pass(c->context, phase, step, repeat);
    if (!read_bench_run(&plan, s->scratch, err_r))
        return false;
    s->bytes_read += s->scratch->bytes;
    if (c->ended)
        c->ended(c->context, phase, step, repeat, s->scratch);
    look_for_end(s);
    return true;
}

double study_per_second(double amount, double seconds)
{
    return seconds > 0 ? amount / seconds : 0;
}

/* ---- phases ---------------------------------------------------------------------------------- */

static double at_least(double a, double b)
{
    return a > b ? a : b;
}

/* How fast the smallest step reads, from mail at the other end of the draw. */
static bool calibrate(struct study *s, struct err *err_r)
{
    const struct study_config *c = &s->config;
    double seconds = c->seconds * CALIBRATE_PART < CALIBRATE_S_MAX ? c->seconds * CALIBRATE_PART : CALIBRATE_S_MAX;
    double bytes = SET_BYTES_UNSEEN, bound = (double)c->bytes_max / (c->step_count * c->repeats + 2);

    if (c->rate > 0) {
        take_set(s, bound, ceil(c->rate * c->seconds));
        return true;
    }
    seconds = at_least(seconds, CALIBRATE_ROUND_TRIPS * c->round_trip_s);
    set_is(s, s->cut_count / 2, s->cut_count - s->cut_count / 2);
    if (!study_pass(s, &c->specs[s->cold_step], STUDY_CALIBRATING, s->cold_step, 0, seconds, err_r))
        return false;
    if (s->scratch->bytes)
        bytes = study_per_second((double)s->scratch->bytes, s->scratch->seconds) * c->seconds * SET_PART;
    take_set(s, bound > 0 && bound < bytes ? bound : bytes, 0);
    return true;
}

static bool read_cold(struct study *s, struct err *err_r)
{
    if (!study_pass(s, &s->config.specs[s->cold_step], STUDY_COLD, s->cold_step, 0, s->config.seconds * COLD_TIMES,
                    err_r))
        return false;
    read_bench_merge(s->cold, s->scratch);
    s->cold->connections = s->scratch->connections;
    s->cold->end = s->scratch->end;
    s->cold->load = s->scratch->load;
    if (s->scratch->end != READ_BENCH_WHOLE || s->scratch->missed)
        keep_what_was_read(s);
    shape_set(s);
    return true;
}

static void keep_pass(struct study *s, unsigned step, unsigned repeat, double began_s)
{
    const struct read_bench_result *r = s->scratch;
    struct study_step *of = &s->steps[step];

    s->passes = mem_resize(s->passes, s->pass_count + 1u, sizeof *s->passes);
    s->passes[s->pass_count++] = (struct study_pass){
        .step = step,
        .repeat = repeat,
        .began_s = began_s,
        .end = r->end,
        .seconds = r->seconds,
        .bytes_per_s = study_per_second((double)r->bytes, r->seconds),
        .messages_per_s = study_per_second((double)r->messages, r->seconds),
        .messages = r->messages,
        .bytes = r->bytes,
        .again = r->again,
        .missed = r->missed,
        .errors = r->errors,
        .turned_away = r->turned_away,
        .connected = r->connected,
        .cpu_s = r->load.cpu_s,
        .wait_s = r->load.wait_s,
        .machine = r->load.machine,
        .login_s = r->login_s,
        .held_s = r->held_s,
    };
    read_bench_merge(of->total, r);
    of->total->connections = r->connections;
    of->connected = of->passes == 0 || r->connected < of->connected ? r->connected : of->connected;
    of->cpu_s += r->load.cpu_s;
    of->wait_s += r->load.wait_s;
    of->passes++;
}

/* One that was interrupted says nothing of its speed, unless it is all there is. */
static bool counts(const struct study_pass *p)
{
    return p->end != READ_BENCH_STOPPED && p->seconds > 0 && p->messages > 0;
}

static void sum_up(struct study *s, unsigned step)
{
    double bytes[STUDY_REPEATS_MAX] = { 0 }, messages[STUDY_REPEATS_MAX] = { 0 }, machine = 0;
    struct study_step *of = &s->steps[step];
    unsigned n = 0, known = 0;

    for (unsigned i = 0; i < s->pass_count; i++) {
        const struct study_pass *p = &s->passes[i];

        if (p->step != step)
            continue;
        if (p->machine >= 0) {
            machine += p->machine;
            known++;
        }
        if (counts(p) && n < STUDY_REPEATS_MAX) {
            bytes[n] = p->bytes_per_s;
            messages[n++] = p->messages_per_s;
        }
    }
    of->bytes_per_s = stats_of(bytes, n);
    of->messages_per_s = stats_of(messages, n);
    of->machine = known ? machine / known : -1;
}

static bool read_steps(struct study *s, struct err *err_r)
{
    const struct study_config *c = &s->config;
    uint64_t state = c->seed ^ 0x6f72646572; /* another sequence than the draw's */

    for (unsigned repeat = 0; repeat < c->repeats; repeat++) {
        unsigned order[STUDY_STEPS_MAX];

        for (unsigned i = 0; i < c->step_count; i++) {
            unsigned at = (unsigned)(corpus_random(&state) % (i + 1));

            order[i] = order[at];
            order[at] = i;
        }
        for (unsigned i = 0; i < c->step_count && !s->ended; i++) {
            unsigned step = order[i];
            double began_s = now_s() - s->began_s;

            if (s->steps[step].left_out)
                continue;
            if (!study_pass(s, &c->specs[step], STUDY_STEPS, step, repeat, c->seconds, err_r))
                return false;
            keep_pass(s, step, repeat, began_s);
        }
    }
    return true;
}

bool study_run(struct study *s, struct err *err_r)
{
    const struct study_config *c = &s->config;
    bool ok;

    s->began_s = now_s();
    s->scratch = mem_zero(1, sizeof *s->scratch);
    s->cold = mem_zero(1, sizeof *s->cold);
    s->course = mem_zero(STUDY_SECONDS_MAX + 1, sizeof *s->course);
    s->course_every = 1;
    s->polite = polite_create(&c->polite);
    for (unsigned i = 0; i < c->step_count; i++) {
        s->steps[i].spec = c->specs[i];
        s->steps[i].machine = -1;
        s->steps[i].total = mem_zero(1, sizeof *s->steps[i].total);
        s->steps[i].left_out = (uint64_t)c->specs[i].per_user * c->user_count < c->specs[i].connections;
        if (!s->steps[i].left_out &&
            (s->steps[s->cold_step].left_out || c->specs[i].connections < c->specs[s->cold_step].connections))
            s->cold_step = i;
    }
    cut(s, (double)s->corpus.found.messages);
    look_for_end(s);
    ok = s->cut_count == 0 ||
         ((s->ended || calibrate(s, err_r)) && (s->ended || read_cold(s, err_r)) && (s->ended || read_steps(s, err_r)));
    for (unsigned i = 0; i < c->step_count; i++)
        sum_up(s, i);
    s->held_p95_ms = polite_p95_ms(s->polite);
    return ok && study_judge(s, err_r);
}

void study_deinit(struct study *s)
{
    for (unsigned i = 0; i < STUDY_STEPS_MAX; i++)
        free(s->steps[i].total);
    free(s->cold);
    free(s->scratch);
    free(s->course);
    free(s->passes);
    free(s->pieces);
    free(s->cut);
    polite_destroy(&s->polite);
    corpus_deinit(&s->corpus);
    *s = (struct study){ 0 };
}

const char *study_step_name(const struct study *s, unsigned step, char out[80])
{
    const struct study_spec *a = &s->config.specs[step], *first = &s->config.specs[0];
    size_t n = (size_t)snprintf(out, 80, "%u", a->connections);

    if (a->depth != first->depth)
        n += (size_t)snprintf(out + n, 80 - n, " d%u", a->depth);
    if (a->compress != first->compress)
        n += (size_t)snprintf(out + n, 80 - n, " %s", a->compress ? "zip" : "plain");
    if (a->per_user != first->per_user)
        snprintf(out + n, 80 - n, " u%u", a->per_user);
    return out;
}
