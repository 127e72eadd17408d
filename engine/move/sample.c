#include "engine/move/sample.h"

#include <assert.h>
#include <inttypes.h>

#define SAMPLES_APART_MS 600000 /* the store thins out what is old */
#define FIRST_WORD       "live1"

void sample_live_begin(struct buf *out, int64_t wall_ms)
{
    bool fits;

    assert(out->size == 0 && wall_ms >= 0);
    fits = buf_append_format(out, FIRST_WORD " %" PRId64 "\n", wall_ms);
    assert(fits);
    (void)fits;
}

bool sample_live_add(struct buf *out, const struct sample_live *live)
{
    return buf_append_format(out, "%" PRIu32 " %" PRIu64 " %" PRId64 " %" PRIu64 " %" PRIu64 "\n", live->user,
                             live->bytes_per_s, live->throttled_until_ms > 0 ? live->throttled_until_ms : 0,
                             live->silent_ms[SIDE_SOURCE], live->silent_ms[SIDE_TARGET]);
}

static bool number(struct slice *line, uint64_t max, uint64_t *value_r)
{
    struct slice word;

    return slice_split(line, ' ', &word) && slice_u64(word, value_r) && *value_r <= max;
}

bool sample_live_open(struct slice value, int64_t *wall_ms_r, struct slice *rest_r)
{
    struct slice line, word;
    uint64_t wall;

    if (!slice_split(&value, '\n', &line) || !slice_split(&line, ' ', &word) || !slice_equal(word, SLICE(FIRST_WORD)) ||
        !number(&line, INT64_MAX, &wall) || line.size)
        return false;
    *wall_ms_r = (int64_t)wall;
    *rest_r = value;
    return true;
}

bool sample_live_next(struct slice *rest, struct sample_live *live_r)
{
    struct slice line;
    uint64_t user, rate, until, silent[SIDE_COUNT] = { 0, 0 };

    if (!slice_split(rest, '\n', &line) || !number(&line, UINT32_MAX, &user) || !number(&line, UINT64_MAX, &rate) ||
        !number(&line, INT64_MAX, &until))
        return false;
    /* Earlier versions wrote no silence. */
    if (line.size && (!number(&line, UINT64_MAX, &silent[SIDE_SOURCE]) ||
                      !number(&line, UINT64_MAX, &silent[SIDE_TARGET]) || line.size))
        return false;
    *live_r =
        (struct sample_live){ (uint32_t)user, rate, (int64_t)until, { silent[SIDE_SOURCE], silent[SIDE_TARGET] } };
    return true;
}

static void side_end(struct sample_side *s)
{
    if (s->to_ms > s->from_ms) {
        s->ms += (uint64_t)(s->to_ms - s->from_ms);
        s->messages += s->seen[0] - s->base[0];
        s->bytes += s->seen[1] - s->base[1];
    }
    s->from_ms = s->to_ms = 0;
}

static bool side_fell(const struct sample_side *s, uint64_t messages, uint64_t bytes)
{
    return messages < s->seen[0] || bytes < s->seen[1];
}

/* last_ms: of the sample before in the same run; 0: this is its first. */
static void side_add(struct sample_side *s, int64_t last_ms, int64_t wall_ms, uint64_t messages, uint64_t bytes)
{
    if (last_ms == 0) {
        s->base[0] = messages;
        s->base[1] = bytes;
    } else if (messages > s->seen[0]) {
        if (s->from_ms == 0)
            s->from_ms = last_ms;
        s->to_ms = wall_ms;
    }
    s->seen[0] = messages;
    s->seen[1] = bytes;
}

void sample_rates_add(struct sample_rates *r, int64_t wall_ms, const uint64_t values[SAMPLE_VALUES])
{
    /* A run that moved nothing leaves no smaller value behind it, but a gap. */
    if ((r->last_ms && wall_ms - r->last_ms > SAMPLES_APART_MS) ||
        side_fell(&r->fetched, values[SAMPLE_MESSAGES_FETCHED], values[SAMPLE_BYTES_FETCHED]) ||
        side_fell(&r->uploaded, values[SAMPLE_MESSAGES_UPLOADED], values[SAMPLE_BYTES_UPLOADED])) {
        sample_rates_end(r);
        r->last_ms = 0;
    }
    side_add(&r->fetched, r->last_ms, wall_ms, values[SAMPLE_MESSAGES_FETCHED], values[SAMPLE_BYTES_FETCHED]);
    side_add(&r->uploaded, r->last_ms, wall_ms, values[SAMPLE_MESSAGES_UPLOADED], values[SAMPLE_BYTES_UPLOADED]);
    r->last_ms = wall_ms;
}

void sample_rates_end(struct sample_rates *r)
{
    side_end(&r->fetched);
    side_end(&r->uploaded);
}
