/* test: message */
/* Listing a folder by its UIDs, however a server chose them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/imap/uidtable.h"
#include "engine/message/uid_window.h"

#include <stdlib.h>
#include <string.h>

/* Walks a folder whose messages have every step-th UID from first on; every UID is asked for once. */
static unsigned windows(uint32_t from, uint32_t uidnext, uint32_t messages, uint64_t first, uint64_t step,
                        uint64_t *most_r)
{
    struct uid_window w;
    unsigned count = 1;
    uint64_t next = from;

    *most_r = 0;
    for (uid_window_begin(&w, from, uidnext, messages);; count++) {
        uint64_t rows = 0, to = w.to < uidnext || !uidnext ? w.to : uidnext - 1;

        assert_int_equal(w.from, next);
        next = (uint64_t)w.to + 1;
        if (to >= first && step)
            rows = (to - first) / step + 1 - (w.from > first ? (w.from - 1 - first) / step + 1 : 0);
        *most_r = rows > *most_r ? rows : *most_r;
        if (uid_window_is_last(&w))
            return count;
        assert_true(count < 10000);
        uid_window_next(&w, rows);
    }
}

static void any_uidnext_is_near(void **state)
{
    uint64_t most;

    (void)state;
    /* Nothing there, whatever is said of it. */
    assert_true(windows(1, UINT32_MAX, 0, 1, 0, &most) < 20);
    assert_true(windows(1, UINT32_MAX, 1000000, 1, 0, &most) < 20);
    assert_true(windows(UINT32_MAX - 5, UINT32_MAX, 3, 1, 0, &most) < 3);
    assert_int_equal(windows(5, 0, 100, 1, 0, &most), 1);
    /* Dense folders come in pieces of the wanted size. */
    assert_int_equal(windows(1, 100001, 100000, 1, 1, &most), 50);
    assert_true(most <= UID_WINDOW_ROWS);
    /* All of them far up. */
    assert_true(windows(1, UINT32_MAX, 100000, UINT32_MAX - 100000ull, 1, &most) < 80);
    /* Sparse ones are no slower. */
    assert_true(windows(1, 400000001, 100000, 1, 4000, &most) < 60);
    assert_true(most <= UID_WINDOW_ROWS);
}

static void text_of(const struct uid_window *w, const char *expected)
{
    char text[32];

    uid_window_text(w, text);
    assert_string_equal(text, expected);
}

static void windows_are_written_as_sets(void **state)
{
    struct uid_window w;

    (void)state;
    uid_window_begin(&w, 7, 10007, 10000);
    text_of(&w, "7:2006");
    uid_window_next(&w, 2000);
    text_of(&w, "2007:4006");
    uid_window_begin(&w, 7, 0, 0);
    text_of(&w, "7:*");
}

static void a_set_of_uids(void **state)
{
    struct uidtable t = { 0 };

    (void)state;
    assert_false(uidtable_has(&t, 5));
    assert_int_equal(uidtable_below(&t, 5), 0);
    /* Backwards, and each with a neighbour far away. */
    for (uint32_t i = 500000; i > 0; i--) {
        assert_true(uidtable_add(&t, i));
        assert_true(uidtable_add(&t, UINT32_MAX - i * 4096));
    }
    assert_false(uidtable_add(&t, 77));
    assert_int_equal(t.count, 1000000);
    assert_true(uidtable_has(&t, 1) && uidtable_has(&t, 500000) && !uidtable_has(&t, 500001));
    assert_int_equal(uidtable_below(&t, 1001), 1000);
    uidtable_deinit(&t);
    assert_false(uidtable_has(&t, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_uidnext_is_near),
        cmocka_unit_test(windows_are_written_as_sets),
        cmocka_unit_test(a_set_of_uids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
