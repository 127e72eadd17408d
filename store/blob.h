/* Bodies on their way into the spool: raw bytes in, compressed chunks, digest and size out. One
 * chunk holds at most 256 KiB raw as one zstd frame of its own (level 1, content size, checksum;
 * encrypted when the spool has a key), so that memory a message needs never grows with its size and
 * no compression context lives longer than a call. Chunks of 256 KiB rather than of LMDB's best size
 * (1 MiB): a loop compresses a whole chunk in one go, about 1 ms.
 */
#ifndef STORE_BLOB_H
#define STORE_BLOB_H

#include "store/spool.h"

#define BLOB_CHUNK_BYTES (256u * 1024u)

/* Compression and digest contexts of one thread, reused for every message. */
struct blob_kit;
struct blob_kit *blob_kit_create(struct spool *spool);
void blob_kit_destroy(struct blob_kit **kit);

/* A chunk back to raw bytes, at most BLOB_CHUNK_BYTES. One per thread, like the kit. */
struct blob_opener;
struct blob_opener *blob_opener_create(struct spool *spool);
void blob_opener_destroy(struct blob_opener **opener);
/* out[cap]: too small a cap, like damage, a wrong key or a sealed chunk of another body or place, is false.
 * *size_r: raw bytes. */
bool blob_opener_take(struct blob_opener *opener, struct slice chunk, uint64_t body, uint32_t index, char *out,
                      size_t cap, size_t *size_r) ERR_CHECK;

/* A body being written. Storage is the caller's. */
struct blob_writer {
    struct blob_kit *kit;
    char *raw; /* gathered bytes of the current chunk */
    size_t raw_size, raw_room;
    uint32_t chunk; /* index of the current chunk */
    uint64_t body_bytes;
    uint64_t body; /* its number, this body's alone: no nonce of a sealed chunk comes twice */
    void *digest;  /* EVP_MD_CTX, pooled by the kit */
};
/* body: of spool_next_body; expected_bytes: the announced literal size; bounds the first allocation only. */
void blob_begin(struct blob_writer *w, struct blob_kit *kit, uint64_t body, uint64_t expected_bytes);
/* Takes bytes up to the end of the current chunk; *taken_r tells how many. When the chunk is full,
 * call blob_chunk before adding more. */
void blob_add(struct blob_writer *w, struct slice bytes, size_t *taken_r);
bool blob_chunk_full(const struct blob_writer *w);
/* Compresses the gathered bytes into a malloc'ed block for STORE_OP_CHUNK or _SPOOLED and starts the
 * next chunk. */
void blob_chunk(struct blob_writer *w, char **data_r, size_t *size_r);
/* Digest and size of all; call after the last blob_add (before or after its blob_chunk). */
void blob_finish(struct blob_writer *w, uint8_t digest_r[16], uint64_t *body_bytes_r);
/* Frees what the writer holds; after finish or at any point before. */
void blob_end(struct blob_writer *w);

#endif
