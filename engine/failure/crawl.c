#include "engine/failure/crawl.h"

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void crawl_pass(struct crawl *crawl, uint64_t waited_ms, uint64_t bytes)
{
    crawl->owed_us += least(waited_ms, UINT32_MAX) * 1000;
    crawl->owed_us -= least(crawl->owed_us, least(bytes, UINT32_MAX) * 1000000 / CRAWL_BYTES_PER_S);
}

bool crawl_is_over(const struct crawl *crawl, uint32_t patience_ms)
{
    return crawl->owed_us > (uint64_t)patience_ms * CRAWL_PATIENCE * 1000;
}

void crawl_again(struct crawl *crawl, uint32_t patience_ms)
{
    crawl->owed_us = least(crawl->owed_us, (uint64_t)patience_ms * (CRAWL_PATIENCE - 1) * 1000);
}
