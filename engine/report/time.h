/* The time account in its written forms, shared by report and status. */
#ifndef ENGINE_REPORT_TIME_H
#define ENGINE_REPORT_TIME_H

#include "engine/move/stall.h"
#include "engine/report/emit.h"

/* One of the causes that stalled. */
struct report_stall {
    enum side side;
    enum stall_cause cause;
    uint64_t ms;
};
#define REPORT_STALLS_MAX (SIDE_COUNT * STALL_CAUSE_COUNT)

/* Those that lasted at all, the longest first; returns how many. */
unsigned report_stalls_sorted(const struct stalls *stalls, struct report_stall out[REPORT_STALLS_MAX]);
/* "source_s" ...: the names of enum time_kind. */
const char *report_time_name(unsigned kind);
/* "time": { "source_s": ..., "efficiency" }, in seconds, and "stalled_by": { "source": {
 * "SlowAnswer": seconds } , "target": {} }. */
void report_emit_time(struct emit *e, const uint64_t time_ms[6], const struct stalls *stalls);
/* Was any time of it not idle? Without, there is no efficiency to tell. */
bool report_time_known(const uint64_t time_ms[6]);
/* Of the time in which there was something to do, the part in which mail moved: 0..1. */
double report_efficiency(const uint64_t time_ms[6]);

#endif
