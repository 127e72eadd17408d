#include "engine/message/match_assign.h"

#include "io/base/mem.h"

#include <stdlib.h>

int match_message_order(const void *a, const void *b)
{
    const struct match_message *x = a, *y = b;
    int order = (x->seconds > y->seconds) - (x->seconds < y->seconds);

    if (order == 0)
        order = (x->bytes > y->bytes) - (x->bytes < y->bytes);
    if (order == 0)
        order = (x->digest > y->digest) - (x->digest < y->digest);
    if (order == 0)
        order = x->decided - y->decided;
    return order ? order : (x->uid > y->uid) - (x->uid < y->uid);
}

/* One part of the matter: messages and copies that may belong together, both by size. */
struct part {
    struct match_message **messages;
    size_t message_count;
    const uint32_t *copies; /* indices */
    size_t copy_count;
    const struct match_copy *all;
    const struct match_rules *rules;
};

static uint64_t size_of(const struct part *p, size_t copy)
{
    return p->all[p->copies[copy]].bytes;
}

/* Neither size nor content tells them apart: a copy of one is a copy of the other. */
static bool are_alike(const struct match_message *a, const struct match_message *b)
{
    return a->bytes == b->bytes && a->digest == b->digest;
}

static void doubt(const struct part *p, size_t first, size_t last)
{
    for (size_t m = first; m < last; m++)
        p->messages[m]->doubtful = true;
}

/* Of the messages [first, last), all of one size, and copies from `from` on: where these are fewer,
 * of those that are alike so many are there as there are more copies than others. Returns how many
 * messages are in doubt. */
static size_t give(const struct part *p, size_t first, size_t last, size_t from, size_t copies)
{
    size_t count = last - first, doubts = 0;

    for (size_t m = first, end; m < last; m = end) {
        size_t others, sure;

        for (end = m + 1; end < last && are_alike(p->messages[m], p->messages[end]); end++)
            ;
        others = copies >= count ? 0 : count - (end - m);
        sure = copies > others ? copies - others : 0;
        if (others && copies) {
            doubts += end - m;
            doubt(p, m, end);
        }
        for (size_t i = m; i < end && i < m + sure; i++)
            p->messages[i]->pair = p->copies[from++];
    }
    return doubts;
}

static size_t by_exact_size(const struct part *p)
{
    size_t c = 0, doubts = 0;

    for (size_t m = 0, end; m < p->message_count; m = end) {
        uint64_t bytes = p->messages[m]->bytes;
        size_t from, to;

        for (end = m; end < p->message_count && p->messages[end]->bytes == bytes; end++)
            ;
        while (c < p->copy_count && size_of(p, c) < bytes)
            c++;
        for (from = to = c; to < p->copy_count && size_of(p, to) == bytes; to++)
            ;
        c = to;
        doubts += give(p, m, end, from, to - from);
    }
    return doubts;
}

/* Sizes of a copy of the message: as copies deviate here, where that was learnt, else any that is
 * possible. */
static struct match_range range_of(const struct part *p, size_t message, bool learnt)
{
    struct match_range range;

    if (!learnt || !match_sizes_learnt(p->rules->fidelity, p->messages[message]->bytes, &range))
        range = match_sizes_of(p->rules->fidelity, p->messages[message]->bytes);
    return range;
}

/* Each message has a copy: then it does not matter which is whose. The ranges of larger messages
 * begin and end later, so that the first free copy is the right one to take. */
static bool all_have_one(const struct part *p, bool learnt)
{
    size_t c = 0;

    if (p->message_count > p->copy_count)
        return false;
    for (size_t m = 0; m < p->message_count; m++, c++) {
        struct match_range range = range_of(p, m, learnt);

        while (c < p->copy_count && size_of(p, c) < range.least)
            c++;
        if (c == p->copy_count || size_of(p, c) > range.most)
            return false;
        p->messages[m]->pair = p->copies[c];
    }
    return true;
}

/* Copies go to those messages of which they can be alone; what may be of one or another goes to
 * none. */
static size_t by_likely_size(const struct part *p, bool learnt)
{
    size_t first = 0, last = 0, next = 0, doubts = 0;

    for (size_t m = 0; m < p->message_count; m++)
        p->messages[m]->pair = MATCH_UNPAIRED;
    for (size_t c = 0; c < p->copy_count && first < p->message_count; c++) {
        while (first < p->message_count && range_of(p, first, learnt).most < size_of(p, c))
            first++;
        if (last < first)
            last = first;
        while (last < p->message_count && range_of(p, last, learnt).least <= size_of(p, c))
            last++;
        if (first == last)
            continue;
        if (next < first)
            next = first;
        if (!are_alike(p->messages[first], p->messages[last - 1])) {
            doubts++;
            doubt(p, first, last);
        } else if (next < last) {
            p->messages[next++]->pair = p->copies[c];
        }
    }
    return doubts;
}

static size_t assign_cluster(const struct part *p)
{
    struct match_range unused;
    bool learnt = match_sizes_learnt(p->rules->fidelity, 0, &unused);

    if (are_alike(p->messages[0], p->messages[p->message_count - 1]))
        return by_likely_size(p, false);
    if (all_have_one(p, learnt))
        return learnt ? 0 : p->message_count;
    return by_likely_size(p, learnt);
}

/* Parts the messages into those that may have copies in common. */
static size_t by_clusters(const struct part *p)
{
    size_t c = 0, doubts = 0;

    for (size_t m = 0, end; m < p->message_count; m = end) {
        struct match_range range = match_sizes_of(p->rules->fidelity, p->messages[m]->bytes);
        struct part cluster = *p;
        size_t to;

        while (c < p->copy_count && size_of(p, c) < range.least)
            c++;
        for (to = c; to < p->copy_count && size_of(p, to) <= range.most; to++)
            ;
        for (end = m + 1; end < p->message_count; end++) {
            range = match_sizes_of(p->rules->fidelity, p->messages[end]->bytes);
            if (to == c || size_of(p, to - 1) < range.least)
                break;
            while (to < p->copy_count && size_of(p, to) <= range.most)
                to++;
        }
        cluster.messages += m;
        cluster.message_count = end - m;
        cluster.copies += c;
        cluster.copy_count = to - c;
        if (to > c)
            doubts += assign_cluster(&cluster);
        c = to;
    }
    return doubts;
}

static size_t assign_part(const struct part *p)
{
    if (p->message_count == 0 || p->copy_count == 0)
        return 0;
    return p->rules->sizes_exact ? by_exact_size(p) : by_clusters(p);
}

static int by_size(const void *a, const void *b)
{
    const struct match_message *x = *(struct match_message *const *)a;
    const struct match_message *y = *(struct match_message *const *)b;
    int order = (x->bytes > y->bytes) - (x->bytes < y->bytes);

    if (order == 0)
        order = (x->digest > y->digest) - (x->digest < y->digest);
    if (order == 0)
        order = x->decided - y->decided;
    return order ? order : (x->uid > y->uid) - (x->uid < y->uid);
}

static int by_bytes(const void *a, const void *b, void *context)
{
    const struct match_copy *all = context;
    const struct match_copy *x = &all[*(const uint32_t *)a], *y = &all[*(const uint32_t *)b];

    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* What no date has paired, of the first `rest` messages, by its size alone; sent: of those only what was sent, and what
 * came after that. */
static size_t assign_rest(struct part *p, struct match_message *messages, size_t message_count, size_t rest, bool sent,
                          uint32_t *copies, size_t copy_count)
{
    bool *taken = mem_zero(copy_count, sizeof *taken);

    p->message_count = p->copy_count = 0;
    for (size_t m = 0; m < message_count; m++)
        if (messages[m].pair != MATCH_UNPAIRED)
            taken[messages[m].pair] = true;
        else if (m < rest && (messages[m].sent || !sent))
            p->messages[p->message_count++] = &messages[m];
    for (size_t c = 0; c < copy_count; c++)
        if (!taken[c] && (p->all[c].ours || !sent))
            copies[p->copy_count++] = (uint32_t)c;
    free(taken);
    qsort(p->messages, p->message_count, sizeof *p->messages, by_size);
    qsort_r(copies, p->copy_count, sizeof *copies, by_bytes, (void *)p->all);
    p->copies = copies;
    return assign_part(p);
}

size_t match_assign(struct match_message *messages, size_t message_count, const struct match_copy *copies,
                    size_t copy_count, const struct match_rules *rules)
{
    struct part p = { .all = copies, .rules = rules };
    struct match_rules very_size = *rules;
    uint32_t *indices = mem_zero(copy_count + 1, sizeof *indices);
    size_t c = 0, doubts = 0, undated = 0;

    p.messages = mem_zero(message_count + 1, sizeof(struct match_message *));
    for (size_t i = 0; i < copy_count; i++)
        indices[i] = (uint32_t)i;
    for (size_t m = 0; m < message_count;) {
        int64_t seconds = messages[m].seconds;

        for (p.message_count = 0; m < message_count && messages[m].seconds == seconds; m++) {
            messages[m].pair = MATCH_UNPAIRED;
            messages[m].doubtful = false;
            p.messages[p.message_count++] = &messages[m];
        }
        while (c < copy_count && copies[c].seconds < seconds)
            c++;
        p.copies = indices + c;
        for (p.copy_count = 0; c < copy_count && copies[c].seconds == seconds; c++)
            p.copy_count++;
        doubts += assign_part(&p);
    }
    /* What was sent without a date has the target's own; it stands first. */
    while (undated < message_count && messages[undated].seconds == INT64_MIN)
        undated++;
    if (rules->named && (undated || !rules->dates_kept))
        doubts += assign_rest(&p, messages, message_count, rules->dates_kept ? undated : message_count, false, indices,
                              copy_count);
    /* Without a name its very size is wanted. */
    if (rules->dates_open && (rules->dates_kept || !rules->named)) {
        very_size.sizes_exact |= !rules->named;
        p.rules = &very_size;
        doubts += assign_rest(&p, messages, message_count, message_count, true, indices, copy_count);
    }
    free(p.messages);
    free(indices);
    return doubts;
}
