#include "engine/bench/read_bench_private.h"
#include "engine/imap/uidset.h"
#include "engine/move/body_read.h"
#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define PER_FETCH_MAX   1000u
#define FETCH_BYTES_MAX (512u * 1024u)
#define HELD_LOOK_MS    100u

/* One FETCH under way. */
struct pull {
    struct drainer *drainer;
    uint64_t sent_us, due_us; /* due: at a fixed rate, before it was sent; else as sent */
    bool first;
    unsigned count;
    struct corpus_message *messages[]; /* ascending; NULL: it came */
};

static void read_begin(void *context)
{
    struct pull *p = context;

    if (!p->first && p->drainer->part->counting) {
        p->first = true;
        hist_add(&p->drainer->part->result.latency.of[READ_BENCH_FIRST_BYTE], read_bench_now_us() - p->sent_us);
    }
}

static void body_begin(void *context, uint32_t uid, uint64_t size_bytes, uint64_t origin)
{
    (void)uid;
    (void)size_bytes;
    (void)origin;
    read_begin(context);
}

static void body_bytes(void *context, struct slice bytes)
{
    struct pull *p = context;
    struct part *part = p->drainer->part;

    if (!part->counting)
        return;
    part->result.bytes += bytes.size;
    part->second_bytes += bytes.size;
    atomic_fetch_add_explicit(&part->read_bench->bytes, bytes.size, memory_order_relaxed);
}

static void came(struct pull *p, struct corpus_message *m)
{
    struct part *part = p->drainer->part;
    struct read_bench_result *r = &part->result;
    uint64_t now = read_bench_now_us(), us = now - p->due_us;

    if (!part->counting)
        return;
    part->last_us = now;
    r->messages++;
    if (m->reads) {
        r->again++;
        r->again_bytes += m->bytes;
    }
    if (m->reads < UINT16_MAX)
        m->reads++;
    hist_add(&r->latency.of[READ_BENCH_MESSAGE], us);
    hist_add(&r->latency.by_class[corpus_class(m->bytes)], us);
    hist_add(&part->second, us);
    part->second_messages++;
}

static void body_end(void *context, uint32_t uid, bool got_body, bool suspect)
{
    struct pull *p = context;

    if (!got_body || suspect || source_body_nil(visit_source(p->drainer->visit)))
        return;
    for (unsigned i = 0; i < p->count; i++)
        if (p->messages[i] && p->messages[i]->uid == uid) {
            came(p, p->messages[i]);
            p->messages[i] = NULL;
        }
}

static const struct session_body_events body_events = { body_begin, body_bytes, body_end };

static void pull_ended(void *context, const struct err *err);

static void read_ended(void *context, const struct err *err)
{
    struct pull *p = context;

    if (!err)
        came(p, p->messages[0]);
    p->messages[0] = NULL;
    /* One that is gone, or cannot be read, is no trouble with the server's speed. */
    pull_ended(p, err && err->class == ERR_CLASS_PERMANENT && err->scope == ERR_SCOPE_MESSAGE ? NULL : err);
}

static const struct body_read_events read_events = { read_begin, body_bytes, read_ended };

static struct pull *new_pull(struct drainer *d, unsigned room)
{
    struct pull *p = mem_zero(1, sizeof *p + room * sizeof *p->messages);

    p->drainer = d;
    return p;
}

/* What did not come with others is asked for as a run asks: alone, in all forms. */
static void read_missing(struct pull *p)
{
    struct drainer *d = p->drainer;

    for (unsigned i = 0; i < p->count; i++) {
        struct body_read_ask ask = { .tried = true };
        struct pull *one;

        if (!p->messages[i])
            continue;
        ask.uid = p->messages[i]->uid;
        one = new_pull(d, 1);
        one->messages[one->count++] = p->messages[i];
        one->sent_us = read_bench_now_us();
        one->due_us = p->due_us;
        d->inflight++;
        body_read_start(visit_source(d->visit), &ask, &read_events, one);
    }
}

static void pull_ended(void *context, const struct err *err)
{
    struct pull *p = context;
    struct drainer *d = p->drainer;

    if (!read_bench_is_out(d) && (!err || err->class != ERR_CLASS_THROTTLED))
        read_missing(p);
    free(p);
    d->inflight--;
    if (read_bench_is_out(d))
        return;
    if (err && read_bench_hurt(d, TROUBLE_FETCH, err))
        return;
    if (!err)
        visit_went_well(d->visit);
    read_bench_go(d);
}

/* The next message of the open folder; NULL: it has no more for this connection. */
static struct corpus_message *peek(struct drainer *d)
{
    while (!d->piece || d->next == d->piece->count) {
        struct corpus_piece *piece = queue_next(d->part->read_bench->queue, d->user, d->open);

        d->piece = piece;
        d->next = 0;
        if (polite_watches(d->part->read_bench->plan->polite))
            d->open = NULL; /* what it watches is measured anew */
        if (!piece)
            return NULL;
    }
    return d->open && strcmp(d->piece->folder, d->open) == 0 ? &d->piece->messages[d->next] : NULL;
}

uint64_t read_bench_due_us(const struct part *part, uint64_t n)
{
    const struct read_bench *read_bench = part->read_bench;

    return atomic_load(&read_bench->start_us) +
           (uint64_t)((double)(n * read_bench->loops + part->index) / read_bench->plan->rate * 1e6);
}

static void go_again(void *context)
{
    read_bench_go(context);
}

/* Milliseconds until the connection may ask for more; 0: now. due_us_r: of the message. */
static uint64_t must_wait_ms(struct drainer *d, uint64_t now_us, uint64_t *due_us_r)
{
    struct read_bench *read_bench = d->part->read_bench;
    uint64_t wait_us = polite_wait_us(read_bench->plan->polite, now_us);

    *due_us_r = now_us;
    if (read_bench->plan->rate > 0) {
        *due_us_r = read_bench_due_us(d->part, d->part->arrivals);
        if (*due_us_r > now_us && *due_us_r - now_us > wait_us)
            wait_us = *due_us_r - now_us;
    }
    return (wait_us + 999) / 1000;
}

/* Asks once. False: there is nothing to ask for in this folder, or not yet. */
static bool ask(struct drainer *d)
{
    const struct read_bench_plan *plan = d->part->read_bench->plan;
    unsigned most = plan->rate > 0 ? 1 : plan->per_fetch < PER_FETCH_MAX ? plan->per_fetch : PER_FETCH_MAX;
    uint64_t now = read_bench_now_us(), due_us, wait_ms, bytes = 0;
    struct corpus_message *m = peek(d);
    struct uidset set;
    struct pull *p;
    char text[1000];

    if (!m)
        return false;
    wait_ms = must_wait_ms(d, now, &due_us);
    if (wait_ms) {
        loop_timer_set(d->part->loop, &d->again, wait_ms, go_again, d);
        return false;
    }
    p = new_pull(d, most);
    uidset_init(&set, text, sizeof text);
    while (m && p->count < most && (p->count == 0 || bytes + m->bytes <= FETCH_BYTES_MAX) &&
           (p->count == 0 || m->uid > p->messages[p->count - 1]->uid) && uidset_add(&set, m->uid)) {
        p->messages[p->count++] = m;
        bytes += m->bytes;
        d->next++;
        m = p->count < most ? peek(d) : NULL;
    }
    p->sent_us = now;
    p->due_us = due_us;
    if (plan->rate > 0) {
        d->part->arrivals++;
        hist_add(&d->part->result.latency.of[READ_BENCH_OWN_DELAY], now - due_us);
    }
    polite_asked(plan->polite, now, bytes, p->count);
    d->inflight++;
    source_bodies(visit_source(d->visit), uidset_finish(&set), SESSION_BODY_PEEK, 0, 0, &body_events, pull_ended, p);
    return true;
}

static void ask_some(struct drainer *d)
{
    while (d->inflight < d->part->read_bench->plan->depth && !read_bench_is_out(d) && ask(d))
        ;
}

/* ---- folders --------------------------------------------------------------------------------- */

static void selected(void *context, const struct imap_selected *told)
{
    (void)context;
    (void)told;
}

static void select_ended(void *context, const struct err *err)
{
    struct drainer *d = context;
    uint64_t us = read_bench_now_us() - d->since_us;

    d->opening = false;
    if (read_bench_is_out(d))
        return;
    if (err) {
        /* What was to be read there is missed. */
        d->open = NULL;
        d->piece = NULL;
        if (!read_bench_hurt(d, TROUBLE_SELECT, err))
            read_bench_go(d);
        return;
    }
    hist_add(&d->part->result.latency.of[READ_BENCH_SELECT], us);
    polite_took(d->part->read_bench->plan->polite, read_bench_now_us(), us);
    read_bench_go(d);
}

static void open_folder(struct drainer *d)
{
    d->open = d->piece->folder;
    d->opening = true;
    d->since_us = read_bench_now_us();
    source_open(visit_source(d->visit), slice_cstr(d->open), true, selected, select_ended, d);
}

/* Whether polite wants it to wait; it comes back by itself. */
static bool is_held(struct drainer *d)
{
    struct polite *polite = d->part->read_bench->plan->polite;
    uint32_t pause_ms = polite_pause_ms(polite);

    if (d->index < polite_allowed(polite) && (pause_ms == 0 || read_bench_now_us() - d->since_us >= pause_ms * 1000ull))
        return false;
    loop_timer_set(d->part->loop, &d->again, HELD_LOOK_MS, go_again, d);
    return true;
}

void read_bench_go(struct drainer *d)
{
    if (read_bench_is_out(d) || d->opening || !d->part->counting || loop_timer_is_set(&d->again))
        return;
    ask_some(d);
    if (d->inflight || read_bench_is_out(d) || loop_timer_is_set(&d->again))
        return;
    if (!d->piece)
        read_bench_move_on(d);
    else if (!is_held(d))
        open_folder(d);
}
