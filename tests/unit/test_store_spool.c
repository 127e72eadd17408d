/* test: store */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/env.h"
#include "store/writer.h"
#include "tests/fault/store_kit.h"

#include <sys/stat.h>
#include <sys/wait.h>

static void a_second_run_is_refused_and_told_who_holds_it(void **state)
{
    struct spool_config config = { 0 };
    struct spool *second = NULL;
    struct kit kit;
    char pid[32];
    struct err err;

    kit_folder(&kit);
    kit_open(&kit);
    config.folder = kit.state;
    assert_false(spool_open(&config, &second, &err));
    assert_null(second);
    assert_int_equal(err.code, EWOULDBLOCK);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_non_null(strstr(err.server_text, pid));
    /* One that only reads works beside it. */
    config.read_only = true;
    assert_true(spool_open(&config, &second, &err));
    spool_close(&second);
    kit_deinit(&kit);
}

static void the_state_folder_is_for_its_owner_alone(void **state)
{
    struct stat st;
    struct kit kit;
    char path[400];

    kit_folder(&kit);
    kit_open(&kit);
    assert_int_equal(stat(kit.state, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(path, sizeof path, "%s/data.mdb", kit.state);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0077, 0);
    kit_deinit(&kit);
}

/* A slip such as `state = /home/anna` must not take a folder of other things from its users. */
static bool opens(struct kit *kit, struct err *err_r)
{
    struct spool_config config = { .folder = kit->state };
    struct spool *spool = NULL;
    bool good = spool_open(&config, &spool, err_r);

    if (good)
        spool_close(&spool);
    return good;
}

/* Where a neighbour could put files, what he put there is not taken: the file that a link leads to stays as it is. */
static void what_others_put_into_the_folder_is_not_taken(void **state)
{
    static const char *const names[] = { "lock", "data.mdb", "lock.mdb", "probe", "ballast" };
    enum { LINK, HARD_LINK, PIPE, FOLDER, KINDS };

    for (unsigned kind = 0; kind < KINDS; kind++)
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
            char precious[400], path[400], text[20] = "";
            struct kit kit;
            struct err err;
            FILE *f;

            kit_folder(&kit);
            assert_int_equal(mkdir(kit.state, 0700), 0);
            snprintf(precious, sizeof precious, "%s/precious", kit.folder);
            snprintf(path, sizeof path, "%s/%s", kit.state, names[i]);
            f = fopen(precious, "w");
            fputs("precious", f);
            fclose(f);
            if (kind == LINK)
                assert_int_equal(symlink(precious, path), 0);
            else if (kind == HARD_LINK)
                assert_int_equal(link(precious, path), 0);
            else if (kind == PIPE)
                assert_int_equal(mkfifo(path, 0600), 0);
            else
                assert_int_equal(mkdir(path, 0700), 0);
            if (i < 3)
                assert_false(opens(&kit, &err));
            else
                (void)opens(&kit, &err);
            f = fopen(precious, "r");
            assert_non_null(fgets(text, sizeof text, f));
            fclose(f);
            assert_string_equal(text, "precious");
            kit_remove(kit.folder);
        }
}

static void a_folder_of_another_user_is_refused(void **state)
{
    struct kit kit;
    struct err err;
    struct stat st;

    if (geteuid() != 0)
        skip();
    kit_folder(&kit);
    assert_int_equal(mkdir(kit.state, 0777), 0);
    assert_int_equal(chown(kit.state, 65534, 65534), 0);
    assert_false(opens(&kit, &err));
    assert_non_null(strstr(err.server_text, "another user"));
    assert_int_equal(stat(kit.state, &st), 0);
    assert_int_equal(st.st_uid, 65534);
    /* Who may not even read it is told whose it is. */
    {
        struct spool other = { .state_dir.folder = kit.state };

        assert_false(env_error(&other, &err, EACCES, "open the spool"));
        assert_non_null(strstr(err.server_text, "belongs to another user"));
        other.state_dir.folder = kit.folder;
        assert_false(env_error(&other, &err, EACCES, "open the spool"));
        assert_non_null(strstr(err.server_text, "no permission on the spool's files"));
    }
    kit_remove(kit.folder);
    /* And a link that somebody else made to one of ours. */
    kit_folder(&kit);
    assert_int_equal(chmod(kit.folder, 0777), 0);
    {
        char real[400];

        snprintf(real, sizeof real, "%s/real", kit.folder);
        assert_int_equal(mkdir(real, 0700), 0);
        assert_int_equal(symlink(real, kit.state), 0);
        assert_true(opens(&kit, &err));
        assert_int_equal(lchown(kit.state, 65534, 65534), 0);
        assert_false(opens(&kit, &err));
    }
    kit_remove(kit.folder);
}

/* The mark that a file needs no check is not believed in a folder of another user's. */
static void what_others_say_of_their_files_is_not_believed(void **state)
{
    struct spool_config config = { .read_only = true };
    struct spool *spool = NULL;
    struct kit kit;
    struct err err;
    struct stat st;
    char path[400], mark[200];
    FILE *f;

    if (geteuid() != 0)
        skip();
    kit_folder(&kit);
    kit_open(&kit);
    (void)kit_user(&kit, "a@example.edu");
    kit_flush(&kit);
    kit_close(&kit);
    kit.spool = NULL;
    snprintf(path, sizeof path, "%s/data.mdb", kit.state);
    f = fopen(path, "r+");
    assert_int_equal(stat(path, &st), 0);
    for (long at = 8192 + 16; at < st.st_size; at++) { /* all pages but LMDB's own two */
        if (at % 4096 == 0)
            at += 16;
        fseek(f, at, SEEK_SET);
        putc(0xEE, f);
    }
    fclose(f);
    assert_int_equal(stat(path, &st), 0);
    snprintf(mark, sizeof mark, "mailhaul checked 1 %llu %lld %lld.%09ld %lld.%09ld\n", (unsigned long long)st.st_ino,
             (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec,
             st.st_ctim.tv_nsec);
    snprintf(path, sizeof path, "%s/data.mdb.checked", kit.state);
    f = fopen(path, "w");
    fputs(mark, f);
    fclose(f);
    assert_int_equal(chown(path, 65534, 65534), 0);
    assert_int_equal(chown(kit.state, 65534, 65534), 0);
    config.folder = kit.state;
    assert_false(spool_open(&config, &spool, &err));
    kit_remove(kit.folder);
}

static void a_folder_of_other_things_is_refused_and_left_as_it_was(void **state)
{
    struct spool_config config = { 0 };
    struct spool *spool = NULL;
    struct stat st;
    struct kit kit;
    struct err err;
    char path[400];
    FILE *file;

    kit_folder(&kit);
    config.folder = kit.state;
    assert_int_equal(mkdir(kit.state, 0755), 0);
    assert_int_equal(chmod(kit.state, 0755), 0);
    /* Not a run's lock, for all its name. */
    snprintf(path, sizeof path, "%s/lock", kit.state);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("of another program", file);
    fclose(file);
    snprintf(path, sizeof path, "%s/letters", kit.state);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_false(spool_open(&config, &spool, &err));
    assert_int_equal(err.code, ENOTEMPTY);
    assert_int_equal(err.origin, ERR_ORIGIN_CONFIG);
    assert_non_null(strstr(err.server_text, "letters"));
    assert_int_equal(stat(kit.state, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0755);
    snprintf(path, sizeof path, "%s/data.mdb", kit.state);
    assert_int_equal(stat(path, &st), -1);
    /* An empty one, as at the root of a file system, is taken and narrowed. */
    snprintf(path, sizeof path, "%s/letters", kit.state);
    assert_int_equal(rmdir(path), 0);
    snprintf(path, sizeof path, "%s/lost+found", kit.state);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/lock", kit.state);
    assert_int_equal(unlink(path), 0);
    assert_true(spool_open(&config, &spool, &err));
    spool_close(&spool);
    assert_int_equal(stat(kit.state, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    /* What lies beside a run's own files does not keep the next run away. */
    snprintf(path, sizeof path, "%s/night.log", kit.state);
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_true(spool_open(&config, &spool, &err));
    spool_close(&spool);
    kit_deinit(&kit);
}

static void reading_a_state_that_is_not_there_says_so_and_makes_nothing(void **state)
{
    struct spool_config config = { .read_only = true };
    struct spool *spool = NULL;
    struct stat st;
    struct kit kit;
    struct err err;

    kit_folder(&kit);
    config.folder = kit.state;
    assert_false(spool_open(&config, &spool, &err));
    assert_int_equal(err.class, ERR_CLASS_PERMANENT);
    assert_non_null(strstr(err.server_text, kit.state));
    assert_int_equal(stat(kit.state, &st), -1);
    kit_deinit(&kit);
}

static void network_file_systems_are_named(void **state)
{
    static const struct {
        unsigned long magic;
        const char *part;
    } remote[] = {
        { 0x6969, "NFS" },      { 0x0bd00bd0, "Lustre" }, { 0x65735546, "FUSE" },
        { 0x47504653, "GPFS" }, { 0xff534d42, "CIFS" },
    };

    for (unsigned i = 0; i < sizeof remote / sizeof *remote; i++) {
        const char *name = state_dir_remote_name(remote[i].magic);

        assert_non_null(name);
        if (!slice_equal_nocase(slice_first(slice_cstr(name), strlen(remote[i].part)), slice_cstr(remote[i].part)) &&
            slice_find_nocase(slice_cstr(name), slice_cstr(remote[i].part)) == SIZE_MAX)
            fail_msg("%lx is \"%s\"", remote[i].magic, name);
    }
    assert_null(state_dir_remote_name(0xef53));     /* ext4 */
    assert_null(state_dir_remote_name(0x58465342)); /* XFS */
    assert_null(state_dir_remote_name(0x01021994)); /* tmpfs */
}

static void changed_number(struct kit *kit, const char *name, uint64_t number)
{
    MDB_txn *txn;

    assert_int_equal(mdb_txn_begin(kit->spool->env, NULL, 0, &txn), 0);
    assert_int_equal(env_number_put(kit->spool, txn, name, number), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
}

static void a_spool_of_another_format_is_refused_and_left_alone(void **state)
{
    struct spool_config config = { 0 };
    struct spool *spool = NULL;
    struct kit kit;
    struct err err;

    for (int read_only = 0; read_only < 2; read_only++) {
        kit_folder(&kit);
        kit_open(&kit);
        (void)kit_user(&kit, "a@example.edu");
        changed_number(&kit, "format", SPOOL_FORMAT + 1);
        kit_close(&kit);
        config.folder = kit.state;
        config.read_only = read_only;
        assert_false(spool_open(&config, &spool, &err));
        assert_non_null(strstr(err.server_text, "format 2"));
        kit_deinit(&kit);
    }
}

static void removed(struct kit *kit, const char *name)
{
    char path[400];

    snprintf(path, sizeof path, "%s/%s", kit->state, name);
    (void)unlink(path);
}

enum killed_at {
    KILLED_AT_FOLDER,
    KILLED_AT_FILE,
    KILLED_AT_FIRST_PAGE,
    KILLED_AT_ZEROS,
    KILLED_AT_ENVIRONMENT,
    KILLED_AT_TABLES,
    KILLED_COUNT
};

/* What a run leaves that was killed so early that nothing of it is in the journal. */
static void leave_beginning(struct kit *kit, enum killed_at at)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_val k = { 8, (void *)(uintptr_t) "s:format" };
    char path[400];
    FILE *f;

    assert_int_equal(mkdir(kit->state, 0700), 0);
    switch (at) {
    case KILLED_AT_FILE:
        snprintf(path, sizeof path, "%s/data.mdb", kit->state);
        assert_non_null(f = fopen(path, "w"));
        fclose(f);
        break;
    case KILLED_AT_ENVIRONMENT:
        assert_int_equal(mdb_env_create(&env), 0);
        assert_int_equal(mdb_env_open(env, kit->state, 0, 0600), 0);
        mdb_env_close(env);
        break;
    case KILLED_AT_TABLES:
        kit_open(kit);
        assert_int_equal(mdb_txn_begin(kit->spool->env, NULL, 0, &txn), 0);
        assert_int_equal(mdb_del(txn, kit->spool->tables[TABLE_META], &k, NULL), 0);
        assert_int_equal(mdb_txn_commit(txn), 0);
        kit_close(kit);
        /* What a run makes only after that commit. */
        removed(kit, "begun");
        removed(kit, "ballast");
        removed(kit, "data.mdb.checked");
        break;
    case KILLED_AT_FIRST_PAGE:
    case KILLED_AT_ZEROS:
        snprintf(path, sizeof path, "%s/data.mdb", kit->state);
        assert_non_null(f = fopen(path, "w"));
        assert_int_equal(ftruncate(fileno(f), at == KILLED_AT_ZEROS ? 8192 : 4096), 0);
        fclose(f);
        break;
    case KILLED_AT_FOLDER:
    case KILLED_COUNT:
        break;
    }
}

static void a_run_killed_before_its_first_commit_has_not_begun(void **state)
{
    struct spool_config config = { 0 };
    struct spool *spool = NULL;
    struct kit kit;
    struct err err;

    for (unsigned at = 0; at < KILLED_COUNT; at++) {
        kit_folder(&kit);
        leave_beginning(&kit, (enum killed_at)at);
        config.folder = kit.state;
        config.read_only = true;
        assert_false(spool_open(&config, &spool, &err));
        if (!strstr(err.server_text, "nothing has run yet"))
            fail_msg("killed at %u: %s", at, err.server_text);
        /* The next run begins there as in a new folder. */
        kit_open(&kit);
        (void)kit_user(&kit, "a@example.edu");
        kit_close(&kit);
        assert_true(spool_open(&config, &spool, &err));
        spool_close(&spool);
        kit_deinit(&kit);
    }
}

static void a_file_that_is_no_spool_is_refused_in_words(void **state)
{
    struct spool_config config = { 0 };
    struct spool *spool = NULL;
    struct kit kit;
    struct err err;
    char path[400];
    FILE *f;

    kit_folder(&kit);
    kit_open(&kit);
    kit_close(&kit);
    snprintf(path, sizeof path, "%s/data.mdb", kit.state);
    f = fopen(path, "r+");
    assert_non_null(f);
    for (int i = 0; i < 8192; i++)
        fputc('x', f);
    assert_int_equal(fclose(f), 0);
    config.folder = kit.state;
    assert_false(spool_open(&config, &spool, &err));
    assert_int_equal(err.class, ERR_CLASS_PERMANENT);
    assert_non_null(strstr(err.server_text, "damaged"));
    kit_deinit(&kit);
}

static void body_numbers_never_come_twice(void **state)
{
    struct kit kit;
    uint64_t last = 0;

    kit_folder(&kit);
    for (int run = 0; run < 4; run++) {
        kit_open(&kit);
        for (int i = 0; i < 1000; i++) {
            uint64_t body = spool_next_body(kit.spool);

            assert_true(body > last);
            last = body;
        }
        kit_close(&kit);
    }
    kit_deinit(&kit);
}

static void chunks_of_a_body_that_never_became_whole_go_at_the_next_start(void **state)
{
    struct spool_fill fill;
    struct kit kit;
    uint32_t user;
    char *data;

    kit_folder(&kit);
    kit_open(&kit);
    user = kit_user(&kit, "a@example.edu");
    kit_unwaited(&kit, kit_folder_op(user, 1));
    kit_do(&kit, kit_found_op(user, 1, 1, 2));
    data = kit_body(1, 2000000);
    /* Its last chunk is never handed over. */
    store_op_free(kit_spooled_op(&kit, user, 1, 1, data, 2000000, NULL));
    free(data);
    kit_flush(&kit);
    spool_fill(kit.spool, &fill);
    assert_true(fill.held_bytes > 500000);
    kit_close(&kit);
    kit_open(&kit);
    spool_fill(kit.spool, &fill);
    assert_int_equal(fill.held_bytes, 0);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static void named_values_are_kept(void **state)
{
    struct store_op *op = store_op_new(STORE_OP_META, 0, 0);
    struct kit kit;
    struct err err;
    struct slice value;

    kit_folder(&kit);
    kit_open(&kit);
    assert_true(spool_meta_get(kit.spool, "pace", &value, &err));
    assert_null(value.data);
    snprintf(op->meta.name, sizeof op->meta.name, "pace");
    op->meta.data = mem_text("learnt");
    op->meta.size = 6;
    kit_do(&kit, op);
    kit_close(&kit);
    kit_open(&kit);
    assert_true(spool_meta_get(kit.spool, "pace", &value, &err));
    assert_non_null(value.data);
    assert_int_equal(value.size, 6);
    assert_memory_equal(value.data, "learnt", 6);
    free((char *)value.data);
    kit_deinit(&kit);
}

static void the_high_mark_stays_until_the_fill_has_fallen(void **state)
{
    struct spool_config config = { .budget_bytes = 4000000 };
    struct spool_fill fill;
    struct kit kit;
    uint32_t user, spooled = 0, gone = 0;
    struct err err;

    kit_folder(&kit);
    kit_open(&kit);
    kit_close(&kit);
    config.folder = kit.state;
    assert_true(spool_open(&config, &kit.spool, &err));
    kit.writer = writer_create(kit.spool);
    assert_true(reader_create(kit.spool, &kit.reader, &err));
    kit.blobs = blob_kit_create(kit.spool);
    assert_int_equal(pthread_create(&kit.thread, NULL, kit_writes, &kit), 0);
    user = kit_user(&kit, "a@example.edu");
    kit_unwaited(&kit, kit_folder_op(user, 1));
    kit_do(&kit, kit_found_op(user, 1, 1, 100));
    do {
        char *data = kit_body(1000 + spooled, 300000);

        kit_do(&kit, kit_spooled_op(&kit, user, 1, ++spooled, data, 300000, NULL));
        free(data);
        spool_fill(kit.spool, &fill);
    } while (!fill.high && spooled < 100);
    assert_true(fill.high);
    assert_true(fill.held_bytes <= fill.budget_bytes + 400000);
    while (fill.high && gone < spooled) {
        assert_true(fill.held_bytes * 10 > fill.budget_bytes * 5);
        kit_do(&kit, kit_end_op(user, 1, ++gone, MESSAGE_UPLOADED));
        spool_fill(kit.spool, &fill);
    }
    assert_false(fill.high);
    assert_true(fill.held_bytes <= fill.budget_bytes * 6 / 10 + 1);
    kit_deinit(&kit);
}

/* ---- damage that the check must see ------------------------------------------------------------
 */

static void value_dropped(struct kit *kit, enum table table, const struct key *key)
{
    MDB_val k = env_val(key_slice(key));
    MDB_txn *txn;

    assert_int_equal(mdb_txn_begin(kit->spool->env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_del(txn, kit->spool->tables[table], &k, NULL), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
}

static void value_bent(struct kit *kit, enum table table, const struct key *key, size_t at)
{
    MDB_val k = env_val(key_slice(key)), v;
    MDB_txn *txn;
    char *copy;

    assert_int_equal(mdb_txn_begin(kit->spool->env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_get(txn, kit->spool->tables[table], &k, &v), 0);
    assert_true(at < v.mv_size);
    copy = mem_alloc(v.mv_size);
    memcpy(copy, v.mv_data, v.mv_size);
    copy[at] ^= 0x20;
    v.mv_data = copy;
    assert_int_equal(mdb_put(txn, kit->spool->tables[table], &k, &v, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    free(copy);
}

/* A table whose record says that its keys are of another kind would be read otherwise than it was written. */
static void tables_of_another_kind_are_refused(void **state)
{
    static const uint8_t kinds[] = { 0x02, 0x04, 0x08, 0x14, 0x34, 0x44 };

    for (unsigned i = 0; i < sizeof kinds; i++) {
        struct spool_config config = { .read_only = true };
        struct spool *spool = NULL;
        struct kit kit;
        struct err err;
        struct stat st;
        char path[400], *all;
        unsigned changed = 0;
        FILE *f;

        kit_folder(&kit);
        kit_open(&kit);
        (void)kit_user(&kit, "a@example.edu");
        kit_flush(&kit);
        kit_close(&kit);
        kit.spool = NULL;
        snprintf(path, sizeof path, "%s/data.mdb.checked", kit.state);
        (void)unlink(path);
        snprintf(path, sizeof path, "%s/data.mdb", kit.state);
        assert_int_equal(stat(path, &st), 0);
        all = mem_alloc((size_t)st.st_size);
        f = fopen(path, "r+");
        assert_int_equal(fread(all, 1, (size_t)st.st_size, f), st.st_size);
        /* The record of a table stands behind its name: 4 bytes, then the flags. */
        for (long at = 8192; at + 60 < st.st_size; at++)
            if (memcmp(all + at, "address", 7) == 0 && all[at + 7] == 0 && all[at + 11] == 0) {
                all[at + 11] = (char)kinds[i];
                changed++;
            }
        rewind(f);
        assert_int_equal(fwrite(all, 1, (size_t)st.st_size, f), st.st_size);
        fclose(f);
        free(all);
        assert_true(changed > 0);
        config.folder = kit.state;
        assert_false(spool_open(&config, &spool, &err));
        assert_non_null(strstr(err.server_text, "its keys are marked to be of another kind"));
        kit_remove(kit.folder);
    }
}

enum damage {
    DAMAGE_MESSAGE_GONE,
    DAMAGE_MESSAGE_BENT,
    DAMAGE_CHUNK_GONE,
    DAMAGE_CHUNK_BENT,
    DAMAGE_FOLDER_BENT,
    DAMAGE_USER_BENT,
    DAMAGE_HELD_WRONG,
    DAMAGE_SHARE_GONE,
    DAMAGE_COUNT
};

static void the_check_finds_planted_damage(void **state)
{
    for (int damage = 0; damage < DAMAGE_COUNT; damage++) {
        char words[200] = "";
        struct message_record m;
        struct kit kit;
        struct key key;
        uint32_t user;
        char *data = kit_body(9, 400000);

        kit_folder(&kit);
        kit_open(&kit);
        user = kit_user(&kit, "a@example.edu");
        kit_unwaited(&kit, kit_folder_op(user, 1));
        kit_do(&kit, kit_found_op(user, 1, 1, 3));
        kit_do(&kit, kit_spooled_op(&kit, user, 1, 2, data, 400000, NULL));
        free(data);
        m = kit_message(&kit, user, 1, 2);
        assert_int_equal(kit_faults(&kit, NULL), 0);
        key_message(&key, user, 1, 2);
        switch ((enum damage)damage) {
        case DAMAGE_MESSAGE_GONE:
            value_dropped(&kit, TABLE_MESSAGE, &key);
            break;
        case DAMAGE_MESSAGE_BENT:
            value_bent(&kit, TABLE_MESSAGE, &key, 3);
            break;
        case DAMAGE_CHUNK_GONE:
            key_chunk(&key, m.body, 1);
            value_dropped(&kit, TABLE_BODY, &key);
            break;
        case DAMAGE_CHUNK_BENT:
            key_chunk(&key, m.body, 0);
            value_bent(&kit, TABLE_BODY, &key, 5000);
            break;
        case DAMAGE_FOLDER_BENT:
            key_folder(&key, user, 1);
            value_bent(&kit, TABLE_FOLDER, &key, 2);
            break;
        case DAMAGE_USER_BENT:
            key_user(&key, user);
            value_bent(&kit, TABLE_USER, &key, 2);
            break;
        case DAMAGE_HELD_WRONG:
            changed_number(&kit, "held", 17);
            break;
        case DAMAGE_SHARE_GONE:
            key_digest(&key, m.digest, m.body_bytes);
            value_dropped(&kit, TABLE_SHARE, &key);
            break;
        case DAMAGE_COUNT:
            break;
        }
        if (kit_faults(&kit, words) == 0)
            fail_msg("damage %d was not found", damage);
        assert_true(words[0] != '\0');
        kit_deinit(&kit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_run_is_refused_and_told_who_holds_it),
        cmocka_unit_test(the_state_folder_is_for_its_owner_alone),
        cmocka_unit_test(what_others_put_into_the_folder_is_not_taken),
        cmocka_unit_test(a_folder_of_another_user_is_refused),
        cmocka_unit_test(what_others_say_of_their_files_is_not_believed),
        cmocka_unit_test(a_folder_of_other_things_is_refused_and_left_as_it_was),
        cmocka_unit_test(reading_a_state_that_is_not_there_says_so_and_makes_nothing),
        cmocka_unit_test(network_file_systems_are_named),
        cmocka_unit_test(a_spool_of_another_format_is_refused_and_left_alone),
        cmocka_unit_test(a_run_killed_before_its_first_commit_has_not_begun),
        cmocka_unit_test(a_file_that_is_no_spool_is_refused_in_words),
        cmocka_unit_test(body_numbers_never_come_twice),
        cmocka_unit_test(chunks_of_a_body_that_never_became_whole_go_at_the_next_start),
        cmocka_unit_test(named_values_are_kept),
        cmocka_unit_test(the_high_mark_stays_until_the_fill_has_fallen),
        cmocka_unit_test(tables_of_another_kind_are_refused),
        cmocka_unit_test(the_check_finds_planted_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
