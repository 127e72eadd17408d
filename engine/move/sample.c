#include "engine/move/sample.h"

#include <assert.h>
#include <inttypes.h>

#define FIRST_WORD "live1"

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
    return buf_append_format(out, "%" PRIu32 " %" PRIu64 " %" PRId64 "\n", live->user,
                             live->bytes_per_s,
                             live->throttled_until_ms > 0 ? live->throttled_until_ms : 0);
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

    if (!slice_split(&value, '\n', &line) || !slice_split(&line, ' ', &word) ||
        !slice_equal(word, SLICE(FIRST_WORD)) || !number(&line, INT64_MAX, &wall) || line.size)
        return false;
    *wall_ms_r = (int64_t)wall;
    *rest_r = value;
    return true;
}

bool sample_live_next(struct slice *rest, struct sample_live *live_r)
{
    struct slice line;
    uint64_t user, rate, until;

    if (!slice_split(rest, '\n', &line) || !number(&line, UINT32_MAX, &user) ||
        !number(&line, UINT64_MAX, &rate) || !number(&line, INT64_MAX, &until) || line.size)
        return false;
    *live_r = (struct sample_live){ (uint32_t)user, rate, (int64_t)until };
    return true;
}
