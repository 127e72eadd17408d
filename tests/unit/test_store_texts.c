/* test: store */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/codec.h"
#include "store/journal.h"
#include "tests/fault/store_kit.h"
#include "tests/unit/test_record_texts.h"

/* Texts of the journal come from servers, mail and files. Whatever their length, an operation either
 * keeps what it can or is refused with an error: it never ends the process. */

static const size_t beyond[] = { 0, 1, 100, 100000, 1u << 20 };
#define EACH_SIZE(size, max)                                                                                           \
    for (size_t n_ = 0, size; n_ < sizeof beyond / sizeof *beyond && (size = (max) + beyond[n_], true); n_++)

/* size bytes: words of seven letters. */
static char *words_of(size_t size)
{
    char *text = mem_alloc(size + 1);

    for (size_t i = 0; i < size; i++)
        text[i] = i % 8 == 7 ? ' ' : (char)('a' + i % 8);
    text[size] = '\0';
    return text;
}

static void begin(struct kit *kit, uint32_t *user_r)
{
    kit_folder(kit);
    kit_open(kit);
    *user_r = kit_user(kit, "a@example.edu");
    kit_unwaited(kit, kit_folder_op(*user_r, 1));
    kit_flush(kit);
}

static void keywords_are_cut_between_words(void **state)
{
    EACH_SIZE(size, CODEC_KEYWORDS_BYTES_MAX)
    {
        struct message_record m;
        struct store_op *op;
        struct kit kit;
        uint32_t user;

        begin(&kit, &user);
        op = kit_found_op(user, 1, 1, 2);
        op->text = words_of(size);
        op->found.rows[0].keywords = slice_of(op->text, size);
        kit_do(&kit, op);
        m = kit_message(&kit, user, 1, 1);
        assert_int_equal(m.state, MESSAGE_FOUND);
        assert_int_equal(kit_message(&kit, user, 1, 2).state, MESSAGE_FOUND);
        assert_int_equal(kit_faults(&kit, NULL), 0);
        kit_deinit(&kit);
    }
}

/* Encoded and read back: each cut is at a word's end. */
static void what_is_cut_of_keywords_is_whole_words(void **state)
{
    EACH_SIZE(size, CODEC_KEYWORDS_BYTES_MAX)
    {
        struct message_record m = { .uid = 7, .state = MESSAGE_FOUND }, back;
        uint8_t bytes[RECORD_BYTES_MAX];
        char *text = words_of(size);
        struct key key;
        size_t encoded;

        key_message(&key, 1, 1, 7);
        m.keywords = slice_of(text, size);
        encoded = encode_message(bytes, &key, &m);
        assert_true(encoded > 0);
        assert_true(decode_message(key_slice(&key), slice_of((char *)bytes, encoded), &back));
        assert_true(back.keywords.size <= CODEC_KEYWORDS_BYTES_MAX && back.keywords.size >= 1000);
        assert_true(slice_starts(slice_of(text, size), back.keywords));
        assert_true(back.keywords.size == size || text[back.keywords.size] == ' ');
        free(text);
    }
}

static void one_word_that_is_too_long_is_left_out(void **state)
{
    struct message_record m = { .uid = 7, .state = MESSAGE_FOUND }, back;
    uint8_t bytes[RECORD_BYTES_MAX];
    char word[CODEC_KEYWORDS_BYTES_MAX + 1];
    struct key key;
    size_t encoded;

    memset(word, 'k', sizeof word);
    key_message(&key, 1, 1, 7);
    m.keywords = slice_of(word, sizeof word);
    encoded = encode_message(bytes, &key, &m);
    assert_true(decode_message(key_slice(&key), slice_of((char *)bytes, encoded), &back));
    assert_int_equal(back.keywords.size, 0);
}

/* Repairs of every kind, in as many bytes as they need; what an earlier version wrote has one. */
static void repairs_of_two_bytes(void **state)
{
    for (unsigned repairs = 0; repairs < 1u << 16; repairs += repairs < 300 ? 1 : 251) {
        struct message_record m = { .uid = 7,
                                    .state = MESSAGE_SPOOLED,
                                    .repairs = (uint16_t)repairs,
                                    .repaired_bytes = repairs ? 300 : 0 },
                              back;
        uint8_t bytes[RECORD_BYTES_MAX];
        struct key key;
        size_t encoded;

        key_message(&key, 1, 1, 7);
        encoded = encode_message(bytes, &key, &m);
        assert_true(decode_message(key_slice(&key), slice_of((char *)bytes, encoded), &back));
        assert_int_equal(back.repairs, repairs);
        assert_int_equal(back.repaired_bytes, m.repaired_bytes);
    }
}

/* Each of the four names of a folder by itself: those that people read are cut, those that commands
 * carry are not, so that no folder is taken for another. */
static void names_of_a_folder(void **state)
{
    for (unsigned field = 0; field < 4; field++)
        EACH_SIZE(size, CODEC_NAME_BYTES_MAX)
        {
            struct store_op *op;
            bool shown = field == 1 || field == 3, good;
            struct slice *names[4];
            struct kit kit;
            struct err err;
            uint32_t user;

            begin(&kit, &user);
            op = kit_folder_op(user, 2);
            free(op->text);
            op->text = words_of(size);
            for (size_t i = 0; i + 1 < size; i += 2)
                memcpy(op->text + i, "\xC3\xA4", 2);
            names[0] = &op->folder_record.source_raw;
            names[1] = &op->folder_record.source_name;
            names[2] = &op->folder_record.target_raw;
            names[3] = &op->folder_record.target_name;
            for (unsigned i = 0; i < 4; i++)
                *names[i] = slice_of(op->text, i == field ? size : 10);
            good = kit_try(&kit, op, &err);
            assert_int_equal(good, shown || size <= CODEC_NAME_BYTES_MAX);
            if (!good)
                assert_non_null(strstr(err.server_text, "a name or another text is longer than the spool keeps"));
            kit_close(&kit);
            kit_open(&kit);
            assert_int_equal(kit_faults(&kit, NULL), 0);
            kit_deinit(&kit);
        }
}

static void texts_of_a_user(void **state)
{
    static const size_t most[3] = { KEYS_ADDRESS_BYTES_MAX, CODEC_USER_NAME_BYTES_MAX, CODEC_OPAQUE_BYTES_MAX };

    for (unsigned field = 0; field < 3; field++)
        EACH_SIZE(size, most[field])
        {
            struct store_op *op;
            struct slice *texts[3];
            struct kit kit;
            struct err err;
            uint32_t user;

            begin(&kit, &user);
            op = store_op_new(STORE_OP_USER, user, 0);
            op->text = words_of(size);
            op->user_record = (struct user_record){ .id = user };
            texts[0] = &op->user_record.address;
            texts[1] = &op->user_record.user_name;
            texts[2] = &op->user_record.opaque;
            for (unsigned i = 0; i < 3; i++)
                *texts[i] = slice_of(op->text, i == field ? size : 10);
            assert_int_equal(kit_try(&kit, op, &err), size <= most[field]);
            kit_deinit(&kit);
        }
}

static void registered_users(void **state)
{
    EACH_SIZE(size, KEYS_ADDRESS_BYTES_MAX)
    {
        char *text = words_of(size);
        struct slice address = slice_of(text, size), name = SLICE("n");
        struct kit kit;
        struct err err;
        uint32_t id;

        kit_folder(&kit);
        kit_open(&kit);
        assert_int_equal(spool_register_users(kit.spool, &address, &name, 1, &id, &err),
                         size <= KEYS_ADDRESS_BYTES_MAX);
        kit_deinit(&kit);
        free(text);
    }
}

/* Fixed fields, filled to the last byte without an end. */
static void remarks_without_an_end(void **state)
{
    struct store_op *op;
    struct kit kit;
    uint32_t user;

    begin(&kit, &user);
    op = store_op_new(STORE_OP_FAILURE, user, 0);
    memset(op->failure.type, 'x', sizeof op->failure.type);
    memset(op->failure.doing, 'x', sizeof op->failure.doing);
    memset(op->failure.server_text, 0xFF, sizeof op->failure.server_text);
    memset(op->failure.advice, 'x', sizeof op->failure.advice);
    memset(op->failure.folder_name, 0xC3, sizeof op->failure.folder_name);
    kit_do(&kit, op);
    op = store_op_new(STORE_OP_PROBLEM, user, 0);
    memset(op->problem.type, 'x', sizeof op->problem.type);
    memset(op->problem.text, 'x', sizeof op->problem.text);
    memset(op->problem.remedy, 0xFF, sizeof op->problem.remedy);
    kit_do(&kit, op);
    op = kit_found_op(user, 1, 1, 1);
    op->found.notes = mem_zero(1, sizeof *op->found.notes);
    memset(op->found.notes->subject, 0xFF, sizeof op->found.notes->subject);
    memset(op->found.notes->message_id, 'x', sizeof op->found.notes->message_id);
    memset(op->found.notes->date, 'x', sizeof op->found.notes->date);
    kit_do(&kit, op);
    op = kit_end_op(user, 1, 1, MESSAGE_FAILED);
    op->end.ends[0].note = mem_zero(1, sizeof *op->end.ends[0].note);
    memset(op->end.ends[0].note, 0xFF, sizeof *op->end.ends[0].note);
    kit_do(&kit, op);
    assert_int_equal(kit_faults(&kit, NULL), 0);
    kit_deinit(&kit);
}

static void named_values(void **state)
{
    EACH_SIZE(size, 65536u)
    {
        struct kit kit;
        struct err err;
        uint32_t user;

        begin(&kit, &user);
        assert_int_equal(kit_try(&kit, store_op_meta("some.name", words_of(size), size), &err), size <= 65536u);
        kit_deinit(&kit);
    }
    for (size_t size = 1; size < 5000; size += 47) {
        char *name = words_of(size);
        struct kit kit;
        uint32_t user;

        begin(&kit, &user);
        kit_do(&kit, store_op_meta_text(name, "value"));
        kit_deinit(&kit);
        free(name);
    }
}

/* One of each record, encoded and read back. */
union any_record {
    struct user_record user;
    struct folder_record folder;
    struct message_record message;
    struct follow_flags flags;
    struct message_note note;
    struct failure_record failure;
    struct problem_record problem;
};

#define IS(t, record_) (strcmp((t)->record, record_) == 0)

static size_t encode_any(const struct record_text *t, uint8_t *out, struct key *key, const union any_record *r)
{
    key_message(key, 1, 1, 7);
    if (IS(t, "user_record")) {
        key_user(key, 1);
        return encode_user(out, key, &r->user);
    }
    if (IS(t, "folder_record")) {
        key_folder(key, 1, 1);
        return encode_folder(out, key, &r->folder);
    }
    if (IS(t, "follow_flags"))
        return encode_follow(
            out, key, &(struct follow_record){ .followed = true, .wanted = true, .now = r->flags, .next = r->flags });
    return IS(t, "message_record")   ? encode_message(out, key, &r->message)
           : IS(t, "message_note")   ? encode_note(out, key, &r->note)
           : IS(t, "failure_record") ? encode_failure(out, key, &r->failure)
                                     : encode_problem(out, key, &r->problem);
}

static bool decode_any(const struct record_text *t, struct slice key, struct slice value, union any_record *r)
{
    struct follow_record follow;

    if (IS(t, "follow_flags")) {
        if (!decode_follow(key, value, &follow) || !follow.followed || !follow.wanted ||
            !slice_equal(follow.now.keywords, follow.next.keywords))
            return false;
        r->flags = follow.now;
        return true;
    }
    return IS(t, "user_record")      ? decode_user(key, value, &r->user)
           : IS(t, "folder_record")  ? decode_folder(key, value, &r->folder)
           : IS(t, "message_record") ? decode_message(key, value, &r->message)
           : IS(t, "message_note")   ? decode_note(key, value, &r->note)
           : IS(t, "failure_record") ? decode_failure(key, value, &r->failure)
                                     : decode_problem(key, value, &r->problem);
}

/* Each field of the table by itself at its bound, one above and far above: kept whole up to the bound, and past it cut
 * or refused. */
static void each_text_of_each_record(void **state)
{
    for
        EACH_RECORD_TEXT(t)
    EACH_SIZE(size, t->max)
    {
        char *text = words_of(size);
        union any_record record, back;
        uint8_t bytes[RECORD_BYTES_MAX];
        struct slice kept, given = slice_of(text, size);
        struct key key;
        size_t encoded;

        memset(&record, 0, sizeof record);
        if (IS(t, "message_record"))
            record.message = (struct message_record){ .uid = 7, .state = MESSAGE_FOUND };
        record_text_set(&record, t, text, size);
        encoded = encode_any(t, bytes, &key, &record);
        if (size > t->max && t->fate == TEXT_REFUSED) {
            assert_int_equal(encoded, 0);
        } else {
            if (!encoded || !decode_any(t, key_slice(&key), slice_of((char *)bytes, encoded), &back))
                fail_msg("%s.%s of %zu bytes", t->record, t->field, size);
            kept = record_text_get(&back, t);
            assert_true(slice_starts(given, kept));
            if (size <= t->max ? kept.size != size : kept.size > t->max || kept.size + 8 < t->max)
                fail_msg("%s.%s of %zu bytes: %zu are kept", t->record, t->field, size, kept.size);
        }
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keywords_are_cut_between_words),
        cmocka_unit_test(what_is_cut_of_keywords_is_whole_words),
        cmocka_unit_test(one_word_that_is_too_long_is_left_out),
        cmocka_unit_test(repairs_of_two_bytes),
        cmocka_unit_test(names_of_a_folder),
        cmocka_unit_test(texts_of_a_user),
        cmocka_unit_test(registered_users),
        cmocka_unit_test(remarks_without_an_end),
        cmocka_unit_test(named_values),
        cmocka_unit_test(record_texts_are_all),
        cmocka_unit_test(each_text_of_each_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
