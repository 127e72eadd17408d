/* What a share's report tells of the servers and of the course. */
#include "engine/report/share_private.h"

#include "engine/report/timeline.h"
#include "io/base/mem.h"

#include <stdlib.h>

/* --- what was learnt of the servers --- */

static uint64_t number(const json_t *object, const char *name)
{
    uint64_t value;

    return share_number(object, name, &value) ? value : 0;
}

static double real(const json_t *object, const char *name)
{
    double value = json_number_value(json_object_get(object, name));

    return value > 0 && value < 1e15 ? value : 0;
}

static enum pace_phase phase_of(const char *word)
{
    for (unsigned i = 0; i < PACE_PHASE_COUNT; i++)
        if (strcmp(pace_phase_name(i), word) == 0)
            return i;
    return PACE_PHASE_OPEN;
}

/* Of the report that the part is of: its servers do not say which state folder they are of. */
static bool user_of(const struct report *r, unsigned shard, const char *address, unsigned *user_r)
{
    const struct share *share = r->parts[shard].given.share;

    for (unsigned i = 0; i < r->user_count; i++)
        if (r->parts[r->users[i].shard].given.share == share && strcmp(r->users[i].address, address) == 0) {
            *user_r = i;
            return true;
        }
    return false;
}

static void mailboxes(struct report *r, unsigned server, const json_t *list)
{
    struct report_limits *l = &r->learnt;
    struct report_server *s = &l->servers[server];
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        struct report_mailbox m = { .server = server,
                                    .connections = (uint32_t)number(one, "connections"),
                                    .rate = real(one, "rate"),
                                    .rate_hat = real(one, "rate_learnt"),
                                    .hold_ms = share_time(one, "rests_until"),
                                    .throttle_replies = number(one, "throttled"),
                                    .size_bytes = number(one, "refuses_bytes"),
                                    .size_ms = share_time(one, "refuses_bytes_learnt") };

        if (!user_of(r, s->shard, share_text(one, "address"), &m.user))
            continue;
        if (m.hold_ms <= r->made_ms)
            m.hold_ms = 0;
        l->mailboxes = mem_resize(l->mailboxes, l->mailbox_count + 1u, sizeof *l->mailboxes);
        l->mailboxes[l->mailbox_count++] = m;
        s->mailboxes += m.connections != 0 || m.rate > 0;
        if (m.size_bytes) {
            s->sized_bytes = s->sized && s->sized_bytes < m.size_bytes ? s->sized_bytes : m.size_bytes;
            s->sized++;
        }
    }
}

void share_learnt(struct share *share, struct report *r, unsigned shard)
{
    struct report_limits *l = &r->learnt;
    const json_t *one;
    size_t i;

    json_array_foreach(share->private->servers, i, one)
    {
        struct report_server s = { .shard = shard, .source = strcmp(share_text(one, "side"), "source") == 0 };

        share_copy(s.learnt.server, sizeof s.learnt.server, one, "server");
        s.learnt.told_ms = share_time(one, "told");
        s.learnt.connections = (uint32_t)number(one, "connections");
        s.learnt.connections_ms = share_time(one, "connections_learnt");
        s.learnt.throttle_replies = number(one, "throttled");
        s.learnt.phase = phase_of(share_text(one, "phase"));
        s.learnt.rate = real(one, "rate");
        s.learnt.rate_hat = real(one, "rate_learnt");
        s.learnt.measured = real(one, "rate_measured");
        s.learnt.gate_ms = share_time(one, "rests_until");
        s.learnt.cuts = (uint32_t)number(one, "tenant_cuts");
        if (s.learnt.gate_ms <= r->made_ms)
            s.learnt.gate_ms = 0;
        l->servers = mem_resize(l->servers, l->server_count + 1u, sizeof *l->servers);
        l->servers[l->server_count] = s;
        mailboxes(r, l->server_count++, json_object_get(one, "mailboxes"));
    }
}

/* --- the course --- */

static unsigned points_of(const json_t *timeline)
{
    unsigned most = 0;

    for (unsigned v = 0; v < SAMPLE_VALUES; v++) {
        size_t n = json_array_size(json_object_get(timeline, report_timeline_name(v)));

        most = n > most ? (unsigned)(n < REPORT_POINTS_MAX ? n : REPORT_POINTS_MAX) : most;
    }
    return most;
}

bool share_timeline_range(const struct share *share, int64_t *from_ms_r, int64_t *to_ms_r)
{
    const json_t *timeline = share->private->timeline;
    uint64_t step_ms = share_seconds(timeline, "step_s");

    *from_ms_r = share_time(timeline, "from");
    *to_ms_r = *from_ms_r + (int64_t)(step_ms * points_of(timeline));
    return *from_ms_r > 0 && *to_ms_r > *from_ms_r && step_ms < INT64_C(1) << 40;
}

/* All values are means over a step, be it of a rate: each point of the course gets its part of the
 * time. */
static void spread_point(struct report_timeline *course, unsigned value, double mean, double from, double to)
{
    double step = (double)course->step_ms;

    for (unsigned i = from > 0 ? (unsigned)(from / step) : 0; i < course->points && (double)i * step < to; i++) {
        double left = (double)i * step, right = left + step;
        double shared = (to < right ? to : right) - (from > left ? from : left);

        course->values[i][value] += mean * shared / step;
    }
}

uint64_t share_timeline_spread(const struct share *share, struct report_timeline *course)
{
    const json_t *timeline = share->private->timeline;
    uint64_t step_ms = share_seconds(timeline, "step_s"), busy_ms = 0;
    double begin = (double)(share_time(timeline, "from") - course->from_ms);
    unsigned points = points_of(timeline);
    bool *moved = mem_zero(points, sizeof *moved);

    for (unsigned v = 0; v < SAMPLE_VALUES; v++) {
        const json_t *list = json_object_get(timeline, report_timeline_name(v));

        for (unsigned i = 0; i < points; i++) {
            double mean = json_number_value(json_array_get(list, i)), from = begin + (double)(i * step_ms);

            if (!(mean > 0 && mean < 1e15))
                continue;
            moved[i] |= v <= SAMPLE_BYTES_UPLOADED;
            spread_point(course, v, mean, from, from + (double)step_ms);
        }
    }
    for (unsigned i = 0; i < points; i++)
        busy_ms += moved[i] ? step_ms : 0;
    free(moved);
    /* Reports of earlier versions do not say it. */
    return json_object_get(timeline, "active_s") ? share_seconds(timeline, "active_s") : busy_ms;
}
