#include "engine/report/shards.h"

#include "engine/report/format.h"
#include "engine/report/report.h"
#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define LIST_BYTES 160u /* of one list of numbers */

/* How a shard stands, for people. */
enum standing { ENDED, AT_WORK, STOPPED, PLANNED, MISSING, STANDINGS };
static const char *const words[STANDINGS] = { "ended", "at work", "stopped before the end", "only planned",
                                              "without a state folder" };

bool report_shard_is_untouched(const struct report_shard *p)
{
    return p->state[0] == '\0' || strcmp(p->state, "Created") == 0;
}

static enum standing standing_of(const struct report_shard *p)
{
    if (!p->given.spool)
        return MISSING;
    if (p->running)
        return AT_WORK;
    if (strcmp(p->state, "Stopped") == 0)
        return STOPPED;
    return report_shard_is_untouched(p) ? PLANNED : ENDED;
}

/* The path without the shard's ending. */
static struct slice base_of(const struct report_shard *p)
{
    char text[SETTINGS_SHARD_ENDING_BYTES];
    struct slice folder = slice_cstr(p->given.folder);
    struct slice ending = slice_cstr(settings_shard_ending(p->given.number, p->given.of, text));

    if (slice_ends(folder, ending))
        folder.size -= ending.size;
    return folder;
}

void report_shards_divide(struct report *r)
{
    /* One state folder alone is what was asked for. */
    for (unsigned i = 0; r->part_count > 1 && i < r->part_count; i++) {
        struct report_shard *p = &r->parts[i];

        if (p->given.of < 2)
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
}

static bool put(struct buf *b, const char *between, unsigned from, unsigned to)
{
    return from == to      ? buf_append_format(b, "%s%u", between, from)
           : to == from + 1 ? buf_append_format(b, "%s%u, %u", between, from, to)
                            : buf_append_format(b, "%s%u-%u", between, from, to);
}

static int by_number(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return x < y ? -1 : x > y;
}

/* "3, 5-7": the shards of division `of` (from 0) that stand so; returns how many they are. A long list is
 * cut. */
static unsigned numbers(const struct report *r, unsigned of, enum standing standing, struct buf *out)
{
    unsigned *all = mem_zero(r->part_count, sizeof *all), n = 0;
    bool fits = true;

    for (unsigned i = 0; i < r->part_count; i++)
        if (r->parts[i].division == of + 1 && standing_of(&r->parts[i]) == standing)
            all[n++] = r->parts[i].given.number;
    qsort(all, n, sizeof *all, by_number);
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

void report_shards_say_missing(const struct report *r, struct buf *out)
{
    bool fits = true;

    for (unsigned i = 0; fits && i < r->division_count; i++) {
        struct buf list;
        unsigned n;

        buf_init(&list, 2 * LIST_BYTES);
        n = numbers(r, i, MISSING, &list);
        if (n)
            fits = buf_append_format(out,
                                     " Shard%s %.*s of %u ha%s no state folder here: %s in none of these "
                                     "numbers.",
                                     format_s(n), (int)buf_slice(&list).size, buf_slice(&list).data,
                                     r->parts[r->divisions[i]].given.of, n == 1 ? "s" : "ve",
                                     n == 1 ? "its users are" : "their users are");
        buf_deinit(&list);
    }
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
    if (fits && told < first->given.of)
        fits = buf_append_format(&line, ", %u not named here", first->given.of - told);
    if (fits && r->division_count > 1)
        fits = buf_append_format(&line, "; %.*s", (int)base_of(first).size,
                                 base_of(first).data);
    err_printable(out, cap, buf_slice(&line).data, buf_slice(&line).size);
    buf_deinit(&line);
    return out;
}

void report_shards_emit(struct emit *e, const struct report *r)
{
    emit_array(e, "states");
    for (unsigned i = 0; i < r->part_count; i++) {
        const struct report_shard *p = &r->parts[i];
        char shard[32];

        snprintf(shard, sizeof shard, "%u/%u", p->given.number, p->given.of);
        emit_object(e, NULL);
        emit_cstr(e, "folder", p->given.folder);
        if (p->given.of)
            emit_cstr(e, "shard", shard);
        else
            emit_null(e, "shard");
        if (p->given.spool)
            emit_cstr(e, "state", p->state);
        else
            emit_null(e, "state");
        emit_bool(e, "running", p->running);
        emit_number(e, "users", p->users);
        if (p->has_exit_code)
            emit_number(e, "exit_code", (uint64_t)p->exit_code);
        else
            emit_null(e, "exit_code");
        emit_end_object(e);
    }
    emit_end_array(e);
}
