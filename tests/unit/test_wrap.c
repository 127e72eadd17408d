/* test: report */
#include "engine/report/wrap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static char *wrapped(const char *text, unsigned columns)
{
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);

    wrap_lines(slice_cstr(text), columns, f);
    fclose(f);
    return out;
}

static void check(const char *text, unsigned columns, const char *expected)
{
    char *out = wrapped(text, columns);

    assert_string_equal(out, expected);
    free(out);
}

static void lines_are_broken_at_blanks(void **state)
{
    check("one two three four\nfive\n\nsix\n", 9, "one two\nthree\nfour\nfive\n\nsix\n");
    check("one two\n", 7, "one two\n");
    check("without a line end", 80, "without a line end\n");
}

static void no_columns_leave_it_as_it_is(void **state)
{
    check("one two three four\n", 0, "one two three four\n");
}

static void a_value_goes_on_below_itself(void **state)
{
    check("  Label                   some words that are too long for it\n", 50,
          "  Label                   some words that are too\n"
          "                          long for it\n");
}

static void a_word_without_room_stays_whole(void **state)
{
    check("a verylongwordwithoutanyblank b\n", 10, "a\nverylongwordwithoutanyblank\nb\n");
    check("verylongwordwithoutanyblank\n", 10, "verylongwordwithoutanyblank\n");
}

static void no_word_is_lost_at_any_width(void **state)
{
    const char *text = "  Doubts                  LateCopy: 3 users, e.g. ann@new.example. A copy came late.\n";

    for (unsigned columns = 1; columns < 120; columns++) {
        char *out = wrapped(text, columns), *p = out;
        char copy[200], *word, *rest = NULL;

        strcpy(copy, text);
        for (word = strtok_r(copy, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
            p = strstr(p, word);
            assert_non_null(p);
            p += strlen(word);
        }
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_broken_at_blanks),   cmocka_unit_test(no_columns_leave_it_as_it_is),
        cmocka_unit_test(a_value_goes_on_below_itself), cmocka_unit_test(a_word_without_room_stays_whole),
        cmocka_unit_test(no_word_is_lost_at_any_width),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
