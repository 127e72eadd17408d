#include "engine/imap/uidset.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void uidset_init(struct uidset *set, char *text, size_t cap)
{
    assert(cap >= 24);
    *set = (struct uidset){ .text = text, .cap = cap };
}

static size_t digits(uint32_t value)
{
    size_t n = 1;

    while (value >= 10) {
        value /= 10;
        n++;
    }
    return n;
}

static size_t range_size(const struct uidset *set, uint32_t first, uint32_t last)
{
    return (set->size ? 1 : 0) + digits(first) + (last > first ? 1 + digits(last) : 0);
}

static void flush(struct uidset *set)
{
    int n;

    if (set->first == 0)
        return;
    if (set->last > set->first)
        n = snprintf(set->text + set->size, set->cap - set->size, "%s%u:%u", set->size ? "," : "", set->first,
                     set->last);
    else
        n = snprintf(set->text + set->size, set->cap - set->size, "%s%u", set->size ? "," : "", set->first);
    assert(n > 0 && (size_t)n < set->cap - set->size);
    set->size += (size_t)n;
    set->first = set->last = 0;
}

bool uidset_add(struct uidset *set, uint32_t uid)
{
    assert(uid >= set->last);
    if (set->first && uid == set->last)
        return true; /* a row that came twice is one message */
    if (set->first && uid == set->last + 1) {
        if (set->size + range_size(set, set->first, uid) >= set->cap)
            return false;
        set->last = uid;
        return true;
    }
    /* The open range, then a comma and the new one. */
    if (set->size + (set->first ? range_size(set, set->first, set->last) + 1 : 1) + digits(uid) >= set->cap)
        return false;
    flush(set);
    set->first = set->last = uid;
    return true;
}

struct slice uidset_finish(struct uidset *set)
{
    flush(set);
    return slice_of(set->text, set->size);
}

static bool number(struct slice word, uint32_t *value_r)
{
    if (slice_equal(word, SLICE("*"))) {
        *value_r = UINT32_MAX;
        return true;
    }
    return slice_u32(word, value_r) && *value_r != 0;
}

bool uidset_each(struct slice text, bool (*range)(void *context, struct uidset_range range), void *context)
{
    struct slice part, low;

    text = slice_trim(text);
    if (text.size == 0 || text.data[text.size - 1] == ',')
        return false;
    while (slice_split(&text, ',', &part)) {
        struct slice high = slice_trim(part);
        struct uidset_range r;

        if (!slice_split(&high, ':', &low) || !number(low, &r.first))
            return false;
        r.last = r.first;
        if (slice_find(part, ':') != SIZE_MAX && !number(high, &r.last))
            return false;
        if (r.last < r.first)
            r = (struct uidset_range){ r.last, r.first };
        if (!range(context, r))
            return false;
    }
    return true;
}

struct reading {
    struct uidset_range *ranges;
    unsigned count, cap;
};

static bool read_range(void *context, struct uidset_range range)
{
    struct reading *reading = context;

    if (reading->count == reading->cap)
        return false;
    reading->ranges[reading->count++] = range;
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct uidset_range *x = a, *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

unsigned uidset_merge(struct uidset_range *ranges, unsigned count)
{
    unsigned kept = 0;

    if (count > 1)
        qsort(ranges, count, sizeof *ranges, compare);
    for (unsigned i = 0; i < count; i++) {
        if (kept && ranges[i].first <= ranges[kept - 1].last) {
            if (ranges[i].last > ranges[kept - 1].last)
                ranges[kept - 1].last = ranges[i].last;
        } else {
            ranges[kept++] = ranges[i];
        }
    }
    return kept;
}

unsigned uidset_parse(struct slice text, struct uidset_range *ranges_r, unsigned cap)
{
    struct reading reading = { .ranges = ranges_r, .cap = cap };

    return uidset_each(text, read_range, &reading) ? uidset_merge(ranges_r, reading.count) : 0;
}

bool uidset_holds(const struct uidset_range *ranges, unsigned count, uint32_t uid)
{
    unsigned low = 0, high = count;

    if (count == 1 && ranges[0].first == UINT32_MAX)
        return true;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (uid > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && uid >= ranges[low].first;
}

struct expanding {
    uint32_t *uids;
    unsigned used, count;
};

static bool expand_range(void *context, struct uidset_range range)
{
    struct expanding *e = context;

    if (range.last == UINT32_MAX || range.last - range.first >= e->count - e->used)
        return false;
    for (uint32_t uid = range.first; uid <= range.last; uid++)
        e->uids[e->used++] = uid;
    return true;
}

bool uidset_expand(struct slice text, uint32_t *uids_r, unsigned count)
{
    struct expanding e = { .uids = uids_r, .count = count };

    return uidset_each(text, expand_range, &e) && e.used == count;
}
