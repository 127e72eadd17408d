/* A server with hidden budgets, its mailboxes and a network that loses things, on a virtual clock.
 * The model is a guess in its numbers and documented only in its shape: a bucket with a burst, a
 * recharge rate and a cut-off, answers that get slower before the cut, then refusals with a hint.
 * Its cost of a message is deliberately not the controller's. Every grant is checked against the
 * hints given. Include it in one source only, after cmocka.h and the headers that needs.
 */
#ifndef TESTS_UNIT_TEST_PACE_MODEL_H
#define TESTS_UNIT_TEST_PACE_MODEL_H

#include "engine/pace/backoff.h"
#include "engine/pace/heap.h"
#include "engine/pace/pace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS    UINT64_C(3600000)
#define END_MS     (8 * HOUR_MS)
#define LANES_MAX  256
#define DEEP_MAX   4
#define PROCS_MAX  4
#define WALL_0     INT64_C(1795000000000)
#define CONNECTS_W 10000 /* window over which connects are counted */
#define BINS       16    /* seconds of accepted cost that are kept */
#define RESETS_S   2     /* seconds of too much that a server bears before it resets connections */

enum { CONNECTED, CONNECTING, LOST };

struct scenario {
    const char *name;
    uint32_t procs, lanes;
    uint32_t deep; /* connections of a mailbox; 0: 1 */
    enum pace_mode mode;
    double limit;           /* tenant cost per second, 0 none */
    bool halved;            /* limit halved at 3 h, restored at 5 h */
    double lane_limit;      /* per mailbox, 0 none */
    uint32_t lanes_limited; /* the first so many */
    double lane_rest;       /* of the others, 0 none */
    double lane_burst;      /* 0: 60 */
    double lane_cutoff;     /* 0: 20 */
    bool unequal;           /* mailboxes have 0.5 to 1.5 of lane_limit */
    bool alike;             /* messages all of one small size: mailboxes are emptied in step */
    uint32_t idle;          /* of the lanes, the last so many begin only at 2 min */
    uint32_t knee;          /* in flight at which answers get slow, 0 none */
    bool warns;             /* answers get slower before the cut */
    bool busy;              /* the machine has other work, at times: some answers are seen late */
    bool naive;             /* obeys nothing: what a plain client would do */
    bool ledger;
    bool hangs_up;   /* BYE after each throttle reply */
    bool long_hints; /* 90..300 s, whatever the balance: overlong pauses */
    bool storm;      /* all connections lost at 2 h and at 4 h */
    bool dies;       /* the last process, at 3 h */
    double answer_ms;
    double burst;   /* 0: 2000 */
    double cutoff;  /* 0: 600 */
    double slow_ms; /* added just before the cut, from half of the burst on */
    /* Trouble that says nothing about a limit. */
    uint32_t lost_first;    /* each mailbox loses its first so many answers, with the connection */
    double lost_share;      /* of all answers, with their connections */
    uint64_t lost_share_ms; /* only in so much of the time from the start; 0: always */
    uint64_t lost_every_ms; /* all connections at once, so often */
    uint64_t down_ms;       /* nothing answers from 30 s on, for so long */
    uint64_t late_ms;       /* all answers three times as slow from 10 s on, for so long */
    /* Trouble that does: connections are reset when more than this a second is asked. */
    double resets_above;
    double reach;       /* what the server takes, where no limit says it; for t80 */
    bool from_start;    /* t80 counts from the start, not from the last of what was lost at first */
    uint64_t settle_ms; /* what comes before is convergence; 0: two hours */
    uint64_t end_ms;    /* 0: eight hours */
    /* Required; 0 nothing. */
    double use_min, replies_min_most, jain_min, t80_s_most, rate_min;
    uint64_t replies_before_most, connects_most, resets_most;
};

struct server {
    double balance, rate, burst, cutoff;
    uint64_t at_ms;
    bool locked;
};

struct mailbox {
    struct server server;
    uint64_t hint_until_ms; /* exact end of the last hint */
    double accepted;
    uint32_t process, lane;
    uint32_t lost_left;         /* answers that will be lost yet */
    uint32_t waiting[DEEP_MAX]; /* its connections that wait for a permit, in order */
    uint32_t waiting_count;
};

/* Connection i is of mailbox i / deep. */
struct conn {
    uint64_t sent_ms; /* of the message in flight */
    uint64_t wanted_bytes, bytes;
    uint8_t link;
    bool again; /* the message was not taken: the same once more */
    bool refused, lost;
    int64_t hint_ms;
};

struct sim {
    const struct scenario *s;
    struct prng prng;
    struct pace *pace[PROCS_MAX];
    bool dead[PROCS_MAX];
    struct ledger_record records[PROCS_MAX];
    struct mailbox box[LANES_MAX];
    struct conn conn[LANES_MAX * DEEP_MAX];
    uint32_t deep;
    uint32_t box_of[PROCS_MAX][LANES_MAX];
    struct server tenant;
    struct heap answers; /* by time: messages in flight and connects asked */
    uint64_t now, polls_at[PROCS_MAX];
    uint32_t in_flight;
    double settled, capacity, bin[BINS];
    uint64_t t80_ms, replies, replies_before, grants, resets;
    uint64_t connect_times[64], connects, connects_most;
    uint32_t connect_next;
    uint64_t gate_ms[PROCS_MAX]; /* as each controller told */
    uint64_t lost_ms;            /* last of lost_first or down_ms; t80 counts from there */
    double asked;                /* lately, towards resets_above */
    uint64_t asked_ms;
    bool was_down;
};

struct result {
    double use, jain, t80_s, replies_min, rate;
    uint64_t replies_before, grants, connects_most, events, resets;
};

static double normal(struct prng *r)
{
    return sqrt(-2 * log(1 - prng_unit(r))) * cos(6.283185307179586 * prng_unit(r));
}

static uint64_t message_size(struct prng *r)
{
    double bytes = exp(9.6 + 1.7 * normal(r)); /* median 15 KB, mean about 62 KB */

    return bytes > 35e6 ? 35000000 : (uint64_t)bytes;
}

static double true_cost(uint64_t bytes)
{
    return 1 + (double)bytes / 150000;
}

static uint64_t settled_ms(const struct scenario *s)
{
    return s->settle_ms ? s->settle_ms : 2 * HOUR_MS;
}

static void server_init(struct server *v, double rate, double burst, double cutoff)
{
    *v = (struct server){ .balance = burst, .rate = rate, .burst = burst, .cutoff = cutoff };
}

static void server_refill(struct server *v, uint64_t now)
{
    v->balance = fmin(v->burst, v->balance + v->rate * (double)(now - v->at_ms) / 1000);
    v->at_ms = now;
    if (v->locked && v->balance >= 0)
        v->locked = false;
}

/* True when refused. */
static bool server_charge(struct server *v, double cost, uint64_t now)
{
    if (v->rate <= 0)
        return false;
    server_refill(v, now);
    if (v->locked)
        return true;
    v->balance -= cost;
    if (v->balance < -v->cutoff)
        v->locked = true;
    return false;
}

static int64_t server_hint(const struct server *v)
{
    return (int64_t)fmin(300000, fmax(1000, -v->balance / v->rate * 1000));
}

/* A mailbox's own limit, 0 none. */
static double own_limit(const struct scenario *s, uint32_t i)
{
    if (i >= s->lanes_limited)
        return s->lane_rest;
    return s->unequal ? s->lane_limit * (0.5 + i * 7 % s->lanes / (double)s->lanes) : s->lane_limit;
}

/* What the mailboxes that have begun can take together, 0: one has no limit. */
static double own_sum(const struct sim *m)
{
    const struct scenario *s = m->s;
    uint32_t count = m->now < 120000 ? s->lanes - s->idle : s->lanes;
    double sum = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (own_limit(s, i) <= 0)
            return 0;
        sum += own_limit(s, i);
    }
    return sum;
}

static double limit_now(const struct sim *m)
{
    const struct scenario *s = m->s;
    double own = own_sum(m);

    if (own > 0)
        return fmin(s->limit > 0 ? s->limit : 1e9, own);
    if (s->limit <= 0)
        return s->reach;
    return s->halved && m->now >= 3 * HOUR_MS && m->now < 5 * HOUR_MS ? s->limit / 2 : s->limit;
}

/* Five minutes of ten, more in some than in others, up to half of the answers wait for a processor,
 * and the rest a little. */
static double seen_late_ms(struct sim *m)
{
    static const double shares[] = { 0, 0.2, 0.35, 0, 0.05, 0, 0.3, 0.5, 0, 0 };
    double share = shares[m->now / 60000 % 10];

    if (share <= 0)
        return 0;
    if (prng_unit(&m->prng) >= share)
        return 20 * share * prng_unit(&m->prng);
    return -200 * log(1 - prng_unit(&m->prng));
}

static bool is_down(const struct sim *m)
{
    return m->s->down_ms && m->now >= 30000 && m->now < 30000 + m->s->down_ms;
}

static void note_lost(struct sim *m)
{
    if (!m->s->from_start)
        m->lost_ms = m->now;
    m->t80_ms = 0;
}

/* Whether the server, or the network, drops the connection in place of an answer. */
static bool loses(struct sim *m, struct mailbox *box, double cost)
{
    const struct scenario *s = m->s;

    if (box->lost_left > 0) {
        box->lost_left--;
        note_lost(m);
        return true;
    }
    if (s->resets_above > 0) {
        m->asked = fmax(0, m->asked - s->resets_above * (double)(m->now - m->asked_ms) / 1000);
        m->asked_ms = m->now;
        if (m->asked + cost > RESETS_S * s->resets_above) {
            m->resets++;
            return true;
        }
        m->asked += cost;
    }
    if (s->lost_share <= 0 || (s->lost_share_ms && m->now >= s->lost_share_ms))
        return false;
    if (prng_unit(&m->prng) >= s->lost_share)
        return false;
    if (s->lost_share_ms)
        note_lost(m);
    return true;
}

static double slower_ms(struct sim *m, const struct conn *conn, double answer_ms)
{
    const struct scenario *s = m->s;

    if (s->warns && m->tenant.rate > 0 && m->tenant.balance < 0)
        answer_ms *= 1 - 3 * m->tenant.balance / m->tenant.cutoff;
    if (s->slow_ms > 0) {
        double from = m->tenant.burst / 2;
        double part = (from - m->tenant.balance) / (from + m->tenant.cutoff);

        answer_ms += s->slow_ms * fmin(fmax(part, 0), 1);
    }
    if (s->knee && m->in_flight > s->knee)
        answer_ms *= 1 + pow((m->in_flight - s->knee) / (double)s->knee, 2);
    if (s->late_ms && m->now >= 10000 && m->now < 10000 + s->late_ms)
        answer_ms *= 3;
    if (conn->refused)
        answer_ms = 100;
    return s->busy ? answer_ms + seen_late_ms(m) : answer_ms;
}

static void granted(void *context, uint32_t lane, uint64_t bytes)
{
    struct sim *m = ((struct sim **)context)[0];
    uint32_t process = (uint32_t)(uintptr_t)((void **)context)[1];
    struct mailbox *box = &m->box[m->box_of[process][lane]];
    uint32_t i = box->waiting[0];
    struct conn *conn = &m->conn[i];
    double cost = true_cost(bytes);
    double answer_ms = m->s->answer_ms * exp(0.3 * normal(&m->prng)) * (1 + (double)bytes / 400000);

    assert_true(box->waiting_count > 0);
    memmove(box->waiting, box->waiting + 1, --box->waiting_count * sizeof(box->waiting[0]));
    assert_int_equal(bytes, conn->wanted_bytes);
    assert_int_equal(conn->link, CONNECTED);
    assert_true(m->now >= box->hint_until_ms);
    assert_true(m->now >= m->gate_ms[process]);
    conn->bytes = bytes;
    conn->sent_ms = m->now;
    m->in_flight++;
    m->grants++;
    m->tenant.rate = m->s->limit > 0 ? limit_now(m) : 0;
    if (m->s->lane_limit > 0)
        m->tenant.rate = m->s->limit;
    conn->refused = false;
    conn->lost = loses(m, box, cost);
    if (conn->lost) {
        /* Nothing was taken. */
    } else if (server_charge(&m->tenant, cost, m->now)) {
        conn->refused = true;
        conn->hint_ms = server_hint(&m->tenant);
    } else if (server_charge(&box->server, cost, m->now)) {
        conn->refused = true;
        conn->hint_ms = server_hint(&box->server);
    }
    if (m->s->long_hints)
        conn->hint_ms = 90000 + (int64_t)(prng_unit(&m->prng) * 210000);
    answer_ms = slower_ms(m, conn, answer_ms);
    heap_put(&m->answers, i, (double)m->now + fmax(1, floor(answer_ms)));
}

static struct mailbox *box_of(struct sim *m, uint32_t i)
{
    return &m->box[i / m->deep];
}

static void want(struct sim *m, uint32_t i)
{
    struct mailbox *box = box_of(m, i);
    struct conn *conn = &m->conn[i];

    if (!conn->again)
        conn->wanted_bytes = m->s->alike ? 2000 : message_size(&m->prng);
    conn->again = false;
    assert_true(box->waiting_count < m->deep);
    box->waiting[box->waiting_count++] = i;
    assert_true(pace_want(m->pace[box->process], box->lane, conn->wanted_bytes, m->now));
}

static void count_connect(struct sim *m)
{
    uint64_t within = 0;

    m->connect_times[m->connect_next++ % 64] = m->now + 1;
    m->connects++;
    for (uint32_t i = 0; i < 64; i++)
        within += m->connect_times[i] != 0 && m->connect_times[i] + CONNECTS_W > m->now + 1;
    m->connects_most = within > m->connects_most ? within : m->connects_most;
}

static void connect_ask(struct sim *m, uint32_t i)
{
    struct mailbox *box = box_of(m, i);
    uint64_t again = pace_connect_ask(m->pace[box->process], box->lane, m->now);

    if (again != 0) {
        assert_true(again > m->now);
        m->conn[i].link = LOST;
        heap_put(&m->answers, i, (double)again);
        return;
    }
    assert_true(m->now >= box->hint_until_ms);
    count_connect(m);
    m->conn[i].link = CONNECTING;
    heap_put(&m->answers, i, (double)m->now + 300);
}

static void note_gate(struct sim *m, uint32_t process)
{
    struct pace_view view;

    pace_snapshot(m->pace[process], m->now, &view);
    m->gate_ms[process] = view.gate_ms;
}

/* The connection is gone, and the message that was in flight on it, if any, goes again. */
static void lose(struct sim *m, uint32_t i, uint32_t permits)
{
    struct mailbox *box = box_of(m, i);

    m->conn[i].again = permits > 0;
    pace_dropped(m->pace[box->process], box->lane, permits, m->now);
    note_gate(m, box->process);
    connect_ask(m, i);
}

static void accept_answer(struct sim *m, struct mailbox *box, const struct conn *conn)
{
    double cost = true_cost(conn->bytes);

    box->accepted += cost;
    if (m->now >= settled_ms(m->s))
        m->settled += cost;
    m->bin[0] += cost;
}

static void answer(struct sim *m, uint32_t i)
{
    struct mailbox *box = box_of(m, i);
    struct conn *conn = &m->conn[i];
    struct pace *p = m->pace[box->process];

    if (conn->link == LOST) {
        connect_ask(m, i);
        return;
    }
    if (conn->link == CONNECTING) {
        if (is_down(m)) {
            lose(m, i, 0);
            return;
        }
        conn->link = CONNECTED;
        pace_connected(p, box->lane, m->now);
        note_gate(m, box->process);
        want(m, i);
        return;
    }
    m->in_flight--;
    if (conn->lost) {
        lose(m, i, 1);
        return;
    }
    if (!conn->refused) {
        accept_answer(m, box, conn);
        pace_answered(p, box->lane, conn->bytes, (uint32_t)(m->now - conn->sent_ms), m->now);
        want(m, i);
        return;
    }
    m->replies++;
    m->replies_before += m->now < settled_ms(m->s);
    if (box->hint_until_ms < m->now + (uint64_t)(m->s->naive ? 0 : conn->hint_ms))
        box->hint_until_ms = m->now + (uint64_t)(m->s->naive ? 0 : conn->hint_ms);
    conn->again = true;
    pace_throttled(p, box->lane, 1, conn->hint_ms, m->now);
    note_gate(m, box->process);
    if (m->s->hangs_up) {
        pace_dropped(p, box->lane, 0, m->now);
        connect_ask(m, i);
    } else {
        want(m, i);
    }
}

/* All connections at once, with what is in flight on them. */
static void drop_all(struct sim *m)
{
    for (uint32_t b = 0; b < m->s->lanes; b++) {
        struct mailbox *box = &m->box[b];

        box->waiting_count = 0;
        for (uint32_t i = b * m->deep; i < (b + 1) * m->deep; i++) {
            bool sent = heap_has(&m->answers, i) && m->conn[i].link == CONNECTED;

            if (m->conn[i].link != CONNECTED)
                continue;
            m->in_flight -= sent;
            heap_remove(&m->answers, i);
            pace_cancel_wants(m->pace[box->process], box->lane, m->now);
            pace_dropped(m->pace[box->process], box->lane, sent, m->now);
            note_gate(m, box->process);
            connect_ask(m, i);
        }
    }
}

static void kill_process(struct sim *m, uint32_t process)
{
    m->dead[process] = true;
    for (uint32_t i = 0; i < m->s->lanes * m->deep; i++)
        if (box_of(m, i)->process == process && heap_has(&m->answers, i)) {
            heap_remove(&m->answers, i);
            m->in_flight--;
        }
}

static void look_for_t80(struct sim *m)
{
    double sum = 0;

    if (m->t80_ms != 0 || limit_now(m) <= 0 || (m->lost_ms && m->now < m->lost_ms + 5000))
        return;
    for (int i = 1; i <= 5; i++)
        sum += m->bin[i];
    if (sum / 5 >= 0.8 * limit_now(m))
        m->t80_ms = m->now - m->lost_ms;
}

/* Has the accepted rate come to 80 % of the limit? Each second: ledger in turns. */
static void each_second(struct sim *m, uint64_t second)
{
    const struct scenario *s = m->s;

    if (s->ledger && second % 5 < s->procs) {
        uint32_t process = (uint32_t)(second % 5);
        int64_t wall = WALL_0 + (int64_t)m->now;
        uint8_t bytes[LEDGER_RECORD_BYTES];

        if (!m->dead[process]) {
            pace_ledger_tell(m->pace[process], process + 1, m->now, wall, &m->records[process]);
            ledger_encode(&m->records[process], bytes);
            assert_true(ledger_decode(bytes, sizeof(bytes), &m->records[process]));
            pace_ledger_hear(m->pace[process], process + 1, m->records, s->procs, m->now, wall);
            m->polls_at[process] = m->now;
        }
    }
    memmove(m->bin + 1, m->bin, (BINS - 1) * sizeof(m->bin[0]));
    m->bin[0] = 0;
    look_for_t80(m);
    if (m->now > settled_ms(s))
        m->capacity += limit_now(m);
    if (s->storm && (second == 2 * 3600 || second == 4 * 3600))
        drop_all(m);
    if (s->lost_every_ms && m->now % s->lost_every_ms == 0)
        drop_all(m);
    if (is_down(m) && !m->was_down)
        drop_all(m);
    if (is_down(m))
        note_lost(m);
    m->was_down = is_down(m);
    if (s->dies && second == 3 * 3600)
        kill_process(m, 3);
}

static void sim_init(struct sim *m, const struct scenario *s, uint64_t seed)
{
    memset(m, 0, sizeof(*m));
    m->s = s;
    m->deep = s->deep ? s->deep : 1;
    m->prng.state = seed * 7919 + 17;
    heap_init(&m->answers);
    heap_reserve(&m->answers, LANES_MAX * DEEP_MAX);
    server_init(&m->tenant, s->limit, s->burst > 0 ? s->burst : 2000, s->cutoff > 0 ? s->cutoff : 600);
    for (uint32_t process = 0; process < s->procs; process++) {
        struct pace_config config;

        pace_config_init(&config, s->naive ? PACE_MODE_OPEN : s->mode);
        config.seed = seed + process;
        if (!s->ledger)
            config.process_count = s->procs;
        pace_create(&config, 0, &m->pace[process]);
    }
    for (uint32_t b = 0; b < s->lanes; b++) {
        struct mailbox *box = &m->box[b];

        box->process = b % s->procs;
        box->lane = pace_lane_add(m->pace[box->process], 1);
        box->lost_left = s->lost_first;
        m->box_of[box->process][box->lane] = b;
        server_init(&box->server, own_limit(s, b), s->lane_burst > 0 ? s->lane_burst : 60,
                    s->lane_cutoff > 0 ? s->lane_cutoff : 20);
        for (uint32_t i = b * m->deep; i < (b + 1) * m->deep; i++) {
            m->conn[i].link = LOST;
            heap_put(&m->answers, i, b >= s->lanes - s->idle ? 120000 : 0);
        }
    }
}

/* What a mailbox can have when the rest is shared evenly: one with a limit of its own below an even
 * share has that limit, and its neighbours share what it leaves. */
static double due(const struct scenario *s, uint32_t i)
{
    double limit = s->limit > 0 ? s->limit : 1, own = s->lane_limit * s->lanes_limited;

    if (s->lane_rest > 0 || s->unequal)
        return own_limit(s, i);
    if (s->lanes_limited == 0 || s->lanes_limited == s->lanes)
        return 1;
    return i < s->lanes_limited ? s->lane_limit : (limit - own) / (s->lanes - s->lanes_limited);
}

static void sim_steps(struct sim *m, uint64_t end)
{
    uint64_t second = 1;

    while (m->now < end) {
        uint64_t next = second * 1000;

        for (uint32_t process = 0; process < m->s->procs; process++) {
            void *context[2] = { m, (void *)(uintptr_t)process };

            if (m->polls_at[process] <= m->now && !m->dead[process]) {
                m->polls_at[process] = pace_poll(m->pace[process], m->now, granted, context);
                assert_true(m->polls_at[process] > m->now);
            }
            if (m->polls_at[process] < next && !m->dead[process])
                next = m->polls_at[process];
        }
        if (m->answers.count > 0 && heap_top_key(&m->answers) < (double)next)
            next = (uint64_t)heap_top_key(&m->answers);
        m->now = next;
        while (m->answers.count > 0 && heap_top_key(&m->answers) <= (double)m->now) {
            uint32_t i = heap_top(&m->answers);

            heap_remove(&m->answers, i);
            answer(m, i);
            m->polls_at[box_of(m, i)->process] = m->now;
        }
        if (m->now == second * 1000)
            each_second(m, second++);
    }
}

static double fairness(const struct sim *m)
{
    double sum = 0, squares = 0;
    uint32_t counted = 0;

    for (uint32_t b = 0; b < m->s->lanes - m->s->idle; b++) {
        double share = m->box[b].accepted / due(m->s, b);

        if (m->dead[m->box[b].process])
            continue;
        counted++;
        sum += share;
        squares += share * share;
    }
    return sum * sum / (counted * squares);
}

static struct result sim_run(const struct scenario *s, uint64_t seed)
{
    static struct sim m;
    struct result r;
    uint64_t end = s->end_ms ? s->end_ms : END_MS;
    double seconds = end > settled_ms(s) ? (double)(end - settled_ms(s)) / 1000 : 1;

    sim_init(&m, s, seed);
    sim_steps(&m, end);
    r = (struct result){
        .use = m.capacity > 0 ? 100 * m.settled / m.capacity : 0,
        .jain = fairness(&m),
        .t80_s = m.t80_ms ? (double)m.t80_ms / 1000 : -1,
        .replies_min = (double)(m.replies - m.replies_before) / (seconds / 60),
        .replies_before = m.replies_before,
        .rate = m.settled / seconds,
        .grants = m.grants,
        .connects_most = m.connects_most,
        .resets = m.resets,
    };
    for (uint32_t process = 0; process < s->procs; process++) {
        struct pace_view view;

        pace_snapshot(m.pace[process], m.now, &view);
        r.events += view.tenant_events;
        pace_destroy(&m.pace[process]);
    }
    heap_deinit(&m.answers);
    return r;
}

#endif
