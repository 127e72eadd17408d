#include "engine/message/verify_match.h"

#include "engine/message/header.h"
#include "io/base/mem.h"

#include <stdlib.h>

const char *verify_what_name(enum verify_what what)
{
    static const char *const names[VERIFY_WHAT_COUNT] = {
        "missing", "doubled", "flags", "date", "content", "not judged"
    };

    return names[what];
}

const char *verify_grade_name(enum verify_grade grade)
{
    static const char *const names[] = { "Perfect", "Good", "Investigate", "Poor", "not judged" };

    return names[grade];
}

enum verify_grade verify_grade_of(uint64_t required, uint64_t missing, uint64_t doubled, uint64_t content,
                                  uint64_t other)
{
    uint64_t bad = missing + doubled + content;

    if (bad == 0)
        return other ? VERIFY_GOOD : VERIFY_PERFECT;
    return bad > required / 100 && bad > 1 ? VERIFY_POOR : VERIFY_INVESTIGATE;
}

void verify_keys(struct slice header, struct verify_entry *entry)
{
    struct slice field = header_field(header, SLICE("Message-ID"));

    match_key(header, entry->key);
    if (entry->key[0] != 'M') {
        memcpy(entry->date_key, entry->key, MATCH_KEY_BYTES);
    } else {
        /* The same header with the Message-ID's name made another: one rule for both keys. */
        char *copy = slice_dup(header);

        for (size_t at = (size_t)(field.data - header.data); at-- > 0 && copy[at] != '\n';)
            if (copy[at] != ':')
                copy[at] = 'X';
        match_key(slice_of(copy, header.size), entry->date_key);
        free(copy);
    }
}

uint64_t verify_keywords(struct slice keywords)
{
    uint64_t all = 0;
    struct slice word;

    while (slice_split(&keywords, ' ', &word)) {
        uint64_t h = 0xcbf29ce484222325u;

        for (size_t i = 0; i < word.size; i++) {
            char c = word.data[i];

            h = (h ^ (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c)) * 0x100000001b3u;
        }
        all += word.size ? h ^ h >> 31 : 0;
    }
    return all;
}

/* ---- pairing ------------------------------------------------------------------------------- */

/* The target's messages by a key; of one key by date, then size, or by size alone. What is paired is skipped without
 * a look at each: of a hundred thousand messages that are alike the last costs no more than the first. */
struct order {
    const struct verify_entry *entries;
    uint32_t *at;        /* indices, sorted */
    uint32_t *up, *down; /* of what is paired: where the next free one may be, upwards; and downwards, as one more
                            than its place */
    uint32_t count;
    bool by_date_key, dated;
};

static const uint8_t *key_of(const struct order *o, const struct verify_entry *e)
{
    return o->by_date_key ? e->date_key : e->key;
}

/* By key, where dates count by date, by size. */
static int compare_to(const struct order *o, const struct verify_entry *x, const uint8_t *key, int64_t seconds,
                      uint64_t size)
{
    int by = memcmp(key_of(o, x), key, MATCH_KEY_BYTES);

    if (by == 0 && o->dated)
        by = (x->seconds > seconds) - (x->seconds < seconds);
    return by ? by : (x->size > size) - (x->size < size);
}

static int compare(const void *a, const void *b, void *context)
{
    const struct order *o = context;
    const struct verify_entry *x = &o->entries[*(const uint32_t *)a];
    const struct verify_entry *y = &o->entries[*(const uint32_t *)b];
    int by = compare_to(o, x, key_of(o, y), y->seconds, y->size);

    if (by == 0)
        by = (x->seconds > y->seconds) - (x->seconds < y->seconds);
    return by ? by : (x->uid > y->uid) - (x->uid < y->uid);
}

static void order_init(struct order *o, const struct verify_entry *entries, uint32_t count, bool by_date_key,
                       bool dated)
{
    *o = (struct order){ .entries = entries, .count = count, .by_date_key = by_date_key, .dated = dated };
    o->at = mem_zero(count + 1, sizeof *o->at);
    o->up = mem_zero(count + 1, sizeof *o->up);
    o->down = mem_zero(count + 1, sizeof *o->down);
    for (uint32_t i = 0; i <= count; i++)
        o->at[i] = o->up[i] = o->down[i] = i;
    qsort_r(o->at, count, sizeof *o->at, compare, o);
}

static void order_deinit(struct order *o)
{
    free(o->at);
    free(o->up);
    free(o->down);
}

static const struct verify_entry *entry_at(const struct order *o, uint32_t place)
{
    return &o->entries[o->at[place]];
}

/* The first place that is not below. */
static uint32_t lower(const struct order *o, const uint8_t *key, int64_t seconds, uint64_t size)
{
    uint32_t low = 0, high = o->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (compare_to(o, entry_at(o, middle), key, seconds, size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The first free place from here on; count: none. What was walked over is stepped over the next time. */
static uint32_t free_from(struct order *o, uint32_t place)
{
    uint32_t found = place, next;

    while (found < o->count && entry_at(o, found)->pair != VERIFY_UNPAIRED)
        found = o->up[found] > found ? o->up[found] : found + 1;
    for (; place < found; place = next) {
        next = o->up[place] > place ? o->up[place] : place + 1;
        o->up[place] = found;
    }
    return found;
}

/* One more than the last free place below this one; 0: none. */
static uint32_t free_before(struct order *o, uint32_t place)
{
    uint32_t found = place, next;

    while (found > 0 && entry_at(o, found - 1)->pair != VERIFY_UNPAIRED)
        found = o->down[found] < found ? o->down[found] : found - 1;
    for (; place > found; place = next) {
        next = o->down[place] < place ? o->down[place] : place - 1;
        o->down[place] = found;
    }
    return found;
}

struct rule {
    bool dates;    /* INTERNALDATE must agree */
    bool rewrites; /* sizes tell nothing */
    bool very_size;
    uint8_t want;
};

static bool is_alike(const struct order *o, const struct verify_entry *t, const struct verify_entry *e)
{
    return memcmp(key_of(o, t), key_of(o, e), MATCH_KEY_BYTES) == 0 && (!o->dated || t->seconds == e->seconds);
}

/* The free partner nearest in size, VERIFY_UNPAIRED without one. Of two that are as near the smaller, of those of one
 * size the first by date and UID. */
static uint32_t partner(struct order *o, const struct verify_entry *e, const struct rule *rule)
{
    const uint8_t *key = key_of(o, e);
    uint32_t at, above, below;
    const struct verify_entry *larger = NULL, *smaller = NULL;

    /* Without anything that tells it from others a message is known by its date and very size. */
    if (key[0] == 'E' && !rule->dates)
        return VERIFY_UNPAIRED;
    at = lower(o, key, e->seconds, e->size);
    above = free_from(o, at);
    if (above < o->count && is_alike(o, entry_at(o, above), e))
        larger = entry_at(o, above);
    if (larger && larger->size == e->size)
        return o->at[above];
    if (rule->very_size || (key[0] == 'E' && !rule->rewrites))
        return VERIFY_UNPAIRED;
    below = free_before(o, at);
    if (below > 0 && is_alike(o, entry_at(o, below - 1), e)) {
        smaller = entry_at(o, below - 1);
        /* The last of that size: the first free one of it. */
        below = free_from(o, lower(o, key, smaller->seconds, smaller->size));
        smaller = entry_at(o, below);
    }
    if (!larger)
        return smaller ? o->at[below] : VERIFY_UNPAIRED;
    if (!smaller || larger->size - e->size < e->size - smaller->size)
        return o->at[above];
    return o->at[below];
}

static void pass(struct verify_entry *sources, uint32_t count, struct verify_entry *targets, struct order *o,
                 const struct rule *rule)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t found;

        if (sources[i].pair != VERIFY_UNPAIRED || sources[i].want != rule->want)
            continue;
        found = partner(o, &sources[i], rule);
        if (found == VERIFY_UNPAIRED)
            continue;
        sources[i].pair = found;
        targets[found].pair = i;
    }
}

/* Whether t looks like first, which stands before it in an order by date and size. */
static bool looks_like(const struct verify_entry *first, const struct verify_entry *t, bool rewrites)
{
    if (memcmp(first->key, t->key, MATCH_KEY_BYTES) != 0)
        return false;
    return t->key[0] != 'E' || (first->seconds == t->seconds && (rewrites || first->size == t->size));
}

/* Of those of the target that have no partner, the ones that look like one that has. o: by key and date. */
static void tell_doubled(const struct order *o, bool rewrites,
                         void (*tell)(void *context, enum verify_what what, uint32_t index), void *context)
{
    bool *doubled = mem_zero(o->count + 1, sizeof *doubled);

    for (uint32_t i = 0, end; i < o->count; i = end) {
        bool has_paired = false;

        for (end = i; end < o->count && looks_like(entry_at(o, i), entry_at(o, end), rewrites); end++)
            has_paired |= entry_at(o, end)->pair != VERIFY_UNPAIRED;
        for (uint32_t k = i; has_paired && k < end; k++)
            doubled[o->at[k]] = entry_at(o, k)->pair == VERIFY_UNPAIRED;
    }
    for (uint32_t i = 0; i < o->count; i++)
        if (doubled[i])
            tell(context, VERIFY_DOUBLED, i);
    free(doubled);
}

void verify_match(struct verify_entry *sources, uint32_t source_count, struct verify_entry *targets,
                  uint32_t target_count, bool rewrites,
                  void (*tell)(void *context, enum verify_what what, uint32_t index), void *context)
{
    struct order orders[2][2]; /* by key, by key without the Message-ID; by size, by date and size */

    for (uint32_t i = 0; i < source_count; i++)
        sources[i].pair = VERIFY_UNPAIRED;
    for (uint32_t i = 0; i < target_count; i++)
        targets[i].pair = VERIFY_UNPAIRED;
    for (unsigned i = 0; i < (rewrites ? 4 : 2); i++)
        order_init(&orders[i / 2][i % 2], targets, target_count, i / 2, i % 2);
    /* The surest pairs first, so that a doubtful one never takes their partner. */
    for (unsigned sureness = rewrites ? 2 : 4; sureness-- > 0;)
        for (uint8_t want = VERIFY_REQUIRED; want <= VERIFY_OPTIONAL; want++)
            for (unsigned other = 0; other <= (rewrites ? 1u : 0u); other++) {
                struct rule rule = { .rewrites = rewrites, .want = want };

                rule.dates = rewrites ? sureness == 1 : sureness >= 2;
                rule.very_size = !rewrites && sureness % 2 == 1;
                pass(sources, source_count, targets, &orders[other][rule.dates], &rule);
            }
    for (uint32_t i = 0; i < source_count; i++) {
        const struct verify_entry *s = &sources[i];

        if (s->want != VERIFY_REQUIRED)
            continue;
        if (s->pair == VERIFY_UNPAIRED)
            tell(context, VERIFY_MISSING, i);
        else if (s->seconds != targets[s->pair].seconds && s->seconds != INT64_MIN)
            tell(context, VERIFY_DATE, i);
    }
    tell_doubled(&orders[0][1], rewrites, tell, context);
    for (unsigned i = 0; i < (rewrites ? 4 : 2); i++)
        order_deinit(&orders[i / 2][i % 2]);
}
