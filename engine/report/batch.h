/* The facts of a report's batch: its name, how it stands, from when until when it was at work, how it ended. Of several
 * parts those of the whole.
 */
#ifndef ENGINE_REPORT_BATCH_H
#define ENGINE_REPORT_BATCH_H

#include "engine/report/report.h"

/* Fills report->batch and what the parts that count say of themselves. The users must be loaded: of a run that was
 * killed nobody works on them any more. Errors: as spool_meta_get's. */
bool report_batch_load(struct report *report, struct err *err_r) ERR_CHECK;

#endif
