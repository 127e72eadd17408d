/* test: pace */
/* Which process of a ledger has which mailbox. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/pace/holds.h"
#include "engine/pace/ledger_dir.h"
#include "io/base/now.h"

static char folder[64];

static int begin(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/mhholdsXXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static void lives(uint64_t process, int64_t ago_ms)
{
    struct ledger_record record = { .process = process, .heartbeat_ms = now_wall_ms() - ago_ms, .weight = 1 };
    struct err err;

    assert_true(ledger_dir_write(folder, &record, &err));
}

static const char *take(uint64_t process, uint64_t place, const uint64_t *mailboxes, size_t count)
{
    static char got[16];
    bool taken[8] = { false };
    struct err err;

    assert_true(holds_take(folder, process, place, mailboxes, count, taken, &err));
    for (size_t i = 0; i < count; i++)
        got[i] = taken[i] ? '+' : '-';
    got[count] = '\0';
    return got;
}

static void a_mailbox_is_one_processs(void **state)
{
    lives(1, 0);
    lives(2, 0);
    lives(3, LEDGER_DEAD_AFTER_MS + 1000);
    assert_string_equal(take(3, 30, (uint64_t[]){ 9, 8 }, 2), "++");
    assert_string_equal(take(1, 10, (uint64_t[]){ 9, 5, 7 }, 3), "+++"); /* 3 is dead by its heartbeat */
    assert_string_equal(take(2, 20, (uint64_t[]){ 5, 6, 7, 8 }, 4), "-+-+");
    holds_leave(folder, 1);
    assert_string_equal(take(2, 20, (uint64_t[]){ 5, 6 }, 2), "++");
    /* Who has the place of another one has outlived it. */
    assert_string_equal(take(1, 20, (uint64_t[]){ 5 }, 1), "+");
}

static void a_damaged_file_holds_nothing(void **state)
{
    char path[128];
    FILE *f;

    lives(1, 0);
    lives(2, 0);
    assert_string_equal(take(1, 10, (uint64_t[]){ 5 }, 1), "+");
    snprintf(path, sizeof path, "%s/holds-%016x.rec", folder, 1);
    f = fopen(path, "r+");
    assert_non_null(f);
    fseek(f, -1, SEEK_END);
    fputc('x', f);
    fclose(f);
    assert_string_equal(take(2, 20, (uint64_t[]){ 5 }, 1), "+");
}

static void numbers_know_no_case(void **state)
{
    assert_true(holds_number(SLICE("Anna@Example.edu")) == holds_number(SLICE("anna@example.EDU")));
    assert_true(holds_number(SLICE("anna@example.edu")) != holds_number(SLICE("ann@example.edu")));
}

struct taker {
    pthread_t thread;
    uint64_t process;
    bool taken;
};

static void *takes(void *context)
{
    struct taker *t = context;
    uint64_t mailbox = 5;
    struct err err;

    if (!holds_take(folder, t->process, t->process, &mailbox, 1, &t->taken, &err))
        abort();
    return NULL;
}

static void of_many_at_once_one_has_it(void **state)
{
    for (unsigned round = 0; round < 20; round++) {
        struct taker all[4];
        unsigned count = 0;

        for (unsigned i = 0; i < 4; i++) {
            all[i] = (struct taker){ .process = round * 4 + i + 1 };
            lives(all[i].process, 0);
        }
        for (unsigned i = 0; i < 4; i++)
            pthread_create(&all[i].thread, NULL, takes, &all[i]);
        for (unsigned i = 0; i < 4; i++) {
            pthread_join(all[i].thread, NULL);
            count += all[i].taken;
        }
        assert_int_equal(count, 1);
        for (unsigned i = 0; i < 4; i++) {
            holds_leave(folder, all[i].process);
            ledger_dir_leave(folder, all[i].process);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_mailbox_is_one_processs, begin, end),
        cmocka_unit_test_setup_teardown(a_damaged_file_holds_nothing, begin, end),
        cmocka_unit_test(numbers_know_no_case),
        cmocka_unit_test_setup_teardown(of_many_at_once_one_has_it, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
