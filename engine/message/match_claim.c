/* Messages that are on the target under UIDs that nobody told: which of what is there may be theirs. */
#include "engine/message/match_private.h"

#include <stdlib.h>
#include <string.h>

static int latest_first(const void *a, const void *b)
{
    const struct match_claim *x = a, *y = b;
    int order = (x->from < y->from) - (x->from > y->from);

    return order ? order : (x->row.uid > y->row.uid) - (x->row.uid < y->row.uid);
}

enum nearness { VERY_SIZE, POSSIBLE_SIZE };

static struct candidate *claimable(struct matcher *matcher, const struct match_claim *claim,
                                   const struct match_fidelity *fidelity, enum nearness nearness, bool dated)
{
    struct match_range range = match_sizes_of(fidelity, claim->row.bytes);
    size_t first, count = matcher_of_key(matcher, claim->row.key, &first);
    struct candidate *best = NULL;
    uint64_t best_gap = UINT64_MAX;

    if (dated && !(claim->row.seconds == INT64_MIN && claim->row.key[0] == 'M'))
        count = matcher_of_date(matcher, first, count, claim->row.seconds, &first);
    for (size_t i = first; i < first + count; i++) {
        struct candidate *c = &matcher->all[i];
        uint64_t gap = c->size > claim->row.bytes ? c->size - claim->row.bytes : claim->row.bytes - c->size;

        if (c->uid < claim->from || c->uid == 0 || gap >= best_gap ||
            (nearness == VERY_SIZE ? gap != 0 : c->size < range.least || c->size > range.most))
            continue;
        best = c;
        best_gap = gap;
        if (gap == 0)
            break;
    }
    return best;
}

static int by_key(const void *a, const void *b)
{
    const struct match_claim *x = a, *y = b;

    return memcmp(x->row.key, y->row.key, sizeof x->row.key);
}

/* Its only copy, where it is alone in its key. */
static void learn_one(struct matcher *matcher, const struct match_claim *claim, struct match_fidelity *fidelity,
                      bool sizes, bool dates)
{
    const struct candidate *c;
    size_t first;

    if (matcher_of_key(matcher, claim->row.key, &first) != 1)
        return;
    c = &matcher->all[first];
    if (c->uid == 0 || c->uid < claim->from)
        return;
    if (sizes)
        match_fidelity_size(fidelity, claim->row.bytes, c->size, false);
    if (dates && claim->row.key[0] == 'M' && claim->row.seconds != INT64_MIN && c->seconds != INT64_MIN)
        match_fidelity_date(fidelity, c->seconds == claim->row.seconds, false);
}

void matcher_learn(struct matcher *matcher, struct match_claim *claims, size_t count, struct match_fidelity *fidelity)
{
    bool sizes = match_sizes_assumed(fidelity), dates = match_dates_assumed(fidelity);
    size_t end;

    if (!sizes && !dates)
        return;
    if (count)
        qsort(claims, count, sizeof *claims, by_key);
    for (size_t at = 0; at < count; at = end) {
        for (end = at + 1; end < count && by_key(&claims[at], &claims[end]) == 0; end++)
            ;
        if (end == at + 1)
            learn_one(matcher, &claims[at], fidelity, sizes, dates);
    }
}

void matcher_claim(struct matcher *matcher, struct match_claim *claims, size_t count,
                   const struct match_fidelity *fidelity)
{
    bool any_size = !match_sizes_exact(fidelity, true);
    /* Where nothing tells: a copy that is claimed wrongly is sent again, one that is not claimed hides another. */
    bool any_date = match_dates_open(fidelity);

    /* Those that may be fewest first. */
    if (count)
        qsort(claims, count, sizeof *claims, latest_first);
    for (unsigned round = 0; round < 4; round++) {
        enum nearness nearness = round & 1 ? POSSIBLE_SIZE : VERY_SIZE;
        bool dated = round < 2;

        if ((nearness == POSSIBLE_SIZE && !any_size) || (!dated && !any_date))
            continue;
        for (size_t i = 0; i < count; i++) {
            /* Whatever its date, what has the name and size of one that is there is that one; without a name,
             * what has its very size. */
            bool any = dated || claims[i].row.key[0] == 'M' || (claims[i].row.key[0] == 'D' && nearness == VERY_SIZE);
            struct candidate *c =
                claims[i].done || !any ? NULL : claimable(matcher, &claims[i], fidelity, nearness, dated);

            if (c) {
                claims[i].done = true;
                matcher_taken(matcher, c);
            }
        }
    }
}
