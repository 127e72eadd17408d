#include "engine/report/merge.h"

#include "engine/report/format.h"
#include "engine/report/intern.h"
#include "engine/report/share.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <stdarg.h>
#include <stdlib.h>

#define NAMES_TOLD     10u                         /* of one list in a note */
#define OTHER_NIGHT_MS (INT64_C(20) * 3600 * 1000) /* shards of one night are no further apart */

/* --- the parts --- */

static void add_part(struct report *r, const struct report_state *state, const struct share_part *of_share)
{
    struct report_shard *p;
    bool there = state->spool || (of_share && of_share->there);

    r->parts = mem_resize(r->parts, r->part_count + 1u, sizeof *r->parts);
    p = &r->parts[r->part_count++];
    *p = (struct report_shard){ .given = *state, .of_share = of_share, .place = state->folder };
    if (of_share) {
        p->place = of_share->folder;
        p->given.number = of_share->number;
        p->given.of = of_share->of;
        if (!there)
            p->given.share = NULL;
    }
    if (there) {
        r->spools = mem_resize(r->spools, r->shards + 1u, sizeof(struct spool *));
        r->spools[r->shards++] = state->spool;
    }
}

void report_merge_parts(struct report *r, const struct report_state *states, unsigned count)
{
    for (int missing = 0; missing < 2; missing++)
        for (unsigned i = 0; i < count; i++) {
            const struct share *share = states[i].share;

            for (unsigned k = 0; share && k < share->part_count; k++)
                if (!share->parts[k].left_out && share->parts[k].there != missing)
                    add_part(r, &states[i], &share->parts[k]);
            if (!share && (states[i].spool == NULL) == missing)
                add_part(r, &states[i], NULL);
        }
    r->readers = mem_zero(r->shards, sizeof *r->readers);
}

/* The path without the last part of it, or without a shard's ending. */
static char *base_of(const struct report_shard *p)
{
    char *real = realpath(p->given.folder, NULL), *path = real ? real : mem_text(p->given.folder);
    char *end = strrchr(path, p->of_share ? '/' : '.');

    if (end && (p->of_share || p->given.of > 1))
        *end = '\0';
    return path;
}

bool report_merge_identify(struct report *r, struct err *err_r)
{
    for (unsigned i = 0; i < r->shards; i++) {
        struct report_shard *p = &r->parts[i];
        struct slice text;

        p->base = base_of(p);
        if (p->given.share) {
            p->batch_name = mem_text(p->given.share->name);
            p->updated_ms = p->of_share->updated_ms;
            continue;
        }
        if (!spool_meta_get(r->spools[i], "batch.name", &text, err_r))
            return false;
        p->batch_name = format_printable(text);
        p->updated_ms = spool_last_commit_ms(r->spools[i]);
        free((char *)text.data);
    }
    return true;
}

bool report_merge_is_first(const struct report *r, unsigned part)
{
    const struct share *share = r->parts[part].given.share;

    for (unsigned i = 0; share && i < part; i++)
        if (r->parts[i].given.share == share && !r->parts[i].left_out)
            return false;
    return !r->parts[part].left_out;
}

/* --- notes --- */

static void note(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct report *r, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = mem_text("");
    va_end(args);
    r->notes = mem_resize(r->notes, r->note_count + 1u, sizeof *r->notes);
    r->notes[r->note_count++] = format_printable(slice_cstr(text));
    free(text);
}

/* "a, b and 7 more", of names that come one by one. */
struct names {
    char *text;
    unsigned count;
};

static void names_add(struct names *names, const char *name)
{
    if (names->count++ < NAMES_TOLD) {
        char *longer = mem_format("%s%s%s", names->text ? names->text : "", names->text ? ", " : "", name);

        free(names->text);
        names->text = longer;
    }
}

static char *names_end(struct names *names)
{
    char *text = names->count > NAMES_TOLD
                     ? mem_format("%s and %s more", names->text, format_count(names->count - NAMES_TOLD).text)
                     : mem_text(names->text ? names->text : "");

    free(names->text);
    return text;
}

/* --- divisions that are no more --- */

static unsigned division_of(const struct report_shard *p)
{
    return p->given.of < 2 ? 1 : p->given.of;
}

/* Reports of a batch lie beside its batch file, its state folders beside each other; a report also
 * says where the state folder was that it is of. */
static bool same_batch(const struct report_shard *a, const struct report_shard *b)
{
    if (strcmp(a->batch_name, b->batch_name) != 0)
        return false;
    if (!a->of_share == !b->of_share)
        return strcmp(a->base, b->base) == 0;
    if (b->of_share) {
        const struct report_shard *swap = a;

        a = b;
        b = swap;
    }
    return strncmp(a->place, b->base, strlen(b->base)) == 0 &&
           (a->place[strlen(b->base)] == '.' || a->place[strlen(b->base)] == '\0');
}

static void tell_stale(struct report *r, unsigned from, const struct report_shard *newer)
{
    struct names names = { NULL, 0 };
    unsigned of = division_of(&r->parts[from]);
    char *text;

    for (unsigned i = from; i < r->shards; i++) {
        struct report_shard *p = &r->parts[i];

        if (p->left_out != REPORT_STALE || p->told || division_of(p) != of || !same_batch(p, &r->parts[from]))
            continue;
        p->told = true;
        names_add(&names, p->given.folder);
    }
    text = names_end(&names);
    if (of > 1)
        note(r, "%s %s left out: of shards of %u, and this batch was at work %s since", text,
             names.count > 1 ? "are" : "is", of,
             division_of(newer) > 1 ? "in another number of them" : "without shards");
    else
        note(r, "%s %s left out: this batch was at work in shards of %u since", text, names.count > 1 ? "are" : "is",
             division_of(newer));
    free(text);
}

void report_merge_stale(struct report *r)
{
    int64_t *last = mem_zero(r->shards, sizeof *last);
    unsigned *newer = mem_zero(r->shards, sizeof *newer); /* index + 1 */

    for (unsigned i = 0; i < r->shards; i++)
        for (unsigned k = 0; k < r->shards; k++)
            if (division_of(&r->parts[i]) == division_of(&r->parts[k]) && r->parts[k].updated_ms > last[i] &&
                same_batch(&r->parts[i], &r->parts[k]))
                last[i] = r->parts[k].updated_ms;
    for (unsigned i = 0; i < r->shards; i++)
        for (unsigned k = 0; k < r->shards; k++)
            if (division_of(&r->parts[i]) != division_of(&r->parts[k]) &&
                (last[k] > last[i] || (last[k] == last[i] && k < i)) && same_batch(&r->parts[i], &r->parts[k]) &&
                (!newer[i] || last[k] > last[newer[i] - 1]))
                newer[i] = k + 1;
    for (unsigned i = 0; i < r->shards; i++)
        r->parts[i].left_out = newer[i] ? REPORT_STALE : REPORT_COUNTED;
    for (unsigned i = 0; i < r->shards; i++)
        if (newer[i] && !r->parts[i].told)
            tell_stale(r, i, &r->parts[newer[i] - 1]);
    free(last);
    free(newer);
}

/* --- users that are in two of them --- */

static int64_t at_work_ms(const struct report_user *u)
{
    return u->started_ms > u->finished_ms ? u->started_ms : u->finished_ms;
}

/* More than looked at. */
static bool was_begun(const struct report_user *u)
{
    return u->state != USER_QUEUED || u->syncs > 0;
}

/* Is b newer than a, which stands before it? */
static bool is_newer(const struct report *r, const struct report_user *b, const struct report_user *a)
{
    const struct report_shard *of_a = &r->parts[a->shard], *of_b = &r->parts[b->shard];

    if (was_begun(a) != was_begun(b))
        return was_begun(b);
    if (at_work_ms(a) / 1000 != at_work_ms(b) / 1000)
        return at_work_ms(b) > at_work_ms(a);
    if (of_a->updated_ms / 1000 != of_b->updated_ms / 1000)
        return of_b->updated_ms > of_a->updated_ms;
    /* One is a copy of the other: the state folder knows more. */
    return of_a->given.share && !of_b->given.share;
}

static void tell_pair(struct report *r, unsigned from)
{
    unsigned a = r->duplicates[from].counted, b = r->duplicates[from].left_out, as_a = 0;
    struct names names = { NULL, 0 };
    char *text;

    for (unsigned i = from; i < r->duplicate_count; i++) {
        struct report_duplicate *d = &r->duplicates[i];

        if (d->told || !((d->counted == a && d->left_out == b) || (d->counted == b && d->left_out == a)))
            continue;
        d->told = true;
        as_a += d->counted == a;
        names_add(&names, d->address);
    }
    text = names_end(&names);
    if (a == b)
        note(r, "%s %s twice in %s: counted once, as the newer row has it", text, names.count > 1 ? "are" : "is",
             r->parts[a].given.folder);
    else if (names.count == as_a)
        note(r, "%s %s in both %s and %s: counted once, as %s has %s, which is newer", text,
             names.count > 1 ? "are" : "is", r->parts[a].given.folder, r->parts[b].given.folder,
             r->parts[a].given.folder, names.count > 1 ? "them" : "it");
    else
        note(r,
             "%s are in both %s and %s: each is counted once, as the newer has it: %u as the one, "
             "%u as the other",
             text, r->parts[a].given.folder, r->parts[b].given.folder, as_a, names.count - as_a);
    free(text);
}

/* first[n]: the row, index + 1, that stands for the n-th address. */
static void find_duplicates(struct report *r, struct intern *addresses, unsigned *first, bool *gone)
{
    unsigned *of = NULL; /* which address a duplicate is of */

    for (unsigned i = 0; i < r->user_count; i++) {
        char *folded = slice_dup_folded(slice_cstr(r->users[i].address));
        unsigned n = intern_text(addresses, slice_cstr(folded)), old = first[n] - 1;
        bool newer;

        free(folded);
        if (first[n] == 0) {
            first[n] = i + 1;
            continue;
        }
        newer = is_newer(r, &r->users[i], &r->users[old]);
        gone[newer ? old : i] = true;
        r->duplicates = mem_resize(r->duplicates, r->duplicate_count + 1u, sizeof *r->duplicates);
        of = mem_resize(of, r->duplicate_count + 1u, sizeof *of);
        of[r->duplicate_count] = n;
        r->duplicates[r->duplicate_count++] = (struct report_duplicate){ .address = mem_text(r->users[i].address),
                                                                         .left_out = r->users[newer ? old : i].shard };
        if (newer)
            first[n] = i + 1;
    }
    /* Of three, the second is not what counts when the third is newer still. */
    for (unsigned i = 0; i < r->duplicate_count; i++)
        r->duplicates[i].counted = r->users[first[of[i]] - 1].shard;
    free(of);
}

void report_merge_users(struct report *r)
{
    struct intern addresses = { 0 };
    unsigned *first = mem_zero(r->user_count, sizeof *first), left = 0;
    unsigned *had = mem_zero(r->shards, sizeof *had), *has = mem_zero(r->shards, sizeof *has);
    bool *gone = mem_zero(r->user_count, sizeof *gone);

    find_duplicates(r, &addresses, first, gone);
    for (unsigned i = 0; i < r->user_count; i++) {
        had[r->users[i].shard]++;
        if (gone[i]) {
            free(r->users[i].address);
            free(r->users[i].user_name);
            continue;
        }
        has[r->users[i].shard]++;
        r->users[left++] = r->users[i];
    }
    r->user_count = left;
    for (unsigned i = 0; i < r->shards; i++)
        if (had[i] && !has[i])
            r->parts[i].left_out = REPORT_SUPERSEDED;
    for (unsigned i = 0; i < r->duplicate_count; i++)
        if (!r->duplicates[i].told)
            tell_pair(r, i);
    intern_deinit(&addresses);
    free(first);
    free(had);
    free(has);
    free(gone);
}

void report_merge_old(struct report *r)
{
    for (unsigned i = 0; i < r->shards; i++) {
        const struct report_shard *p = &r->parts[i];
        int64_t newest_ms = 0;
        char when[32];

        for (unsigned k = 0; k < r->shards; k++)
            if (r->parts[k].division == p->division && !r->parts[k].left_out && r->parts[k].updated_ms > newest_ms)
                newest_ms = r->parts[k].updated_ms;
        if (p->of_share && p->division && !p->left_out && newest_ms - p->updated_ms > OTHER_NIGHT_MS)
            note(r, "%s is of %s, the night before others or earlier: shard %u was not at work since", p->given.folder,
                 now_rfc3339(p->updated_ms, when, sizeof when), p->given.number);
    }
}

void report_merge_emit(struct emit *e, const struct report *r)
{
    emit_array(e, "duplicates");
    for (unsigned i = 0; i < r->duplicate_count; i++) {
        const struct report_duplicate *d = &r->duplicates[i];

        emit_object(e, NULL);
        emit_cstr(e, "address", d->address);
        emit_cstr(e, "counted", r->parts[d->counted].given.folder);
        emit_cstr(e, "left_out", r->parts[d->left_out].given.folder);
        emit_end_object(e);
    }
    emit_end_array(e);
}

void report_merge_deinit(struct report *r)
{
    for (unsigned i = 0; i < r->part_count; i++) {
        free(r->parts[i].base);
        free(r->parts[i].batch_name);
    }
    for (unsigned i = 0; i < r->note_count; i++)
        free(r->notes[i]);
    for (unsigned i = 0; i < r->duplicate_count; i++)
        free(r->duplicates[i].address);
    free(r->notes);
    free(r->duplicates);
}
