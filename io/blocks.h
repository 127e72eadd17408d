/* Blocks for bytes on their way out, lent per loop: a connection has one only while it has
 * something to send, so idle connections cost nothing and busy ones allocate nothing.
 */
#ifndef IO_BLOCKS_H
#define IO_BLOCKS_H

#include <stddef.h>

/* Four full TLS records with their overhead. */
#define BLOCK_BYTES 69632
#define BLOCKS_KEPT 64

struct blocks {
    void *kept[BLOCKS_KEPT];
    unsigned kept_count;
};

/* BLOCK_BYTES, uninitialised. */
char *blocks_lend(struct blocks *b);
void blocks_give_back(struct blocks *b, char *block);
void blocks_deinit(struct blocks *b);

#endif
