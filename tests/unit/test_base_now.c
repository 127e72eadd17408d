/* test: base */
#include "io/base/now.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_faked_and_real(void **state)
{
    uint64_t before = now_ns();

    now_fake(5000000123u, 1795492800000);
    assert_true(now_ns() == 5000000123u);
    assert_int_equal(now_ms(), 5000);
    assert_true(now_wall_ms() == 1795492800000);
    now_real();
    assert_true(now_ns() >= before);
    assert_true(now_wall_ms() > 1600000000000);
}

static void test_dates(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        { 0, "" },
        { 1, "1970-01-01T00:00:00Z" },
        { 951782400000, "2000-02-29T00:00:00Z" },
        { 4102444799999, "2099-12-31T23:59:59Z" },
    };
    char out[32];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(now_rfc3339(cases[i].ms, out, sizeof out), cases[i].text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faked_and_real),
        cmocka_unit_test(test_dates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
