/* test: imap */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/imap/scan.h"
#include "io/base/mem.h"
#include "tests/unit/test_imap_kit.h"

#include <stdio.h>

/* Servers that send and send: nothing that they do may take memory, time or waiting without bound. */

#define FLOOD_BYTES (1ull << 30) /* nobody may take so much */

/* Feeds line until the session has had enough; returns how many bytes that took. */
static uint64_t flood(struct one *one, const char *line)
{
    char piece[65536];
    size_t size = strlen(line), held = 0;
    uint64_t fed = 0;

    while (held + size <= sizeof piece) {
        memcpy(piece + held, line, size);
        held += size;
    }
    while (!one->failed && fed < FLOOD_BYTES) {
        session_feed(one->session, slice_of(piece, held));
        fed += held;
    }
    return fed;
}

static void status(void *context, const struct imap_status *status_r)
{
}

struct counting {
    struct one one;
    unsigned rows, bodies;
    uint64_t ranges, uids, bytes;
};

static void folder(void *context, const struct imap_list_row *row)
{
    ((struct counting *)context)->rows++;
}

static void count_row(void *context, const struct imap_message_row *row)
{
    ((struct counting *)context)->rows++;
}

static void body_begin(void *context, uint32_t uid, uint64_t size_bytes, uint64_t origin)
{
}

static void body_bytes(void *context, struct slice bytes)
{
    ((struct counting *)context)->bytes += bytes.size;
}

static void body_end(void *context, uint32_t uid, bool got_body, bool suspect)
{
    ((struct counting *)context)->bodies++;
}

static const struct session_body_events body_events = { body_begin, body_bytes, body_end };

static void count_range(void *context, uint32_t first, uint32_t last)
{
    struct counting *c = context;

    c->ranges++;
    c->uids += last - first + 1ull;
}

static void lines_without_end(void **state)
{
    static const char *const lines[] = {
        "* CAPABILITY IMAP4rev1 A=B C=D\r\n",
        "* OK Still here\r\n",
        "* 5 EXISTS\r\n",
        "* NO [ALERT] watch out\r\n",
        "* 1 FETCH (FLAGS (\\Seen))\r\n",
        "* NAMESPACE ((\"\" \"/\")) ((\"a\" \"/\")) NIL\r\n",
        "* SEARCH 1 2 3\r\n",
        "what is this\r\n",
        "+ go on\r\n",
    };

    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct one one;
        size_t size;

        begin(&one);
        session_status(one.session, SLICE("INBOX"), IMAP_STATUS_MESSAGES, status, ended, &one);
        free(said(&one, &size));
        if (flood(&one, lines[i]) > 100u << 20)
            fail_msg("taken without end: %s", lines[i]);
        assert_int_equal(one.ended, 1);
        assert_int_equal(one.err.class, ERR_CLASS_TRANSIENT);
        session_destroy(&one.session);
    }
}

static void a_folder_again_and_again(void **state)
{
    struct counting c = { 0 };
    size_t size;

    begin(&c.one);
    session_list(c.one.session, SESSION_LIST_PLAIN, SLICE("*"), 0, folder, NULL, ended, &c);
    free(said(&c.one, &size));
    assert_true(flood(&c.one, "* LIST () \"/\" INBOX\r\n") < FLOOD_BYTES);
    assert_true(c.rows > 1000);
    session_destroy(&c.one.session);
}

/* Each is another folder, and one answer has as many bytes as it likes: no list of a mailbox's folders is so long. */
static void folders_with_names_without_end(void **state)
{
    struct counting c = { 0 };
    char line[60100];
    size_t size;

    begin(&c.one);
    session_list(c.one.session, SESSION_LIST_PLAIN, SLICE("*"), 0, folder, NULL, ended, &c);
    free(said(&c.one, &size));
    size = (size_t)snprintf(line, sizeof line, "* LIST () \"/\" \"%060000d\"\r\n", 7);
    assert_in_range(flood(&c.one, line), 128u << 20, 400u << 20);
    assert_int_equal(c.one.failed, 1);
    assert_in_range(c.rows, 2000, 8000);
    session_destroy(&c.one.session);
}

static void rows_again_and_again(void **state)
{
    struct counting c = { 0 };
    size_t size;

    begin(&c.one);
    session_fetch_rows(c.one.session, SLICE("1:10"), SLICE(""), count_row, ended, &c);
    free(said(&c.one, &size));
    flood(&c.one, "* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 5)\r\n");
    assert_int_equal(c.one.failed, 1);
    assert_true(c.rows >= 20 && c.rows <= 2000);
    session_destroy(&c.one.session);
}

/* No more rows than there are messages, and each as long as a line may be. */
static void rows_with_headers_without_end(void **state)
{
    struct counting c = { 0 };
    char line[60200], header[60001];
    size_t size;

    begin(&c.one);
    session_fetch_rows(c.one.session, SLICE("1:200000"), SLICE("SUBJECT"), count_row, ended, &c);
    free(said(&c.one, &size));
    memset(header, 's', sizeof header - 1);
    memcpy(header, "Subject: ", 9);
    header[sizeof header - 1] = '\0';
    snprintf(line, sizeof line,
             "* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 5 BODY[HEADER.FIELDS (SUBJECT)] {60000}\r\n%s)\r\n", header);
    assert_in_range(flood(&c.one, line), 16u << 20, 400u << 20);
    assert_int_equal(c.one.failed, 1);
    assert_true(c.rows > 200);
    session_destroy(&c.one.session);
}

/* Also where nobody knows how many there are: no more than were told, and some. */
static void more_rows_than_messages(void **state)
{
    struct counting c = { 0 };
    size_t size;

    begin(&c.one);
    session_fetch_rows(c.one.session, SLICE("1:*"), SLICE(""), count_row, ended, &c);
    free(said(&c.one, &size));
    feed(&c.one, "* 3 EXISTS\r\n");
    for (uint32_t uid = 1; !c.one.failed && uid < 10000000; uid++) {
        char line[100];

        snprintf(line, sizeof line, "* 1 FETCH (UID %u FLAGS () RFC822.SIZE 5)\r\n", uid);
        feed(&c.one, line);
    }
    assert_int_equal(c.one.failed, 1);
    assert_true(c.rows > 1000 && c.rows < 1000000);
    session_destroy(&c.one.session);
}

static void a_body_again_and_again(void **state)
{
    struct counting c = { 0 };
    size_t size;

    begin(&c.one);
    session_fetch_bodies(c.one.session, SLICE("1"), SESSION_BODY_PEEK, 0, 0, &body_events, ended, &c);
    free(said(&c.one, &size));
    assert_true(flood(&c.one, "* 1 FETCH (UID 1 BODY[] {10}\r\n0123456789)\r\n") < FLOOD_BYTES);
    session_destroy(&c.one.session);
}

/* One body of any length is no flood: it is what was asked for. */
static void a_large_body(void **state)
{
    struct counting c = { 0 };
    char zeros[65536];
    size_t size;

    memset(zeros, '0', sizeof zeros);
    begin(&c.one);
    session_fetch_bodies(c.one.session, SLICE("1"), SESSION_BODY_PEEK, 0, 0, &body_events, ended, &c);
    free(said(&c.one, &size));
    feed(&c.one, "* 1 FETCH (UID 1 BODY[] {268435456}\r\n");
    for (unsigned i = 0; i < 4096; i++)
        session_feed(c.one.session, slice_of(zeros, sizeof zeros));
    feed(&c.one, ")\r\na2 OK done\r\n");
    assert_int_equal(c.one.failed, 0);
    assert_int_equal(c.bodies, 1);
    assert_int_equal(c.bytes, 268435456);
    assert_int_equal(((struct one *)&c)->ended, 1);
    session_destroy(&c.one.session);
}

/* Numbers are given on as they come; where the pieces are cut does not matter. */
static void numbers_of_a_long_line(void **state)
{
    for (unsigned form = 0; form < 2; form++)
        for (size_t cut = 1; cut <= 65536; cut = cut * 17 + 1) {
            struct counting c = { 0 };
            size_t size, used = 0, fed = 0, room = 12u << 20;
            char *line = mem_alloc(room);
            uint64_t before;
            unsigned count = cut < 100 ? 40000 : 700000;

            begin(&c.one);
            session_search(c.one.session, SLICE("ALL"), count_range, ended, &c);
            free(said(&c.one, &size));
            used += (size_t)sprintf(line, form ? "* ESEARCH (TAG \"a2\") UID ALL " : "* SEARCH ");
            for (unsigned i = 0; i < count; i++)
                used += (size_t)sprintf(line + used, form ? "%s%u:%u" : "%s%u", i ? form ? "," : " " : "", 10 * i + 1,
                                        10 * i + 3);
            for (; fed < used; fed += cut)
                session_feed(c.one.session, slice_first(slice_of(line + fed, used - fed), cut));
            before = c.ranges;
            assert_true(before + 20000 > count && before <= count);
            feed(&c.one, "\r\na2 OK\r\n");
            assert_int_equal(c.one.failed, 0);
            assert_int_equal(c.ranges, count);
            assert_int_equal(c.uids, count * (form ? 3ull : 1ull));
            assert_int_equal(c.one.ended, 1);
            session_destroy(&c.one.session);
            free(line);
        }
}

/* What was named before is nothing new: so much of it is a flood, however short the line is that says it. */
static void messages_named_again_and_again(void **state)
{
    static const char *const lines[] = { "* ESEARCH (TAG \"a2\") UID ALL 1:100000\r\n", "* SEARCH 5 3 1\r\n",
                                         "* ESEARCH (TAG \"a2\") UID ALL 4294967294:1\r\n" };

    (void)state;
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct counting c = { 0 };
        size_t size;

        begin(&c.one);
        session_search(c.one.session, SLICE("ALL"), count_range, ended, &c);
        free(said(&c.one, &size));
        assert_true(flood(&c.one, lines[i]) < 200u << 20);
        assert_int_equal(c.one.failed, 1);
        assert_true(c.uids < 10000000ull + (i == 2 ? SESSION_UID_MAX : 0));
        session_destroy(&c.one.session);
    }
}

/* What is told and kept counts against what all may keep, until the command ends; so do the lines themselves. */
static void memory_is_counted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct quota *all = quota_create(1u << 20);
        struct counting c = { 0 };
        size_t size;

        begin_within(&c.one, quota_join(all));
        if (i == 0)
            session_fetch_rows(c.one.session, SLICE("1:1000000"), SLICE(""), count_row, ended, &c);
        else
            session_search(c.one.session, SLICE("ALL"), count_range, ended, &c);
        free(said(&c.one, &size));
        for (uint32_t uid = 1; !c.one.failed && uid < 2000000; uid += 2) {
            char line[100];

            snprintf(line, sizeof line, i ? "* SEARCH %u\r\n" : "* 1 FETCH (UID %u FLAGS (a b) RFC822.SIZE 5)\r\n",
                     uid);
            feed(&c.one, line);
            assert_true(quota_used(all) <= 1u << 20);
        }
        assert_int_equal(c.one.failed, 1);
        assert_int_equal(c.one.ended, 1);
        assert_int_equal(c.one.err.origin, ERR_ORIGIN_CONFIG);
        assert_int_equal(c.one.err.class, ERR_CLASS_TRANSIENT);
        assert_true(c.rows + c.ranges > 1000 && c.rows + c.ranges < 100000);
        session_destroy(&c.one.session);
        assert_int_equal(quota_used(all), 0);
        quota_leave(&c.one.memory);
        quota_destroy(&all);
    }
}

/* One of many connections that each hold half a line. */
static void a_line_that_never_ends_is_counted(void **state)
{
    struct quota *all = quota_create(400000);
    struct one many[8] = { 0 };
    char some[65536];
    size_t size;
    unsigned over = 0;

    (void)state;
    memset(some, 'x', sizeof some);
    for (unsigned i = 0; i < 8; i++) {
        begin_within(&many[i], quota_join(all));
        session_noop(many[i].session, ended, &many[i]);
        free(said(&many[i], &size));
        session_feed(many[i].session, slice_of(some, sizeof some));
        session_feed(many[i].session, slice_of(some, sizeof some));
    }
    for (unsigned i = 0; i < 8; i++)
        over += many[i].failed;
    assert_true(over >= 4 && over < 8);
    for (unsigned i = 0; i < 8; i++) {
        session_destroy(&many[i].session);
        quota_leave(&many[i].memory);
    }
    assert_int_equal(quota_used(all), 0);
    quota_destroy(&all);
}

static unsigned looked, whole;

static enum scan_literal literal_begins(void *context, struct slice line, uint64_t size_bytes)
{
    looked++;
    return SCAN_KEEP;
}

static void literal_bytes(void *context, struct slice bytes)
{
}

static void literal_suspect(void *context, struct slice line)
{
}

static void whole_line(void *context, struct slice line)
{
    whole++;
}

/* Each literal that is asked about is a look at the whole line: so not each of any number. */
static void literals_without_end(void **state)
{
    static const struct scan_events events_of_scan = { literal_begins, literal_bytes, literal_suspect, whole_line };
    struct scan scan;
    struct err err;
    bool good = true;

    scan_init(&scan, &events_of_scan, NULL);
    assert_true(scan_feed(&scan, SLICE("* 1 FETCH (FLAGS ("), &err));
    for (unsigned i = 0; i < 20000 && good; i++)
        good = scan_feed(&scan, SLICE("{1}\r\na "), &err);
    assert_true(good && scan_feed(&scan, SLICE("))\r\n* OK\r\n"), &err));
    assert_int_equal(looked, SCAN_LITERALS_MAX);
    assert_int_equal(whole, 2);
    assert_true(scan_feed(&scan, SLICE("* 1 FETCH (FLAGS ({1}\r\na))\r\n"), &err));
    assert_int_equal(looked, SCAN_LITERALS_MAX + 1);
    scan_deinit(&scan);
}

static void begin_another(void *context, const struct err *err)
{
    struct one *one = context;

    one->ended++;
    if (one->ended < 5)
        session_noop(one->session, begin_another, one);
}

/* One that a callback begins while the session fails is ended too, and once. */
static void a_command_begun_while_all_end(void **state)
{
    struct one one, queued = { 0 };
    size_t size;

    begin(&one);
    session_noop(one.session, begin_another, &one);
    free(said(&one, &size));
    session_noop(one.session, ended, &queued);
    feed(&one, "* BYE enough\r\n");
    session_destroy(&one.session);
    assert_int_equal(one.ended, 5);
    assert_int_equal(queued.ended, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_without_end),
        cmocka_unit_test(a_folder_again_and_again),
        cmocka_unit_test(folders_with_names_without_end),
        cmocka_unit_test(rows_again_and_again),
        cmocka_unit_test(rows_with_headers_without_end),
        cmocka_unit_test(more_rows_than_messages),
        cmocka_unit_test(a_body_again_and_again),
        cmocka_unit_test(a_large_body),
        cmocka_unit_test(numbers_of_a_long_line),
        cmocka_unit_test(messages_named_again_and_again),
        cmocka_unit_test(memory_is_counted),
        cmocka_unit_test(a_line_that_never_ends_is_counted),
        cmocka_unit_test(literals_without_end),
        cmocka_unit_test(a_command_begun_while_all_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
