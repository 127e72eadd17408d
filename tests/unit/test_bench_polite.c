/* test: bench */
#include "engine/bench/polite.h"
#include "engine/bench/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <string.h>

#include <cmocka.h>

#define S UINT64_C(1000000)

static void test_a_rate_is_kept(void **state)
{
    struct polite *p = polite_create(&(struct polite_config){ .bytes_per_s = 1e6 });
    uint64_t now = 100 * S, bytes = 0;

    while (now < 110 * S) {
        uint64_t wait = polite_wait_us(p, now);

        if (wait) {
            now += wait;
            continue;
        }
        polite_asked(p, now, 250000, 3);
        bytes += 250000;
    }
    assert_in_range(bytes, 10000000, 10250000);
    polite_destroy(&p);
    p = polite_create(&(struct polite_config){ .messages_per_s = 50 });
    polite_asked(p, now, 1 << 30, 100);
    assert_in_range(polite_wait_us(p, now), 2 * S, 2 * S + 2);
    assert_int_equal(polite_wait_us(p, now + 2 * S + 2), 0);
    polite_destroy(&p);
}

static void measure(struct polite *p, uint64_t *now, unsigned times, uint64_t ms)
{
    for (unsigned i = 0; i < times; i++)
        polite_took(p, *now += S / 10, ms * 1000);
}

static void test_it_backs_off_and_comes_back(void **state)
{
    struct polite *p = polite_create(&(struct polite_config){ .latency_ms = 200 });
    uint64_t now = S;

    polite_begin(p, now, 8);
    measure(p, &now, 40, 150);
    assert_int_equal(polite_allowed(p), 8);
    assert_true(polite_held_s(p, now) == 0);
    measure(p, &now, POLITE_LEAST * 3, 900);
    assert_int_equal(polite_allowed(p), 1);
    assert_int_equal(polite_pause_ms(p), 0);
    measure(p, &now, POLITE_LEAST * 30, 900);
    assert_int_equal(polite_pause_ms(p), 32000);
    assert_true(polite_held_s(p, now) > 1);
    assert_true(polite_p95_ms(p) == 900);
    measure(p, &now, POLITE_LEAST * 6 + 3, 10);
    assert_int_equal(polite_pause_ms(p), 0);
    measure(p, &now, POLITE_LEAST * 3, 10);
    assert_int_equal(polite_allowed(p), 8);
    {
        double held = polite_held_s(p, now);

        assert_true(polite_held_s(p, now + 100 * S) == held);
    }
    polite_destroy(&p);
}

/* One slow one of twenty is not the 95th percentile's business; two are. */
static void test_the_percentile(void **state)
{
    struct polite *p = polite_create(&(struct polite_config){ .latency_ms = 200 });
    uint64_t now = S;

    polite_begin(p, now, 4);
    measure(p, &now, 19, 10);
    measure(p, &now, 1, 900);
    assert_int_equal(polite_allowed(p), 4);
    measure(p, &now, 1, 900);
    assert_int_equal(polite_allowed(p), 2);
    polite_destroy(&p);
}

/* What is held back stays so in the next pass, as far as that has connections. */
static void test_the_next_pass(void **state)
{
    struct polite *p = polite_create(&(struct polite_config){ .latency_ms = 200 });
    uint64_t now = S;

    polite_begin(p, now, 8);
    measure(p, &now, POLITE_LEAST * 2, 900);
    assert_int_equal(polite_allowed(p), 2);
    polite_begin(p, now, 16);
    assert_int_equal(polite_allowed(p), 4);
    polite_begin(p, now, 1);
    assert_int_equal(polite_allowed(p), 1);
    polite_destroy(&p);
}

/* ---- the queue: each piece once, whoever asks ---- */

static void test_each_piece_once(void **state)
{
    struct corpus_message messages[64] = { { 0 } };
    struct corpus_piece pieces[64], *pointers[64];
    static const char *const folders[] = { "A", "B", "C" };

    for (unsigned connections = 1; connections <= 9; connections += 2) {
        unsigned user[9], handed[64] = { 0 }, count = 0, folder_changes = 0;
        const char *open[9] = { NULL };
        bool in[9];
        struct queue *q;

        for (unsigned i = 0; i < 64; i++) {
            pieces[i] = (struct corpus_piece){ .order = i * 7919 % 64,
                                               .user = i % 3,
                                               .folder = folders[i / 3 % 3],
                                               .messages = &messages[i],
                                               .count = 1,
                                               .bytes = 1 };
            pointers[i] = &pieces[i];
        }
        q = queue_create(pointers, 64, 4, 3);
        for (unsigned c = 0; c < connections; c++)
            in[c] = queue_join(q, true, &user[c]);
        for (bool any = true; any;) {
            any = false;
            for (unsigned c = 0; c < connections; c++) {
                struct corpus_piece *p = in[c] ? queue_next(q, user[c], open[c]) : NULL;

                if (p) {
                    assert_int_equal(p->user, user[c]);
                    folder_changes += !open[c] || strcmp(open[c], p->folder) != 0;
                    open[c] = p->folder;
                    handed[p - pieces]++;
                    count++;
                    any = true;
                } else if (in[c]) {
                    queue_leave(q, user[c]);
                    open[c] = NULL;
                    in[c] = queue_join(q, false, &user[c]);
                    any |= in[c];
                }
            }
        }
        assert_int_equal(count, 64);
        assert_int_equal(queue_left(q), 0);
        for (unsigned i = 0; i < 64; i++)
            assert_int_equal(handed[i], 1);
        assert_true(folder_changes <= 9 * connections);
        queue_destroy(&q);
    }
}

static void test_no_more_than_so_many_of_one_account(void **state)
{
    struct corpus_message message = { 0 };
    struct corpus_piece piece = { .user = 0, .folder = "A", .messages = &message, .count = 1 }, *pointer = &piece;
    struct queue *q = queue_create(&pointer, 1, 2, 2);
    unsigned user;

    assert_true(queue_join(q, true, &user));
    assert_true(queue_join(q, true, &user));
    assert_false(queue_join(q, true, &user)); /* the other account has no mail */
    queue_leave(q, 0);
    assert_true(queue_join(q, false, &user));
    assert_non_null(queue_next(q, 0, NULL));
    queue_leave(q, 0);
    assert_false(queue_join(q, false, &user));
    queue_destroy(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rate_is_kept),  cmocka_unit_test(test_it_backs_off_and_comes_back),
        cmocka_unit_test(test_the_percentile),  cmocka_unit_test(test_the_next_pass),
        cmocka_unit_test(test_each_piece_once), cmocka_unit_test(test_no_more_than_so_many_of_one_account),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
