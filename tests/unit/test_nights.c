/* test: message */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/message/nights.h"

static void the_last_rows_are_kept(void **state)
{
    char *text = NULL, *next;
    struct night n;
    struct slice rest;
    unsigned count = 0;

    for (unsigned i = 1; i <= NIGHTS_MAX + 7; i++) {
        next = nights_add(slice_cstr(text), &(struct night){ i, i, UINT64_MAX, 2, 3, 4 });
        free(text);
        text = next;
    }
    rest = slice_cstr(text);
    while (nights_next(&rest, &n)) {
        count++;
        assert_int_equal(n.started_ms, 7 + count);
        assert_true(n.found == 7 + count && n.flags == UINT64_MAX && n.moved == 2 && n.deleted == 3 && n.left == 4);
    }
    assert_int_equal(count, NIGHTS_MAX);
    free(text);
}

static void what_is_no_row_is_passed_over(void **state)
{
    struct slice rest = SLICE("x\n1 2 3\n1 2 3 4 5 6 7\n-1 2 3 4 5 6\n18446744073709551615 2 3 4 5 "
                              "6\n9 8 7 6 5 4\n\n1 2");
    struct night n;

    assert_true(nights_next(&rest, &n));
    assert_true(n.started_ms == 9 && n.left == 4);
    assert_false(nights_next(&rest, &n));
    rest = SLICE("");
    assert_false(nights_next(&rest, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_rows_are_kept),
        cmocka_unit_test(what_is_no_row_is_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
