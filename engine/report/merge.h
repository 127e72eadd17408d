/* What stands in the way of adding up several state folders and reports: parts of one batch from
 * before it was divided otherwise, and users that are in two of them. Each is left out and named.
 */
#ifndef ENGINE_REPORT_MERGE_H
#define ENGINE_REPORT_MERGE_H

#include "engine/report/report.h"

/* Fills report->parts out of states, those with something to read first; a report of several state
 * folders becomes as many parts. */
void report_merge_parts(struct report *report, const struct report_state *states, unsigned count);
/* What decides which of two is left out: each part's batch and its last sign of life. Errors: as
 * spool_meta_get's. */
bool report_merge_identify(struct report *report, struct err *err_r) ERR_CHECK;
/* Is it the first that counts of the parts of its JSON report? What such a report tells only once, of all its
 * parts together, is taken with it. True of a state folder that counts. */
bool report_merge_is_first(const struct report *report, unsigned part);
/* Before the users are loaded: leaves out shards of another division of a batch than its newest. */
void report_merge_stale(struct report *report);
/* Once they are: of each address the one row that was at work last stays. A part that has none left
 * is left out. */
void report_merge_users(struct report *report);
/* Once they are divided: names the reports of shards that were not at work when others of the batch were. */
void report_merge_old(struct report *report);
/* "duplicates": [ ... ] for JSON. */
void report_merge_emit(struct emit *e, const struct report *report);
void report_merge_deinit(struct report *report);

#endif
