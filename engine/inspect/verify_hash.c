#include "engine/inspect/verify_hash.h"

#include "engine/imap/uidset.h"
#include "engine/message/assembly.h"
#include "engine/message/repair.h"
#include "engine/move/body_read.h"
#include "io/base/mem.h"

#include <openssl/evp.h>
#include <stdlib.h>

#define DEPTH          4u
#define BATCH_MESSAGES 20u
#define BATCH_BYTES    (512u * 1024u)

struct batch_read {
    struct hashing *hashing;
    uint32_t first, count; /* of the items */
    EVP_MD_CTX *digest;
    struct repair *repair; /* of the one message read, or NULL */
    uint64_t bytes;
};

/* Goes on, with the folder selected on the visit. Lost connections leave it `broken`. */
static void hashing_go(struct hashing *h);

static struct hash_item *item_of(struct batch_read *b, uint32_t uid)
{
    uint32_t low = b->first, high = b->first + b->count;
    struct hash_item *items = b->hashing->items;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (items[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < b->first + b->count && items[low].uid == uid ? &items[low] : NULL;
}

static void digest_begin(void *context)
{
    struct batch_read *b = context;

    b->bytes = 0;
    repair_destroy(&b->repair);
    if (b->hashing->items[b->first].repairs)
        b->repair = repair_create(b->hashing->items[b->first].repairs);
    EVP_DigestInit_ex(b->digest, EVP_sha256(), NULL);
}

static void body_begin(void *context, uint32_t uid, uint64_t size_bytes, uint64_t origin)
{
    (void)uid;
    (void)size_bytes;
    (void)origin;
    digest_begin(context);
}

static void digest_bytes(struct batch_read *b, struct slice bytes)
{
    if (!b->hashing->plain) {
        EVP_DigestUpdate(b->digest, bytes.data, bytes.size);
        return;
    }
    for (size_t from = 0, at = 0; at <= bytes.size; at++)
        if (at == bytes.size || bytes.data[at] == '\r' || bytes.data[at] == '\0') {
            EVP_DigestUpdate(b->digest, bytes.data + from, at - from);
            from = at + 1;
        }
}

static void digest_mended(struct batch_read *b)
{
    char mended[8192];
    size_t n;

    while ((n = repair_take(b->repair, mended, sizeof mended)) > 0)
        digest_bytes(b, slice_of(mended, n));
}

static void body_bytes(void *context, struct slice bytes)
{
    struct batch_read *b = context;

    b->bytes += bytes.size;
    if (!b->repair) {
        digest_bytes(b, bytes);
        return;
    }
    repair_add(b->repair, bytes);
    digest_mended(b);
}

static void digest_end(struct batch_read *b, struct hash_item *item)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (b->repair) {
        repair_end(b->repair);
        digest_mended(b);
        repair_destroy(&b->repair);
    }
    EVP_DigestFinal_ex(b->digest, digest, NULL);
    memcpy(item->digest, digest, sizeof item->digest);
    item->had = true;
}

static bool sizes_count(const struct hashing *h)
{
    return size_trust_of(h->sizes_right, h->sizes_wrong) != SIZES_ESTIMATES;
}

static void body_end(void *context, uint32_t uid, bool got_body, bool suspect)
{
    struct batch_read *b = context;
    struct hashing *h = b->hashing;
    struct hash_item *item = item_of(b, uid);

    if (!item || item->had || !got_body || suspect || b->bytes == 0)
        return;
    h->sizes_right += item->expected == b->bytes;
    h->sizes_wrong += item->expected && item->expected != b->bytes;
    if (!item->expected || item->expected == b->bytes || !sizes_count(h))
        digest_end(b, item);
}

static const struct session_body_events body_events = {
    .begin = body_begin,
    .bytes = body_bytes,
    .end = body_end,
};

/* What did not come with others is asked for alone; that not either: it cannot be had. */
static void batch_had(struct batch_read *b)
{
    struct hashing *h = b->hashing;

    for (uint32_t i = b->first; i < b->first + b->count; i++) {
        struct hash_item *item = &h->items[i];

        item->tried = item->had || item->laddered;
        item->laddered = true;
        if (!item->tried && i < h->next)
            h->next = i;
    }
}

static void batch_ended(void *context, const struct err *err)
{
    struct batch_read *b = context;
    struct hashing *h = b->hashing;

    h->inflight--;
    if (err && !visit_is_ready(h->visit)) {
        h->broken = true;
        h->next = b->first < h->next ? b->first : h->next;
    } else if (err && err->class != ERR_CLASS_PERMANENT && err->class != ERR_CLASS_TRANSIENT) {
        h->broken = true;
        h->next = b->first < h->next ? b->first : h->next;
        visit_failed(h->visit, TROUBLE_FETCH, err);
    } else if (err && b->count > 1) {
        h->single = true;
        h->next = b->first < h->next ? b->first : h->next;
    } else {
        batch_had(b);
        if (!err)
            visit_went_well(h->visit);
    }
    EVP_MD_CTX_free(b->digest);
    repair_destroy(&b->repair);
    free(b);
    if (!h->broken)
        hashing_go(h);
}

static void read_ended(void *context, const struct err *err)
{
    struct batch_read *b = context;

    if (!err)
        digest_end(b, &b->hashing->items[b->first]);
    batch_ended(b, err);
}

static const struct body_read_events read_events = {
    .begin = digest_begin,
    .bytes = body_bytes,
    .ended = read_ended,
};

static void send_batch(struct hashing *h)
{
    struct batch_read *b = mem_zero(1, sizeof *b);
    char text[1000];
    struct uidset set;
    uint64_t bytes = 0;

    b->hashing = h;
    b->first = h->next;
    b->digest = EVP_MD_CTX_new();
    uidset_init(&set, text, sizeof text);
    while (h->next < h->count) {
        struct hash_item *item = &h->items[h->next];

        if (item->had || item->tried) {
            if (b->count)
                break;
            b->first = ++h->next;
            continue;
        }
        if (b->count == (h->single ? 1 : BATCH_MESSAGES) ||
            (b->count && (bytes + item->size > BATCH_BYTES || item->repairs || item->laddered ||
                          h->items[b->first].repairs || h->items[b->first].laddered)) ||
            !uidset_add(&set, item->uid))
            break;
        bytes += item->size;
        b->count++;
        h->next++;
    }
    if (b->count == 0) {
        EVP_MD_CTX_free(b->digest);
        free(b);
        return;
    }
    h->inflight++;
    if (h->items[b->first].laddered) {
        struct body_read_ask ask = { .uid = h->items[b->first].uid,
                                     .expected_bytes = sizes_count(h) ? h->items[b->first].expected : 0,
                                     .tried = true };

        body_read_start(visit_source(h->visit), &ask, &read_events, b);
        return;
    }
    source_bodies(visit_source(h->visit), uidset_finish(&set), SESSION_BODY_PEEK, 0, 0, &body_events, batch_ended, b);
}

static void hashing_go(struct hashing *h)
{
    if (!visit_is_ready(h->visit)) {
        h->broken = true;
        return;
    }
    while (h->inflight < DEPTH && h->next < h->count)
        send_batch(h);
    if (h->inflight == 0 && h->next >= h->count)
        h->done(h->context);
}

void hashing_resume(struct hashing *h)
{
    h->broken = false;
    hashing_go(h);
}
