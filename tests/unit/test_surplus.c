/* test: message */
/* Second copies in a target folder: whose they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/message/surplus.h"

static const struct match_fidelity plain = { 0 }, rewriting = { .rewrites = true };

static struct message_record row(uint32_t uid, const char *key, int64_t seconds, uint32_t target_uid,
                                 uint8_t unanswered)
{
    struct message_record m = { .uid = uid,
                                .state = MESSAGE_UPLOADED,
                                .date_known = true,
                                .date_seconds = seconds,
                                .body_bytes = 1000,
                                .target_uid = target_uid,
                                .unanswered = unanswered };

    memcpy(m.header_key, key, strlen(key));
    return m;
}

static struct match_row seen(uint32_t uid, const char *key, int64_t seconds, uint64_t bytes)
{
    struct match_row r = { .uid = uid, .seconds = seconds, .bytes = bytes };

    memcpy(r.key, key, strlen(key));
    return r;
}

static bool uids_lie;

static struct surplus *judged(uint32_t floor, const struct message_record *rows, size_t row_count,
                              const struct match_row *there, size_t there_count, const struct match_fidelity *fidelity)
{
    struct surplus *s = surplus_create(floor, uids_lie);
    const uint32_t *kept;
    size_t count;

    for (size_t i = 0; i < row_count; i++)
        surplus_know(s, &rows[i]);
    for (size_t i = 0; i < there_count; i++)
        if (there[i].uid >= floor && !surplus_is_claimed(s, there[i].uid))
            surplus_see(s, &there[i]);
    surplus_match(s, fidelity);
    kept = surplus_kept(s, &count);
    for (size_t i = 0; i < there_count; i++)
        for (size_t k = 0; k < count; k++)
            if (there[i].uid == kept[k])
                surplus_see_kept(s, &there[i]);
    surplus_judge(s);
    return s;
}

/* What is found of these rows where this is there: "UID>kept kind alike " ... */
static const char *found(uint32_t floor, const struct message_record *rows, size_t row_count,
                         const struct match_row *there, size_t there_count, const struct match_fidelity *fidelity)
{
    static char text[256];
    struct surplus *s = judged(floor, rows, row_count, there, there_count, fidelity);
    const struct surplus_copy *copies;
    size_t count, at = 0;

    text[0] = '\0';
    copies = surplus_copies(s, &count);
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%u>%u %s%s;", copies[i].seen.uid, copies[i].kept_uid,
                               copies[i].kind == SURPLUS_OWN      ? "own"
                               : copies[i].kind == SURPLUS_UNSURE ? "unsure"
                                                                  : "others",
                               copies[i].alike ? " alike" : "");
    surplus_destroy(&s);
    return text;
}

#define FOUND(floor, rows, there, fidelity)                                                                            \
    found(floor, rows, sizeof rows / sizeof *rows, there, sizeof there / sizeof *there, fidelity)

static void a_late_copy_is_our_own(void **state)
{
    struct message_record rows[] = { row(1, "Ma", 100, 12, 1), row(2, "Mb", 100, 13, 0) };
    struct match_row there[] = { seen(12, "Ma", 100, 1000), seen(13, "Mb", 100, 1000), seen(14, "Ma", 100, 1000),
                                 seen(15, "Mc", 100, 1000) };

    assert_string_equal(FOUND(10, rows, there, &plain), "14>12 own alike;");
    /* Below the floor it is none of ours. */
    there[2].uid = 9;
    assert_string_equal(FOUND(10, rows, there, &plain), "");
}

static void what_was_sent_once_is_somebody_elses(void **state)
{
    struct message_record rows[] = { row(1, "Ma", 100, 12, 0) };
    struct match_row there[] = { seen(12, "Ma", 100, 1000), seen(14, "Ma", 100, 1000) };

    assert_string_equal(FOUND(10, rows, there, &plain), "14>12 others alike;");
}

static void of_more_copies_than_were_sent_nobody_knows_which(void **state)
{
    struct message_record rows[] = { row(1, "Ma", 100, 12, 1) };
    struct match_row there[] = { seen(12, "Ma", 100, 1000), seen(14, "Ma", 100, 1000), seen(16, "Ma", 100, 1000) };

    assert_string_equal(FOUND(10, rows, there, &plain), "14>12 unsure alike;16>12 unsure alike;");
    rows[0].unanswered = 2;
    assert_string_equal(FOUND(10, rows, there, &plain), "14>12 own alike;16>12 own alike;");
}

static void the_last_copy_is_no_second_one(void **state)
{
    struct message_record rows[] = { row(1, "Ma", 100, 12, 1), row(2, "Mb", 100, 13, 1) };
    struct match_row there[] = { seen(14, "Ma", 100, 1000), seen(13, "Mx", 100, 1000), seen(15, "Mb", 100, 1000) };

    /* The one that is claimed was deleted; under the other one's UID is another mail. */
    assert_string_equal(FOUND(10, rows, there, &plain), "");
}

static void another_size_or_date_is_not_alike(void **state)
{
    struct message_record rows[] = { row(1, "Ma", 100, 12, 1) };
    struct match_row there[] = { seen(12, "Ma", 100, 1000), seen(14, "Ma", 100, 1001) };
    struct match_fidelity own_dates = { .date_other = 100 }, kept_dates = { .date_same = 100 };

    assert_string_equal(FOUND(10, rows, there, &plain), "14>12 own;");
    there[1] = seen(14, "Ma", 101, 1000);
    assert_string_equal(FOUND(10, rows, there, &kept_dates), "");
    /* A target that gives mail dates of its own, or of which that is not known. */
    assert_string_equal(FOUND(10, rows, there, &own_dates), "14>12 own;");
    assert_string_equal(FOUND(10, rows, there, &plain), "14>12 own;");
}

static void without_a_name_the_very_size_is_enough_where_dates_are_the_targets_own(void **state)
{
    struct message_record rows[] = { row(1, "Da", 100, 12, 1) };
    struct match_row there[] = { seen(12, "Da", 700, 1000), seen(14, "Da", 701, 1000) };
    struct match_fidelity own_dates = { .date_other = 100 }, kept_dates = { .date_same = 100 };

    assert_string_equal(FOUND(10, rows, there, &own_dates), "14>12 own;");
    assert_string_equal(FOUND(10, rows, there, &kept_dates), "");
    rows[0].unanswered = 0;
    assert_string_equal(FOUND(10, rows, there, &own_dates), "");
}

static void the_same_mail_twice_at_the_source(void **state)
{
    struct message_record rows[] = { row(1, "Ma", 100, 12, 0), row(2, "Ma", 100, 13, 1) };
    struct match_row there[] = { seen(12, "Ma", 100, 1000), seen(13, "Ma", 100, 1000), seen(14, "Ma", 100, 1000) };

    assert_string_equal(FOUND(10, rows, there, &plain), "14>13 own alike;");
}

static void rows_without_a_uid_claim_by_header(void **state)
{
    struct message_record rows[] = { row(1, "Ma", 100, 0, 1), row(2, "Mb", 100, 0, 1) };
    struct match_row there[] = { seen(12, "Ma", 100, 1000), seen(14, "Ma", 100, 1000), seen(15, "Mb", 100, 1000) };

    rows[0].target_uid_from = rows[1].target_uid_from = 10;
    assert_string_equal(FOUND(10, rows, there, &plain), "14>0 own;");
    rows[0].target_uid_from = MESSAGE_NOT_THERE;
    assert_string_equal(FOUND(10, rows, there, &plain), "14>0 own;");
}

/* Its folder was made anew, and held mail. */
static void a_row_of_which_nothing_is_known_claims_in_the_whole_folder(void **state)
{
    struct message_record rows[] = { row(1, "Ma", 100, 0, 0), row(2, "Ma", 100, 0, 1) };
    struct match_row there[] = { seen(83, "Ma", 100, 1000), seen(348, "Ma", 100, 1000), seen(350, "Ma", 100, 1000) };

    rows[1].target_uid_from = 347;
    assert_string_equal(found(1, rows, 2, there, 2, &plain), "");
    assert_string_equal(found(1, rows, 2, there, 3, &plain), "350>0 own;");
    /* Its copy came before all that has been told since. */
    assert_string_equal(found(347, rows, 2, there, 3, &plain), "350>0 own;");
}

/* The message that went is not sent again where as many equal copies are there as there are messages. */
static void a_copy_that_stands_for_one_that_went_is_no_second_one(void **state)
{
    struct message_record rows[] = { row(1, "Ma", 100, 0, 0), row(2, "Ma", 100, 136, 3) };
    struct match_row there[] = { seen(61, "Ma", 100, 1000), seen(136, "Ma", 100, 1000), seen(140, "Ma", 100, 1000) };

    rows[0].target_uid_from = MESSAGE_NOT_THERE;
    assert_string_equal(found(1, rows, 2, there, 2, &plain), "");
    assert_string_equal(found(1, rows, 2, there, 3, &plain), "140>136 own alike;");
    uids_lie = true;
    rows[1].target_uid = 0;
    assert_string_equal(found(1, rows, 2, there, 2, &plain), "");
    uids_lie = false;
}

static void a_message_id_that_the_target_made(void **state)
{
    struct message_record rows[] = { row(1, "Da", 100, 12, 1) };
    struct match_row there[] = { seen(12, "Mx", 100, 1200), seen(14, "My", 100, 1200) };

    assert_string_equal(FOUND(10, rows, there, &rewriting), "14>12 own;");
    assert_string_equal(FOUND(10, rows, there, &plain), "");
}

static void what_was_there_before_may_be_there_twice(void **state)
{
    struct message_record rows[] = { row(1, "Ma", 100, 12, 0) };
    struct match_row there[] = { seen(12, "Ma", 100, 1000), seen(14, "Ma", 100, 1000) };

    rows[0].state = MESSAGE_PRESENT;
    assert_string_equal(FOUND(10, rows, there, &plain), "");
    rows[0].unanswered = 1;
    assert_string_equal(FOUND(10, rows, there, &plain), "14>12 own alike;");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_copy_is_our_own),
        cmocka_unit_test(what_was_sent_once_is_somebody_elses),
        cmocka_unit_test(of_more_copies_than_were_sent_nobody_knows_which),
        cmocka_unit_test(the_last_copy_is_no_second_one),
        cmocka_unit_test(another_size_or_date_is_not_alike),
        cmocka_unit_test(without_a_name_the_very_size_is_enough_where_dates_are_the_targets_own),
        cmocka_unit_test(the_same_mail_twice_at_the_source),
        cmocka_unit_test(rows_without_a_uid_claim_by_header),
        cmocka_unit_test(a_row_of_which_nothing_is_known_claims_in_the_whole_folder),
        cmocka_unit_test(a_copy_that_stands_for_one_that_went_is_no_second_one),
        cmocka_unit_test(a_message_id_that_the_target_made),
        cmocka_unit_test(what_was_there_before_may_be_there_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
