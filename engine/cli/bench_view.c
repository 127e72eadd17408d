#include "engine/cli/bench_view.h"

#include "engine/report/format.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#define WIDTH 79

void bench_view_begin(struct bench_view *v, enum bench_live live, FILE *out, const struct study *study)
{
    *v = (struct bench_view){ .live = live, .out = out, .study = study };
    pthread_mutex_init(&v->lock, NULL);
}

static void unpaint(struct bench_view *v)
{
    if (v->painted)
        fprintf(v->out, "\033[%uF\033[J", v->painted);
    v->painted = 0;
}

void bench_view_end(struct bench_view *v)
{
    if (v->live == BENCH_LIVE_TABLE) {
        unpaint(v);
        fflush(v->out);
    }
    pthread_mutex_destroy(&v->lock);
}

static const char *rate_text(const struct stats *s, char out[64])
{
    if (s->count == 0)
        return "-";
    verdict_rate(s, out);
    out[strlen(out) - strlen(" MB/s")] = '\0';
    return out;
}

/* "±" is two bytes and one column. */
static int padding(const char *text, int columns)
{
    int extra = 0;

    for (; *text; text++)
        extra += (*text & 0xc0) == 0x80;
    return columns + extra;
}

static void paint(struct bench_view *v)
{
    const struct study_config *c = &v->study->config;

    unpaint(v);
    fprintf(v->out, "%-12s %20s %8s\n", "connections", "MB/s, mean ± 95 %", "passes");
    for (unsigned i = 0; i < c->step_count; i++) {
        struct stats s = stats_of(v->rates[i], v->counts[i]);
        char rate[64], name[80];
        const char *text = rate_text(&s, rate);

        fprintf(v->out, "%-12s %*s %6u/%u%s\n", study_step_name(v->study, i, name), padding(text, 20) - 1, text,
                v->counts[i], c->repeats, v->errors[i] ? "  with errors" : "");
    }
    fprintf(v->out, "%s\n", v->line);
    fflush(v->out);
    v->painted = c->step_count + 2;
}

static void say_pass(const struct bench_view *v, char *out, size_t cap)
{
    char name[80];

    study_step_name(v->study, v->step, name);
    switch (v->phase) {
    case STUDY_CALIBRATING:
        snprintf(out, cap, "how fast is it?");
        break;
    case STUDY_COLD:
        snprintf(out, cap, "first reading of the set");
        break;
    case STUDY_STEPS:
        snprintf(out, cap, "repeat %u of %u, %s connections", v->repeat + 1, v->study->config.repeats, name);
        break;
    case STUDY_CONTRAST:
        snprintf(out, cap, "small and large messages apart");
    }
}

void bench_view_listed(void *context, unsigned done, unsigned of)
{
    struct bench_view *v = context;

    if (v->live != BENCH_LIVE_TABLE)
        return;
    fprintf(v->out, "\r%u of %u accounts listed%s", done, of, done == of ? "\r\033[K" : "");
    fflush(v->out);
}

void bench_view_pass(void *context, enum study_phase phase, unsigned step, unsigned repeat)
{
    struct bench_view *v = context;

    pthread_mutex_lock(&v->lock);
    v->phase = phase;
    v->step = step;
    v->repeat = repeat;
    say_pass(v, v->line, sizeof v->line);
    if (v->live == BENCH_LIVE_TABLE)
        paint(v);
    pthread_mutex_unlock(&v->lock);
}

void bench_view_second(void *context, const struct read_bench_second *s)
{
    struct bench_view *v = context;
    char what[100];

    if (v->live != BENCH_LIVE_TABLE)
        return;
    pthread_mutex_lock(&v->lock);
    say_pass(v, what, sizeof what);
    snprintf(v->line, sizeof v->line, "%.40s: %.0f s, %.1f MB/s, %.0f msgs/s, p99 %.1f ms", what, s->at_s,
             (double)s->bytes / s->seconds / 1e6, (double)s->messages / s->seconds, (double)s->p99_us / 1000);
    paint(v);
    pthread_mutex_unlock(&v->lock);
}

void bench_view_ended(void *context, enum study_phase phase, unsigned step, unsigned repeat,
                      const struct read_bench_result *r)
{
    struct bench_view *v = context;

    (void)repeat;
    pthread_mutex_lock(&v->lock);
    if (phase == STUDY_STEPS && r->end != READ_BENCH_STOPPED && r->seconds > 0 && v->counts[step] < STUDY_REPEATS_MAX)
        v->rates[step][v->counts[step]++] = (double)r->bytes / r->seconds;
    if (phase == STUDY_STEPS)
        v->errors[step] += r->errors > 0;
    if (v->live == BENCH_LIVE_LINES)
        fprintf(v->out, "bench: %s: %.1f MB/s, %llu messages in %.1f s, %llu errors\n", v->line,
                r->seconds > 0 ? (double)r->bytes / r->seconds / 1e6 : 0, (unsigned long long)r->messages, r->seconds,
                (unsigned long long)r->errors);
    pthread_mutex_unlock(&v->lock);
}

/* ---- the result ------------------------------------------------------------------------------ */

static void print_wrapped(const char *text) /* 80 columns, at blanks */
{
    size_t column = 0;

    while (*text) {
        size_t word = strcspn(text, " "), columns = 0;

        for (size_t i = 0; i < word; i++)
            columns += (text[i] & 0xc0) != 0x80;
        if (column && column + 1 + columns > WIDTH) {
            putchar('\n');
            column = 0;
        } else if (column) {
            putchar(' ');
            column++;
        }
        fwrite(text, 1, word, stdout);
        column += columns;
        text += word;
        text += *text == ' ';
    }
    putchar('\n');
}

static void wrap(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void wrap(const char *format, ...)
{
    char text[2000];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    print_wrapped(text);
}

void bench_print_server(const char *greeting, const char *tls, const struct draw_result *draw)
{
    wrap("%s", greeting);
    if (draw->id[0])
        wrap("%s", draw->id);
    if (draw->round_trip_us)
        wrap("%s; round trip %.1f ms", tls, (double)draw->round_trip_us / 1000);
    else
        wrap("%s", tls);
}

static void print_corpus(const struct study *s, unsigned accounts)
{
    const struct corpus_shape *found = &s->corpus.found, *set = &s->set;

    wrap("%u of %u account%s: %s messages, %s, in %s folders. Each step reads the same %s of them, %s, of %s accounts "
         "and "
         "%s folders (seed %llu); each message once a pass.",
         s->config.user_count, accounts, format_s(accounts), format_count(found->messages).text,
         format_bytes(found->bytes).text, format_count(found->folders).text, format_count(set->messages).text,
         format_bytes(set->bytes).text, format_count(set->users).text, format_count(set->folders).text,
         (unsigned long long)s->config.seed);
}

static void print_cold(const struct study *s)
{
    const struct read_bench_result *cold = s->cold;
    double rate = cold->seconds > 0 ? (double)cold->bytes / cold->seconds : 0;
    double warm = s->steps[s->cold_step].bytes_per_s.mean;

    if (cold->messages == 0)
        return;
    wrap("First reading, with %u connection%s: %.1f MB/s, %.0f messages/s; this is what the server does with mail that "
         "it "
         "may not have in memory (%s of the messages had been read by this bench before).",
         cold->connections, format_s(cold->connections), rate / 1e6, (double)cold->messages / cold->seconds,
         format_percent(cold->again, cold->messages).text);
    if (warm > 0 && rate > 0)
        wrap("The table below is of mail that was read before, most likely from the server's memory: with the same "
             "connections %.1f times as fast.",
             warm / rate);
}

static double quantile_ms(const struct hist *h, double percent)
{
    return (double)hist_quantile(h, percent) / 1000;
}

static void print_step(const struct study *s, unsigned i)
{
    const struct study_step *of = &s->steps[i];
    const struct read_bench_result *r = of->total;
    const struct hist *select = &r->latency.of[READ_BENCH_SELECT], *message = &r->latency.of[READ_BENCH_MESSAGE];
    double seconds = r->seconds > 0 ? r->seconds : 1;
    char rate[64], name[80];
    const char *text = rate_text(&of->bytes_per_s, rate);

    study_step_name(s, i, name);
    if (of->left_out) {
        printf("%-11.11s not measured: the accounts cannot have so many connections\n", name);
        return;
    }
    printf("%-11.11s %*s %7.0f %6.1f %6.1f %7.1f %7.1f %4.0f %4.0f %5llu\n", name, padding(text, 14), text,
           of->messages_per_s.mean, quantile_ms(select, 50), quantile_ms(select, 99), quantile_ms(message, 50),
           quantile_ms(message, 99), r->load.cpu_s / seconds * 100, r->load.wait_s / seconds * 100,
           (unsigned long long)r->errors);
    if (r->errors)
        printf("            %s: %.120s\n", r->type, r->err.server_text);
}

/* How the passes of a step ended, where not by the end of the set; and what they read anew. */
static void print_ends(const struct study *s)
{
    unsigned cut = 0, short_ones = 0;
    uint64_t again = 0, messages = 0;
    double login_s = 0, connections_s = 0;

    for (unsigned i = 0; i < s->pass_count; i++) {
        const struct study_pass *p = &s->passes[i];

        cut += p->end != READ_BENCH_WHOLE;
        short_ones += p->end == READ_BENCH_WHOLE && p->seconds < s->config.seconds / 4;
        again += p->again;
        messages += p->messages;
        login_s += p->login_s;
        connections_s += p->seconds * p->connected;
    }
    if (s->pass_count == 0)
        return;
    wrap("%u of %u passes read the set to its end%s; %u ended before by their time or bytes, and read a part of it. %s "
         "of "
         "the messages had been read before.",
         s->pass_count - cut, s->pass_count,
         short_ones ? " (some within a quarter of their time: all the mail there is, or that was drawn)" : "", cut,
         format_percent(again, messages).text);
    if (connections_s > 0 && login_s > 0.05 * connections_s)
        wrap("%.0f %% of the connections' time went into logging in to one account after the other.",
             login_s / connections_s * 100);
    if (s->config.polite.latency_ms > 0)
        wrap("Latency limit %.0f ms: the newest p95 of SELECT and login was %.1f ms.", s->config.polite.latency_ms,
             s->held_p95_ms);
}

static void print_row(const char *name, const struct hist *h)
{
    if (h->count == 0)
        return;
    printf("%-21s %9.1f %9.1f %9.1f %9.1f %9.1f %8s\n", name, quantile_ms(h, 50), quantile_ms(h, 90),
           quantile_ms(h, 99), quantile_ms(h, 99.9), (double)h->max / 1000, format_count(h->count).text);
}

static void print_latencies(const struct study *s)
{
    static const char *const names[READ_BENCH_LATENCIES] = {
        "connect (DNS, TCP)", "TLS handshake",         "login", "LIST", "SELECT", "first byte of a FETCH",
        "whole message",      "sent after it was due",
    };
    unsigned step = s->knee.step >= 0 ? (unsigned)s->knee.step : 0;
    const struct read_bench_hists *h = &s->steps[step].total->latency;
    char name[80];

    if (h->of[READ_BENCH_LOGIN].count == 0)
        return;
    study_step_name(s, step, name);
    printf("\n%-21s %9s %9s %9s %9s %9s %8s\n", "latency in ms", "p50", "p90", "p99", "p99.9", "max", "count");
    for (unsigned i = 0; i < READ_BENCH_LATENCIES; i++)
        print_row(names[i], &h->of[i]);
    for (unsigned i = 0; i < CORPUS_CLASSES; i++) {
        snprintf(name, sizeof name, "  message %s", corpus_class_names[i]);
        print_row(name, &h->by_class[i]);
    }
    study_step_name(s, step, name);
    if (s->config.rate > 0)
        wrap("Of the step %s. Each message is asked for alone, at its time, and counted from when it was due. "
             "Percentiles are at most %.1f %% too high.",
             name, 100.0 / (1 << HIST_SUB_BITS));
    else
        wrap("Of the step %s. A message is counted from when its FETCH was sent, which asks for up to %u messages, %u "
             "of them in flight. Percentiles are at most %.1f %% too high.",
             name, s->config.specs[step].per_fetch, s->config.specs[step].depth, 100.0 / (1 << HIST_SUB_BITS));
}

static void print_served(const struct study *s)
{
    for (unsigned i = 0; s->config.rate > 0 && i < s->config.step_count; i++) {
        const struct read_bench_result *r = s->steps[i].total;
        char name[80];

        if (r->messages == 0)
            continue;
        study_step_name(s, i, name);
        if (r->not_served > r->messages / 100)
            wrap("%s connections do not keep up with %.0f messages/s: %s were due and not served by the end.", name,
                 s->config.rate, format_count(r->not_served).text);
        else
            wrap("%s connections keep up with %.0f messages/s.", name, s->config.rate);
    }
}

static void print_effects(const struct study *s)
{
    for (unsigned i = 1; i < s->config.step_count; i++) {
        const struct study_spec *a = &s->config.specs[i];
        char name[80], base_name[80], chance[16];
        double p;

        for (unsigned k = 0; k < i; k++) {
            const struct study_spec *b = &s->config.specs[k];
            unsigned differs = (a->depth != b->depth) + (a->compress != b->compress) + (a->per_user != b->per_user);

            if (differs != 1 || a->connections != b->connections ||
                !stats_differ(&s->steps[i].bytes_per_s, &s->steps[k].bytes_per_s, &p))
                continue;
            study_step_name(s, i, name);
            study_step_name(s, k, base_name);
            wrap("%s beside %s: %.2f times as fast (%s)%s.", name, base_name,
                 s->steps[i].bytes_per_s.mean / s->steps[k].bytes_per_s.mean, verdict_p(p, chance),
                 p < VERDICT_P ? "" : ", no difference shown");
        }
    }
}

void bench_print(const struct study *s, unsigned accounts, bool no_mail, unsigned per_user)
{
    if (no_mail) {
        printf("NoMail: the accounts have no mail to read\n");
        return;
    }
    print_corpus(s, accounts);
    print_cold(s);
    printf("\n%-11s %15s %7s %13s %15s %9s\n", "connections", "MB/s ± 95 %", "msgs/s", "SELECT ms", "message ms",
           "client %");
    printf("%-11s %14s %7s %6s %6s %7s %7s %4s %4s %5s\n", "", "", "", "p50", "p99", "p50", "p99", "cpu", "wait",
           "errs");
    for (unsigned i = 0; i < s->config.step_count; i++)
        print_step(s, i);
    printf("\n");
    print_ends(s);
    print_latencies(s);
    printf("\n");
    print_served(s);
    print_effects(s);
    wrap("%s.", s->knee.text);
    wrap("Limit: %s.", s->limit_text);
    if (s->ended)
        wrap("Partial: ended early (%s).", s->ended);
    if (s->knee.connections && s->config.rate <= 0)
        printf("recommended%s: [source] connections = %u, connections-per-user = %u\n",
               s->knee.known ? "" : " (not sure)", s->knee.connections, per_user);
}
