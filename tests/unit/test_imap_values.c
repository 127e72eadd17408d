/* test: imap */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/imap/caps.h"
#include "engine/imap/date.h"
#include "engine/imap/fetchitem.h"
#include "engine/imap/list.h"
#include "engine/imap/quote.h"
#include "engine/imap/resp.h"
#include "engine/imap/uidset.h"
#include "engine/imap/utf7.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- utf7 --------------------------------------------------------------------------------------
 */

static const struct {
    const char *what, *raw, *text;
    bool strict;
} names[] = {
    { "plain ASCII stays", "INBOX.Sent", "INBOX.Sent", true },
    { "an ampersand is &-", "Tom &- Jerry", "Tom & Jerry", true },
    { "umlauts", "Entw&APw-rfe", "Entwürfe", true },
    { "several alphabets", "&U,BTFw-", "台北", true },
    { "beyond the basic plane", "&2D3eAA-", "😀", true },
    { "an open run stays as written (N20)", "a&b", "a&b", false },
    { "raw UTF-8 is taken as it is (N21)", "Entwürfe", "Entwürfe", false },
    { "a lone windows-1252 byte (N21)",
      "brevl\x8c"
      "dor",
      "brevlŒdor", false },
};

static void names_are_shown_and_written_back(void **state)
{
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf out;
        bool strict;

        buf_init(&out, 1000);
        assert_true(utf7_decode(&out, slice_cstr(names[i].raw), &strict));
        if (!slice_equal(buf_slice(&out), slice_cstr(names[i].text)) || strict != names[i].strict)
            fail_msg("%s: \"%.*s\", strict %d", names[i].what, (int)out.size, buf_slice(&out).data, strict);
        buf_clear(&out);
        assert_true(utf7_encode(&out, slice_cstr(names[i].text)));
        if (names[i].strict && !slice_equal(buf_slice(&out), slice_cstr(names[i].raw)))
            fail_msg("%s: written as \"%.*s\"", names[i].what, (int)out.size, buf_slice(&out).data);
        buf_deinit(&out);
    }
}

static void a_name_longer_than_the_cap_is_refused(void **state)
{
    struct buf out;

    buf_init(&out, 4);
    assert_false(utf7_decode(&out, SLICE("INBOX"), NULL));
    buf_clear(&out);
    assert_false(utf7_encode(&out, SLICE("INBOX")));
    buf_deinit(&out);
}

/* ---- uidset ------------------------------------------------------------------------------------
 */

static void sets_are_written_ascending_and_collapsed(void **state)
{
    static const uint32_t uids[] = { 1, 2, 2, 3, 7, 7, 9, 10, UINT32_MAX - 1, UINT32_MAX - 1 };
    char text[64];
    struct uidset set;

    uidset_init(&set, text, sizeof text);
    for (unsigned i = 0; i < sizeof uids / sizeof *uids; i++)
        assert_true(uidset_add(&set, uids[i]));
    assert_true(slice_equal(uidset_finish(&set), SLICE("1:3,7,9:10,4294967294")));
}

static void a_full_set_refuses_the_next_and_stays_good(void **state)
{
    struct uidset_range ranges[8];
    char text[24];
    struct uidset set;
    unsigned added = 0;
    struct slice done;

    uidset_init(&set, text, sizeof text);
    while (uidset_add(&set, 1000000000u + added * 2))
        added++;
    assert_true(added >= 1);
    done = uidset_finish(&set);
    assert_true(done.size <= sizeof text);
    assert_int_equal(uidset_parse(done, ranges, 8), added);
}

static void sets_are_read_in_any_order(void **state)
{
    struct uidset_range ranges[4];
    uint32_t uids[4];

    assert_int_equal(uidset_parse(SLICE("9:5,1,6:12"), ranges, 4), 2);
    assert_int_equal(ranges[0].first, 1);
    assert_int_equal(ranges[1].first, 5);
    assert_int_equal(ranges[1].last, 12);
    assert_true(uidset_holds(ranges, 2, 12));
    assert_false(uidset_holds(ranges, 2, 13));
    assert_int_equal(uidset_parse(SLICE("1,3,5,7,9"), ranges, 4), 0);
    assert_int_equal(uidset_parse(SLICE("0"), ranges, 4), 0);
    assert_int_equal(uidset_parse(SLICE("1:"), ranges, 4), 0);
    assert_int_equal(uidset_parse(SLICE(""), ranges, 4), 0);
    assert_int_equal(uidset_parse(SLICE("4294967296"), ranges, 4), 0);
    assert_true(uidset_expand(SLICE("5,2:4"), uids, 4));
    assert_int_equal(uids[0], 5);
    assert_int_equal(uids[3], 4);
    assert_false(uidset_expand(SLICE("5,2:4"), uids, 3));
    assert_false(uidset_expand(SLICE("1:4000000000"), uids, 4));
}

/* ---- date --------------------------------------------------------------------------------------
 */

static const struct {
    const char *text;
    bool known;
    int64_t seconds;
    int zone;
} dates[] = {
    { " 1-Jan-1970 00:00:00 +0000", true, 0, 0 },
    { "1-Jan-1970 00:00:00 +0000", true, 0, 0 },
    { "17-Jul-1996 02:44:25 -0700", true, 837596665, -420 },
    { "29-Feb-2024 23:59:59 +1345", true, 1709201699, 825 },
    { "Tue, 31 Dec 2024 23:00:02 +9900", true, 1735686002 - 14 * 3600 + 0, 840 },
    { "00-Jan-0000 00:00:00 +0000", false, 0, 0 },
    { "30-Dec-1899 00:00:00 +0000", false, 0, 0 },
    { "31-Feb-2024 00:00:00 +0000", false, 0, 0 },
    { "", false, 0, 0 },
    { "NIL", false, 0, 0 },
    { "yesterday", false, 0, 0 },
};

static void dates_are_read_as_servers_send_them(void **state)
{
    for (unsigned i = 0; i < sizeof dates / sizeof *dates; i++) {
        struct imap_date date = date_parse(slice_cstr(dates[i].text));

        if (date.known != dates[i].known)
            fail_msg("\"%s\": known %d", dates[i].text, date.known);
        if (date.known && (date.zone_minutes != dates[i].zone || date.seconds != dates[i].seconds))
            fail_msg("\"%s\": %lld zone %d", dates[i].text, (long long)date.seconds, date.zone_minutes);
    }
}

static void a_date_is_written_as_it_came(void **state)
{
    char text[DATE_TEXT_SIZE];
    struct imap_date date = date_parse(SLICE("7-Jul-1996 02:44:25 -0730"));

    assert_string_equal(date_format(&date, text), " 7-Jul-1996 02:44:25 -0730");
}

/* ---- quote -------------------------------------------------------------------------------------
 */

static void strings_choose_their_form(void **state)
{
    struct buf out;

    assert_int_equal(quote_form(SLICE("Sent Items")), QUOTE_QUOTED);
    assert_int_equal(quote_form(SLICE("")), QUOTE_QUOTED);
    assert_int_equal(quote_form(SLICE("a\r\nb")), QUOTE_LITERAL);
    assert_int_equal(quote_form(SLICE("pässword")), QUOTE_LITERAL);
    assert_int_equal(quote_form(slice_of("a\0b", 3)), QUOTE_LITERAL);
    buf_init(&out, 100);
    assert_true(quote_append(&out, SLICE("say \"hi\\\"")));
    assert_true(slice_equal(buf_slice(&out), SLICE("\"say \\\"hi\\\\\\\"\"")));
    buf_deinit(&out);
    buf_init(&out, 4);
    assert_false(quote_append(&out, SLICE("abc")));
    buf_deinit(&out);
}

/* ---- caps --------------------------------------------------------------------------------------
 */

static void capabilities_replace_each_other(void **state)
{
    struct caps caps;

    caps_clear(&caps);
    caps_parse(&caps, SLICE("IMAP4rev1  literal+ AUTH=xoauth2 APPENDLIMIT=35882577 X-ODD "));
    assert_true(caps_has(&caps, CAP_IMAP4REV1));
    assert_true(caps_has(&caps, CAP_LITERAL_PLUS));
    assert_true(caps_has(&caps, CAP_AUTH_XOAUTH2));
    assert_int_equal(caps.appendlimit_bytes, 35882577);
    caps_parse(&caps, SLICE("IMAP4rev1 STARTTLS LOGINDISABLED LITERAL +"));
    assert_false(caps_has(&caps, CAP_LITERAL_PLUS)); /* home.pl's two words are nothing (L09) */
    assert_true(caps_has(&caps, CAP_LOGINDISABLED));
    assert_int_equal(caps.appendlimit_bytes, 0);
}

static void every_capability_has_a_name_that_is_read_back(void **state)
{
    for (int cap = 0; cap < CAP_COUNT; cap++) {
        struct caps caps;
        char word[80];

        if (cap == CAP_AUTH_OTHER || cap == CAP_APPENDLIMIT || cap == CAP_MESSAGELIMIT)
            continue;
        snprintf(word, sizeof word, "%s", caps_name(cap));
        caps_clear(&caps);
        caps_parse(&caps, slice_cstr(word));
        if (!caps_has(&caps, cap))
            fail_msg("\"%s\" is not read", word);
    }
}

/* ---- resp --------------------------------------------------------------------------------------
 */

static void replies_are_told_apart(void **state)
{
    struct resp r;

    resp_parse(&r, SLICE("a17 OK [APPENDUID 14 5:6] APPEND completed."));
    assert_int_equal(r.kind, RESP_TAGGED);
    assert_int_equal(r.tag, 17);
    assert_true(resp_has_code(&r, "appenduid"));
    assert_true(slice_equal(r.code_args, SLICE("14 5:6")));
    resp_parse(&r, SLICE("* 23 FETCH (UID 5)"));
    assert_int_equal(r.data, RESP_FETCH);
    assert_int_equal(r.number, 23);
    resp_parse(&r, SLICE("+"));
    assert_int_equal(r.kind, RESP_CONTINUE); /* Exchange leaves the blank out (L03) */
    resp_parse(&r, SLICE("* BYE Connection is closed. 13"));
    assert_int_equal(r.status, RESP_BYE);
    resp_parse(&r, SLICE("Server Unavailable. 15"));
    assert_int_equal(r.kind, RESP_UNKNOWN); /* F04 */
    resp_parse(&r, SLICE("a3 OK done [THROTTLED]"));
    assert_true(r.throttled); /* T03 */
    resp_parse(&r, SLICE("a1 OK"));
    assert_int_equal(r.kind, RESP_TAGGED); /* no text (L06) */
    assert_int_equal(r.text.size, 0);
}

/* ---- fetch and list
 * ------------------------------------------------------------------------------ */

static void fetch_items_come_in_any_order_and_shape(void **state)
{
    static const struct {
        const char *line;
        bool ok;
        uint32_t uid;
        uint64_t size;
        unsigned system;
    } rows[] = {
        { "(UID 7 FLAGS (\\Seen $x) RFC822.SIZE 12)", true, 7, 12, IMAP_FLAG_SEEN },
        { "(RFC822.SIZE 12  UID 7 FLAGS NIL )", true, 7, 12, 0 },
        { "(FLAGS (\\Answered \\Recent) ODD (a (b \"c\")) UID 9)", true, 9, 0, IMAP_FLAG_ANSWERED | IMAP_FLAG_RECENT },
        { "(UID 7 RFC822.SIZE null)", true, 7, 0, 0 },
        { "(UID 4294967296)", true, 0, 0, 0 },
        { "(UID 7", false, 7, 0, 0 },
    };

    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fetchitem item;
        struct buf scratch;
        bool ok;

        buf_init(&scratch, 65536);
        ok = fetchitem_parse(&item, slice_cstr(rows[i].line), false, &scratch);
        if (ok != rows[i].ok || item.row.uid != rows[i].uid || item.row.size_bytes != rows[i].size ||
            item.row.flags.system != rows[i].system)
            fail_msg("%s: ok %d uid %u size %llu flags %x", rows[i].line, ok, item.row.uid,
                     (unsigned long long)item.row.size_bytes, item.row.flags.system);
        buf_deinit(&scratch);
    }
}

static void list_rows_come_in_any_shape(void **state)
{
    static const struct {
        const char *line, *name;
        char delimiter;
        unsigned attributes;
    } rows[] = {
        { "(\\HasNoChildren \\Sent) \"/\" \"Sent Items\"", "Sent Items", '/',
          IMAP_MAILBOX_HAS_NO_CHILDREN | IMAP_MAILBOX_SENT },
        { "() NIL flat", "flat", '\0', 0 },
        { "(\\Noselect) \"\\\\\" a\\b", "a\\b", '\\', IMAP_MAILBOX_NOSELECT },
        { "() \"/\" Sent Items", "Sent Items", '/', 0 },               /* N16 */
        { "() \"/\" INBOX/Da\tOggetto", "INBOX/Da\tOggetto", '/', 0 }, /* N15 */
        { "() \"/\" \"/\"", NULL, '/', 0 },                            /* N26 */
        { "() \"/\" NIL", NULL, '/', 0 },
    };

    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct imap_list_row row;
        struct buf scratch;
        bool ok;

        buf_init(&scratch, 65536);
        ok = list_row_parse(&row, slice_cstr(rows[i].line), &scratch);
        if (ok != (rows[i].name != NULL))
            fail_msg("%s: %d", rows[i].line, ok);
        if (ok && (!slice_equal(row.name, slice_cstr(rows[i].name)) || row.delimiter != rows[i].delimiter ||
                   row.attributes != rows[i].attributes))
            fail_msg("%s: \"%.*s\" %c %x", rows[i].line, (int)row.name.size, row.name.data, row.delimiter,
                     row.attributes);
        buf_deinit(&scratch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_shown_and_written_back),
        cmocka_unit_test(a_name_longer_than_the_cap_is_refused),
        cmocka_unit_test(sets_are_written_ascending_and_collapsed),
        cmocka_unit_test(a_full_set_refuses_the_next_and_stays_good),
        cmocka_unit_test(sets_are_read_in_any_order),
        cmocka_unit_test(dates_are_read_as_servers_send_them),
        cmocka_unit_test(a_date_is_written_as_it_came),
        cmocka_unit_test(strings_choose_their_form),
        cmocka_unit_test(capabilities_replace_each_other),
        cmocka_unit_test(every_capability_has_a_name_that_is_read_back),
        cmocka_unit_test(replies_are_told_apart),
        cmocka_unit_test(fetch_items_come_in_any_order_and_shape),
        cmocka_unit_test(list_rows_come_in_any_shape),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
