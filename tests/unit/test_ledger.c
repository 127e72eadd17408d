/* test: pace */
#include "engine/pace/ledger.h"
#include "engine/pace/ledger_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define WALL INT64_C(1795000000000)

static struct ledger_record record(uint64_t process)
{
    return (struct ledger_record){
        .process = process,
        .heartbeat_ms = WALL - 3000,
        .gate_ms = WALL + 1000,
        .event_ms = WALL - 5000,
        .rate = 4,
        .rate_hat = 5,
        .measured = 3.5,
        .weight = 10,
        .in_flight = 7,
        .phase = 3,
    };
}

static void records_survive_as_bytes_and_damage_is_found(void **state)
{
    struct ledger_record r = record(0xfedcba9876543210u), back;
    uint8_t bytes[LEDGER_RECORD_BYTES];

    memset(&back, 0, sizeof(back));
    ledger_encode(&r, bytes);
    assert_true(ledger_decode(bytes, sizeof(bytes), &back));
    assert_memory_equal(&back, &r, sizeof(r));
    for (size_t i = 0; i < sizeof(bytes); i++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1 << bit);
            assert_false(ledger_decode(bytes, sizeof(bytes), &back));
            bytes[i] ^= (uint8_t)(1 << bit);
        }
    for (size_t size = 0; size < sizeof(bytes); size++)
        assert_false(ledger_decode(bytes, size, &back));
}

static void values_out_of_range_are_refused(void **state)
{
    struct ledger_record cases[8], back;

    for (int i = 0; i < 8; i++)
        cases[i] = record(1);
    cases[0].process = 0;
    cases[1].heartbeat_ms = -1;
    cases[2].gate_ms = INT64_MAX;
    cases[3].rate = NAN;
    cases[4].rate_hat = INFINITY;
    cases[5].measured = -1;
    cases[6].weight = 0;
    cases[7].phase = 200;
    for (int i = 0; i < 8; i++) {
        uint8_t bytes[LEDGER_RECORD_BYTES];

        ledger_encode(&cases[i], bytes);
        assert_false(ledger_decode(bytes, sizeof(bytes), &back));
    }
}

static void the_living_are_summed_once(void **state)
{
    struct ledger_record own = record(1), peers[5];
    struct ledger_sum sum;

    peers[0] = record(1); /* our own file read back */
    peers[1] = record(2);
    peers[1].gate_ms = WALL + 9000;
    peers[1].phase = 4;
    peers[2] = record(2); /* an older copy of the same */
    peers[2].heartbeat_ms -= 1000;
    peers[2].rate = 400;
    peers[3] = record(3); /* dead for a second */
    peers[3].heartbeat_ms = WALL - LEDGER_DEAD_AFTER_MS - 1000;
    peers[3].gate_ms = WALL + 3000000;
    peers[4] = record(4); /* from the future */
    peers[4].heartbeat_ms = WALL + LEDGER_DEAD_AFTER_MS + 1000;
    ledger_merge(&own, peers, 5, WALL, &sum);
    assert_int_equal(sum.count, 2);
    assert_int_equal(sum.limited_count, 2);
    assert_true(sum.rate == 8 && sum.rate_hat == 10 && sum.measured == 7 && sum.weight == 20);
    assert_int_equal(sum.gate_ms, WALL + 9000);
    assert_int_equal(sum.phase, 4);
    /* Alone. */
    ledger_merge(&own, NULL, 0, WALL, &sum);
    assert_int_equal(sum.count, 1);
    assert_true(sum.rate == 4 && sum.rate_weight == 10);
}

static void rates_from_before_the_newest_event_do_not_count(void **state)
{
    struct ledger_record own = record(1), peer = record(2);
    struct ledger_sum sum;

    peer.event_ms = own.event_ms - LEDGER_SAME_EVENT_MS - 1;
    peer.rate = 100;
    ledger_merge(&own, &peer, 1, WALL, &sum);
    assert_true(sum.rate == 4 && sum.rate_weight == 10 && sum.weight == 20);
    assert_int_equal(sum.event_ms, own.event_ms);
    peer.event_ms = own.event_ms - LEDGER_SAME_EVENT_MS;
    ledger_merge(&own, &peer, 1, WALL, &sum);
    assert_true(sum.rate == 104);
}

static void put_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static int count_files(const char *folder)
{
    struct dirent *entry;
    DIR *dir = opendir(folder);
    int count = 0;

    while ((entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void the_folder_gives_back_what_was_written(void **state)
{
    char folder[] = "/tmp/mailhaul-ledger-XXXXXX";
    struct ledger_record one = record(1), two = record(2), old = record(3), found[8];
    uint8_t bytes[LEDGER_RECORD_BYTES];
    struct err err;
    size_t count;
    char path[512];

    assert_non_null(mkdtemp(folder));
    assert_true(ledger_dir_write(folder, &one, &err));
    one.rate = 44;
    assert_true(ledger_dir_write(folder, &one, &err)); /* replaces */
    assert_true(ledger_dir_write(folder, &two, &err));
    assert_int_equal(count_files(folder), 2); /* nothing half-written stays */

    old.heartbeat_ms = WALL - INT64_C(90000000);
    assert_true(ledger_dir_write(folder, &old, &err));
    ledger_encode(&one, bytes);
    put_file(folder, "pace-00000000000000aa.rec", bytes, sizeof(bytes) - 1); /* torn */
    put_file(folder, "pace-00000000000000ab.rec", bytes, 0);
    put_file(folder, "notes.txt", "hello", 5);
    snprintf(path, sizeof(path), "%s/pace-00000000000000ac.rec", folder);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not block */

    assert_true(ledger_dir_read(folder, WALL, found, 8, &count, &err));
    assert_int_equal(count, 2);
    assert_true((found[0].process == 1 && found[0].rate == 44 && found[1].process == 2) ||
                (found[1].process == 1 && found[1].rate == 44 && found[0].process == 2));
    assert_int_equal(count_files(folder), 6); /* the day-old one was removed */
    assert_true(ledger_dir_read(folder, WALL, found, 1, &count, &err));
    assert_int_equal(count, 1);

    ledger_dir_leave(folder, 1);
    assert_true(ledger_dir_read(folder, WALL, found, 8, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(found[0].process, 2);
    ledger_dir_leave(folder, 2);
    unlink(path);
    snprintf(path, sizeof(path), "%s/notes.txt", folder);
    unlink(path);
    snprintf(path, sizeof(path), "%s/pace-00000000000000aa.rec", folder);
    unlink(path);
    snprintf(path, sizeof(path), "%s/pace-00000000000000ab.rec", folder);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);

    assert_false(ledger_dir_read(folder, WALL, found, 8, &count, &err));
    assert_int_equal(err.class, ERR_CLASS_TRANSIENT);
    assert_int_equal(err.scope, ERR_SCOPE_RUN);
    assert_int_equal(count, 0);
    assert_false(ledger_dir_write(folder, &one, &err));
    ledger_dir_leave(folder, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_survive_as_bytes_and_damage_is_found),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(the_living_are_summed_once),
        cmocka_unit_test(rates_from_before_the_newest_event_do_not_count),
        cmocka_unit_test(the_folder_gives_back_what_was_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
