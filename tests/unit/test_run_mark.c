/* test: store */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/env.h"
#include "store/writer.h"
#include "tests/fault/store_kit.h"

#include <sys/stat.h>

static void removed(struct kit *kit, const char *name)
{
    char path[400];

    snprintf(path, sizeof path, "%s/%s", kit->state, name);
    (void)unlink(path);
}

enum loss {
    LOSS_REMOVED,
    LOSS_EMPTY,
    LOSS_FIRST_PAGE,
    LOSS_ZEROS,
    LOSS_NEW_ENVIRONMENT, /* made, and nothing in it */
    LOSS_ANOTHERS,        /* the file of another state folder */
    LOSS_COUNT
};

/* By what the folder of a run still tells that it is no new one. */
enum trace { TRACE_MARK, TRACE_EMPTY_MARK, TRACE_CHECKED, TRACE_BALLAST, TRACE_COUNT };

static void lose(struct kit *kit, enum loss loss)
{
    char path[400], other[400];
    struct kit another;
    MDB_env *env;
    FILE *f;

    snprintf(path, sizeof path, "%s/data.mdb", kit->state);
    assert_int_equal(unlink(path), 0);
    switch (loss) {
    case LOSS_EMPTY:
    case LOSS_FIRST_PAGE:
    case LOSS_ZEROS:
        assert_non_null(f = fopen(path, "w"));
        assert_int_equal(ftruncate(fileno(f), loss == LOSS_EMPTY ? 0 : loss == LOSS_ZEROS ? 8192 : 4096), 0);
        fclose(f);
        break;
    case LOSS_NEW_ENVIRONMENT:
        assert_int_equal(mdb_env_create(&env), 0);
        assert_int_equal(mdb_env_open(env, kit->state, 0, 0600), 0);
        mdb_env_close(env);
        break;
    case LOSS_ANOTHERS:
        kit_folder(&another);
        kit_open(&another);
        (void)kit_user(&another, "b@example.edu");
        kit_close(&another);
        snprintf(other, sizeof other, "%s/data.mdb", another.state);
        assert_int_equal(rename(other, path), 0);
        kit_remove(another.folder);
        break;
    case LOSS_REMOVED:
    case LOSS_COUNT:
        break;
    }
}

static void leave_trace(struct kit *kit, enum trace trace)
{
    static const char *const names[] = { "begun", "begun", "data.mdb.checked", "ballast" };
    char path[400];
    FILE *f;

    for (unsigned i = 0; i < TRACE_COUNT; i++)
        if (strcmp(names[i], names[trace]) != 0)
            removed(kit, names[i]);
    snprintf(path, sizeof path, "%s/%s", kit->state, names[trace]);
    if (trace == TRACE_EMPTY_MARK) {
        assert_non_null(f = fopen(path, "w"));
        fclose(f);
    }
    assert_int_equal(access(path, F_OK), 0);
}

static void a_used_folder_that_lost_its_file_is_no_new_one(void **state)
{
    for (unsigned loss = 0; loss < LOSS_COUNT; loss++)
        for (unsigned trace = 0; trace < TRACE_COUNT; trace++) {
            struct spool_config config = { 0 };
            struct spool *spool = NULL;
            struct kit kit;
            struct err err;

            /* Only the mark knows whose file it is. */
            if (loss == LOSS_ANOTHERS && trace != TRACE_MARK)
                continue;
            kit_folder(&kit);
            kit_open(&kit);
            (void)kit_user(&kit, "a@example.edu");
            kit_close(&kit);
            leave_trace(&kit, (enum trace)trace);
            lose(&kit, (enum loss)loss);
            config.folder = kit.state;
            for (int look = 0; look < 4; look++) {
                config.read_only = look % 2 == 0;
                if (spool_open(&config, &spool, &err))
                    fail_msg("loss %u, trace %u, look %d: taken for a new one", loss, trace, look);
                if (!strstr(err.server_text, loss == LOSS_REMOVED ? "is missing" : "is damaged") ||
                    !strstr(err.server_text, "put it aside") || err.code == ENOENT)
                    fail_msg("loss %u, trace %u, look %d: %s", loss, trace, look, err.server_text);
            }
            kit_remove(kit.folder);
        }
}

/* A copy of an earlier time is the run's own file: what was sent since is recognised on the target. */
static void an_older_copy_of_the_whole_folder_or_of_the_file_is_taken(void **state)
{
    char line[800];
    struct kit kit;

    kit_folder(&kit);
    kit_open(&kit);
    (void)kit_user(&kit, "a@example.edu");
    kit_close(&kit);
    snprintf(line, sizeof line, "cp %s/data.mdb %s/older", kit.state, kit.folder);
    assert_int_equal(system(line), 0);
    kit_open(&kit);
    (void)kit_user(&kit, "b@example.edu");
    kit_close(&kit);
    snprintf(line, sizeof line, "cp %s/older %s/data.mdb", kit.folder, kit.state);
    assert_int_equal(system(line), 0);
    kit_open(&kit);
    kit_close(&kit);
    kit_deinit(&kit);
}

/* The mark was lost, or the program that began the folder made none: it comes with the next run. */
static void a_folder_without_a_mark_gets_one(void **state)
{
    struct spool_config config = { .read_only = true };
    struct spool *spool = NULL;
    struct kit kit;
    struct err err;
    char path[400];
    MDB_txn *txn;

    kit_folder(&kit);
    kit_open(&kit);
    assert_int_equal(mdb_txn_begin(kit.spool->env, NULL, 0, &txn), 0);
    assert_int_equal(env_number_put(kit.spool, txn, "identity", 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    kit_close(&kit);
    removed(&kit, "begun");
    snprintf(path, sizeof path, "%s/begun", kit.state);
    config.folder = kit.state;
    assert_true(spool_open(&config, &spool, &err));
    spool_close(&spool);
    assert_int_equal(access(path, F_OK), -1); /* who only reads writes nothing */
    kit_open(&kit);
    kit_close(&kit);
    assert_int_equal(access(path, F_OK), 0);
    assert_true(spool_open(&config, &spool, &err));
    spool_close(&spool);
    kit_deinit(&kit);
}

static void a_lock_that_is_removed_lets_no_second_run_in(void **state)
{
    struct spool_config config = { 0 };
    struct spool *spool = NULL;
    struct kit kit;
    struct err err;

    kit_folder(&kit);
    kit_open(&kit);
    removed(&kit, "lock");
    config.folder = kit.state;
    assert_false(spool_open(&config, &spool, &err));
    assert_int_equal(err.code, EWOULDBLOCK);
    config.read_only = true;
    assert_true(spool_open(&config, &spool, &err));
    assert_int_equal(spool_holder(spool), SPOOL_HELD_BY_RUN);
    spool_close(&spool);
    kit_close(&kit);
    assert_true(spool_open(&config, &spool, &err));
    assert_int_equal(spool_holder(spool), SPOOL_HELD_BY_NONE);
    spool_close(&spool);
    kit_deinit(&kit);
}

static void a_copy_left_by_a_killed_compaction_is_removed(void **state)
{
    struct kit kit;
    char path[400];
    FILE *f;

    kit_folder(&kit);
    kit_open(&kit);
    kit_close(&kit);
    snprintf(path, sizeof path, "%s/data.mdb.compact", kit.state);
    assert_non_null(f = fopen(path, "w"));
    fclose(f);
    kit_open(&kit);
    assert_int_equal(access(path, F_OK), -1);
    kit_close(&kit);
    kit_deinit(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_used_folder_that_lost_its_file_is_no_new_one),
        cmocka_unit_test(an_older_copy_of_the_whole_folder_or_of_the_file_is_taken),
        cmocka_unit_test(a_folder_without_a_mark_gets_one),
        cmocka_unit_test(a_lock_that_is_removed_lets_no_second_run_in),
        cmocka_unit_test(a_copy_left_by_a_killed_compaction_is_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
