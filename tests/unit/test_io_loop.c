/* test: io */
/* Timers, messages from other threads, stop, and the team, on io_uring and on epoll. */
#include "io/base/now.h"
#include "io/team.h"
#include "io/wheel.h"
#include "tests/unit/test_io_peer.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The wheel by itself, with times of its own. */

struct shot {
    struct loop_timer timer;
    uint64_t due_ms, fired_ms;
    unsigned count, place;
    struct wheel *wheel;
    unsigned *fired_count;
};

static void shot_fired(void *context)
{
    struct shot *s = context;

    s->count++;
    s->fired_ms = s->wheel->now_ms;
    if (s->fired_count)
        s->place = ++*s->fired_count;
}

#define SHOTS 2000

static void test_wheel_fires_each_timer_once_and_never_early(void **state)
{
    struct wheel *w = mem_alloc(sizeof *w);
    struct shot *shots = mem_zero(SHOTS, sizeof *shots);
    uint64_t random = 7, now = 123456789;
    unsigned left = 0;

    wheel_init(w, now);
    for (size_t i = 0; i < SHOTS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        /* From a millisecond to the 30 days a loop allows. */
        shots[i].due_ms = now + 1 + (random >> 32) % ((uint64_t)1 << (i % 32));
        shots[i].wheel = w;
        shots[i].timer.fired = shot_fired;
        shots[i].timer.context = &shots[i];
        wheel_add(w, &shots[i].timer, shots[i].due_ms);
    }
    for (size_t i = 0; i < SHOTS; i += 10)
        wheel_remove(&shots[i].timer);
    for (;;) {
        int64_t wait = wheel_wait_ms(w);

        if (wait < 0)
            break;
        assert_true(wait >= 1);
        now = w->now_ms + (uint64_t)wait;
        wheel_advance(w, now);
    }
    for (size_t i = 0; i < SHOTS; i++) {
        assert_int_equal(shots[i].count, i % 10 != 0);
        if (shots[i].count)
            assert_true(shots[i].fired_ms == shots[i].due_ms);
        left += loop_timer_is_set(&shots[i].timer);
    }
    assert_int_equal(left, 0);
    free(shots);
    free(w);
}

static void test_wheel_that_is_late_fires_all_that_is_due_in_order(void **state)
{
    struct wheel *w = mem_alloc(sizeof *w);
    struct shot shots[3] = { 0 };
    uint64_t due[3] = { 5, 5000, 50000000 };
    unsigned fired = 0;

    wheel_init(w, 0);
    for (size_t i = 0; i < 3; i++) {
        shots[i].wheel = w;
        shots[i].fired_count = &fired;
        shots[i].timer.fired = shot_fired;
        shots[i].timer.context = &shots[i];
        wheel_add(w, &shots[i].timer, due[i]);
    }
    wheel_advance(w, 4);
    assert_int_equal(shots[0].count, 0);
    wheel_advance(w, 49999999);
    assert_int_equal(shots[0].place, 1);
    assert_int_equal(shots[1].place, 2);
    assert_int_equal(shots[2].count, 0);
    wheel_advance(w, 90000000);
    assert_int_equal(shots[2].count, 1);
    free(w);
}

/* The loop's timers. */

struct chime {
    struct loop *loop;
    struct loop_timer a, b, never;
    uint64_t set_ns;
    unsigned order, count;
};

static void chime_b(void *context)
{
    struct chime *c = context;

    assert_true(now_ns() - c->set_ns >= 30 * 1000000u);
    if (c->count < 2) { /* a machine so busy that both are due at once */
        loop_timer_set(c->loop, &c->b, 1, chime_b, c);
        return;
    }
    c->order = c->order * 10 + 2;
    loop_stop(c->loop);
}

static void chime_a(void *context)
{
    struct chime *c = context;

    assert_true(now_ns() - c->set_ns >= 5 * 1000000u);
    c->order = c->order * 10 + 1;
    if (++c->count == 1) {
        loop_timer_set(c->loop, &c->a, 0, chime_a, c);
        loop_timer_clear(c->loop, &c->never);
    }
}

static void chime_never(void *context)
{
    fail_msg("a cleared timer fired");
}

static void test_timers_fire_in_time_order_and_not_early(void **state)
{
    struct chime c = { .loop = loop_make() };

    c.set_ns = now_ns();
    loop_timer_set(c.loop, &c.b, 10000, chime_b, &c);
    loop_timer_set(c.loop, &c.b, 30, chime_b, &c); /* moved */
    loop_timer_set(c.loop, &c.a, 5, chime_a, &c);
    loop_timer_set(c.loop, &c.never, 20, chime_never, &c);
    assert_true(loop_timer_is_set(&c.a));
    loop_run(c.loop);
    assert_int_equal(c.order, 112);
    assert_false(loop_timer_is_set(&c.a) || loop_timer_is_set(&c.never));
    loop_destroy(&c.loop);
    assert_null(c.loop);
}

/* Messages. */

#define SENDERS  4
#define MESSAGES 20000

struct letter {
    struct loop_message message;
    struct mail *mail;
    unsigned sender, number;
};

struct mail {
    struct loop *loop;
    unsigned next[SENDERS], count;
    pthread_t threads[SENDERS];
    struct sender {
        struct mail *mail;
        unsigned number;
    } senders[SENDERS];
};

static void letter_delivered(struct loop_message *message)
{
    struct letter *l = (struct letter *)message;
    struct mail *m = l->mail;

    assert_int_equal(l->number, m->next[l->sender]);
    m->next[l->sender]++;
    if (++m->count == SENDERS * MESSAGES)
        loop_stop(m->loop);
    free(l);
}

static void *send_letters(void *context)
{
    struct sender *s = context;

    for (unsigned i = 0; i < MESSAGES; i++) {
        struct letter *l = mem_alloc(sizeof *l);

        *l = (struct letter){ .mail = s->mail, .sender = s->number, .number = i };
        l->message.deliver = letter_delivered;
        loop_post(s->mail->loop, &l->message);
        /* Now and then the loop falls asleep, which is where a wake-up could be lost. */
        if (i % 4096 == 0)
            poll(NULL, 0, 1);
    }
    return NULL;
}

static void test_messages_of_each_thread_arrive_in_order(void **state)
{
    struct mail m = { .loop = loop_make() };

    for (unsigned i = 0; i < SENDERS; i++) {
        m.senders[i] = (struct sender){ &m, i };
        assert_int_equal(pthread_create(&m.threads[i], NULL, send_letters, &m.senders[i]), 0);
    }
    loop_run(m.loop);
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(m.threads[i], NULL);
    assert_int_equal(m.count, SENDERS * MESSAGES);
    loop_destroy(&m.loop);
}

static void test_destroy_delivers_what_is_queued(void **state)
{
    struct mail m = { .loop = loop_make() };
    struct letter *l = mem_zero(1, sizeof *l);

    l->mail = &m;
    l->message.deliver = letter_delivered;
    loop_post(m.loop, &l->message);
    loop_destroy(&m.loop);
    assert_int_equal(m.count, 1);
}

static void *stop_soon(void *context)
{
    poll(NULL, 0, 5);
    loop_stop(context);
    return NULL;
}

static void test_stop_from_another_thread(void **state)
{
    struct loop *loop = loop_make();

    for (unsigned i = 0; i < 3; i++) {
        pthread_t thread;

        pthread_create(&thread, NULL, stop_soon, loop);
        loop_run(loop);
        pthread_join(thread, NULL);
    }
    loop_stop(loop); /* before it runs */
    loop_run(loop);
    loop_destroy(&loop);
}

static void test_an_unknown_back_end_is_refused(void **state)
{
    char *was = mem_text(getenv("MAILHAUL_LOOP"));
    struct loop *loop;
    struct err err;

    setenv("MAILHAUL_LOOP", "kqueue", 1);
    assert_false(loop_create(&loop, &err));
    assert_int_equal(err.origin, ERR_ORIGIN_CONFIG);
    setenv("MAILHAUL_LOOP", was, 1);
    free(was);
}

/* What a container does: the system call is refused, and the loop must run all the same. */
static void test_a_kernel_that_refuses_io_uring(void **state)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        struct loop *loop;
        struct err err;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
            _exit(77);
        unsetenv("MAILHAUL_LOOP");
        if (!loop_create(&loop, &err) || strcmp(loop_backend(loop), "epoll") != 0)
            _exit(1);
        loop_stop(loop);
        loop_run(loop);
        loop_destroy(&loop);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* The team: each loop posts to the next, round and round. */

#define LOOPS 3
#define LAPS  2000

struct token {
    struct loop_message message;
    struct ring_of_loops *ring;
    unsigned at, laps;
};

struct ring_of_loops {
    struct loop *_Atomic loops[LOOPS];
    _Atomic unsigned ready, bodies;
    struct token token;
};

static void token_arrived(struct loop_message *message)
{
    struct token *t = (struct token *)message;
    struct ring_of_loops *r = t->ring;

    if (++t->laps == LAPS) {
        for (unsigned i = 0; i < LOOPS; i++)
            loop_stop(r->loops[i]);
        return;
    }
    t->at = (t->at + 1) % LOOPS;
    loop_post(r->loops[t->at], message);
}

static void team_body(void *context, unsigned thread)
{
    struct ring_of_loops *r = context;
    struct loop *loop;

    atomic_fetch_add(&r->bodies, 1);
    if (thread == 0) {
        while (atomic_load(&r->ready) < LOOPS)
            poll(NULL, 0, 1);
        loop_post(r->loops[0], &r->token.message);
        return;
    }
    loop = loop_make();
    atomic_store(&r->loops[thread - 1], loop);
    atomic_fetch_add(&r->ready, 1);
    loop_run(loop);
    /* The others may still be telling this loop to stop. */
    atomic_fetch_sub(&r->ready, 1);
    while (atomic_load(&r->ready))
        poll(NULL, 0, 1);
    loop_destroy(&loop);
}

static void test_a_team_passes_messages_between_loops(void **state)
{
    struct ring_of_loops r = { .loops = { NULL } };
    struct err err;

    r.token.message.deliver = token_arrived;
    r.token.ring = &r;
    assert_true(team_run(LOOPS, team_body, &r, &err));
    assert_int_equal(r.bodies, LOOPS + 1);
    assert_int_equal(r.token.laps, LAPS);
    assert_true(team_processors() >= 1);
    assert_int_equal(team_loops(3), 3);
    assert_int_equal(team_loops(TEAM_LOOPS_MAX + 1), TEAM_LOOPS_MAX);
    assert_true(team_loops(0) >= 1 && team_loops(0) <= TEAM_LOOPS_MAX);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wheel_fires_each_timer_once_and_never_early),
        cmocka_unit_test(test_wheel_that_is_late_fires_all_that_is_due_in_order),
        cmocka_unit_test(test_timers_fire_in_time_order_and_not_early),
        cmocka_unit_test(test_messages_of_each_thread_arrive_in_order),
        cmocka_unit_test(test_destroy_delivers_what_is_queued),
        cmocka_unit_test(test_stop_from_another_thread),
        cmocka_unit_test(test_an_unknown_back_end_is_refused),
        cmocka_unit_test(test_a_kernel_that_refuses_io_uring),
        cmocka_unit_test(test_a_team_passes_messages_between_loops),
    };

    return RUN_ON_BOTH(tests);
}
