/* The report for a person at a terminal: the summary, the failures with what to do about them, and
 * the users that are not done. Everything else is in the other forms, which its last lines name.
 */
#include "engine/report/report.h"

#include "engine/failure/advice.h"
#include "engine/report/format.h"
#include "engine/report/status.h"
#include "engine/report/wrap.h"
#include "io/base/mem.h"

#include <errno.h>
#include <stdlib.h>

#define USERS_SHOWN   40u
#define WIDTH_LEAST   40u
#define WIDTH_USUAL   80u
#define WIDTH_MOST    110u
#define ADDRESS_LEAST 16u
#define ADDRESS_MOST  40u
#define COUNTS_WIDTH  45u /* the state and three numbers, a blank before each */

struct screen {
    const struct status_style *style;
    FILE *out;
    unsigned columns;
};

static void paint(const struct screen *s, const char *color, const char *text)
{
    if (s->style->color)
        fprintf(s->out, "\x1b[%sm%s\x1b[0m", color, text);
    else
        fputs(text, s->out);
}

/* Words of our own and of servers, broken at blanks; what is longer than a line stays whole. */
static void wrapped(const struct screen *s, unsigned indent, const char *text)
{
    struct slice rest = slice_cstr(text), word;
    unsigned at = 0;

    while (slice_split(&rest, ' ', &word)) {
        unsigned width = format_width(word);

        if (word.size == 0)
            continue;
        if (at && at + 1 + width > s->columns) {
            putc('\n', s->out);
            at = 0;
        }
        fprintf(s->out, "%*s%.*s", at ? 1 : (int)indent, "", (int)word.size, word.data);
        at += (at ? 1 : indent) + width;
    }
    putc('\n', s->out);
}

static void group(const struct screen *s, const struct report *r, const struct report_group *g)
{
    const struct advice *advice = advice_find(g->type);
    char line[900], where[80];
    size_t used = 0;

    fputs("  ", s->out);
    paint(s, g->verdicts ? "1;31" : "1", g->type);
    if (g->count != g->users)
        fprintf(s->out, "  %s time%s in", format_count(g->count).text, format_s(g->count));
    fprintf(s->out, " %s%s user%s%s", g->count == g->users ? " " : "", format_count(g->users).text, format_s(g->users),
            report_group_where(g, where, sizeof where));
    if (g->verdicts)
        fprintf(s->out, ", %s failed by it", format_count(g->verdicts).text);
    putc('\n', s->out);
    wrapped(s, 4, advice->meaning);
    snprintf(line, sizeof line, "-> %s", advice->remedy);
    wrapped(s, 4, line);
    if (advice->command) {
        struct slice rest = slice_cstr(advice->command);
        size_t at = slice_find_nocase(rest, SLICE("{mailbox}"));

        snprintf(line, sizeof line, "%.*s<mailbox>%s", (int)(at == SIZE_MAX ? 0 : at), rest.data,
                 at == SIZE_MAX ? "" : rest.data + at + strlen("{mailbox}"));
        fprintf(s->out, "       %s\n", at == SIZE_MAX ? advice->command : line);
    }
    for (unsigned side = 0; side < REPORT_SIDES; side++)
        if (g->sides[side].server_text[0]) {
            snprintf(line, sizeof line, "%s: %s",
                     side == FAILURE_LOCAL    ? "Here"
                     : side == FAILURE_SOURCE ? "The source said"
                                              : "The target said",
                     g->sides[side].server_text);
            wrapped(s, 4, line);
        }
    for (unsigned i = 0; i < g->who_count && used < sizeof line; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s",
                                 i ? ", " : "Users: ", r->users[g->who[i]].address);
    if (g->users > g->who_count && used < sizeof line)
        snprintf(line + used, sizeof line - used, " and %s more", format_count(g->users - g->who_count).text);
    if (g->who_count)
        wrapped(s, 4, line);
}

static void groups(const struct screen *s, const struct report *r, bool waits, const char *title)
{
    bool any = false;

    for (unsigned i = 0; i < r->group_count; i++) {
        if (report_group_waits(&r->groups[i]) != waits)
            continue;
        if (!any) {
            putc('\n', s->out);
            paint(s, "1", title);
            fputs("\n\n", s->out);
        }
        any = true;
        group(s, r, &r->groups[i]);
    }
}

static void doubts(const struct screen *s, const struct report *r)
{
    char line[900];

    if (r->doubt_type_count == 0)
        return;
    putc('\n', s->out);
    paint(s, "1", "What could not be proved");
    fputs("\n\n", s->out);
    for (unsigned i = 0; i < r->doubt_type_count; i++) {
        const struct report_doubt *d = &r->doubt_types[i];
        const struct advice *advice = advice_find(d->type);
        size_t used = 0;

        fputs("  ", s->out);
        paint(s, "1;33", d->type);
        fprintf(s->out, "  %s user%s", format_count(d->users).text, format_s(d->users));
        if (d->count)
            fprintf(s->out, ", %s in all", format_count(d->count).text);
        putc('\n', s->out);
        wrapped(s, 4, advice->meaning);
        snprintf(line, sizeof line, "-> %s", advice->remedy);
        wrapped(s, 4, line);
        snprintf(line, sizeof line, "The first: %s", d->text);
        wrapped(s, 4, line);
        for (unsigned k = 0; k < d->who_count && used < sizeof line; k++)
            used += (size_t)snprintf(line + used, sizeof line - used, "%s%s",
                                     k ? ", " : "Users: ", r->users[d->who[k]].address);
        if (d->users > d->who_count && used < sizeof line)
            snprintf(line + used, sizeof line - used, " and %s more", format_count(d->users - d->who_count).text);
        wrapped(s, 4, line);
    }
    if (r->doubled)
        fprintf(s->out, "  %s surplus cop%s on the target\n", format_count(r->doubled).text,
                r->doubled == 1 ? "y" : "ies");
}

static bool is_troubled(const struct report_user *u)
{
    return u->state == USER_FAILED || u->tally.failed || u->unbalanced || u->doubts;
}

static bool is_open(const struct report_user *u)
{
    return !user_state_is_synced(u->state);
}

/* As wide as the addresses, and leaving room for the rest. */
static unsigned address_width(const struct screen *s, const struct report *r)
{
    unsigned width = ADDRESS_LEAST, most = ADDRESS_MOST;

    /* The failure has a line of its own where there is no room for it. */
    if (s->columns < 2 + COUNTS_WIDTH + most)
        most = s->columns > 2 + COUNTS_WIDTH + ADDRESS_LEAST ? s->columns - 2 - COUNTS_WIDTH : ADDRESS_LEAST;
    for (unsigned i = 0; i < r->user_count; i++)
        if (is_troubled(&r->users[i]) || is_open(&r->users[i])) {
            unsigned one = format_width(slice_cstr(r->users[i].address));

            width = one > width ? one : width;
        }
    return width < most ? width : most;
}

/* Where it failed: a password of which side, say. */
static const char *side_of(const struct report_user *u)
{
    return u->failure_sides == 1u << FAILURE_SOURCE   ? " (source)"
           : u->failure_sides == 1u << FAILURE_TARGET ? " (target)"
                                                      : "";
}

/* Behind `used` columns of the row, or on a line of its own where it has no room there. */
static void failure_cell(const struct screen *s, const struct report_user *u, unsigned used)
{
    char text[80];

    snprintf(text, sizeof text, "%s%s", u->failure, side_of(u));
    if (text[0])
        fprintf(s->out, "%s%s", used + 2 + format_width(slice_cstr(text)) > s->columns ? "\n      " : "  ", text);
    putc('\n', s->out);
}

/* First those that somebody has to look at, then those that another run finishes. */
static void users(const struct screen *s, const struct report *r)
{
    unsigned all = 0, shown = 0, width = address_width(s, r);
    struct buf b;

    for (unsigned i = 0; i < r->user_count; i++)
        all += is_troubled(&r->users[i]) || is_open(&r->users[i]);
    if (all == 0)
        return;
    putc('\n', s->out);
    paint(s, "1", "Users that are not done, lack a message, or are in doubt");
    fputs("\n\n", s->out);
    fprintf(s->out, "  %-*s %-17s %8s %8s %8s  %s\n", (int)width, "USER", "STATE", "FOUND", "FAILED", "PENDING",
            "FAILURE");
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < r->user_count && shown < USERS_SHOWN; i++) {
            const struct report_user *u = &r->users[i];

            if (is_troubled(u) != (pass == 0) || (pass == 1 && !is_open(u)))
                continue;
            buf_init(&b, 4096);
            format_cell(&b, slice_cstr(u->address), width, false, s->style->utf8);
            fprintf(s->out, "  %.*s %-17s %8s %8s %8s", (int)buf_slice(&b).size, buf_slice(&b).data,
                    user_state_name(u->state), format_count(u->tally.found).text, format_count(u->tally.failed).text,
                    format_count(u->tally.waiting + u->tally.spooled).text);
            failure_cell(s, u, 2 + width + COUNTS_WIDTH);
            buf_deinit(&b);
            shown++;
        }
    if (shown < all)
        fprintf(s->out, "  and %s more\n", format_count(all - shown).text);
}

static bool summary(const struct report *r, unsigned columns, FILE *out, struct err *err_r)
{
    char *text = NULL;
    size_t size = 0;
    FILE *made = open_memstream(&text, &size);
    bool ok = made && report_write_text(r, REPORT_WITHOUT_FAILURES, NULL, made, err_r);

    if (!made)
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "write the report");
    fclose(made);
    if (ok)
        wrap_lines(slice_of(text, size), columns, out);
    free(text);
    return ok;
}

bool report_write_terminal(const struct report *r, const struct status_style *style, FILE *out, struct err *err_r)
{
    struct screen s = { style, out, style->columns ? style->columns : WIDTH_USUAL };

    if (s.columns > WIDTH_MOST)
        s.columns = WIDTH_MOST;
    if (s.columns < WIDTH_LEAST)
        s.columns = WIDTH_LEAST;
    if (!summary(r, s.columns, out, err_r))
        return false;
    groups(&s, r, true, "What needs you");
    doubts(&s, r);
    groups(&s, r, false, "Settled without you, for the record");
    users(&s, r);
    fputs("\nMore: --json everything, --html FILE a page to look through, --csv FILE a row\n"
          "a user. Into a pipe or a file `report` writes the JSON; --text writes this.\n",
          out);
    if (fflush(out) != 0 || ferror(out))
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "write the report");
    return true;
}
