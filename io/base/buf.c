#include "io/base/buf.h"

#include "io/base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t cap_bytes)
{
    assert(cap_bytes >= 1);
    *b = (struct buf){ .cap = cap_bytes };
}

void buf_deinit(struct buf *b)
{
    free(b->data);
    buf_init(b, b->cap ? b->cap : 1);
}

void buf_clear(struct buf *b)
{
    b->head = b->size = 0;
}

void buf_trim(struct buf *b)
{
    if (b->size == 0) {
        free(b->data);
        b->data = NULL;
        b->head = b->room = 0;
    }
}

char *buf_reserve(struct buf *b, size_t bytes)
{
    size_t need;

    if (bytes > buf_space(b))
        return NULL;
    need = b->size + bytes;
    if (b->data && b->head + need <= b->room)
        return b->data + b->head + b->size;
    if (b->head && b->data && need <= b->room) {
        memmove(b->data, b->data + b->head, b->size);
    } else {
        size_t room = b->room ? b->room : 256;
        char *data;

        while (room < need)
            room = room > SIZE_MAX / 2 ? need : room * 2;
        if (room > b->cap && need <= b->cap)
            room = b->cap;
        data = mem_alloc(room);
        if (b->size)
            memcpy(data, b->data + b->head, b->size);
        free(b->data);
        b->data = data;
        b->room = room;
    }
    b->head = 0;
    return b->data + b->size;
}

void buf_commit(struct buf *b, size_t bytes)
{
    assert(b->head + b->size + bytes <= b->room && bytes <= buf_space(b));
    b->size += bytes;
}

bool buf_append(struct buf *b, struct slice bytes)
{
    char *at = buf_reserve(b, bytes.size);

    if (!at)
        return false;
    if (bytes.size)
        memcpy(at, bytes.data, bytes.size);
    b->size += bytes.size;
    return true;
}

bool buf_append_format(struct buf *b, const char *format, ...)
{
    va_list args;
    char small[256];
    int need;
    char *at;

    va_start(args, format);
    need = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (need < 0)
        return false;
    if ((size_t)need < sizeof small)
        return buf_append(b, slice_of(small, (size_t)need));
    /* vsnprintf writes a terminator that is not counted. */
    if ((size_t)need + 1 > buf_space(b))
        return false;
    at = buf_reserve(b, (size_t)need + 1);
    if (!at)
        return false;
    va_start(args, format);
    vsnprintf(at, (size_t)need + 1, format, args);
    va_end(args);
    b->size += (size_t)need;
    return true;
}

void buf_consume(struct buf *b, size_t bytes)
{
    assert(bytes <= b->size);
    b->size -= bytes;
    b->head = b->size ? b->head + bytes : 0;
}
