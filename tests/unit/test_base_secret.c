/* test: base */
#include "io/base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static bool read_text(const char *text, size_t size, unsigned mode, struct secret **secret_r,
                      bool *open_r, struct err *err_r)
{
    char path[] = "/tmp/mailhaul-test-XXXXXX";
    int fd = mkstemp(path);
    bool ok;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    ok = secret_read_file(path, secret_r, open_r, err_r);
    unlink(path);
    return ok;
}

static void test_the_first_line_is_the_secret(void **state)
{
    static const struct {
        const char *text, *secret;
    } cases[] = {
        { "pass word", "pass word" },
        { "pass\n", "pass" },
        { "pass\r\nsecond line\n", "pass" },
        { " pass ", " pass " },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct secret *s = NULL;
        bool open_to_others = true;
        struct err err;

        assert_true(
            read_text(cases[i].text, strlen(cases[i].text), 0600, &s, &open_to_others, &err));
        assert_true(slice_equal(secret_peek(s), slice_cstr(cases[i].secret)));
        assert_false(open_to_others);
        secret_destroy(&s);
        assert_null(s);
    }
}

static void test_files_that_are_no_secret(void **state)
{
    static char large[70000];
    struct secret *s = NULL;
    bool open_to_others = false;
    struct err err;

    memset(large, 'x', sizeof large);
    assert_false(read_text("", 0, 0600, &s, &open_to_others, &err));
    assert_false(read_text("\nsecond", 7, 0600, &s, &open_to_others, &err));
    assert_false(read_text(large, sizeof large, 0600, &s, &open_to_others, &err));
    assert_non_null(strstr(err.server_text, "64 KiB"));
    assert_false(secret_read_file("/", &s, &open_to_others, &err));
    assert_false(secret_read_file("/nowhere/at/all", &s, &open_to_others, &err));
    assert_int_equal(err.origin, ERR_ORIGIN_CONFIG);
    assert_non_null(strstr(err.server_text, "/nowhere/at/all"));
    assert_null(s);
}

static void test_a_file_others_can_read_is_noticed(void **state)
{
    struct secret *s = NULL;
    bool open_to_others = false;
    struct err err;

    assert_true(read_text("x", 1, 0640, &s, &open_to_others, &err));
    assert_true(open_to_others);
    secret_destroy(&s);
}

static void test_wiping_and_nothing(void **state)
{
    struct secret *s = NULL;
    char bytes[] = "geheim";

    secret_wipe(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], 0);
    assert_int_equal(secret_peek(NULL).size, 0);
    secret_destroy(&s);
    s = secret_create(SLICE("a\0b"));
    assert_true(slice_equal(secret_peek(s), SLICE("a\0b")));
    secret_destroy(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_line_is_the_secret),
        cmocka_unit_test(test_files_that_are_no_secret),
        cmocka_unit_test(test_a_file_others_can_read_is_noticed),
        cmocka_unit_test(test_wiping_and_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
