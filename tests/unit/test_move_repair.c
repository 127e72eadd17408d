/* test: message */
#include "engine/message/repair.h"

#include "io/base/buf.h"
#include "io/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t seed = 20261125;

static uint32_t chance(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* Mends text in pieces of 1..most bytes, taken out in pieces as well. */
static void mend(unsigned repairs, struct slice text, size_t most, struct buf *out)
{
    struct repair *r = repair_create(repairs);
    char piece[4096];

    buf_clear(out);
    for (;;) {
        size_t n = text.size ? 1 + chance((uint32_t)most) : 0, got;

        if (n) {
            n = n < text.size ? n : text.size;
            repair_add(r, slice_first(text, n));
            text = slice_from(text, n);
        } else {
            repair_end(r);
        }
        while ((got = repair_take(r, piece, 1 + chance(sizeof piece))) > 0)
            assert_true(buf_append(out, slice_of(piece, got)));
        if (!n)
            break;
    }
    repair_destroy(&r);
    assert_null(r);
}

static struct repair_found found_in(struct slice text, size_t most)
{
    struct repair_scan *scan = repair_scan_create();
    struct repair_found found;

    while (text.size) {
        size_t n = 1 + chance((uint32_t)most);

        repair_scan_add(scan, slice_first(text, n < text.size ? n : text.size));
        text = slice_from(text, n < text.size ? n : text.size);
    }
    repair_scan_end(&scan, &found);
    assert_null(scan);
    return found;
}

#define T(literal)                                                                                                     \
    {                                                                                                                  \
        literal, sizeof literal - 1                                                                                    \
    }

static void each_repair_changes_what_it_names_and_no_more(void **state)
{
    static const struct {
        unsigned repairs;
        struct {
            const char *data;
            size_t size;
        } from, to;
    } rows[] = {
        { REPAIR_LINE_ENDS, T("A: b\nC: d\r\n\nx\ry\r\n"), T("A: b\r\nC: d\r\n\r\nx\r\ny\r\n") },
        { REPAIR_LINE_ENDS, T("A: b\r\r\n\r\nx\r\r\n"), T("A: b\r\n\r\nx\r\n") },
        { REPAIR_LINE_ENDS, T("A: b\r\n\r\nno end"), T("A: b\r\n\r\nno end") },
        { REPAIR_NUL, T("A: b\0c\r\n\r\n\0x\0\r\0\n"), T("A: bc\r\n\r\nx\r\n") },
        /* Subject: a run of words, one word, and one that is no UTF-8. */
        { REPAIR_HEADER_BYTES,
          T("Subject: Gr\xc3\xbc\xc3\x9f"
            "e \xc3\xb6 all\r\n\r\n\xc3\xbc\r\n"),
          T("Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe_=C3=B6?= all\r\n\r\n\xc3\xbc\r\n") },
        { REPAIR_HEADER_BYTES, T("Subject: a \xfc b\r\n\tc\xe4\r\n\r\n"),
          T("Subject: a =?windows-1252?Q?=FC?= b\r\n\t=?windows-1252?Q?c=E4?=\r\n\r\n") },
        { REPAIR_HEADER_BYTES, T("From: \"J\xc3\xb6rg M.\" <j\xc3\xb6@x>, B\xc3\xa4r <b@x>\r\n\r\n"),
          T("From: =?utf-8?Q?J=C3=B6rg_M=2E?= <j??@x>, =?utf-8?Q?B=C3=A4r?= <b@x>\r\n\r\n") },
        { REPAIR_HEADER_BYTES, T("Message-ID: <\xff@x>\r\nContent-Type: a/b; name=\"\xc3\xbc\"\r\n\r\n"),
          T("Message-ID: <?@x>\r\nContent-Type: a/b; name=\"=?utf-8?Q?=C3=BC?=\"\r\n\r\n") },
        { REPAIR_HEADER_LINES, T("From a@b Mon Jan 1\r\nTo : x\r\nSubject: y\r\n\r\nz\r\n"),
          T("X-Unparsed: From a@b Mon Jan 1\r\nTo: x\r\nSubject: y\r\n\r\nz\r\n") },
        { REPAIR_HEADER_END, T("Subject: y\r\nGood day,\r\nNote: z\r\n"),
          T("Subject: y\r\n\r\nGood day,\r\nNote: z\r\n") },
        { REPAIR_HEADER_END, T("Subject: y\r\n"), T("Subject: y\r\n\r\n") },
        { REPAIR_HEADER_END, T("Subject: y"), T("Subject: y\r\n\r\n") },
        { REPAIR_HEADER_END, T("Subject: y\r\n\r\nGood day\r\n"), T("Subject: y\r\n\r\nGood day\r\n") },
        { REPAIR_RECEIPTS,
          T("disposition-notification-to: <a@b>\r\n c\r\nReturn-Receipt-To: x\r\nSubject: y\r\n\r\n"
            "Disposition-Notification-To: in text\r\n"),
          T("X-disposition-notification-to: <a@b>\r\n c\r\nX-Return-Receipt-To: x\r\nSubject: "
            "y\r\n\r\n"
            "Disposition-Notification-To: in text\r\n") },
    };
    struct buf out;

    (void)state;
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (unsigned round = 0; round < 20; round++) {
            mend(rows[i].repairs, slice_of(rows[i].from.data, rows[i].from.size), round ? 1 + round : 4096, &out);
            if (!slice_equal(buf_slice(&out), slice_of(rows[i].to.data, rows[i].to.size)))
                fail_msg("row %zu: %.*s", i, (int)out.size, buf_slice(&out).data);
        }
    buf_deinit(&out);
}

/* Anything that a mailbox may hold: pieces that matter to the filter, at random. */
static void make(struct buf *out, unsigned pieces)
{
    static const char *const parts[] = {
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        " ",
        "\t",
        "=",
        "\xc3\xbc",
        "\xff",
        "--b\r\n",
        "Subject: x",
        "From: \"",
        "\"",
        "<a@b>",
        ",",
        "--",
        "text",
        ":",
        "Content-Transfer-Encoding: quoted-printable\r\n",
        ">",
        "=3D",
        "Content-Transfer-Encoding: base64\r\n",
        "Content-Type: message/rfc822\r\n",
        "From x\r\n",
        "Disposition-Notification-To: q\r\n",
    };

    buf_clear(out);
    for (unsigned i = 0; i < pieces; i++) {
        uint32_t kind = chance(40);

        if (kind == 0) {
            size_t n = 1 + chance(24000);
            char *room = buf_reserve(out, n);

            assert_non_null(room);
            for (size_t k = 0; k < n; k++)
                room[k] = "abcdefgh \xe4"[chance(kind + 1 + (i % 2 ? 9 : 7))];
            buf_commit(out, n);
        } else if (kind == 1) {
            assert_true(buf_append(out, slice_of("\0", 1)));
        } else {
            const char *part = parts[chance(sizeof parts / sizeof *parts)];

            assert_true(buf_append(out, slice_cstr(part)));
        }
    }
}

static void nothing_asked_changes_nothing_and_cuts_do_not_matter(void **state)
{
    struct buf in, whole, cut;

    (void)state;
    buf_init(&in, 4 << 20);
    buf_init(&whole, 8 << 20);
    buf_init(&cut, 8 << 20);
    for (unsigned round = 0; round < 600; round++) {
        unsigned repairs = round % 3 == 0 ? 0 : chance(REPAIR_BODY_BITS + 1u);
        struct repair_found a, b;

        make(&in, 1 + chance(60));
        mend(repairs, buf_slice(&in), 65536, &whole);
        mend(repairs, buf_slice(&in), 1 + chance(200), &cut);
        assert_true(slice_equal(buf_slice(&whole), buf_slice(&cut)));
        if (repairs == 0)
            assert_true(slice_equal(buf_slice(&in), buf_slice(&cut)));
        a = found_in(buf_slice(&in), 65536);
        b = found_in(buf_slice(&in), 1 + chance(50));
        assert_int_equal(a.longest_line, b.longest_line);
        assert_int_equal(a.nul << 4 | a.bare_ends << 3 | a.header_bytes << 2 | a.header_lines << 1 | a.header_end,
                         b.nul << 4 | b.bare_ends << 3 | b.header_bytes << 2 | b.header_lines << 1 | b.header_end);
    }
    buf_deinit(&in);
    buf_deinit(&whole);
    buf_deinit(&cut);
}

/* Whoever refuses for one of these reasons has none left when all that was found is mended. */
static void what_was_found_is_gone_afterwards(void **state)
{
    struct buf in, out;

    (void)state;
    buf_init(&in, 4 << 20);
    buf_init(&out, 8 << 20);
    for (unsigned round = 0; round < 400; round++) {
        struct repair_found before, after;
        unsigned repairs = 0, next, steps = 0;

        make(&in, 1 + chance(50));
        before = found_in(buf_slice(&in), 4096);
        while ((next = repair_next(repairs, &before, SLICE("Command Argument Error. 11"))) != 0) {
            assert_true((next & repairs) == repairs && next != repairs);
            repairs = next;
            steps++;
        }
        assert_true(steps <= REPAIR_COUNT);
        if (!repairs)
            continue;
        mend(repairs, buf_slice(&in), 4096, &out);
        after = found_in(buf_slice(&out), 4096);
        assert_false(after.nul);
        if (repairs & REPAIR_LINE_ENDS)
            assert_false(after.bare_ends);
        if (repairs & REPAIR_HEADER_BYTES)
            assert_false(after.header_bytes);
        if ((repairs & (REPAIR_LONG_LINES | REPAIR_SHORT_LINES)) && !before.header_end)
            assert_true(after.longest_line <=
                        (repairs & REPAIR_SHORT_LINES ? REPAIR_SHORT_LINE_BYTES : REPAIR_LINE_BYTES));
    }
    buf_deinit(&in);
    buf_deinit(&out);
}

static void long_lines_break_where_their_encoding_hides_it(void **state)
{
    static const char quoted[] = "Content-Transfer-Encoding: quoted-printable\r\n\r\n";
    static const char base64[] =
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: a/b;\r\n n=x\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n";
    static const char plain[] = "Subject: x\r\n\r\n";
    struct buf in, out, joined;
    struct slice text;

    (void)state;
    buf_init(&in, 1 << 20);
    buf_init(&out, 1 << 20);
    buf_init(&joined, 1 << 20);

    /* Soft line ends: without them the text is as before, and no =XX was cut. */
    assert_true(buf_append(&in, slice_cstr(quoted)));
    for (unsigned i = 0; i < 9000; i++)
        assert_true(buf_append(&in, chance(3) ? SLICE("=C3=BC") : SLICE("x")));
    mend(REPAIR_LONG_LINES, buf_slice(&in), 1000, &out);
    text = buf_slice(&out);
    for (size_t at; (at = slice_find_nocase(text, SLICE("=\r\n"))) != SIZE_MAX;) {
        assert_true(buf_append(&joined, slice_first(text, at)));
        text = slice_from(text, at + 3);
    }
    assert_true(out.size > in.size);
    assert_true(buf_append(&joined, text));
    assert_true(slice_equal(buf_slice(&in), buf_slice(&joined)));

    /* Base64 in a part: groups of four stay whole. */
    buf_clear(&in);
    assert_true(buf_append(&in, slice_cstr(base64)));
    for (unsigned i = 0; i < 30000; i++)
        assert_true(buf_append(&in, SLICE("A")));
    mend(REPAIR_LONG_LINES, buf_slice(&in), 1000, &out);
    text = slice_from(buf_slice(&out), sizeof base64 - 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(slice_find(text, '\r'), 9900);
        text = slice_from(text, 9902);
    }
    assert_int_equal(text.size, 300);

    /* Text: behind a blank; without one, between characters. */
    buf_clear(&in);
    assert_true(buf_append(&in, slice_cstr(plain)));
    for (unsigned i = 0; i < 9000; i++)
        assert_true(buf_append(&in, SLICE("x")));
    assert_true(buf_append(&in, SLICE(" ")));
    for (unsigned i = 0; i < 9000; i++)
        assert_true(buf_append(&in, SLICE("\xc3\xbc")));
    mend(REPAIR_LONG_LINES, buf_slice(&in), 1000, &out);
    text = slice_from(buf_slice(&out), sizeof plain - 1);
    assert_int_equal(slice_find(text, '\r'), 9001);
    text = slice_from(text, 9003);
    assert_int_equal(slice_find(text, '\r'), 9900);
    text = slice_from(text, 9902);
    assert_int_equal(text.data[0], '\xc3');

    /* A header field is folded, before a blank. */
    buf_clear(&in);
    assert_true(buf_append(&in, SLICE("References:")));
    for (unsigned i = 0; i < 2000; i++)
        assert_true(buf_append(&in, SLICE(" <0123456789@example.org>")));
    assert_true(buf_append(&in, SLICE("\r\nSubject: y\r\n\r\n")));
    mend(REPAIR_SHORT_LINES, buf_slice(&in), 1000, &out);
    assert_int_equal(found_in(buf_slice(&out), 100).longest_line <= 998, 1);
    buf_clear(&joined);
    text = buf_slice(&out);
    for (size_t at; (at = slice_find_nocase(text, SLICE("\r\n <"))) != SIZE_MAX;) {
        assert_true(buf_append(&joined, slice_first(text, at)));
        text = slice_from(text, at + 2);
    }
    assert_true(buf_append(&joined, text));
    assert_true(slice_equal(buf_slice(&in), buf_slice(&joined)));
    buf_deinit(&in);
    buf_deinit(&out);
    buf_deinit(&joined);
}

/* A field whose name alone is over the limit: what comes out is short, is header to its end, and has all of it. */
static void a_name_that_is_too_long_stays_in_the_header(void **state)
{
    static const char *const ends[] = { ":\r\n", ": value\r\n", "   : value\r\n" };
    struct buf in, out;

    (void)state;
    buf_init(&in, 1 << 16);
    buf_init(&out, 1 << 16);
    for (unsigned i = 0; i < 9; i++) {
        struct slice rest;
        size_t letters = 0;

        buf_clear(&in);
        for (unsigned k = 0; k < (i / 3 == 0 ? 997u : i / 3 == 1 ? 1098u : 30000u); k++)
            assert_true(buf_append(&in, SLICE("N")));
        assert_true(buf_append(&in, slice_cstr(ends[i % 3])));
        assert_true(buf_append(&in, SLICE("Subject: s\r\n\r\nbody\r\n")));
        mend(REPAIR_SHORT_LINES, buf_slice(&in), 1000, &out);
        assert_true(found_in(buf_slice(&out), 100).longest_line <= REPAIR_SHORT_LINE_BYTES);
        if (i / 3 == 1) /* what is not looked at so far in is no field to the scan */
            assert_false(found_in(buf_slice(&out), 100).header_lines);
        assert_false(found_in(buf_slice(&out), 100).header_end);
        assert_true(slice_find_nocase(buf_slice(&out), SLICE("\r\nSubject: s\r\n\r\nbody\r\n")) != SIZE_MAX);
        rest = buf_slice(&out);
        for (size_t k = 0; k < rest.size; k++)
            letters += rest.data[k] == 'N';
        assert_int_equal(letters, i / 3 == 0 ? 997 : i / 3 == 1 ? 1098 : 30000);
    }
    buf_deinit(&in);
    buf_deinit(&out);
}

static void the_servers_words_choose_else_the_least_change(void **state)
{
    struct repair_found all = { 20000, true, true, true, true, true };
    struct repair_found lines = { .longest_line = 5000 }, none = { .longest_line = 900 };
    static const struct {
        unsigned before;
        const char *text;
        unsigned after;
    } rows[] = {
        { 0, "Command Argument Error. 11", REPAIR_LINE_ENDS },
        { REPAIR_LINE_ENDS, "Command Argument Error. 11", REPAIR_LINE_ENDS | REPAIR_NUL },
        { 0, "Message contains NUL characters", REPAIR_NUL },
        { 0, "Message contains bare newlines", REPAIR_LINE_ENDS },
        { 0, "Message contains invalid header", REPAIR_HEADER_BYTES },
        { REPAIR_HEADER_BYTES, "Message contains invalid header", REPAIR_HEADER_BYTES | REPAIR_HEADER_LINES },
        { 0, "Message has no header/body separator", REPAIR_HEADER_END },
        { 0, "Message contains non-ASCII characters in headers", REPAIR_HEADER_BYTES },
        { REPAIR_NUL, "Message contains NUL characters", REPAIR_NUL | REPAIR_LINE_ENDS },
        { 0x7f, "Command Argument Error. 11", 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(repair_next(rows[i].before, &all, slice_cstr(rows[i].text)), rows[i].after);
    assert_int_equal(repair_next(0, &lines, SLICE("no")), REPAIR_SHORT_LINES);
    assert_int_equal(repair_next(0, &none, SLICE("Message contains NUL characters")), 0);
}

static void what_a_scan_finds(void **state)
{
    static const struct {
        const char *text;
        struct repair_found found;
    } rows[] = {
        { "A: b\r\n\r\nxyz\r\n", { .longest_line = 4 } },
        { "A: b\n\r\nx\r\n", { .longest_line = 4, .bare_ends = true } },
        { "A: b\r\n\r\nx\ry", { .longest_line = 4, .bare_ends = true } },
        { "A: \xfc\r\n\r\n", { .longest_line = 4, .header_bytes = true } },
        { "A: b\r\n\r\n\xfc", { .longest_line = 4 } },
        { "From x\r\nSubject: b\r\n\r\n", { .longest_line = 10, .header_lines = true } },
        { "Subject: b\r\ntext\r\n\r\n", { .longest_line = 10, .header_end = true } },
        { "Subject: b\r\n", { .longest_line = 10, .header_end = true } },
        { "Subject : b\r\n\r\n", { .longest_line = 11, .header_lines = true } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct repair_found f = found_in(slice_cstr(rows[i].text), 3);

        assert_int_equal(f.longest_line, rows[i].found.longest_line);
        assert_int_equal(f.nul, rows[i].found.nul);
        assert_int_equal(f.bare_ends, rows[i].found.bare_ends);
        assert_int_equal(f.header_bytes, rows[i].found.header_bytes);
        assert_int_equal(f.header_lines, rows[i].found.header_lines);
        assert_int_equal(f.header_end, rows[i].found.header_end);
    }
}

/* Fed in the largest pieces; returns how long it becomes. */
static size_t mended_length(unsigned repairs, struct slice unit, size_t count)
{
    struct repair *r = repair_create(repairs);
    char *piece = malloc(65536), out[8192];
    size_t fits = 65536 / unit.size, made = 0, n;

    for (size_t i = 0; i < fits; i++)
        memcpy(piece + i * unit.size, unit.data, unit.size);
    while (count) {
        size_t now = count < fits ? count : fits;

        repair_add(r, slice_of(piece, now * unit.size));
        while ((n = repair_take(r, out, sizeof out)) > 0)
            made += n;
        count -= now;
    }
    repair_add(r, SLICE("x"));
    repair_end(r);
    while ((n = repair_take(r, out, sizeof out)) > 0)
        made += n;
    repair_destroy(&r);
    free(piece);
    return made;
}

/* Whatever a mail is made of, and however much of it: it never ends the process, and stays within a few
 * times its length. */
static void a_mail_of_nothing_but_one_thing(void **state)
{
    static const char *const units[] = { "\r",
                                         "\n",
                                         "\xfc",
                                         "\xc3\xa4 ",
                                         "a\n",
                                         " ",
                                         "=",
                                         "--\r\n",
                                         "a:\r\n",
                                         "A : \xfc\n",
                                         "\t\r",
                                         "\r\r\n",
                                         "<>",
                                         "Content-Type: message/rfc822\r\n\r\n",
                                         "Disposition-Notification-To: a\r\n" };

    (void)state;
    for (unsigned repairs = 0; repairs <= REPAIR_BODY_BITS; repairs += repairs < 1u << 7 ? 1 : 5)
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            struct slice unit = slice_cstr(units[i]);
            size_t count = 70000 / unit.size, made = mended_length(repairs, unit, count);

            if (made > 64 * (count * unit.size + 1024))
                fail_msg("repairs %u of \"%s\": %zu bytes", repairs, units[i], made);
        }
    assert_int_equal(mended_length(0, SLICE("\r"), 6000000), 6000001);
    assert_int_equal(mended_length(REPAIR_LINE_ENDS, SLICE("\r"), 6000000), 12000001);
    assert_int_equal(mended_length(REPAIR_NUL, SLICE("\0"), 6000000), 1);
}

#define ALL (IMAP_FLAG_SEEN | IMAP_FLAG_ANSWERED | IMAP_FLAG_FLAGGED | IMAP_FLAG_DELETED | IMAP_FLAG_DRAFT)

static void what_goes_with_a_message_is_left_out_by_steps(void **state)
{
    static const struct {
        unsigned before;
        struct repair_envelope envelope;
        const char *said;
        enum repair_when when;
        unsigned after;
    } rows[] = {
        { 0, { SLICE("$Forwarded"), IMAP_FLAG_DELETED, true, 0 }, "Message rejected", REPAIR_NAMED, 0 },
        { 0,
          { SLICE("$Forwarded"), IMAP_FLAG_DELETED, true, 0 },
          "Message rejected",
          REPAIR_ANYTHING,
          REPAIR_KEYWORDS },
        { 0,
          { SLICE("a/b $Forwarded"), IMAP_FLAG_DELETED, true, 0 },
          "Message rejected",
          REPAIR_NAMED,
          REPAIR_ODD_KEYWORDS },
        { 0, { SLICE("$Forwarded"), 0, true, 0 }, "Invalid keyword", REPAIR_NAMED, REPAIR_KEYWORDS },
        { 0, { SLICE("a/b"), 0, true, 0 }, "Invalid keyword", REPAIR_NAMED, REPAIR_ODD_KEYWORDS },
        { REPAIR_ODD_KEYWORDS,
          { SLICE("a/b"), 0, true, 0 },
          "Invalid keyword",
          REPAIR_NAMED,
          REPAIR_ODD_KEYWORDS | REPAIR_KEYWORDS },
        { REPAIR_NUL,
          { SLICE(""), IMAP_FLAG_DELETED, true, 0 },
          "Invalid flag",
          REPAIR_NAMED,
          REPAIR_NUL | REPAIR_DELETED },
        { 0, { SLICE("x"), IMAP_FLAG_DELETED, true, 0 }, "Invalid flag \\Deleted", REPAIR_NAMED, REPAIR_DELETED },
        { 0, { SLICE("x"), 0, true, 0 }, "Invalid date-time in Append command", REPAIR_NAMED, REPAIR_DATE },
        { 0, { SLICE("x"), 0, true, 0 }, "Validation failed", REPAIR_NAMED, 0 },
        { REPAIR_KEYWORDS,
          { SLICE("x"), IMAP_FLAG_DELETED, true, 0 },
          "no",
          REPAIR_ANYTHING,
          REPAIR_KEYWORDS | REPAIR_DELETED },
        { REPAIR_KEYWORDS | REPAIR_DELETED,
          { SLICE("x"), IMAP_FLAG_DELETED, true, 1577880000 },
          "no",
          REPAIR_ANYTHING,
          0 },
        { REPAIR_KEYWORDS | REPAIR_DELETED,
          { SLICE("x"), IMAP_FLAG_DELETED, true, -86400 },
          "no",
          REPAIR_ANYTHING,
          REPAIR_KEYWORDS | REPAIR_DELETED | REPAIR_DATE },
        { 0, { SLICE(""), IMAP_FLAG_DELETED, true, 1ll << 33 }, "no", REPAIR_ANYTHING, REPAIR_DELETED },
        { 0, { SLICE(""), 0, true, 1ll << 33 }, "no", REPAIR_NAMED, 0 },
        { 0, { SLICE(""), 0, true, 1ll << 33 }, "no", REPAIR_ANYTHING, REPAIR_DATE },
        { REPAIR_DATE, { SLICE(""), 0, true, 0 }, "Invalid date", REPAIR_ANYTHING, 0 },
        { 0, { SLICE(""), 0, false, 0 }, "Invalid date, flag and keyword", REPAIR_ANYTHING, 0 },
        { 0, { SLICE("x"), ALL, true, 0 }, "Invalid flag", REPAIR_NAMED, REPAIR_KEYWORDS },
        { REPAIR_KEYWORDS | REPAIR_DELETED,
          { SLICE("x"), ALL, true, 0 },
          "Invalid flag",
          REPAIR_NAMED,
          REPAIR_KEYWORDS | REPAIR_DELETED | REPAIR_FLAGS },
        { REPAIR_FLAGS,
          { SLICE(""), IMAP_FLAG_FLAGGED | IMAP_FLAG_SEEN, true, 0 },
          "Invalid flag",
          REPAIR_NAMED,
          REPAIR_FLAGS | REPAIR_SEEN },
        { 0, { SLICE("x"), ALL, true, 0 }, "no \\Flagged here", REPAIR_NAMED, REPAIR_FLAGS },
        { 0, { SLICE("x"), ALL, true, 0 }, "cannot store \\SEEN", REPAIR_NAMED, REPAIR_SEEN },
        { REPAIR_KEYWORDS | REPAIR_DELETED,
          { SLICE("x"), ALL, true, 0 },
          "no",
          REPAIR_LAST,
          REPAIR_KEYWORDS | REPAIR_DELETED | REPAIR_FLAGS | REPAIR_SEEN },
        { REPAIR_KEYWORDS | REPAIR_DELETED, { SLICE("x"), ALL, true, 0 }, "no", REPAIR_ANYTHING, 0 },
        { 0, { SLICE(""), IMAP_FLAG_SEEN, true, 0 }, "no", REPAIR_LAST, REPAIR_SEEN },
        { 0, { SLICE(""), IMAP_FLAG_SEEN, true, 0 }, "no", REPAIR_ANYTHING, 0 },
        { 0, { SLICE(""), IMAP_FLAG_SEEN, true, 0 }, "no", REPAIR_NAMED, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned after =
            repair_envelope_next(rows[i].before, &rows[i].envelope, slice_cstr(rows[i].said), rows[i].when);

        if (after != rows[i].after)
            fail_msg("row %zu: %#x, not %#x", i, after, rows[i].after);
    }
}

static void each_bit_has_its_words(void **state)
{
    (void)state;
    for (unsigned i = 0; i < REPAIR_COUNT; i++) {
        assert_non_null(repair_word(1u << i));
        assert_non_null(repair_meaning(1u << i));
    }
    assert_null(repair_word(3));
    assert_null(repair_meaning(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_repair_changes_what_it_names_and_no_more),
        cmocka_unit_test(nothing_asked_changes_nothing_and_cuts_do_not_matter),
        cmocka_unit_test(what_was_found_is_gone_afterwards),
        cmocka_unit_test(long_lines_break_where_their_encoding_hides_it),
        cmocka_unit_test(a_name_that_is_too_long_stays_in_the_header),
        cmocka_unit_test(the_servers_words_choose_else_the_least_change),
        cmocka_unit_test(what_a_scan_finds),
        cmocka_unit_test(a_mail_of_nothing_but_one_thing),
        cmocka_unit_test(what_goes_with_a_message_is_left_out_by_steps),
        cmocka_unit_test(each_bit_has_its_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
