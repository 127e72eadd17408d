/* test: move */
#include "engine/move/login_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct login_guard *make(bool shared)
{
    const bool both[2] = { shared, false };

    return login_guard_create(both);
}

static void test_own_passwords_never_stop_the_server(void **state)
{
    struct login_guard *b = make(false);
    bool scout;

    for (unsigned i = 0; i < 100; i++) {
        assert_true(login_guard_may_login(b, 0, &scout));
        assert_false(scout);
        assert_false(login_guard_refused(b, 0, scout, i));
    }
    login_guard_destroy(&b);
    assert_null(b);
}

static void test_a_shared_secret_goes_one_at_a_time_until_it_has_worked(void **state)
{
    struct login_guard *b = make(true);
    bool scout;

    assert_true(login_guard_may_login(b, 0, &scout));
    assert_true(scout);
    assert_false(login_guard_may_login(b, 0, &scout));
    assert_false(scout);
    /* The other side has nothing to do with it. */
    assert_true(login_guard_may_login(b, 1, &scout));
    assert_false(scout);
    login_guard_given_up(b, 0);
    assert_true(login_guard_may_login(b, 0, &scout));
    assert_true(scout);
    login_guard_logged_in(b, 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_true(login_guard_may_login(b, 0, &scout));
        assert_false(scout);
    }
    login_guard_destroy(&b);
}

static void test_the_third_refusal_stops_once(void **state)
{
    struct login_guard *b = make(true);
    bool scout;

    for (unsigned i = 1; i <= LOGIN_GUARD_FIRST; i++) {
        assert_true(login_guard_may_login(b, 0, &scout));
        /* However long it takes: nothing says that the secret is right. */
        assert_int_equal(login_guard_refused(b, 0, scout, i * 10 * LOGIN_GUARD_WINDOW_MS), i == LOGIN_GUARD_FIRST);
    }
    assert_false(login_guard_may_login(b, 0, &scout));
    assert_false(login_guard_refused(b, 0, false, 1));
    login_guard_destroy(&b);
}

static void test_once_it_has_worked_only_many_in_a_minute_stop(void **state)
{
    struct login_guard *b = make(true);

    login_guard_logged_in(b, 0);
    for (unsigned i = 0; i < 5 * LOGIN_GUARD_LATER; i++)
        assert_false(login_guard_refused(b, 0, false, i * LOGIN_GUARD_WINDOW_MS / 5));
    for (unsigned i = 0; i + 1 < LOGIN_GUARD_LATER; i++)
        (void)login_guard_refused(b, 0, false, 10000000);
    login_guard_logged_in(b, 0);
    for (unsigned i = 1; i <= LOGIN_GUARD_LATER; i++)
        assert_int_equal(login_guard_refused(b, 0, false, 20000000 + i), i == LOGIN_GUARD_LATER);
    login_guard_destroy(&b);
}

static void test_a_certificate_that_fails_for_all_is_one_fault(void **state)
{
    struct login_guard *b = make(false);
    bool scout;

    for (unsigned i = 1; i <= LOGIN_GUARD_TLS; i++)
        assert_int_equal(login_guard_tls_failed(b, 0), i == LOGIN_GUARD_TLS);
    assert_false(login_guard_may_login(b, 0, &scout));
    assert_true(login_guard_may_login(b, 1, &scout));
    login_guard_logged_in(b, 1);
    for (unsigned i = 0; i < 10; i++)
        assert_false(login_guard_tls_failed(b, 1));
    login_guard_destroy(&b);
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
