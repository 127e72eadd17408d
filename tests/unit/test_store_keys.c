/* test: store */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/codec.h"

#include <stdlib.h>
#include <string.h>

/* What one record kind needs to be tried by all the tests below. */
struct kind {
    const char *name;
    void (*key)(struct key *key_r);
    size_t (*encode)(uint8_t *out, const struct key *key);
    /* Decodes and compares with what encode wrote. */
    bool (*same)(struct slice key, struct slice value);
    bool (*decodes)(struct slice key, struct slice value);
};

static const struct user_record user = {
    .id = 7,
    .state = USER_INCREMENTAL_SYNCING,
    .failure = "TooManyLargeItems",
    .started_ms = 1764064800000,
    .finished_ms = -1,
    .syncs = 3,
    .throttled = 1ull << 40,
    .reconnects = 9,
    .time_ms = { 1, 2, 3, 4, 5, UINT64_MAX },
    .policy = 0x1122334455667788,
    .address = { "änne@example.edu", 17 },
    .user_name = { "anne", 4 },
    .opaque = { "\0\1\2", 3 },
};

static const struct folder_record folder = {
    .user = 7,
    .folder = 2,
    .uidvalidity = UINT32_MAX,
    .uidnext_listed = 12,
    .status_uidnext = 13,
    .status_messages = 14,
    .status_modseq = UINT64_MAX,
    .excluded = true,
    .target_open = true,
    .target_scanned = true,
    .target_counted = true,
    .target_uids_lie = true,
    .target_sends_unknown = true,
    .target_uidvalidity = 5,
    .target_uid_floor = 6,
    .target_highest_seen = 8,
    .target_lost_from = 5,
    .target_late_seen = 4000000002,
    .tally = { .found = 10,
               .uploaded = 1,
               .present = 2,
               .skipped = 3,
               .failed = 1,
               .waiting = 1,
               .spooled = 2,
               .bytes_found = 1ull << 50,
               .bytes_fetched = 8,
               .bytes_uploaded = 9 },
    .delimiter = '.',
    .role = "sent",
    .source_raw = { "INBOX.&AOk-", 11 },
    .source_name = { "INBOX.é", 8 },
    .target_raw = { "a", 1 },
    .target_name = { "", 0 },
};

static const struct message_record message = {
    .uid = 99,
    .state = MESSAGE_SPOOLED,
    .reason = SKIP_NONE,
    .flags = 0x1f,
    .date_known = true,
    .zone_minutes = -840,
    .date_seconds = -62135596800,
    .listed_bytes = 1ull << 33,
    .body = 1ull << 60,
    .body_bytes = 12345,
    .digest = { 1, 2, 3 },
    .header_key = { 255, 254 },
    .target_uid = 77,
    .target_uid_from = 4000000000,
    .in_doubt = true,
    .unanswered = 3,
    .doomed_uid = 4000000001,
    .tries = 6,
    .source_id = 1278455344230334865,
    .repairs = 0x0F85,
    .repaired_bytes = 12399,
    .keywords = { "$Forwarded NonJunk", 18 },
};

static const struct message_note note = { "Grüße", "<a@b>", "Tue, 1 Jan 2019 00:00:00 +0000" };

static const struct failure_record failure = {
    .first_ms = 1,
    .last_ms = 2,
    .count = 61,
    .folder = 3,
    .uid = 4,
    .type = "ParseError",
    .class = 4,
    .side = FAILURE_TARGET,
    .doing = "APPEND to Sent",
    .server_text = "NO no",
    .advice = "look",
    .folder_name = "Gesendete Elemente",
};

static const struct problem_record problem = { 3, "FolderNameClash", "text", "remedy", true, 12 };
static const struct share_record share = { 12, 3 };
static const uint64_t sample[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, UINT64_MAX };

static void user_key(struct key *key_r)
{
    key_user(key_r, 7);
}
static void folder_key(struct key *key_r)
{
    key_folder(key_r, 7, 2);
}
static void message_key(struct key *key_r)
{
    key_message(key_r, 7, 2, 99);
}
static void failure_key(struct key *key_r)
{
    key_failure(key_r, 7, 1);
}
static void problem_key(struct key *key_r)
{
    key_problem(key_r, 7, 3, 0x123);
}
static void share_key(struct key *key_r)
{
    key_digest(key_r, message.digest, 12345);
}
static void number_key(struct key *key_r)
{
    key_address(key_r, SLICE("A@Example.EDU"));
}
static void sample_key(struct key *key_r)
{
    key_sample(key_r, 1764064800000);
}

static size_t user_encode(uint8_t *out, const struct key *key)
{
    return encode_user(out, key, &user);
}
static size_t folder_encode(uint8_t *out, const struct key *key)
{
    return encode_folder(out, key, &folder);
}
static size_t message_encode(uint8_t *out, const struct key *key)
{
    return encode_message(out, key, &message);
}
static size_t note_encode(uint8_t *out, const struct key *key)
{
    return encode_note(out, key, &note);
}
static size_t failure_encode(uint8_t *out, const struct key *key)
{
    return encode_failure(out, key, &failure);
}
static size_t problem_encode(uint8_t *out, const struct key *key)
{
    return encode_problem(out, key, &problem);
}
static size_t share_encode(uint8_t *out, const struct key *key)
{
    return encode_share(out, key, &share);
}
static size_t number_encode(uint8_t *out, const struct key *key)
{
    return encode_number(out, key, 1ull << 63);
}
static size_t sample_encode(uint8_t *out, const struct key *key)
{
    return encode_sample(out, key, sample);
}

static bool user_decodes(struct slice key, struct slice value)
{
    struct user_record r;

    return decode_user(key, value, &r);
}

static bool user_same(struct slice key, struct slice value)
{
    struct user_record r;

    return decode_user(key, value, &r) && r.id == 7 && r.state == user.state && strcmp(r.failure, user.failure) == 0 &&
           r.started_ms == user.started_ms && r.finished_ms == -1 && r.syncs == 3 && r.throttled == user.throttled &&
           r.reconnects == 9 && memcmp(r.time_ms, user.time_ms, sizeof r.time_ms) == 0 && r.policy == user.policy &&
           slice_equal(r.address, user.address) && slice_equal(r.user_name, user.user_name) &&
           slice_equal(r.opaque, user.opaque);
}

static bool folder_decodes(struct slice key, struct slice value)
{
    struct folder_record r;

    return decode_folder(key, value, &r);
}

static bool folder_same(struct slice key, struct slice value)
{
    struct folder_record r;

    return decode_folder(key, value, &r) && r.user == 7 && r.folder == 2 && r.uidvalidity == UINT32_MAX &&
           r.uidnext_listed == 12 && r.status_uidnext == 13 && r.status_messages == 14 &&
           r.status_modseq == UINT64_MAX && r.excluded && r.target_open && r.target_scanned && r.target_counted &&
           r.target_uids_lie && r.target_sends_unknown && r.target_uidvalidity == 5 && r.target_uid_floor == 6 &&
           r.target_highest_seen == 8 && r.target_lost_from == 5 && r.target_late_seen == 4000000002 &&
           memcmp(&r.tally, &folder.tally, sizeof r.tally) == 0 && r.delimiter == '.' && strcmp(r.role, "sent") == 0 &&
           slice_equal(r.source_raw, folder.source_raw) && slice_equal(r.source_name, folder.source_name) &&
           slice_equal(r.target_raw, folder.target_raw) && r.target_name.size == 0;
}

static bool message_decodes(struct slice key, struct slice value)
{
    struct message_record r;

    return decode_message(key, value, &r);
}

static bool message_same(struct slice key, struct slice value)
{
    struct message_record r;

    return decode_message(key, value, &r) && r.uid == 99 && r.state == MESSAGE_SPOOLED && r.reason == SKIP_NONE &&
           r.flags == 0x1f && r.date_known && r.zone_minutes == -840 && r.date_seconds == message.date_seconds &&
           r.listed_bytes == message.listed_bytes && r.body == message.body && r.body_bytes == 12345 &&
           memcmp(r.digest, message.digest, 16) == 0 && memcmp(r.header_key, message.header_key, 16) == 0 &&
           r.target_uid == 77 && r.target_uid_from == message.target_uid_from && r.unanswered == 3 &&
           r.doomed_uid == message.doomed_uid && r.in_doubt && r.tries == 6 && r.source_id == message.source_id &&
           r.repairs == 0x0F85 && r.repaired_bytes == 12399 && slice_equal(r.keywords, message.keywords);
}

static bool note_decodes(struct slice key, struct slice value)
{
    struct message_note r;

    return decode_note(key, value, &r);
}

static bool note_same(struct slice key, struct slice value)
{
    struct message_note r;

    return decode_note(key, value, &r) && strcmp(r.subject, note.subject) == 0 &&
           strcmp(r.message_id, note.message_id) == 0 && strcmp(r.date, note.date) == 0;
}

static bool failure_decodes(struct slice key, struct slice value)
{
    struct failure_record r;

    return decode_failure(key, value, &r);
}

static bool failure_same(struct slice key, struct slice value)
{
    struct failure_record r;

    return decode_failure(key, value, &r) && r.first_ms == 1 && r.last_ms == 2 && r.count == 61 && r.folder == 3 &&
           r.uid == 4 && strcmp(r.type, failure.type) == 0 && r.class == 4 && r.side == FAILURE_TARGET &&
           strcmp(r.doing, failure.doing) == 0 && strcmp(r.server_text, failure.server_text) == 0 &&
           strcmp(r.advice, failure.advice) == 0 && strcmp(r.folder_name, failure.folder_name) == 0;
}

static bool problem_decodes(struct slice key, struct slice value)
{
    struct problem_record r;

    return decode_problem(key, value, &r);
}

static bool problem_same(struct slice key, struct slice value)
{
    struct problem_record r;

    return decode_problem(key, value, &r) && r.folder == 3 && strcmp(r.type, problem.type) == 0 &&
           strcmp(r.text, "text") == 0 && strcmp(r.remedy, "remedy") == 0;
}

static bool share_decodes(struct slice key, struct slice value)
{
    struct share_record r;

    return decode_share(key, value, &r);
}

static bool share_same(struct slice key, struct slice value)
{
    struct share_record r;

    return decode_share(key, value, &r) && r.body == 12 && r.refs == 3;
}

static bool number_decodes(struct slice key, struct slice value)
{
    uint64_t number;

    return decode_number(key, value, &number);
}

static bool number_same(struct slice key, struct slice value)
{
    uint64_t number;

    return decode_number(key, value, &number) && number == 1ull << 63;
}

static bool sample_decodes(struct slice key, struct slice value)
{
    uint64_t values[12];

    return decode_sample(key, value, values);
}

static bool sample_same(struct slice key, struct slice value)
{
    uint64_t values[12];

    return decode_sample(key, value, values) && memcmp(values, sample, sizeof sample) == 0;
}

static const struct kind kinds[] = {
    { "user", user_key, user_encode, user_same, user_decodes },
    { "folder", folder_key, folder_encode, folder_same, folder_decodes },
    { "message", message_key, message_encode, message_same, message_decodes },
    { "note", message_key, note_encode, note_same, note_decodes },
    { "failure", failure_key, failure_encode, failure_same, failure_decodes },
    { "problem", problem_key, problem_encode, problem_same, problem_decodes },
    { "share", share_key, share_encode, share_same, share_decodes },
    { "number", number_key, number_encode, number_same, number_decodes },
    { "sample", sample_key, sample_encode, sample_same, sample_decodes },
};
#define KINDS (sizeof kinds / sizeof *kinds)

/* A copy of exactly that size, so that a read past it is seen by the sanitizer. */
static bool decodes_copy(const struct kind *kind, struct slice key, const uint8_t *bytes, size_t size)
{
    char *copy = malloc(size ? size : 1);
    bool ok;

    memcpy(copy, bytes, size);
    ok = kind->decodes(key, slice_of(copy, size));
    free(copy);
    return ok;
}

static void every_record_comes_back_as_it_was(void **state)
{
    for (unsigned i = 0; i < KINDS; i++) {
        uint8_t bytes[RECORD_BYTES_MAX];
        struct key key;
        size_t size;

        kinds[i].key(&key);
        size = kinds[i].encode(bytes, &key);
        if (!kinds[i].same(key_slice(&key), slice_of((char *)bytes, size)))
            fail_msg("%s came back changed", kinds[i].name);
    }
}

static void a_record_cut_short_or_made_longer_is_refused(void **state)
{
    for (unsigned i = 0; i < KINDS; i++) {
        uint8_t bytes[RECORD_BYTES_MAX + 1];
        struct key key;
        size_t size;

        kinds[i].key(&key);
        size = kinds[i].encode(bytes, &key);
        for (size_t cut = 0; cut < size; cut++)
            if (decodes_copy(&kinds[i], key_slice(&key), bytes, cut))
                fail_msg("%s of %zu bytes decodes from %zu", kinds[i].name, size, cut);
        bytes[size] = 0;
        assert_false(decodes_copy(&kinds[i], key_slice(&key), bytes, size + 1));
    }
}

static void no_single_changed_bit_goes_unseen(void **state)
{
    for (unsigned i = 0; i < KINDS; i++) {
        uint8_t bytes[RECORD_BYTES_MAX];
        struct key key;
        size_t size;

        kinds[i].key(&key);
        size = kinds[i].encode(bytes, &key);
        for (size_t bit = 0; bit < size * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (decodes_copy(&kinds[i], key_slice(&key), bytes, size))
                fail_msg("%s decodes with bit %zu changed", kinds[i].name, bit);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void a_record_under_another_key_is_refused(void **state)
{
    for (unsigned i = 0; i < KINDS; i++) {
        uint8_t bytes[RECORD_BYTES_MAX];
        struct key key;
        size_t size;

        kinds[i].key(&key);
        size = kinds[i].encode(bytes, &key);
        for (size_t at = 0; at < key.size; at++) {
            key.bytes[at] ^= 1;
            if (decodes_copy(&kinds[i], key_slice(&key), bytes, size))
                fail_msg("%s decodes under a key with byte %zu changed", kinds[i].name, at);
            key.bytes[at] ^= 1;
        }
    }
}

static void another_version_of_a_record_is_refused(void **state)
{
    for (unsigned i = 0; i < KINDS; i++) {
        uint8_t bytes[RECORD_BYTES_MAX];
        struct key key;
        size_t size;

        kinds[i].key(&key);
        size = kinds[i].encode(bytes, &key);
        assert_int_equal(bytes[0], PACK_VERSION);
        bytes[0] = PACK_VERSION + 1;
        assert_false(decodes_copy(&kinds[i], key_slice(&key), bytes, size));
    }
}

static void keys_sort_as_their_numbers(void **state)
{
    static const uint32_t numbers[] = { 1, 2, 255, 256, 65535, 65536, 16777216, UINT32_MAX };
    struct key before = { .size = 0 }, key;

    for (unsigned u = 0; u < 2; u++)
        for (unsigned f = 0; f < 8; f++)
            for (unsigned m = 0; m < 8; m++) {
                uint32_t user_r, folder_r, uid_r;

                key_message(&key, u + 1, numbers[f], numbers[m]);
                if (before.size) {
                    assert_int_equal(before.size, key.size);
                    assert_true(memcmp(before.bytes, key.bytes, key.size) < 0);
                }
                assert_true(key_read_message(key_slice(&key), &user_r, &folder_r, &uid_r));
                assert_int_equal(user_r, u + 1);
                assert_int_equal(folder_r, numbers[f]);
                assert_int_equal(uid_r, numbers[m]);
                for (size_t cut = 0; cut < key.size; cut++)
                    assert_false(key_read_message(slice_of((char *)key.bytes, cut), &user_r, &folder_r, &uid_r));
                before = key;
            }
}

static void addresses_that_differ_in_case_alone_are_one_key(void **state)
{
    struct key a, b, c;

    key_address(&a, SLICE("Anna.Smith@Example.EDU"));
    key_address(&b, SLICE("anna.smith@example.edu"));
    key_address(&c, SLICE("anna.smith@example.ed"));
    assert_true(slice_equal(key_slice(&a), key_slice(&b)));
    assert_false(slice_equal(key_slice(&a), key_slice(&c)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_comes_back_as_it_was),
        cmocka_unit_test(a_record_cut_short_or_made_longer_is_refused),
        cmocka_unit_test(no_single_changed_bit_goes_unseen),
        cmocka_unit_test(a_record_under_another_key_is_refused),
        cmocka_unit_test(another_version_of_a_record_is_refused),
        cmocka_unit_test(keys_sort_as_their_numbers),
        cmocka_unit_test(addresses_that_differ_in_case_alone_are_one_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
