#include "io/base/now.h"

#include <assert.h>
#include <stdbool.h>
#include <time.h>

static bool faked;
static uint64_t fake_ns;
static int64_t fake_wall_ms;

uint64_t now_ns(void)
{
    struct timespec ts;

    if (faked)
        return fake_ns;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t now_ms(void)
{
    return now_ns() / 1000000u;
}

int64_t now_wall_ms(void)
{
    struct timespec ts;

    if (faked)
        return fake_wall_ms;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void now_fake(uint64_t ns, int64_t wall_ms)
{
    faked = true;
    fake_ns = ns;
    fake_wall_ms = wall_ms;
}

void now_real(void)
{
    faked = false;
}

const char *now_rfc3339(int64_t wall_ms, char *out, unsigned cap)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;

    assert(cap >= 21);
    out[0] = '\0';
    if (wall_ms != 0 && gmtime_r(&seconds, &tm))
        strftime(out, cap, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return out;
}
