#include "engine/report/shards.h"

#include "engine/report/format.h"
#include "engine/report/report.h"
#include "engine/report/share.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIST_BYTES 160u /* of one list of numbers */

/* How a shard stands, for people. */
enum standing { ENDED, AT_WORK, UNHEARD, STOPPED, PLANNED, SUPERSEDED, MISSING, UNNAMED, STANDINGS };
static const char *const words[STANDINGS] = { "ended",
                                              "at work",
                                              "at work when last heard of",
                                              "stopped before the end",
                                              "only planned",
                                              "left out for newer ones",
                                              "without a state folder",
                                              "not named here" };

bool report_shard_is_untouched(const struct report_shard *p)
{
    return p->state[0] == '\0' || strcmp(p->state, "Created") == 0;
}

static enum standing standing_of(const struct report_shard *p)
{
    if (!p->given.spool && !p->given.share)
        return MISSING;
    if (p->left_out)
        return SUPERSEDED;
    if (p->running)
        return AT_WORK;
    if (p->unheard)
        return UNHEARD;
    if (strcmp(p->state, "Stopped") == 0)
        return STOPPED;
    return report_shard_is_untouched(p) ? PLANNED : ENDED;
}

/* The path without the shard's ending. */
static struct slice base_of(const struct report_shard *p)
{
    char text[SETTINGS_SHARD_ENDING_BYTES];
    struct slice folder = slice_cstr(p->place);
    struct slice ending = slice_cstr(settings_shard_ending(p->given.number, p->given.of, text));

    if (slice_ends(folder, ending))
        folder.size -= ending.size;
    return folder;
}

static bool is_missing(const struct report_shard *p)
{
    return standing_of(p) == MISSING;
}

static bool counts(const struct report_shard *p)
{
    return !is_missing(p) && !p->left_out;
}

/* Whether a part of a kind stands for that shard. */
static bool has_number(const struct report *r, unsigned division, unsigned number,
                       bool (*kind)(const struct report_shard *))
{
    for (unsigned i = 0; i < r->part_count; i++)
        if (r->parts[i].division == division && r->parts[i].given.number == number && kind(&r->parts[i]))
            return true;
    return false;
}

static bool is_there(const struct report_shard *p)
{
    return !is_missing(p);
}

static bool is_any(const struct report_shard *p)
{
    (void)p;
    return true;
}

static bool overlap(const struct report *r, unsigned a, unsigned b)
{
    for (unsigned i = 0; i < r->part_count; i++)
        if (r->parts[i].division == a && counts(&r->parts[i]) && has_number(r, b, r->parts[i].given.number, counts))
            return true;
    return false;
}

/* Newer ones have all its users. */
static bool is_over(const struct report *r, unsigned division)
{
    for (unsigned i = 0; i < r->part_count; i++)
        if (r->parts[i].division == division && (is_missing(&r->parts[i]) || counts(&r->parts[i])))
            return false;
    return true;
}

/* Of a division whose shards are all missing no name is known. */
static const char *name_of(const struct report *r, unsigned division)
{
    for (unsigned i = 0; i < r->part_count; i++)
        if (r->parts[i].division == division && r->parts[i].batch_name)
            return r->parts[i].batch_name;
    return "";
}

/* Is one of its shards known from a report, or were users of it found elsewhere too? */
static bool is_scattered(const struct report *r, unsigned division)
{
    for (unsigned i = 0; i < r->part_count; i++)
        if (r->parts[i].division == division && r->parts[i].of_share)
            return true;
    return r->duplicate_count > 0;
}

/* a: 0 for none. */
static void unite(struct report *r, unsigned a, unsigned b)
{
    for (unsigned i = 0; i < r->part_count; i++) {
        struct report_shard *p = &r->parts[i];

        if (p->division == b)
            p->division = a;
        else if (p->division > b)
            p->division--;
    }
    r->division_count--;
    memmove(&r->divisions[b - 1], &r->divisions[b], (r->division_count - (b - 1)) * sizeof *r->divisions);
}

/* The shards of one batch may lie at several places: some here, of others the reports. */
static void unite_scattered(struct report *r)
{
    for (unsigned a = 1; a <= r->division_count; a++)
        for (unsigned b = a + 1; b <= r->division_count;)
            if (r->parts[r->divisions[a - 1]].given.of == r->parts[r->divisions[b - 1]].given.of &&
                strcmp(name_of(r, a), name_of(r, b)) == 0 && (is_scattered(r, a) || is_scattered(r, b)) &&
                !overlap(r, a, b))
                unite(r, a, b);
            else
                b++;
    for (unsigned d = r->division_count; d > 0; d--)
        if (is_over(r, d))
            unite(r, 0, d);
}

/* What is missing at one place is not when another has it. */
static void count_missing(struct report *r)
{
    for (unsigned d = 1; d <= r->division_count; d++) {
        unsigned of = r->parts[r->divisions[d - 1]].given.of, there = 0;

        for (unsigned i = 0; i < r->part_count; i++) {
            struct report_shard *p = &r->parts[i];

            if (p->division != d)
                continue;
            if (is_missing(p) && has_number(r, d, p->given.number, is_there)) {
                p->left_out = REPORT_SUPERSEDED;
                p->division = 0;
            }
        }
        for (unsigned number = 1; number <= of; number++)
            there += has_number(r, d, number, is_there);
        r->missing += of - there;
    }
}

void report_shards_divide(struct report *r)
{
    for (unsigned i = 0; i < r->part_count; i++) {
        struct report_shard *p = &r->parts[i];

        /* One state folder alone is what was asked for. */
        if (p->given.of < 2 || p->left_out == REPORT_STALE || (r->part_count == 1 && !p->of_share))
            continue;
        for (unsigned d = 0; d < r->division_count && !p->division; d++) {
            const struct report_shard *first = &r->parts[r->divisions[d]];

            if (first->given.of == p->given.of && slice_equal(base_of(first), base_of(p)))
                p->division = d + 1;
        }
        if (!p->division) {
            r->divisions = mem_resize(r->divisions, r->division_count + 1u, sizeof *r->divisions);
            r->divisions[r->division_count++] = i;
            p->division = r->division_count;
        }
    }
    unite_scattered(r);
    count_missing(r);
}

unsigned report_shards_counted(const struct report *r)
{
    unsigned n = 0;

    for (unsigned i = 0; i < r->shards; i++)
        n += !r->parts[i].left_out;
    return n;
}

bool report_shards_unheard(const struct report *r)
{
    for (unsigned i = 0; i < r->shards; i++)
        if (!r->parts[i].left_out && standing_of(&r->parts[i]) == UNHEARD)
            return true;
    return false;
}

static bool put(struct buf *b, const char *between, unsigned from, unsigned to)
{
    return from == to       ? buf_append_format(b, "%s%u", between, from)
           : to == from + 1 ? buf_append_format(b, "%s%u, %u", between, from, to)
                            : buf_append_format(b, "%s%u-%u", between, from, to);
}

static int by_number(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return x < y ? -1 : x > y;
}

/* The shards of division `of` (from 0) that stand so; the list is the caller's to free. */
static unsigned *numbers_of(const struct report *r, unsigned of, enum standing standing, unsigned *count_r)
{
    unsigned shards = r->parts[r->divisions[of]].given.of, n = 0, *all;

    all = mem_zero((size_t)r->part_count + shards, sizeof *all);
    for (unsigned i = 0; standing != UNNAMED && i < r->part_count; i++)
        if (r->parts[i].division == of + 1 && standing_of(&r->parts[i]) == standing)
            all[n++] = r->parts[i].given.number;
    for (unsigned number = 1; standing == UNNAMED && number <= shards; number++)
        if (!has_number(r, of + 1, number, is_any))
            all[n++] = number;
    if (n)
        qsort(all, n, sizeof *all, by_number);
    *count_r = n;
    return all;
}

/* "3, 5-7": these; returns how many they are. A long list is cut. */
static unsigned numbers(const struct report *r, unsigned of, enum standing standing, struct buf *out)
{
    unsigned n, *all = numbers_of(r, of, standing, &n);
    bool fits = true;

    for (unsigned i = 0, end; fits && i < n; i = end) {
        for (end = i + 1; end < n && all[end] == all[end - 1] + 1;)
            end++;
        fits = buf_slice(out).size < LIST_BYTES && put(out, i ? ", " : "", all[i], all[end - 1]);
        if (!fits && !buf_append(out, SLICE(", ...")))
            buf_clear(out);
    }
    free(all);
    return n;
}

/* " Shards 3 and 5 of 10 WORDS their users ..." for each division that has some. */
static void say(const struct report *r, enum standing standing, const char *one, const char *many, struct buf *out)
{
    bool fits = true;

    for (unsigned i = 0; fits && i < r->division_count; i++) {
        struct buf list;
        unsigned n;

        buf_init(&list, 2 * LIST_BYTES);
        n = numbers(r, i, standing, &list);
        if (n)
            fits = buf_append_format(out, " Shard%s %.*s of %u %s", format_s(n), (int)buf_slice(&list).size,
                                     buf_slice(&list).data, r->parts[r->divisions[i]].given.of, n == 1 ? one : many);
        buf_deinit(&list);
    }
}

void report_shards_say_missing(const struct report *r, struct buf *out)
{
    say(r, MISSING, "has no state folder here: its users are in none of these numbers.",
        "have no state folder here: their users are in none of these numbers.", out);
    say(r, UNNAMED, "is not among what was named: its users are in none of these numbers.",
        "are not among what was named: their users are in none of these numbers.", out);
}

void report_shards_say_unheard(const struct report *r, struct buf *out)
{
    int64_t oldest_ms = 0;
    char when[32];

    for (unsigned i = 0; i < r->shards; i++)
        if (!r->parts[i].left_out && standing_of(&r->parts[i]) == UNHEARD &&
            (oldest_ms == 0 || r->parts[i].given.share->made_ms < oldest_ms))
            oldest_ms = r->parts[i].given.share->made_ms;
    if (!report_shards_unheard(r))
        return;
    say(r, UNHEARD, "was at work when its report was written: how it stands now is not in it.",
        "were at work when their reports were written: how they stand now is not in them.", out);
    if (r->division_count == 0 &&
        !buf_append(out, SLICE(" A run was at work when the report was written: how it stands now is not in it.")))
        buf_clear(out);
    if (oldest_ms && !buf_append_format(out, " That was %s.", now_rfc3339(oldest_ms, when, sizeof when)))
        buf_clear(out);
}

const char *report_shards_line(const struct report *r, unsigned i, char *out, size_t cap)
{
    const struct report_shard *first = &r->parts[r->divisions[i]];
    unsigned told = 0;
    struct buf line;
    bool fits;

    buf_init(&line, 4096);
    fits = buf_append_format(&line, "%u:", first->given.of);
    for (enum standing s = ENDED; fits && s < STANDINGS; s++) {
        struct buf list;
        unsigned n;

        buf_init(&list, 2 * LIST_BYTES);
        n = numbers(r, i, s, &list);
        if (n) {
            fits = buf_append_format(&line, "%s %u %s", told ? "," : "", n, words[s]);
            told += n;
            /* Who is done is not looked for. */
            if (fits && s != ENDED)
                fits = buf_append_format(&line, " (%.*s)", (int)buf_slice(&list).size, buf_slice(&list).data);
        }
        buf_deinit(&list);
    }
    if (fits && r->division_count > 1)
        fits = buf_append_format(&line, "; %.*s", (int)base_of(first).size, base_of(first).data);
    err_printable(out, cap, buf_slice(&line).data, buf_slice(&line).size);
    buf_deinit(&line);
    return out;
}

/* Whose disk the state folder is on, by the name that a job script knows the machine by. */
static const char *host_of(const struct report_shard *p, char *out, size_t cap)
{
    const char *node = getenv("SLURMD_NODENAME");

    if (p->of_share)
        return p->of_share->host ? p->of_share->host : "";
    if (!node && gethostname(out, cap) != 0)
        out[0] = '\0';
    out[cap - 1] = '\0';
    return node ? node : out;
}

void report_shards_emit(struct emit *e, const struct report *r)
{
    char host[256];

    emit_array(e, "states");
    for (unsigned i = 0; i < r->part_count; i++) {
        const struct report_shard *p = &r->parts[i];
        char shard[32];
        bool there = p->given.spool || p->given.share;

        snprintf(shard, sizeof shard, "%u/%u", p->given.number, p->given.of);
        emit_object(e, NULL);
        emit_cstr(e, "folder", p->place);
        emit_cstr(e, "host", host_of(p, host, sizeof host));
        if (p->of_share)
            emit_cstr(e, "report", p->given.folder);
        if (p->given.of)
            emit_cstr(e, "shard", shard);
        else
            emit_null(e, "shard");
        if (there && !p->left_out)
            emit_cstr(e, "state", p->state);
        else
            emit_null(e, "state");
        emit_bool(e, "left_out", p->left_out != REPORT_COUNTED);
        emit_bool(e, "running", p->running || p->unheard);
        emit_time(e, "started", p->started_ms);
        emit_time(e, "updated", p->updated_ms);
        emit_number(e, "users", p->users);
        if (p->has_exit_code)
            emit_number(e, "exit_code", (uint64_t)p->exit_code);
        else
            emit_null(e, "exit_code");
        emit_end_object(e);
    }
    emit_end_array(e);
}
