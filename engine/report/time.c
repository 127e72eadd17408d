#include "engine/report/time.h"

#include "engine/settings/side.h"
#include "store/record.h"

#include <assert.h>
#include <stdlib.h>

static const char *const names[] = { "source_s",         "target_s",         "throttled_s",
                                     "stalled_source_s", "stalled_target_s", "idle_s" };

static int longest_first(const void *a, const void *b)
{
    const struct report_stall *x = a, *y = b;

    if (x->ms != y->ms)
        return x->ms < y->ms ? 1 : -1;
    return (int)(x->side * STALL_CAUSE_COUNT + x->cause) - (int)(y->side * STALL_CAUSE_COUNT + y->cause);
}

unsigned report_stalls_sorted(const struct stalls *stalls, struct report_stall out[REPORT_STALLS_MAX])
{
    unsigned n = 0;

    for (enum side side = 0; side < SIDE_COUNT; side++)
        for (enum stall_cause i = STALL_NONE + 1; i < STALL_CAUSE_COUNT; i++)
            if (stalls->ms[side][i])
                out[n++] = (struct report_stall){ side, i, stalls->ms[side][i] };
    qsort(out, n, sizeof *out, longest_first);
    return n;
}

const char *report_time_name(unsigned kind)
{
    assert(kind < sizeof names / sizeof *names);
    return names[kind];
}

static uint64_t not_idle(const uint64_t time_ms[6])
{
    return time_ms[TIME_SOURCE] + time_ms[TIME_TARGET] + time_ms[TIME_THROTTLED] + time_ms[TIME_STALLED_SOURCE] +
           time_ms[TIME_STALLED_TARGET];
}

bool report_time_known(const uint64_t time_ms[6])
{
    return not_idle(time_ms) > 0;
}

double report_efficiency(const uint64_t time_ms[6])
{
    uint64_t all = not_idle(time_ms);

    return all ? (double)(time_ms[TIME_SOURCE] + time_ms[TIME_TARGET]) / (double)all : 0;
}

void report_emit_time(struct emit *e, const uint64_t time_ms[6], const struct stalls *stalls)
{
    struct report_stall list[REPORT_STALLS_MAX];
    unsigned n = report_stalls_sorted(stalls, list);

    emit_object(e, "time");
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        emit_real(e, names[i], (double)time_ms[i] / 1000.0);
    emit_real(e, "efficiency", report_efficiency(time_ms));
    emit_end_object(e);
    emit_object(e, "stalled_by");
    for (enum side side = 0; side < SIDE_COUNT; side++) {
        emit_object(e, side_name(side));
        for (unsigned i = 0; i < n; i++)
            if (list[i].side == side)
                emit_real(e, stall_name(list[i].cause), (double)list[i].ms / 1000.0);
        emit_end_object(e);
    }
    emit_end_object(e);
}
