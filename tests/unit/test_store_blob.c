/* test: store */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/seal.h"
#include "tests/fault/store_kit.h"

static const size_t sizes[] = { 0, 1, 255, 16383, 16384, 262144 - 1, 262144, 262144 + 1, 5 * 1024 * 1024, 2 * 262144 };
#define SIZES (sizeof sizes / sizeof *sizes)

static void body_equals(struct kit *kit, const struct message_record *m, const char *data, size_t size, size_t step)
{
    struct body_reader *body;
    char *out = mem_alloc(step);
    size_t at = 0, got;
    struct err err;

    assert_true(body_open(kit->reader, m->body, m->body_bytes, &body, &err));
    for (;;) {
        assert_true(body_read(body, out, step, &got, &err));
        if (got == 0)
            break;
        assert_true(got <= size - at);
        assert_memory_equal(out, data + at, got);
        at += got;
    }
    assert_int_equal(at, size);
    body_close(&body);
    free(out);
}

static void round_trips(struct kit *kit)
{
    uint32_t user = kit_user(kit, "a@example.edu");

    kit_unwaited(kit, kit_folder_op(user, 1));
    kit_unwaited(kit, kit_found_op(user, 1, 1, SIZES));
    for (unsigned i = 0; i < SIZES; i++) {
        char *data = kit_body(i, sizes[i]);

        kit_do(kit, kit_spooled_op(kit, user, 1, i + 1, data, sizes[i], NULL));
        free(data);
    }
    for (unsigned i = 0; i < SIZES; i++) {
        struct message_record m = kit_message(kit, user, 1, i + 1);
        char *data = kit_body(i, sizes[i]);

        assert_int_equal(m.state, MESSAGE_SPOOLED);
        assert_int_equal(m.body_bytes, sizes[i]);
        body_equals(kit, &m, data, sizes[i], 65536);
        body_equals(kit, &m, data, sizes[i], 1u << 20);
        body_equals(kit, &m, data, sizes[i], 1000);
        free(data);
    }
    assert_int_equal(kit_faults(kit, NULL), 0);
}

static void bodies_of_all_sizes_round_trip(void **state)
{
    struct kit kit;

    kit_folder(&kit);
    kit_open(&kit);
    round_trips(&kit);
    kit_close(&kit);
    kit_open(&kit);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static void bodies_round_trip_under_a_key(void **state)
{
    struct kit kit;

    kit_folder(&kit);
    kit.key = secret_create(SLICE("0123456789abcdef0123456789abcdef"));
    kit_open(&kit);
    round_trips(&kit);
    kit_close(&kit);
    kit_open(&kit);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static void open_is_refused(struct kit *kit, const struct secret *key, const char *words)
{
    struct spool_config config = { .folder = kit->state, .key = key };
    struct spool *spool = NULL;
    struct err err;

    assert_false(spool_open(&config, &spool, &err));
    assert_int_equal(err.class, ERR_CLASS_PERMANENT);
    assert_int_equal(err.scope, ERR_SCOPE_RUN);
    if (!strstr(err.server_text, words))
        fail_msg("\"%s\" does not say \"%s\"", err.server_text, words);
}

static void wrong_missing_and_needless_keys_are_refused(void **state)
{
    struct secret *wrong = secret_create(SLICE("9123456789abcdef0123456789abcdef"));
    struct secret *small = secret_create(SLICE("short"));
    struct kit kit;

    kit_folder(&kit);
    kit.key = secret_create(SLICE("0123456789abcdef0123456789abcdef"));
    kit_open(&kit);
    kit_close(&kit);
    open_is_refused(&kit, wrong, "not the one");
    open_is_refused(&kit, NULL, "encrypted");
    open_is_refused(&kit, small, "32");
    kit_remove(kit.state);
    secret_destroy(&kit.key);
    kit_open(&kit);
    kit_close(&kit);
    open_is_refused(&kit, wrong, "without a key");
    secret_destroy(&wrong);
    secret_destroy(&small);
    kit_deinit(&kit);
}

static void an_opener_refuses_damage_swaps_and_small_buffers(void **state)
{
    struct kit kit;

    for (int keyed = 0; keyed < 2; keyed++) {
        struct blob_opener *opener;
        struct blob_writer w;
        char *data, *chunk, *out = mem_alloc(BLOB_CHUNK_BYTES);
        size_t size, got, taken;

        kit_folder(&kit);
        if (keyed)
            kit.key = secret_create(SLICE("0123456789abcdef0123456789abcdef"));
        kit_open(&kit);
        data = kit_body(3, 20000);
        blob_begin(&w, kit.blobs, 7, 20000);
        blob_add(&w, slice_of(data, 20000), &taken);
        assert_int_equal(taken, 20000);
        blob_chunk(&w, &chunk, &size);
        blob_end(&w);
        opener = blob_opener_create(kit.spool);
        assert_true(blob_opener_take(opener, slice_of(chunk, size), 7, 0, out, 20000, &got));
        assert_int_equal(got, 20000);
        assert_memory_equal(out, data, 20000);
        assert_false(blob_opener_take(opener, slice_of(chunk, size), 7, 0, out, 19999, &got));
        if (keyed) /* nor may it stand for another body */
            assert_false(blob_opener_take(opener, slice_of(chunk, size), 8, 0, out, 20000, &got));
        if (keyed)
            assert_false(blob_opener_take(opener, slice_of(chunk, size), 7, 1, out, 20000, &got));
        for (size_t cut = 0; cut < size; cut += 1 + size / 97)
            assert_false(blob_opener_take(opener, slice_of(chunk, cut), 7, 0, out, 20000, &got));
        for (size_t at = 0; at < size; at += 1 + size / 97) {
            chunk[at] ^= 0x10;
            if (blob_opener_take(opener, slice_of(chunk, size), 7, 0, out, 20000, &got)) {
                /* zstd's header has bits that change nothing; the bytes must then be right. */
                assert_false(keyed);
                assert_memory_equal(out, data, 20000);
            }
            chunk[at] ^= 0x10;
        }
        blob_opener_destroy(&opener);
        free(chunk);
        free(data);
        free(out);
        kit_deinit(&kit);
    }
}

/* One sealed chunk of a body of its own; the caller frees it. */
static struct slice sealed(struct kit *kit, const char *data, size_t size)
{
    struct blob_writer w;
    char *chunk;
    size_t taken, chunk_bytes;

    blob_begin(&w, kit->blobs, spool_next_body(kit->spool), size);
    blob_add(&w, slice_of(data, size), &taken);
    blob_chunk(&w, &chunk, &chunk_bytes);
    blob_end(&w);
    return slice_of(chunk, chunk_bytes);
}

/* A state folder put back from a copy draws the same numbers again, for other mail. */
static void a_restored_folder_repeats_no_key_stream(void **state)
{
    char command[1600], *data = kit_body(4, 3000);
    struct slice first, again;
    struct kit kit;

    kit_folder(&kit);
    kit.key = secret_create(SLICE("0123456789abcdef0123456789abcdef"));
    kit_open(&kit);
    kit_close(&kit);
    snprintf(command, sizeof command, "cp -a %s %s.copy", kit.state, kit.state);
    assert_int_equal(system(command), 0);
    kit_open(&kit);
    first = sealed(&kit, data, 3000);
    kit_close(&kit);
    snprintf(command, sizeof command, "rm -r %s && mv %s.copy %s", kit.state, kit.state, kit.state);
    assert_int_equal(system(command), 0);
    kit_open(&kit);
    again = sealed(&kit, data, 3000);
    /* The same text under the same number and chunk: only another key makes other bytes of it. */
    assert_int_equal(first.size, again.size);
    assert_memory_equal(first.data + 1, again.data + 1, 12);
    for (size_t at = SEAL_HEAD_BYTES; at + 16 <= first.size; at += 16)
        assert_memory_not_equal(first.data + at, again.data + at, 16);
    free((char *)first.data);
    free((char *)again.data);
    free(data);
    kit_deinit(&kit);
}

/* As version 0.1 sealed: kind 2, 13 bytes of head, the spool's one key. */
static void what_an_earlier_version_sealed_is_read(void **state)
{
    static const uint8_t head[13] = { CHUNK_SEALED_1, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 2 };
    const char text[] = "From: ann";
    uint8_t block[13 + sizeof text + SEAL_TAIL_BYTES], out[sizeof block];
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    struct seal_key key = { 0 };
    struct seal_kit seal;
    struct err err;
    size_t size;
    int n;

    assert_true(
        seal_derive(&key, SLICE("0123456789abcdef0123456789abcdef"), (const uint8_t *)"salt of 16 bytes", &err));
    /* HKDF-SHA256 of that key and salt, as any implementation gives it. */
    assert_memory_equal(key.first, "\x53\xf0\x73\xa3\xe7\x03\xa0\x60", 8);
    memcpy(block, head, sizeof head);
    assert_int_equal(EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key.first, head + 1), 1);
    assert_int_equal(EVP_EncryptUpdate(context, NULL, &n, head, sizeof head), 1);
    assert_int_equal(EVP_EncryptUpdate(context, block + 13, &n, (const uint8_t *)text, sizeof text), 1);
    assert_int_equal(EVP_EncryptFinal_ex(context, block + 13 + n, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, SEAL_TAIL_BYTES, block + 13 + sizeof text), 1);
    EVP_CIPHER_CTX_free(context);
    seal_kit_init(&seal, &key);
    assert_true(seal_open(&seal, slice_of((char *)block, sizeof block), 1, 2, out, &size));
    assert_int_equal(size, sizeof text);
    assert_memory_equal(out, text, size);
    assert_false(seal_open(&seal, slice_of((char *)block, sizeof block), 1, 3, out, &size));
    block[20] ^= 1;
    assert_false(seal_open(&seal, slice_of((char *)block, sizeof block), 1, 2, out, &size));
    seal_kit_deinit(&seal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_of_all_sizes_round_trip),
        cmocka_unit_test(bodies_round_trip_under_a_key),
        cmocka_unit_test(a_restored_folder_repeats_no_key_stream),
        cmocka_unit_test(what_an_earlier_version_sealed_is_read),
        cmocka_unit_test(wrong_missing_and_needless_keys_are_refused),
        cmocka_unit_test(an_opener_refuses_damage_swaps_and_small_buffers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
