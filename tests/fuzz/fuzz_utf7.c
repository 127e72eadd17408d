/* test: imap
 * Mailbox names: reading never fails, and what was well-formed comes back as it was. */
#include "engine/imap/utf7.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice name = slice_of((const char *)data, size);
    struct buf text, raw, again;
    bool strict;

    buf_init(&text, 1 << 20);
    buf_init(&raw, 1 << 20);
    buf_init(&again, 1 << 20);
    if (size <= 65536) {
        if (!utf7_decode(&text, name, &strict) || !utf7_encode(&raw, buf_slice(&text)))
            abort();
        if (strict && !slice_equal(buf_slice(&raw), name))
            abort();
        /* What was written is well-formed, and is read as what it was written from, unless that
         * holds what no name may hold (NUL). */
        if (!utf7_decode(&again, buf_slice(&raw), &strict) || !strict)
            abort();
        if (slice_find(buf_slice(&text), '\0') == SIZE_MAX && !slice_equal(buf_slice(&text), buf_slice(&again)))
            abort();
    }
    buf_deinit(&text);
    buf_deinit(&raw);
    buf_deinit(&again);
    return 0;
}
