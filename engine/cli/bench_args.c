#include "engine/cli/bench_args.h"

#include "engine/config/text.h"
#include "engine/config/value.h"

#include <limits.h>
#include <sys/random.h>

#define SECONDS_DEFAULT 5u
#define REPEATS_DEFAULT 5u
#define PER_USER_MAX    1000u

static const unsigned steps_default[] = { 1, 2, 4, 8, 16 };

struct list {
    unsigned items[STUDY_STEPS_MAX], count;
};

static bool refuse(const char *option, const char *value, const char *expected, struct err *err_r)
{
    return config_refuse(err_r, CONFIG_EXIT_USAGE, "--%s %.60s: expected %s", option, value, expected);
}

static bool read_list(const char *option, const char *text, unsigned most, const char *expected, struct list *list,
                      struct err *err_r)
{
    struct slice rest = slice_cstr(text ? text : ""), item;
    uint32_t value;

    if (!text)
        return true;
    list->count = 0;
    if (rest.size == 0 || rest.data[rest.size - 1] == ',')
        return refuse(option, text, expected, err_r);
    while (slice_split(&rest, ',', &item)) {
        if (list->count == STUDY_STEPS_MAX || !slice_u32(slice_trim(item), &value) || value < 1 || value > most)
            return refuse(option, text, expected, err_r);
        list->items[list->count++] = value;
    }
    return true;
}

/* "20MB/s", "20MB", or "100/s": messages. */
static bool read_rate(const char *text, struct polite_config *polite, struct err *err_r)
{
    struct slice value = slice_cstr(text);
    bool a_second = value.size > 2 && strcmp(text + value.size - 2, "/s") == 0;
    uint64_t bytes;
    uint32_t messages;

    value = a_second ? slice_first(value, value.size - 2) : value;
    value = slice_trim(value);
    if (a_second && slice_u32(value, &messages) && messages > 0)
        polite->messages_per_s = messages;
    else if (!slice_u32(value, &messages) && value_size(value, &bytes) && bytes > 0)
        polite->bytes_per_s = (double)bytes;
    else
        return refuse("max-rate", text, "bytes a second such as 20MB/s, or messages a second such as 100/s", err_r);
    return true;
}

static bool read_bounds(const struct opts *o, struct study_config *c, struct err *err_r)
{
    uint64_t ms;

    if (o->max_rate && !read_rate(o->max_rate, &c->polite, err_r))
        return false;
    if (o->latency_limit) {
        if (!value_duration(slice_cstr(o->latency_limit), &ms) || ms == 0)
            return refuse("latency-limit", o->latency_limit, "a duration such as 200ms", err_r);
        c->polite.latency_ms = (double)ms;
    }
    if (o->max_time) {
        if (!value_duration(slice_cstr(o->max_time), &ms) || ms == 0)
            return refuse("max-time", o->max_time, "a duration such as 10m", err_r);
        c->seconds_max = (double)ms / 1000;
    }
    if (o->max_bytes && (!value_size(slice_cstr(o->max_bytes), &c->bytes_max) || c->bytes_max == 0))
        return refuse("max-bytes", o->max_bytes, "a size such as 5GB", err_r);
    return true;
}

static bool read_seed(const char *text, uint64_t *seed_r, struct err *err_r)
{
    uint32_t drawn = 0;

    if (text)
        return (slice_u32(slice_cstr(text), &drawn) && ((*seed_r = drawn), true)) ||
               refuse("seed", text, "a number from 0 to 4294967295", err_r);
    if (getrandom(&drawn, sizeof drawn, 0) != sizeof drawn)
        drawn = 1;
    *seed_r = drawn;
    return true;
}

static void add(struct study_config *c, const struct study_spec *spec)
{
    for (unsigned i = 0; i < c->step_count; i++)
        if (memcmp(&c->specs[i], spec, sizeof *spec) == 0)
            return;
    if (c->step_count < STUDY_STEPS_MAX)
        c->specs[c->step_count] = *spec;
    c->step_count++;
}

/* All connections with the first of each other kind, and then each other one. */
static void cross(struct study_config *c, const struct list *connections, const struct list *depths,
                  const struct list *per_users, const struct list *compress, unsigned per_fetch)
{
    for (unsigned z = 0; z < compress->count; z++)
        for (unsigned u = 0; u < per_users->count; u++)
            for (unsigned d = 0; d < depths->count; d++)
                for (unsigned i = 0; i < connections->count; i++) {
                    struct study_spec spec;

                    memset(&spec, 0, sizeof spec); /* padding too: it is compared */
                    spec.connections = connections->items[i];
                    spec.depth = depths->items[d];
                    spec.per_user = per_users->items[u];
                    spec.per_fetch = per_fetch;
                    spec.compress = compress->items[z];
                    add(c, &spec);
                }
}

bool bench_args(const struct opts *o, const struct settings *settings, struct study_config *c, struct err *err_r)
{
    struct list connections = { .count = sizeof steps_default / sizeof *steps_default };
    struct list depths = { { READ_BENCH_DEPTH }, 1 }, per_users = { { UINT_MAX }, 1 };
    struct list compress = { { settings->source.compress }, 1 };

    *c = (struct study_config){ .repeats = o->repeats ? o->repeats : REPEATS_DEFAULT,
                                .seconds = o->seconds ? o->seconds : SECONDS_DEFAULT,
                                .rate = o->rate };
    memcpy(connections.items, steps_default, sizeof steps_default);
    if (o->connections_count) {
        connections.count = o->connections_count;
        memcpy(connections.items, o->connections, o->connections_count * sizeof *o->connections);
    }
    if (o->compress != OPTS_COMPRESS_AS_SAID)
        compress = o->compress == OPTS_COMPRESS_BOTH ? (struct list){ { false, true }, 2 }
                                                     : (struct list){ { o->compress == OPTS_COMPRESS_ON }, 1 };
    if (!read_list("depth", o->depth, READ_BENCH_DEPTH_MAX, "numbers from 1 to 8 such as 1,4", &depths, err_r) ||
        !read_list("per-user", o->per_user, PER_USER_MAX, "numbers from 1 to 1000 such as 1,4", &per_users, err_r) ||
        !read_bounds(o, c, err_r) || !read_seed(o->seed, &c->seed, err_r))
        return false;
    cross(c, &connections, &depths, &per_users, &compress, o->per_fetch ? o->per_fetch : READ_BENCH_PER_FETCH);
    if (c->step_count > STUDY_STEPS_MAX)
        return config_refuse(err_r, CONFIG_EXIT_USAGE, "bench: these options make %u steps; at most %u", c->step_count,
                             STUDY_STEPS_MAX);
    return true;
}
