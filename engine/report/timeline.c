#include "engine/report/timeline.h"

#include "engine/report/merge.h"
#include "engine/report/share.h"
#include "io/base/mem.h"

#include <assert.h>
#include <stdlib.h>

/* More than the store keeps; a damaged count must not take all memory. */
#define SAMPLES_MAX 65536u
#define STEP_MIN_MS 1000u
/* A run samples every few seconds (later ones of a long run are thinned), and its last sample, like its
 * first, has nobody at work. */
#define PAUSE_MS 60000

static bool is_cumulative(unsigned value)
{
    return value <= SAMPLE_BYTES_UPLOADED || value == SAMPLE_THROTTLE_ANSWERS;
}

void report_timeline_range(struct report_timeline *course, int64_t from_ms, int64_t to_ms)
{
    uint64_t span = to_ms > from_ms ? (uint64_t)(to_ms - from_ms) : 0;

    *course = (struct report_timeline){ .from_ms = from_ms };
    course->step_ms = span / REPORT_POINTS_MAX + 1;
    if (course->step_ms < STEP_MIN_MS)
        course->step_ms = STEP_MIN_MS;
    course->points = (unsigned)((span + course->step_ms - 1) / course->step_ms);
}

static bool is_at_rest(const struct report_sample *s)
{
    return s->values[SAMPLE_USERS_WORKING] == 0 && s->values[SAMPLE_SOURCE_SESSIONS] == 0 &&
           s->values[SAMPLE_TARGET_SESSIONS] == 0;
}

static bool new_run(const struct report_sample *a, const struct report_sample *b)
{
    bool grew = false;

    for (unsigned v = 0; v < SAMPLE_VALUES; v++)
        if (is_cumulative(v)) {
            if (b->values[v] < a->values[v])
                return true;
            grew |= b->values[v] > a->values[v];
        }
    /* A run that moved nothing cannot be told by its sums from the one after it: nobody was at work, and
     * nothing came of the time. */
    return b->wall_ms <= a->wall_ms || (is_at_rest(a) && is_at_rest(b) && !grew) ||
           (b->wall_ms - a->wall_ms > PAUSE_MS && is_at_rest(a));
}

static uint64_t moved(const struct report_sample *s)
{
    return s->values[SAMPLE_MESSAGES_FETCHED] + s->values[SAMPLE_MESSAGES_UPLOADED] + s->values[SAMPLE_BYTES_FETCHED] +
           s->values[SAMPLE_BYTES_UPLOADED];
}

/* Gives each point its share of what happened between two samples. */
static void spread_pair(struct report_timeline *course, const struct report_sample *a, const struct report_sample *b)
{
    double from = (double)(a->wall_ms - course->from_ms), to = (double)(b->wall_ms - course->from_ms);
    double step = (double)course->step_ms;
    unsigned point = from > 0 ? (unsigned)(from / step) : 0;

    for (; point < course->points && (double)point * step < to; point++) {
        double left = (double)point * step, right = left + step, shared;

        shared = (to < right ? to : right) - (from > left ? from : left);
        for (unsigned v = 0; v < SAMPLE_VALUES; v++)
            course->values[point][v] +=
                is_cumulative(v) ? (double)(b->values[v] - a->values[v]) * shared / (to - from) / (step / 1000.0)
                                 : ((double)a->values[v] + (double)b->values[v]) / 2.0 * shared / step;
    }
}

uint64_t report_timeline_spread(struct report_timeline *course, const struct report_sample *samples, size_t count,
                                int64_t started_ms)
{
    uint64_t active = 0, run = 0, before = 0;

    for (size_t i = 1; i < count; i++) {
        if (new_run(&samples[i - 1], &samples[i]) ||
            (samples[i - 1].wall_ms < started_ms && started_ms <= samples[i].wall_ms)) {
            active += moved(&samples[i - 1]) > before ? run : 0;
            run = 0;
            before = moved(&samples[i]);
            continue;
        }
        run += (uint64_t)(samples[i].wall_ms - samples[i - 1].wall_ms);
        spread_pair(course, &samples[i - 1], &samples[i]);
    }
    return active + (count && moved(&samples[count - 1]) > before ? run : 0);
}

struct samples {
    struct report_sample *rows;
    size_t count, room;
};

static bool each_sample(void *context, int64_t wall_ms, const uint64_t values[12])
{
    struct samples *s = context;

    if (s->count == SAMPLES_MAX)
        return false;
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 256;
        s->rows = mem_resize(s->rows, s->room, sizeof *s->rows);
    }
    s->rows[s->count].wall_ms = wall_ms;
    memcpy(s->rows[s->count++].values, values, sizeof s->rows->values);
    return true;
}

const char *report_timeline_name(unsigned value)
{
    static const char *const names[SAMPLE_VALUES] = {
        "messages_fetched_per_s", "bytes_fetched_per_s", "messages_uploaded_per_s",
        "bytes_uploaded_per_s",   "spool_held",          "spool_budget",
        "source_sessions",        "target_sessions",     "users_working",
        "throttled_per_s",        "mailboxes_held",      "tenant_rate"
    };

    assert(value < SAMPLE_VALUES);
    return names[value];
}

static const struct share *course_of(const struct report *r, unsigned shard)
{
    return report_merge_is_first(r, shard) ? r->parts[shard].given.share : NULL;
}

static bool load_samples(struct report *r, unsigned shard, struct samples *s, int64_t *from_r, int64_t *to_r,
                         struct err *err_r)
{
    const struct share *share = course_of(r, shard);

    *from_r = INT64_MAX;
    *to_r = INT64_MIN;
    if (r->parts[shard].left_out)
        return true;
    if (r->parts[shard].given.share) {
        if (share && !share_timeline_range(share, from_r, to_r)) {
            *from_r = INT64_MAX;
            *to_r = INT64_MIN;
        }
        return true;
    }
    if (!reader_samples(r->readers[shard], each_sample, s, err_r))
        return false;
    if (s->count > 1) {
        *from_r = s->rows[0].wall_ms;
        *to_r = s->rows[s->count - 1].wall_ms;
    }
    return true;
}

/* Returns for how long a run was going on. */
static uint64_t spread(struct report *r, unsigned shard, const struct samples *s)
{
    const struct share *share = course_of(r, shard);
    int64_t from, to;

    if (r->parts[shard].left_out)
        return 0;
    if (share)
        return share_timeline_range(share, &from, &to) ? share_timeline_spread(share, &r->course) : 0;
    return report_timeline_spread(&r->course, s->rows, s->count, r->parts[shard].started_ms);
}

bool report_timeline_load(struct report *r, struct err *err_r)
{
    struct samples *shards = mem_zero(r->shards, sizeof *shards);
    int64_t from = INT64_MAX, to = INT64_MIN;
    bool good = true;

    for (unsigned i = 0; good && i < r->shards; i++) {
        int64_t begin, end;

        good = load_samples(r, i, &shards[i], &begin, &end, err_r);
        from = begin < from ? begin : from;
        to = end > to ? end : to;
    }
    if (good && from < to) {
        uint64_t active = 0;

        report_timeline_range(&r->course, from, to);
        for (unsigned i = 0; i < r->shards; i++) {
            uint64_t one = spread(r, i, &shards[i]);

            active = one > active ? one : active;
        }
        r->course.active_ms = active;
    }
    for (unsigned i = 0; i < r->shards; i++)
        free(shards[i].rows);
    free(shards);
    return good;
}
