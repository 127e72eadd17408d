#include "store/pack.h"

#include <assert.h>

#define CHECK_BYTES 4

/* FNV-1a, 32 bits: each step is a bijection of the sum, so any change of one byte shows for
 * certain, and records are too short (tens of bytes) for anything faster to matter. LMDB 0.9 itself
 * has no page checksums. */
static uint32_t check_of(struct slice key, const uint8_t *data, size_t size)
{
    uint32_t h = 0x811c9dc5u;

    for (size_t i = 0; i < key.size; i++)
        h = (h ^ (uint8_t)key.data[i]) * 0x01000193u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ data[i]) * 0x01000193u;
    return h;
}

void pack_byte(struct packing *w, unsigned v)
{
    assert(v <= 255 && w->size < RECORD_BYTES_MAX - CHECK_BYTES);
    w->out[w->size++] = (uint8_t)v;
}

void pack_number(struct packing *w, uint64_t v)
{
    while (v >= 0x80) {
        pack_byte(w, (unsigned)(v & 0x7F) | 0x80);
        v >>= 7;
    }
    pack_byte(w, (unsigned)v);
}

void pack_signed(struct packing *w, int64_t v)
{
    pack_number(w, (uint64_t)v << 1 ^ (uint64_t)(v < 0 ? -1 : 0));
}

void pack_bytes(struct packing *w, const void *data, size_t size)
{
    assert(size <= RECORD_BYTES_MAX - CHECK_BYTES - w->size);
    if (size)
        memcpy(w->out + w->size, data, size);
    w->size += size;
}

void pack_slice(struct packing *w, struct slice s, size_t max)
{
    if (s.size > max) {
        w->over = true;
        return;
    }
    pack_number(w, s.size);
    pack_bytes(w, s.data, s.size);
}

void pack_text(struct packing *w, const char *text, size_t cap)
{
    pack_slice(w, slice_of(text, strnlen(text, cap - 1)), cap - 1);
}

struct packing pack_begin(uint8_t *out)
{
    struct packing w = { out, 0, false };

    pack_byte(&w, PACK_VERSION);
    return w;
}

size_t pack_end(struct packing *w, struct slice key)
{
    if (w->over)
        return 0;
    put_be32(w->out + w->size, check_of(key, w->out, w->size));
    return w->size + CHECK_BYTES;
}

unsigned unpack_byte(struct unpacking *r)
{
    if (!r->ok || r->left == 0) {
        r->ok = false;
        return 0;
    }
    r->left--;
    return *r->at++;
}

uint64_t unpack_number(struct unpacking *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned b = unpack_byte(r);

        if (shift == 63 && b > 1)
            break;
        v |= (uint64_t)(b & 0x7F) << shift;
        if (!(b & 0x80))
            return r->ok ? v : 0;
    }
    r->ok = false;
    return 0;
}

uint32_t unpack_u32(struct unpacking *r)
{
    uint64_t v = unpack_number(r);

    if (v > UINT32_MAX) {
        r->ok = false;
        return 0;
    }
    return (uint32_t)v;
}

int64_t unpack_signed(struct unpacking *r)
{
    uint64_t v = unpack_number(r);

    return (int64_t)(v >> 1 ^ (v & 1 ? UINT64_MAX : 0));
}

unsigned unpack_below(struct unpacking *r, unsigned limit)
{
    unsigned v = unpack_byte(r);

    if (v >= limit) {
        r->ok = false;
        return 0;
    }
    return v;
}

void unpack_bytes(struct unpacking *r, void *out, size_t size)
{
    if (!r->ok || r->left < size) {
        r->ok = false;
        memset(out, 0, size);
        return;
    }
    memcpy(out, r->at, size);
    r->at += size;
    r->left -= size;
}

struct slice unpack_slice(struct unpacking *r, size_t max)
{
    uint64_t size = unpack_number(r);
    struct slice s;

    if (!r->ok || size > max || size > r->left) {
        r->ok = false;
        return slice_of(NULL, 0);
    }
    s = slice_of((const char *)r->at, (size_t)size);
    r->at += size;
    r->left -= size;
    return s;
}

void unpack_text(struct unpacking *r, char *out, size_t cap)
{
    struct slice s = unpack_slice(r, cap - 1);

    if (slice_find(s, '\0') != SIZE_MAX)
        r->ok = false;
    if (s.size)
        memcpy(out, s.data, s.size);
    out[s.size] = '\0';
}

struct unpacking unpack_begin(struct slice key, struct slice value)
{
    struct unpacking r = { (const uint8_t *)value.data, 0, false };

    if (value.size < 1 + CHECK_BYTES || value.size > RECORD_BYTES_MAX)
        return r;
    r.left = value.size - CHECK_BYTES;
    r.ok = check_of(key, r.at, r.left) == get_be32(value.data + r.left);
    if (unpack_byte(&r) != PACK_VERSION)
        r.ok = false;
    return r;
}

bool pack_right(struct slice key, struct slice value)
{
    return unpack_begin(key, value).ok;
}

bool unpack_end(const struct unpacking *r)
{
    return r->ok && r->left == 0;
}
