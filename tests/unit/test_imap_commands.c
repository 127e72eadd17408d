/* test: imap */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/imap/date.h"
#include "engine/imap/keyword.h"
#include "io/base/mem.h"
#include "tests/unit/test_imap_kit.h"

#include <stdio.h>

/* What a command is made of may come from a server, a mail or an old journal: whatever it is, the command goes out
 * whole and as one command, or not at all. */

enum { STATUS, LIST, SELECT, QUOTA, CREATE, SUBSCRIBE, MOVE, APPEND, KINDS };

static size_t pull(void *context, unsigned item, char *out, size_t cap)
{
    memset(out, 'a', cap);
    return cap;
}

static const struct session_append_events append_events = { .pull = pull };

static void start(struct one *one, unsigned kind, struct slice name)
{
    struct session_append_item item = { .size_bytes = 3 };

    switch (kind) {
    case STATUS:
        session_status(one->session, name, IMAP_STATUS_MESSAGES, NULL, ended, one);
        break;
    case LIST:
        session_list(one->session, SESSION_LIST_EXTENDED, name, 0, NULL, NULL, ended, one);
        break;
    case SELECT:
        session_select(one->session, name, true, NULL, ended, one);
        break;
    case QUOTA:
        session_quota(one->session, name, NULL, ended, one);
        break;
    case CREATE:
        session_create_mailbox(one->session, name, ended, one);
        break;
    case SUBSCRIBE:
        session_subscribe(one->session, name, ended, one);
        break;
    case MOVE:
        session_move(one->session, SLICE("7"), name, ended, one);
        break;
    case APPEND:
        session_append(one->session, name, &item, 1, &append_events, ended, one);
        break;
    }
}

/* A name of any length and of any bytes: past what a command holds, the command ends and the session goes on. */
static void names_of_any_length(void **state)
{
    static const size_t sizes[] = { 1, 8191, 8192, 8193, 32768, 40000, 65535, 65536, 262144, 1u << 20 };
    static const char fills[] = { 'a', '"', '\\', '\xE9', '\r', '\n', '\0', '\x1B' };

    for (unsigned kind = 0; kind < KINDS; kind++)
        for (unsigned f = 0; f < sizeof fills; f++)
            for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                char *name = mem_alloc(sizes[i]), *text;
                struct one one;
                size_t size;

                begin(&one);
                memset(name, fills[f], sizes[i]);
                start(&one, kind, slice_of(name, sizes[i]));
                text = said(&one, &size);
                if (sizes[i] > 8192) {
                    if (one.ended != 1 || one.err.class != ERR_CLASS_PERMANENT || one.err.scope != ERR_SCOPE_FOLDER)
                        fail_msg("kind %u, %zu bytes of %02X", kind, sizes[i], (unsigned char)fills[f]);
                    assert_string_equal(one.err.server_text, "the mailbox name is too long for a command");
                    assert_int_equal(size, 0);
                } else {
                    assert_int_equal(one.ended, 0);
                    assert_true(size > 0);
                    /* A line end in a name: nothing of it before the server asks for it. */
                    if (fills[f] == '\r' || fills[f] == '\n')
                        assert_int_equal(strspn(text, "a0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ{}\"\r\n"), size);
                    if (fills[f] == '\n')
                        assert_true(text[size - 3] == '}' && text[size - 2] == '\r');
                }
                free(text);
                if (sizes[i] > 8192) {
                    session_noop(one.session, ended, &one);
                    text = said(&one, &size);
                    assert_string_equal(text + strlen(text) - 7, " NOOP\r\n");
                    free(text);
                }
                assert_int_equal(one.failed, 0);
                session_destroy(&one.session);
                free(name);
            }
}

/* What only this program writes: numbers and words of its own. Past what a command holds it is refused like any other
 * (a set to FETCH is held against its bound, which is in its description). */
static void own_texts_of_any_length(void **state)
{
    static const size_t sizes[] = { 1, 1000, 65535, 65536, 65537, 1u << 20 };

    for (unsigned kind = 0; kind < 5; kind++)
        for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char *digits = mem_alloc(sizes[i]), *text;
            struct slice given = slice_of(digits, sizes[i]);
            struct one one;
            size_t size;

            begin(&one);
            feed(&one, "* OK\r\n");
            memset(digits, '1', sizes[i]);
            if (kind == 0)
                session_search(one.session, given, NULL, ended, &one);
            else if (kind == 1)
                session_store_flags(one.session, given, SLICE("\\Deleted"), ended, &one);
            else if (kind == 2)
                session_clear_flags(one.session, SLICE("1"), given, ended, &one);
            else if (kind == 3)
                session_expunge(one.session, given, ended, &one);
            else
                session_fetch_rows(one.session, SLICE("1"), given, NULL, ended, &one);
            text = said(&one, &size);
            assert_int_equal(one.ended, sizes[i] > 65500);
            assert_int_equal(size > 0, sizes[i] <= 65500);
            free(text);
            session_destroy(&one.session);
            free(digits);
        }
}

/* Each call of session.h that takes a text is tried by one of these tests. */
static void every_call_that_takes_a_text_is_known(void **state)
{
    static const char
        *const tried[] = {
            "session_feed", /* tests/dialogue, tests/fuzz, test_imap_floods */
            "session_status",         "session_list",        "session_select",  "session_quota",
            "session_create_mailbox", "session_subscribe",   "session_append",  "session_search",
            "session_store_flags",    "session_clear_flags", "session_expunge", "session_move",
            "session_fetch_rows",     "session_fetch_flags", /* a set, as session_fetch_rows */
            "session_fetch_bodies",                          /* a set, as session_fetch_rows */
        };
    FILE *file = fopen(TESTS_FOLDER "/../engine/imap/session.h", "r");
    char text[65536];
    size_t size;
    unsigned count = 0;

    assert_non_null(file);
    size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    for (char *at = text; (at = strstr(at, "\nvoid session_")); at++) {
        char *name = at + 6, *open = strchr(name, '('), *end = strchr(name, ';');
        unsigned i;

        *open = *end = '\0';
        if (strncmp(name, "session_", 8) == 0 && strstr(open + 1, "struct slice") &&
            !strstr(open + 1, "(*row)(void *context, struct slice")) {
            for (i = 0; i < sizeof tried / sizeof *tried; i++)
                if (strcmp(tried[i], name) == 0)
                    break;
            if (i == sizeof tried / sizeof *tried)
                fail_msg("%s takes a text that no test gives it", name);
            count++;
        }
        *open = '(';
        *end = ';';
    }
    assert_int_equal(count, sizeof tried / sizeof *tried);
}

/* Several at once: each ends, in turn. */
static void refused_ones_among_others(void **state)
{
    char *name = mem_alloc(9000), *text;
    struct one one, other = { 0 };
    size_t size;

    begin(&one);
    memset(name, 'x', 9000);
    for (unsigned i = 0; i < 20; i++) {
        start(&one, i % KINDS, slice_of(name, 9000));
        session_noop(one.session, ended, &other);
    }
    text = said(&one, &size);
    assert_true(one.ended > 0 && one.ended <= 20);
    free(text);
    session_destroy(&one.session);
    assert_int_equal(one.ended, 20);
    assert_int_equal(other.ended, 20);
    free(name);
}

static void what_an_old_journal_says(void **state)
{
    static const struct imap_date dates[] = {
        { INT64_MAX, 0, true }, { INT64_MIN, 0, true },    { 0, INT16_MAX, true },    { 0, INT16_MIN, true },
        { 1ll << 41, 0, true }, { -(1ll << 41), 0, true }, { 253402300800, 0, true }, { -62167219201, 0, true },
    };
    static const struct imap_date good[] = { { 0, 0, true },
                                             { 253402300799, 0, true },
                                             { -62167219200, 0, true },
                                             { 1577880000, 840, true },
                                             { 1577880000, -840, true } };
    char text[DATE_TEXT_SIZE];

    for (unsigned i = 0; i < sizeof dates / sizeof *dates; i++) {
        struct session_append_item item = { .date = dates[i], .size_bytes = 1, .flags.keywords = SLICE("ok bad\"") };
        struct one one;
        char *out;
        size_t size;

        assert_false(date_is_writable(&dates[i]));
        begin(&one);
        session_append(one.session, SLICE("INBOX"), &item, 1, &append_events, ended, &one);
        out = said(&one, &size);
        assert_string_equal(strstr(out, "APPEND"), "APPEND \"INBOX\" (ok) {1+}\r\na\r\n");
        free(out);
        session_destroy(&one.session);
    }
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(date_is_writable(&good[i]));
        assert_int_equal(strlen(date_format(&good[i], text)), DATE_TEXT_SIZE - 1);
    }
}

static void each_byte_of_a_keyword(void **state)
{
    char out[KEYWORDS_BYTES_MAX];
    unsigned dropped = 0;

    for (unsigned c = 0; c < 256; c++) {
        char word[3] = { 'a', (char)c, 'b' };
        bool wanted = c > 0x20 && c < 0x7F && !strchr("(){%*\"\\]", (int)c);

        if (keyword_is_atom(slice_of(word, 3)) != wanted)
            fail_msg("byte %02X", c);
    }
    assert_false(keyword_is_atom(slice_of(NULL, 0)));
    assert_int_equal(keywords_clean(SLICE("  a  b\"c d "), sizeof out, out, &dropped), 3);
    assert_memory_equal(out, "a d", 3);
    assert_int_equal(dropped, 1);
    for (size_t max = 0; max < 12; max++) {
        size_t used = keywords_clean(SLICE("abc de f"), max, out, &dropped);

        assert_true(used <= max);
        assert_true(used == 0 || (out[used - 1] != ' ' && out[0] != ' '));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_any_length),
        cmocka_unit_test(own_texts_of_any_length),
        cmocka_unit_test(every_call_that_takes_a_text_is_known),
        cmocka_unit_test(refused_ones_among_others),
        cmocka_unit_test(what_an_old_journal_says),
        cmocka_unit_test(each_byte_of_a_keyword),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
