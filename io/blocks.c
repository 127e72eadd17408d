#include "io/blocks.h"

#include "io/base/mem.h"

#include <stdlib.h>

char *blocks_lend(struct blocks *b)
{
    return b->kept_count ? b->kept[--b->kept_count] : mem_alloc(BLOCK_BYTES);
}

void blocks_give_back(struct blocks *b, char *block)
{
    if (b->kept_count < BLOCKS_KEPT)
        b->kept[b->kept_count++] = block;
    else
        free(block);
}

void blocks_deinit(struct blocks *b)
{
    while (b->kept_count)
        free(b->kept[--b->kept_count]);
}
