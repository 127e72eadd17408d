/* The numbers and texts that records are made of, as bytes. Every packed record begins with a
 * version byte and ends with a check over key and content: a record that was cut, changed or stands
 * under another key is refused, not misread. Internal to store/; the records are store/codec.
 */
#ifndef STORE_PACK_H
#define STORE_PACK_H

#include "io/base/slice.h"

#define PACK_VERSION     1      /* of every record kind of this format */
#define RECORD_BYTES_MAX 24576u /* an encoded record, chunks and named values excepted */

/* Room for one encoded record, which is not worth clearing for each of millions (the compiler clears what has no
 * value yet). */
#ifdef __has_attribute
#if __has_attribute(uninitialized)
#define RECORD_ROOM(name) uint8_t name[RECORD_BYTES_MAX] __attribute__((uninitialized))
#endif
#endif
#ifndef RECORD_ROOM
#define RECORD_ROOM(name) uint8_t name[RECORD_BYTES_MAX]
#endif

static inline void put_be32(uint8_t *out, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (24 - 8 * i));
}

static inline uint32_t get_be32(const char *in)
{
    const uint8_t *p = (const uint8_t *)in;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* To out[RECORD_BYTES_MAX]; a record whose texts keep their bounds fits. */
struct packing {
    uint8_t *out;
    size_t size;
    bool over; /* a text passed its bound: there is no record */
};

struct packing pack_begin(uint8_t *out);
void pack_byte(struct packing *w, unsigned v);
void pack_number(struct packing *w, uint64_t v);
/* Zigzag: small negative numbers stay short. */
void pack_signed(struct packing *w, int64_t v);
void pack_bytes(struct packing *w, const void *data, size_t size);
/* s may be somebody else's, and of any length: past max the record is refused as a whole. Who can do with
 * less cuts before. */
void pack_slice(struct packing *w, struct slice s, size_t max);
/* text: NUL-terminated within cap bytes. */
void pack_text(struct packing *w, const char *text, size_t cap);
/* Returns the size of the whole record; 0 when a text passed its bound. */
size_t pack_end(struct packing *w, struct slice key);

/* Reading past the end, or a bad value, clears ok; what is read then is zero. */
struct unpacking {
    const uint8_t *at;
    size_t left;
    bool ok;
};

struct unpacking unpack_begin(struct slice key, struct slice value);
unsigned unpack_byte(struct unpacking *r);
uint64_t unpack_number(struct unpacking *r);
uint32_t unpack_u32(struct unpacking *r);
int64_t unpack_signed(struct unpacking *r);
/* A byte below limit. */
unsigned unpack_below(struct unpacking *r, unsigned limit);
void unpack_bytes(struct unpacking *r, void *out, size_t size);
/* Points into the value. */
struct slice unpack_slice(struct unpacking *r, size_t max);
/* To out[cap], NUL-terminated. */
void unpack_text(struct unpacking *r, char *out, size_t cap);
/* Do its version and check say that this is what was packed under this key? */
bool pack_right(struct slice key, struct slice value);
/* Was all of it well, and is nothing left? */
bool unpack_end(const struct unpacking *r);

#endif
