/* test: config */
/* The division of the users into shards: its file, and that the shards get like work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/config/split.h"

#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The words of the fault, or NULL when it was read. */
static const char *fault_of(const char *text, struct split *split_r, struct err *err_r)
{
    struct settings_list warnings = { 0 };
    char path[] = "/tmp/mailhaul-split-XXXXXX";
    int fd = mkstemp(path);
    bool ok;

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    ok = split_read(path, split_r, &warnings, err_r);
    unlink(path);
    settings_list_deinit(&warnings);
    return ok ? NULL : err_r->server_text;
}

static void a_file_is_read(void **state)
{
    struct split split;
    struct err err;

    (void)state;
    assert_null(
        fault_of("EmailAddress,Shard,Of\r\nBob@X.org,2,3\r\n\r\n\"a,b\"@x.org,1,3\nann@x.org, 3 ,3", &split, &err));
    assert_int_equal(split.shards, 3);
    assert_int_equal(split_shard_of(&split, "bob@x.org"), 2);
    assert_int_equal(split_shard_of(&split, "ANN@x.org"), 3);
    assert_int_equal(split_shard_of(&split, "\"a,b\"@x.org"), 1);
    assert_int_equal(split_shard_of(&split, "zoe@x.org"), 0);
    split_deinit(&split);
}

static void no_file_and_an_empty_one_are_none(void **state)
{
    struct settings_list warnings = { 0 };
    struct split split;
    struct err err;

    (void)state;
    assert_true(split_read("/nonexistent/x.shards", &split, &warnings, &err));
    assert_int_equal(split.shards, 0);
    assert_int_equal(split_shard_of(&split, "ann@x.org"), 0);
    assert_null(fault_of("", &split, &err));
    assert_int_equal(split.shards, 0);
}

static void faults_are_named(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        { "ann@x.org,1,2\n", ":1: expected the header" },
        { "EmailAddress,Shard,Of\nann@x.org,1\n", ":2: expected an address" },
        { "EmailAddress,Shard,Of\nann@x.org,0,2\n", ":2: expected an address" },
        { "EmailAddress,Shard,Of\nann@x.org,3,2\n", ":2: expected an address" },
        { "EmailAddress,Shard,Of\nann@x.org,1,0\n", ":2: expected an address" },
        { "EmailAddress,Shard,Of\nann@x.org,1,99999999\n", ":2: expected an address" },
        { "EmailAddress,Shard,Of\n,1,2\n", ":2: expected an address" },
        { "EmailAddress,Shard,Of\nann@x.org,1,2\nbob@x.org,1,3\n", ":3: the number of shards" },
        { "EmailAddress,Shard,Of\nann@x.org,1,2\nANN@x.org,2,2\n", "ann@x.org is named twice" },
        { "\n", "is empty" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct split split;
        struct err err;
        const char *fault = fault_of(rows[i].text, &split, &err);

        assert_non_null(fault);
        if (!strstr(fault, rows[i].says))
            fail_msg("row %zu: %s", i, fault);
        assert_int_equal(err.code, 78);
        assert_int_equal(split.shard_of.count, 0);
    }
}

static void shards_get_like_work(void **state)
{
    static const uint64_t work[] = { 7, 7, 6, 6, 5, 5, 4, 4, 4 };
    struct split_share shares[9];
    char names[9][8];
    uint64_t sums[3] = { 0 }, most = 0;

    (void)state;
    for (size_t i = 0; i < 9; i++) {
        snprintf(names[i], sizeof names[i], "u%zu", i);
        shares[i] = (struct split_share){ names[i], work[8 - i], 0, i };
    }
    split_balance(shares, 9, 3);
    for (size_t i = 0; i < 9; i++) {
        assert_string_equal(shares[i].address, names[i]);
        assert_int_equal(shares[i].user, i);
        sums[shares[i].shard - 1] += shares[i].work;
    }
    for (unsigned i = 0; i < 3; i++)
        most = sums[i] > most ? sums[i] : most;
    /* 48 in three: 16 each is the best that could be. */
    assert_in_range(most, 16, 21);
}

static void who_has_a_shard_stays(void **state)
{
    struct split_share shares[] = {
        { "ann", 100, 2, 0 }, { "bob", 60, 0, 1 }, { "cat", 50, 0, 2 }, { "dan", 0, 0, 3 }
    };

    (void)state;
    split_balance(shares, 4, 2);
    assert_int_equal(shares[0].shard, 2);
    assert_int_equal(shares[1].shard, 1);
    assert_int_equal(shares[2].shard, 1);
    assert_int_equal(shares[3].shard, 2);
}

static void empty_mailboxes_are_spread(void **state)
{
    struct split_share shares[] = { { "a", 0, 0, 0 }, { "b", 0, 0, 1 }, { "c", 0, 0, 2 }, { "d", 0, 0, 3 } };
    unsigned users[2] = { 0 };

    (void)state;
    split_balance(shares, 4, 2);
    for (unsigned i = 0; i < 4; i++)
        users[shares[i].shard - 1]++;
    assert_int_equal(users[0], 2);
}

static void what_is_written_is_read(void **state)
{
    struct split_share shares[] = { { "ann@x.org", 3, 0, 0 }, { "Bob, the@x.org", 2, 0, 1 }, { "cat@x.org", 1, 0, 2 } };
    struct split split;
    struct err err;
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    split_balance(shares, 3, 2);
    split_write(out, shares, 3, 2);
    fclose(out);
    assert_null(fault_of(text, &split, &err));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(split_shard_of(&split, shares[i].address), shares[i].shard);
    split_deinit(&split);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read),          cmocka_unit_test(no_file_and_an_empty_one_are_none),
        cmocka_unit_test(faults_are_named),        cmocka_unit_test(shards_get_like_work),
        cmocka_unit_test(who_has_a_shard_stays),   cmocka_unit_test(empty_mailboxes_are_spread),
        cmocka_unit_test(what_is_written_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
