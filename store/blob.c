#include "store/blob.h"

#include "io/base/mem.h"
#include "store/env.h"
#include "store/seal.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <zstd.h>

#define LEVEL     1 /* engineering.md A4: level 3 gains 2 % for 50 to 90 % more CPU */
#define POOL_MAX  64
#define RAW_LEAST 4096u

struct blob_kit {
    struct spool *spool;
    ZSTD_CCtx *compressor;
    EVP_MD *sha256;
    struct seal_kit seal;
    char *packed; /* compressed bytes before they are copied to their size */
    size_t packed_room;
    EVP_MD_CTX *digests[POOL_MAX];
    unsigned digest_count;
    char *full[POOL_MAX / 8]; /* buffers of a whole chunk, for the next large body */
    unsigned full_count;
};

struct blob_kit *blob_kit_create(struct spool *spool)
{
    struct blob_kit *kit = mem_zero(1, sizeof *kit);

    kit->spool = spool;
    kit->compressor = ZSTD_createCCtx();
    /* Fetched once: a fetch takes locks and costs more than the digest of a small mail. */
    kit->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    assert(kit->compressor && kit->sha256);
    ZSTD_CCtx_setParameter(kit->compressor, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(kit->compressor, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(kit->compressor, ZSTD_c_contentSizeFlag, 1);
    seal_kit_init(&kit->seal, &spool->seal);
    kit->packed_room = ZSTD_compressBound(BLOB_CHUNK_BYTES) + SEAL_EXTRA_BYTES;
    kit->packed = mem_alloc(kit->packed_room);
    return kit;
}

void blob_kit_destroy(struct blob_kit **kit)
{
    struct blob_kit *k = *kit;

    if (!k)
        return;
    while (k->digest_count)
        EVP_MD_CTX_free(k->digests[--k->digest_count]);
    while (k->full_count)
        free(k->full[--k->full_count]);
    seal_kit_deinit(&k->seal);
    ZSTD_freeCCtx(k->compressor);
    EVP_MD_free(k->sha256);
    free(k->packed);
    free(k);
    *kit = NULL;
}

static void raw_given_back(struct blob_writer *w)
{
    struct blob_kit *kit = w->kit;

    if (w->raw_room == BLOB_CHUNK_BYTES && kit->full_count < POOL_MAX / 8)
        kit->full[kit->full_count++] = w->raw;
    else
        free(w->raw);
    w->raw = NULL;
    w->raw_room = 0;
}

static void raw_grown(struct blob_writer *w, size_t room)
{
    char *raw;

    if (room >= BLOB_CHUNK_BYTES / 2) {
        room = BLOB_CHUNK_BYTES;
        raw = w->kit->full_count ? w->kit->full[--w->kit->full_count] : mem_alloc(room);
    } else {
        raw = mem_alloc(room);
    }
    if (w->raw_size)
        memcpy(raw, w->raw, w->raw_size);
    raw_given_back(w);
    w->raw = raw;
    w->raw_room = room;
}

void blob_begin(struct blob_writer *w, struct blob_kit *kit, uint64_t body, uint64_t expected_bytes)
{
    EVP_MD_CTX *digest = kit->digest_count ? kit->digests[--kit->digest_count] : EVP_MD_CTX_new();
    bool good = digest && EVP_DigestInit_ex(digest, kit->sha256, NULL) == 1;

    assert(good);
    *w = (struct blob_writer){ .kit = kit, .body = body, .digest = digest };
    raw_grown(w, expected_bytes >= BLOB_CHUNK_BYTES ? BLOB_CHUNK_BYTES
                 : expected_bytes < RAW_LEAST       ? RAW_LEAST
                                                    : (size_t)expected_bytes);
}

void blob_add(struct blob_writer *w, struct slice bytes, size_t *taken_r)
{
    size_t take = BLOB_CHUNK_BYTES - w->raw_size;
    bool good;

    if (take > bytes.size)
        take = bytes.size;
    *taken_r = take;
    if (take == 0)
        return;
    if (take > w->raw_room - w->raw_size) {
        size_t room = w->raw_room * 2;

        if (room < w->raw_size + take)
            room = w->raw_size + take;
        raw_grown(w, room);
    }
    memcpy(w->raw + w->raw_size, bytes.data, take);
    w->raw_size += take;
    w->body_bytes += take;
    good = EVP_DigestUpdate(w->digest, bytes.data, take) == 1;
    assert(good);
}

bool blob_chunk_full(const struct blob_writer *w)
{
    return w->raw_size == BLOB_CHUNK_BYTES;
}

void blob_chunk(struct blob_writer *w, char **data_r, size_t *size_r)
{
    struct blob_kit *kit = w->kit;
    bool sealed = kit->spool->seal.on;
    size_t head = sealed ? SEAL_HEAD_BYTES : 1;
    size_t size = ZSTD_compress2(kit->compressor, kit->packed + head, kit->packed_room - head, w->raw, w->raw_size);

    assert(!ZSTD_isError(size));
    if (sealed) {
        size = seal_close(&kit->seal, (uint8_t *)kit->packed, size, w->body, w->chunk);
    } else {
        kit->packed[0] = CHUNK_PLAIN;
        size += 1;
    }
    *data_r = memcpy(mem_alloc(size), kit->packed, size);
    *size_r = size;
    w->raw_size = 0;
    w->chunk++;
}

void blob_finish(struct blob_writer *w, uint8_t digest_r[16], uint64_t *body_bytes_r)
{
    uint8_t whole[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    bool good = EVP_DigestFinal_ex(w->digest, whole, &size) == 1;

    assert(good && size >= 16);
    memcpy(digest_r, whole, 16);
    *body_bytes_r = w->body_bytes;
}

void blob_end(struct blob_writer *w)
{
    if (!w->kit)
        return;
    raw_given_back(w);
    if (w->kit->digest_count < POOL_MAX)
        w->kit->digests[w->kit->digest_count++] = w->digest;
    else
        EVP_MD_CTX_free(w->digest);
    *w = (struct blob_writer){ 0 };
}

struct blob_opener {
    ZSTD_DCtx *decompressor;
    struct seal_kit seal;
    uint8_t *plain; /* decrypted frame */
    size_t plain_room;
};

struct blob_opener *blob_opener_create(struct spool *spool)
{
    struct blob_opener *o = mem_zero(1, sizeof *o);

    o->decompressor = ZSTD_createDCtx();
    assert(o->decompressor);
    seal_kit_init(&o->seal, &spool->seal);
    if (spool->seal.on) {
        o->plain_room = ZSTD_compressBound(BLOB_CHUNK_BYTES) + SEAL_EXTRA_BYTES;
        o->plain = mem_alloc(o->plain_room);
    }
    return o;
}

void blob_opener_destroy(struct blob_opener **opener)
{
    if (!*opener)
        return;
    seal_kit_deinit(&(*opener)->seal);
    ZSTD_freeDCtx((*opener)->decompressor);
    free((*opener)->plain);
    free(*opener);
    *opener = NULL;
}

bool blob_opener_take(struct blob_opener *o, struct slice chunk, uint64_t body, uint32_t index, char *out, size_t cap,
                      size_t *size_r)
{
    struct slice frame;
    unsigned long long raw;
    size_t size;

    if (chunk.size < 1)
        return false;
    if ((uint8_t)chunk.data[0] == CHUNK_SEALED || (uint8_t)chunk.data[0] == CHUNK_SEALED_1) {
        if (chunk.size > o->plain_room || !seal_open(&o->seal, chunk, body, index, o->plain, &size))
            return false;
        frame = slice_of((const char *)o->plain, size);
    } else if ((uint8_t)chunk.data[0] == CHUNK_PLAIN && !o->seal.context) {
        frame = slice_from(chunk, 1);
    } else {
        return false;
    }
    /* The frame's own word on its size is checked before it is believed. */
    raw = ZSTD_getFrameContentSize(frame.data, frame.size);
    if (raw == ZSTD_CONTENTSIZE_UNKNOWN || raw == ZSTD_CONTENTSIZE_ERROR || raw > BLOB_CHUNK_BYTES || raw > cap)
        return false;
    size = ZSTD_decompressDCtx(o->decompressor, out, cap, frame.data, frame.size);
    if (ZSTD_isError(size) || size != raw)
        return false;
    *size_r = size;
    return true;
}
