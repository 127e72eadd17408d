/* One pass of a benchmark over a set of mail: so many connections log in as the batch's users, open folders read-only
 * and pull each message of the set once, as a run would (several FETCHes of several messages in flight), or one by one
 * at a fixed rate. Bodies are thrown away. Nothing is written anywhere, and no command that could is sent: LOGIN, LIST,
 * EXAMINE, UID FETCH of BODY.PEEK (the ladder's later forms under EXAMINE alone), LOGOUT.
 *
 * Visits and loops are engine/move's and io's; a pass is one team of loops.
 */
#ifndef ENGINE_BENCH_READ_BENCH_H
#define ENGINE_BENCH_READ_BENCH_H

#include "engine/bench/corpus.h"
#include "engine/bench/load.h"
#include "engine/bench/polite.h"
#include "engine/move/visit.h"
#include "engine/settings/settings.h"
#include "io/base/hist.h"

/* As a run asks (engine/move/pull_body.c). */
#define READ_BENCH_DEPTH     4u
#define READ_BENCH_PER_FETCH 20u
#define READ_BENCH_DEPTH_MAX 8u

/* Latencies in microseconds. What each one is:
 *   connect     TCP, with the name's look-up
 *   tls         the handshake
 *   login       from there on until logged in (greeting, CAPABILITY, the login, COMPRESS)
 *   list        LIST "" "*", from the command to its end
 *   select      EXAMINE, likewise
 *   first_byte  from when a FETCH was sent to the first byte of its first body
 *   message     from when its FETCH was sent (closed loop), or from when it was due (at a fixed rate), to its last byte
 *   own_delay   at a fixed rate: from when it was due until it was sent: what the client and the open folder cost
 */
enum read_bench_latency {
    READ_BENCH_CONNECT,
    READ_BENCH_TLS,
    READ_BENCH_LOGIN,
    READ_BENCH_LIST,
    READ_BENCH_SELECT,
    READ_BENCH_FIRST_BYTE,
    READ_BENCH_MESSAGE,
    READ_BENCH_OWN_DELAY,
    READ_BENCH_LATENCIES
};
const char *read_bench_latency_name(enum read_bench_latency kind); /* "first_byte" */

struct read_bench_hists {
    struct hist of[READ_BENCH_LATENCIES];
    struct hist by_class[CORPUS_CLASSES]; /* message, by the size */
};

enum read_bench_end {
    READ_BENCH_WHOLE, /* the set was read to its end */
    READ_BENCH_TIME,
    READ_BENCH_BYTES,
    READ_BENCH_STOPPED /* somebody asked for it */
};
const char *read_bench_end_name(enum read_bench_end end); /* "set", "time", "bytes", "stopped" */

struct read_bench_result {
    unsigned connections; /* asked for */
    unsigned connected;   /* most that stood at once */
    double seconds;       /* from when all stood or were turned away to the last message, or the cut */
    enum read_bench_end end;
    uint64_t messages, bytes;    /* read */
    uint64_t wire_bytes;         /* received on connections that ended in order, TLS and COMPRESS included */
    uint64_t again, again_bytes; /* of messages: had been read before in this benchmark */
    uint64_t missed;             /* of a set read to its end: did not come */
    uint64_t errors;             /* all, with these two: */
    uint64_t throttled;          /* answers that asked to slow down */
    uint64_t turned_away;        /* connections that were not let in */
    uint64_t logins;             /* beyond the first of each connection: other accounts' turns */
    double login_s;              /* what these took, of all connections together */
    uint64_t not_served;         /* at a fixed rate: were due, and not answered by the end */
    double held_s;               /* that polite held connections back */
    uint32_t round_trip_us;      /* the shortest seen; 0: none */
    struct load load;
    struct read_bench_hists latency;
    struct err err; /* the last one, when errors > 0 */
    char type[40];  /* its report type */
};
void read_bench_merge(struct read_bench_result *to, const struct read_bench_result *from);

/* A second of a pass. */
struct read_bench_second {
    double at_s; /* its end, since bodies are counted; the last one may be shorter than a second */
    double seconds;
    uint64_t messages, bytes, errors;
    unsigned connected;
    uint64_t p50_us, p99_us, max_us; /* message; 0: none came */
};

struct read_bench_plan {
    const struct visit_house *house;
    struct corpus_piece *const *pieces; /* user: an index of users */
    unsigned piece_count;
    const struct settings_user *const *users;
    unsigned user_count;
    unsigned connections, per_user, depth, per_fetch; /* 1.. */
    double rate;                                      /* messages a second, one FETCH each; 0: as fast as they come */
    double seconds;                                   /* no pass is longer */
    uint64_t bytes_max;                               /* nor has more; 0: no bound */
    unsigned loops;                                   /* threads, 1.. */
    struct polite *polite;
    bool (*stop)(void);                                                    /* asked a few times a second; may be NULL */
    void (*second)(void *context, const struct read_bench_second *second); /* on a thread of its own; may be NULL */
    void *context;
};

/* False when the team could not be had. *result_r is too large for a stack. */
bool read_bench_run(const struct read_bench_plan *plan, struct read_bench_result *result_r,
                    struct err *err_r) ERR_CHECK;

#endif
