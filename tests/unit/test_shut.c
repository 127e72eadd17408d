/* test: failure */
#include "engine/failure/shut.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* So many waits in a row, in which the server opened `each` folders for others. */
static bool waits(struct shut *s, unsigned *tries, unsigned n, uint32_t *opened, uint32_t each, unsigned refused,
                  unsigned most)
{
    bool shut = false;

    while (n--) {
        *opened += each;
        shut = shut_waits(s, ++*tries, *opened, refused, most);
    }
    return shut;
}

static void one_mailbox_alone_has_no_more_tries(void **state)
{
    struct shut s = { 0 };
    unsigned tries = 0;
    uint32_t opened = 7;

    (void)state;
    assert_false(waits(&s, &tries, 100, &opened, 0, 1, SHUT_ROUNDS));
    assert_int_equal(s.tries, 0);
}

static void nor_has_one_beside_which_others_are_opened(void **state)
{
    struct shut s = { 0 };
    unsigned tries = 0;
    uint32_t opened = 7;

    (void)state;
    assert_false(waits(&s, &tries, 100, &opened, 1, 5, SHUT_ROUNDS));
    assert_int_equal(s.tries, 0);
}

static void a_server_that_opens_none_is_waited_for_up_to_a_bound(void **state)
{
    struct shut s = { 0 };
    unsigned tries = 0;
    uint32_t opened = 7;

    (void)state;
    assert_false(waits(&s, &tries, SHUT_SILENT, &opened, 0, 2, SHUT_ROUNDS));
    assert_true(waits(&s, &tries, 1, &opened, 0, 2, SHUT_ROUNDS));
    while (tries < s.tries)
        assert_true(waits(&s, &tries, 1, &opened, 0, 2, SHUT_ROUNDS));
    assert_int_equal(tries, SHUT_ROUNDS);
}

static void where_it_opens_again_each_has_a_try_of_its_own(void **state)
{
    struct shut s = { 0 };
    unsigned tries = 0;
    uint32_t opened = 7;

    (void)state;
    assert_true(waits(&s, &tries, 10, &opened, 0, 2, SHUT_ROUNDS));
    /* Another mailbox was opened first, and this one refused just before. */
    assert_false(waits(&s, &tries, 1, &opened, 1, 1, SHUT_ROUNDS));
    assert_true(tries < s.tries);
    assert_false(waits(&s, &tries, 1, &opened, 1, 1, SHUT_ROUNDS));
    assert_false(tries < s.tries);
}

static void the_most_may_be_any_number(void **state)
{
    struct shut s = { 0 };
    unsigned tries = 0;
    uint32_t opened = 0;

    (void)state;
    assert_true(waits(&s, &tries, 1000, &opened, 0, 2, 100000));
    assert_int_equal(s.tries, UINT8_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_mailbox_alone_has_no_more_tries),
        cmocka_unit_test(nor_has_one_beside_which_others_are_opened),
        cmocka_unit_test(a_server_that_opens_none_is_waited_for_up_to_a_bound),
        cmocka_unit_test(where_it_opens_again_each_has_a_try_of_its_own),
        cmocka_unit_test(the_most_may_be_any_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
