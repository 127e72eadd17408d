/* test: io
 * A compressed stream from anybody: what comes out does not depend on the pieces it came in, and is no more than is
 * believed; and what we compress is read back as it was. */
#include "io/base/buf.h"
#include "io/compression.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUT_MAX (1u << 20)

/* Up to `most` bytes; false: the stream is none. */
static bool inflated(struct slice in, size_t piece, size_t cap, struct buf *out, size_t most)
{
    struct compression *s = compression_create();
    char bytes[4096];
    bool good = true;

    while (good && in.size && out->size < most) {
        struct slice now = slice_first(in, piece);
        size_t given = now.size, got = cap;

        in = slice_from(in, given);
        while (good && (now.size || got == cap) && out->size < most) {
            struct err err = { 0 };

            good = compression_inflate(s, &now, bytes, cap, &got, &err);
            if (got > cap || (!good && err.class != ERR_CLASS_PERMANENT))
                abort();
            if (!buf_append(out, slice_of(bytes, got)))
                abort();
        }
    }
    compression_destroy(&s);
    return good;
}

static void there_and_back(struct slice text, size_t cap)
{
    struct compression *s = compression_create();
    struct slice in = text;
    struct buf packed, back;
    char bytes[4096];
    size_t got;

    buf_init(&packed, 2 * OUT_MAX);
    buf_init(&back, 2 * OUT_MAX);
    while (in.size) {
        got = compression_deflate(s, &in, bytes, cap);
        if (!buf_append(&packed, slice_of(bytes, got)))
            abort();
    }
    do {
        got = compression_flush(s, bytes, cap);
        if (!buf_append(&packed, slice_of(bytes, got)))
            abort();
    } while (got == cap);
    if (compression_holds(s) || !inflated(buf_slice(&packed), 1 + cap / 2, cap, &back, SIZE_MAX) ||
        !slice_equal(buf_slice(&back), text))
        abort();
    compression_destroy(&s);
    buf_deinit(&packed);
    buf_deinit(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of((const char *)data, size);
    size_t piece, cap;
    struct buf whole, pieces;
    bool good, too;

    if (size < 2 || size > 65536)
        return 0;
    piece = 1 + data[0] % 64;
    cap = 16 + data[1];
    in = slice_from(in, 2);
    buf_init(&whole, 2 * OUT_MAX);
    buf_init(&pieces, 2 * OUT_MAX);
    good = inflated(in, SIZE_MAX, 4096, &whole, OUT_MAX);
    too = inflated(in, piece, cap, &pieces, OUT_MAX);
    /* Where either stopped because it had enough, the other one may have come further. */
    if (whole.size < OUT_MAX && pieces.size < OUT_MAX &&
        (good != too || !slice_equal(buf_slice(&whole), buf_slice(&pieces))))
        abort();
    there_and_back(in, cap);
    buf_deinit(&whole);
    buf_deinit(&pieces);
    return 0;
}
