/* The course of a batch out of the timeline samples of its shards. */
#ifndef ENGINE_REPORT_TIMELINE_H
#define ENGINE_REPORT_TIMELINE_H

#include "engine/report/report.h"

struct report_sample {
    int64_t wall_ms;
    uint64_t values[SAMPLE_VALUES];
};

/* "messages_fetched_per_s" ...: what the JSON calls a value (enum sample_value) of it. */
const char *report_timeline_name(unsigned value);

/* Fills report->course from all shards. */
bool report_timeline_load(struct report *report, struct err *err_r) ERR_CHECK;

/* The two halves of it. The range must be set (course_range) before the samples are spread. */
void report_timeline_range(struct report_timeline *course, int64_t from_ms, int64_t to_ms);
/* Samples of one shard in order of time; started_ms: when its last run began, 0 not known. Returns for how
 * many ms a run was going on. */
uint64_t report_timeline_spread(struct report_timeline *course, const struct report_sample *samples, size_t count,
                                int64_t started_ms);

#endif
