/* What the tests of store/ share: a throw-away state folder, a writer on a thread, operations with
 * plain arguments, bodies with known bytes. Include after cmocka.h; every function is static.
 */
#ifndef TESTS_FAULT_STORE_KIT_H
#define TESTS_FAULT_STORE_KIT_H

#include "io/base/mem.h"
#include "store/blob.h"
#include "store/reader.h"
#include "store/writer.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wunused-function"

struct kit {
    char folder[256], state[300];
    struct spool *spool;
    struct writer *writer;
    struct reader *reader;
    struct blob_kit *blobs;
    struct secret *key;
    pthread_t thread;
};

static int kit_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static void kit_remove(const char *folder)
{
    nftw(folder, kit_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static void kit_folder(struct kit *kit)
{
    const char *base = getenv("TMPDIR");

    *kit = (struct kit){ 0 };
    snprintf(kit->folder, sizeof kit->folder, "%s/mh-store-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(kit->folder));
    snprintf(kit->state, sizeof kit->state, "%s/state", kit->folder);
}

static void *kit_writes(void *arg)
{
    struct kit *kit = arg;

    writer_run(kit->writer, NULL, NULL, 1000);
    return NULL;
}

static void kit_open(struct kit *kit)
{
    struct spool_config config = { .folder = kit->state, .key = kit->key };
    char line[400];
    struct err err;

    if (!spool_open(&config, &kit->spool, &err))
        fail_msg("%s", err_line(&err, line, sizeof line));
    kit->writer = writer_create(kit->spool);
    assert_true(reader_create(kit->spool, &kit->reader, &err));
    kit->blobs = blob_kit_create(kit->spool);
    assert_int_equal(pthread_create(&kit->thread, NULL, kit_writes, kit), 0);
}

static void kit_close(struct kit *kit)
{
    writer_stop(kit->writer);
    pthread_join(kit->thread, NULL);
    writer_destroy(&kit->writer);
    reader_destroy(&kit->reader);
    blob_kit_destroy(&kit->blobs);
    spool_close(&kit->spool);
}

static void kit_deinit(struct kit *kit)
{
    if (kit->spool)
        kit_close(kit);
    secret_destroy(&kit->key);
    kit_remove(kit->folder);
}

struct kit_answer {
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool done, failed;
    struct err err;
};

static void kit_told(struct store_op *op, const struct err *err)
{
    struct kit_answer *answer = op->context;

    pthread_mutex_lock(&answer->lock);
    answer->done = true;
    if (err) {
        answer->failed = true;
        answer->err = *err;
    }
    pthread_cond_signal(&answer->told);
    pthread_mutex_unlock(&answer->lock);
    store_op_free(op);
}

/* Submits and waits; false with the error when it failed. */
static bool kit_try(struct kit *kit, struct store_op *op, struct err *err_r)
{
    struct kit_answer answer = { .lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER };

    op->context = &answer;
    op->done = kit_told;
    writer_submit(kit->writer, op);
    pthread_mutex_lock(&answer.lock);
    while (!answer.done)
        pthread_cond_wait(&answer.told, &answer.lock);
    pthread_mutex_unlock(&answer.lock);
    if (answer.failed)
        *err_r = answer.err;
    return !answer.failed;
}

static void kit_do(struct kit *kit, struct store_op *op)
{
    char line[400];
    struct err err;

    if (!kit_try(kit, op, &err))
        fail_msg("%s", err_line(&err, line, sizeof line));
}

static void kit_unwaited(struct kit *kit, struct store_op *op)
{
    writer_submit(kit->writer, op);
}

static void kit_flush(struct kit *kit)
{
    kit_do(kit, store_op_new(STORE_OP_FLUSH, 0, 0));
}

static uint32_t kit_user(struct kit *kit, const char *address)
{
    struct slice a = slice_cstr(address), n = SLICE("login");
    struct err err;
    uint32_t id;

    assert_true(spool_register_users(kit->spool, &a, &n, 1, &id, &err));
    return id;
}

static struct store_op *kit_folder_op(uint32_t user, uint32_t folder)
{
    struct store_op *op = store_op_new(STORE_OP_FOLDER, user, folder);

    op->text = mem_text("INBOX");
    op->folder_record.uidvalidity = 7;
    op->folder_record.source_raw = op->folder_record.source_name = slice_cstr(op->text);
    op->folder_record.target_raw = op->folder_record.target_name = slice_cstr(op->text);
    op->folder_record.delimiter = '/';
    return op;
}

/* Rows first..first+count-1, 100 bytes each. */
static struct store_op *kit_found_op(uint32_t user, uint32_t folder, uint32_t first, unsigned count)
{
    struct store_op *op = store_op_new(STORE_OP_FOUND, user, folder);

    op->found.rows = mem_zero(count, sizeof *op->found.rows);
    op->found.count = count;
    op->found.uidnext_listed = first + count;
    for (unsigned i = 0; i < count; i++)
        op->found.rows[i] = (struct message_record){ .uid = first + i, .state = MESSAGE_FOUND, .listed_bytes = 100 };
    return op;
}

static struct store_op *kit_end_op(uint32_t user, uint32_t folder, uint32_t uid, enum message_state state)
{
    struct store_op *op = store_op_new(STORE_OP_END, user, folder);

    op->end.ends = mem_zero(1, sizeof *op->end.ends);
    op->end.count = 1;
    op->end.ends[0] = (struct store_end){ .uid = uid, .state = state };
    if (state == MESSAGE_SKIPPED)
        op->end.ends[0].reason = SKIP_OUTSIDE_DATES;
    return op;
}

/* The n-th body: bytes that compress about as mail does. */
static char *kit_body(uint64_t seed, size_t size)
{
    static const char words[] = "the quick brown fox answers to your mail of yesterday\r\n";
    char *data = mem_alloc(size);
    uint64_t x = seed * 0x9E3779B97F4A7C15ull + 1;

    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[i] = x % 3 == 0 ? (char)('A' + x / 3 % 50) : words[i % (sizeof words - 1)];
    }
    return data;
}

/* Sends chunks lazily; the returned SPOOLED is the caller's to submit. */
static struct store_op *kit_spooled_op(struct kit *kit, uint32_t user, uint32_t folder, uint32_t uid, const char *data,
                                       size_t size, uint64_t *body_r)
{
    struct store_op *op = store_op_new(STORE_OP_SPOOLED, user, folder);
    uint64_t body = spool_next_body(kit->spool);
    struct slice left = slice_of(data, size);
    struct blob_writer w;

    blob_begin(&w, kit->blobs, body, size);
    while (left.size) {
        size_t taken;

        if (blob_chunk_full(&w)) {
            struct store_op *chunk = store_op_new(STORE_OP_CHUNK, user, folder);

            chunk->body.body = body;
            chunk->body.chunk = w.chunk;
            blob_chunk(&w, &chunk->body.data, &chunk->body.size);
            writer_submit(kit->writer, chunk);
        }
        blob_add(&w, left, &taken);
        left = slice_from(left, taken);
    }
    blob_finish(&w, op->body.digest, &op->body.body_bytes);
    op->body.body = body;
    op->body.uid = uid;
    op->body.last = true;
    op->body.chunk = w.chunk;
    blob_chunk(&w, &op->body.data, &op->body.size);
    blob_end(&w);
    if (body_r)
        *body_r = body;
    return op;
}

struct kit_one {
    bool found;
    struct message_record message;
    struct folder_record folder;
};

static bool kit_take_message(void *context, const struct message_record *message)
{
    struct kit_one *one = context;

    one->found = true;
    one->message = *message;
    return false;
}

static bool kit_take_folder(void *context, const struct folder_record *folder)
{
    struct kit_one *one = context;

    if (folder->folder != one->folder.folder)
        return true;
    one->found = true;
    one->folder = *folder;
    return false;
}

/* The row with exactly this UID; state 0 when there is none. */
static struct message_record kit_message(struct kit *kit, uint32_t user, uint32_t folder, uint32_t uid)
{
    struct kit_one one = { 0 };
    struct err err;

    assert_true(reader_messages(kit->reader, user, folder, ~0u, uid, false, 1, kit_take_message, &one, &err));
    return one.found && one.message.uid == uid ? one.message : (struct message_record){ 0 };
}

static struct tally kit_tally(struct kit *kit, uint32_t user, uint32_t folder)
{
    struct kit_one one = { .folder.folder = folder };
    struct err err;

    assert_true(reader_folders(kit->reader, user, kit_take_folder, &one, &err));
    assert_true(one.found);
    assert_true(tally_balanced(&one.folder.tally));
    return one.folder.tally;
}

static void kit_print_fault(void *context, const char *fault)
{
    fprintf(stderr, "spool fault: %s\n", fault);
    if (context)
        snprintf(context, 200, "%s", fault);
}

static uint64_t kit_faults(struct kit *kit, char last_r[200])
{
    uint64_t faults = 0;
    char line[400];
    struct err err;

    if (!spool_check(kit->spool, true, kit_print_fault, last_r, &faults, &err))
        fail_msg("%s", err_line(&err, line, sizeof line));
    return faults;
}

#endif
