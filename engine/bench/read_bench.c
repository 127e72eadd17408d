#include "engine/bench/read_bench_private.h"
#include "io/base/mem.h"
#include "io/team.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BEGIN_LOOK_MS  5u
#define TICK_MS        20u
#define RATE_TICK_MS   1u
#define LOGIN_LIMIT_MS 60000u
#define SECOND_US      1000000u
#define ASLEEP_NS      20000000

static const char *const latency_names[READ_BENCH_LATENCIES] = {
    "connect", "tls", "login", "list", "select", "first_byte", "message", "own_delay",
};

const char *read_bench_latency_name(enum read_bench_latency kind)
{
    return latency_names[kind];
}

const char *read_bench_end_name(enum read_bench_end end)
{
    static const char *const names[] = { "set", "time", "bytes", "stopped" };

    return names[end];
}

static void note_error(struct drainer *d, const struct err *err, const char *type)
{
    struct read_bench_result *r = &d->part->result;

    if (d->part->ending)
        return;
    r->errors++;
    r->throttled += err->class == ERR_CLASS_THROTTLED;
    r->err = *err;
    snprintf(r->type, sizeof r->type, "%s", type);
}

bool read_bench_hurt(struct drainer *d, enum trouble_doing doing, const struct err *err)
{
    note_error(d, err, trouble_type(doing, FAILURE_SOURCE, err));
    if (err->class != ERR_CLASS_THROTTLED)
        return false;
    visit_failed(d->visit, doing, err);
    return true;
}

bool read_bench_is_out(const struct drainer *d)
{
    return d->part->ending || d->moves || !d->visit || !visit_is_ready(d->visit);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void answered(struct drainer *d)
{
    if (d->answered)
        return;
    d->answered = true;
    atomic_fetch_sub(&d->part->read_bench->unanswered, 1);
}

static void stands(struct drainer *d, bool now)
{
    struct read_bench *read_bench = d->part->read_bench;
    unsigned count, most;

    if (d->stands == now)
        return;
    d->stands = now;
    if (!now) {
        atomic_fetch_sub(&read_bench->stand, 1);
        return;
    }
    count = atomic_fetch_add(&read_bench->stand, 1) + 1;
    most = atomic_load(&read_bench->stand_max);
    while (count > most && !atomic_compare_exchange_weak(&read_bench->stand_max, &most, count))
        ;
}

static void list_row(void *context, const struct imap_list_row *r)
{
    (void)context;
    (void)r;
}

static void list_ended(void *context, const struct err *err)
{
    struct drainer *d = context;

    if (!err)
        hist_add(&d->part->result.latency.of[READ_BENCH_LIST], read_bench_now_us() - d->since_us);
    answered(d);
    if (!read_bench_is_out(d) && (!err || !read_bench_hurt(d, TROUBLE_LIST, err)))
        read_bench_go(d);
}

static void measure_login(struct drainer *d)
{
    struct read_bench_result *r = &d->part->result;
    uint64_t us = read_bench_now_us() - d->since_us, before;
    uint32_t round_trip = visit_round_trip_us(d->visit);
    struct stream_facts facts;

    visit_facts(d->visit, &facts);
    before = (uint64_t)facts.dns_us + facts.tcp_us + facts.tls_us;
    hist_add(&r->latency.of[READ_BENCH_CONNECT], (uint64_t)facts.dns_us + facts.tcp_us);
    if (facts.tls_us)
        hist_add(&r->latency.of[READ_BENCH_TLS], facts.tls_us);
    hist_add(&r->latency.of[READ_BENCH_LOGIN], us > before ? us - before : 0);
    polite_took(d->part->read_bench->plan->polite, read_bench_now_us(), us > before ? us - before : 0);
    if (round_trip && (!r->round_trip_us || round_trip < r->round_trip_us))
        r->round_trip_us = round_trip;
    if (d->part->counting) {
        r->logins++;
        r->login_s += (double)us / 1e6;
    }
}

static void ready(void *context)
{
    struct drainer *d = context;

    stands(d, true);
    if (d->since_us)
        measure_login(d);
    d->since_us = read_bench_now_us();
    d->stood = true;
    d->open = NULL;
    d->opening = false;
    if (d->listed) {
        answered(d);
        read_bench_go(d);
        return;
    }
    d->listed = true;
    source_list(visit_source(d->visit), SESSION_LIST_PLAIN, SLICE("*"), 0, list_row, NULL, list_ended, d);
}

static void waits(void *context)
{
    struct drainer *d = context;

    stands(d, false);
    d->since_us = 0; /* how long a wait lasts is no login */
    answered(d);
}

static void leave(struct drainer *d)
{
    if (d->joined)
        queue_leave(d->part->read_bench->queue, d->user);
    d->joined = false;
}

static void over(void *context, const struct err *err, const char *type);
static const struct visit_events events = { .ready = ready, .waits = waits, .over = over };

/* Logs in as the next account. False: there is none. */
static bool begin(struct drainer *d, bool first)
{
    const struct read_bench_plan *plan = d->part->read_bench->plan;

    if (!queue_join(d->part->read_bench->queue, first, &d->user))
        return false;
    d->joined = true;
    d->since_us = read_bench_now_us();
    d->visit = visit_start(d->part->visits, SIDE_SOURCE, plan->users[d->user], &events, d);
    return true;
}

/* What it received is counted while the connection is still there. */
static void count_wire(struct drainer *d)
{
    struct stream_facts facts;

    if (!d->visit)
        return;
    visit_facts(d->visit, &facts);
    d->part->result.wire_bytes += facts.bytes_in;
}

void read_bench_move_on(struct drainer *d)
{
    count_wire(d);
    d->moves = true;
    leave(d);
    visit_end(d->visit);
}

static void gone(struct drainer *d)
{
    leave(d);
    if (--d->part->open == 0)
        loop_stop(d->part->loop);
}

static void over(void *context, const struct err *err, const char *type)
{
    struct drainer *d = context;
    bool moves = d->moves && !d->part->ending;

    answered(d);
    stands(d, false);
    loop_timer_clear(d->part->loop, &d->again);
    d->visit = NULL;
    d->piece = NULL;
    d->moves = false;
    if (err) {
        note_error(d, err, type);
        if (strcmp(type, "ConnectionLimit") == 0 && !d->stood)
            d->part->result.turned_away++;
        d->stood = true; /* its end is told */
    }
    if (!moves || !begin(d, false))
        gone(d);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void count_not_served(struct part *part)
{
    uint64_t now = read_bench_now_us(), due = part->arrivals;

    if (part->read_bench->plan->rate <= 0 || !part->counting)
        return;
    while (read_bench_due_us(part, due) <= now)
        due++;
    part->result.not_served = due > part->result.messages ? due - part->result.messages : 0;
}

/* What is known of those that never stood: it was turned away, or had no answer in a minute. An end that somebody asked
 * for tells nothing of the others. */
static void note_not_let_in(struct part *part)
{
    bool asked_for = atomic_load(&part->read_bench->end) == READ_BENCH_STOPPED;
    struct err err;

    for (unsigned i = 0; i < part->count; i++) {
        struct drainer *d = &part->drainers[i];

        if (!d->visit || d->stood)
            continue;
        if (d->answered) {
            part->result.turned_away++;
        } else if (!asked_for) {
            err_set(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_PROTOCOL, 0,
                    "no answer to a login by the end of the pass");
            note_error(d, &err, "ConnectFailed");
        }
    }
}

static void part_ends(struct part *part)
{
    if (part->ending)
        return;
    note_not_let_in(part);
    count_not_served(part);
    part->ending = true;
    part->counting = false;
    for (unsigned i = 0; i < part->count; i++) {
        struct drainer *d = &part->drainers[i];

        loop_timer_clear(part->loop, &d->again);
        if (!d->visit)
            continue;
        if (!d->moves)
            count_wire(d);
        visit_end(d->visit);
    }
}

/* The set is handed out, and those that are left here only wait to be let in. */
static bool is_done(const struct part *part)
{
    if (!part->counting || queue_left(part->read_bench->queue))
        return false;
    for (unsigned i = 0; i < part->count; i++)
        if (part->drainers[i].visit && (part->drainers[i].stands || part->drainers[i].piece))
            return false;
    return true;
}

/* When the pass's time began; 0: not yet. A slow login is none of it, and no limit of the server's. */
static uint64_t begins(struct read_bench *read_bench, uint64_t asked_us, uint64_t now)
{
    bool all = atomic_load(&read_bench->unanswered) == 0, late = now - asked_us >= LOGIN_LIMIT_MS * 1000ull;
    uint64_t none = 0;

    if (atomic_load(&read_bench->stand) > 0 && (all || late))
        atomic_compare_exchange_strong(&read_bench->start_us, &none, now);
    return atomic_load(&read_bench->start_us);
}

static void ends(struct read_bench *read_bench, enum read_bench_end why)
{
    unsigned whole = READ_BENCH_WHOLE;

    if (atomic_compare_exchange_strong(&read_bench->end, &whole, why))
        atomic_store(&read_bench->end_us, read_bench_now_us());
}

static void look_at_bounds(struct read_bench *read_bench, uint64_t asked_us, uint64_t start_us, uint64_t now)
{
    const struct read_bench_plan *plan = read_bench->plan;

    if (plan->stop && plan->stop())
        ends(read_bench, READ_BENCH_STOPPED);
    else if (start_us ? (double)(now - start_us) >= plan->seconds * 1e6 : now - asked_us >= LOGIN_LIMIT_MS * 1000ull)
        ends(read_bench, READ_BENCH_TIME);
    else if (plan->bytes_max && atomic_load_explicit(&read_bench->bytes, memory_order_relaxed) >= plan->bytes_max)
        ends(read_bench, READ_BENCH_BYTES);
}

/* What came since the last tick, for the one who shows it. */
static void hand_over(struct part *part)
{
    struct read_bench *read_bench = part->read_bench;

    if (part->second_messages == 0 && part->second_bytes == 0 && part->result.errors == part->told_errors)
        return;
    pthread_mutex_lock(&read_bench->lock);
    hist_merge(&read_bench->second, &part->second);
    read_bench->messages += part->second_messages;
    read_bench->second_bytes += part->second_bytes;
    read_bench->errors += part->result.errors - part->told_errors;
    pthread_mutex_unlock(&read_bench->lock);
    memset(&part->second, 0, sizeof part->second);
    part->second_messages = part->second_bytes = 0;
    part->told_errors = part->result.errors;
}

static void counting_begins(struct part *part)
{
    part->counting = true;
    load_mark_thread(&part->began);
    for (unsigned i = 0; i < part->count; i++)
        if (part->drainers[i].visit)
            read_bench_go(&part->drainers[i]);
}

static void tick(void *context)
{
    struct part *part = context;
    struct read_bench *read_bench = part->read_bench;
    uint64_t now = read_bench_now_us(), start;

    if (part->ending)
        return;
    start = begins(read_bench, part->last_us, now);
    if (start && !part->counting) {
        part->last_us = start;
        counting_begins(part);
    }
    hand_over(part);
    look_at_bounds(read_bench, part->last_us, start, now);
    if (atomic_load(&read_bench->end) != READ_BENCH_WHOLE || is_done(part)) {
        part_ends(part);
        return;
    }
    loop_timer_set(part->loop, &part->tick,
                   !start                       ? BEGIN_LOOK_MS
                   : read_bench->plan->rate > 0 ? RATE_TICK_MS
                                                : TICK_MS,
                   tick, part);
}

/* ---- the team -------------------------------------------------------------------------------- */

static void part_finish(struct part *part)
{
    struct load_mark now;

    if (part->began.ns) {
        load_mark_thread(&now);
        load_add_thread(&part->result.load, &part->began, &now);
    }
    hand_over(part);
}

static void part_run(struct part *part)
{
    struct err err;

    if (!loop_create(&part->loop, &err)) {
        pthread_mutex_lock(&part->read_bench->lock);
        part->read_bench->failed = true;
        part->read_bench->err = err;
        pthread_mutex_unlock(&part->read_bench->lock);
        return;
    }
    part->visits = visits_create(part->read_bench->plan->house, part->loop);
    part->last_us = read_bench_now_us();
    part->open = part->count;
    for (unsigned i = 0; i < part->count; i++) {
        struct drainer *d = &part->drainers[i];

        d->part = part;
        d->index = part->index + i * part->read_bench->loops;
        if (!begin(d, true)) {
            answered(d);
            d->stood = true;
            part->open--;
        }
    }
    loop_timer_set(part->loop, &part->tick, 0, tick, part);
    if (part->open)
        loop_run(part->loop);
    part_finish(part);
    loop_timer_clear(part->loop, &part->tick);
    visits_destroy(&part->visits);
    loop_destroy(&part->loop);
}

static void tell_second(struct read_bench *read_bench, uint64_t since_us, uint64_t now)
{
    struct read_bench_second s = { .at_s = (double)(now - atomic_load(&read_bench->start_us)) / 1e6,
                                   .seconds = (double)(now - since_us) / 1e6,
                                   .connected = atomic_load(&read_bench->stand) };

    pthread_mutex_lock(&read_bench->lock);
    s.messages = read_bench->messages;
    s.bytes = read_bench->second_bytes;
    s.errors = read_bench->errors;
    s.p50_us = hist_quantile(&read_bench->second, 50);
    s.p99_us = hist_quantile(&read_bench->second, 99);
    s.max_us = read_bench->second.max;
    memset(&read_bench->second, 0, sizeof read_bench->second);
    read_bench->messages = read_bench->second_bytes = read_bench->errors = 0;
    pthread_mutex_unlock(&read_bench->lock);
    read_bench->plan->second(read_bench->plan->context, &s);
}

/* Thread 0 has no loop: it tells how it goes. */
static void look_on(struct read_bench *read_bench)
{
    static const struct timespec asleep = { .tv_nsec = ASLEEP_NS };
    uint64_t told = 0;

    while (atomic_load(&read_bench->running)) {
        uint64_t start = atomic_load(&read_bench->start_us), now;

        nanosleep(&asleep, NULL);
        now = read_bench_now_us();
        if (!start || !read_bench->plan->second)
            continue;
        if (!told)
            told = start;
        if (now - told >= SECOND_US) {
            tell_second(read_bench, told, now);
            told = now;
        }
    }
    if (told && read_bench->plan->second && read_bench->messages)
        tell_second(read_bench, told, read_bench_now_us());
}

static void run_thread(void *context, unsigned thread)
{
    struct read_bench *read_bench = context;

    if (thread == 0) {
        look_on(read_bench);
        return;
    }
    part_run(&read_bench->parts[thread - 1]);
    atomic_fetch_sub(&read_bench->running, 1);
}

void read_bench_merge(struct read_bench_result *to, const struct read_bench_result *from)
{
    to->connected = from->connected > to->connected ? from->connected : to->connected;
    to->seconds += from->seconds;
    to->messages += from->messages;
    to->bytes += from->bytes;
    to->wire_bytes += from->wire_bytes;
    to->again += from->again;
    to->again_bytes += from->again_bytes;
    to->missed += from->missed;
    to->errors += from->errors;
    to->throttled += from->throttled;
    to->turned_away += from->turned_away;
    to->logins += from->logins;
    to->login_s += from->login_s;
    to->not_served += from->not_served;
    to->held_s += from->held_s;
    if (from->round_trip_us && (!to->round_trip_us || from->round_trip_us < to->round_trip_us))
        to->round_trip_us = from->round_trip_us;
    to->load.cpu_s += from->load.cpu_s;
    to->load.wait_s += from->load.wait_s;
    to->load.waits_known |= from->load.waits_known;
    for (unsigned i = 0; i < READ_BENCH_LATENCIES; i++)
        hist_merge(&to->latency.of[i], &from->latency.of[i]);
    for (unsigned i = 0; i < CORPUS_CLASSES; i++)
        hist_merge(&to->latency.by_class[i], &from->latency.by_class[i]);
    if (from->errors) {
        to->err = from->err;
        memcpy(to->type, from->type, sizeof to->type);
    }
}

/* Those that were never let in are the server's limit. */
static void count_turned_away(struct read_bench_result *r)
{
    if (r->turned_away == 0)
        return;
    if (r->errors == 0 || strcmp(r->type, "ConnectionLimit") != 0) {
        snprintf(r->type, sizeof r->type, "ConnectionLimit");
        err_set(&r->err, ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0,
                "%u of %u connections were let in", r->connected, r->connections);
    }
    if (r->errors < r->turned_away)
        r->errors = r->turned_away;
}

static void conclude(struct read_bench *read_bench, double held_s, struct read_bench_result *r)
{
    const struct read_bench_plan *plan = read_bench->plan;
    uint64_t start = atomic_load(&read_bench->start_us), end = 0, of_set = 0;

    for (unsigned i = 0; i < read_bench->loops; i++) {
        read_bench_merge(r, &read_bench->parts[i].result);
        if (read_bench->parts[i].last_us > end)
            end = read_bench->parts[i].last_us;
    }
    for (unsigned i = 0; i < plan->piece_count; i++)
        of_set += plan->pieces[i]->count;
    r->connections = plan->connections;
    r->connected = atomic_load(&read_bench->stand_max);
    r->end = (enum read_bench_end)atomic_load(&read_bench->end);
    if (r->end != READ_BENCH_WHOLE)
        end = atomic_load(&read_bench->end_us);
    r->seconds = start && end > start ? (double)(end - start) / 1e6 : 0;
    if (r->end == READ_BENCH_WHOLE && of_set > r->messages)
        r->missed = of_set - r->messages;
    r->held_s = polite_held_s(plan->polite, read_bench_now_us()) - held_s;
    count_turned_away(r);
}

bool read_bench_run(const struct read_bench_plan *plan, struct read_bench_result *result_r, struct err *err_r)
{
    struct read_bench *read_bench = mem_zero(1, sizeof *read_bench);
    struct load_mark before, after;
    double held_s = polite_held_s(plan->polite, read_bench_now_us());
    bool ok;

    read_bench->plan = plan;
    read_bench->loops = plan->loops < plan->connections ? plan->loops : plan->connections;
    read_bench->queue = queue_create(plan->pieces, plan->piece_count, plan->user_count, plan->per_user);
    atomic_init(&read_bench->unanswered, plan->connections);
    atomic_init(&read_bench->running, read_bench->loops);
    pthread_mutex_init(&read_bench->lock, NULL);
    polite_begin(plan->polite, read_bench_now_us(), plan->connections);
    read_bench->parts = mem_zero(read_bench->loops, sizeof *read_bench->parts);
    for (unsigned i = 0; i < read_bench->loops; i++) {
        struct part *part = &read_bench->parts[i];

        part->read_bench = read_bench;
        part->index = i;
        part->count = plan->connections / read_bench->loops + (i < plan->connections % read_bench->loops);
        part->drainers = mem_zero(part->count, sizeof *part->drainers);
    }
    memset(result_r, 0, sizeof *result_r);
    load_mark_machine(&before);
    ok = team_run(read_bench->loops, run_thread, read_bench, err_r);
    load_mark_machine(&after);
    if (ok)
        conclude(read_bench, held_s, result_r);
    load_set_machine(&result_r->load, &before, &after);
    if (ok && read_bench->failed)
        *err_r = read_bench->err;
    ok = ok && !read_bench->failed;
    for (unsigned i = 0; i < read_bench->loops; i++)
        free(read_bench->parts[i].drainers);
    free(read_bench->parts);
    queue_destroy(&read_bench->queue);
    pthread_mutex_destroy(&read_bench->lock);
    free(read_bench);
    return ok;
}
