/* What the steps of a read benchmark say together. */
#include "engine/bench/read_bench.h"

#include <stdio.h>

#define GAIN_LEAST 1.10

static double rate(const struct read_bench_step *s)
{
    return s->seconds > 0 ? (double)s->bytes / s->seconds : 0;
}

unsigned read_bench_knee(const struct read_bench_step *steps, unsigned count,
                    char reason_r[READ_BENCH_REASON_BYTES])
{
    reason_r[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        if (steps[i].errors) {
            unsigned at = i ? steps[i - 1].connections : 0;

            snprintf(reason_r, READ_BENCH_REASON_BYTES,
                     "with %u connections the server answered with errors: %.100s",
                     steps[i].connections, steps[i].err.server_text);
            return at;
        }
        if (i + 1 < count && !steps[i + 1].errors &&
            rate(&steps[i + 1]) < rate(&steps[i]) * GAIN_LEAST) {
            snprintf(reason_r, READ_BENCH_REASON_BYTES,
                     "%u connections read %.1f MB/s, %u no more than %.1f MB/s",
                     steps[i].connections, rate(&steps[i]) / 1e6, steps[i + 1].connections,
                     rate(&steps[i + 1]) / 1e6);
            return steps[i].connections;
        }
    }
    if (count)
        snprintf(reason_r, READ_BENCH_REASON_BYTES,
                 "each step was faster than the one before: try more than %u",
                 steps[count - 1].connections);
    return count ? steps[count - 1].connections : 0;
}
