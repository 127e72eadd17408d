/* test: base */
#include "io/base/log.h"
#include "io/base/now.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *text;
static size_t text_size;
static FILE *file;

static int begin(void **state)
{
    file = open_memstream(&text, &text_size);
    now_fake((uint64_t)1000000000000, 1795492800000);
    return file ? 0 : -1;
}

static int end(void **state)
{
    log_to(NULL, LOG_WARN);
    now_real();
    fclose(file);
    free(text);
    return 0;
}

static void test_levels_and_form(void **state)
{
    struct err e;

    log_to(file, LOG_INFO);
    log_line(LOG_DEBUG, "too.fine", "x=1");
    log_line(LOG_INFO, "source.login", "user=%s ms=%d", "a@b", 12);
    err_set(&e, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_BYE, 0, "closing");
    log_err(LOG_WARN, "source.end", &e);
    assert_string_equal(text, "2026-11-24T04:00:00Z info source.login user=a@b ms=12\n"
                              "2026-11-24T04:00:00Z warn source.end class=transient scope=session "
                              "BYE closing\n");
    assert_true(log_enabled(LOG_INFO));
    assert_false(log_enabled(LOG_TRACE));
}

static void test_no_line_breaks_another(void **state)
{
    log_to(file, LOG_INFO);
    log_line(LOG_INFO, "event", "text=%s", "a\nfake error line\x1b[2J");
    assert_int_equal(strchr(text, '\n') - text, (long)strlen(text) - 1);
    assert_null(strchr(text, '\x1b'));
}

static void test_json_has_a_member_a_field(void **state)
{
    struct err e;

    log_to(file, LOG_INFO);
    log_as_json(true);
    log_line(LOG_INFO, "source.login", "user=%s ms=%u share=%.1f limit=%llu id=%s", "a@b", 12u, 1.5, 1ull << 40, "007");
    log_line(LOG_INFO, "spool.room", "there is room again");
    log_line(LOG_INFO, "sandbox.off", "why=the kernel has none of %u, or more", 2u);
    log_line(LOG_INFO, "empty", "user=%s", "");
    err_set(&e, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_BYE, 0, "closing \"now\" C:\\x");
    log_err(LOG_WARN, "source.end", &e);
    log_as_json(false);
    assert_string_equal(
        text, "{\"time\":\"2026-11-24T04:00:00Z\",\"level\":\"info\",\"event\":\"source.login\",\"user\":\"a@b\","
              "\"ms\":12,\"share\":1.5,\"limit\":1099511627776,\"id\":\"007\"}\n"
              "{\"time\":\"2026-11-24T04:00:00Z\",\"level\":\"info\",\"event\":\"spool.room\",\"message\":"
              "\"there is room again\"}\n"
              "{\"time\":\"2026-11-24T04:00:00Z\",\"level\":\"info\",\"event\":\"sandbox.off\",\"why\":"
              "\"the kernel has none of\",\"message\":\"2, or more\"}\n"
              "{\"time\":\"2026-11-24T04:00:00Z\",\"level\":\"info\",\"event\":\"empty\",\"user\":\"\"}\n"
              "{\"time\":\"2026-11-24T04:00:00Z\",\"level\":\"warn\",\"event\":\"source.end\",\"class\":\"transient\","
              "\"scope\":\"session\",\"message\":\"BYE closing \\\"now\\\" C:\\\\x\"}\n");
}

static void test_no_value_makes_a_field(void **state)
{
    log_to(file, LOG_INFO);
    log_as_json(true);
    log_line(LOG_INFO, "said", "user=%s uid=%u", "a level=error", 3u);
    log_line(LOG_INFO, "said", "user=%s uid=%u", "a\x1flevel=error", 3u);
    log_line(LOG_INFO, "said", "user=%s uid=%u", "a\",\"level\":\"error\n\xff", 3u);
    log_as_json(false);
    assert_non_null(strstr(text, "\"user\":\"a level=error\",\"uid\":3}\n"));
    assert_non_null(strstr(text, "\"event\":\"said\",\"message\":\"user=a.level=error.uid=3\"}\n"));
    assert_non_null(strstr(text, "\"user\":\"a\\\",\\\"level\\\":\\\"error..\",\"uid\":3}\n"));
}

static void test_json_of_a_line_that_is_cut(void **state)
{
    char longest[2000];

    memset(longest, '"', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    log_to(file, LOG_INFO);
    log_as_json(true);
    log_line(LOG_INFO, "cut", "user=%s uid=%u", longest, 3u);
    log_as_json(false);
    assert_string_equal(text + strlen(text) - 5, "\\\"\"}\n");
}

static void test_repeated_lines_are_counted(void **state)
{
    log_to(file, LOG_WARN);
    for (int i = 0; i < 100; i++)
        log_line(LOG_WARN, "server.slow", "same");
    assert_int_equal(strchr(text, '\n') - text, (long)strlen(text) - 1);
    now_fake((uint64_t)1000000000000 + (uint64_t)61 * 1000000000, 1795492861000);
    log_line(LOG_WARN, "server.slow", "same");
    assert_non_null(strstr(text, "(99 more like this in the last minute)"));
}

/* Whatever is told, and whoever said it: one line, of at most so many bytes, and whole characters. */
static void test_texts_of_any_length_are_one_line(void **state)
{
    static const size_t sizes[] = { 0, 1, 900, 1000, 1022, 1023, 1024, 1025, 100000 };
    static const char *const fills[] = { "x", "\n", "\x1b[2J", "\xc3\xa4", "\xff", "%s", "\xe2\x80\xae" };

    log_to(file, LOG_INFO);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned f = 0; f < sizeof fills / sizeof *fills; f++) {
            char *said = malloc(sizes[i] + 1);
            size_t before, n = strlen(fills[f]);
            struct err e;

            assert_non_null(said);
            for (size_t k = 0; k < sizes[i]; k++)
                said[k] = fills[f][k % n];
            said[sizes[i]] = '\0';
            fflush(file);
            before = text_size;
            log_line(LOG_INFO, "server.said", "n=%u.%u text=%s", i, f, said);
            err_set(&e, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_NO, (int)(i * 100 + f), "%u.%u %s", i, f,
                    said);
            err_doing(&e, "SELECT %s", said);
            log_err(LOG_WARN, "server.refused", &e);
            fflush(file);
            assert_in_range(text_size - before, 1, 2 * 1300);
            for (unsigned lines = 0; lines < 2; lines++) {
                char *end = memchr(text + before, '\n', text_size - before);

                assert_non_null(end);
                for (char *c = text + before; c < end; c++)
                    assert_true((unsigned char)*c >= ' ' && *c != '\x7f' && *c != '\xff');
                before = (size_t)(end - text) + 1;
            }
            assert_int_equal(before, text_size);
            free(said);
        }
}

static void test_level_names(void **state)
{
    enum log_level level;

    for (int i = LOG_ERROR; i <= LOG_TRACE; i++) {
        assert_true(log_level_parse(log_level_name((enum log_level)i), &level));
        assert_int_equal(level, i);
    }
    assert_false(log_level_parse("loud", &level));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_levels_and_form, begin, end),
        cmocka_unit_test_setup_teardown(test_no_line_breaks_another, begin, end),
        cmocka_unit_test_setup_teardown(test_json_has_a_member_a_field, begin, end),
        cmocka_unit_test_setup_teardown(test_no_value_makes_a_field, begin, end),
        cmocka_unit_test_setup_teardown(test_json_of_a_line_that_is_cut, begin, end),
        cmocka_unit_test_setup_teardown(test_repeated_lines_are_counted, begin, end),
        cmocka_unit_test_setup_teardown(test_texts_of_any_length_are_one_line, begin, end),
        cmocka_unit_test_setup_teardown(test_level_names, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
