/* test: message */
#include "engine/message/header.h"
#include "engine/message/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const struct imap_date noon = { 1700000000, 0, true };
static const struct imap_date later = { 1700000060, 60, true };

static void key_of(const char *header, uint8_t key[MATCH_KEY_BYTES])
{
    match_key(slice_cstr(header), key);
}

static void equal_mails_have_equal_keys(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        { "Message-ID: <a@b>\r\n\r\n", "X: y\r\nmessage-id:  <a@b> \r\n\r\nbody", true },
        { "Message-ID: <a@b>\r\n\r\n", "Message-ID:\r\n <a@b>\r\n\r\n", true },
        { "Message-ID: <a@b>\r\n\r\n", "Message-ID: <a@c>\r\n\r\n", false },
        { "Date: 1\r\nFrom: x\r\n\r\n", "From: x\r\nDate:   1\r\n\r\n", true },
        { "Date: 1\r\nSubject: a b\r\n\r\n", "Date: 1\r\nSubject: a\r\n  b\r\n\r\n", true },
        { "Date: 1\r\n\r\n", "Date: 2\r\n\r\n", false },
        /* A field below the empty line is text. */
        { "X: 1\r\n\r\nMessage-ID: <a@b>\r\n", "X: 2\r\n\r\n", true },
        { "Message-ID: <a@b>\n\n", "Message-ID: <a@b>\r\n\r\n", true },
        { "", "\r\n", true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t a[MATCH_KEY_BYTES], b[MATCH_KEY_BYTES];

        key_of(rows[i].a, a);
        key_of(rows[i].b, b);
        assert_int_equal(memcmp(a, b, sizeof a) == 0, rows[i].same);
    }
}

static void the_first_byte_tells_the_kind(void **state)
{
    uint8_t key[MATCH_KEY_BYTES];

    (void)state;
    key_of("Message-ID: <a@b>\r\n\r\n", key);
    assert_int_equal(key[0], 'M');
    key_of("Subject: hello\r\n\r\n", key);
    assert_int_equal(key[0], 'D');
    key_of("X-Other: 1\r\n\r\nbody", key);
    assert_int_equal(key[0], 'E');
}

/* ---- pairing ------------------------------------------------------------------------------- */

static struct match_row row_of(const char *header, const struct imap_date *date, uint64_t bytes, uint32_t uid)
{
    struct match_row row = { .seconds = date->seconds, .bytes = bytes, .digest = bytes, .uid = uid };

    match_key(slice_cstr(header), row.key);
    return row;
}

/* What waits to be fetched: by UID; bytes 0: it is gone. */
static struct match_row unread_rows[10];
static bool is_read[10];

static bool read_row(void *context, uint32_t uid, struct match_row *row_r)
{
    (void)context;
    *row_r = unread_rows[uid];
    return is_read[uid];
}

static const struct match_unread nothing = { .read = read_row, .last = true };
static const struct match_unread some = { .read = read_row, .any = true, .sizes_exact = true };

static const char a_mail[] = "Message-ID: <a@b>\r\n\r\n", cron[] = "Date: d\r\nFrom: cron\r\nSubject: s\r\n\r\n";

struct pairing {
    struct matcher *matcher;
    struct match_fidelity fidelity;
};

static struct pairing pairing(bool rewrites)
{
    return (struct pairing){ matcher_create(NULL), { .rewrites = rewrites } };
}

static void holds(struct pairing *p, const char *header, const struct imap_date *date, uint64_t bytes, uint32_t uid)
{
    uint8_t key[MATCH_KEY_BYTES];

    key_of(header, key);
    matcher_add(p->matcher, key, date, bytes, uid);
}

/* 0: to be sent; UINT32_MAX: to be decided later. */
static uint32_t pair(struct pairing *p, const struct match_row *row, const struct match_unread *unread)
{
    uint32_t uid = 0;

    switch (matcher_pair(p->matcher, row, &p->fidelity, unread, &uid)) {
    case MATCH_NONE:
    case MATCH_DOUBT:
        return 0;
    case MATCH_WAIT:
        return UINT32_MAX;
    case MATCH_FOUND:
        break;
    }
    return uid;
}

/* A copy sent to him alone and one from a list have one Message-ID, and come in the same second. */
static void another_of_its_message_id_takes_nobodys_place(void **state)
{
    static const char *const headers[] = { a_mail, cron };

    (void)state;
    for (unsigned h = 0; h < 2; h++)
        for (unsigned first = 0; first < 2; first++)
            for (unsigned known = 0; known < 2; known++) {
                struct pairing p = pairing(false);
                struct match_row rows[] = { row_of(headers[h], &noon, 1000, 1), row_of(headers[h], &noon, 1400, 2) };

                holds(&p, headers[h], &noon, 1400, 7);
                if (known)
                    matcher_expect(p.matcher, &rows[!first]);
                else
                    match_fidelity_size(&p.fidelity, 1, 1, true);
                assert_int_equal(pair(&p, &rows[first], &nothing), first ? 7 : 0);
                assert_int_equal(pair(&p, &rows[!first], &nothing), first ? 0 : 7);
                matcher_destroy(&p.matcher);
            }
}

static void equal_mails_pair_one_to_one(void **state)
{
    struct pairing p = pairing(false);
    struct match_row rows[4];

    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        rows[i] = row_of(a_mail, &noon, 1000, i + 1);
    holds(&p, a_mail, &noon, 1000, 7);
    holds(&p, a_mail, &noon, 1000, 8);
    holds(&p, a_mail, &later, 1000, 9);
    assert_int_equal(pair(&p, &rows[0], &nothing), 7);
    assert_int_equal(pair(&p, &rows[1], &nothing), 8);
    assert_int_equal(pair(&p, &rows[2], &nothing), 0);
    assert_int_equal(matcher_count(p.matcher), 1);
    rows[3].seconds = later.seconds;
    assert_int_equal(pair(&p, &rows[3], &nothing), 9);
    matcher_destroy(&p.matcher);
}

/* Of one size, and yet not the same: whose copy it is cannot be said, so neither is taken to be
 * there. */
static void one_copy_of_two_that_size_does_not_tell_apart_is_neithers(void **state)
{
    (void)state;
    for (unsigned copies = 1; copies < 3; copies++) {
        struct pairing p = pairing(false);
        struct match_row rows[] = { row_of(cron, &noon, 1000, 1), row_of(cron, &noon, 1000, 2) };

        rows[1].digest = 4711;
        holds(&p, cron, &noon, 1000, 7);
        if (copies == 2)
            holds(&p, cron, &noon, 1000, 8);
        matcher_expect(p.matcher, &rows[0]);
        matcher_expect(p.matcher, &rows[1]);
        assert_int_equal(pair(&p, &rows[1], &nothing) > 0, copies == 2);
        assert_int_equal(pair(&p, &rows[0], &nothing) > 0, copies == 2);
        matcher_destroy(&p.matcher);
    }
}

/* One was sent since nobody could tell whether the copy is its own: it may still be, whatever becomes known later. */
static void what_was_sent_in_doubt_may_still_be_there(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 2; first++)
        for (unsigned how = 0; how < 3; how++) {
            struct pairing p = pairing(false);
            struct match_row rows[] = { row_of(cron, &noon, 1000, 1), row_of(cron, &noon, 1000, 2) };
            struct match_row alike;

            rows[1].digest = 4711;
            alike = rows[1 - first];
            alike.uid = 3;
            holds(&p, cron, &noon, 1000, 7);
            matcher_expect(p.matcher, &rows[0]);
            matcher_expect(p.matcher, &rows[1]);
            assert_int_equal(pair(&p, &rows[first], &nothing), 0);
            if (how == 1)
                match_fidelity_size(&p.fidelity, 1000, 1000, true);
            else if (how == 2)
                matcher_expect(p.matcher, &alike);
            assert_int_equal(pair(&p, &rows[1 - first], &nothing), 0);
            matcher_destroy(&p.matcher);
        }
}

/* Nothing more comes, and what nobody has read may be what is there. */
static void a_copy_of_the_unread_is_nobodys_without_a_message_id(void **state)
{
    struct match_unread last = some;

    (void)state;
    last.last = true;
    for (unsigned named = 0; named < 2; named++) {
        struct pairing p = pairing(false);
        struct match_row row = row_of(named ? a_mail : cron, &noon, 1000, 1);

        is_read[2] = false;
        holds(&p, named ? a_mail : cron, &noon, 1000, 7);
        matcher_expect(p.matcher, &row);
        matcher_expect_unread(p.matcher, 2, noon.seconds, 1000);
        assert_int_equal(pair(&p, &row, &last), named ? 7 : 0);
        matcher_destroy(&p.matcher);
    }
}

/* After another look, which does not show what was sent in doubt any more. */
static void what_an_earlier_look_left_in_doubt_may_still_be_there(void **state)
{
    (void)state;
    for (unsigned alike = 0; alike < 2; alike++) {
        struct pairing p = pairing(false);
        struct match_row rows[] = { row_of(cron, &noon, 1000, 1), row_of(cron, &noon, 1000, 2) };

        if (!alike)
            rows[1].digest = 4711;
        holds(&p, cron, &noon, 1000, 7);
        matcher_expect_sent(p.matcher, &rows[0]);
        matcher_expect(p.matcher, &rows[1]);
        assert_int_equal(pair(&p, &rows[1], &nothing), alike ? 7 : 0);
        matcher_destroy(&p.matcher);
    }
}

static void part_of_a_message_is_not_the_message(void **state)
{
    (void)state;
    for (unsigned rewrites = 0; rewrites < 2; rewrites++) {
        struct pairing p = pairing(rewrites);
        struct match_row row = row_of(a_mail, &noon, 70000, 1);

        holds(&p, a_mail, &noon, 18000, 7);
        assert_int_equal(pair(&p, &row, &nothing), 0);
        matcher_destroy(&p.matcher);
    }
}

/* Where sizes are estimates a copy may be of what is not read yet. */
static void what_waits_to_be_fetched_is_waited_for(void **state)
{
    (void)state;
    for (unsigned outcome = 0; outcome < 4; outcome++) {
        struct pairing p = pairing(true);
        struct match_row row = row_of(a_mail, &noon, 1000, 1), other = row_of(a_mail, &noon, 1050, 2);

        holds(&p, a_mail, &noon, 1157, 7);
        matcher_expect_unread(p.matcher, 2, noon.seconds, 1050);
        matcher_expect_unread(p.matcher, 3, later.seconds, 1050);
        is_read[2] = false;
        assert_int_equal(pair(&p, &row, &some), UINT32_MAX);
        is_read[2] = true;
        unread_rows[2] = other;
        if (outcome == 1) /* it has another key */
            match_key(slice_cstr(cron), unread_rows[2].key);
        else if (outcome == 2) /* it is gone */
            unread_rows[2].uid = 0;
        else if (outcome == 3) /* it is not read, and must be done without */
            is_read[2] = false;
        /* One copy and two whose it may be: both are sent. */
        assert_int_equal(pair(&p, &row, &nothing), outcome == 1 || outcome == 2 ? 7 : 0);
        matcher_destroy(&p.matcher);
    }
}

/* Exchange's estimates: a fiftieth more, and 137. */
static uint64_t estimated(uint64_t bytes)
{
    return bytes + bytes / 50 + 137;
}

static void estimates_that_are_known_tell_near_sizes_apart(void **state)
{
    struct pairing p = pairing(true);
    struct match_row direct = row_of(a_mail, &noon, 5000, 1), list = row_of(a_mail, &noon, 5240, 2);

    (void)state;
    for (uint64_t i = 0; i < 20; i++)
        match_fidelity_size(&p.fidelity, 1000 + 777 * i, estimated(1000 + 777 * i), true);
    /* Nearer to the one from the list, and yet the other's. */
    holds(&p, a_mail, &noon, estimated(5000), 7);
    matcher_expect(p.matcher, &direct);
    matcher_expect(p.matcher, &list);
    assert_int_equal(pair(&p, &list, &nothing), 0);
    assert_int_equal(pair(&p, &direct, &nothing), 7);
    matcher_destroy(&p.matcher);
}

static void nothing_is_decided_by_what_is_only_assumed(void **state)
{
    struct pairing p = pairing(false);
    struct match_row a = row_of(a_mail, &noon, 1000, 1), b = row_of(cron, &noon, 1000, 2);

    (void)state;
    holds(&p, a_mail, &noon, 970, 7);
    holds(&p, cron, &noon, 1000, 8);
    assert_int_equal(pair(&p, &a, &some), UINT32_MAX);
    /* One whose size agrees: sizes are told as they are. */
    assert_int_equal(pair(&p, &b, &some), 8);
    assert_int_equal(pair(&p, &a, &some), 0);
    matcher_destroy(&p.matcher);
}

/* A server that counts line ends as one octet: after some such messages it is known. */
static void a_target_that_tells_other_sizes_is_found_out(void **state)
{
    struct pairing p = pairing(false);
    struct match_row rows[30];
    char header[64];

    (void)state;
    for (uint32_t i = 0; i < 30; i++) {
        snprintf(header, sizeof header, "Message-ID: <%u@b>\r\n\r\n", (unsigned)i);
        holds(&p, header, &noon, 1000 + 50 * i - 20 - i, 100 + i);
        rows[i] = row_of(header, &noon, 1000 + 50 * i, i + 1);
    }
    for (uint32_t i = 0; i < 30; i++)
        matcher_expect(p.matcher, &rows[i]);
    for (uint32_t i = 0; i < 30; i++)
        assert_int_equal(pair(&p, &rows[i], &some), i < 7 ? UINT32_MAX : 100 + i);
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(pair(&p, &rows[i], &nothing), 100 + i);
    matcher_destroy(&p.matcher);
}

static void a_target_that_gives_dates_of_its_own_is_found_out(void **state)
{
    (void)state;
    for (unsigned own = 0; own < 2; own++) {
        struct pairing p = pairing(false);
        struct match_row a = row_of(a_mail, &noon, 1000, 1), c = row_of(cron, &noon, 1000, 2);

        if (own)
            match_fidelity_date(&p.fidelity, false, true);
        holds(&p, a_mail, &later, 1000, 7);
        holds(&p, cron, &later, 1000, 8);
        assert_int_equal(pair(&p, &a, &some), own ? 7 : UINT32_MAX);
        if (!own)
            assert_int_equal(pair(&p, &a, &nothing), 7);
        /* Without a Message-ID its date is part of what it is known by. */
        assert_int_equal(pair(&p, &c, &nothing), 0);
        matcher_destroy(&p.matcher);
    }
}

/* Two equal ones tell nothing of the dates; a third mail does, and all are known when the first must be decided. */
static void all_that_is_known_is_asked_before_it_is_decided(void **state)
{
    static const char other[] = "Message-ID: <c@d>\r\n\r\n";
    struct pairing p = pairing(false);
    struct match_row rows[] = { row_of(a_mail, &noon, 1000, 1), row_of(a_mail, &later, 1000, 2),
                                row_of(other, &noon, 500, 3) };
    static const struct imap_date own = { 1800000000, 0, true };

    (void)state;
    rows[1].digest = rows[0].digest;
    holds(&p, a_mail, &own, 1000, 7);
    holds(&p, a_mail, &own, 1000, 8);
    holds(&p, other, &own, 500, 9);
    for (unsigned i = 0; i < 3; i++)
        matcher_expect(p.matcher, &rows[i]);
    assert_int_not_equal(pair(&p, &rows[0], &nothing), 0);
    assert_int_not_equal(pair(&p, &rows[1], &nothing), 0);
    assert_int_equal(pair(&p, &rows[2], &nothing), 9);
    matcher_destroy(&p.matcher);
}

/* What was stored twice, with dates of the target's own, is recognised: else it would be sent once more each time. */
static void a_second_copy_does_not_hide_that_dates_are_not_kept(void **state)
{
    static const struct imap_date own = { 1800000000, 0, true };
    struct pairing p = pairing(false);
    struct match_row row = row_of(a_mail, &noon, 1000, 1), equal;

    (void)state;
    holds(&p, a_mail, &own, 1000, 7);
    holds(&p, a_mail, &own, 1000, 8);
    assert_int_equal(pair(&p, &row, &nothing), 7);
    matcher_destroy(&p.matcher);
    /* So is what was sent in two equal copies, of which one is there. */
    p = pairing(false);
    equal = row_of(a_mail, &later, 1000, 2);
    holds(&p, a_mail, &own, 1000, 7);
    matcher_expect(p.matcher, &row);
    matcher_expect(p.matcher, &equal);
    assert_int_equal(pair(&p, &equal, &nothing) + pair(&p, &row, &nothing), 7);
    matcher_destroy(&p.matcher);
    /* Of another size they may be of another mail of this name. */
    p = pairing(false);
    holds(&p, a_mail, &own, 990, 7);
    holds(&p, a_mail, &own, 1010, 8);
    assert_int_equal(pair(&p, &row, &nothing), 0);
    matcher_destroy(&p.matcher);
}

static void where_dates_are_kept_another_date_is_another_mail(void **state)
{
    struct pairing p = pairing(false);
    struct match_row a = row_of(a_mail, &noon, 1000, 1), c = row_of(cron, &noon, 1000, 2);

    (void)state;
    holds(&p, a_mail, &later, 1000, 7);
    holds(&p, cron, &noon, 1000, 8);
    assert_int_equal(pair(&p, &c, &some), 8);
    assert_int_equal(pair(&p, &a, &some), 0);
    matcher_destroy(&p.matcher);
}

/* Mended, it is another message: of another size, and perhaps another key. */
static void a_message_may_change_before_it_is_sent(void **state)
{
    struct pairing p = pairing(false);
    struct match_row a = row_of(a_mail, &noon, 1000, 1);

    (void)state;
    match_fidelity_size(&p.fidelity, 1, 1, true);
    holds(&p, a_mail, &noon, 990, 7);
    matcher_expect(p.matcher, &a);
    assert_int_equal(pair(&p, &a, &nothing), 0);
    a.bytes = 990;
    assert_int_equal(pair(&p, &a, &nothing), 7);
    matcher_destroy(&p.matcher);
}

/* A server that keeps books in the header, or counts line ends otherwise; and nothing else to learn from. */
static void a_near_size_is_enough_where_nothing_says_that_sizes_are_exact(void **state)
{
    static const struct {
        uint64_t sent, told;
        bool known, pairs;
    } rows[] = {
        { 1000, 1080, false, true },    { 1000, 970, false, true },     { 1000, 1080, true, false },
        { 70000, 68100, false, true },  { 70000, 18000, false, false }, { 70000, 65000, false, false },
        { 70000, 90000, false, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pairing p = pairing(false);
        struct match_row row = row_of(a_mail, &noon, rows[i].sent, 1);

        if (rows[i].known)
            match_fidelity_size(&p.fidelity, 1, 1, true);
        holds(&p, a_mail, &noon, rows[i].told, 7);
        assert_int_equal(pair(&p, &row, &nothing), rows[i].pairs ? 7 : 0);
        matcher_destroy(&p.matcher);
    }
}

static void nameless_mail_must_have_its_very_size(void **state)
{
    static const char nameless[] = "\r\nno header at all";
    struct pairing p = pairing(false);
    struct match_row row = row_of(nameless, &noon, 999, 1);

    (void)state;
    holds(&p, nameless, &noon, 1000, 7);
    assert_int_equal(pair(&p, &row, &nothing), 0);
    row.bytes = 1000;
    assert_int_equal(pair(&p, &row, &nothing), 7);
    matcher_destroy(&p.matcher);
}

static void claimed_uids_match_nothing(void **state)
{
    struct pairing p = pairing(false);
    struct match_row row = row_of(a_mail, &noon, 100, 1), seen;

    (void)state;
    for (uint32_t i = 10; i < 30; i++)
        holds(&p, a_mail, &noon, 100, i);
    assert_true(matcher_at(p.matcher, 29, &seen));
    assert_int_equal(seen.bytes, 100);
    assert_memory_equal(seen.key, row.key, sizeof seen.key);
    for (uint32_t i = 29; i > 10; i--)
        assert_true(matcher_drop_uid(p.matcher, i));
    assert_false(matcher_drop_uid(p.matcher, 29));
    assert_false(matcher_drop_uid(p.matcher, 99));
    assert_false(matcher_at(p.matcher, 29, &seen));
    assert_int_equal(pair(&p, &row, &nothing), 10);
    row.uid = 2;
    assert_int_equal(pair(&p, &row, &nothing), 0);
    matcher_destroy(&p.matcher);
}

/* Those that nobody told the UID of take each its own, whatever order the journal has them in. */
static void claims_without_uid_take_their_own(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 2; order++) {
        struct pairing p = pairing(false);
        struct match_claim claims[] = { { .row = row_of(a_mail, &noon, 1000, 1) },
                                        { .row = row_of(a_mail, &noon, 1400, 2) } };
        struct match_row row = row_of(a_mail, &noon, 1200, 3);

        if (order) {
            claims[0].row = row_of(a_mail, &noon, 1400, 1);
            claims[1].row = row_of(a_mail, &noon, 1000, 2);
        }
        holds(&p, a_mail, &noon, 1400, 7);
        holds(&p, a_mail, &noon, 1200, 8);
        holds(&p, a_mail, &noon, 1000, 9);
        matcher_claim(p.matcher, claims, 2, &p.fidelity);
        assert_int_equal(matcher_count(p.matcher), 1);
        assert_int_equal(pair(&p, &row, &nothing), 8);
        matcher_destroy(&p.matcher);
    }
}

/* One was acknowledged and not stored; the copy of its key is another's, of another size, as the target's sizes show.
 */
static void a_claim_does_not_take_another_size_where_the_others_tell_exact_ones(void **state)
{
    (void)state;
    for (unsigned told = 0; told < 2; told++) {
        struct pairing p = pairing(false);
        struct match_row row = row_of(a_mail, &noon, 1030, 99);
        struct match_claim claims[6];

        for (unsigned i = 0; i < 6; i++) {
            char header[64];

            snprintf(header, sizeof header, "Message-ID: <alone.%u@x>\r\n\r\n", i);
            claims[i] = (struct match_claim){ .row = row_of(i ? header : a_mail, &noon, 1000, i + 1) };
            holds(&p, i ? header : a_mail, &noon, i ? 1000 + told * i : 1030, i + 1);
        }
        matcher_learn(p.matcher, claims, 6, &p.fidelity);
        matcher_claim(p.matcher, claims, 6, &p.fidelity);
        assert_int_equal(matcher_count(p.matcher), told ? 0 : 1);
        assert_int_equal(pair(&p, &row, &nothing), told ? 0 : 1);
        matcher_destroy(&p.matcher);
    }
}

static void a_claim_takes_nothing_from_before_it_was_sent(void **state)
{
    struct pairing p = pairing(false);
    struct match_claim claims[] = { { .row = row_of(a_mail, &noon, 1000, 1), .from = 8 },
                                    { .row = row_of(a_mail, &noon, 1000, 2) },
                                    { .row = row_of(a_mail, &noon, 1000, 3), .from = 9 } };

    (void)state;
    holds(&p, a_mail, &noon, 1000, 7);
    holds(&p, a_mail, &noon, 1000, 8);
    matcher_claim(p.matcher, claims, 3, &p.fidelity);
    assert_int_equal(matcher_count(p.matcher), 0);
    assert_true(!claims[0].done); /* sorted: the one that must be latest first, and there is none for it */
    matcher_destroy(&p.matcher);
}

static void two_looks_agree_only_when_equal(void **state)
{
    struct matcher *a = matcher_create(NULL), *b = matcher_create(NULL);
    uint8_t key[MATCH_KEY_BYTES];

    (void)state;
    key_of("Message-ID: <a@b>\r\n\r\n", key);
    matcher_add(a, key, &noon, 100, 1);
    assert_false(matcher_same(a, b));
    matcher_add(b, key, &noon, 100, 1);
    assert_true(matcher_same(a, b));
    matcher_add(a, key, &noon, 100, 2);
    matcher_add(b, key, &noon, 100, 3);
    assert_false(matcher_same(a, b));
    matcher_destroy(&a);
    matcher_destroy(&b);
}

static void subjects_are_made_readable(void **state)
{
    static const struct {
        const char *raw, *text;
    } rows[] = {
        { " Hello\r\n  world ", "Hello world" },
        { "=?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus?= =?utf-8?B?IEvDtmxu?=", "Grüße aus Köln" },
        { "=?iso-8859-1?Q?caf=E9?= au lait", "café au lait" },
        { "Re: =?koi8-r?B?8NLJ18XU?= !", "Re: Привет !" },
        { "=?x-unknown?Q?abc?=", "=?x-unknown?Q?abc?=" },
        /* Those that the C library knows and mail is not written in are not even looked for. */
        { "=?ISO-2022-CN-EXT?Q?abc?=", "=?ISO-2022-CN-EXT?Q?abc?=" },
        { "=?EBCDIC-US?Q?abc?=", "=?EBCDIC-US?Q?abc?=" },
        { "=?../../tmp/x?Q?abc?=", "=?../../tmp/x?Q?abc?=" },
        { "=?UTF-8//TRANSLIT?Q?abc?=", "=?UTF-8//TRANSLIT?Q?abc?=" },
        { "=?WINDOWS-1252?Q?=80?= =?gb2312?B?xOO6ww==?=", "€你好" },
        { "=?utf-8?Q?unterminated", "=?utf-8?Q?unterminated" },
        { "=?utf-8?X?abc?=", "=?utf-8?X?abc?=" },
        { "tab\there\x01", "tab here." },
        { "", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[256];

        header_text(slice_cstr(rows[i].raw), out, sizeof out);
        assert_string_equal(out, rows[i].text);
    }
}

static void fields_end_where_the_header_does(void **state)
{
    struct slice h = SLICE("Subject : a\r\nTo: b\r\n c\r\n\r\nDate: no\r\n");

    (void)state;
    assert_true(slice_equal(slice_trim(header_field(h, SLICE("subject"))), SLICE("a")));
    assert_true(slice_equal(header_field(h, SLICE("To")), SLICE(" b\r\n c\r\n")));
    assert_int_equal(header_field(h, SLICE("Date")).size, 0);
    assert_int_equal(header_field(SLICE(""), SLICE("Date")).size, 0);
}

static void two_headers_of_one_message_or_not(void **state)
{
    static const struct {
        const char *a, *b;
        bool differ;
    } rows[] = {
        { "Message-ID: <a@b>\r\n", "message-id:\r\n <a@b> \r\nSubject: s\r\n\r\n", false },
        { "Message-ID: <a@b>\r\n", "Message-ID: <A@b>\r\n", true },
        /* The Message-ID decides, whatever a server makes of the date. */
        { "Message-ID: <a@b>\r\nDate: 1 Jan 2020 12:00:00 +0000\r\n",
          "Message-ID: <a@b>\r\nDate: Wed, 1 Jan 2020 12:00:00 +0000\r\n", false },
        /* One tells none: then the date, where both tell one. */
        { "Date: 1 Jan 2020 12:00:00 +0000\r\n", "Message-ID: <a@b>\r\nDate: 1 Jan 2020 12:00:00 +0000\r\n", false },
        { "Date: 1 Jan 2020 12:00:00 +0000\r\n", "Message-ID: <a@b>\r\nDate: 2 Jan 2020 12:00:00 +0000\r\n", true },
        { "Date: Wed, 1 Jan 2020 13:00:00 +0100\r\n", "Date: 1 Jan 2020 12:00:00 +0000\r\n", false },
        { "Date: yesterday\r\n", "Date: 1 Jan 2020 12:00:00 +0000\r\n", false },
        { "Message-ID: a@b\r\n", "Message-ID: <a@b>\r\n", false },
        { "Message-ID: <a@b>\r\n", "Date: 2 Jan 2020 12:00:00 +0000\r\n", false },
        { "\r\n", "Message-ID: <a@b>\r\nDate: 2 Jan 2020 12:00:00 +0000\r\n", false },
        { "", "", false },
        /* What stands in the body is no header. */
        { "Message-ID: <a@b>\r\n\r\n", "Subject: s\r\n\r\nMessage-ID: <c@d>\r\n", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct header_id a, b;

        header_id(slice_cstr(rows[i].a), &a);
        header_id(slice_cstr(rows[i].b), &b);
        assert_int_equal(header_differs(&a, &b), rows[i].differ);
        assert_int_equal(header_differs(&b, &a), rows[i].differ);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_mails_have_equal_keys),
        cmocka_unit_test(the_first_byte_tells_the_kind),
        cmocka_unit_test(another_of_its_message_id_takes_nobodys_place),
        cmocka_unit_test(equal_mails_pair_one_to_one),
        cmocka_unit_test(one_copy_of_two_that_size_does_not_tell_apart_is_neithers),
        cmocka_unit_test(what_was_sent_in_doubt_may_still_be_there),
        cmocka_unit_test(a_copy_of_the_unread_is_nobodys_without_a_message_id),
        cmocka_unit_test(what_an_earlier_look_left_in_doubt_may_still_be_there),
        cmocka_unit_test(part_of_a_message_is_not_the_message),
        cmocka_unit_test(what_waits_to_be_fetched_is_waited_for),
        cmocka_unit_test(estimates_that_are_known_tell_near_sizes_apart),
        cmocka_unit_test(nothing_is_decided_by_what_is_only_assumed),
        cmocka_unit_test(a_target_that_tells_other_sizes_is_found_out),
        cmocka_unit_test(a_target_that_gives_dates_of_its_own_is_found_out),
        cmocka_unit_test(all_that_is_known_is_asked_before_it_is_decided),
        cmocka_unit_test(a_second_copy_does_not_hide_that_dates_are_not_kept),
        cmocka_unit_test(where_dates_are_kept_another_date_is_another_mail),
        cmocka_unit_test(a_message_may_change_before_it_is_sent),
        cmocka_unit_test(a_near_size_is_enough_where_nothing_says_that_sizes_are_exact),
        cmocka_unit_test(nameless_mail_must_have_its_very_size),
        cmocka_unit_test(claimed_uids_match_nothing),
        cmocka_unit_test(claims_without_uid_take_their_own),
        cmocka_unit_test(a_claim_does_not_take_another_size_where_the_others_tell_exact_ones),
        cmocka_unit_test(a_claim_takes_nothing_from_before_it_was_sent),
        cmocka_unit_test(two_looks_agree_only_when_equal),
        cmocka_unit_test(subjects_are_made_readable),
        cmocka_unit_test(fields_end_where_the_header_does),
        cmocka_unit_test(two_headers_of_one_message_or_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
