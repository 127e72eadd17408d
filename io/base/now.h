/* Time, replaceable in tests. Monotonic time includes suspend, so that a server's back-off hint is
 * not outlived by a sleeping laptop; wall time is for what people and journals read.
 */
#ifndef IO_BASE_NOW_H
#define IO_BASE_NOW_H

#include <stdint.h>

uint64_t now_ns(void); /* CLOCK_BOOTTIME */
uint64_t now_ms(void);
int64_t now_wall_ms(void); /* milliseconds since 1970-01-01 UTC */

/* From here on all three answer ns (wall: wall_ms), until now_real(). For tests of one thread. */
void now_fake(uint64_t ns, int64_t wall_ms);
void now_real(void);

/* RFC 3339 in UTC with seconds ("2026-11-24T03:50:11Z") into out[cap >= 21]; returns out.
 * wall_ms 0 gives "". */
const char *now_rfc3339(int64_t wall_ms, char *out, unsigned cap);

#endif
