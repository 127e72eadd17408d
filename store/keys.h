/* Keys as bytes, big-endian, so that LMDB's order is the order of numbers. Knows nothing of LMDB; the
 * records under them are store/codec.
 */
#ifndef STORE_KEYS_H
#define STORE_KEYS_H

#include "io/base/err.h"
#include "store/record.h"

#define KEY_BYTES_MAX 400u /* LMDB's own limit is 511 */

#define KEYS_ADDRESS_BYTES_MAX 320u /* an address */

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
bool key_read_message(struct slice key, uint32_t *user_r, uint32_t *folder_r, uint32_t *uid_r) ERR_CHECK;
/* The same with a UID of 0: what stands there is about the folder. */
bool key_read_follow(struct slice key, uint32_t *user_r, uint32_t *folder_r, uint32_t *uid_r) ERR_CHECK;
bool key_read_body(struct slice key, uint64_t *body_r) ERR_CHECK;
bool key_read_chunk(struct slice key, uint64_t *body_r, uint32_t *chunk_r) ERR_CHECK;
bool key_read_sample(struct slice key, int64_t *wall_ms_r) ERR_CHECK;

uint64_t keys_hash(uint64_t seed, struct slice bytes); /* FNV-1a 64; seed 0 starts */

#endif
