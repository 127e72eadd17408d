#include "engine/pace/daily.h"

#include "engine/pace/codec.h"

#include <string.h>

#define VERSION  1
#define HOUR_MS  INT64_C(3600000)
#define HOUR_MAX INT64_C(1000000000)

_Static_assert(DAILY_BYTES == 1 + 8 + DAILY_BINS * 8 + CODEC_SUM_BYTES, "record fits");

static unsigned bin(int64_t hour)
{
    return (unsigned)(hour % DAILY_BINS);
}

static int64_t hour_of(int64_t wall_ms)
{
    return (wall_ms > 0 ? wall_ms : 0) / HOUR_MS;
}

static uint64_t sum(const struct daily *d)
{
    uint64_t used = 0;

    for (unsigned i = 0; i < DAILY_BINS; i++)
        if (__builtin_add_overflow(used, d->bins[i], &used))
            return UINT64_MAX;
    return used;
}

static void turn(struct daily *d, int64_t wall_ms)
{
    int64_t hour = hour_of(wall_ms);

    /* A clock set back a little keeps counting in the hour it left; one set back by more than a day
     * was wrong before, and all that was read counts as read now. */
    if (d->hour - hour >= DAILY_BINS) {
        uint64_t used = sum(d);

        memset(d->bins, 0, sizeof(d->bins));
        d->hour = hour;
        d->bins[bin(hour)] = used;
    }
    if (hour - d->hour >= DAILY_BINS) {
        memset(d->bins, 0, sizeof(d->bins));
        d->hour = hour;
    }
    while (d->hour < hour)
        d->bins[bin(++d->hour)] = 0;
}

void daily_init(struct daily *d, uint64_t budget_bytes, int64_t wall_ms)
{
    memset(d, 0, sizeof(*d));
    d->budget_bytes = budget_bytes;
    d->hour = hour_of(wall_ms);
}

uint64_t daily_used(struct daily *d, int64_t wall_ms)
{
    turn(d, wall_ms);
    return sum(d);
}

int64_t daily_ask(struct daily *d, uint64_t bytes, int64_t wall_ms)
{
    uint64_t used;

    if (d->budget_bytes == 0)
        return 0;
    used = daily_used(d, wall_ms);
    if (bytes > d->budget_bytes)
        bytes = d->budget_bytes;
    /* The oldest bin falls out when the hour turns; how many must fall out tells the hour. */
    for (int64_t hours = 0; hours < DAILY_BINS; hours++) {
        if (used <= d->budget_bytes && bytes <= d->budget_bytes - used)
            return hours == 0 ? 0 : (d->hour + hours) * HOUR_MS;
        used -= d->bins[bin(d->hour + 1 + hours)];
    }
    return (d->hour + DAILY_BINS) * HOUR_MS;
}

void daily_spend(struct daily *d, uint64_t bytes, int64_t wall_ms)
{
    uint64_t *running;

    turn(d, wall_ms);
    running = &d->bins[bin(d->hour)];
    if (__builtin_add_overflow(*running, bytes, running))
        *running = UINT64_MAX;
}

void daily_encode(const struct daily *d, uint8_t out[DAILY_BYTES])
{
    struct codec c = { out };

    codec_put(&c, VERSION, 1);
    codec_put(&c, (uint64_t)d->hour, 8);
    for (unsigned i = 0; i < DAILY_BINS; i++)
        codec_put(&c, d->bins[i], 8);
    codec_seal(&c, out, DAILY_BYTES);
}

bool daily_decode(struct daily *d, const uint8_t *bytes, size_t size)
{
    struct codec_reader r;
    int64_t hour;

    if (!codec_open(&r, bytes, size, DAILY_BYTES, VERSION))
        return false;
    hour = (int64_t)codec_get(&r, 8);
    if (hour < 0 || hour > HOUR_MAX)
        return false;
    d->hour = hour;
    for (unsigned i = 0; i < DAILY_BINS; i++)
        d->bins[i] = codec_get(&r, 8);
    return true;
}
