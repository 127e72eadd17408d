/* test: message
 * Mending a message: the same in whatever pieces it comes, without what was to be left out, and what was found in it
 * is found again. */
#include "engine/message/repair.h"
#include "io/base/buf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(unsigned repairs, struct slice mail, size_t step, struct buf *out)
{
    struct repair *r = repair_create(repairs);
    char piece[700];
    size_t got;
    bool over = false;

    while (!over) {
        struct slice now = slice_first(mail, step);

        over = mail.size == 0;
        if (over)
            repair_end(r);
        else
            repair_add(r, now);
        mail = slice_from(mail, now.size);
        while ((got = repair_take(r, piece, step < sizeof piece ? step : sizeof piece)) > 0)
            if (!buf_append(out, slice_of(piece, got)))
                abort();
    }
    repair_destroy(&r);
}

static void look(struct slice mail, size_t step, struct repair_found *found_r)
{
    struct repair_scan *scan = repair_scan_create();

    while (mail.size) {
        repair_scan_add(scan, slice_first(mail, step));
        mail = slice_from(mail, step < mail.size ? step : mail.size);
    }
    repair_scan_end(&scan, found_r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice mail = slice_of((const char *)data, size);
    struct repair_found whole = { 0 }, parts = { 0 };
    struct buf a, b;
    unsigned repairs;
    size_t step;

    if (size < 3 || size > 60000)
        return 0;
    repairs = data[0];
    step = 1 + data[1] % 64;
    mail = slice_from(mail, 2);
    buf_init(&a, 1 << 22);
    buf_init(&b, 1 << 22);
    mend(repairs, mail, 65536, &a);
    mend(repairs, mail, step, &b);
    if (!slice_equal(buf_slice(&a), buf_slice(&b)))
        abort();
    if ((repairs & REPAIR_NUL) && slice_find(buf_slice(&a), '\0') != SIZE_MAX)
        abort();
    look(mail, 65536, &whole);
    look(mail, step, &parts);
    if (whole.longest_line != parts.longest_line || whole.nul != parts.nul || whole.bare_ends != parts.bare_ends ||
        whole.header_bytes != parts.header_bytes || whole.header_lines != parts.header_lines ||
        whole.header_end != parts.header_end)
        abort();
    if (repairs & REPAIR_LINE_ENDS) {
        look(buf_slice(&a), 65536, &parts);
        if (parts.bare_ends)
            abort();
    }
    buf_deinit(&a);
    buf_deinit(&b);
    return 0;
}
