/* test: message */
#include "engine/message/verify_match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOON 1700000000

static struct verify_entry entry(const char *header, int64_t seconds, uint64_t size, uint32_t uid)
{
    struct verify_entry e = { .seconds = seconds, .size = size, .uid = uid };

    verify_keys(slice_cstr(header), &e);
    return e;
}

static struct verify_entry mail(const char *id, int64_t seconds, uint32_t uid)
{
    char header[200];

    snprintf(header, sizeof header, "Message-ID: <%s@x>\r\nDate: d\r\nFrom: %s\r\n\r\n", id, id);
    return entry(header, seconds, 1000, uid);
}

struct told {
    unsigned counts[VERIFY_WHAT_COUNT];
    uint32_t last[VERIFY_WHAT_COUNT];
};

static void tell(void *context, enum verify_what what, uint32_t index)
{
    struct told *told = context;

    told->counts[what]++;
    told->last[what] = index;
}

static void expect(struct verify_entry *s, uint32_t sn, struct verify_entry *t, uint32_t tn, bool rewrites,
                   unsigned missing, unsigned doubled, unsigned date)
{
    struct told told = { 0 };

    verify_match(s, sn, t, tn, rewrites, tell, &told);
    assert_int_equal(told.counts[VERIFY_MISSING], missing);
    assert_int_equal(told.counts[VERIFY_DOUBLED], doubled);
    assert_int_equal(told.counts[VERIFY_DATE], date);
}

static void equal_folders_differ_in_nothing(void **state)
{
    struct verify_entry s[] = { mail("a", NOON, 1), mail("b", NOON, 2), mail("a", NOON, 3) };
    struct verify_entry t[] = { mail("b", NOON, 7), mail("a", NOON, 8), mail("a", NOON, 9) };

    (void)state;
    expect(s, 3, t, 3, false, 0, 0, 0);
    assert_int_equal(s[1].pair, 0);
    assert_int_equal(t[0].pair, 1);
    expect(s, 0, t, 0, false, 0, 0, 0);
}

static void missing_and_doubled_are_counted_as_multisets(void **state)
{
    struct verify_entry s[] = { mail("a", NOON, 1), mail("b", NOON, 2), mail("b", NOON, 3) };
    struct verify_entry t[] = { mail("b", NOON, 7),  mail("c", NOON, 8),  mail("c", NOON, 9),
                                mail("a", NOON, 10), mail("a", NOON, 11), mail("a", NOON, 12) };

    (void)state;
    /* c was there before and has no fellow at the source: nobody's business. */
    expect(s, 3, t, 6, false, 1, 2, 0);
    expect(s, 3, t, 0, false, 3, 0, 0);
    expect(s, 0, t, 6, false, 0, 0, 0);
}

static void another_date_is_no_missing_message(void **state)
{
    struct verify_entry s[] = { mail("a", NOON, 1), mail("a", NOON + 60, 2) };
    struct verify_entry t[] = { mail("a", NOON + 60, 7), mail("a", NOON + 3600, 8) };

    (void)state;
    expect(s, 2, t, 2, false, 0, 0, 1);
    /* The one whose date agrees is its partner, whatever the order. */
    assert_int_equal(s[1].pair, 0);
    assert_int_equal(s[0].pair, 1);
}

static void what_policy_left_behind_explains_but_is_not_missed(void **state)
{
    struct verify_entry s[] = { mail("a", NOON, 1), mail("a", NOON, 2), mail("b", NOON, 3) };
    struct verify_entry t[] = { mail("a", NOON, 7), mail("a", NOON, 8) };

    (void)state;
    s[1].want = s[2].want = VERIFY_OPTIONAL;
    expect(s, 3, t, 2, false, 0, 0, 0);
    /* The required one is served first. */
    expect(s, 3, t, 1, false, 0, 0, 0);
    assert_int_equal(s[0].pair, 0);
    assert_int_equal(s[1].pair, VERIFY_UNPAIRED);
}

static void equal_keys_pair_nearest_in_size(void **state)
{
    struct verify_entry s[] = { mail("a", NOON, 1), mail("a", NOON, 2) };
    struct verify_entry t[] = { mail("a", NOON, 7), mail("a", NOON, 8) };

    (void)state;
    s[0].size = 5000;
    t[1].size = 5000;
    expect(s, 2, t, 2, false, 0, 0, 0);
    assert_int_equal(s[0].pair, 1);
    assert_int_equal(s[1].pair, 0);
}

static void a_mail_without_a_name_is_known_by_date_and_size(void **state)
{
    struct verify_entry s[] = { entry("X: 1\r\n\r\n", NOON, 100, 1) };
    struct verify_entry t[] = { entry("X: 2\r\n\r\n", NOON, 101, 1), entry("X: 3\r\n\r\n", NOON, 100, 2),
                                entry("X: 3\r\n\r\n", NOON, 100, 3), entry("X: 3\r\n\r\n", NOON + 1, 100, 4) };

    (void)state;
    expect(s, 1, t, 1, false, 1, 0, 0);
    expect(s, 1, t, 1, true, 0, 0, 0);
    expect(s, 1, t, 4, false, 0, 1, 0);
}

static void a_target_that_renames_messages_is_seen_through(void **state)
{
    static const char old[] = "Date: d\r\nFrom: me\r\nSubject: s\r\n\r\n";
    static const char new[] = "Message-ID: <made@target>\r\nDate: d\r\nFrom: me\r\nSubject: s\r\n\r\n";
    struct verify_entry s[] = { entry(old, NOON, 100, 1) };
    struct verify_entry t[] = { entry(new, NOON, 900, 1) };

    (void)state;
    expect(s, 1, t, 1, true, 0, 0, 0);
    expect(s, 1, t, 1, false, 1, 0, 0);
}

static void keywords_are_sets(void **state)
{
    (void)state;
    assert_true(verify_keywords(SLICE("$Work later")) == verify_keywords(SLICE("LATER $work")));
    assert_true(verify_keywords(SLICE("$Work")) != verify_keywords(SLICE("$Worm")));
    assert_true(verify_keywords(SLICE("")) == 0);
}

static void grades(void **state)
{
    static const struct {
        uint64_t required, missing, doubled, content, other;
        const char *grade;
    } rows[] = {
        { 0, 0, 0, 0, 0, "Perfect" },        { 1000, 0, 0, 0, 0, "Perfect" },     { 1000, 0, 0, 0, 900, "Good" },
        { 1000, 1, 0, 0, 0, "Investigate" }, { 1000, 4, 3, 3, 9, "Investigate" }, { 1000, 4, 4, 3, 0, "Poor" },
        { 10, 0, 0, 1, 0, "Investigate" },   { 10, 10, 0, 0, 0, "Poor" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(verify_grade_name(verify_grade_of(rows[i].required, rows[i].missing, rows[i].doubled,
                                                              rows[i].content, rows[i].other)),
                            rows[i].grade);
}

/* A direct copy and one from a list: what is missing is called by its name, whichever comes first. */
static void two_of_one_key_pair_by_their_very_sizes(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 2; first++)
        for (unsigned there = 0; there < 2; there++) {
            struct verify_entry s[] = { mail("a", NOON, 1), mail("a", NOON, 2) };
            struct verify_entry t[] = { mail("a", NOON, 7) };
            struct told told = { 0 };

            s[first].size = 1400;
            t[0].size = s[there].size;
            verify_match(s, 2, t, 1, false, tell, &told);
            assert_int_equal(told.counts[VERIFY_MISSING], 1);
            assert_int_equal(told.last[VERIFY_MISSING], !there);
        }
}

/* ---- many that are alike ---- */

/* The rules as they read, each partner looked for among all: what verify_match has to come to. */
static void by_the_rules(struct verify_entry *s, uint32_t sn, struct verify_entry *t, uint32_t tn, bool rewrites)
{
    for (uint32_t i = 0; i < sn; i++)
        s[i].pair = VERIFY_UNPAIRED;
    for (uint32_t i = 0; i < tn; i++)
        t[i].pair = VERIFY_UNPAIRED;
    for (int sureness = rewrites ? 1 : 3; sureness >= 0; sureness--)
        for (uint8_t want = VERIFY_REQUIRED; want <= VERIFY_OPTIONAL; want++)
            for (unsigned other = 0; other <= rewrites; other++)
                for (uint32_t i = 0; i < sn; i++) {
                    bool dates = rewrites ? sureness == 1 : sureness >= 2, very = !rewrites && sureness % 2;
                    const uint8_t *key = other ? s[i].date_key : s[i].key;
                    uint64_t best_gap = UINT64_MAX;
                    uint32_t best = VERIFY_UNPAIRED;

                    if (s[i].pair != VERIFY_UNPAIRED || s[i].want != want || (key[0] == 'E' && !dates))
                        continue;
                    for (uint32_t k = 0; k < tn; k++) {
                        uint64_t gap = t[k].size > s[i].size ? t[k].size - s[i].size : s[i].size - t[k].size;

                        if (t[k].pair == VERIFY_UNPAIRED && gap < best_gap &&
                            memcmp(other ? t[k].date_key : t[k].key, key, MATCH_KEY_BYTES) == 0 &&
                            (!dates || t[k].seconds == s[i].seconds) &&
                            (gap == 0 || (!very && !(key[0] == 'E' && !rewrites)))) {
                            best = k;
                            best_gap = gap;
                        }
                    }
                    if (best != VERIFY_UNPAIRED) {
                        s[i].pair = best;
                        t[best].pair = i;
                    }
                }
}

static uint32_t random_below(uint32_t below)
{
    static uint64_t state = 7;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

/* Few names, dates and sizes, so that most are alike in something. Sizes are far apart by powers, so that no two are
 * equally near. */
static struct verify_entry any_mail(uint32_t uid)
{
    static const char *const headers[] = { "Message-ID: <a@x>\r\nDate: d\r\nFrom: a\r\n\r\n",
                                           "Message-ID: <b@x>\r\nDate: d\r\nFrom: a\r\n\r\n",
                                           "Message-ID: <c@x>\r\nDate: e\r\nFrom: c\r\n\r\n", "\r\n" };
    struct verify_entry e = entry(headers[random_below(4)], NOON + random_below(3), 1u << (3 * random_below(4)), uid);

    e.want = random_below(4) ? VERIFY_REQUIRED : VERIFY_OPTIONAL;
    return e;
}

static void pairs_are_those_of_the_rules(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4000; round++) {
        struct verify_entry s[24], t[24];
        uint32_t sn = random_below(24), tn = random_below(24), doubled = 0, missing = 0;
        bool rewrites = round % 2;
        struct told told = { 0 };

        for (uint32_t i = 0; i < sn; i++)
            s[i] = any_mail(i + 1);
        for (uint32_t i = 0; i < tn; i++)
            t[i] = any_mail(i + 1);
        by_the_rules(s, sn, t, tn, rewrites);
        for (uint32_t i = 0; i < sn; i++)
            missing += s[i].want == VERIFY_REQUIRED && s[i].pair == VERIFY_UNPAIRED;
        for (uint32_t i = 0; i < tn; i++) {
            bool twin = false;

            for (uint32_t k = 0; k < tn && t[i].pair == VERIFY_UNPAIRED; k++)
                twin |= t[k].pair != VERIFY_UNPAIRED && memcmp(t[k].key, t[i].key, MATCH_KEY_BYTES) == 0 &&
                        (t[i].key[0] != 'E' || (t[k].seconds == t[i].seconds && (rewrites || t[k].size == t[i].size)));
            doubled += twin;
        }
        verify_match(s, sn, t, tn, rewrites, tell, &told);
        assert_int_equal(told.counts[VERIFY_MISSING], missing);
        assert_int_equal(told.counts[VERIFY_DOUBLED], doubled);
        for (uint32_t i = 0; i < sn; i++)
            if (s[i].pair != VERIFY_UNPAIRED)
                assert_int_equal(t[s[i].pair].pair, i);
    }
}

/* The owner of a mailbox may have one mail a hundred thousand times, and a server may show it so: by a look at each
 * for each this takes hours. */
static void very_many_that_are_alike(void **state)
{
    const uint32_t count = 200000;
    struct verify_entry *s = malloc(count * sizeof *s), *t = malloc(count * sizeof *t);

    (void)state;
    for (unsigned form = 0; form < 4; form++) {
        struct told told = { 0 };

        for (uint32_t i = 0; i < count; i++) {
            s[i] = form < 2 ? mail("a", NOON, i + 1) : entry("\r\n", NOON, 1000, i + 1);
            t[i] = s[i];
            if (form == 1) { /* none of the very size */
                s[i].size = 2 * i + 1;
                t[i].size = 2 * (count - i);
            }
        }
        verify_match(s, count - 5, t, count, form == 3, tell, &told);
        assert_int_equal(told.counts[VERIFY_MISSING], 0);
        assert_int_equal(told.counts[VERIFY_DOUBLED], 5);
        /* And where none of them has a partner. */
        told = (struct told){ 0 };
        verify_match(s, 0, t, count, form == 3, tell, &told);
        assert_int_equal(told.counts[VERIFY_DOUBLED], 0);
    }
    free(s);
    free(t);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_folders_differ_in_nothing),
        cmocka_unit_test(missing_and_doubled_are_counted_as_multisets),
        cmocka_unit_test(another_date_is_no_missing_message),
        cmocka_unit_test(what_policy_left_behind_explains_but_is_not_missed),
        cmocka_unit_test(equal_keys_pair_nearest_in_size),
        cmocka_unit_test(two_of_one_key_pair_by_their_very_sizes),
        cmocka_unit_test(a_mail_without_a_name_is_known_by_date_and_size),
        cmocka_unit_test(a_target_that_renames_messages_is_seen_through),
        cmocka_unit_test(keywords_are_sets),
        cmocka_unit_test(grades),
        cmocka_unit_test(pairs_are_those_of_the_rules),
        cmocka_unit_test(very_many_that_are_alike),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
