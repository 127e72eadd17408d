#include "store/writer.h"

#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "store/disk_full.h"
#include "store/gc.h"
#include "store/journal.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LET_GO_EVERY_MS    2000ull /* what is let go and needed again costs a page fault */
#define NS_PER_MS          1000000ull
#define BATCH_RECORDS      64u
#define BATCH_BYTES        (4ull << 20)
#define BATCH_RECORDS_MAX  1024u
#define BATCH_BYTES_MAX    (16ull << 20)
#define GATHER_NS          (4 * NS_PER_MS)
#define GATHER_UNASKED_NS  (500 * NS_PER_MS)
#define IDLE_NS            (10 * NS_PER_MS)
#define PATIENCE_MS        60000u
#define HOPELESS_MS        2000u /* for room that no upload can make, since the spool holds nothing */
#define DISK_FULL_WALK_MAX 4096u /* waiting operations looked at in one pass */
#define DISK_FULL_RETRY_NS (250 * NS_PER_MS)

enum rest { REST_AWAKE, REST_ASLEEP /* anything wakes */, REST_GATHERING /* only a full batch does */ };

struct writer {
    struct spool *spool;
    struct mpsc queue;
    int wake_fd;
    uint32_t patience_ms;
    _Alignas(64) _Atomic int rest;
    _Atomic uint64_t pressure_bytes, pressure_records;
    _Atomic bool stopping;
    /* The writer's thread alone: */
    struct store_op *first, **last; /* taken from the queue, not yet durable, in order */
    uint64_t waiting_records, waiting_bytes;
    unsigned urgent_count, asked_count;
    uint64_t committed_ns, tried_ns;
    bool gave_up; /* something was lost for want of room: disk_full_outlives_loss */
    bool dead;    /* nothing can be written any more; `why` */
    struct err why;
};

/* Not now_ns: tests turn that clock by hand, and nobody would wake a batch that waits. */
static uint64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct writer *writer_create(struct spool *spool)
{
    struct writer *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);

    if (!w)
        abort();
    *w = (struct writer){ .spool = spool, .patience_ms = PATIENCE_MS };
    assert(!spool->read_only);
    mpsc_init(&w->queue);
    w->last = &w->first;
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(w->wake_fd >= 0);
    return w;
}

void writer_destroy(struct writer **writer)
{
    struct writer *w = *writer;
    struct mpsc_node *node;

    if (!w)
        return;
    while (w->first) {
        struct store_op *op = w->first;

        w->first = op->next;
        store_op_free(op);
    }
    while ((node = mpsc_pop(&w->queue)) != NULL)
        store_op_free((struct store_op *)node);
    close(w->wake_fd);
    free(w);
    *writer = NULL;
}

void writer_set_patience(struct writer *writer, uint32_t wait_ms)
{
    writer->patience_ms = wait_ms;
}

static void wake(struct writer *w)
{
    static const uint64_t one = 1;

    /* Full means that a wake is already on its way. */
    if (write(w->wake_fd, &one, sizeof one) < 0)
        return;
}

void writer_stop(struct writer *writer)
{
    int saved = errno;

    atomic_store(&writer->stopping, true);
    wake(writer);
    errno = saved;
}

static bool urgent(const struct store_op *op)
{
    return op->done && (op->kind == STORE_OP_OPEN || op->kind == STORE_OP_FLUSH || op->kind == STORE_OP_META ||
                        op->kind == STORE_OP_REPAIR || op->kind == STORE_OP_DOOM);
}

static uint64_t records_of(const struct store_op *op)
{
    if (op->kind == STORE_OP_FOUND)
        return op->found.count + 1ull;
    if (op->kind == STORE_OP_END)
        return op->end.count + 1ull;
    if (op->kind == STORE_OP_UNANSWERED)
        return op->unanswered.count + 1ull;
    if (op->kind == STORE_OP_FOLLOW)
        return op->follow.count + 1ull;
    return 1;
}

static uint64_t cost_of(const struct store_op *op)
{
    uint64_t bytes = sizeof *op;

    if (op->kind == STORE_OP_CHUNK || op->kind == STORE_OP_SPOOLED)
        bytes += op->body.size;
    else if (op->kind == STORE_OP_META)
        bytes += op->meta.size;
    else if (op->kind == STORE_OP_FOUND)
        bytes += op->found.count * (sizeof *op->found.rows + (op->found.notes ? sizeof *op->found.notes : 0)) +
                 (op->text ? strlen(op->text) : 0);
    else if (op->kind == STORE_OP_END)
        bytes += op->end.count * sizeof *op->end.ends;
    else if (op->kind == STORE_OP_UNANSWERED)
        bytes += op->unanswered.count * sizeof *op->unanswered.uids;
    else if (op->kind == STORE_OP_FOLLOW)
        bytes += op->follow.count * sizeof *op->follow.all;
    return bytes;
}

void writer_submit(struct writer *writer, struct store_op *op)
{
    bool hurry = urgent(op);
    uint64_t bytes, records = records_of(op);
    int rest;

    op->since_ns = clock_ns();
    op->cost_bytes = cost_of(op);
    bytes = op->cost_bytes + atomic_fetch_add_explicit(&writer->pressure_bytes, op->cost_bytes, memory_order_relaxed);
    records += atomic_fetch_add_explicit(&writer->pressure_records, records, memory_order_relaxed);
    mpsc_push(&writer->queue, &op->node);
    /* A read-modify-write, not a load: it stands either before the writer's own change of `rest`,
     * which then sees the push, or after it, and then sees that the writer rests. */
    rest = atomic_fetch_or(&writer->rest, 0);
    if (rest == REST_ASLEEP ||
        (rest == REST_GATHERING && (hurry || records >= BATCH_RECORDS || bytes >= BATCH_BYTES))) {
        if (atomic_exchange(&writer->rest, REST_AWAKE) != REST_AWAKE)
            wake(writer);
    }
}

uint64_t writer_pressure(const struct writer *writer)
{
    return atomic_load_explicit(&writer->pressure_bytes, memory_order_relaxed);
}

/* err NULL: durable. */
static void answered(struct writer *w, struct store_op *op, const struct err *err)
{
    atomic_fetch_sub_explicit(&w->pressure_bytes, op->cost_bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&w->pressure_records, records_of(op), memory_order_relaxed);
    if (err && !op->done)
        log_err(LOG_WARN, "spool.lost", err);
    if (op->done)
        op->done(op, err);
    else
        store_op_free(op);
}

static void appended(struct writer *w, struct store_op *op)
{
    op->next = NULL;
    *w->last = op;
    w->last = &op->next;
    w->waiting_records += records_of(op);
    w->waiting_bytes += op->cost_bytes;
    w->urgent_count += urgent(op);
    w->asked_count += op->done != NULL;
}

/* Takes *at out of the list of those that wait. */
static struct store_op *removed(struct writer *w, struct store_op **at)
{
    struct store_op *op = *at;

    *at = op->next;
    if (w->last == &op->next)
        w->last = at;
    w->waiting_records -= records_of(op);
    w->waiting_bytes -= op->cost_bytes;
    w->urgent_count -= urgent(op);
    w->asked_count -= op->done != NULL;
    return op;
}

static void queue_taken(struct writer *w)
{
    struct mpsc_node *node;

    while ((node = mpsc_pop(&w->queue)) != NULL) {
        struct store_op *op = (struct store_op *)node;

        if (w->dead)
            answered(w, op, &w->why);
        else
            appended(w, op);
    }
}

static void rested(struct writer *w, enum rest how, uint64_t ns)
{
    struct pollfd fd = { .fd = w->wake_fd, .events = POLLIN };
    struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };
    uint64_t count;

    atomic_exchange(&w->rest, (int)how);
    if ((how == REST_GATHERING || mpsc_is_empty(&w->queue)) && !atomic_load(&w->stopping))
        ppoll(&fd, 1, &ts, NULL);
    atomic_exchange(&w->rest, REST_AWAKE);
    if (read(w->wake_fd, &count, sizeof count) < 0)
        return;
}

/* All that wait get the error. */
static void all_failed(struct writer *w, const struct err *err)
{
    while (w->first)
        answered(w, removed(w, &w->first), err);
}

static void died(struct writer *w, int rc)
{
    w->dead = true;
    if (rc == JOURNAL_ILLEGAL
            ? env_damaged(w->spool, &w->why, "a message is not in the state it should be", "write the spool")
            : env_error(w->spool, &w->why, rc, "write the spool"))
        return;
    log_err(LOG_ERROR, "spool.broken", &w->why);
    all_failed(w, &w->why);
}

/* LMDB reports a short write, which is how a full disk shows, as EIO. */
static bool means_full(struct writer *w, int rc)
{
    if (rc == ENOSPC || rc == EDQUOT || rc == MDB_MAP_FULL)
        return true;
    return rc == EIO && state_dir_is_full(&w->spool->state_dir, BATCH_BYTES_MAX);
}

static void commit_failed(struct writer *w, int rc)
{
    if (!means_full(w, rc)) {
        died(w, rc);
        return;
    }
    w->tried_ns = clock_ns();
    if (!atomic_load(&w->spool->draining)) {
        atomic_store(&w->spool->draining, true);
        log_line(LOG_WARN, "spool.full", "no space left: nothing is fetched until uploads made room");
        state_dir_ballast_drop(&w->spool->state_dir);
    }
    env_measure_fill(w->spool);
}

/* Applies operations from the front until the batch is full. Returns the journal's result;
 * *count_r: how many were applied whole. */
static int front_applied(struct writer *w, struct journal *j, unsigned *count_r)
{
    uint64_t records = 0, bytes = 0;

    *count_r = 0;
    for (struct store_op *op = w->first; op; op = op->next) {
        int rc;

        records += records_of(op);
        bytes += op->cost_bytes;
        if (*count_r && (records > BATCH_RECORDS_MAX || bytes > BATCH_BYTES_MAX))
            break;
        rc = journal_apply(j, op);
        if (rc == JOURNAL_MORE)
            break;
        if (rc)
            return rc;
        ++*count_r;
    }
    return 0;
}

/* One transaction from the front of the list. False when it failed; commit_failed was called. */
static bool front_committed(struct writer *w)
{
    struct journal j;
    unsigned count = 0;
    int rc = journal_begin(&j, w->spool);

    if (rc == 0) {
        rc = front_applied(w, &j, &count);
        if (rc == 0)
            rc = journal_commit(&j, now_wall_ms());
        else
            journal_abort(&j);
    }
    w->committed_ns = clock_ns();
    if (rc) {
        commit_failed(w, rc);
        return false;
    }
    env_measure_fill(w->spool);
    while (count-- > 0)
        answered(w, removed(w, &w->first), NULL);
    return true;
}

static bool may_pass(struct journal *j, const struct store_op *op, struct store_op *const *waiting,
                     unsigned waiting_count)
{
    if (disk_full_inserts(op))
        return false;
    for (unsigned i = 0; i < waiting_count; i++)
        if (disk_full_blocked_by(op, waiting[i]))
            return false;
    return op->kind != STORE_OP_END || journal_ends_legal(j, op);
}

/* On a full disk: what may pass is committed and answered. False when not even that was possible. */
static bool passing_committed(struct writer *w)
{
    struct store_op **waiting, **passing;
    unsigned waiting_count = 0, passing_count = 0, done;
    struct journal j;
    int rc = journal_begin(&j, w->spool);

    if (rc) {
        commit_failed(w, rc);
        return false;
    }
    waiting = mem_zero(DISK_FULL_WALK_MAX, sizeof(struct store_op *));
    passing = mem_zero(BATCH_RECORDS_MAX, sizeof(struct store_op *));
    for (struct store_op *op = w->first;
         op && waiting_count < DISK_FULL_WALK_MAX && passing_count < BATCH_RECORDS_MAX && !rc; op = op->next) {
        /* Refused in its turn: who flushes is told when nothing of it is under way any more. */
        if (w->gave_up && !disk_full_outlives_loss(op))
            continue;
        rc = may_pass(&j, op, waiting, waiting_count) ? journal_apply(&j, op) : JOURNAL_ILLEGAL;
        if (rc == 0) {
            passing[passing_count++] = op;
        } else if (rc == JOURNAL_ILLEGAL) {
            waiting[waiting_count++] = op;
            rc = 0;
        }
    }
    done = passing_count;
    if (rc == 0 && passing_count == 0) { /* nothing to write: no need to stir a full disk */
        journal_abort(&j);
        free(waiting);
        free(passing);
        return true;
    }
    if (rc == JOURNAL_MORE)
        rc = 0;
    if (rc == 0)
        rc = journal_commit(&j, now_wall_ms());
    else
        journal_abort(&j);
    w->committed_ns = clock_ns();
    if (rc == 0) {
        struct store_op **at = &w->first;

        for (unsigned i = 0; i < done; i++) {
            while (*at != passing[i])
                at = &(*at)->next;
            answered(w, removed(w, at), NULL);
        }
        env_measure_fill(w->spool);
    }
    free(waiting);
    free(passing);
    if (rc)
        commit_failed(w, rc);
    return rc == 0;
}

static void given_up(struct writer *w)
{
    uint64_t free_bytes = 0, disk_bytes, waiting = atomic_load(&w->pressure_bytes);
    uint64_t need_mb = (2 * waiting + STATE_DIR_BALLAST_BYTES) / 1000000 + 1;

    (void)state_dir_disk(&w->spool->state_dir, &free_bytes, &disk_bytes);
    err_set(&w->why, ERR_CLASS_TRANSIENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, ENOSPC,
            "no space left: %llu KB free, %llu KB wait to be written; free at least %llu MB for %s",
            (unsigned long long)free_bytes / 1000, (unsigned long long)(waiting + 999) / 1000,
            (unsigned long long)need_mb, w->spool->state_dir.folder);
    if (err_doing(&w->why, "write the spool"))
        return;
    w->gave_up = true;
    all_failed(w, &w->why);
}

static void drain_left(struct writer *w)
{
    if (w->gave_up)
        return;
    atomic_store(&w->spool->draining, false);
    log_line(LOG_INFO, "spool.room", "there is room again");
    state_dir_ballast_load(&w->spool->state_dir, w->spool->budget_config);
    env_measure_fill(w->spool);
}

static uint64_t patience_ms(const struct writer *w)
{
    /* Parts of bodies free nothing: only what is whole can be uploaded. */
    bool hopeless = w->patience_ms > HOPELESS_MS && !gc_holds_whole(w->spool);

    return hopeless ? HOPELESS_MS : w->patience_ms;
}

/* One round on a full disk. */
static void drained(struct writer *w)
{
    bool moved = passing_committed(w);
    bool stopping = atomic_load(&w->stopping);
    uint64_t now = clock_ns();

    if (w->dead)
        return;
    if (w->gave_up) {
        all_failed(w, &w->why);
        return;
    }
    if (moved && (stopping || now - w->tried_ns >= DISK_FULL_RETRY_NS)) {
        while (w->first && front_committed(w)) {
        }
        if (w->dead)
            return;
        if (!w->first) {
            drain_left(w);
            return;
        }
    }
    if (w->first && (stopping || clock_ns() - w->first->since_ns >= patience_ms(w) * NS_PER_MS)) {
        given_up(w);
        return;
    }
    rested(w, REST_ASLEEP, DISK_FULL_RETRY_NS / 5);
}

/* 0: commit now; else how long to let more gather. *how_r: what ends it sooner. */
static uint64_t gather_ns(const struct writer *w, enum rest *how_r)
{
    uint64_t now = clock_ns(), age = now - w->first->since_ns;

    *how_r = w->asked_count ? REST_GATHERING : REST_ASLEEP;
    if (w->waiting_records >= BATCH_RECORDS || w->waiting_bytes >= BATCH_BYTES || atomic_load(&w->stopping))
        return 0;
    /* What somebody waits for would have to wait for this one's commit first. */
    if (!w->asked_count)
        return age >= GATHER_UNASKED_NS ? 0 : GATHER_UNASKED_NS - age;
    if (w->urgent_count || now - w->committed_ns >= IDLE_NS || age >= GATHER_NS)
        return 0;
    return GATHER_NS - age;
}

void writer_run(struct writer *writer, void (*tick)(void *context), void *context, uint32_t tick_ms)
{
    uint64_t ticked = clock_ns(), let_go = ticked, pause = SPOOL_HEARTBEAT_MS * NS_PER_MS;

    if (tick && tick_ms * NS_PER_MS < pause)
        pause = (tick_ms ? tick_ms : 1) * NS_PER_MS;
    for (;;) {
        /* What a tick submits would keep the end away for ever where a commit lasts longer than its turn. */
        if (tick && !atomic_load(&writer->stopping) && clock_ns() - ticked >= tick_ms * NS_PER_MS) {
            ticked = clock_ns();
            if (ticked - let_go >= LET_GO_EVERY_MS * NS_PER_MS) {
                env_let_go(writer->spool);
                let_go = ticked;
            }
            tick(context);
        }
        queue_taken(writer); /* also what the tick submitted: else it would have a commit of its own */
        if (atomic_load(&writer->spool->draining) && !writer->dead && (writer->first || !writer->gave_up)) {
            if (writer->first)
                drained(writer);
            else
                drain_left(writer);
        } else if (writer->first) {
            enum rest how;
            uint64_t wait = gather_ns(writer, &how);

            if (wait)
                rested(writer, how, wait < pause ? wait : pause);
            else
                front_committed(writer);
        } else if (atomic_load(&writer->stopping)) {
            if (mpsc_is_empty(&writer->queue))
                return;
            sched_yield(); /* a submitter stands between its two stores */
        } else {
            rested(writer, REST_ASLEEP, pause);
            if (!writer->dead && mpsc_is_empty(&writer->queue) &&
                clock_ns() - writer->committed_ns >= SPOOL_HEARTBEAT_MS * NS_PER_MS)
                front_committed(writer);
        }
    }
}
