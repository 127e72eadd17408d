/* Between read_bench.c, which has connections and time, and read_bench_pull.c, which has folders and bodies. Included
 * by these two only.
 */
#ifndef ENGINE_BENCH_READ_BENCH_PRIVATE_H
#define ENGINE_BENCH_READ_BENCH_PRIVATE_H

#include "engine/bench/queue.h"
#include "engine/bench/read_bench.h"
#include "io/base/now.h"

#include <pthread.h>
#include <stdatomic.h>

struct part;

/* One connection. */
struct drainer {
    struct part *part;
    unsigned index; /* of the pass */
    unsigned user;
    bool joined; /* counted at the queue as the user's */
    struct visit *visit;
    struct loop_timer again; /* it waits: for leave to ask, or for the next message to be due */
    uint64_t since_us;       /* what it waits for began */
    bool stood, stands;      /* ever in this pass; now */
    bool answered;           /* it stood, or was turned away */
    bool listed;             /* LIST was measured */
    bool moves;              /* its visit ends, and another account's begins */
    const char *open;        /* the folder, or NULL */
    bool opening;
    struct corpus_piece *piece; /* being asked for; of the open folder, or about to be opened */
    unsigned next;              /* its first message that was not asked for */
    unsigned inflight;
};

struct part {
    struct read_bench *read_bench;
    unsigned index;
    struct loop *loop;
    struct visits *visits;
    struct drainer *drainers;
    unsigned count, open, turn;
    struct loop_timer tick;
    struct read_bench_result result;
    struct hist second; /* messages since the last tick */
    uint64_t second_messages, second_bytes;
    uint64_t told_errors;
    struct load_mark began;
    bool counting, ending;
    uint64_t last_us;  /* the last message came */
    uint64_t arrivals; /* at a fixed rate: sent or late */
};

struct read_bench {
    const struct read_bench_plan *plan;
    struct queue *queue;
    unsigned loops;
    atomic_uint unanswered; /* connections that neither stand nor were turned away */
    atomic_uint stand, stand_max;
    _Atomic uint64_t start_us; /* from when on bodies are asked for; 0: not yet */
    _Atomic uint64_t bytes;
    atomic_uint end;         /* enum read_bench_end; WHOLE until something else ends it */
    _Atomic uint64_t end_us; /* when that was */
    atomic_uint running;     /* parts */
    struct part *parts;
    pthread_mutex_t lock; /* of the rest */
    struct hist second;
    uint64_t messages, second_bytes, errors;
    bool failed;
    struct err err;
};

static inline uint64_t read_bench_now_us(void)
{
    return now_ns() / 1000;
}

/* A command failed: noted. True when the visit waits or ends because of it, as with a throttle answer; else the drainer
 * goes on with something else. */
bool read_bench_hurt(struct drainer *d, enum trouble_doing doing, const struct err *err);
bool read_bench_is_out(const struct drainer *d);
/* Its account has no more: another one's turn, or its end. */
void read_bench_move_on(struct drainer *d);

/* The next work of a connection that stands: a piece, a folder, messages. As often as wanted. */
void read_bench_go(struct drainer *d);
/* At a fixed rate: when this part's arrival number n was due. */
uint64_t read_bench_due_us(const struct part *part, uint64_t n);

#endif
