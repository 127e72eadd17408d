/* Encryption at rest of body chunks: AES-256-GCM under a key derived (HKDF-SHA256) from the user's
 * key and the spool's salt. The nonce is a number that is drawn once in the life of the spool plus
 * the chunk's index, so that no nonce ever comes twice under one key. Journal records (names,
 * addresses, subjects of skipped mail) are not encrypted. Internal to store/.
 */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "io/base/err.h"
#include "io/base/slice.h"

#include <openssl/evp.h>

#define SEAL_SALT_BYTES 16
#define SEAL_PROOF_BYTES 16
#define SEAL_HEAD_BYTES 13u /* kind, number, chunk */
#define SEAL_TAIL_BYTES 16u /* tag */
#define SEAL_EXTRA_BYTES (SEAL_HEAD_BYTES + SEAL_TAIL_BYTES)

enum { CHUNK_PLAIN = 1, CHUNK_SEALED = 2 }; /* first byte of a chunk */

struct seal_key {
    bool on;
    uint8_t bytes[32];
    uint8_t proof[SEAL_PROOF_BYTES]; /* tells a wrong key from a damaged body */
};

/* secret: 32 bytes or more. */
bool seal_derive(struct seal_key *key_r, struct slice secret, const uint8_t salt[SEAL_SALT_BYTES],
                 struct err *err_r) ERR_CHECK;
void seal_wipe(struct seal_key *key);

/* One per thread; the cipher is fetched once. */
struct seal_kit {
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *context;
    const struct seal_key *key; /* the spool's */
};
void seal_kit_init(struct seal_kit *kit, const struct seal_key *key);
void seal_kit_deinit(struct seal_kit *kit);

/* block[SEAL_HEAD_BYTES..+size) is plain text; encrypts in place, writes head and tail around it and
 * returns the whole size. block has room for size + SEAL_EXTRA_BYTES. */
size_t seal_close(struct seal_kit *kit, uint8_t *block, size_t size, uint64_t number,
                  uint32_t chunk);
/* Decrypts a block into out[block.size]; false when it was not made with this key, for this chunk. */
bool seal_open(struct seal_kit *kit, struct slice block, uint32_t chunk, uint8_t *out,
               size_t *size_r) ERR_CHECK;

#endif
