#include "engine/cli/progress.h"

#include "engine/report/format.h"

#include <math.h>
#include <stdarg.h>

#define COLUMNS_MIN 20u
#define COLUMNS_MAX 200u
#define LINE_BYTES  4096u
#define HALF_LIFE_S 10.0
#define INDENT      10u /* of what stands behind "users", "messages" ... */

static const char *const side_words[] = { "source", "target" };

void progress_measure(struct progress_meter *m, const struct progress_view *view, uint64_t now_ms,
                      struct progress_rates *rates_r)
{
    const uint64_t now[4] = { view->bytes_fetched, view->bytes_uploaded, view->fetched, view->uploaded };

    if (!m->begun) {
        *m = (struct progress_meter){ .begun = true, .first_ms = now_ms, .last_ms = now_ms };
        memcpy(m->last, now, sizeof now);
    } else if (now_ms - m->last_ms >= 100 && now_ms > m->last_ms) {
        double seconds = (double)(now_ms - m->last_ms) / 1000.0;
        double keep = exp2(-seconds / HALF_LIFE_S);

        for (unsigned i = 0; i < 4; i++) {
            double rate = now[i] >= m->last[i] ? (double)(now[i] - m->last[i]) / seconds : 0;

            m->averages[i] = m->averages[i] * keep + rate * (1 - keep);
            m->last[i] = now[i];
        }
        /* How much of the average is measured yet: without it the first seconds look slow. */
        m->weight = m->weight * keep + (1 - keep);
        m->last_ms = now_ms;
    }
    *rates_r = (struct progress_rates){ .left_s = -1, .elapsed_s = (now_ms - m->first_ms) / 1000 };
    if (m->weight > 0) {
        rates_r->in_bytes_s = m->averages[0] / m->weight;
        rates_r->out_bytes_s = m->averages[1] / m->weight;
        rates_r->in_messages_s = m->averages[2] / m->weight;
        rates_r->out_messages_s = m->averages[3] / m->weight;
    }
    /* A guess out of a few seconds would only jump about. */
    if (rates_r->elapsed_s >= 10) {
        double left = -1;

        if (view->bytes_left && rates_r->out_bytes_s >= 1)
            left = (double)view->bytes_left / rates_r->out_bytes_s;
        else if (view->pending && rates_r->out_messages_s >= 0.01)
            left = (double)view->pending / rates_r->out_messages_s;
        else if (view->pending == 0 && view->found_final)
            left = 0;
        if (left >= 0 && left < 1e9)
            rates_r->left_s = (int64_t)left;
    }
}

static uint64_t done(const struct progress_view *v)
{
    return v->found > v->pending ? v->found - v->pending : 0;
}

static void say(struct buf *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct buf *line, const char *format, ...)
{
    char text[1024];
    va_list args;
    int n;
    bool fits;

    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fits = n > 0 && buf_append(line, slice_of(text, strnlen(text, sizeof text - 1)));
    (void)fits;
}

/* Ends the line: cut to the width, coloured as a whole. */
static void put(struct buf *out, struct buf *line, const struct progress_style *style, const char *color)
{
    struct slice text = buf_slice(line);
    unsigned columns = style->columns, width = format_width(text);
    bool fits = true;

    if (style->color && color)
        fits = buf_append_format(out, "\x1b[%sm", color);
    format_cell(out, text, width < columns ? width : columns, false, style->utf8);
    if (style->color && color)
        fits = fits && buf_append(out, SLICE("\x1b[0m"));
    fits = fits && buf_append(out, SLICE("\n"));
    (void)fits;
    buf_clear(line);
}

/* The same on as many lines as the width makes of it, broken behind ", " and "; ". */
static void put_parts(struct buf *out, struct buf *line, const struct progress_style *style, const char *color)
{
    struct slice rest = buf_slice(line);
    struct buf piece;
    unsigned indent = 0;

    buf_init(&piece, LINE_BYTES);
    while (rest.size) {
        size_t end = rest.size;

        if (indent + format_width(rest) > style->columns) {
            size_t best = 0;

            for (size_t i = 0; i + 1 < rest.size; i++)
                if ((rest.data[i] == ',' || rest.data[i] == ';') && rest.data[i + 1] == ' ' &&
                    (best == 0 || indent + format_width(slice_first(rest, i + 1)) <= style->columns))
                    best = i + 1;
            end = best ? best : rest.size;
        }
        say(&piece, "%*s%.*s", (int)indent, "", (int)end, rest.data);
        put(out, &piece, style, color);
        rest = slice_from(rest, end < rest.size ? end + 1 : end);
        indent = INDENT;
    }
    buf_deinit(&piece);
    buf_clear(line);
}

static bool is_silent(const struct progress_view *v)
{
    return v->silent_s[0] || v->silent_s[1];
}

static void silence_words(struct buf *line, const uint32_t silent_s[2])
{
    const char *between = "";

    for (unsigned side = 0; side < 2; side++)
        if (silent_s[side]) {
            say(line, "%sno answer from the %s for %s", between, side_words[side], format_seconds(silent_s[side]).text);
            between = ", ";
        }
}

static void spool_words(struct buf *line, const struct progress_view *v)
{
    if (v->spool_budget)
        say(line, "spool %s of %s (%s)", format_bytes(v->spool_held).text, format_bytes(v->spool_budget).text,
            format_percent(v->spool_held, v->spool_budget).text);
    else
        say(line, "spool %s", format_bytes(v->spool_held).text);
}

static void left_words(struct buf *line, const struct progress_view *v, const struct progress_rates *r)
{
    /* Of a server that does not answer the rate tells nothing. */
    if (r->left_s > 0 && !is_silent(v))
        say(line, ", %s %s left", v->found_final ? "about" : "at least", format_seconds((double)r->left_s).text);
}

static unsigned users_over(const struct progress_view *v)
{
    return v->synced + v->failed;
}

/* All mail is where it belongs, and the target is asked for its counts: it is not done before. */
static const char *proving(const struct progress_view *v)
{
    return v->found_final && v->pending == 0 && v->found && users_over(v) < v->users ? ", being proved" : "";
}

static void draw_line(const struct progress_view *v, const struct progress_rates *r, const struct progress_style *style,
                      struct buf *line)
{
    say(line, "%s users %u/%u synced", style->clock ? style->clock : "", v->synced, v->users);
    if (v->doubted)
        say(line, " (%u with doubts)", v->doubted);
    if (v->failed)
        say(line, ", %u failed", v->failed);
    say(line, ", %s of %s messages ", format_count(done(v)).text, format_count(v->found).text);
    /* Of what is found so far a share says nothing of the whole. */
    if (v->found_final)
        say(line, "(%s%s)", format_percent(done(v), v->found).text, proving(v));
    else
        say(line, "found so far");
    say(line, ", %s in, %s out", format_rate(r->in_bytes_s).text, format_rate(r->out_bytes_s).text);
    say(line, ", ");
    spool_words(line, v);
    if (v->throttled_mailboxes)
        say(line, ", %u mailbox%s throttled", v->throttled_mailboxes, v->throttled_mailboxes == 1 ? "" : "es");
    if (is_silent(v)) {
        say(line, ", ");
        silence_words(line, v->silent_s);
    }
    left_words(line, v, r);
    if (v->stopping)
        say(line, ", stopping (%s)", v->stopping);
}

static void draw_active(const struct progress_active *a, const struct progress_style *style, struct buf *line)
{
    unsigned room = style->columns - 2, name = room * 2 / 5;
    unsigned bar = style->columns >= 70 ? 12 : style->columns >= 56 ? 6 : 0;

    say(line, "  ");
    format_cell(line, slice_of(a->address, strnlen(a->address, sizeof a->address)), name, false, true);
    say(line, " ");
    if (bar) {
        format_bar(line, a->done, a->total, bar, style->utf8);
        say(line, " ");
    }
    say(line, "%5s  ", format_percent(a->done, a->total).text);
    if (a->throttled_s)
        say(line, "throttled, %s left", format_seconds(a->throttled_s).text);
    else if (a->silent_s[0] || a->silent_s[1]) /* shorter than above: the end of the line is cut */
        say(line, "%s silent for %s", side_words[a->silent_s[1] > 0],
            format_seconds(a->silent_s[a->silent_s[1] > 0]).text);
    else
        say(line, "%s %.*s", a->doing ? a->doing : "", (int)strnlen(a->folder, sizeof a->folder), a->folder);
}

static void draw_head(const struct progress_view *v, const struct progress_rates *r, const struct progress_style *style,
                      struct buf *line, struct buf *out)
{
    unsigned bar = style->columns / 2 - (style->columns < 60 ? 8 : 0);

    say(line, "%s%s", v->stopping ? "Stopping: " : v->state ? v->state : "", v->stopping ? v->stopping : "");
    if (r->elapsed_s)
        say(line, ", %s so far", format_seconds((double)r->elapsed_s).text);
    left_words(line, v, r);
    put_parts(out, line, style, v->stopping ? "1;33" : "1");

    if (v->found_final) {
        format_bar(line, done(v), v->found, bar, style->utf8);
        say(line, " %s of %s messages%s", format_percent(done(v), v->found).text, format_count(v->found).text,
            proving(v));
    } else {
        format_bar(line, users_over(v), v->users, bar, style->utf8);
        say(line, " %u of %u users; %s messages found so far", users_over(v), v->users, format_count(v->found).text);
    }
    put_parts(out, line, style, "34");
}

static void draw_sums(const struct progress_view *v, const struct progress_rates *r, const struct progress_style *style,
                      struct buf *line, struct buf *out)
{
    say(line, "users     %u synced", v->synced);
    if (v->doubted)
        say(line, " (%u with doubts)", v->doubted);
    say(line, ", %u at work, %u queued, %u failed of %u", v->working, v->queued, v->failed, v->users);
    put_parts(out, line, style, v->failed ? "31" : NULL);
    say(line, "messages  %s uploaded, %s present, %s skipped, %s failed, %s pending", format_count(v->uploaded).text,
        format_count(v->present).text, format_count(v->skipped).text, format_count(v->failed_messages).text,
        format_count(v->pending).text);
    put_parts(out, line, style, NULL);
    say(line, "rate      %s in, %s out; %.0f and %.0f messages/s", format_rate(r->in_bytes_s).text,
        format_rate(r->out_bytes_s).text, r->in_messages_s, r->out_messages_s);
    put_parts(out, line, style, NULL);
    say(line, "folders   %s of %s done; ", format_count(v->folders_done).text, format_count(v->folders).text);
    spool_words(line, v);
    put_parts(out, line, style, NULL);
    if (v->throttled_mailboxes) {
        say(line, "throttled %u mailbox%s", v->throttled_mailboxes, v->throttled_mailboxes == 1 ? "" : "es");
        /* Known of those that are shown. */
        if (v->throttled_s)
            say(line, ", one for %s", format_seconds(v->throttled_s).text);
        put_parts(out, line, style, "33");
    }
    if (is_silent(v)) {
        say(line, "waiting   ");
        silence_words(line, v->silent_s);
        put_parts(out, line, style, "33");
    }
}

static unsigned lines_of(const struct buf *out)
{
    struct slice text = buf_slice(out);
    unsigned lines = 0;

    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n';
    return lines;
}

static void draw_block(const struct progress_view *v, const struct progress_rates *r,
                       const struct progress_style *style, struct buf *out)
{
    unsigned shown = v->active_count < PROGRESS_ACTIVE ? v->active_count : PROGRESS_ACTIVE, used, more;
    struct buf line;

    buf_init(&line, LINE_BYTES);
    draw_head(v, r, style, &line, out);
    draw_sums(v, r, style, &line, out);
    /* As many users as there is room for, and a line that says how many more there are. */
    used = lines_of(out);
    if (style->rows && used + v->working > style->rows)
        shown = used + 1 < style->rows && shown > style->rows - used - 1 ? style->rows - used - 1
                : used + 1 < style->rows                                 ? shown
                                                                         : 0;
    for (unsigned i = 0; i < shown; i++) {
        draw_active(&v->active[i], style, &line);
        put(out, &line, style,
            v->active[i].throttled_s || v->active[i].silent_s[0] || v->active[i].silent_s[1] ? "33" : NULL);
    }
    more = v->working > shown ? v->working - shown : 0;
    if (more && (!style->rows || used + shown < style->rows)) {
        say(&line, "  and %u more", more);
        put(out, &line, style, NULL);
    }
    buf_deinit(&line);
}

void progress_draw(const struct progress_view *view, const struct progress_rates *rates,
                   const struct progress_style *style, struct buf *out)
{
    struct progress_style s = *style;
    struct buf line;

    if (s.columns < COLUMNS_MIN)
        s.columns = COLUMNS_MIN;
    if (s.columns > COLUMNS_MAX)
        s.columns = COLUMNS_MAX;
    if (s.mode == PROGRESS_LIVE) {
        draw_block(view, rates, &s, out);
    } else if (s.mode == PROGRESS_LINES) {
        /* For a file: whole, however long. */
        buf_init(&line, LINE_BYTES);
        draw_line(view, rates, &s, &line);
        s.color = false;
        s.columns = format_width(buf_slice(&line));
        put(out, &line, &s, NULL);
        buf_deinit(&line);
    }
}
