#include "engine/message/surplus.h"

#include "engine/message/repair.h"
#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct known {
    struct match_row row; /* uid: the source's */
    uint32_t target_uid, from;
    uint8_t unanswered;
    bool ours, there; /* there: its copy is known by its header */
    unsigned used;    /* second copies */
};

struct surplus {
    uint32_t floor;
    bool uids_lie, knows_sends, sends_unknown, sorted;
    struct known *known; /* by the source's UIDs, then by key */
    size_t known_count, known_room;
    struct known **nameless; /* of the known, once their order stays: sent without an answer, and without Message-ID */
    size_t nameless_count;
    uint32_t *claimed;
    size_t claimed_count, claimed_room;
    struct match_row *seen, *kept_seen;
    size_t seen_count, seen_room, kept_seen_count, kept_seen_room;
    uint32_t *kept;
    size_t kept_count;
    struct surplus_copy *copies;
    uint32_t *places; /* parallel: the row among the known */
    size_t copy_count;
};

struct surplus *surplus_create(uint32_t floor, bool uids_lie)
{
    struct surplus *s = mem_zero(1, sizeof *s);

    s->floor = floor;
    s->uids_lie = uids_lie;
    return s;
}

void surplus_destroy(struct surplus **surplus)
{
    struct surplus *s = *surplus;

    if (!s)
        return;
    free(s->known);
    free(s->nameless);
    free(s->claimed);
    free(s->seen);
    free(s->kept_seen);
    free(s->kept);
    free(s->copies);
    free(s->places);
    free(s);
    *surplus = NULL;
}

static void row_add(struct match_row **rows, size_t *count, size_t *room, const struct match_row *row)
{
    if (*count == *room) {
        *room = *room ? *room * 2 : 64;
        *rows = mem_resize(*rows, *room, sizeof **rows);
    }
    (*rows)[(*count)++] = *row;
}

static void claim(struct surplus *s, uint32_t uid)
{
    if (s->claimed_count == s->claimed_room) {
        s->claimed_room = s->claimed_room ? s->claimed_room * 2 : 256;
        s->claimed = mem_resize(s->claimed, s->claimed_room, sizeof *s->claimed);
    }
    s->claimed[s->claimed_count++] = uid;
}

void surplus_sends_unknown(struct surplus *s)
{
    s->sends_unknown = true;
}

void surplus_know(struct surplus *s, const struct message_record *m)
{
    /* What went is not missed where a copy of its equal stands for it: then that copy is no second one. */
    bool any = s->uids_lie || message_went(m), here = any || message_may_be_from(m, s->floor);
    uint32_t uid = s->uids_lie ? 0 : m->target_uid, from = any ? 0 : m->target_uid_from;
    struct known *k;

    s->knows_sends |= m->unanswered > 0;
    if (uid >= s->floor)
        claim(s, uid);
    if (!here && !m->unanswered)
        return;
    if (s->known_count == s->known_room) {
        s->known_room = s->known_room ? s->known_room * 2 : 256;
        s->known = mem_resize(s->known, s->known_room, sizeof *s->known);
    }
    k = &s->known[s->known_count++];
    *k = (struct known){ .row = { .seconds = m->date_known && !(m->repairs & REPAIR_DATE) ? m->date_seconds : INT64_MIN,
                                  .bytes = message_sent_bytes(m),
                                  .uid = m->uid },
                         .target_uid = uid,
                         .from = from,
                         .unanswered = m->unanswered,
                         .ours = m->state == MESSAGE_UPLOADED || s->sends_unknown };
    memcpy(k->row.key, m->header_key, sizeof k->row.key);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

bool surplus_is_claimed(struct surplus *s, uint32_t target_uid)
{
    if (!s->sorted && s->claimed_count)
        qsort(s->claimed, s->claimed_count, sizeof *s->claimed, by_number);
    s->sorted = true;
    return s->claimed_count && bsearch(&target_uid, s->claimed, s->claimed_count, sizeof *s->claimed, by_number);
}

void surplus_see(struct surplus *s, const struct match_row *seen)
{
    row_add(&s->seen, &s->seen_count, &s->seen_room, seen);
}

/* ---- whose copy it is ---------------------------------------------------------------------- */

static int by_row(const void *a, const void *b)
{
    const struct known *x = a, *y = b;

    return (x->row.uid > y->row.uid) - (x->row.uid < y->row.uid);
}

static int by_key(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    int order = memcmp(x->row.key, y->row.key, sizeof x->row.key);

    return order ? order : by_row(a, b);
}

/* Copies of messages whose UID nobody told are theirs; the rest stays in the matcher. */
static struct matcher *unclaimed(struct surplus *s, const struct match_fidelity *fidelity)
{
    struct match_claim *claims = mem_zero(s->known_count + 1, sizeof *claims);
    struct matcher *matcher = matcher_create(NULL);
    struct match_fidelity learnt = *fidelity;
    size_t count = 0;

    for (size_t i = 0; i < s->seen_count; i++) {
        struct imap_date date = { .seconds = s->seen[i].seconds, .known = s->seen[i].seconds != INT64_MIN };

        matcher_add(matcher, s->seen[i].key, &date, s->seen[i].bytes, s->seen[i].uid);
    }
    for (size_t i = 0; i < s->known_count; i++)
        if (!s->known[i].target_uid)
            claims[count++] = (struct match_claim){ .row = s->known[i].row, .from = s->known[i].from };
    matcher_learn(matcher, claims, count, &learnt);
    matcher_claim(matcher, claims, count, &learnt);
    for (size_t i = 0; i < count; i++)
        if (claims[i].done) {
            struct known wanted = { .row.uid = claims[i].row.uid };
            struct known *k = bsearch(&wanted, s->known, s->known_count, sizeof *s->known, by_row);

            if (k)
                k->there = true;
        }
    free(claims);
    return matcher;
}

/* One that has room for a copy more first, then one of the very size. */
static unsigned rank(const struct known *k, const struct match_row *seen)
{
    return 1u + (k->used < k->unanswered ? 2u : 0u) + (k->row.bytes == seen->bytes ? 1u : 0u);
}

static bool may_be_twice(const struct known *k)
{
    return (k->ours || k->unanswered) && (k->target_uid || k->there);
}

/* Where a target gives dates of its own, or nobody knows yet, the very size is enough for a message that was sent
 * without an answer, or its name and a size that a copy of it may have. */
static bool is_of(const struct known *k, const struct match_row *seen, const struct match_fidelity *fidelity)
{
    struct match_range range = match_sizes_of(fidelity, k->row.bytes);
    bool own_dates = !match_dates_kept(fidelity, false), expected = k->used < k->unanswered;
    bool by_name = seen->key[0] == 'M' && seen->bytes >= range.least && seen->bytes <= range.most;

    return k->row.seconds == seen->seconds ||
           (match_dates_open(fidelity) && expected && (by_name || k->row.bytes == seen->bytes)) ||
           (own_dates && by_name);
}

static struct known *owner_by_key(struct surplus *s, const struct match_row *seen,
                                  const struct match_fidelity *fidelity)
{
    size_t low = 0, high = s->known_count;
    struct known *best = NULL;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(s->known[middle].row.key, seen->key, sizeof seen->key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < s->known_count && memcmp(s->known[low].row.key, seen->key, sizeof seen->key) == 0; low++) {
        struct known *k = &s->known[low];

        if (may_be_twice(k) && is_of(k, seen, fidelity) && (!best || rank(k, seen) > rank(best, seen)))
            best = k;
    }
    return best;
}

static int by_date(const void *a, const void *b)
{
    const struct known *x = *(struct known *const *)a, *y = *(struct known *const *)b;

    return (x->row.seconds > y->row.seconds) - (x->row.seconds < y->row.seconds);
}

/* Those of which owner_by_date may be asked, by date; none where it is not. */
static void find_nameless(struct surplus *s, const struct match_fidelity *fidelity)
{
    if (!fidelity->rewrites || s->known_count == 0)
        return;
    s->nameless = mem_alloc(s->known_count * sizeof(struct known *));
    for (size_t i = 0; i < s->known_count; i++) {
        struct known *k = &s->known[i];

        if (k->row.key[0] != 'M' && k->unanswered && may_be_twice(k) && k->row.seconds != INT64_MIN)
            s->nameless[s->nameless_count++] = k;
    }
    if (s->nameless_count)
        qsort(s->nameless, s->nameless_count, sizeof(struct known *), by_date);
}

/* A server that makes its own of a mail may have given it a Message-ID where it had none. */
static struct known *owner_by_date(struct surplus *s, const struct match_row *seen,
                                   const struct match_fidelity *fidelity)
{
    size_t low = 0, high = s->nameless_count;

    if (seen->key[0] != 'M')
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (s->nameless[middle]->row.seconds < seen->seconds)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < s->nameless_count && s->nameless[low]->row.seconds == seen->seconds; low++) {
        struct known *k = s->nameless[low];
        struct match_range range = match_sizes_of(fidelity, k->row.bytes);

        if (k->used < k->unanswered && seen->bytes >= range.least && seen->bytes <= range.most)
            return k;
    }
    return NULL;
}

static int by_seen(const void *a, const void *b)
{
    const struct match_row *x = a, *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

void surplus_match(struct surplus *s, const struct match_fidelity *fidelity)
{
    struct matcher *matcher;
    struct match_row left;

    if (s->seen_count == 0)
        return;
    qsort(s->seen, s->seen_count, sizeof *s->seen, by_seen);
    if (s->known_count)
        qsort(s->known, s->known_count, sizeof *s->known, by_row);
    matcher = unclaimed(s, fidelity);
    if (s->known_count)
        qsort(s->known, s->known_count, sizeof *s->known, by_key);
    find_nameless(s, fidelity);
    s->copies = mem_zero(s->seen_count, sizeof *s->copies);
    s->places = mem_zero(s->seen_count, sizeof *s->places);
    s->kept = mem_zero(s->seen_count, sizeof *s->kept);
    for (size_t i = 0; i < s->seen_count; i++) {
        struct known *k = NULL;

        if (matcher_at(matcher, s->seen[i].uid, &left)) {
            k = owner_by_key(s, &s->seen[i], fidelity);
            if (!k)
                k = owner_by_date(s, &s->seen[i], fidelity);
        }
        if (!k)
            continue;
        k->used++;
        s->places[s->copy_count] = (uint32_t)(k - s->known);
        s->copies[s->copy_count++] =
            (struct surplus_copy){ .seen = s->seen[i], .message = k->row.uid, .kept_uid = k->target_uid };
        if (k->target_uid)
            s->kept[s->kept_count++] = k->target_uid;
    }
    matcher_destroy(&matcher);
}

const uint32_t *surplus_kept(struct surplus *s, size_t *count_r)
{
    size_t count = 0;

    if (s->kept_count)
        qsort(s->kept, s->kept_count, sizeof *s->kept, by_number);
    for (size_t i = 0; i < s->kept_count; i++)
        if (count == 0 || s->kept[count - 1] != s->kept[i])
            s->kept[count++] = s->kept[i];
    s->kept_count = count;
    *count_r = count;
    return s->kept;
}

void surplus_see_kept(struct surplus *s, const struct match_row *seen)
{
    row_add(&s->kept_seen, &s->kept_seen_count, &s->kept_seen_room, seen);
}

/* ---- the judgement ------------------------------------------------------------------------- */

static bool is_there(const struct known *k, const struct match_row *seen)
{
    return memcmp(seen->key, k->row.key, sizeof seen->key) == 0 ||
           ((seen->key[0] != 'M' || k->row.key[0] != 'M') && seen->seconds == k->row.seconds);
}

static bool same_mail(const struct match_row *a, const struct match_row *b)
{
    return memcmp(a->key, b->key, sizeof a->key) == 0 && a->seconds != INT64_MIN && a->seconds == b->seconds &&
           a->bytes == b->bytes;
}

void surplus_judge(struct surplus *s)
{
    size_t count = 0;

    if (s->kept_seen_count)
        qsort(s->kept_seen, s->kept_seen_count, sizeof *s->kept_seen, by_seen);
    for (size_t i = 0; i < s->copy_count; i++) {
        struct surplus_copy *copy = &s->copies[i];
        struct known *k = &s->known[s->places[i]];
        struct match_row wanted = { .uid = copy->kept_uid }, *kept = NULL;

        if (copy->kept_uid) {
            kept =
                s->kept_seen_count ? bsearch(&wanted, s->kept_seen, s->kept_seen_count, sizeof *kept, by_seen) : NULL;
            if (!kept || !is_there(k, kept)) {
                k->used--;
                continue;
            }
        }
        copy->alike = kept && same_mail(kept, &copy->seen);
        s->places[count] = s->places[i];
        s->copies[count++] = *copy;
    }
    s->copy_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct known *k = &s->known[s->places[i]];

        s->copies[i].kind = k->unanswered == 0        ? SURPLUS_OTHERS
                            : k->used > k->unanswered ? SURPLUS_UNSURE
                                                      : SURPLUS_OWN;
    }
}

const struct surplus_copy *surplus_copies(const struct surplus *s, size_t *count_r)
{
    *count_r = s->copy_count;
    return s->copies;
}

bool surplus_came_late(const struct surplus_copy *copy)
{
    return copy->kept_uid && copy->seen.uid > copy->kept_uid;
}

const char *surplus_words(bool late)
{
    return late ? "were stored late, after no look had found them and they had been sent again"
                : "were sent again as no look had found them: what was sent first came later, or is shown there in "
                  "another way than it was sent and was not recognised";
}

bool surplus_knows_sends(const struct surplus *s)
{
    return s->knows_sends;
}
