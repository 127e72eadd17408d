/* What the steps of a benchmark say together, and what they do not: how many connections are worth having, and what
 * limits the rest. Pure arithmetic on what was measured; each sentence is one that the figures carry.
 */
#ifndef ENGINE_BENCH_VERDICT_H
#define ENGINE_BENCH_VERDICT_H

#include "engine/bench/stats.h"

#include <stdint.h>

#define VERDICT_TEXT_BYTES 600

struct verdict_step {
    unsigned asked, connected; /* connections; connected: the fewest that stood in a pass */
    struct stats rate;         /* bytes a second, of its passes */
    bool errors;               /* other than connections that were not let in: its rate is not used */
    char why[160];             /* then: the last one */
};

struct verdict_knee {
    unsigned connections; /* that were measured; 0: nothing was */
    bool known;           /* more, and fewer where there are, were shown to gain nothing, or to be slower */
    bool grows;           /* the largest number measured is faster than the one below: a limit was not seen */
    bool turned_away;     /* the server let in fewer than asked for */
    unsigned let_in;      /* then: the most that it let in */
    int step;             /* of the connections, or -1 */
    char text[VERDICT_TEXT_BYTES];
};

/* steps: ascending by asked, each number once. interrupted: not all of them, or not all repeats, were measured. A step
 * is taken for as fast as the fastest when it reaches VERDICT_NEAR of its mean, and the test does not tell them apart
 * or it reaches VERDICT_SAME. */
#define VERDICT_NEAR 0.95
#define VERDICT_SAME 0.98
#define VERDICT_P    0.05
void verdict_of_steps(const struct verdict_step *steps, unsigned count, bool interrupted, struct verdict_knee *knee_r);

/* How p is written: "p = 0.04", "p < 0.001". */
const char *verdict_p(double p, char out[16]);
/* A rate with its interval: "36.9 ± 1.2 MB/s", or "36.9 MB/s" where that is not known. */
const char *verdict_rate(const struct stats *bytes_per_s, char out[64]);

enum verdict_limit {
    VERDICT_NOT_KNOWN,
    VERDICT_NOT_REACHED, /* it still grew */
    VERDICT_OWN,         /* --max-rate or --latency-limit */
    VERDICT_CONNECTIONS, /* that the server lets in */
    VERDICT_CLIENT,      /* this machine's processors */
    VERDICT_ROUND_TRIP,  /* the line: each connection waits for it */
    VERDICT_LINE,        /* the line, or a bound of the server's in bytes a second */
    VERDICT_SERVER       /* its work for each message */
};
const char *verdict_limit_name(enum verdict_limit limit); /* "line" ... */

/* Of the step at the knee. */
struct verdict_facts {
    bool held;            /* polite held it back */
    bool one_step;        /* nothing to compare with */
    double seconds;       /* of its passes */
    double cpu_s, wait_s; /* of its loops; what they waited for a processor */
    unsigned loops;       /* at work at once */
    double machine;       /* 0..1, below 0: not known */
    unsigned processors;
    double round_trip_ms; /* 0: not known */
    double select_ms;     /* p50; 0: none */
    /* The same connections reading small messages alone and large ones alone, in bytes a second on the wire. */
    struct stats small, large;
    struct stats small_log, large_log; /* of the natural logarithms of the same: what disturbs a rate multiplies it */
#define VERDICT_SIZES_APART 4.0        /* less, and they tell nothing */
    double small_bytes, large_bytes;   /* mean size of these messages */
};
enum verdict_limit verdict_of_limit(const struct verdict_knee *knee, const struct verdict_facts *facts,
                                    char text_r[VERDICT_TEXT_BYTES]);

#endif
