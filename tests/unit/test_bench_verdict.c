/* test: bench */
#include "engine/bench/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <math.h>
#include <string.h>

#include <cmocka.h>

static struct stats made(unsigned count, double mb, double deviation)
{
    return (struct stats){ count, mb * 1e6, deviation * 1e6 };
}

static struct verdict_step step(unsigned asked, unsigned connected, unsigned count, double mb, double deviation)
{
    return (struct verdict_step){ .asked = asked, .connected = connected, .rate = made(count, mb, deviation) };
}

static void says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void says_not(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" is in \"%s\"", part, text);
}

static void test_a_plateau(void **state)
{
    struct verdict_step s[] = { step(1, 1, 5, 10, 0.5), step(2, 2, 5, 20, 0.5), step(4, 4, 5, 36.9, 0.97),
                                step(8, 8, 5, 36.4, 0.9), step(16, 16, 5, 36.0, 1.1) };
    struct verdict_knee k;

    verdict_of_steps(s, 5, false, &k);
    assert_int_equal(k.connections, 4);
    assert_int_equal(k.step, 2);
    assert_true(k.known);
    assert_false(k.grows);
    says(k.text, "4 connections: 36.9 ± 1.2 MB/s; 8 are no faster (36.4 ± 1.1 MB/s, p = 0.4)");
    says(k.text, "2 are slower (20.0 ± 0.6 MB/s, p < 0.001)");
}

/* The best of the steps is not passed over for a dip in the middle. */
static void test_a_dip_is_no_knee(void **state)
{
    struct verdict_step s[] = { step(1, 1, 5, 22.9, 1), step(2, 2, 5, 27, 1),   step(4, 4, 5, 36.9, 1),
                                step(6, 6, 5, 28.3, 1), step(8, 8, 5, 17.9, 1), step(16, 16, 5, 38.8, 1) };
    struct verdict_knee k;

    verdict_of_steps(s, 6, false, &k);
    assert_int_equal(k.connections, 16);
    assert_true(k.grows);
    says(k.text, "whether more would be faster is not known");
}

static void test_it_grows(void **state)
{
    struct verdict_step s[] = { step(1, 1, 5, 10, 0.5), step(2, 2, 5, 20, 0.5), step(4, 4, 5, 40, 0.5) };
    struct verdict_knee k;

    verdict_of_steps(s, 3, false, &k);
    assert_int_equal(k.connections, 4);
    assert_true(k.grows);
    says(k.text, "whether more would be faster is not known");
    says_not(k.text, "try");
}

static void test_one_step_says_no_more_than_it_knows(void **state)
{
    struct verdict_step s[] = { step(4, 4, 5, 36.9, 1) };
    struct verdict_knee k;

    verdict_of_steps(s, 1, false, &k);
    assert_int_equal(k.connections, 4);
    assert_false(k.known);
    says(k.text, "no other number was measured");
    says_not(k.text, "faster than the one before");
}

static void test_measured_once(void **state)
{
    struct verdict_step s[] = { step(1, 1, 1, 20, 0), step(2, 2, 1, 37, 0), step(4, 4, 1, 36, 0) };
    struct verdict_knee k;

    verdict_of_steps(s, 3, false, &k);
    assert_int_equal(k.connections, 2);
    assert_false(k.known);
    says(k.text, "measured too seldom to compare");
    says_not(k.text, "±");
    says_not(k.text, "p =");
}

static void test_nothing(void **state)
{
    struct verdict_step bad = step(1, 0, 0, 0, 0);
    struct verdict_knee k;

    verdict_of_steps(&bad, 1, true, &k);
    assert_int_equal(k.connections, 0);
    assert_int_equal(k.step, -1);
    says(k.text, "nothing was measured");
    verdict_of_steps(NULL, 0, false, &k);
    assert_int_equal(k.connections, 0);
}

static void test_interrupted(void **state)
{
    struct verdict_step s[] = { step(1, 1, 5, 10, 0.1), step(2, 2, 4, 10, 0.1) };
    struct verdict_knee k;

    verdict_of_steps(s, 2, true, &k);
    assert_false(k.known);
    says(k.text, "measured in part only");
}

/* What is recommended was measured: of 6 asked for 4 were let in, so 4. */
static void test_a_limit_at_the_first_step(void **state)
{
    struct verdict_step s[] = { step(6, 4, 5, 21, 0.5) };
    struct verdict_facts f = { .one_step = true, .seconds = 5, .loops = 2, .processors = 2 };
    struct verdict_knee k;
    char text[VERDICT_TEXT_BYTES];

    verdict_of_steps(s, 1, false, &k);
    assert_int_equal(k.connections, 4);
    assert_int_equal(k.let_in, 4);
    says(k.text, "of 6 asked for the server let in 4");
    assert_int_equal(verdict_of_limit(&k, &f, text), VERDICT_CONNECTIONS);
    says(text, "no more than 4 connections");
}

/* Steps that got the same connections are one. */
static void test_the_same_twice(void **state)
{
    struct verdict_step s[] = { step(1, 1, 5, 13.9, 0.1), step(4, 4, 5, 30, 0.2), step(6, 4, 5, 30.5, 0.2),
                                step(8, 4, 5, 29, 0.2) };
    struct verdict_knee k;

    verdict_of_steps(s, 4, false, &k);
    assert_int_equal(k.connections, 4);
    assert_int_equal(k.step, 1);
    assert_true(k.turned_away);
    says_not(k.text, "4 are");
}

static void test_errors_are_no_measure(void **state)
{
    struct verdict_step s[] = { step(1, 1, 5, 10, 0.1), step(2, 2, 5, 90, 0.1) };
    struct verdict_knee k;

    s[1].errors = true;
    strcpy(s[1].why, "ServerBug: what");
    verdict_of_steps(s, 2, false, &k);
    assert_int_equal(k.connections, 1);
    assert_false(k.known);
    says(k.text, "ServerBug");
}

static void test_wide_intervals_are_not_known(void **state)
{
    struct verdict_step s[] = { step(1, 1, 3, 10, 5), step(2, 2, 3, 11, 6) };
    struct verdict_knee k;

    verdict_of_steps(s, 2, false, &k);
    assert_false(k.known);
    says(k.text, "is not known");
    says_not(k.text, "no faster");
}

static void flat(struct verdict_knee *k)
{
    struct verdict_step s[] = { step(1, 1, 5, 10, 0.1), step(2, 2, 5, 10, 0.1), step(4, 4, 5, 10, 0.1) };

    verdict_of_steps(s, 3, false, k);
    assert_int_equal(k->connections, 1);
    assert_true(k->known);
}

/* Of a small spread, to which the logarithm's is the same in parts of the mean. */
static struct stats logs(const struct stats *s)
{
    return (struct stats){ s->count, s->mean > 0 ? log(s->mean) : 0, s->mean > 0 ? s->deviation / s->mean : 0 };
}

static enum verdict_limit limit_of(const struct verdict_knee *k, struct verdict_facts f)
{
    char text[VERDICT_TEXT_BYTES];
    enum verdict_limit limit;

    f.processors = 2;
    f.seconds = 10;
    f.small_log = logs(&f.small);
    f.large_log = logs(&f.large);
    limit = verdict_of_limit(k, &f, text);
    assert_true(text[0] != '\0');
    return limit;
}

static void test_limits(void **state)
{
    struct verdict_step rising[] = { step(1, 1, 5, 1, 0.01), step(2, 2, 5, 2, 0.01) };
    struct stats none = { 0 };
    struct verdict_knee k, up;

    flat(&k);
    verdict_of_steps(rising, 2, false, &up);
#define FACTS .loops = 2, .machine = 0.3, .round_trip_ms = 0.2, .select_ms = 1
    assert_int_equal(limit_of(&k, (struct verdict_facts){ FACTS, .held = true }), VERDICT_OWN);
    /* Two loops for ten seconds: 20 s of work at most. */
    assert_int_equal(limit_of(&k, (struct verdict_facts){ FACTS, .cpu_s = 15 }), VERDICT_CLIENT);
    assert_int_equal(limit_of(&k, (struct verdict_facts){ FACTS, .cpu_s = 8, .wait_s = 10 }), VERDICT_CLIENT);
    assert_int_equal(limit_of(&k, (struct verdict_facts){ .loops = 2, .cpu_s = 6, .machine = 0.99 }), VERDICT_CLIENT);
    /* Busy with others, and this program hardly works: not the client. */
    assert_int_equal(limit_of(&k, (struct verdict_facts){ .loops = 2,
                                                          .cpu_s = 0.2,
                                                          .wait_s = 6,
                                                          .machine = 1,
                                                          .small = made(3, 2, 0.1),
                                                          .large = made(3, 2.1, 0.1),
                                                          .small_bytes = 4e3,
                                                          .large_bytes = 1e5 }),
                     VERDICT_LINE);
    assert_int_equal(limit_of(&k, (struct verdict_facts){ FACTS, .small = made(3, 2, 0.1), .large = made(3, 9, 0.1),
                                                          .small_bytes = 4e3, .large_bytes = 1e5 }),
                     VERDICT_SERVER);
    /* Too alike in size; a difference that may be chance; nothing measured. */
    assert_int_equal(limit_of(&k, (struct verdict_facts){ FACTS, .small = made(3, 2, 0.1), .large = made(3, 9, 0.1),
                                                          .small_bytes = 4e3, .large_bytes = 8e3 }),
                     VERDICT_NOT_KNOWN);
    assert_int_equal(limit_of(&k, (struct verdict_facts){ FACTS, .small = made(3, 2, 1.5), .large = made(3, 4, 3),
                                                          .small_bytes = 4e3, .large_bytes = 1e5 }),
                     VERDICT_NOT_KNOWN);
    assert_int_equal(limit_of(&k, (struct verdict_facts){ FACTS, .small = none, .large = none }), VERDICT_NOT_KNOWN);
    assert_int_equal(limit_of(&up, (struct verdict_facts){ .loops = 2, .round_trip_ms = 40, .select_ms = 41 }),
                     VERDICT_ROUND_TRIP);
    assert_int_equal(limit_of(&up, (struct verdict_facts){ FACTS }), VERDICT_NOT_REACHED);
    assert_int_equal(limit_of(&k, (struct verdict_facts){ FACTS, .one_step = true }), VERDICT_NOT_KNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plateau),
        cmocka_unit_test(test_a_dip_is_no_knee),
        cmocka_unit_test(test_it_grows),
        cmocka_unit_test(test_one_step_says_no_more_than_it_knows),
        cmocka_unit_test(test_measured_once),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_a_limit_at_the_first_step),
        cmocka_unit_test(test_the_same_twice),
        cmocka_unit_test(test_errors_are_no_measure),
        cmocka_unit_test(test_wide_intervals_are_not_known),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
