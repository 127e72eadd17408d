#include "engine/message/match_assign.h"
#include "engine/message/match_private.h"
#include "io/base/mem.h"

#include <stdlib.h>

#define NONE UINT32_MAX
/* Of how many messages of a key it is looked whether they are the only ones of their date. */
#define LOOK_AT_MOST 16u

/* A message that waits to be sent and has the key of a candidate. */
struct expected {
    struct match_message message;
    uint32_t group; /* the first candidate of its key */
    uint32_t next;  /* of the group, NONE */
    bool done;      /* decided */
    bool doubtful;  /* and that by no knowledge */
    bool gone;      /* it has its copy, or another took its place: it has no part in what is left */
    bool learnt;    /* it has told what it could of the target's fidelity */
};

/* By the first candidate of each key. */
struct group {
    uint32_t first; /* expected, NONE */
    bool planned, doubtful;
};

struct unread {
    int64_t seconds;
    uint64_t bytes;
    uint32_t uid;
    uint32_t next; /* itself, or one towards the next that is unread still */
};

struct match_rows {
    struct expected *all;
    uint32_t count, room;
    uint32_t *by_uid; /* open-addressed: index + 1; by_uid_room is a power of two */
    uint32_t by_uid_room;
    struct group *groups; /* parallel to the candidates */
    int64_t *seconds;     /* of the candidates, sorted; only until the first is paired */
    struct unread *unread;
    size_t unread_count, unread_room;
    bool unread_sorted;
    bool all_told; /* each of the expected has told what it could of the target's fidelity */
    bool exact, learnt, dates_kept, dates_open; /* as the groups were planned */
};

void matcher_rows_free(struct matcher *matcher)
{
    struct match_rows *rows = matcher->rows;

    if (!rows)
        return;
    free(rows->all);
    free(rows->by_uid);
    free(rows->groups);
    free(rows->seconds);
    free(rows->unread);
    free(rows);
    matcher->rows = NULL;
}

static int by_seconds(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static struct match_rows *rows_of(struct matcher *matcher)
{
    struct match_rows *rows = matcher->rows;

    if (rows)
        return rows;
    matcher_sort(matcher);
    rows = matcher->rows = mem_zero(1, sizeof *rows);
    rows->groups = mem_zero(matcher->count + 1, sizeof *rows->groups);
    rows->seconds = mem_zero(matcher->count + 1, sizeof *rows->seconds);
    for (size_t i = 0; i < matcher->count; i++) {
        rows->groups[i].first = NONE;
        rows->seconds[i] = matcher->all[i].seconds;
    }
    qsort(rows->seconds, matcher->count, sizeof *rows->seconds, by_seconds);
    return rows;
}

/* ---- what is expected ---------------------------------------------------------------------- */

static uint32_t slot_of(const struct match_rows *rows, uint32_t uid)
{
    uint32_t at = (uid * 2654435761u) & (rows->by_uid_room - 1);

    while (rows->by_uid[at] && rows->all[rows->by_uid[at] - 1].message.uid != uid)
        at = (at + 1) & (rows->by_uid_room - 1);
    return at;
}

static struct expected *find(const struct match_rows *rows, uint32_t uid)
{
    uint32_t at = rows->by_uid_room ? slot_of(rows, uid) : 0;

    return rows->by_uid_room && rows->by_uid[at] ? &rows->all[rows->by_uid[at] - 1] : NULL;
}

static void make_room(struct match_rows *rows)
{
    if (rows->count == rows->room) {
        rows->room = rows->room ? rows->room * 2 : 64;
        rows->all = mem_resize(rows->all, rows->room, sizeof *rows->all);
    }
    if ((rows->count + 1) * 2ull <= rows->by_uid_room)
        return;
    rows->by_uid_room = rows->by_uid_room ? rows->by_uid_room * 2 : 128;
    free(rows->by_uid);
    rows->by_uid = mem_zero(rows->by_uid_room, sizeof *rows->by_uid);
    /* In their order: what took the place of another keeps it. */
    for (uint32_t i = 0; i < rows->count; i++)
        rows->by_uid[slot_of(rows, rows->all[i].message.uid)] = i + 1;
}

void matcher_expect(struct matcher *matcher, const struct match_row *row)
{
    struct match_rows *rows = rows_of(matcher);
    struct expected *e = find(rows, row->uid);
    size_t group;

    if (e && e->message.bytes == row->bytes && e->message.seconds == row->seconds &&
        memcmp(matcher->all[e->group].key, row->key, MATCH_KEY_BYTES) == 0) {
        if (row->sent && !e->message.sent)
            rows->groups[e->group].planned = false;
        e->message.sent |= row->sent;
        return;
    }
    if (e) {
        e->done = e->gone = true;
        rows->groups[e->group].planned = false;
    }
    if (matcher_of_key(matcher, row->key, &group) == 0)
        return;
    make_room(rows);
    rows->all[rows->count] = (struct expected){
        .message = { .seconds = row->seconds,
                     .bytes = row->bytes,
                     .digest = row->digest,
                     .sent = row->sent,
                     .uid = row->uid,
                     .pair = MATCH_UNPAIRED },
        .group = (uint32_t)group,
        .next = rows->groups[group].first,
    };
    rows->groups[group].first = rows->count;
    rows->groups[group].planned = false;
    rows->by_uid[slot_of(rows, row->uid)] = ++rows->count;
}

void matcher_expect_sent(struct matcher *matcher, const struct match_row *row)
{
    struct expected *e;

    matcher_expect(matcher, row);
    e = find(matcher->rows, row->uid);
    if (e)
        e->done = true;
}

void matcher_expect_unread(struct matcher *matcher, uint32_t uid, int64_t seconds, uint64_t bytes)
{
    struct match_rows *rows = rows_of(matcher);

    /* Most are of a date that no candidate has. */
    if (seconds != INT64_MIN && !bsearch(&seconds, rows->seconds, matcher->count, sizeof *rows->seconds, by_seconds))
        return;
    if (rows->unread_count == rows->unread_room) {
        rows->unread_room = rows->unread_room ? rows->unread_room * 2 : 64;
        rows->unread = mem_resize(rows->unread, rows->unread_room, sizeof *rows->unread);
    }
    rows->unread[rows->unread_count++] = (struct unread){ seconds, bytes, uid, 0 };
    rows->unread_sorted = false;
}

/* ---- what waits to be fetched -------------------------------------------------------------- */

static int by_date_and_size(const void *a, const void *b)
{
    const struct unread *x = a, *y = b;
    int order = (x->seconds > y->seconds) - (x->seconds < y->seconds);

    return order ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* The next from here on that is unread still, as far as is known. */
static size_t next_unread(struct match_rows *rows, size_t at)
{
    size_t end = at;

    while (end < rows->unread_count && rows->unread[end].next != end)
        end = rows->unread[end].next;
    while (at < end && rows->unread[at].next != end) {
        size_t next = rows->unread[at].next;

        rows->unread[at].next = (uint32_t)end;
        at = next;
    }
    return end;
}

static void sort_unread(struct match_rows *rows)
{
    if (rows->unread_sorted)
        return;
    if (rows->unread_count)
        qsort(rows->unread, rows->unread_count, sizeof *rows->unread, by_date_and_size);
    for (size_t i = 0; i < rows->unread_count; i++)
        rows->unread[i].next = (uint32_t)i;
    rows->unread_sorted = true;
}

/* Is one of this date and a size of the range unread still? Those that are read by now become
 * expected. */
static bool has_unread(struct matcher *matcher, const struct match_unread *source, int64_t seconds,
                       struct match_range range)
{
    struct match_rows *rows = matcher->rows;
    size_t low = 0, high;

    sort_unread(rows);
    high = rows->unread_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct unread *u = &rows->unread[middle];

        if (u->seconds < seconds || (u->seconds == seconds && u->bytes < range.least))
            low = middle + 1;
        else
            high = middle;
    }
    for (;;) {
        struct match_row row = { .uid = 0 };
        struct unread *u;

        low = next_unread(rows, low);
        if (low == rows->unread_count)
            return false;
        u = &rows->unread[low];
        if (u->seconds != seconds || u->bytes > range.most)
            return false;
        if (!source->read(source->context, u->uid, &row))
            return true;
        u->next = (uint32_t)low + 1;
        if (row.uid)
            matcher_expect(matcher, &row);
    }
}

/* ---- a key's messages ---------------------------------------------------------------------- */

/* What is free of the key, against what of it has no copy yet. */
static void plan(struct matcher *matcher, size_t first, size_t count, const struct match_rules *rules)
{
    struct match_rows *rows = matcher->rows;
    struct group *group = &rows->groups[first];
    struct match_copy *copies = mem_zero(count, sizeof *copies);
    uint32_t *places = mem_zero(count, sizeof *places);
    struct match_message *messages;
    size_t copy_count = 0, message_count = 0;

    for (size_t i = first; i < first + count; i++)
        if (matcher->all[i].uid) {
            copies[copy_count] = (struct match_copy){ matcher->all[i].seconds, matcher->all[i].size,
                                                      matcher->all[i].uid >= matcher->ours_from };
            places[copy_count++] = (uint32_t)i;
        }
    for (uint32_t i = group->first; i != NONE; i = rows->all[i].next)
        message_count += !rows->all[i].gone;
    messages = mem_zero(message_count + 1, sizeof *messages);
    message_count = 0;
    for (uint32_t i = group->first; i != NONE; i = rows->all[i].next)
        if (!rows->all[i].gone) {
            messages[message_count] = rows->all[i].message;
            messages[message_count++].decided = rows->all[i].done;
        }
    qsort(messages, message_count, sizeof *messages, match_message_order);
    group->doubtful = match_assign(messages, message_count, copies, copy_count, rules) > 0;
    for (size_t i = 0; i < message_count; i++) {
        struct match_message *m = &find(rows, messages[i].uid)->message;

        m->pair = messages[i].pair == MATCH_UNPAIRED ? NONE : places[messages[i].pair];
        m->doubtful = messages[i].doubtful;
    }
    group->planned = true;
    free(messages);
    free(copies);
    free(places);
}

/* It is the only one of its key that is expected, but for its equals; dated: the only one of its key and date. */
static bool is_alone(const struct match_rows *rows, const struct expected *e, bool dated)
{
    unsigned looked = 0, alike = 0;

    for (uint32_t i = rows->groups[e->group].first; i != NONE; i = rows->all[i].next) {
        if (++looked > LOOK_AT_MOST)
            return false;
        alike += dated ? rows->all[i].message.seconds == e->message.seconds
                       : &rows->all[i] == e || rows->all[i].message.bytes != e->message.bytes ||
                             rows->all[i].message.digest != e->message.digest;
    }
    return alike == 1;
}

/* One of those that may be the message's copy has its very size. */
static bool has_its_size(const struct matcher *matcher, const struct expected *e, size_t from, size_t dated)
{
    for (size_t i = from; i < from + dated && i < from + LOOK_AT_MOST; i++)
        if (matcher->all[i].size == e->message.bytes)
            return true;
    return false;
}

/* The same of any message of the key. */
static bool has_some_its_size(const struct matcher *matcher, const struct expected *e, size_t from, size_t dated)
{
    const struct match_rows *rows = matcher->rows;
    unsigned looked = 0;

    for (uint32_t i = rows->groups[e->group].first; i != NONE && looked < LOOK_AT_MOST; i = rows->all[i].next, looked++)
        if (rows->all[i].message.seconds == e->message.seconds && has_its_size(matcher, &rows->all[i], from, dated))
            return true;
    return false;
}

/* The only copy of the key, or else one that is free and has the message's very size. */
static const struct candidate *one_of_key(const struct matcher *matcher, const struct expected *e, size_t count)
{
    if (count == 1)
        return &matcher->all[e->group];
    for (size_t i = e->group; i < e->group + count && i < e->group + LOOK_AT_MOST; i++)
        if (matcher->all[i].uid && matcher->all[i].size == e->message.bytes)
            return &matcher->all[i];
    return NULL;
}

/* A very size is no chance. Else a message tells what the target makes of mail where there is one of it, and one copy
 * at most. */
static void learn(struct matcher *matcher, struct expected *e, size_t count, bool rival,
                  struct match_fidelity *fidelity)
{
    const struct match_rows *rows = matcher->rows;
    const struct candidate *c = NULL;
    size_t from, dated;

    if (e->learnt || matcher->all[e->group].key[0] == 'E' || e->message.seconds == INT64_MIN)
        return;
    dated = matcher_of_date(matcher, e->group, count, e->message.seconds, &from);
    if (has_some_its_size(matcher, e, from, dated)) {
        e->learnt = true;
        match_fidelity_size(fidelity, e->message.bytes, e->message.bytes, false);
        match_fidelity_date(fidelity, true, false);
        return;
    }
    if (rival)
        return;
    if (dated == 1 && is_alone(rows, e, true))
        c = &matcher->all[from];
    else if (dated == 0 && matcher->all[e->group].key[0] == 'M' && is_alone(rows, e, false))
        c = one_of_key(matcher, e, count);
    if (!c)
        return;
    e->learnt = true;
    match_fidelity_date(fidelity, dated == 1, false);
    match_fidelity_size(fidelity, e->message.bytes, c->size, false);
}

/* ---- one message --------------------------------------------------------------------------- */

/* One that waits to be fetched may be what a copy is of that could be this message's. */
static bool has_rival(struct matcher *matcher, const struct expected *e, size_t count,
                      const struct match_fidelity *fidelity, const struct match_rules *rules,
                      const struct match_unread *unread)
{
    struct match_range range = { e->message.bytes, e->message.bytes };
    size_t from, dated = matcher_of_date(matcher, e->group, count, e->message.seconds, &from);
    int64_t seconds = e->message.seconds;
    bool rival;

    if (!rules->sizes_exact) {
        if (dated == 0)
            return unread->any && !rules->dates_kept;
        range.least = match_sent_of(fidelity, matcher->all[from].size).least;
        range.most = match_sent_of(fidelity, matcher->all[from + dated - 1].size).most;
    } else if (!unread->sizes_exact) {
        range.least -= range.least / 16 + (range.least < 128 ? 0 : 64);
        range.most += range.most / 16 + 64;
    }
    if (dated == 0)
        return false;
    rival = has_unread(matcher, unread, seconds, range);
    return has_unread(matcher, unread, INT64_MIN, range) || rival;
}

/* Nothing has shown yet what the answer is built on. */
static bool is_premature(const struct matcher *matcher, const struct expected *e, size_t count,
                         const struct match_fidelity *fidelity)
{
    size_t from, dated = matcher_of_date(matcher, e->group, count, e->message.seconds, &from);
    bool dates = dated == 0 && matcher->all[e->group].key[0] == 'M' && match_dates_assumed(fidelity);
    bool sizes = dated > 0 && !fidelity->rewrites && match_sizes_assumed(fidelity);
    struct match_range range = match_sizes_of(fidelity, e->message.bytes);

    if (e->message.pair != NONE || !(dates || sizes))
        return false;
    if (dates) {
        from = e->group;
        dated = count;
    }
    for (size_t i = from; i < from + dated; i++)
        if (matcher->all[i].uid && matcher->all[i].size >= range.least && matcher->all[i].size <= range.most)
            return true;
    return false;
}

/* Nothing more is going to be known: what any of them can tell counts before the first is decided. */
static void learn_all(struct matcher *matcher, struct match_fidelity *fidelity, const struct match_unread *unread)
{
    struct match_rows *rows = matcher->rows;
    uint8_t key[MATCH_KEY_BYTES];

    if (!unread->last || rows->all_told)
        return;
    rows->all_told = true;
    for (uint32_t i = 0; i < rows->count; i++) {
        struct match_rules rules = { .fidelity = fidelity };
        size_t first, count;
        bool rival;

        memcpy(key, matcher->all[rows->all[i].group].key, sizeof key);
        if (rows->all[i].done || rows->all[i].learnt)
            continue;
        rules.dates_kept = match_dates_kept(fidelity, false);
        rules.sizes_exact = match_sizes_exact(fidelity, false);
        count = matcher_of_key(matcher, key, &first);
        rival = has_rival(matcher, &rows->all[i], count, fidelity, &rules, unread);
        learn(matcher, &rows->all[i], count, rival, fidelity); /* others may have come to be expected */
    }
}

static void forget_plans(struct matcher *matcher, const struct match_fidelity *fidelity,
                         const struct match_rules *rules)
{
    struct match_rows *rows = matcher->rows;
    struct match_range unused;
    bool exact = rules->sizes_exact, learnt = match_sizes_learnt(fidelity, 0, &unused),
         open = match_dates_open(fidelity);

    if (exact == rows->exact && learnt == rows->learnt && rules->dates_kept == rows->dates_kept &&
        open == rows->dates_open)
        return;
    rows->exact = exact;
    rows->learnt = learnt;
    rows->dates_kept = rules->dates_kept;
    rows->dates_open = open;
    for (size_t i = 0; i < matcher->count; i++)
        rows->groups[i].planned = false;
}

/* What is taken for granted now. What has nothing by which it is told from others must have its very size. */
static void decide(struct match_rules *rules, const struct match_row *row, bool last)
{
    rules->dates_kept = match_dates_kept(rules->fidelity, last);
    rules->dates_open = row->key[0] != 'E' && match_dates_open(rules->fidelity);
    rules->sizes_exact = match_sizes_exact(rules->fidelity, last) || (row->key[0] == 'E' && !rules->fidelity->rewrites);
}

enum match_verdict matcher_pair(struct matcher *matcher, const struct match_row *row, struct match_fidelity *fidelity,
                                const struct match_unread *unread, uint32_t *uid_r)
{
    struct match_rules rules = { .fidelity = fidelity, .named = row->key[0] == 'M' };
    struct match_rows *rows;
    struct expected *e;
    size_t first, count;
    bool rival;

    if (matcher->left == 0 || (count = matcher_of_key(matcher, row->key, &first)) == 0)
        return MATCH_NONE;
    matcher_expect(matcher, row);
    rows = matcher->rows;
    e = find(rows, row->uid);
    if (e->done)
        return e->doubtful ? MATCH_DOUBT : MATCH_NONE;
    learn_all(matcher, fidelity, unread);
    e = find(rows, row->uid);
    decide(&rules, row, unread->last);
    rival = has_rival(matcher, e, count, fidelity, &rules, unread);
    e = find(rows, row->uid); /* others may have come to be expected */
    learn(matcher, e, count, rival, fidelity);
    if (rival && !unread->last)
        return MATCH_WAIT;
    decide(&rules, row, unread->last);
    forget_plans(matcher, fidelity, &rules);
    if (!rows->groups[first].planned)
        plan(matcher, first, count, &rules);
    if (!unread->last && (rows->groups[first].doubtful || is_premature(matcher, e, count, fidelity)))
        return MATCH_WAIT;
    e->done = true;
    /* A copy that may be of one that nobody has read is nobody's; of a Message-ID and size there is one. */
    if (e->message.pair == NONE || (rival && rules.dates_kept && !(rules.sizes_exact && rules.named))) {
        e->doubtful = e->message.doubtful || e->message.pair != NONE;
        return e->doubtful ? MATCH_DOUBT : MATCH_NONE;
    }
    e->gone = true;
    *uid_r = matcher->all[e->message.pair].uid;
    matcher_taken(matcher, &matcher->all[e->message.pair]);
    return MATCH_FOUND;
}
