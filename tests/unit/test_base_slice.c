/* test: base */
#include "io/base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        bool ok, ok32;
        uint64_t value;
    } cases[] = {
        { "0", true, true, 0 },
        { "007", true, true, 7 },
        { "4294967295", true, true, UINT32_MAX },
        { "4294967296", true, false, 4294967296u },
        { "18446744073709551615", true, false, UINT64_MAX },
        { "18446744073709551616", false, false, 0 },
        { "99999999999999999999", false, false, 0 },
        { "", false, false, 0 },
        { "-1", false, false, 0 },
        { "+1", false, false, 0 },
        { " 1", false, false, 0 },
        { "1x", false, false, 0 },
        { "\xb2", false, false, 0 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t value = 42;
        uint32_t value32 = 42;

        assert_int_equal(slice_u64(slice_cstr(cases[i].text), &value), cases[i].ok);
        assert_true(value == (cases[i].ok ? cases[i].value : 42));
        assert_int_equal(slice_u32(slice_cstr(cases[i].text), &value32), cases[i].ok32);
        assert_true(value32 == (cases[i].ok32 ? cases[i].value : 42));
    }
}

static void test_case_folds_ascii_only(void **state)
{
    assert_true(slice_equal_nocase(SLICE("InBoX"), SLICE("inbox")));
    assert_false(slice_equal_nocase(SLICE("INBOX"), SLICE("INBOX1")));
    assert_false(slice_equal_nocase(SLICE("\xc4"), SLICE("\xe4")));
    assert_false(slice_equal_nocase(SLICE("@"), SLICE("`")));
    assert_false(slice_equal_nocase(SLICE("["), SLICE("{")));
    assert_true(slice_starts_nocase(SLICE("Body[TEXT]"), SLICE("BODY[")));
    assert_false(slice_starts_nocase(SLICE("BOD"), SLICE("BODY")));
    assert_true(slice_starts(SLICE("abc"), SLICE("")));
    assert_true(slice_ends(SLICE("{12+}"), SLICE("+}")));
    assert_false(slice_ends(SLICE("}"), SLICE("+}")));
}

static void test_search(void **state)
{
    assert_int_equal(slice_find(SLICE("a\0b"), 'b'), 2);
    assert_int_equal(slice_find(slice_of(NULL, 0), 'b'), SIZE_MAX);
    assert_int_equal(slice_find_nocase(SLICE("xThrottledx"), SLICE("THROTTLED")), 1);
    assert_int_equal(slice_find_nocase(SLICE("abc"), SLICE("")), 0);
    assert_int_equal(slice_find_nocase(SLICE("ab"), SLICE("abc")), SIZE_MAX);
}

static void test_parts(void **state)
{
    assert_int_equal(slice_from(SLICE("abc"), 5).size, 0);
    assert_true(slice_equal(slice_from(SLICE("abc"), 1), SLICE("bc")));
    assert_true(slice_equal(slice_first(SLICE("abc"), 9), SLICE("abc")));
    assert_true(slice_equal(slice_trim(SLICE(" \t a b\r\n")), SLICE("a b")));
    assert_int_equal(slice_trim(SLICE(" \r\n")).size, 0);
    assert_true(slice_equal(slice_cstr(NULL), SLICE("")));
}

static void test_split(void **state)
{
    static const char *const want[] = { "a", "", "b" };
    struct slice rest = SLICE("a,,b"), head;
    size_t count = 0;
    char *copy;

    while (slice_split(&rest, ',', &head)) {
        assert_true(count < 3);
        assert_true(slice_equal(head, slice_cstr(want[count++])));
    }
    assert_int_equal(count, 3);
    copy = slice_dup(SLICE("a\0b"));
    assert_memory_equal(copy, "a\0b\0", 4);
    free(copy);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_case_folds_ascii_only),
        cmocka_unit_test(test_search),  cmocka_unit_test(test_parts),
        cmocka_unit_test(test_split),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
