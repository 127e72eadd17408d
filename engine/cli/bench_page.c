#include "engine/cli/bench_page.h"

#include "engine/cli/bench_plot.h"
#include "engine/report/format.h"
#include "engine/report/page.h"
#include "io/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BAR_TIMES 1.12 /* a bar's buckets, from the first one's end to the last one's */

/* Beside the report's. */
static const char style[] =
    ".plots { display: grid; gap: 10px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); }\n"
    ".plots .plot { margin: 0; min-width: 0; } .plots svg text { font-size: 12px; }\n"
    ".d0 { fill: var(--accent); } .d1 { fill: var(--second); } .d2 { fill: var(--warn); }\n"
    ".bars { fill: var(--accent); opacity: .6; }\n"
    "table.fixed tr > :first-child { position: sticky; left: 0; background: var(--card); }\n"
    "table.fixed th { white-space: normal; vertical-align: bottom; }\n"
    "tr.knee > td { font-weight: 650; }\n"
    "dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 0; padding: 14px 18px; }\n"
    "dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }\n"
    "@media (max-width: 600px) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 8px; } }\n";

static double number(const json_t *of, const char *name)
{
    return json_number_value(json_object_get(of, name));
}

/* NAN: null, or not there. */
static double maybe(const json_t *of, const char *name)
{
    const json_t *value = json_object_get(of, name);

    return json_is_number(value) ? json_number_value(value) : NAN;
}

static const char *text(const json_t *of, const char *name)
{
    const char *value = json_string_value(json_object_get(of, name));

    return value ? value : "";
}

static const json_t *latency(const json_t *step, const char *kind)
{
    return json_object_get(json_object_get(step, "latency_ms"), kind);
}

static void put(FILE *out, const char *value)
{
    bench_plot_escape(out, value);
}

static void fact(FILE *out, const char *name, const char *value)
{
    if (!*value)
        return;
    fprintf(out, "<dt>%s</dt><dd>", name);
    put(out, value);
    fputs("</dd>", out);
}

/* ---- head ------------------------------------------------------------------------------------ */

static void put_verdict(FILE *out, const json_t *bench)
{
    const json_t *knee = json_object_get(bench, "knee"), *advice = json_object_get(bench, "recommendation");
    bool known = json_is_true(json_object_get(knee, "known")),
         partial = json_is_true(json_object_get(bench, "partial"));

    fprintf(out, "<div class='card verdict level%d'><b>%s</b><p>", known && !partial ? 0 : 1,
            partial ? "measured in part"
            : known ? "measured"
                    : "not all of it is known");
    put(out, text(knee, "reason"));
    fputs(".</p><p>Limit: ", out);
    put(out, text(json_object_get(bench, "limit"), "text"));
    fputs(".</p>", out);
    if (number(advice, "source.connections") > 0 && number(json_object_get(bench, "asked"), "rate") <= 0)
        fprintf(out,
                "<p>Recommended: <code>[source] connections = %.0f</code> <code>connections-per-user = %.0f</code></p>",
                number(advice, "source.connections"), number(advice, "source.connections-per-user"));
    fputs("</div>\n", out);
}

static void put_shape(FILE *out, const char *name, const json_t *shape)
{
    char line[300];

    snprintf(line, sizeof line, "%s messages, %s, in %s folders of %s accounts",
             format_count((uint64_t)number(shape, "messages")).text,
             format_bytes((uint64_t)number(shape, "bytes")).text, format_count((uint64_t)number(shape, "folders")).text,
             format_count((uint64_t)number(shape, "accounts")).text);
    fact(out, name, line);
}

static void put_facts(FILE *out, const json_t *bench)
{
    const json_t *server = json_object_get(bench, "server"), *corpus = json_object_get(bench, "corpus");
    const json_t *asked = json_object_get(bench, "asked"), *accounts = json_object_get(bench, "accounts");
    char line[400];

    fputs("<h2>What was measured</h2><dl class=card>", out);
    snprintf(line, sizeof line, "%s:%.0f", text(server, "host"), number(server, "port"));
    fact(out, "Server", line);
    fact(out, "Greeting", text(server, "greeting"));
    fact(out, "ID", text(server, "id"));
    fact(out, "TLS", text(server, "tls"));
    if (number(server, "round_trip_ms") > 0) {
        snprintf(line, sizeof line, "%.1f ms", number(server, "round_trip_ms"));
        fact(out, "Round trip", line);
    }
    snprintf(line, sizeof line, "%.0f of %.0f, drawn by the seed", number(accounts, "drawn"),
             number(accounts, "in_batch"));
    fact(out, "Accounts", line);
    put_shape(out, "They hold", json_object_get(corpus, "found"));
    put_shape(out, "Read in each pass", json_object_get(corpus, "set"));
    snprintf(line, sizeof line, "%.0f passes of each step in a random order, at most %.0f s each; %s in all",
             number(asked, "repeats"), number(asked, "seconds"), format_seconds(number(bench, "seconds")).text);
    fact(out, "How", line);
    snprintf(line, sizeof line, "%.0f", number(bench, "seed"));
    fact(out, "Seed", line);
    fact(out, "Begun", text(bench, "began"));
    fact(out, "Command", text(bench, "command_line"));
    snprintf(line, sizeof line, "mailhaul %s", text(bench, "version"));
    fact(out, "Made by", line);
    fputs("</dl>\n", out);
}

static void put_cold(FILE *out, const json_t *bench)
{
    const json_t *cold = json_object_get(bench, "cold");
    double messages = number(cold, "messages");

    if (messages <= 0)
        return;
    fprintf(
        out,
        "<p class=soft>First reading of the set, with %.0f connection%s: %.1f MB/s, %.0f messages/s (%.0f %% of its "
        "messages had been read by this bench before). All below is of mail that had been read before, most likely "
        "from the server's memory.</p>\n",
        number(cold, "connections"), format_s((uint64_t)number(cold, "connections")), number(cold, "mb_per_s"),
        number(cold, "messages_per_s"), number(cold, "again") / messages * 100);
}

/* ---- plots ----------------------------------------------------------------------------------- */

static void plot_steps(FILE *out, const json_t *steps)
{
    size_t count = json_array_size(steps);
    struct bench_point *rate = mem_zero(count + 1, sizeof *rate), *lines[3];
    const char **names = mem_zero(count + 1, sizeof *names);
    static const char *const kinds[] = { "p50", "p99", "max" };

    for (unsigned k = 0; k < 3; k++)
        lines[k] = mem_zero(count + 1, sizeof **lines);
    for (size_t i = 0; i < count; i++) {
        const json_t *step = json_array_get(steps, i);

        names[i] = text(step, "name");
        rate[i] = (struct bench_point){ (double)i, number(step, "messages") > 0 ? number(step, "mb_per_s") : NAN,
                                        maybe(step, "mb_per_s_half_width") };
        for (unsigned k = 0; k < 3; k++)
            lines[k][i] = (struct bench_point){ (double)i, number(latency(step, "message"), kinds[k]), 0 };
    }
    bench_plot_write(out, &(struct bench_plot){ .title = "Throughput, mean and 95 % interval",
                                                .x_title = "connections",
                                                .y_title = "MB/s",
                                                .lines = { { "MB/s", rate, (unsigned)count } },
                                                .line_count = 1,
                                                .names = names,
                                                .name_count = (unsigned)count });
    bench_plot_write(out, &(struct bench_plot){ .title = "Latency of a message",
                                                .x_title = "connections",
                                                .y_title = "ms",
                                                .lines = { { "p50", lines[0], (unsigned)count },
                                                           { "p99", lines[1], (unsigned)count },
                                                           { "max", lines[2], (unsigned)count } },
                                                .line_count = 3,
                                                .log_y = true,
                                                .names = names,
                                                .name_count = (unsigned)count });
    for (unsigned k = 0; k < 3; k++)
        free(lines[k]);
    free(rate);
    free(names);
}

static void plot_histogram(FILE *out, const json_t *step)
{
    const json_t *buckets = json_object_get(step, "histogram_message_ms");
    size_t count = json_array_size(buckets);
    struct bench_point *points = mem_zero(count + 1, sizeof *points);
    unsigned shown = 0;
    double begin = 0;
    char title[120];

    for (size_t i = 0; i < count; i++) {
        double end = json_number_value(json_array_get(json_array_get(buckets, i), 0));
        double messages = json_number_value(json_array_get(json_array_get(buckets, i), 1));

        if (shown == 0 || end > BAR_TIMES * begin) {
            begin = end;
            points[shown++] = (struct bench_point){ end, 0, 0 };
        }
        points[shown - 1].x = end;
        points[shown - 1].y += messages;
    }
    snprintf(title, sizeof title, "Latency of a message, step %s", text(step, "name"));
    bench_plot_write(out, &(struct bench_plot){ .title = title,
                                                .x_title = "ms",
                                                .y_title = "messages",
                                                .lines = { { "messages", points, shown } },
                                                .line_count = 1,
                                                .log_x = true,
                                                .bars = true });
    free(points);
}

static void plot_course(FILE *out, const json_t *course)
{
    static const char *const kinds[] = { "p50", "p99", "max" };
    size_t count = json_array_size(course);
    struct bench_point *lines[3], *rate = mem_zero(count + 1, sizeof *rate);

    for (unsigned k = 0; k < 3; k++) {
        lines[k] = mem_zero(count + 1, sizeof **lines);
        for (size_t i = 0; i < count; i++)
            lines[k][i] = (struct bench_point){ number(json_array_get(course, i), "at_s"),
                                                number(json_array_get(course, i), kinds[k]), 0 };
    }
    for (size_t i = 0; i < count; i++)
        rate[i] = (struct bench_point){ lines[0][i].x, number(json_array_get(course, i), "mb_per_s"), 0 };
    bench_plot_write(out, &(struct bench_plot){ .title = "Latency over time, all steps",
                                                .x_title = "s since the bench began",
                                                .y_title = "ms",
                                                .lines = { { "p50", lines[0], (unsigned)count },
                                                           { "p99", lines[1], (unsigned)count },
                                                           { "max", lines[2], (unsigned)count } },
                                                .line_count = 3,
                                                .log_y = true });
    bench_plot_write(out, &(struct bench_plot){ .title = "Throughput over time, all steps",
                                                .x_title = "s since the bench began",
                                                .y_title = "MB/s",
                                                .lines = { { "MB/s", rate, (unsigned)count } },
                                                .line_count = 1 });
    for (unsigned k = 0; k < 3; k++)
        free(lines[k]);
    free(rate);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void put_steps(FILE *out, const json_t *bench)
{
    const json_t *steps = json_object_get(bench, "steps");
    double knee = number(json_object_get(bench, "knee"), "step");

    fputs(
        "<h2>Steps</h2><div class='card box'><table class=fixed><thead><tr><th>connections<th class=num>let in"
        "<th class=num>MB/s (95 %)<th class=num>messages/s<th class=num>passes<th class=num>SELECT p50 ms<th class=num>"
        "SELECT p99 ms<th class=num>first byte p50 ms<th class=num>message p50 ms<th class=num>message p99 ms"
        "<th class=num>client's processors<th class=num>waiting for one<th class=num>throttled<th class=num>errors"
        "</thead><tbody>",
        out);
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i), *client = json_object_get(step, "client");
        double half = maybe(step, "mb_per_s_half_width");
        const json_t *error = json_object_get(step, "last_error");

        fprintf(out, "<tr%s><td>", (double)i == knee ? " class=knee" : "");
        put(out, text(step, "name"));
        fprintf(out, "<td class=num>%.0f<td class=num>%.1f", number(step, "connected"), number(step, "mb_per_s"));
        if (isfinite(half))
            fprintf(out, " ± %.1f", half);
        fprintf(out,
                "<td class=num>%.0f<td class=num>%zu<td class=num>%.1f<td class=num>%.1f<td class=num>%.1f"
                "<td class=num>%.1f<td class=num>%.1f<td class=num>%.2f<td class=num>%.2f<td class=num>%.0f"
                "<td class=num>%.0f",
                number(step, "messages_per_s"), json_array_size(json_object_get(step, "passes")),
                number(latency(step, "select"), "p50"), number(latency(step, "select"), "p99"),
                number(latency(step, "first_byte"), "p50"), number(latency(step, "message"), "p50"),
                number(latency(step, "message"), "p99"), number(client, "processors_used"), number(client, "run_queue"),
                number(step, "throttled"), number(step, "errors"));
        if (error) {
            fputs("<tr><td><td class=wrap colspan=13><span class=bad>", out);
            put(out, text(error, "type"));
            fputs("</span> ", out);
            put(out, text(error, "text"));
        }
    }
    fputs("</tbody></table></div>\n", out);
}

static void put_latency_row(FILE *out, const char *name, const json_t *l)
{
    if (number(l, "count") <= 0)
        return;
    fputs("<tr><td>", out);
    put(out, name);
    fprintf(
        out,
        "<td class=num>%.1f<td class=num>%.1f<td class=num>%.1f<td class=num>%.1f<td class=num>%.1f<td class=num>%s",
        number(l, "p50"), number(l, "p90"), number(l, "p99"), number(l, "p99.9"), number(l, "max"),
        format_count((uint64_t)number(l, "count")).text);
}

static void put_latencies(FILE *out, const json_t *bench, const json_t *step)
{
    static const char *const kinds[][2] = {
        { "connect", "connect (DNS and TCP)" },
        { "tls", "TLS handshake" },
        { "login", "login" },
        { "list", "LIST" },
        { "select", "SELECT (EXAMINE)" },
        { "first_byte", "first byte of a FETCH" },
        { "message", "whole message" },
        { "own_delay", "sent after it was due" },
    };
    json_t *classes = json_object_get(step, "latency_by_size_ms"), *of;
    const char *name;
    char line[80];

    fputs("<h2>Latency in ms, step ", out);
    put(out, text(step, "name"));
    fputs("</h2><div class='card box'><table class=fixed><thead><tr><th>of<th class=num>p50<th class=num>p90"
          "<th class=num>p99<th class=num>p99.9<th class=num>max<th class=num>count</thead><tbody>",
          out);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        put_latency_row(out, kinds[i][1], latency(step, kinds[i][0]));
    json_object_foreach(classes, name, of)
    {
        snprintf(line, sizeof line, "message %.40s", name);
        put_latency_row(out, line, of);
    }
    fputs("</tbody></table></div>", out);
    if (number(json_object_get(bench, "asked"), "rate") > 0)
        fprintf(
            out,
            "<p class='soft small'>Each message was asked for alone, %.0f a second, and is counted from when it was "
            "due, also where it could not be sent by then. ",
            number(json_object_get(bench, "asked"), "rate"));
    else
        fprintf(out,
                "<p class='soft small'>A message is counted from when its FETCH was sent, which asks for up to %.0f "
                "messages, %.0f of them in flight, to its last byte. ",
                number(step, "per_fetch"), number(step, "depth"));
    fprintf(out, "Percentiles are at most %.1f %% too high.</p>\n",
            number(json_object_get(bench, "precision"), "latency_percent"));
}

void bench_page_write(FILE *out, const json_t *bench)
{
    const json_t *steps = json_object_get(bench, "steps"), *step;
    double knee = number(json_object_get(bench, "knee"), "step");

    step = json_array_get(steps, knee > 0 ? (size_t)knee : 0);
    fputs("<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n<meta name=viewport "
          "content='width=device-width,initial-scale=1'>\n<meta http-equiv='Content-Security-Policy' "
          "content=\"default-src "
          "'none'; style-src 'unsafe-inline'\">\n<title>How fast this source can be read</title>\n<style>",
          out);
    fputs(report_style, out);
    fputs(style, out);
    fputs("</style>\n</head>\n<body>\n<header><h1>How fast ", out);
    put(out, text(json_object_get(bench, "server"), "host"));
    fputs(" can be read</h1><p class=soft>", out);
    put(out, text(bench, "began"));
    fputs("</p></header>\n<main>\n", out);
    put_verdict(out, bench);
    put_cold(out, bench);
    fputs("<div class=plots>\n", out);
    plot_steps(out, steps);
    plot_histogram(out, step);
    plot_course(out, json_object_get(bench, "course"));
    fputs("</div>\n", out);
    put_steps(out, bench);
    put_latencies(out, bench, step);
    put_facts(out, bench);
    fputs("</main>\n<footer class='soft small'>The interval is Student's, 95 %; p is Welch's t-test, "
          "two-sided.</footer>\n"
          "</body>\n</html>\n",
          out);
}
