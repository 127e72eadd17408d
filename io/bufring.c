#include "io/bufring.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

static size_t ring_bytes(const struct bufring *b)
{
    return b->count * sizeof(struct io_uring_buf);
}

static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

int bufring_init(struct bufring *b, struct io_uring *ring, unsigned count, unsigned buffer_bytes)
{
    struct io_uring_buf_reg reg = { .ring_entries = count, .bgid = BUFRING_GROUP };
    int rc;

    *b = (struct bufring){ .count = count, .buffer_bytes = buffer_bytes };
    b->ring = map(ring_bytes(b));
    b->memory = map((size_t)count * buffer_bytes);
    if (!b->ring || !b->memory)
        return ENOMEM;
    reg.ring_addr = (unsigned long)b->ring;
    rc = io_uring_register_buf_ring(ring, &reg, 0);
    if (rc < 0)
        return -rc;
    io_uring_buf_ring_init(b->ring);
    for (unsigned id = 0; id < count; id++)
        bufring_recycle(b, id);
    return 0;
}

void bufring_deinit(struct bufring *b)
{
    if (b->ring)
        munmap(b->ring, ring_bytes(b));
    if (b->memory)
        munmap(b->memory, (size_t)b->count * b->buffer_bytes);
    *b = (struct bufring){ 0 };
}

char *bufring_data(const struct bufring *b, unsigned id)
{
    assert(id < b->count);
    return b->memory + (size_t)id * b->buffer_bytes;
}

void bufring_recycle(struct bufring *b, unsigned id)
{
    io_uring_buf_ring_add(b->ring, bufring_data(b, id), b->buffer_bytes, (unsigned short)id,
                          io_uring_buf_ring_mask(b->count), 0);
    io_uring_buf_ring_advance(b->ring, 1);
}
