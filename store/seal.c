#include "store/seal.h"

#include "io/base/secret.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#define HEAD_1_BYTES 13u

static bool derive(struct slice secret, const uint8_t salt[SEAL_SALT_BYTES], const char *purpose, uint8_t *out,
                   size_t size)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret.data, secret.size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, SEAL_SALT_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)purpose, strlen(purpose)),
        OSSL_PARAM_construct_end(),
    };
    bool good = context && EVP_KDF_derive(context, out, size, params) == 1;

    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return good;
}

static bool run_key(const struct seal_key *key, const uint8_t salt[SEAL_SALT_BYTES], uint8_t out[SEAL_KEY_BYTES])
{
    return derive(slice_of((const char *)key->master, sizeof key->master), salt, "mailhaul spool run 2", out,
                  SEAL_KEY_BYTES);
}

bool seal_derive(struct seal_key *key_r, struct slice secret, const uint8_t salt[SEAL_SALT_BYTES], struct err *err_r)
{
    if (secret.size < 32)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0,
                       "the spool's key has %zu bytes; it needs 32 or more", secret.size);
    if (RAND_bytes(key_r->run_salt, sizeof key_r->run_salt) != 1 ||
        !derive(secret, salt, "mailhaul spool body 1", key_r->first, sizeof key_r->first) ||
        !derive(secret, salt, "mailhaul spool proof 1", key_r->proof, sizeof key_r->proof) ||
        !derive(secret, salt, "mailhaul spool master 2", key_r->master, sizeof key_r->master) ||
        !run_key(key_r, key_r->run_salt, key_r->run)) {
        seal_wipe(key_r);
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_STORE, 0,
                       "OpenSSL refused random bytes, or to derive the spool's key (HKDF-SHA256)");
    }
    key_r->on = true;
    return true;
}

void seal_wipe(struct seal_key *key)
{
    secret_wipe(key, sizeof *key);
}

void seal_kit_init(struct seal_kit *kit, const struct seal_key *key)
{
    *kit = (struct seal_kit){ .key = key };
    if (!key->on)
        return;
    kit->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    kit->context = EVP_CIPHER_CTX_new();
    assert(kit->cipher && kit->context);
}

void seal_kit_deinit(struct seal_kit *kit)
{
    EVP_CIPHER_CTX_free(kit->context);
    EVP_CIPHER_free(kit->cipher);
    secret_wipe(kit, sizeof *kit);
}

static void write_head(uint8_t head[SEAL_HEAD_BYTES], uint64_t number, uint32_t chunk,
                       const uint8_t run_salt[SEAL_SALT_BYTES])
{
    head[0] = CHUNK_SEALED;
    for (int i = 0; i < 8; i++)
        head[1 + i] = (uint8_t)(number >> (56 - 8 * i));
    for (int i = 0; i < 4; i++)
        head[9 + i] = (uint8_t)(chunk >> (24 - 8 * i));
    memcpy(head + HEAD_1_BYTES, run_salt, SEAL_SALT_BYTES);
}

size_t seal_close(struct seal_kit *kit, uint8_t *block, size_t size, uint64_t number, uint32_t chunk)
{
    uint8_t *text = block + SEAL_HEAD_BYTES;
    int done = 0, more = 0;
    bool good;

    assert(kit->context && size <= INT32_MAX);
    write_head(block, number, chunk, kit->key->run_salt);
    good = EVP_EncryptInit_ex(kit->context, kit->cipher, NULL, kit->key->run, block + 1) == 1 &&
           EVP_EncryptUpdate(kit->context, NULL, &done, block, (int)SEAL_HEAD_BYTES) == 1 &&
           EVP_EncryptUpdate(kit->context, text, &done, text, (int)size) == 1 &&
           EVP_EncryptFinal_ex(kit->context, text + done, &more) == 1 &&
           EVP_CIPHER_CTX_ctrl(kit->context, EVP_CTRL_GCM_GET_TAG, SEAL_TAIL_BYTES, text + size) == 1;
    /* Encrypting memory that is ours can only fail when OpenSSL is broken or out of memory. */
    assert(good && (size_t)done + (size_t)more == size);
    return size + SEAL_EXTRA_BYTES;
}

/* The key that a block was sealed with, by its head; NULL when that is not this number's and chunk's. */
static const uint8_t *key_of(struct seal_kit *kit, const uint8_t *head, size_t head_bytes, uint64_t number,
                             uint32_t chunk)
{
    const uint8_t *salt = head + HEAD_1_BYTES;
    uint8_t expected[SEAL_HEAD_BYTES];

    if (head_bytes == HEAD_1_BYTES) {
        write_head(expected, 0, chunk, kit->salt);
        return memcmp(head + 9, expected + 9, 4) == 0 ? kit->key->first : NULL;
    }
    write_head(expected, number, chunk, salt);
    if (memcmp(head, expected, SEAL_HEAD_BYTES) != 0)
        return NULL;
    if (!kit->has_run || memcmp(kit->salt, salt, SEAL_SALT_BYTES) != 0) {
        memcpy(kit->salt, salt, SEAL_SALT_BYTES);
        kit->has_run = run_key(kit->key, salt, kit->run);
    }
    return kit->has_run ? kit->run : NULL;
}

bool seal_open(struct seal_kit *kit, struct slice block, uint64_t number, uint32_t chunk, uint8_t *out, size_t *size_r)
{
    const uint8_t *data = (const uint8_t *)block.data, *key;
    size_t head, size;
    int done = 0, more = 0;

    if (!kit->context || block.size < 1 || block.size > INT32_MAX)
        return false;
    head = data[0] == CHUNK_SEALED_1 ? HEAD_1_BYTES : SEAL_HEAD_BYTES;
    if (block.size < head + SEAL_TAIL_BYTES || !(key = key_of(kit, data, head, number, chunk)))
        return false;
    size = block.size - head - SEAL_TAIL_BYTES;
    *size_r = size;
    return EVP_DecryptInit_ex(kit->context, kit->cipher, NULL, key, data + 1) == 1 &&
           EVP_DecryptUpdate(kit->context, NULL, &done, data, (int)head) == 1 &&
           EVP_DecryptUpdate(kit->context, out, &done, data + head, (int)size) == 1 &&
           EVP_CIPHER_CTX_ctrl(kit->context, EVP_CTRL_GCM_SET_TAG, SEAL_TAIL_BYTES,
                               (void *)(uintptr_t)(data + head + size)) == 1 &&
           EVP_DecryptFinal_ex(kit->context, out + done, &more) == 1;
}
