/* Receive buffers lent to an io_uring (buffer group 0): the kernel picks one when bytes arrive, so
 * idle connections hold none. Set up by hand because liburing 2.3 has no call for it.
 */
#ifndef IO_BUFRING_H
#define IO_BUFRING_H

#include <liburing.h>
#include <stdbool.h>

#define BUFRING_GROUP 0

struct bufring {
    struct io_uring_buf_ring *ring; /* page-aligned, shared with the kernel */
    char *memory;                   /* count * buffer_bytes */
    unsigned count, buffer_bytes;
};

/* count: a power of two up to 32,768. Returns 0 or an errno; a failed bufring may be deinited. */
int bufring_init(struct bufring *b, struct io_uring *ring, unsigned count, unsigned buffer_bytes);
/* After the ring has gone. */
void bufring_deinit(struct bufring *b);
/* The buffer a completion names (cqe->flags >> IORING_CQE_BUFFER_SHIFT). */
char *bufring_data(const struct bufring *b, unsigned id);
/* Lends it to the kernel again. */
void bufring_recycle(struct bufring *b, unsigned id);

#endif
