#include "engine/rules/verify_match.h"

#include "engine/rules/header.h"
#include "io/base/mem.h"

#include <stdlib.h>

const char *verify_what_name(enum verify_what what)
{
    static const char *const names[VERIFY_WHAT_COUNT] = { "missing", "doubled", "flags", "date",
                                                          "content", "not judged" };

    return names[what];
}

const char *verify_grade_name(enum verify_grade grade)
{
    static const char *const names[] = { "Perfect", "Good", "Investigate", "Poor", "not judged" };

    return names[grade];
}

enum verify_grade verify_grade_of(uint64_t required, uint64_t missing, uint64_t doubled,
                                  uint64_t content, uint64_t other)
{
    uint64_t bad = missing + doubled + content;

    if (bad == 0)
        return other ? VERIFY_GOOD : VERIFY_PERFECT;
    return bad > required / 100 && bad > 1 ? VERIFY_POOR : VERIFY_INVESTIGATE;
}

void verify_keys(struct slice header, struct verify_entry *entry)
{
    struct slice field = header_field(header, SLICE("Message-ID"));

    twin_key(header, entry->key);
    if (entry->key[0] != 'M') {
        memcpy(entry->date_key, entry->key, TWIN_KEY_BYTES);
    } else {
        /* The same header with the Message-ID's name made another: one rule for both keys. */
        char *copy = slice_dup(header);

        for (size_t at = (size_t)(field.data - header.data); at-- > 0 && copy[at] != '\n';)
            if (copy[at] != ':')
                copy[at] = 'X';
        twin_key(slice_of(copy, header.size), entry->date_key);
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

/* An order over one side: by a key, then date. */
struct order {
    const struct verify_entry *entries;
    uint32_t *at; /* indices, sorted */
    uint32_t count;
    bool by_date_key;
};

static const uint8_t *key_of(const struct order *o, const struct verify_entry *e)
{
    return o->by_date_key ? e->date_key : e->key;
}

static int compare(const void *a, const void *b, void *context)
{
    const struct order *o = context;
    const struct verify_entry *x = &o->entries[*(const uint32_t *)a];
    const struct verify_entry *y = &o->entries[*(const uint32_t *)b];
    int by = memcmp(key_of(o, x), key_of(o, y), TWIN_KEY_BYTES);

    if (by == 0)
        by = (x->seconds > y->seconds) - (x->seconds < y->seconds);
    return by ? by : (x->uid > y->uid) - (x->uid < y->uid);
}

static void order_init(struct order *o, const struct verify_entry *entries, uint32_t count,
                       bool by_date_key)
{
    *o = (struct order){ .entries = entries, .count = count, .by_date_key = by_date_key };
    o->at = mem_zero(count, sizeof *o->at);
    for (uint32_t i = 0; i < count; i++)
        o->at[i] = i;
    qsort_r(o->at, count, sizeof *o->at, compare, o);
}

/* The first place whose key is not below, and with seconds whose date is not below. */
static uint32_t lower(const struct order *o, const uint8_t *key, int64_t seconds)
{
    uint32_t low = 0, high = o->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct verify_entry *e = &o->entries[o->at[middle]];
        int by = memcmp(key_of(o, e), key, TWIN_KEY_BYTES);

        if (by < 0 || (by == 0 && e->seconds < seconds))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct rule {
    bool dates;    /* INTERNALDATE must agree */
    bool rewrites; /* sizes tell nothing */
    bool very_size;
    uint8_t want;
};

/* The free partner nearest in size, VERIFY_UNPAIRED without one. */
static uint32_t partner(const struct order *o, const struct verify_entry *e,
                        const struct rule *rule)
{
    const uint8_t *key = o->by_date_key ? e->date_key : e->key;
    uint32_t best = VERIFY_UNPAIRED;
    uint64_t best_gap = UINT64_MAX;

    /* Without anything that tells it from others a message is known by its date and very size. */
    if (key[0] == 'E' && !rule->dates)
        return VERIFY_UNPAIRED;
    for (uint32_t i = lower(o, key, rule->dates ? e->seconds : INT64_MIN); i < o->count; i++) {
        const struct verify_entry *t = &o->entries[o->at[i]];
        uint64_t gap = t->size > e->size ? t->size - e->size : e->size - t->size;

        if (memcmp(key_of(o, t), key, TWIN_KEY_BYTES) != 0 ||
            (rule->dates && t->seconds != e->seconds))
            break;
        if (t->pair != VERIFY_UNPAIRED || gap >= best_gap ||
            (gap != 0 && (rule->very_size || (key[0] == 'E' && !rule->rewrites))))
            continue;
        best = o->at[i];
        best_gap = gap;
        if (gap == 0)
            break;
    }
    return best;
}

static void pass(struct verify_entry *sources, uint32_t count, struct verify_entry *targets,
                 const struct order *o, const struct rule *rule)
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

/* Does a paired message of the target look the same? */
static bool has_twin(const struct order *o, const struct verify_entry *t, bool rewrites)
{
    bool plain = t->key[0] != 'E';

    for (uint32_t i = lower(o, t->key, plain ? INT64_MIN : t->seconds); i < o->count; i++) {
        const struct verify_entry *other = &o->entries[o->at[i]];

        if (memcmp(other->key, t->key, TWIN_KEY_BYTES) != 0)
            break;
        if (other->pair != VERIFY_UNPAIRED &&
            (plain || (other->seconds == t->seconds && (rewrites || other->size == t->size))))
            return true;
    }
    return false;
}

void verify_match(struct verify_entry *sources, uint32_t source_count, struct verify_entry *targets,
                  uint32_t target_count, bool rewrites,
                  void (*tell)(void *context, enum verify_what what, uint32_t index), void *context)
{
    struct order by_key, by_date;

    for (uint32_t i = 0; i < source_count; i++)
        sources[i].pair = VERIFY_UNPAIRED;
    for (uint32_t i = 0; i < target_count; i++)
        targets[i].pair = VERIFY_UNPAIRED;
    order_init(&by_key, targets, target_count, false);
    order_init(&by_date, targets, target_count, true);
    /* The surest pairs first, so that a doubtful one never takes their partner. */
    for (unsigned sureness = rewrites ? 2 : 4; sureness-- > 0;)
        for (uint8_t want = VERIFY_REQUIRED; want <= VERIFY_OPTIONAL; want++)
            for (unsigned other = 0; other <= (rewrites ? 1u : 0u); other++) {
                struct rule rule = { .rewrites = rewrites, .want = want };

                rule.dates = rewrites ? sureness == 1 : sureness >= 2;
                rule.very_size = !rewrites && sureness % 2 == 1;
                pass(sources, source_count, targets, other ? &by_date : &by_key, &rule);
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
    for (uint32_t i = 0; i < target_count; i++)
        if (targets[i].pair == VERIFY_UNPAIRED && has_twin(&by_key, &targets[i], rewrites))
            tell(context, VERIFY_DOUBLED, i);
    free(by_key.at);
    free(by_date.at);
}
