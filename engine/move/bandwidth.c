#include "engine/move/bandwidth.h"

#include <time.h>

#define LOOK_MS         1000u
#define AHEAD_NS        100000000u /* what may be moved before its time */
#define PIECE_MIN       4096u
#define PIECE_MAX       65536u
#define PIECES_A_SECOND 32u

static uint64_t limit_at(const struct settings_bandwidths *limits, unsigned minute)
{
    for (unsigned i = 0; i < limits->count; i++)
        if (settings_window_open(&limits->all[i].window, minute))
            return limits->all[i].bytes_per_s;
    return 0;
}

void bandwidth_init(struct bandwidth *b, const struct settings_bandwidths *limits)
{
    b->limits = limits;
    atomic_init(&b->bytes_per_s, 0);
    atomic_init(&b->looked_ms, 0);
    atomic_init(&b->free_ns, 0);
}

uint64_t bandwidth_now(struct bandwidth *b, uint64_t now_ms)
{
    uint64_t looked = atomic_load_explicit(&b->looked_ms, memory_order_relaxed);
    time_t clock;
    struct tm tm;

    if (b->limits->count == 0)
        return 0;
    /* One of the threads looks. */
    if ((looked == 0 || now_ms >= looked + LOOK_MS) &&
        atomic_compare_exchange_strong(&b->looked_ms, &looked, now_ms ? now_ms : 1)) {
        clock = time(NULL);
        if (localtime_r(&clock, &tm))
            atomic_store(&b->bytes_per_s, limit_at(b->limits, (unsigned)(tm.tm_hour * 60 + tm.tm_min)));
    }
    return atomic_load_explicit(&b->bytes_per_s, memory_order_relaxed);
}

uint32_t bandwidth_book(struct bandwidth *b, size_t bytes, uint64_t now_ns)
{
    uint64_t rate, free_ns, from, to, wait_ms;

    if (!b || bytes == 0 || (rate = bandwidth_now(b, now_ns / 1000000)) == 0)
        return 0;
    free_ns = atomic_load(&b->free_ns);
    do {
        from = free_ns > now_ns ? free_ns : now_ns;
        /* Booked at a lower limit than now's. */
        if (from > now_ns + BANDWIDTH_WAIT_MAX_MS * 1000000ull)
            from = now_ns + BANDWIDTH_WAIT_MAX_MS * 1000000ull;
        to = from + (uint64_t)bytes * 1000000000ull / rate;
    } while (!atomic_compare_exchange_weak(&b->free_ns, &free_ns, to));
    if (to <= now_ns + AHEAD_NS)
        return 0;
    wait_ms = (to - now_ns - AHEAD_NS) / 1000000 + 1;
    return wait_ms < BANDWIDTH_WAIT_MAX_MS ? (uint32_t)wait_ms : BANDWIDTH_WAIT_MAX_MS;
}

size_t bandwidth_piece(struct bandwidth *b, uint64_t now_ms)
{
    uint64_t rate = b ? bandwidth_now(b, now_ms) : 0;

    return rate == 0                            ? SIZE_MAX
           : rate / PIECES_A_SECOND < PIECE_MIN ? PIECE_MIN
           : rate / PIECES_A_SECOND > PIECE_MAX ? PIECE_MAX
                                                : (size_t)(rate / PIECES_A_SECOND);
}
