/* Records as bytes, made of store/pack's numbers and texts. Decoding trusts no length. Knows
 * nothing of LMDB; the journal's rules are store/journal.
 */
#ifndef STORE_CODEC_H
#define STORE_CODEC_H

#include "io/base/err.h"
#include "store/keys.h"
#include "store/pack.h"
#include "store/record.h"

#define CODEC_NAME_BYTES_MAX      4096u /* a folder name, raw or UTF-8 */
#define CODEC_USER_NAME_BYTES_MAX 2048u
#define CODEC_OPAQUE_BYTES_MAX    4096u
#define CODEC_KEYWORDS_BYTES_MAX  RECORD_KEYWORDS_BYTES_MAX

/* A shared body: who holds the bytes, and how many messages refer to them. */
struct share_record {
    uint64_t body;
    uint64_t refs;
};

/* Encoders write to out[RECORD_BYTES_MAX] and return the size. Texts come from servers and files, and may be of
 * any length: keywords are cut at a word's end, what is only shown to people at a character's; with any other text
 * past its bound above there is no record, and the size is 0. The record's own ids are not encoded; the key has
 * them. */
size_t encode_user(uint8_t *out, const struct key *key, const struct user_record *r);
size_t encode_folder(uint8_t *out, const struct key *key, const struct folder_record *r);
size_t encode_message(uint8_t *out, const struct key *key, const struct message_record *r);
size_t encode_note(uint8_t *out, const struct key *key, const struct message_note *r);
size_t encode_failure(uint8_t *out, const struct key *key, const struct failure_record *r);
size_t encode_problem(uint8_t *out, const struct key *key, const struct problem_record *r);
size_t encode_follow(uint8_t *out, const struct key *key, const struct follow_record *r);
size_t encode_share(uint8_t *out, const struct key *key, const struct share_record *r);
size_t encode_number(uint8_t *out, const struct key *key, uint64_t number);
size_t encode_sample(uint8_t *out, const struct key *key, const uint64_t values[12]);

/* Decoders return false for anything that no encoder wrote, *r is then undefined. Slices of *r
 * point into value. Ids come from the key. */
bool decode_user(struct slice key, struct slice value, struct user_record *r) ERR_CHECK;
bool decode_folder(struct slice key, struct slice value, struct folder_record *r) ERR_CHECK;
bool decode_message(struct slice key, struct slice value, struct message_record *r) ERR_CHECK;
bool decode_note(struct slice key, struct slice value, struct message_note *r) ERR_CHECK;
bool decode_failure(struct slice key, struct slice value, struct failure_record *r) ERR_CHECK;
bool decode_problem(struct slice key, struct slice value, struct problem_record *r) ERR_CHECK;
bool decode_follow(struct slice key, struct slice value, struct follow_record *r) ERR_CHECK;
bool decode_share(struct slice key, struct slice value, struct share_record *r) ERR_CHECK;
bool decode_number(struct slice key, struct slice value, uint64_t *number_r) ERR_CHECK;
bool decode_sample(struct slice key, struct slice value, uint64_t values_r[12]) ERR_CHECK;

#endif
