#include "engine/rules/header.h"
#include "engine/rules/twin_private.h"
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

void twin_key(struct slice header, uint8_t key_r[TWIN_KEY_BYTES])
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
    memcpy(key_r, digest, TWIN_KEY_BYTES);
    key_r[0] = (uint8_t)text[0];
}

struct twins *twins_create(struct quota_part *memory)
{
    struct twins *twins = mem_zero(1, sizeof *twins);

    twins->memory = memory;
    return twins;
}

void twins_destroy(struct twins **twins)
{
    if (*twins) {
        quota_let_go(&(*twins)->held);
        free((*twins)->all);
        free((*twins)->by_uid);
        twins_rows_free(*twins);
        free(*twins);
        *twins = NULL;
    }
}

void twins_add(struct twins *twins, const uint8_t key[TWIN_KEY_BYTES], const struct imap_date *date,
               uint64_t size_bytes, uint32_t uid)
{
    struct candidate *c;

    assert(!twins->rows);
    if (twins->count == twins->room) {
        twins->room = twins->room ? twins->room * 2 : 256;
        twins->all = mem_resize(twins->all, twins->room, sizeof *twins->all);
        quota_hold(&twins->held, twins->memory, twins->room * sizeof *twins->all);
    }
    c = &twins->all[twins->count++];
    memcpy(c->key, key, TWIN_KEY_BYTES);
    c->seconds = date->known ? date->seconds : INT64_MIN;
    c->size = size_bytes;
    c->uid = c->was = uid;
    twins->left++;
    twins->sorted = false;
    free(twins->by_uid);
    twins->by_uid = NULL;
}

static int by_key(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int order = memcmp(x->key, y->key, TWIN_KEY_BYTES);

    if (order == 0)
        order = (x->seconds > y->seconds) - (x->seconds < y->seconds);
    if (order == 0)
        order = (x->size > y->size) - (x->size < y->size);
    return order ? order : (x->was > y->was) - (x->was < y->was);
}

void twins_sort(struct twins *twins)
{
    if (!twins->sorted && twins->count) {
        qsort(twins->all, twins->count, sizeof *twins->all, by_key);
        free(twins->by_uid);
        twins->by_uid = NULL;
    }
    twins->sorted = true;
}

static int by_uid(const void *a, const void *b, void *all)
{
    uint32_t x = ((struct candidate *)all)[*(const size_t *)a].was;
    uint32_t y = ((struct candidate *)all)[*(const size_t *)b].was;

    return (x > y) - (x < y);
}

/* The candidate with this UID that is not taken, or NULL. */
static struct candidate *at_uid(struct twins *twins, uint32_t uid)
{
    size_t low = 0, high = twins->count;
    struct candidate *c;

    twins_sort(twins);
    if (!twins->by_uid) {
        twins->by_uid = mem_zero(twins->count, sizeof *twins->by_uid);
        for (size_t i = 0; i < twins->count; i++)
            twins->by_uid[i] = i;
        qsort_r(twins->by_uid, twins->count, sizeof *twins->by_uid, by_uid, twins->all);
    }
    /* Dropped ones keep their place here: their UID is compared through `was`. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (twins->all[twins->by_uid[middle]].was < uid)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == twins->count)
        return NULL;
    c = &twins->all[twins->by_uid[low]];
    return c->uid && c->was == uid ? c : NULL;
}

bool twins_at(struct twins *twins, uint32_t uid, struct twin_row *row_r)
{
    const struct candidate *c = at_uid(twins, uid);

    if (!c)
        return false;
    *row_r = (struct twin_row){ .seconds = c->seconds, .bytes = c->size, .uid = uid };
    memcpy(row_r->key, c->key, TWIN_KEY_BYTES);
    return true;
}

void twins_taken(struct twins *twins, struct candidate *candidate)
{
    candidate->uid = 0;
    twins->left--;
}

bool twins_drop_uid(struct twins *twins, uint32_t uid)
{
    struct candidate *c = at_uid(twins, uid);

    if (c)
        twins_taken(twins, c);
    return c != NULL;
}

/* The first candidate whose key is not below (above: is above) this one. */
static size_t bound(const struct twins *twins, const uint8_t key[TWIN_KEY_BYTES], bool above)
{
    size_t low = 0, high = twins->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(twins->all[middle].key, key, TWIN_KEY_BYTES) < (above ? 1 : 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t twins_of_key(struct twins *twins, const uint8_t key[TWIN_KEY_BYTES], size_t *first_r)
{
    twins_sort(twins);
    *first_r = bound(twins, key, false);
    return bound(twins, key, true) - *first_r;
}

size_t twins_of_date(const struct twins *twins, size_t first, size_t count, int64_t seconds, size_t *from_r)
{
    size_t bounds[2];

    for (unsigned above = 0; above < 2; above++) {
        size_t low = first, high = first + count;

        while (low < high) {
            size_t middle = low + (high - low) / 2;

            if (twins->all[middle].seconds < seconds ||
                (above && twins->all[middle].seconds == seconds))
                low = middle + 1;
            else
                high = middle;
        }
        bounds[above] = low;
    }
    *from_r = bounds[0];
    return bounds[1] - bounds[0];
}

size_t twins_count(const struct twins *twins)
{
    return twins->left;
}

size_t twins_left_of(struct twins *twins, const uint8_t key[TWIN_KEY_BYTES])
{
    size_t first, left = 0, count = twins_of_key(twins, key, &first);

    for (size_t i = first; i < first + count; i++)
        left += twins->all[i].uid != 0;
    return left;
}

bool twins_same(struct twins *a, struct twins *b)
{
    if (a->count != b->count)
        return false;
    twins_sort(a);
    twins_sort(b);
    for (size_t i = 0; i < a->count; i++)
        if (by_key(&a->all[i], &b->all[i]) != 0)
            return false;
    return true;
}
