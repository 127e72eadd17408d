#include "io/compression.h"

#include "io/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <zlib.h>

#define RATIO_MAX       256
#define ALLOWANCE_BYTES ((int64_t)256 << 20)

struct compression {
    z_stream in, out;
    int64_t allowance; /* inflated bytes still believed */
    bool dirty;        /* deflated since the last flush */
};

struct compression *compression_create(void)
{
    struct compression *s = mem_zero(1, sizeof *s);

    s->allowance = ALLOWANCE_BYTES;
    if (inflateInit2(&s->in, -15) != Z_OK || deflateInit2(&s->out, 1, Z_DEFLATED, -12, 5, Z_DEFAULT_STRATEGY) != Z_OK)
        abort(); /* out of memory is all that can be */
    return s;
}

void compression_destroy(struct compression **s)
{
    if (*s) {
        inflateEnd(&(*s)->in);
        deflateEnd(&(*s)->out);
        free(*s);
        *s = NULL;
    }
}

bool compression_inflate(struct compression *s, struct slice *in, char *out, size_t cap, size_t *size_r,
                         struct err *err_r)
{
    int rc;

    assert(in->size <= UINT32_MAX && cap >= 1 && cap <= UINT32_MAX);
    s->in.next_in = (unsigned char *)(uintptr_t)in->data;
    s->in.avail_in = (unsigned)in->size;
    s->in.next_out = (unsigned char *)out;
    s->in.avail_out = (unsigned)cap;
    rc = inflate(&s->in, Z_SYNC_FLUSH);
    *size_r = cap - s->in.avail_out;
    s->allowance += (int64_t)(in->size - s->in.avail_in) * RATIO_MAX - (int64_t)*size_r;
    *in = slice_from(*in, in->size - s->in.avail_in);
    if (s->allowance > ALLOWANCE_BYTES)
        s->allowance = ALLOWANCE_BYTES;
    if (rc == Z_STREAM_END)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_SESSION, ERR_ORIGIN_PROTOCOL, 0,
                       "the server ended its compressed stream");
    if (rc != Z_OK && rc != Z_BUF_ERROR)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_SESSION, ERR_ORIGIN_PROTOCOL, 0,
                       "the server's bytes are no DEFLATE: %s", s->in.msg ? s->in.msg : zError(rc));
    if (s->allowance < 0)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_SESSION, ERR_ORIGIN_PROTOCOL, 0,
                       "the server's compressed bytes grow more than %d times", RATIO_MAX);
    return true;
}

static size_t run(struct compression *s, struct slice *in, char *out, size_t cap, int flush)
{
    int rc;

    assert(in->size <= UINT32_MAX && cap >= 1 && cap <= UINT32_MAX);
    s->out.next_in = (unsigned char *)(uintptr_t)in->data;
    s->out.avail_in = (unsigned)in->size;
    s->out.next_out = (unsigned char *)out;
    s->out.avail_out = (unsigned)cap;
    rc = deflate(&s->out, flush);
    assert(rc == Z_OK || rc == Z_BUF_ERROR);
    *in = slice_from(*in, in->size - s->out.avail_in);
    return cap - s->out.avail_out;
}

size_t compression_deflate(struct compression *s, struct slice *in, char *out, size_t cap)
{
    s->dirty |= in->size > 0;
    return run(s, in, out, cap, Z_NO_FLUSH);
}

size_t compression_flush(struct compression *s, char *out, size_t cap)
{
    struct slice none = SLICE("");
    size_t size;

    if (!s->dirty)
        return 0;
    size = run(s, &none, out, cap, Z_SYNC_FLUSH);
    s->dirty = size == cap;
    return size;
}

bool compression_holds(const struct compression *s)
{
    return s->dirty;
}
