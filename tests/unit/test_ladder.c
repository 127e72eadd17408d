/* test: message */
#include "engine/message/ladder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void forms_that_mark_as_read_are_for_examine_only(void **state)
{
    struct ladder l = { 0 };
    unsigned peeking = 0, all = 0;

    (void)state;
    assert_int_equal(ladder_form(&l, false), SESSION_BODY_PEEK);
    for (; ladder_goes_on(&l, true); ladder_failed(&l), peeking++) {
        assert_int_not_equal(ladder_form(&l, true), SESSION_BODY_UNPEEKED);
        assert_int_not_equal(ladder_form(&l, true), SESSION_BODY_RFC822);
    }
    assert_true(ladder_is_through(&l, true));
    assert_false(ladder_is_through(&l, false));
    for (l = (struct ladder){ 0 }; ladder_goes_on(&l, false); ladder_failed(&l))
        all++;
    assert_int_equal(ladder_form(&l, false), SESSION_BODY_RFC822);
    assert_true(peeking < all);
}

/* Comes in these sizes, form by form; 0: not at all. How many forms were asked until it was taken; 0: it never was. */
static unsigned asked_until_taken(struct ladder *l, uint64_t told, const uint64_t *sizes, unsigned count)
{
    for (unsigned i = 0; ladder_goes_on(l, false) && i < count; i++) {
        if (sizes[i] && ladder_takes(l, told, sizes[i], SIZES_UNKNOWN))
            return i + 1;
        ladder_failed(l);
    }
    return 0;
}

static void of_another_size_it_is_asked_for_in_another_form(void **state)
{
    static const uint64_t right[] = { 90, 100 }, twice[] = { 90, 80, 90 }, ever[] = { 90, 0, 0, 0, 0, 0, 70 };
    struct ladder l = { 0 };

    (void)state;
    assert_int_equal(asked_until_taken(&l, 100, right, 2), 2);
    /* Alone, the form that was asked for in a set gives the same: the next one is a part. */
    l = (struct ladder){ 0 };
    assert_false(ladder_takes(&l, 100, 90, SIZES_UNKNOWN));
    ladder_failed(&l);
    assert_int_equal(ladder_form(&l, false), SESSION_BODY_PARTIAL);
    l = (struct ladder){ 0 };
    assert_int_equal(asked_until_taken(&l, 100, twice, 3), 3);
    /* In no other form: once more, and whatever comes. */
    l = (struct ladder){ 0 };
    assert_int_equal(asked_until_taken(&l, 100, ever, 7), 7);
    assert_true(l.any_size);
}

static void no_size_speaks_against_it_where_none_counts(void **state)
{
    struct ladder l = { 0 };

    (void)state;
    assert_true(ladder_takes(&l, 0, 90, SIZES_UNKNOWN));
    assert_true(ladder_takes(&l, 100, 90, SIZES_ESTIMATES));
    assert_false(ladder_takes(&l, 100, 90, SIZES_EXACT));
}

/* What never came whole ends; what was torn does not count as another size. */
static void it_ends_where_nothing_comes(void **state)
{
    static const uint64_t nothing[40];
    struct ladder l = { 0 };

    (void)state;
    ladder_tore(&l, 50);
    ladder_tore(&l, 20);
    assert_int_equal(asked_until_taken(&l, 100, nothing, 40), 0);
    assert_true(ladder_is_through(&l, false));
    assert_int_equal(l.torn_bytes, 50);
    for (unsigned i = 0; i < 1000; i++)
        ladder_failed(&l);
    assert_false(ladder_goes_on(&l, false));
}

static void parts_know_the_other_size(void **state)
{
    struct ladder l = { .tries = 2, .other_bytes = 90 };
    struct assembly parts;

    (void)state;
    assert_int_equal(ladder_begin(&l, false, 100, SIZES_EXACT, &parts), SESSION_BODY_PARTIAL);
    assert_int_equal(parts.other_bytes, 90);
    assert_int_equal(parts.listed_bytes, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_that_mark_as_read_are_for_examine_only),
        cmocka_unit_test(of_another_size_it_is_asked_for_in_another_form),
        cmocka_unit_test(no_size_speaks_against_it_where_none_counts),
        cmocka_unit_test(it_ends_where_nothing_comes),
        cmocka_unit_test(parts_know_the_other_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
