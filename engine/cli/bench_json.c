#include "engine/cli/bench_json.h"

#include "io/base/now.h"

#include <math.h>

#define PER_USER_MAX 8u

static double ms(uint64_t us)
{
    return (double)us / 1000;
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *latency(const struct hist *h)
{
    return json_pack("{s:f,s:f,s:f,s:f,s:f,s:I}", "p50", ms(hist_quantile(h, 50)), "p90", ms(hist_quantile(h, 90)),
                     "p99", ms(hist_quantile(h, 99)), "p99.9", ms(hist_quantile(h, 99.9)), "max", ms(h->max), "count",
                     (json_int_t)h->count);
}

/* [ upper end in ms, count ] of each bucket that is not empty. */
static json_t *buckets(const struct hist *h)
{
    json_t *all = json_array();

    for (unsigned i = 0; i < HIST_BUCKET_COUNT; i++)
        if (h->buckets[i])
            json_array_append_new(all, json_pack("[f,I]", ms(hist_bucket_end(i)), (json_int_t)h->buckets[i]));
    return all;
}

static json_t *latencies(const struct read_bench_hists *h)
{
    json_t *all = json_object();

    for (unsigned i = 0; i < READ_BENCH_LATENCIES; i++)
        if (h->of[i].count || i == READ_BENCH_LOGIN || i == READ_BENCH_SELECT || i == READ_BENCH_FIRST_BYTE ||
            i == READ_BENCH_MESSAGE)
            json_object_set_new(all, read_bench_latency_name((enum read_bench_latency)i), latency(&h->of[i]));
    return all;
}

static json_t *by_class(const struct read_bench_hists *h)
{
    json_t *all = json_object();

    for (unsigned i = 0; i < CORPUS_CLASSES; i++)
        if (h->by_class[i].count)
            json_object_set_new(all, corpus_class_names[i], latency(&h->by_class[i]));
    return all;
}

static json_t *shape(const struct corpus_shape *s)
{
    json_t *sizes = json_object();

    for (unsigned i = 0; i < CORPUS_CLASSES; i++)
        json_object_set_new(sizes, corpus_class_names[i],
                            json_pack("{s:I,s:I}", "messages", (json_int_t)s->class_messages[i], "bytes",
                                      (json_int_t)s->class_bytes[i]));
    return json_pack("{s:I,s:I,s:I,s:I,s:o}", "accounts", (json_int_t)s->users, "folders", (json_int_t)s->folders,
                     "messages", (json_int_t)s->messages, "bytes", (json_int_t)s->bytes, "sizes", sizes);
}

static json_t *client(double cpu_s, double wait_s, double seconds, double machine)
{
    return json_pack("{s:f,s:f,s:o}", "processors_used", seconds > 0 ? cpu_s / seconds : 0, "run_queue",
                     seconds > 0 ? wait_s / seconds : 0, "machine_busy",
                     machine >= 0 ? json_real(machine) : json_null());
}

static void set_error(json_t *to, const struct read_bench_result *r)
{
    if (r->errors)
        json_object_set_new(to, "last_error", json_pack("{s:s,s:s}", "type", r->type, "text", r->err.server_text));
}

static json_t *passes(const struct study *s, unsigned step)
{
    json_t *all = json_array();

    for (unsigned i = 0; i < s->pass_count; i++) {
        const struct study_pass *p = &s->passes[i];

        if (p->step != step)
            continue;
        json_array_append_new(
            all, json_pack("{s:i,s:i,s:f,s:f,s:s,s:I,s:I,s:I,s:I,s:f,s:f,s:I,s:i,s:f,s:f,s:o}", "repeat",
                           (int)p->repeat, "order", (int)i, "began_s", p->began_s, "seconds", p->seconds, "ended_by",
                           read_bench_end_name(p->end), "messages", (json_int_t)p->messages, "bytes",
                           (json_int_t)p->bytes, "again", (json_int_t)p->again, "missed", (json_int_t)p->missed,
                           "mb_per_s", p->bytes_per_s / 1e6, "messages_per_s", p->messages_per_s, "errors",
                           (json_int_t)p->errors, "connected", (int)p->connected, "login_s", p->login_s, "held_back_s",
                           p->held_s, "client", client(p->cpu_s, p->wait_s, p->seconds, p->machine)));
    }
    return all;
}

static void set_spec(json_t *step, const struct study *s, unsigned i)
{
    const struct study_spec *spec = &s->config.specs[i];
    char name[80];

    json_object_set_new(step, "name", json_string(study_step_name(s, i, name)));
    json_object_set_new(step, "depth", json_integer(s->config.rate > 0 ? 1 : spec->depth));
    json_object_set_new(step, "per_fetch", json_integer(s->config.rate > 0 ? 1 : spec->per_fetch));
    json_object_set_new(step, "per_user", spec->per_user < UINT32_MAX ? json_integer(spec->per_user) : json_null());
    json_object_set_new(step, "compress", json_boolean(spec->compress));
}

/* What a step and the first reading have in common. */
static json_t *reading(const struct read_bench_result *r, unsigned connections, unsigned connected, double bytes_per_s,
                       double messages_per_s)
{
    json_t *step =
        json_pack("{s:i,s:i,s:f,s:I,s:I,s:f,s:f,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o}", "connections", (int)connections,
                  "connected", (int)connected, "seconds", r->seconds, "messages", (json_int_t)r->messages, "bytes",
                  (json_int_t)r->bytes, "messages_per_s", messages_per_s, "mb_per_s", bytes_per_s / 1e6, "errors",
                  (json_int_t)r->errors, "throttled", (json_int_t)r->throttled, "turned_away",
                  (json_int_t)r->turned_away, "missed", (json_int_t)r->missed, "again", (json_int_t)r->again,
                  "wire_bytes", (json_int_t)r->wire_bytes, "latency_ms", latencies(&r->latency), "latency_by_size_ms",
                  by_class(&r->latency), "histogram_message_ms", buckets(&r->latency.of[READ_BENCH_MESSAGE]));

    set_error(step, r);
    return step;
}

static double per_second(double amount, double seconds)
{
    return seconds > 0 ? amount / seconds : 0;
}

static json_t *step_json(const struct bench_whole *w, unsigned i)
{
    const struct study *s = w->study;
    const struct study_step *of = &s->steps[i];
    const struct read_bench_result *r = of->total;
    bool mean = of->bytes_per_s.count > 0;
    json_t *step = reading(r, of->spec.connections, of->connected,
                           mean ? of->bytes_per_s.mean : per_second((double)r->bytes, r->seconds),
                           mean ? of->messages_per_s.mean : per_second((double)r->messages, r->seconds));

    set_spec(step, s, i);
    json_object_set_new(step, "mb_per_s_half_width", number(stats_half_width(&of->bytes_per_s) / 1e6));
    json_object_set_new(step, "messages_per_s_half_width", number(stats_half_width(&of->messages_per_s)));
    json_object_set_new(step, "client", client(of->cpu_s, of->wait_s, r->seconds, of->machine));
    json_object_set_new(step, "passes", passes(s, i));
    if (s->config.rate > 0)
        json_object_set_new(step, "not_served", json_integer((json_int_t)r->not_served));
    if (of->left_out)
        json_object_set_new(step, "left_out", json_string("the accounts cannot have so many connections"));
    if (w->no_mail && !of->left_out) {
        json_object_set_new(step, "errors", json_integer(1));
        json_object_set_new(step, "last_error",
                            json_pack("{s:s,s:s}", "type", "NoMail", "text", "the accounts have no mail to read"));
    }
    return step;
}

static json_t *words(const char *text)
{
    json_t *all = json_array();
    struct slice rest = slice_cstr(text), word;

    while (slice_split(&rest, ' ', &word))
        if (word.size)
            json_array_append_new(all, json_stringn(word.data, word.size));
    return all;
}

static json_t *course(const struct study *s)
{
    json_t *all = json_array();

    for (unsigned i = 0; i < s->course_count; i++) {
        const struct study_second *p = &s->course[i];

        json_array_append_new(all,
                              json_pack("{s:f,s:i,s:f,s:f,s:f,s:f,s:f,s:i}", "at_s", p->at_s, "step", (int)p->step,
                                        "mb_per_s", (double)p->of.bytes / p->of.seconds / 1e6, "messages_per_s",
                                        (double)p->of.messages / p->of.seconds, "p50", ms(p->of.p50_us), "p99",
                                        ms(p->of.p99_us), "max", ms(p->of.max_us), "connected", (int)p->of.connected));
    }
    return all;
}

/* The step that differs from step i in what the first step says otherwise, and in one thing alone; -1: none. */
static int base_of(const struct study *s, unsigned i, const char **what_r)
{
    const struct study_spec *a = &s->config.specs[i], *first = &s->config.specs[0];
    unsigned differs = (a->depth != first->depth) + (a->compress != first->compress) + (a->per_user != first->per_user);

    *what_r = a->depth != first->depth ? "depth" : a->compress != first->compress ? "compress" : "per_user";
    for (unsigned k = 0; differs == 1 && k < s->config.step_count; k++) {
        const struct study_spec *b = &s->config.specs[k];

        if (b->connections == a->connections && b->depth == first->depth && b->compress == first->compress &&
            b->per_user == first->per_user)
            return (int)k;
    }
    return -1;
}

static json_t *effects(const struct study *s)
{
    json_t *all = json_array();

    for (unsigned i = 0; i < s->config.step_count; i++) {
        const struct study_step *of = &s->steps[i], *base;
        const char *what;
        double p = 0;
        int k = base_of(s, i, &what);
        bool known;

        if (k < 0 || of->bytes_per_s.count == 0 || s->steps[k].bytes_per_s.count == 0)
            continue;
        base = &s->steps[k];
        known = stats_differ(&of->bytes_per_s, &base->bytes_per_s, &p);
        json_array_append_new(all,
                              json_pack("{s:s,s:i,s:i,s:f,s:o,s:b}", "of", what, "step", (int)i, "beside", k, "times",
                                        base->bytes_per_s.mean > 0 ? of->bytes_per_s.mean / base->bytes_per_s.mean : 0,
                                        "p", known ? json_real(p) : json_null(), "differs", known && p < VERDICT_P));
    }
    return all;
}

unsigned bench_per_user(const struct study *s)
{
    unsigned users = s->config.user_count ? s->config.user_count : 1, each = (s->knee.connections + users - 1) / users;

    return each > PER_USER_MAX ? PER_USER_MAX : each;
}

static json_t *asked(const struct study_config *c)
{
    return json_pack("{s:i,s:f,s:f,s:f,s:f,s:f,s:f,s:I}", "repeats", (int)c->repeats, "seconds", c->seconds, "rate",
                     c->rate, "max_mb_per_s", c->polite.bytes_per_s / 1e6, "max_messages_per_s",
                     c->polite.messages_per_s, "latency_limit_ms", c->polite.latency_ms, "max_seconds", c->seconds_max,
                     "max_bytes", (json_int_t)c->bytes_max);
}

static json_t *contrast(const struct verdict_facts *f)
{
    return json_pack("{s:f,s:f,s:o,s:f,s:f,s:o}", "small_bytes", f->small_bytes, "small_mb_per_s", f->small.mean / 1e6,
                     "small_half_width", number(stats_half_width(&f->small) / 1e6), "large_bytes", f->large_bytes,
                     "large_mb_per_s", f->large.mean / 1e6, "large_half_width",
                     number(stats_half_width(&f->large) / 1e6));
}

json_t *bench_json(const struct bench_whole *w)
{
    const struct study *s = w->study;
    json_t *all, *steps = json_array();
    char began[32];

    for (unsigned i = 0; i < s->config.step_count; i++)
        json_array_append_new(steps, step_json(w, i));
    all = json_pack("{s:s,s:s,s:s,s:s,s:f,s:I,s:b,s:s?}", "schema", "mailhaul.bench.v1", "version", MAILHAUL_VERSION,
                    "command_line", w->command_line, "began", now_rfc3339(w->began_ms, began, sizeof began), "seconds",
                    w->seconds, "seed", (json_int_t)s->config.seed, "partial", s->ended != NULL, "ended", s->ended);
    json_object_set_new(all, "server",
                        json_pack("{s:s,s:o,s:s,s:s,s:s,s:i,s:f}", "greeting", w->server->greeting, "capabilities",
                                  words(w->server->capabilities), "tls", w->server->tls, "id", w->draw->id, "host",
                                  w->server->endpoint->host, "port", (int)w->server->endpoint->port, "round_trip_ms",
                                  ms(w->draw->round_trip_us)));
    json_object_set_new(all, "accounts",
                        json_pack("{s:i,s:i,s:i,s:i}", "in_batch", (int)w->accounts, "drawn", (int)s->config.user_count,
                                  "listed", (int)w->draw->listed, "failed", (int)w->draw->failed));
    json_object_set_new(all, "corpus", json_pack("{s:o,s:o}", "found", shape(&s->corpus.found), "set", shape(&s->set)));
    json_object_set_new(all, "asked", asked(&s->config));
    json_object_set_new(all, "precision",
                        json_pack("{s:f,s:s,s:s}", "latency_percent", 100.0 / (1 << HIST_SUB_BITS), "interval",
                                  "95 %, Student's t", "test", "Welch's t, two-sided"));
    json_object_set_new(all, "cold",
                        reading(s->cold, s->cold->connections, s->cold->connected,
                                per_second((double)s->cold->bytes, s->cold->seconds),
                                per_second((double)s->cold->messages, s->cold->seconds)));
    json_object_set_new(all, "steps", steps);
    json_object_set_new(all, "effects", effects(s));
    json_object_set_new(all, "course", course(s));
    json_object_set_new(all, "knee",
                        json_pack("{s:i,s:s,s:b,s:i}", "connections", (int)s->knee.connections, "reason", s->knee.text,
                                  "known", s->knee.known, "step", s->knee.step));
    json_object_set_new(all, "limit",
                        json_pack("{s:s,s:s,s:o}", "kind", verdict_limit_name(s->limit), "text", s->limit_text,
                                  "small_and_large", s->facts.small.count ? contrast(&s->facts) : json_null()));
    json_object_set_new(all, "recommendation",
                        json_pack("{s:i,s:i}", "source.connections", (int)s->knee.connections,
                                  "source.connections-per-user", (int)bench_per_user(s)));
    return all;
}
