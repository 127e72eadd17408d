/* test: store */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/fault/store_kit.h"

static const size_t sizes[] = { 0,          1,      255,        16383,           16384,
                                262144 - 1, 262144, 262144 + 1, 5 * 1024 * 1024, 2 * 262144 };
#define SIZES (sizeof sizes / sizeof *sizes)

static void body_equals(struct kit *kit, const struct message_record *m, const char *data,
                        size_t size, size_t step)
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

    kit_lazy(kit, kit_folder_op(user, 1));
    kit_lazy(kit, kit_found_op(user, 1, 1, SIZES));
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
        blob_begin(&w, kit.blobs, 20000);
        blob_add(&w, slice_of(data, 20000), &taken);
        assert_int_equal(taken, 20000);
        blob_chunk(&w, &chunk, &size);
        blob_end(&w);
        opener = blob_opener_create(kit.spool);
        assert_true(blob_opener_take(opener, slice_of(chunk, size), 0, out, 20000, &got));
        assert_int_equal(got, 20000);
        assert_memory_equal(out, data, 20000);
        assert_false(blob_opener_take(opener, slice_of(chunk, size), 0, out, 19999, &got));
        if (keyed)
            assert_false(blob_opener_take(opener, slice_of(chunk, size), 1, out, 20000, &got));
        for (size_t cut = 0; cut < size; cut += 1 + size / 97)
            assert_false(blob_opener_take(opener, slice_of(chunk, cut), 0, out, 20000, &got));
        for (size_t at = 0; at < size; at += 1 + size / 97) {
            chunk[at] ^= 0x10;
            if (blob_opener_take(opener, slice_of(chunk, size), 0, out, 20000, &got)) {
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_of_all_sizes_round_trip),
        cmocka_unit_test(bodies_round_trip_under_a_key),
        cmocka_unit_test(wrong_missing_and_needless_keys_are_refused),
        cmocka_unit_test(an_opener_refuses_damage_swaps_and_small_buffers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
