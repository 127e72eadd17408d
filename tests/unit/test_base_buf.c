/* test: base */
#include "io/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_the_cap_refuses_and_changes_nothing(void **state)
{
    struct buf b;

    buf_init(&b, 10);
    assert_true(buf_append(&b, SLICE("12345678")));
    assert_false(buf_append(&b, SLICE("abc")));
    assert_false(buf_append_format(&b, "%d", 123));
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_true(slice_equal(buf_slice(&b), SLICE("12345678")));
    assert_true(buf_append(&b, SLICE("ab")));
    assert_int_equal(buf_space(&b), 0);
    buf_deinit(&b);
    assert_int_equal(buf_space(&b), 10);
}

static void test_a_queue_keeps_its_order_while_it_moves(void **state)
{
    struct buf b;
    unsigned in = 0, out = 0;

    buf_init(&b, 5000);
    for (unsigned round = 0; round < 3000; round++) {
        char bytes[97];

        for (unsigned i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)(in + i);
        if (buf_append(&b, slice_of(bytes, sizeof bytes)))
            in += sizeof bytes;
        for (unsigned i = 0; i < 80 && b.size; i++) {
            assert_int_equal(buf_slice(&b).data[0], (char)out++);
            buf_consume(&b, 1);
        }
        assert_true(b.size <= 5000);
    }
    assert_int_equal(in - out, b.size);
    buf_deinit(&b);
}

static void test_formats_longer_than_the_first_room(void **state)
{
    struct buf b;
    char text[2001];

    memset(text, 'x', 2000);
    text[2000] = '\0';
    buf_init(&b, 4000);
    assert_true(buf_append_format(&b, "<%s>", text));
    assert_int_equal(b.size, 2002);
    assert_int_equal(buf_slice(&b).data[2001], '>');
    buf_deinit(&b);
}

static void test_reserve_then_commit(void **state)
{
    struct buf b;
    char *room;

    buf_init(&b, 100);
    room = buf_reserve(&b, 50);
    memcpy(room, "hello", 5);
    buf_commit(&b, 5);
    assert_true(slice_equal(buf_slice(&b), SLICE("hello")));
    buf_trim(&b);
    assert_non_null(b.data);
    buf_clear(&b);
    buf_trim(&b);
    assert_null(b.data);
    assert_int_equal(buf_slice(&b).size, 0);
    buf_deinit(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_cap_refuses_and_changes_nothing),
        cmocka_unit_test(test_a_queue_keeps_its_order_while_it_moves),
        cmocka_unit_test(test_formats_longer_than_the_first_room),
        cmocka_unit_test(test_reserve_then_commit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
