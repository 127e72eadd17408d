#include "engine/cli/bench_compare.h"

#include "engine/bench/verdict.h"
#include "engine/cli/exits.h"
#include "engine/cli/json_out.h"
#include "io/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PASSES_MAX 1000u

static double number(const json_t *of, const char *name)
{
    return json_number_value(json_object_get(of, name));
}

static const char *text(const json_t *of, const char *name)
{
    const char *value = json_string_value(json_object_get(of, name));

    return value ? value : "";
}

static json_t *load(const char *file)
{
    json_error_t fault;
    json_t *all = json_load_file(file, 0, &fault);

    if (all && strcmp(text(all, "schema"), "mailhaul.bench.v1") == 0 && json_array_size(json_object_get(all, "steps")))
        return all;
    fprintf(stderr, "mailhaul: %s: no result of bench --json%s%s\n", file, all ? "" : ": ", all ? "" : fault.text);
    json_decref(all);
    return NULL;
}

/* Bytes a second of a step's passes that were not interrupted. A result of before there were repeats has one. */
static struct stats rates(const json_t *step)
{
    const json_t *passes = json_object_get(step, "passes");
    double values[PASSES_MAX] = { 0 };
    unsigned count = 0;

    for (size_t i = 0; i < json_array_size(passes) && count < PASSES_MAX; i++) {
        const json_t *pass = json_array_get(passes, i);

        if (strcmp(text(pass, "ended_by"), "stopped") != 0 && number(pass, "messages") > 0)
            values[count++] = number(pass, "mb_per_s") * 1e6;
    }
    if (!passes && number(step, "messages") > 0)
        values[count++] = number(step, "mb_per_s") * 1e6;
    return stats_of(values, count);
}

/* What makes two steps the same. */
static bool same_step(const json_t *a, const json_t *b)
{
    static const char *const keys[] = { "connections", "depth", "per_fetch", "per_user", "compress" };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *x = json_object_get(a, keys[i]), *y = json_object_get(b, keys[i]);

        if (x && y && !json_equal((json_t *)(uintptr_t)x, (json_t *)(uintptr_t)y))
            return false;
    }
    return true;
}

static const json_t *find(const json_t *all, const json_t *step)
{
    const json_t *steps = json_object_get(all, "steps");

    for (size_t i = 0; i < json_array_size(steps); i++)
        if (same_step(json_array_get(steps, i), step))
            return json_array_get(steps, i);
    return NULL;
}

/* What makes a difference of speed one of other things than the server. */
static json_t *warnings(const json_t *a, const json_t *b)
{
    static const char *const same[][2] = {
        { "server", "host" }, { "server", "greeting" }, { "server", "id" }, { "server", "tls" }
    };
    json_t *all = json_array();
    const json_t *x = json_object_get(json_object_get(a, "corpus"), "set");
    const json_t *y = json_object_get(json_object_get(b, "corpus"), "set");
    char line[200];

    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (strcmp(text(json_object_get(a, same[i][0]), same[i][1]),
                   text(json_object_get(b, same[i][0]), same[i][1])) != 0) {
            snprintf(line, sizeof line, "the server's %s differs", same[i][1]);
            json_array_append_new(all, json_string(line));
        }
    if (number(a, "seed") != number(b, "seed"))
        json_array_append_new(all, json_string("the seeds differ, so the mail that was read does"));
    if (number(x, "messages") != number(y, "messages") || number(x, "bytes") != number(y, "bytes"))
        json_array_append_new(all, json_string("the sets of mail differ in size"));
    if (json_is_true(json_object_get(a, "partial")) || json_is_true(json_object_get(b, "partial")))
        json_array_append_new(all, json_string("one of them was ended early"));
    if (number(json_object_get(a, "asked"), "rate") != number(json_object_get(b, "asked"), "rate"))
        json_array_append_new(all, json_string("they were measured at different rates"));
    return all;
}

static json_t *compare_step(const json_t *x, const json_t *y)
{
    struct stats a = rates(x), b = rates(y);
    double p = 0, half = stats_difference_half_width(&b, &a);
    bool known = stats_differ(&b, &a, &p);
    const json_t *before = json_object_get(json_object_get(x, "latency_ms"), "message");
    const json_t *after = json_object_get(json_object_get(y, "latency_ms"), "message");

    return json_pack("{s:i,s:s,s:f,s:f,s:o,s:o,s:s,s:f,s:f}", "connections", (int)number(x, "connections"), "name",
                     text(x, "name"), "first_mb_per_s", a.mean / 1e6, "mb_per_s", b.mean / 1e6, "difference_half_width",
                     known ? json_real(half / 1e6) : json_null(), "p", known ? json_real(p) : json_null(), "verdict",
                     !known            ? "not known"
                     : p >= VERDICT_P  ? "no difference shown"
                     : b.mean > a.mean ? "faster"
                                       : "slower",
                     "first_message_p99_ms", number(before, "p99"), "message_p99_ms", number(after, "p99"));
}

static json_t *compare(const json_t *a, const json_t *b, const char *first, const char *file)
{
    const json_t *steps = json_object_get(a, "steps");
    json_t *rows = json_array();

    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *other = find(b, json_array_get(steps, i));

        if (other)
            json_array_append_new(rows, compare_step(json_array_get(steps, i), other));
    }
    return json_pack("{s:s,s:s,s:o,s:o}", "first", first, "file", file, "warnings", warnings(a, b), "steps", rows);
}

static void print(const json_t *c)
{
    const json_t *rows = json_object_get(c, "steps"), *notes = json_object_get(c, "warnings");

    printf("%s beside %s\n", text(c, "file"), text(c, "first"));
    for (size_t i = 0; i < json_array_size(notes); i++)
        printf("  note: %s\n", json_string_value(json_array_get(notes, i)));
    if (json_array_size(rows) == 0)
        printf("  they have no step in common\n");
    else
        printf("%-11s %10s %9s %17s\n", "connections", "first MB/s", "this MB/s", "change ± 95 %");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *half = json_object_get(row, "difference_half_width");
        double first = number(row, "first_mb_per_s"), now = number(row, "mb_per_s");
        char change[64] = "", chance[16] = "";
        int width = 16;

        if (first > 0 && json_is_number(half))
            snprintf(change, sizeof change, "%+.1f ± %.1f %%", (now / first - 1) * 100,
                     json_number_value(half) / first * 100);
        width += change[0] != '\0'; /* "±" is two bytes */
        if (json_is_number(json_object_get(row, "p")))
            verdict_p(number(row, "p"), chance);
        printf("%-11.11s %10.1f %9.1f %*s %9s  %s\n", *text(row, "name") ? text(row, "name") : "?", first, now, width,
               change, chance, text(row, "verdict"));
    }
}

int bench_compare(const struct opts *o)
{
    size_t count = o->batch_files.count - 1;
    char *const *files = o->batch_files.items + 1;
    json_t *first = load(files[0]), *all = json_array();
    bool ok = first != NULL;

    for (size_t i = 1; ok && i < count; i++) {
        json_t *other = load(files[i]);

        ok = other != NULL;
        if (ok)
            json_array_append_new(all, compare(first, other, files[0], files[i]));
        json_decref(other);
    }
    json_decref(first);
    if (!ok) {
        json_decref(all);
        return EXIT_USAGE;
    }
    if (o->json) {
        json_out(json_pack("{s:s,s:s,s:o}", "schema", "mailhaul.bench-compare.v1", "test", "Welch's t, two-sided, 5 %",
                           "comparisons", all));
        return EXIT_DONE;
    }
    for (size_t i = 0; i < json_array_size(all); i++)
        print(json_array_get(all, i));
    json_decref(all);
    return EXIT_DONE;
}
