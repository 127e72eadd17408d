/* test: move */
#include "engine/mailbox/disk/mbox.h"

#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The filter's output in pieces of so many. */
static size_t shown(const uint8_t *data, size_t size, size_t piece, char *out)
{
    struct disk_filter filter = { 0 };
    size_t used = 0, at = 0;

    do {
        size_t n = size - at < piece ? size - at : piece;

        used += mbox_filter(&filter, (const char *)data + at, n, at + n == size, out + used);
        at += n;
    } while (at < size);
    return used;
}

/* Any bytes as an mbox: messages that lie in it one behind the other, each with the digest and size that it has when it
 * is read alone; and a filter that gives the same whatever the pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *one = mem_alloc(2 * size + DISK_FILTER_MORE), *other = mem_alloc(2 * size + DISK_FILTER_MORE), digest[33];
    size_t used = shown(data, size, 1, one);
    struct mbox_scan scan;
    uint64_t end = 0;
    int fd = memfd_create("mbox", 0);

    if (used != shown(data, size, size + 1, other) || memcmp(one, other, used) != 0)
        abort();
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    if (mbox_scan(fd, size, &scan)) {
        for (uint32_t i = 0; i < scan.count; i++) {
            const struct mbox_found *m = &scan.all[i];

            if (m->at < end || m->at + m->raw_bytes > size || !mbox_digest(fd, m->at, m->raw_bytes, digest) ||
                strcmp(digest, m->digest) != 0 || m->bytes != shown(data + m->at, (size_t)m->raw_bytes, 7, one))
                abort();
            end = m->at + m->raw_bytes;
        }
        mbox_scan_deinit(&scan);
    }
    close(fd);
    free(one);
    free(other);
    return 0;
}
