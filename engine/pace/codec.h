/* Fixed-size records of plain numbers as bytes: little-endian, a version byte first, a checksum
 * last. Inline helpers for the other files of this folder.
 */
#ifndef ENGINE_PACE_CODEC_H
#define ENGINE_PACE_CODEC_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CODEC_SUM_BYTES 8

struct codec {
    uint8_t *at;
};
struct codec_reader {
    const uint8_t *at;
};

static inline void codec_put(struct codec *c, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        *c->at++ = (uint8_t)(value >> (8 * i));
}

static inline void codec_put_real(struct codec *c, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    codec_put(c, bits, 8);
}

static inline uint64_t codec_get(struct codec_reader *r, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)*r->at++ << (8 * i);
    return value;
}

static inline double codec_get_real(struct codec_reader *r)
{
    uint64_t bits = codec_get(r, 8);
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* FNV-1a: finds torn and foreign files, not enemies. */
static inline uint64_t codec_sum(const uint8_t *bytes, size_t size)
{
    uint64_t sum = 0xcbf29ce484222325u;

    for (size_t i = 0; i < size; i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3u;
    return sum;
}

/* Zeroes what is left of out[size] and puts the sum at its end. */
static inline void codec_seal(struct codec *c, uint8_t *out, size_t size)
{
    memset(c->at, 0, (size_t)(out + size - c->at));
    c->at = out + size - CODEC_SUM_BYTES;
    codec_put(c, codec_sum(out, size - CODEC_SUM_BYTES), 8);
}

/* Whether bytes[have] is a sealed record of this size and version byte; then *r stands behind it.
 */
static inline bool codec_open(struct codec_reader *r, const uint8_t *bytes, size_t have, size_t size, uint8_t version)
{
    struct codec_reader end;

    if (have != size || bytes[0] != version)
        return false;
    end.at = bytes + size - CODEC_SUM_BYTES;
    r->at = bytes + 1;
    return codec_get(&end, 8) == codec_sum(bytes, size - CODEC_SUM_BYTES);
}

/* A rate or weight that arithmetic may be done with. */
static inline bool codec_real_ok(double value, double most)
{
    return isfinite(value) && value >= 0 && value <= most;
}

/* Wall times within some 30,000 years, so that sums cannot wrap. */
static inline bool codec_time_ok(int64_t wall_ms)
{
    return wall_ms >= 0 && wall_ms <= INT64_C(1000000000000000);
}

#endif
