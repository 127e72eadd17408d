/* test: folders */
#include "engine/folders/names_lines.h"
#include "engine/settings/turns.h"
#include "io/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>

#include <cmocka.h>

static struct settings *with_lines(const char *const (*lines)[2], size_t count)
{
    struct settings *s = settings_create();

    s->folders = mem_zero(count, sizeof *s->folders);
    for (size_t i = 0; i < count; i++)
        s->folders[s->folder_count++] = (struct settings_folder){ mem_text(lines[i][0]), mem_text(lines[i][1]), 1 };
    return s;
}

static void is_word(struct names_lines *lines, const char *name, const char *expected)
{
    char *word = names_lines_word(lines, name);

    if (expected && (!word || strcmp(word, expected) != 0))
        fail_msg("%s: %s, not %s", name, word ? word : "nothing", expected);
    if (!expected && word)
        fail_msg("%s: %s", name, word);
    free(word);
}

static void patterns_and_lines(void **state)
{
    static const char *const all[][2] = {
        { "Archive/*", "Old mail/*" }, { "Archive/2019/*", "Nineteen/*" },
        { "Archive/Keep", "Kept" },    { "*/Entw\xC3\xBCrfe", "Drafts of */x" },
        { "Liste-*", "Lists/*" },      { "\\*star", "Plain \\*" },
        { "Mine", "Yours" },           { "*", "All/*" },
    };
    struct settings *s = with_lines(all, sizeof all / sizeof *all);
    struct names_lines lines;

    (void)state;
    names_lines_init(&lines, s);
    is_word(&lines, "Archive/2018", "Old mail/2018");
    is_word(&lines, "ARCHIVE/2018/a/B", "Old mail/2018/a/B");
    is_word(&lines, "Archive/2019/x", "Nineteen/x");
    is_word(&lines, "Archive/2019", "Old mail/2019");
    is_word(&lines, "archive/keep", "Kept");
    is_word(&lines, "Archive/Keep/within", NULL); /* its parent's line says more than Archive/-star */
    is_word(&lines, "Ann/ENTW\xC3\x9CRFE", "Drafts of Ann/x");
    is_word(&lines, "Liste-\xC3\x84rger", "Lists/\xC3\x84rger");
    is_word(&lines, "*star", "Plain *");
    is_word(&lines, "Mine/a", NULL); /* goes with its parent */
    is_word(&lines, "INBOX", "All/INBOX");
    is_word(&lines, "a/b/c", "All/a/b/c");
    names_lines_deinit(&lines);
    settings_destroy(&s);
}

static void what_is_no_name_is_left_alone(void **state)
{
    static const char *const all[][2] = { { "Old*", "*" }, { "A/*", "*/*" } };
    struct settings *s = with_lines(all, 1);
    struct names_lines lines;

    (void)state;
    names_lines_init(&lines, s);
    is_word(&lines, "Old", NULL);
    is_word(&lines, "Older", "er");
    is_word(&lines, "Old/x", NULL); /* "/x" */
    is_word(&lines, "New", NULL);
    names_lines_deinit(&lines);
    settings_destroy(&s);
    s = settings_create();
    names_lines_init(&lines, s);
    is_word(&lines, "Old", NULL);
    names_lines_deinit(&lines);
    settings_destroy(&s);
}

static void faults_are_named(void **state)
{
    (void)state;
    assert_null(names_line_fault("a", "b"));
    assert_null(names_line_fault("a/*", "b/*"));
    assert_null(names_line_fault("\\*", "\\*"));
    assert_non_null(strstr(names_line_fault("*/*", "b/*"), "more than one"));
    assert_non_null(strstr(names_line_fault("a/*", "b/*/*"), "the target has more than one"));
    assert_non_null(strstr(names_line_fault("a/*", "b"), "needs a *"));
    assert_non_null(strstr(names_line_fault("a", "b/*"), "the source has none"));
}

static void users_are_ordered(void **state)
{
    static const struct turn_facts users[] = {
        { false, 0, 0, 0 },   { true, 10, 500, 9 }, { true, 30, 300, 0 },
        { true, 20, 300, 2 }, { false, 0, 0, 0 },   { true, 10, 500, 9 },
    };
    static const unsigned expected[][6] = { { 0, 1, 2, 3, 4, 5 }, { 2, 3, 1, 5, 0, 4 }, { 3, 2, 1, 5, 0, 4 } };
    unsigned order[6];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        turns_order(users, 6, (enum settings_user_order)i, order);
        assert_memory_equal(order, expected[i], sizeof order);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_and_lines),
        cmocka_unit_test(what_is_no_name_is_left_alone),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(users_are_ordered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
