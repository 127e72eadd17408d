/* Encryption at rest of body chunks: AES-256-GCM. The user's key and the spool's salt give a master key
 * (HKDF-SHA256); each opening of the spool for writing draws a salt of its own, and the master key and that salt
 * give the key that it seals with. The nonce is the body's number and the chunk's index. So no nonce comes twice
 * under one key (NIST SP 800-38D 8), also where the state folder was put back from a copy, or a copy goes on beside
 * it, and numbers are drawn again. A chunk names its run's salt, its body and its index, and is opened as that
 * alone. Journal records (names, addresses, subjects of skipped mail) are not encrypted. Internal to store/.
 */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "io/base/err.h"
#include "io/base/slice.h"

#include <openssl/evp.h>

#define SEAL_SALT_BYTES  16
#define SEAL_PROOF_BYTES 16
#define SEAL_KEY_BYTES   32
#define SEAL_HEAD_BYTES  29u /* kind, number, chunk, the run's salt */
#define SEAL_TAIL_BYTES  16u /* tag */
#define SEAL_EXTRA_BYTES (SEAL_HEAD_BYTES + SEAL_TAIL_BYTES)

/* First byte of a chunk. CHUNK_SEALED_1: as version 0.1 sealed, under one key for the whole life of the spool and
 * without the body's number; read, never written. */
enum { CHUNK_PLAIN = 1, CHUNK_SEALED_1 = 2, CHUNK_SEALED = 3 };

struct seal_key {
    bool on;
    uint8_t first[SEAL_KEY_BYTES]; /* of CHUNK_SEALED_1 */
    uint8_t master[SEAL_KEY_BYTES];
    uint8_t run_salt[SEAL_SALT_BYTES];
    uint8_t run[SEAL_KEY_BYTES];     /* what this opening seals with */
    uint8_t proof[SEAL_PROOF_BYTES]; /* tells a wrong key from a damaged body */
};

/* Also draws the run's salt. secret: 32 bytes or more. */
bool seal_derive(struct seal_key *key_r, struct slice secret, const uint8_t salt[SEAL_SALT_BYTES],
                 struct err *err_r) ERR_CHECK;
void seal_wipe(struct seal_key *key);

/* One per thread; the cipher is fetched once. */
struct seal_kit {
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *context;
    const struct seal_key *key;    /* the spool's */
    uint8_t salt[SEAL_SALT_BYTES]; /* of the run whose chunk was opened last, and its key */
    uint8_t run[SEAL_KEY_BYTES];
    bool has_run;
};
void seal_kit_init(struct seal_kit *kit, const struct seal_key *key);
void seal_kit_deinit(struct seal_kit *kit);

/* block[SEAL_HEAD_BYTES..+size) is plain text; encrypts in place, writes head and tail around it and
 * returns the whole size. block has room for size + SEAL_EXTRA_BYTES. number and chunk: never the same pair twice
 * with one seal_key. */
size_t seal_close(struct seal_kit *kit, uint8_t *block, size_t size, uint64_t number, uint32_t chunk);
/* Decrypts a block into out[block.size]; false when it was not made with this user's key, or for another number
 * (of CHUNK_SEALED_1 that is not known) or chunk. */
bool seal_open(struct seal_kit *kit, struct slice block, uint64_t number, uint32_t chunk, uint8_t *out,
               size_t *size_r) ERR_CHECK;

#endif
