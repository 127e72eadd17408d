/* test: rules */
#include "engine/rules/header.h"
#include "engine/rules/twin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct imap_date noon = { 1700000000, 0, true };
static const struct imap_date later = { 1700000060, 60, true };

static void key_of(const char *header, uint8_t key[TWIN_KEY_BYTES])
{
    twin_key(slice_cstr(header), key);
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
        uint8_t a[TWIN_KEY_BYTES], b[TWIN_KEY_BYTES];

        key_of(rows[i].a, a);
        key_of(rows[i].b, b);
        assert_int_equal(memcmp(a, b, sizeof a) == 0, rows[i].same);
    }
}

static void the_first_byte_tells_the_kind(void **state)
{
    uint8_t key[TWIN_KEY_BYTES];

    (void)state;
    key_of("Message-ID: <a@b>\r\n\r\n", key);
    assert_int_equal(key[0], 'M');
    key_of("Subject: hello\r\n\r\n", key);
    assert_int_equal(key[0], 'D');
    key_of("X-Other: 1\r\n\r\nbody", key);
    assert_int_equal(key[0], 'E');
}

static void copies_pair_one_to_one_nearest_in_size(void **state)
{
    struct twins *t = twins_create();
    uint8_t key[TWIN_KEY_BYTES];
    uint32_t uid = 0;

    (void)state;
    key_of("Message-ID: <twice@b>\r\n\r\n", key);
    twins_add(t, key, &noon, 1000, 7);
    twins_add(t, key, &noon, 2000, 8);
    twins_add(t, key, &later, 1000, 9);
    assert_true(twins_take(t, key, &noon, 1990, true, &uid));
    assert_int_equal(uid, 8);
    assert_true(twins_take(t, key, &noon, 1990, true, &uid));
    assert_int_equal(uid, 7);
    assert_false(twins_take(t, key, &noon, 1000, true, &uid));
    assert_int_equal(twins_count(t), 1);
    assert_true(twins_take(t, key, &later, 5, true, &uid));
    assert_int_equal(uid, 9);
    twins_destroy(&t);
    assert_null(t);
}

static void nameless_mail_must_have_its_very_size(void **state)
{
    struct twins *t = twins_create();
    uint8_t key[TWIN_KEY_BYTES];
    uint32_t uid = 0;

    (void)state;
    key_of("\r\nno header at all", key);
    twins_add(t, key, &noon, 1000, 7);
    assert_false(twins_take(t, key, &noon, 999, true, &uid));
    assert_true(twins_take(t, key, &noon, 999, false, &uid));
    twins_destroy(&t);
}

static void claimed_uids_are_nobodys_twin(void **state)
{
    struct twins *t = twins_create();
    uint8_t key[TWIN_KEY_BYTES];
    uint32_t uid = 0;

    (void)state;
    key_of("Message-ID: <a@b>\r\n\r\n", key);
    for (uint32_t i = 10; i < 30; i++)
        twins_add(t, key, &noon, 100, i);
    for (uint32_t i = 29; i > 10; i--)
        assert_true(twins_drop_uid(t, i));
    assert_false(twins_drop_uid(t, 29));
    assert_false(twins_drop_uid(t, 99));
    assert_true(twins_take(t, key, &noon, 100, true, &uid));
    assert_int_equal(uid, 10);
    assert_false(twins_take(t, key, &noon, 100, true, &uid));
    twins_destroy(&t);
}

static void two_looks_agree_only_when_equal(void **state)
{
    struct twins *a = twins_create(), *b = twins_create();
    uint8_t key[TWIN_KEY_BYTES];

    (void)state;
    key_of("Message-ID: <a@b>\r\n\r\n", key);
    twins_add(a, key, &noon, 100, 1);
    assert_false(twins_same(a, b));
    twins_add(b, key, &noon, 100, 1);
    assert_true(twins_same(a, b));
    twins_add(a, key, &noon, 100, 2);
    twins_add(b, key, &noon, 100, 3);
    assert_false(twins_same(a, b));
    twins_destroy(&a);
    twins_destroy(&b);
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
        { "Date: 1 Jan 2020 12:00:00 +0000\r\n",
          "Message-ID: <a@b>\r\nDate: 1 Jan 2020 12:00:00 +0000\r\n", false },
        { "Date: 1 Jan 2020 12:00:00 +0000\r\n",
          "Message-ID: <a@b>\r\nDate: 2 Jan 2020 12:00:00 +0000\r\n", true },
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
        cmocka_unit_test(copies_pair_one_to_one_nearest_in_size),
        cmocka_unit_test(nameless_mail_must_have_its_very_size),
        cmocka_unit_test(claimed_uids_are_nobodys_twin),
        cmocka_unit_test(two_looks_agree_only_when_equal),
        cmocka_unit_test(subjects_are_made_readable),
        cmocka_unit_test(fields_end_where_the_header_does),
        cmocka_unit_test(two_headers_of_one_message_or_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
