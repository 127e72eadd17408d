/* test: base */
#include "io/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_a_line_for_a_person(void **state)
{
    struct err e;
    char line[512];

    assert_false(err_set(&e, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_NO, 0, "Quota exceeded"));
    assert_false(err_doing(&e, "APPEND to %s", "Sent"));
    strcpy(e.resp_code, "OVERQUOTA");
    assert_string_equal(err_line(&e, line, sizeof line), "APPEND to Sent: NO [OVERQUOTA] Quota exceeded");
    assert_false(err_set_os(&e, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ECONNRESET, "reading"));
    assert_int_equal(e.code, ECONNRESET);
    assert_int_equal(e.origin, ERR_ORIGIN_OS);
    assert_string_equal(e.resp_code, "");
    assert_string_equal(err_line(&e, line, 12), "reading: Co");
}

static void test_text_of_a_server_is_made_printable(void **state)
{
    static const struct {
        const char *in, *out;
        size_t cap;
    } cases[] = {
        { "a\r\nb\x1b[31m\x7f", "a..b.[31m.", 64 },
        { "\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9", 64 },
        { "\xc3\xa9t\xc3\xa9", "\xc3\xa9t", 5 }, /* never half a character */
        { "abc", "", 1 },
        { "\xff\xfe", "..", 64 },
        { "\xe2\x82", "..", 64 }, /* cut short by the server */
        { "a\xc2\x9b"
          "2J",
          "a.2J", 64 }, /* C1: CSI */
        { "x\xe2\x80\xae"
          "fdp.exe",
          "x.fdp.exe", 64 },                        /* turns the writing round */
        { "\xe2\x81\xa6y\xe2\x81\xa9", ".y.", 64 }, /* isolates */
        { "an\xe2\x80\x8b"
          "n\xc2\xad"
          "a\xef\xbb\xbf\xe2\x81\xa0",
          "an.n.a..", 64 }, /* signs without width: two names would look the same */
        { "\xe2\x80\x8f\xd8\x9c\xe2\x80\xa8\xf3\xa0\x81\x81z", "....z", 64 },
        { "\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80", ".........", 64 }, /* no sequences */
        { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", 64 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[64];

        err_printable(out, cases[i].cap, cases[i].in, strlen(cases[i].in));
        assert_string_equal(out, cases[i].out);
    }
}

static void test_long_text_is_cut_and_terminated(void **state)
{
    struct err e;
    char text[2000];

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    err_set(&e, ERR_CLASS_TRANSIENT, ERR_SCOPE_RUN, ERR_ORIGIN_BYE, 0, "%s", text);
    err_doing(&e, "%s", text);
    assert_int_equal(strlen(e.server_text), sizeof e.server_text - 1);
    assert_int_equal(strlen(e.doing), sizeof e.doing - 1);
}

static void test_every_member_has_a_name(void **state)
{
    for (int i = 0; i < ERR_CLASS_COUNT; i++)
        assert_true(err_class_name((enum err_class)i)[0] != '\0');
    for (int i = 0; i < ERR_SCOPE_COUNT; i++)
        assert_true(err_scope_name((enum err_scope)i)[0] != '\0');
    for (int i = 0; i < ERR_ORIGIN_COUNT; i++)
        assert_true(err_origin_name((enum err_origin)i)[0] != '\0');
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_for_a_person),
        cmocka_unit_test(test_text_of_a_server_is_made_printable),
        cmocka_unit_test(test_long_text_is_cut_and_terminated),
        cmocka_unit_test(test_every_member_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
