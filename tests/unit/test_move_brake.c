/* test: move */
#include "engine/move/brake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct brake *make(bool shared)
{
    const bool both[2] = { shared, false };

    return brake_create(both);
}

static void test_own_passwords_never_stop_the_server(void **state)
{
    struct brake *b = make(false);
    bool scout;

    for (unsigned i = 0; i < 100; i++) {
        assert_true(brake_may_login(b, 0, &scout));
        assert_false(scout);
        assert_false(brake_refused(b, 0, scout, i));
    }
    brake_destroy(&b);
    assert_null(b);
}

static void test_a_shared_secret_goes_one_at_a_time_until_it_has_worked(void **state)
{
    struct brake *b = make(true);
    bool scout;

    assert_true(brake_may_login(b, 0, &scout));
    assert_true(scout);
    assert_false(brake_may_login(b, 0, &scout));
    assert_false(scout);
    /* The other side has nothing to do with it. */
    assert_true(brake_may_login(b, 1, &scout));
    assert_false(scout);
    brake_given_up(b, 0);
    assert_true(brake_may_login(b, 0, &scout));
    assert_true(scout);
    brake_logged_in(b, 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_true(brake_may_login(b, 0, &scout));
        assert_false(scout);
    }
    brake_destroy(&b);
}

static void test_the_third_refusal_stops_once(void **state)
{
    struct brake *b = make(true);
    bool scout;

    for (unsigned i = 1; i <= BRAKE_FIRST; i++) {
        assert_true(brake_may_login(b, 0, &scout));
        /* However long it takes: nothing says that the secret is right. */
        assert_int_equal(brake_refused(b, 0, scout, i * 10 * BRAKE_WINDOW_MS), i == BRAKE_FIRST);
    }
    assert_false(brake_may_login(b, 0, &scout));
    assert_false(brake_refused(b, 0, false, 1));
    brake_destroy(&b);
}

static void test_once_it_has_worked_only_many_in_a_minute_stop(void **state)
{
    struct brake *b = make(true);

    brake_logged_in(b, 0);
    for (unsigned i = 0; i < 5 * BRAKE_LATER; i++)
        assert_false(brake_refused(b, 0, false, i * BRAKE_WINDOW_MS / 5));
    for (unsigned i = 0; i + 1 < BRAKE_LATER; i++)
        (void)brake_refused(b, 0, false, 10000000);
    brake_logged_in(b, 0);
    for (unsigned i = 1; i <= BRAKE_LATER; i++)
        assert_int_equal(brake_refused(b, 0, false, 20000000 + i), i == BRAKE_LATER);
    brake_destroy(&b);
}

static void test_a_certificate_that_fails_for_all_is_one_fault(void **state)
{
    struct brake *b = make(false);
    bool scout;

    for (unsigned i = 1; i <= BRAKE_TLS; i++)
        assert_int_equal(brake_tls_failed(b, 0), i == BRAKE_TLS);
    assert_false(brake_may_login(b, 0, &scout));
    assert_true(brake_may_login(b, 1, &scout));
    brake_logged_in(b, 1);
    for (unsigned i = 0; i < 10; i++)
        assert_false(brake_tls_failed(b, 1));
    brake_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_passwords_never_stop_the_server),
        cmocka_unit_test(test_a_shared_secret_goes_one_at_a_time_until_it_has_worked),
        cmocka_unit_test(test_the_third_refusal_stops_once),
        cmocka_unit_test(test_once_it_has_worked_only_many_in_a_minute_stop),
        cmocka_unit_test(test_a_certificate_that_fails_for_all_is_one_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
