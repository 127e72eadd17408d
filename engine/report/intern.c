#include "engine/report/intern.h"

#include "io/base/mem.h"

#include <stdlib.h>

static uint64_t mix(uint64_t h, const void *data, size_t size)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < size; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

#define HASH_START 0xcbf29ce484222325u

static uint64_t text_hash(struct slice text)
{
    return mix(HASH_START, text.data, text.size);
}

static uint64_t pair_hash(const struct intern_pair *p)
{
    return mix(mix(HASH_START, &p->from, sizeof p->from), &p->to, sizeof p->to);
}

/* Tables stay at most half full; slots 0 means free. */
static unsigned *bigger(unsigned *old, unsigned *count)
{
    free(old);
    *count = *count ? *count * 2 : 1024;
    return mem_zero(*count, sizeof *old);
}

unsigned intern_text(struct intern *in, struct slice text)
{
    unsigned at;

    if (in->count * 2 >= in->slot_count) {
        in->slots = bigger(in->slots, &in->slot_count);
        for (unsigned i = 0; i < in->count; i++) {
            for (at = (unsigned)text_hash(in->texts[i]) % in->slot_count; in->slots[at];)
                at = (at + 1) % in->slot_count;
            in->slots[at] = i + 1;
        }
    }
    for (at = (unsigned)text_hash(text) % in->slot_count; in->slots[at]; at = (at + 1) % in->slot_count)
        if (slice_equal(in->texts[in->slots[at] - 1], text))
            return in->slots[at] - 1;
    if (in->count == in->room) {
        in->room = in->room ? in->room * 2 : 256;
        in->texts = mem_resize(in->texts, in->room, sizeof *in->texts);
    }
    in->texts[in->count] = slice_of(slice_dup(text), text.size);
    in->slots[at] = ++in->count;
    return in->count - 1;
}

void intern_deinit(struct intern *in)
{
    for (unsigned i = 0; i < in->count; i++)
        free((char *)in->texts[i].data);
    free(in->texts);
    free(in->slots);
    *in = (struct intern){ 0 };
}

void intern_pair_add(struct intern_pairs *pairs, unsigned from, unsigned to, uint64_t messages)
{
    struct intern_pair pair = { from, to, 1, messages };
    unsigned at;

    if (pairs->count * 2 >= pairs->slot_count) {
        pairs->slots = bigger(pairs->slots, &pairs->slot_count);
        for (unsigned i = 0; i < pairs->count; i++) {
            for (at = (unsigned)pair_hash(&pairs->rows[i]) % pairs->slot_count; pairs->slots[at];)
                at = (at + 1) % pairs->slot_count;
            pairs->slots[at] = i + 1;
        }
    }
    for (at = (unsigned)pair_hash(&pair) % pairs->slot_count; pairs->slots[at]; at = (at + 1) % pairs->slot_count) {
        struct intern_pair *row = &pairs->rows[pairs->slots[at] - 1];

        if (row->from == from && row->to == to) {
            row->users++;
            row->messages += messages;
            return;
        }
    }
    if (pairs->count == pairs->room) {
        pairs->room = pairs->room ? pairs->room * 2 : 64;
        pairs->rows = mem_resize(pairs->rows, pairs->room, sizeof *pairs->rows);
    }
    pairs->rows[pairs->count++] = pair;
    pairs->slots[at] = pairs->count;
}

static int most_users(const void *a, const void *b)
{
    const struct intern_pair *x = a, *y = b;

    if (x->users != y->users)
        return x->users < y->users ? 1 : -1;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return x->to < y->to ? -1 : x->to > y->to;
}

void intern_pairs_sort(struct intern_pairs *pairs)
{
    if (pairs->count)
        qsort(pairs->rows, pairs->count, sizeof *pairs->rows, most_users);
}

void intern_pairs_deinit(struct intern_pairs *pairs)
{
    free(pairs->rows);
    free(pairs->slots);
    *pairs = (struct intern_pairs){ 0 };
}
