/* test: io */
/* Transcripts: what must be seen is, what must not be is not, however the bytes are cut. */
#include "io/wire.h"

#include "io/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* One dialogue ("C " or "S " before each piece) in pieces of `step` bytes; returns the log. */
static char *transcript(const char *const *pieces, size_t step)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    struct wire *w;

    log_to(file, LOG_TRACE);
    w = wire_create("imap.example:993");
    assert_non_null(w);
    for (; *pieces; pieces++) {
        struct slice rest = slice_cstr(*pieces + 2);

        while (rest.size) {
            struct slice part = slice_first(rest, step);

            if (**pieces == 'S')
                wire_received(w, part);
            else
                wire_sent(w, part);
            rest = slice_from(rest, part.size);
        }
    }
    wire_destroy(&w);
    log_to(NULL, LOG_WARN);
    fclose(file);
    return text;
}

static void test_credentials_never_appear(void **state)
{
    static const char *const dialogues[][12] = {
        { "C a1 LOGIN joe geheim1\r\n", "S a1 OK in\r\n", "C a2 SELECT INBOX\r\n" },
        { "C a1 login \"joe\" \"geheim1\"\r\n", "S a1 NO\r\n", "C a2 SELECT INBOX\r\n" },
        { "C a1 LOGIN {3}\r\n", "S + go\r\n", "C joe {7}\r\n", "S + go\r\n", "C geheim1\r\n", "S a1 OK\r\n",
          "C a2 SELECT INBOX\r\n" },
        { "C a1 LOGIN {3+}\r\njoe {7+}\r\ngeheim1\r\n", "S a1 OK\r\n", "C a2 SELECT INBOX\r\n" },
        { "C a1 AUTHENTICATE PLAIN\r\n", "S + \r\n", "C geheim1==\r\n", "S a1 OK\r\n", "C a2 SELECT INBOX\r\n" },
        { "C a1 AUTHENTICATE XOAUTH2 geheim1\r\n", "S + geheim1\r\n", "C \r\n", "S a1 NO\r\n",
          "C a2 SELECT INBOX\r\n" },
    };

    for (size_t i = 0; i < sizeof dialogues / sizeof *dialogues; i++)
        for (size_t step = 1; step < 100; step += 49) {
            char *text = transcript(dialogues[i], step);

            if (strstr(text, "geheim") || !strstr(text, "[hidden]"))
                fail_msg("dialogue %zu: %s", i, text);
            if (!strstr(text, "imap.example:993 C: a2 SELECT INBOX\n"))
                fail_msg("dialogue %zu lost its end: %s", i, text);
            free(text);
        }
}

static void test_bodies_are_not_shown(void **state)
{
    static const char *const dialogue[] = { "C a1 UID FETCH 1 BODY[]\r\n",
                                            "S * 1 FETCH (UID 1 BODY[] {16}\r\nDear J\r\nsecrets!)\r\n",
                                            "S a1 OK done\r\n", NULL };
    char *text = transcript(dialogue, 5);

    assert_null(strstr(text, "Dear"));
    assert_null(strstr(text, "secrets"));
    assert_non_null(strstr(text, "S: * 1 FETCH (UID 1 BODY[] {16}\n"));
    assert_non_null(strstr(text, "S: a1 OK done\n"));
    free(text);
}

static void test_nothing_is_kept_below_trace(void **state)
{
    assert_null(wire_create("x:1"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credentials_never_appear),
        cmocka_unit_test(test_bodies_are_not_shown),
        cmocka_unit_test(test_nothing_is_kept_below_trace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
