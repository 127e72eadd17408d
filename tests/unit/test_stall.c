/* test: move */
#include "engine/move/stall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void read_text(const char *text, struct stalls *stalls_r)
{
    memset(stalls_r, 0xff, sizeof *stalls_r);
    stalls_read(slice_cstr(text), stalls_r);
}

static void nothing_counted_is_nothing_kept(void **state)
{
    struct stalls none = { 0 }, back;
    struct buf out;

    buf_init(&out, STALLS_BYTES);
    stalls_put(&out, &none);
    assert_int_equal(buf_slice(&out).size, 0);
    stalls_read(buf_slice(&out), &back);
    assert_memory_equal(&back, &none, sizeof back);
    buf_deinit(&out);
}

static void all_of_the_largest_fit_and_come_back(void **state)
{
    struct stalls all = { 0 }, back;
    struct buf out;

    for (unsigned side = 0; side < SIDE_COUNT; side++)
        for (unsigned i = STALL_NONE + 1; i < STALL_CAUSE_COUNT; i++)
            all.ms[side][i] = UINT64_MAX - side * 100 - i;
    buf_init(&out, STALLS_BYTES);
    stalls_put(&out, &all);
    stalls_read(buf_slice(&out), &back);
    assert_memory_equal(&back, &all, sizeof back);
    buf_deinit(&out);
}

static void what_makes_no_sense_is_left_out(void **state)
{
    struct stalls got;

    read_text("sNewCause=5 tSpoolFull=7 x tDisk= tDisk=-1 tDisk=1x =3 s s= qReconnect=3 sReconnect=2", &got);
    assert_int_equal(got.ms[SIDE_TARGET][STALL_SPOOL_FULL], 7);
    assert_int_equal(got.ms[SIDE_SOURCE][STALL_RECONNECT], 2);
    assert_int_equal(got.ms[SIDE_TARGET][STALL_DISK], 0);
    got.ms[SIDE_TARGET][STALL_SPOOL_FULL] = got.ms[SIDE_SOURCE][STALL_RECONNECT] = 0;
    assert_memory_equal(&got, &(struct stalls){ 0 }, sizeof got);
}

static void sums_add_up(void **state)
{
    struct stalls a = { 0 }, b = { 0 };

    a.ms[SIDE_SOURCE][STALL_TOKEN] = 3;
    b.ms[SIDE_SOURCE][STALL_TOKEN] = 4;
    b.ms[SIDE_TARGET][STALL_PACE] = 1;
    stalls_add(&a, &b);
    assert_int_equal(a.ms[SIDE_SOURCE][STALL_TOKEN], 7);
    assert_int_equal(a.ms[SIDE_TARGET][STALL_PACE], 1);
}

static void names_differ(void **state)
{
    for (unsigned i = STALL_NONE + 1; i < STALL_CAUSE_COUNT; i++) {
        assert_true(stall_name(i)[0] && stall_words(i)[0]);
        for (unsigned k = STALL_NONE; k < i; k++)
            assert_string_not_equal(stall_name(i), stall_name(k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_counted_is_nothing_kept),
        cmocka_unit_test(all_of_the_largest_fit_and_come_back),
        cmocka_unit_test(what_makes_no_sense_is_left_out),
        cmocka_unit_test(sums_add_up),
        cmocka_unit_test(names_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
