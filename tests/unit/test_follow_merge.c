/* test: message */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "engine/message/follow_merge.h"

static const struct follow_keeps all = { .system = 0x1f, .any_keyword = true };

static struct follow_flags flags(unsigned system, const char *words)
{
    return (struct follow_flags){ .system = (uint8_t)system, .keywords = slice_cstr(words) };
}

static void merged(struct follow_flags base, struct follow_flags source, struct follow_flags target,
                   const struct follow_keeps *keeps, const char *add, const char *take, bool stays, bool unkept)
{
    struct follow_merge m;

    follow_merge(&base, &source, &target, keeps, &m);
    assert_string_equal(m.add, add);
    assert_string_equal(m.take, take);
    assert_int_equal(m.stays, stays);
    assert_int_equal(m.unkept, unkept);
}

/* Of one flag, all there is: base, source, target -> what is stored, and whether a person's change
 * stays. */
static void each_flag_is_followed_unless_somebody_changed_it_on_the_target(void **state)
{
    static const unsigned each[] = { IMAP_FLAG_SEEN, IMAP_FLAG_ANSWERED, IMAP_FLAG_FLAGGED, IMAP_FLAG_DRAFT };
    static const char *const names[] = { "\\Seen", "\\Answered", "\\Flagged", "\\Draft" };

    for (unsigned i = 0; i < 4; i++)
        for (unsigned bits = 0; bits < 8; bits++) {
            bool base = bits & 1, source = bits & 2, target = bits & 4;

            merged(flags(base ? each[i] : 0, ""), flags(source ? each[i] : 0, ""), flags(target ? each[i] : 0, ""),
                   &all, source && !base && !target ? names[i] : "", base && !source && target ? names[i] : "",
                   base == source && target != base, false);
        }
}

static void keywords_are_sets_without_case(void **state)
{
    merged(flags(0, "a b"), flags(0, "B c"), flags(0, "A b x"), &all, "c", "A", true, false);
    merged(flags(0, "a b"), flags(0, "b a"), flags(0, "A B"), &all, "", "", false, false);
    merged(flags(0, ""), flags(0, "work"), flags(0, "WORK"), &all, "", "", false, false);
    assert_false(
        follow_differs(&(struct follow_flags){ 0, slice_cstr("a b") }, &(struct follow_flags){ 0, slice_cstr("B A") }));
    assert_true(
        follow_differs(&(struct follow_flags){ 0, slice_cstr("a b") }, &(struct follow_flags){ 0, slice_cstr("a") }));
    assert_true(
        follow_differs(&(struct follow_flags){ 0, slice_cstr("a") }, &(struct follow_flags){ 0, slice_cstr("a b") }));
}

static void changes_on_both_sides_are_both_kept(void **state)
{
    merged(flags(0, ""), flags(IMAP_FLAG_FLAGGED, ""), flags(IMAP_FLAG_SEEN, ""), &all, "\\Flagged", "", true, false);
    merged(flags(IMAP_FLAG_SEEN | IMAP_FLAG_FLAGGED, "k"), flags(0, ""),
           flags(IMAP_FLAG_ANSWERED | IMAP_FLAG_SEEN, "k"), &all, "", "\\Seen k", true, false);
}

static void what_the_target_does_not_keep_is_not_sent(void **state)
{
    struct follow_keeps few = { .system = IMAP_FLAG_SEEN, .keywords = slice_cstr("$MDNSent") };

    merged(flags(0, ""), flags(IMAP_FLAG_SEEN | IMAP_FLAG_DRAFT, "$mdnsent work"), flags(0, ""), &few,
           "\\Seen $mdnsent", "", false, true);
    /* It never had it: that is nobody's change. */
    merged(flags(IMAP_FLAG_DRAFT, "work"), flags(IMAP_FLAG_DRAFT | IMAP_FLAG_SEEN, "work"), flags(0, ""), &few,
           "\\Seen", "", false, false);
}

static void a_mark_for_deletion_is_not_followed(void **state)
{
    struct follow_flags kept = flags(0, ""), marked = flags(IMAP_FLAG_DELETED, "");

    assert_false(follow_differs(&kept, &marked));
    merged(kept, marked, kept, &all, "", "", false, false);
    merged(marked, kept, marked, &all, "", "", false, false);
}

/* A text that is longer than a command may be is cut by whole words. */
static void no_text_is_longer_than_its_room(void **state)
{
    static char words[KEYWORDS_BYTES_MAX + 200];
    struct follow_merge m;

    memset(words, 'k', sizeof words - 1);
    for (size_t i = 9; i < sizeof words - 1; i += 10)
        words[i] = ' ';
    for (size_t i = 0; i + 9 < sizeof words; i += 10) {
        words[i] = (char)('a' + i / 10 % 26);
        words[i + 1] = (char)('a' + i / 260);
    }
    follow_merge(&(struct follow_flags){ 0 }, &(struct follow_flags){ FOLLOW_FLAGS, slice_cstr(words) },
                 &(struct follow_flags){ 0 }, &all, &m);
    assert_true(strlen(m.add) < sizeof m.add);
    assert_non_null(strstr(m.add, "\\Draft"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_flag_is_followed_unless_somebody_changed_it_on_the_target),
        cmocka_unit_test(keywords_are_sets_without_case),
        cmocka_unit_test(changes_on_both_sides_are_both_kept),
        cmocka_unit_test(what_the_target_does_not_keep_is_not_sent),
        cmocka_unit_test(a_mark_for_deletion_is_not_followed),
        cmocka_unit_test(no_text_is_longer_than_its_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
