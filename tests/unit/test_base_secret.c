/* test: base */
#include "io/base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static bool read_text(const char *text, size_t size, unsigned mode, struct secret **secret_r, bool *open_r,
                      struct err *err_r)
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

        assert_true(read_text(cases[i].text, strlen(cases[i].text), 0600, &s, &open_to_others, &err));
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
    char path[40];
    struct err err;
    int ends[2];

    memset(large, 'x', sizeof large);
    assert_false(read_text("", 0, 0600, &s, &open_to_others, &err));
    assert_false(read_text("\nsecond", 7, 0600, &s, &open_to_others, &err));
    assert_false(read_text(large, sizeof large, 0600, &s, &open_to_others, &err));
    assert_non_null(strstr(err.server_text, "64 KiB"));
    assert_false(secret_read_file("/", &s, &open_to_others, &err));
    /* A pipe that nobody writes into does not hold up the night; one with a writer gives its secret. */
    assert_int_equal(mkfifo("fifo-of-test", 0600), 0);
    assert_false(secret_read_file("fifo-of-test", &s, &open_to_others, &err));
    assert_int_equal(unlink("fifo-of-test"), 0);
    assert_int_equal(pipe(ends), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    assert_int_equal(write(ends[1], "word\n", 5), 5);
    close(ends[1]);
    assert_true(secret_read_file(path, &s, &open_to_others, &err));
    assert_true(slice_equal(secret_peek(s), SLICE("word")));
    secret_destroy(&s);
    close(ends[0]);
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

/* Of the mapping that has this address: VmFlags of smaps. */
static void flags_of(const void *address, char *flags_r, size_t cap)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    char line[1000];
    bool here = false;

    assert_non_null(file);
    flags_r[0] = '\0';
    while (fgets(line, sizeof line, file)) {
        unsigned long from, to;

        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            here = (unsigned long)address >= from && (unsigned long)address < to;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            snprintf(flags_r, cap, "%s", line);
    }
    fclose(file);
}

#define MANY 3000

/* Sanitizers take mlock away and say that it went well. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define LOCKS_REALLY false
#else
#define LOCKS_REALLY true
#endif

static void test_many_are_kept_apart_and_out_of_core_files(void **state)
{
    static struct secret *all[MANY];
    static char text[70000];
    char flags[1000];

    (void)state;
    memset(text, 'x', sizeof text);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = round ? 1 : 0; i < MANY; i += round ? 2 : 1)
            all[i] = secret_create(slice_of(text, i == 17 ? sizeof text : i % 301));
        for (unsigned i = 0; i < MANY; i++) {
            struct slice s = secret_peek(all[i]);

            assert_int_equal(s.size, i == 17 ? sizeof text : i % 301);
            assert_memory_equal(s.data, text, s.size);
            assert_int_equal(s.data[s.size], '\0');
        }
        flags_of(secret_peek(all[round]).data, flags, sizeof flags);
        assert_non_null(strstr(flags, " dd"));
        assert_true(!secret_is_locked() || !LOCKS_REALLY || strstr(flags, " lo"));
        for (unsigned i = 1; i < MANY; i += 2)
            secret_destroy(&all[i]);
    }
    for (unsigned i = 0; i < MANY; i++)
        secret_destroy(&all[i]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_are_kept_apart_and_out_of_core_files),
        cmocka_unit_test(test_the_first_line_is_the_secret),
        cmocka_unit_test(test_files_that_are_no_secret),
        cmocka_unit_test(test_a_file_others_can_read_is_noticed),
        cmocka_unit_test(test_wiping_and_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
