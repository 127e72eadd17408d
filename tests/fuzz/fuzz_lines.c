/* test: imap
 * The parsers of single lines: replies, LIST, STATUS, NAMESPACE, FETCH, flags, dates, sets,
 * capabilities, verdicts. The first byte chooses. */
#include "engine/imap/caps.h"
#include "engine/imap/date.h"
#include "engine/imap/fetchitem.h"
#include "engine/imap/list.h"
#include "engine/imap/resp.h"
#include "engine/imap/token.h"
#include "engine/imap/uidset.h"
#include "engine/imap/verdict.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum;

/* Reads every byte, so that a slice that points nowhere is found out. */
static void touch(struct slice s)
{
    for (size_t i = 0; i < s.size; i++)
        sum += (unsigned char)s.data[i];
}

static void reply(struct slice line)
{
    struct resp resp;
    struct err err;

    resp_parse(&resp, line);
    touch(resp.code);
    touch(resp.code_args);
    touch(resp.text);
    touch(resp.rest);
    if (resp.kind != RESP_TAGGED && resp.kind != RESP_STATUS)
        return;
    for (unsigned doing = 0; doing < VERDICT_DOING_COUNT; doing++) {
        struct verdict_about about = { (enum verdict_doing)doing, doing % 2 };

        if (verdict_of(&resp, &about, &err) != (err.class != ERR_CLASS_NONE))
            abort();
    }
}

static void fetch(struct slice rest, struct buf *scratch)
{
    struct fetchitem item;

    if (fetchitem_parse(&item, rest, false, scratch)) {
        touch(item.row.flags.keywords);
        touch(item.row.header);
        touch(item.row.gm_labels);
        touch(item.row.email_id);
        touch(item.body_bytes);
    }
    if (fetchitem_parse(&item, rest, true, scratch))
        touch(item.pending);
}

static void space_row(void *context, unsigned kind, struct slice prefix, char delimiter)
{
    (void)context;
    sum += kind + (unsigned char)delimiter;
    touch(prefix);
}

static void mailboxes(struct slice rest, struct buf *scratch)
{
    struct imap_list_row row;
    struct imap_status status;
    struct slice name;

    if (list_row_parse(&row, rest, scratch)) {
        if (row.name.size == 0)
            abort();
        touch(row.name);
    }
    if (list_root_parse(&row, rest, scratch))
        touch(row.name);
    if (list_status_parse(&name, &status, rest, scratch))
        touch(name);
    (void)list_namespace_each(rest, space_row, NULL);
}

/* What is written is read as what it was. */
static void date(struct slice text)
{
    struct imap_date read = date_parse(text), again;
    char written[DATE_TEXT_SIZE];

    if (!read.known)
        return;
    if (read.zone_minutes < -840 || read.zone_minutes > 840)
        abort();
    again = date_parse(slice_cstr(date_format(&read, written)));
    if (!again.known || again.seconds != read.seconds || again.zone_minutes != read.zone_minutes)
        abort();
}

static void set(struct slice text)
{
    struct uidset_range ranges[64];
    uint32_t uids[64];
    unsigned count = uidset_parse(text, ranges, 64);

    for (unsigned i = 0; i < count; i++)
        if (ranges[i].first > ranges[i].last || ranges[i].first == 0 || (i && ranges[i].first <= ranges[i - 1].last) ||
            !uidset_holds(ranges, count, ranges[i].first) || !uidset_holds(ranges, count, ranges[i].last))
            abort();
    for (unsigned want = 1; want <= 64; want *= 4)
        if (uidset_expand(text, uids, want) && uids[want - 1] == 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf scratch;
    struct slice line;
    struct caps caps;
    char *copy;

    if (size == 0 || size > 16384)
        return 0;
    /* A copy of exact size: reading one byte too far is then seen. */
    copy = malloc(size);
    memcpy(copy, data + 1, size - 1);
    line = slice_of(copy, size - 1);
    buf_init(&scratch, 1 << 20);
    switch (data[0] % 6) {
    case 0:
        reply(line);
        break;
    case 1:
        fetch(line, &scratch);
        break;
    case 2:
        mailboxes(line, &scratch);
        break;
    case 3:
        date(line);
        break;
    case 4:
        set(line);
        break;
    default:
        caps_parse(&caps, line);
        sum += strlen(caps.text);
        break;
    }
    buf_deinit(&scratch);
    free(copy);
    return 0;
}
