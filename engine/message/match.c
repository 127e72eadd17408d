#include "engine/message/header.h"
#include "engine/message/match_private.h"
#include "io/base/mem.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define HEADER_LOOKED_AT 262144
#define FIELD_MAX        2048

/* Appends the field's value with folding undone and runs of blanks made one. */
static size_t normalize(struct slice value, char *out, size_t cap)
{
    size_t used = 0;
    bool blank = false;

    for (size_t i = 0; i < value.size && used + 2 < cap; i++) {
        char c = value.data[i];

        if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0') {
            blank = used > 0;
        } else {
            if (blank)
                out[used++] = ' ';
            blank = false;
            out[used++] = c;
        }
    }
    return used;
}

void match_key(struct slice header, uint8_t key_r[MATCH_KEY_BYTES])
{
    static const struct slice dated[] = { SLICE("Date"), SLICE("From"), SLICE("Subject") };
    char text[4 * FIELD_MAX];
    size_t size = 1;
    unsigned char digest[EVP_MAX_MD_SIZE];

    header = slice_first(header, HEADER_LOOKED_AT);
    text[0] = 'M';
    size += normalize(header_field(header, SLICE("Message-ID")), text + 1, FIELD_MAX);
    if (size == 1) {
        text[0] = 'D';
        for (unsigned i = 0; i < sizeof dated / sizeof *dated; i++) {
            text[size++] = '\n';
            size += normalize(header_field(header, dated[i]), text + size, FIELD_MAX);
        }
        if (size == 4)
            text[0] = 'E';
    }
    EVP_Digest(text, size, digest, NULL, EVP_sha256(), NULL);
    memcpy(key_r, digest, MATCH_KEY_BYTES);
    key_r[0] = (uint8_t)text[0];
}

struct matcher *matcher_create(struct quota_part *memory)
{
    struct matcher *matcher = mem_zero(1, sizeof *matcher);

    matcher->memory = memory;
    matcher->ours_from = UINT32_MAX;
    return matcher;
}

void matcher_ours_from(struct matcher *matcher, uint32_t uid)
{
    matcher->ours_from = uid;
}

void matcher_destroy(struct matcher **matcher)
{
    if (*matcher) {
        quota_let_go(&(*matcher)->held);
        free((*matcher)->all);
        free((*matcher)->by_uid);
        matcher_rows_free(*matcher);
        free(*matcher);
        *matcher = NULL;
    }
}

void matcher_add(struct matcher *matcher, const uint8_t key[MATCH_KEY_BYTES], const struct imap_date *date,
                 uint64_t size_bytes, uint32_t uid)
{
    struct candidate *c;

    assert(!matcher->rows);
    if (matcher->count == matcher->room) {
        matcher->room = matcher->room ? matcher->room * 2 : 256;
        matcher->all = mem_resize(matcher->all, matcher->room, sizeof *matcher->all);
        quota_hold(&matcher->held, matcher->memory, matcher->room * sizeof *matcher->all);
    }
    c = &matcher->all[matcher->count++];
    memcpy(c->key, key, MATCH_KEY_BYTES);
    c->seconds = date->known ? date->seconds : INT64_MIN;
    c->size = size_bytes;
    c->uid = c->was = uid;
    matcher->left++;
    matcher->sorted = false;
    free(matcher->by_uid);
    matcher->by_uid = NULL;
}

static int by_key(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int order = memcmp(x->key, y->key, MATCH_KEY_BYTES);

    if (order == 0)
        order = (x->seconds > y->seconds) - (x->seconds < y->seconds);
    if (order == 0)
        order = (x->size > y->size) - (x->size < y->size);
    return order ? order : (x->was > y->was) - (x->was < y->was);
}

void matcher_sort(struct matcher *matcher)
{
    if (!matcher->sorted && matcher->count) {
        qsort(matcher->all, matcher->count, sizeof *matcher->all, by_key);
        free(matcher->by_uid);
        matcher->by_uid = NULL;
    }
    matcher->sorted = true;
}

static int by_uid(const void *a, const void *b, void *all)
{
    uint32_t x = ((struct candidate *)all)[*(const size_t *)a].was;
    uint32_t y = ((struct candidate *)all)[*(const size_t *)b].was;

    return (x > y) - (x < y);
}

/* The candidate with this UID that is not taken, or NULL. */
static struct candidate *at_uid(struct matcher *matcher, uint32_t uid)
{
    size_t low = 0, high = matcher->count;
    struct candidate *c;

    matcher_sort(matcher);
    if (!matcher->by_uid) {
        matcher->by_uid = mem_zero(matcher->count, sizeof *matcher->by_uid);
        for (size_t i = 0; i < matcher->count; i++)
            matcher->by_uid[i] = i;
        qsort_r(matcher->by_uid, matcher->count, sizeof *matcher->by_uid, by_uid, matcher->all);
    }
    /* Dropped ones keep their place here: their UID is compared through `was`. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (matcher->all[matcher->by_uid[middle]].was < uid)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == matcher->count)
        return NULL;
    c = &matcher->all[matcher->by_uid[low]];
    return c->uid && c->was == uid ? c : NULL;
}

bool matcher_at(struct matcher *matcher, uint32_t uid, struct match_row *row_r)
{
    const struct candidate *c = at_uid(matcher, uid);

    if (!c)
        return false;
    *row_r = (struct match_row){ .seconds = c->seconds, .bytes = c->size, .uid = uid };
    memcpy(row_r->key, c->key, MATCH_KEY_BYTES);
    return true;
}

void matcher_taken(struct matcher *matcher, struct candidate *candidate)
{
    candidate->uid = 0;
    matcher->left--;
}

bool matcher_drop_uid(struct matcher *matcher, uint32_t uid)
{
    struct candidate *c = at_uid(matcher, uid);

    if (c)
        matcher_taken(matcher, c);
    return c != NULL;
}

/* The first candidate whose key is not below (above: is above) this one. */
static size_t bound(const struct matcher *matcher, const uint8_t key[MATCH_KEY_BYTES], bool above)
{
    size_t low = 0, high = matcher->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(matcher->all[middle].key, key, MATCH_KEY_BYTES) < (above ? 1 : 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t matcher_of_key(struct matcher *matcher, const uint8_t key[MATCH_KEY_BYTES], size_t *first_r)
{
    matcher_sort(matcher);
    *first_r = bound(matcher, key, false);
    return bound(matcher, key, true) - *first_r;
}

size_t matcher_of_date(const struct matcher *matcher, size_t first, size_t count, int64_t seconds, size_t *from_r)
{
    size_t bounds[2];

    for (unsigned above = 0; above < 2; above++) {
        size_t low = first, high = first + count;

        while (low < high) {
            size_t middle = low + (high - low) / 2;

            if (matcher->all[middle].seconds < seconds || (above && matcher->all[middle].seconds == seconds))
                low = middle + 1;
            else
                high = middle;
        }
        bounds[above] = low;
    }
    *from_r = bounds[0];
    return bounds[1] - bounds[0];
}

size_t matcher_count(const struct matcher *matcher)
{
    return matcher->left;
}

size_t matcher_left_of(struct matcher *matcher, const uint8_t key[MATCH_KEY_BYTES])
{
    size_t first, left = 0, count = matcher_of_key(matcher, key, &first);

    for (size_t i = first; i < first + count; i++)
        left += matcher->all[i].uid != 0;
    return left;
}

bool matcher_same(struct matcher *a, struct matcher *b)
{
    if (a->count != b->count)
        return false;
    matcher_sort(a);
    matcher_sort(b);
    for (size_t i = 0; i < a->count; i++)
        if (by_key(&a->all[i], &b->all[i]) != 0)
            return false;
    return true;
}
