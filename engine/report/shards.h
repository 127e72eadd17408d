/* What a report says of the shards of a batch: which of them have ended, which are at work, and which
 * have no state folder yet, so that nobody takes a part for the whole.
 */
#ifndef ENGINE_REPORT_SHARDS_H
#define ENGINE_REPORT_SHARDS_H

#include "engine/report/emit.h"
#include "io/base/buf.h"

struct report;
struct report_shard;

/* Nothing was done in it but looking. */
bool report_shard_is_untouched(const struct report_shard *shard);
/* Fills report->divisions, the parts' places in them and report->missing, once it is known which parts count. */
void report_shards_divide(struct report *report);
/* Parts that count. */
unsigned report_shards_counted(const struct report *report);
/* Is one among them that was at work when its report was written? How it stands now nobody knows. */
bool report_shards_unheard(const struct report *report);
void report_shards_say_unheard(const struct report *report, struct buf *out);
/* Appends " Shards 3 and 5-7 of 10 have no state folder ..." where some have none. What does not fit is
 * left out. */
void report_shards_say_missing(const struct report *report, struct buf *out);
/* "5: 3 ended, 1 at work (2), ...", of division i (from 0 to division_count - 1); with the state folder's
 * name where there are several. Terminated in out[cap]; returns out. */
const char *report_shards_line(const struct report *report, unsigned i, char *out, size_t cap);
/* "states": [ ... ] for JSON: each state folder, also those that are missing. */
void report_shards_emit(struct emit *e, const struct report *report);

#endif
