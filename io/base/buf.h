/* Growable bytes with a cap named at init. What is appended past the cap is refused, never
 * truncated: a size that a server chose becomes an ordinary error at the caller.
 */
#ifndef IO_BASE_BUF_H
#define IO_BASE_BUF_H

#include "io/base/err.h"
#include "io/base/slice.h"

/* Storage is the buf's own. Data is at data[head..head+size). */
struct buf {
    char *data;
    size_t head; /* bytes already consumed at the front */
    size_t size; /* bytes held */
    size_t room; /* bytes allocated */
    size_t cap;  /* size never exceeds this */
};

/* Allocates nothing until the first append. cap_bytes >= 1. */
void buf_init(struct buf *b, size_t cap_bytes);
/* Frees; the buf may be used again as after buf_init. */
void buf_deinit(struct buf *b);
/* Forgets the content, keeps the memory. */
void buf_clear(struct buf *b);
/* Frees the memory when nothing is held (idle connections should cost nothing). */
void buf_trim(struct buf *b);

/* What is held; valid until the next call on b. */
static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->data ? b->data + b->head : NULL, b->size);
}

/* Bytes that still fit under the cap. */
static inline size_t buf_space(const struct buf *b)
{
    return b->cap - b->size;
}

/* False, and nothing changed, when the cap would be passed. */
bool buf_append(struct buf *b, struct slice bytes) ERR_CHECK;
bool buf_append_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3))) ERR_CHECK;
/* Room for at least `bytes` more at the end, to be filled by the caller and then counted with
 * buf_commit. NULL when the cap would be passed. Valid until the next call on b. */
char *buf_reserve(struct buf *b, size_t bytes);
void buf_commit(struct buf *b, size_t bytes);
/* Drops `bytes` (at most size) from the front. */
void buf_consume(struct buf *b, size_t bytes);

#endif
