/* test: store
 * A secret kept in a file: both forms, whole or not at all, turns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/secret_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[128];

static int begin(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/mhkeepXXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/state/token", folder);
    return 0;
}

static int end(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void kept(const char *value, const struct secret *key)
{
    struct secret *in = secret_create(slice_cstr(value)), *out = NULL;
    struct err err;
    struct stat st;

    assert_true(secret_file_write(path, in, key, &err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(secret_file_read(path, key, &out, &err));
    assert_true(slice_equal(secret_peek(out), slice_cstr(value)));
    secret_destroy(&in);
    secret_destroy(&out);
}

static bool file_holds(const char *text)
{
    char all[4096] = "";
    FILE *f = fopen(path, "re");
    size_t size = fread(all, 1, sizeof all, f);
    bool found = false;

    fclose(f);
    for (size_t i = 0; i + strlen(text) <= size; i++)
        found |= memcmp(all + i, text, strlen(text)) == 0;
    return found;
}

static void plain_and_sealed_come_back(void **state)
{
    struct secret *key = secret_create(SLICE("0123456789abcdef0123456789abcdef"));
    struct secret *other = secret_create(SLICE("another key of at least thirty-two"));
    struct secret *out = NULL;
    struct err err;
    struct stat st;

    assert_false(secret_file_exists(path));
    kept("first-token", NULL);
    assert_true(file_holds("first-token\n"));
    assert_true(secret_file_exists(path));
    snprintf(path, sizeof path, "%s/state", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    snprintf(path, sizeof path, "%s/state/token", folder);

    kept("second-token", key);
    assert_false(file_holds("second-token"));
    assert_false(secret_file_read(path, NULL, &out, &err));
    assert_non_null(strstr(err.server_text, "sealed"));
    assert_false(secret_file_read(path, other, &out, &err));
    assert_non_null(strstr(err.server_text, "spool-key-file"));
    assert_null(out);
    assert_null(strstr(err.server_text, "second"));
    secret_destroy(&key);
    secret_destroy(&other);
}

static void damage_is_told(void **state)
{
    struct secret *key = secret_create(SLICE("0123456789abcdef0123456789abcdef")), *out = NULL;
    struct err err;
    struct stat st;

    kept("token", key);
    assert_int_equal(stat(path, &st), 0);
    for (off_t size = st.st_size - 1; size >= 18; size--) {
        assert_int_equal(truncate(path, size), 0);
        assert_false(secret_file_read(path, key, &out, &err));
        assert_int_equal(err.class, ERR_CLASS_PERMANENT);
    }
    unlink(path);
    assert_false(secret_file_read(path, key, &out, &err));
    secret_destroy(&key);
}

static void what_is_no_line_is_refused(void **state)
{
    struct secret *empty = secret_create(SLICE("")), *two = secret_create(SLICE("a\nb"));
    struct err err;

    assert_false(secret_file_write(path, empty, NULL, &err));
    assert_false(secret_file_write(path, two, NULL, &err));
    assert_false(secret_file_exists(path));
    secret_destroy(&empty);
    secret_destroy(&two);
}

static void a_failed_write_leaves_the_old_one(void **state)
{
    struct secret *in = secret_create(SLICE("new")), *out = NULL;
    char blocked[160];
    struct err err;

    kept("old", NULL);
    snprintf(blocked, sizeof blocked, "%s.new", path);
    assert_int_equal(mkdir(blocked, 0700), 0);
    assert_false(secret_file_write(path, in, NULL, &err));
    assert_int_equal(err.origin, ERR_ORIGIN_OS);
    assert_true(secret_file_read(path, NULL, &out, &err));
    assert_true(slice_equal(secret_peek(out), SLICE("old")));
    secret_destroy(&in);
    secret_destroy(&out);
}

static void turns_are_taken(void **state)
{
    int first, second;

    assert_int_equal(secret_file_lock(path, &first), SECRET_FILE_MINE);
    assert_int_equal(secret_file_lock(path, &second), SECRET_FILE_BUSY);
    assert_int_equal(second, -1);
    secret_file_unlock(&first);
    secret_file_unlock(&first);
    assert_int_equal(secret_file_lock(path, &second), SECRET_FILE_MINE);
    secret_file_unlock(&second);
    snprintf(path, sizeof path, "/proc/no/such/folder");
    assert_int_equal(secret_file_lock(path, &first), SECRET_FILE_NO_LOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plain_and_sealed_come_back, begin, end),
        cmocka_unit_test_setup_teardown(damage_is_told, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_line_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_one, begin, end),
        cmocka_unit_test_setup_teardown(turns_are_taken, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
