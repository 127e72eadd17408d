/* Keys and records as bytes. Keys are big-endian, so that LMDB's order is the order of numbers.
 * Every record begins with a version byte and ends with a check over key and content: a record that
 * was cut, changed or stands under another key is refused, not misread. Decoding trusts no length.
 *
 * Knows nothing of LMDB; the journal's rules are store/journal.
 */
#ifndef STORE_KEYS_H
#define STORE_KEYS_H

#include "io/base/err.h"
#include "store/record.h"

#define KEYS_VERSION 1        /* of every record kind of this format */
#define KEY_BYTES_MAX 400u    /* LMDB's own limit is 511 */
#define RECORD_BYTES_MAX 24576u /* an encoded record, chunks and named values excepted */

#define KEYS_NAME_BYTES_MAX 4096u     /* a folder name, raw or UTF-8 */
#define KEYS_ADDRESS_BYTES_MAX 320u   /* address and user name */
#define KEYS_USER_NAME_BYTES_MAX 2048u
#define KEYS_OPAQUE_BYTES_MAX 4096u
#define KEYS_KEYWORDS_BYTES_MAX 1024u

struct key {
    uint8_t bytes[KEY_BYTES_MAX];
    size_t size;
};

struct slice key_slice(const struct key *key); /* borrowed from key */
void key_user(struct key *key_r, uint32_t user);
void key_folder(struct key *key_r, uint32_t user, uint32_t folder);
void key_message(struct key *key_r, uint32_t user, uint32_t folder, uint32_t uid);
void key_body(struct key *key_r, uint64_t body);
void key_chunk(struct key *key_r, uint64_t body, uint32_t chunk);
void key_digest(struct key *key_r, const uint8_t digest[16], uint64_t body_bytes);
void key_address(struct key *key_r, struct slice address); /* lower-cased ASCII */
/* Failures: records by sequence, and an index from the hash of what makes two equal. */
void key_failure(struct key *key_r, uint32_t user, uint32_t sequence);
void key_failure_index(struct key *key_r, uint32_t user, uint64_t hash);
void key_problem(struct key *key_r, uint32_t user, uint32_t folder, uint64_t hash);
void key_sample(struct key *key_r, int64_t wall_ms);

bool key_read_user(struct slice key, uint32_t *user_r) ERR_CHECK;
bool key_read_folder(struct slice key, uint32_t *user_r, uint32_t *folder_r) ERR_CHECK;
bool key_read_message(struct slice key, uint32_t *user_r, uint32_t *folder_r,
                      uint32_t *uid_r) ERR_CHECK;
bool key_read_body(struct slice key, uint64_t *body_r) ERR_CHECK;
bool key_read_chunk(struct slice key, uint64_t *body_r, uint32_t *chunk_r) ERR_CHECK;
bool key_read_sample(struct slice key, int64_t *wall_ms_r) ERR_CHECK;

uint64_t keys_hash(uint64_t seed, struct slice bytes); /* FNV-1a 64; seed 0 starts */

/* A shared body: who holds the bytes, and how many messages refer to them. */
struct share_record {
    uint64_t body;
    uint64_t refs;
};

/* Encoders write to out[RECORD_BYTES_MAX] and return the size. Texts past their bounds above are the
 * caller's bug: assert. The record's own ids are not encoded; the key has them. */
size_t encode_user(uint8_t *out, const struct key *key, const struct user_record *r);
size_t encode_folder(uint8_t *out, const struct key *key, const struct folder_record *r);
size_t encode_message(uint8_t *out, const struct key *key, const struct message_record *r);
size_t encode_note(uint8_t *out, const struct key *key, const struct message_note *r);
size_t encode_failure(uint8_t *out, const struct key *key, const struct failure_record *r);
size_t encode_problem(uint8_t *out, const struct key *key, const struct problem_record *r);
size_t encode_share(uint8_t *out, const struct key *key, const struct share_record *r);
size_t encode_number(uint8_t *out, const struct key *key, uint64_t number);
size_t encode_sample(uint8_t *out, const struct key *key, const uint64_t values[12]);

/* Decoders return false for anything that no encoder wrote, *r is then undefined. Slices of *r point
 * into value. Ids come from the key. */
bool decode_user(struct slice key, struct slice value, struct user_record *r) ERR_CHECK;
bool decode_folder(struct slice key, struct slice value, struct folder_record *r) ERR_CHECK;
bool decode_message(struct slice key, struct slice value, struct message_record *r) ERR_CHECK;
bool decode_note(struct slice key, struct slice value, struct message_note *r) ERR_CHECK;
bool decode_failure(struct slice key, struct slice value, struct failure_record *r) ERR_CHECK;
bool decode_problem(struct slice key, struct slice value, struct problem_record *r) ERR_CHECK;
bool decode_share(struct slice key, struct slice value, struct share_record *r) ERR_CHECK;
bool decode_number(struct slice key, struct slice value, uint64_t *number_r) ERR_CHECK;
bool decode_sample(struct slice key, struct slice value, uint64_t values_r[12]) ERR_CHECK;

#endif
