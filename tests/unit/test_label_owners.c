/* test: message */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/message/label_owners.h"

static void the_first_folder_has_it(void **state)
{
    struct label_owners c = { 0 };

    (void)state;
    assert_int_equal(label_owners_holder(&c, 7), 0);
    assert_true(label_owners_take(&c, 7, 1));
    assert_true(label_owners_take(&c, 7, 1));
    assert_false(label_owners_take(&c, 7, 2));
    assert_int_equal(label_owners_holder(&c, 7), 1);
    label_owners_release(&c, 7, 2);
    assert_int_equal(label_owners_holder(&c, 7), 1);
    label_owners_release(&c, 7, 1);
    assert_int_equal(label_owners_holder(&c, 7), 0);
    assert_true(label_owners_take(&c, 7, 2));
    assert_int_equal(label_owners_holder(&c, 7), 2);
    label_owners_deinit(&c);
}

static void many_are_kept_apart_and_given_up_by_folder(void **state)
{
    enum { MANY = 20000 };
    struct label_owners c = { 0 };

    (void)state;
    /* Gmail's numbers differ in their low bits only. */
    for (uint64_t i = 0; i < MANY; i++)
        assert_true(label_owners_take(&c, 1278455344230334865u + i * 64, 1 + i % 3));
    for (uint64_t i = 0; i < MANY; i++)
        assert_int_equal(label_owners_holder(&c, 1278455344230334865u + i * 64), 1 + i % 3);
    label_owners_release_folder(&c, 2);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(label_owners_holder(&c, 1278455344230334865u + i * 64), i % 3 == 1 ? 0 : 1 + i % 3);
        assert_int_equal(label_owners_take(&c, 1278455344230334865u + i * 64, 4), i % 3 == 1);
    }
    /* Places given up are used again, not kept for ever. */
    for (unsigned round = 0; round < 50; round++) {
        for (uint64_t i = 1; i <= 1000; i++)
            assert_true(label_owners_take(&c, i, 9));
        label_owners_release_folder(&c, 9);
    }
    assert_true(c.room <= 65536);
    label_owners_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_folder_has_it),
        cmocka_unit_test(many_are_kept_apart_and_given_up_by_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
