#include "engine/report/status.h"

#include "engine/report/emit.h"
#include "engine/report/format.h"
#include "engine/report/shards.h"
#include "engine/report/time.h"
#include "engine/settings/side.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define ADDRESS_MIN 16u
#define ADDRESS_MAX 40u

/* What status knows of a user beside the report's row. */
struct status_user {
    const struct report_user *user;
    uint64_t bytes_per_s;
    int64_t eta_s;                 /* -1: cannot be told */
    int64_t throttled_until_ms;    /* 0: not now */
    uint32_t silent_s[SIDE_COUNT]; /* nobody of the side's connections gets an answer, for so long; 0: it answers */
};

static uint64_t pending(const struct tally *t)
{
    return t->waiting + t->spooled;
}

static bool is_working(const struct report_user *u)
{
    return u->state == USER_VALIDATING || u->state == USER_SYNCING || u->state == USER_INCREMENTAL_SYNCING;
}

static void estimate(struct status_user *s)
{
    const struct tally *t = &s->user->tally;
    double left;

    s->eta_s = -1;
    if (pending(t) == 0 && !is_working(s->user)) {
        s->eta_s = 0;
    } else if (t->found && s->bytes_per_s && !s->silent_s[SIDE_SOURCE] && !s->silent_s[SIDE_TARGET]) {
        left = (double)t->bytes_found * ((double)pending(t) / (double)t->found);
        if (left / (double)s->bytes_per_s < 1e9)
            s->eta_s = (int64_t)(left / (double)s->bytes_per_s);
    }
}

/* The run's own live numbers, when they are fresh. */
static bool live(struct report *r, unsigned shard, struct status_user *users, struct err *err_r)
{
    struct slice value, rest;
    struct sample_live one;
    int64_t wall_ms;

    if (!spool_meta_get(r->spools[shard], SAMPLE_LIVE_NAME, &value, err_r))
        return false;
    if (sample_live_open(value, &wall_ms, &rest) && r->made_ms - wall_ms < SAMPLE_LIVE_STALE_MS &&
        wall_ms - r->made_ms < SAMPLE_LIVE_STALE_MS)
        while (sample_live_next(&rest, &one))
            for (unsigned i = 0; i < r->user_count; i++)
                if (r->users[i].shard == shard && r->users[i].id == one.user) {
                    users[i].bytes_per_s = one.bytes_per_s;
                    users[i].throttled_until_ms = one.throttled_until_ms > r->made_ms ? one.throttled_until_ms : 0;
                    for (unsigned side = 0; side < SIDE_COUNT; side++)
                        users[i].silent_s[side] =
                            one.silent_ms[side] >= STALL_SLOW_MS ? (uint32_t)(one.silent_ms[side] / 1000) : 0;
                    break;
                }
    free((char *)value.data);
    return true;
}

static bool load(const struct report_state *states, unsigned count, struct report **report_r,
                 struct status_user **users_r, struct err *err_r)
{
    struct report *r;
    struct status_user *users;

    if (!report_load_users(states, count, &r, err_r))
        return false;
    users = mem_zero(r->user_count, sizeof *users);
    for (unsigned i = 0; i < r->user_count; i++)
        users[i].user = &r->users[i];
    for (unsigned i = 0; i < r->shards; i++)
        if (r->spools[i] && !r->parts[i].left_out && !live(r, i, users, err_r)) {
            free(users);
            report_free(&r);
            return false;
        }
    for (unsigned i = 0; i < r->user_count; i++)
        estimate(&users[i]);
    *report_r = r;
    *users_r = users;
    return true;
}

bool status_write_json(const struct report_state *states, unsigned count, FILE *out, struct err *err_r)
{
    struct report *r;
    struct status_user *users;
    struct emit e;

    if (!load(states, count, &r, &users, err_r))
        return false;
    emit_init(&e, out, false);
    emit_object(&e, NULL);
    emit_cstr(&e, "schema", "mailhaul.status.v1");
    emit_object(&e, "batch");
    emit_cstr(&e, "name", r->batch.name);
    emit_cstr(&e, "state", r->batch.state);
    emit_bool(&e, "running", r->batch.running);
    emit_number(&e, "bandwidth_max", r->batch.bandwidth);
    if (r->batch.killed_ms)
        emit_time(&e, "killed", r->batch.killed_ms);
    else
        emit_null(&e, "killed");
    report_shards_emit(&e, r);
    emit_array(&e, "warnings");
    for (unsigned i = 0; i < r->note_count; i++)
        emit_cstr(&e, NULL, r->notes[i]);
    emit_end_array(&e);
    emit_end_object(&e);
    emit_array(&e, "users");
    for (unsigned i = 0; i < r->user_count; i++) {
        const struct status_user *s = &users[i];
        const struct tally *t = &s->user->tally;

        emit_object(&e, NULL);
        emit_cstr(&e, "address", s->user->address);
        emit_cstr(&e, "state", user_state_name(s->user->state));
        emit_number(&e, "found", t->found);
        emit_number(&e, "uploaded", t->uploaded);
        emit_number(&e, "present", t->present);
        emit_number(&e, "skipped", t->skipped);
        emit_number(&e, "failed", t->failed);
        emit_number(&e, "pending", pending(t));
        emit_number(&e, "doubts", s->user->doubts);
        emit_number(&e, "bytes_per_s", s->bytes_per_s);
        if (s->eta_s >= 0)
            emit_number(&e, "eta_s", (uint64_t)s->eta_s);
        else
            emit_null(&e, "eta_s");
        if (s->throttled_until_ms)
            emit_time(&e, "throttled_until", s->throttled_until_ms);
        else
            emit_null(&e, "throttled_until");
        emit_object(&e, "no_answer_s");
        emit_number(&e, "source", s->silent_s[SIDE_SOURCE]);
        emit_number(&e, "target", s->silent_s[SIDE_TARGET]);
        emit_end_object(&e);
        if (s->user->failure[0])
            emit_cstr(&e, "failure", s->user->failure);
        else
            emit_null(&e, "failure");
        report_emit_time(&e, s->user->time_ms, &s->user->stalls);
        emit_end_object(&e);
    }
    emit_end_array(&e);
    report_limits_emit(&e, r);
    emit_end_object(&e);
    putc('\n', out);
    free(users);
    report_free(&r);
    if (fflush(out) != 0 || ferror(out))
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "write the status");
    return true;
}

/* --- as text --- */

/* When not all fit: who is at work, then who failed, who waits, who is done. */
static int rank(const struct report_user *u)
{
    return is_working(u)             ? 0
           : u->state == USER_FAILED ? 1
           : pending(&u->tally)      ? 2
           : u->doubts               ? 3
           : u->state == USER_QUEUED ? 4
                                     : 5;
}

static int matters_first(const void *a, const void *b)
{
    const struct report_user *x = ((const struct status_user *)a)->user;
    const struct report_user *y = ((const struct status_user *)b)->user;

    if (rank(x) != rank(y))
        return rank(x) - rank(y);
    return x < y ? -1 : x > y;
}

static void line(FILE *out, struct buf *b, const struct status_style *style, const char *color)
{
    struct slice text = buf_slice(b);
    struct buf fitted;

    while (text.size && text.data[text.size - 1] == ' ')
        text.size--;
    if (style->columns && format_width(text) > style->columns) {
        buf_init(&fitted, 65536);
        format_cell(&fitted, text, style->columns, false, style->utf8);
        buf_clear(b);
        if (!buf_append(b, buf_slice(&fitted)))
            buf_clear(b);
        buf_deinit(&fitted);
        text = buf_slice(b);
    }
    if (style->color && color)
        fprintf(out, "\x1b[%sm", color);
    if (text.size)
        fwrite(text.data, 1, text.size, out);
    fputs(style->color && color ? "\x1b[0m\n" : "\n", out);
    buf_clear(b);
}

enum column {
    COLUMN_USER,
    COLUMN_STATE,
    COLUMN_FOUND,
    COLUMN_UPLOADED,
    COLUMN_PRESENT,
    COLUMN_SKIPPED,
    COLUMN_FAILED,
    COLUMN_PENDING,
    COLUMN_DOUBTS,
    COLUMN_RATE,
    COLUMN_ETA,
    COLUMN_THROTTLED,
    COLUMN_SILENT,
    COLUMN_FAILURE,
    COLUMNS
};
static const char *const heads[COLUMNS] = { "USER",    "STATE",           "FOUND",     "UPLOADED", "PRESENT",
                                            "SKIPPED", "FAILED",          "PENDING",   "DOUBTS",   "RATE",
                                            "ETA",     "THROTTLED UNTIL", "NO ANSWER", "FAILURE" };
#define CELL_BYTES 320

static bool is_number(unsigned column)
{
    return column >= COLUMN_FOUND && column <= COLUMN_ETA;
}

static void fill_cells(const struct status_user *s, char cells[COLUMNS][CELL_BYTES])
{
    const struct tally *t = &s->user->tally;
    const uint64_t counts[] = { t->found, t->uploaded, t->present, t->skipped, t->failed, pending(t) };

    snprintf(cells[COLUMN_USER], CELL_BYTES, "%s", s->user->address);
    snprintf(cells[COLUMN_STATE], CELL_BYTES, "%s", user_state_name(s->user->state));
    for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++)
        snprintf(cells[COLUMN_FOUND + i], CELL_BYTES, "%s", format_count(counts[i]).text);
    snprintf(cells[COLUMN_DOUBTS], CELL_BYTES, "%s", s->user->doubts ? format_count(s->user->doubts).text : "");
    snprintf(cells[COLUMN_RATE], CELL_BYTES, "%s", s->bytes_per_s ? format_rate((double)s->bytes_per_s).text : "");
    snprintf(cells[COLUMN_ETA], CELL_BYTES, "%s", s->eta_s > 0 ? format_seconds((double)s->eta_s).text : "");
    /* UTC like every time that is not on a page. */
    now_rfc3339(s->throttled_until_ms, cells[COLUMN_THROTTLED], CELL_BYTES);
    snprintf(cells[COLUMN_SILENT], CELL_BYTES, "%s", "");
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        if (s->silent_s[side])
            snprintf(cells[COLUMN_SILENT], CELL_BYTES, "%s, %s", side_name(side),
                     format_seconds(s->silent_s[side]).text);
    snprintf(cells[COLUMN_FAILURE], CELL_BYTES, "%s", s->user->failure);
}

/* As wide as what is in it; a column that says nothing for anybody is left out. */
static void fit_columns(const struct status_user *users, unsigned count, unsigned limit, unsigned widths[COLUMNS])
{
    char cells[COLUMNS][CELL_BYTES];
    unsigned all = 0;

    for (unsigned c = 0; c < COLUMNS; c++)
        widths[c] = c < COLUMN_DOUBTS ? (unsigned)strlen(heads[c]) : 0;
    for (unsigned i = 0; i < count; i++) {
        fill_cells(&users[i], cells);
        for (unsigned c = 0; c < COLUMNS; c++) {
            unsigned width = format_width(slice_cstr(cells[c]));
            unsigned head = width ? (unsigned)strlen(heads[c]) : 0;

            width = width > head ? width : head;
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    if (widths[COLUMN_USER] > ADDRESS_MAX)
        widths[COLUMN_USER] = ADDRESS_MAX;
    for (unsigned c = 0; c < COLUMNS; c++)
        all += widths[c] ? widths[c] + 1 : 0;
    /* The address gives way to the numbers. */
    while (limit && all > limit + 1 && widths[COLUMN_USER] > ADDRESS_MIN) {
        widths[COLUMN_USER]--;
        all--;
    }
}

static void cells_line(FILE *out, struct buf *b, const char *const cells[COLUMNS], const unsigned widths[COLUMNS],
                       const struct status_style *style, const char *color)
{
    for (unsigned c = 0; c < COLUMNS; c++) {
        bool fits = b->size == 0 || widths[c] == 0 || buf_append(b, SLICE(" "));

        (void)fits;
        format_cell(b, slice_cstr(cells[c]), widths[c], is_number(c), style->utf8);
    }
    line(out, b, style, color);
}

static void user_line(FILE *out, struct buf *b, const struct status_user *s, const unsigned widths[COLUMNS],
                      const struct status_style *style)
{
    char cells[COLUMNS][CELL_BYTES];
    const char *texts[COLUMNS];

    fill_cells(s, cells);
    for (unsigned c = 0; c < COLUMNS; c++)
        texts[c] = cells[c];
    cells_line(out, b, texts, widths, style,
               s->user->state == USER_FAILED                                                                      ? "31"
               : s->throttled_until_ms || s->user->doubts || s->silent_s[SIDE_SOURCE] || s->silent_s[SIDE_TARGET] ? "33"
               : is_working(s->user)                                                                              ? "1"
                                     : NULL);
}

/* All users' sums, as one line. */
static void totals_words(const struct report *r, const struct status_user *users, struct buf *b)
{
    const struct tally *t = &r->totals;
    uint64_t rate = 0, left;
    bool silent[SIDE_COUNT] = { false, false }, moves = false, ok;
    time_t now = (time_t)(r->made_ms / 1000);
    struct tm tm;
    char clock[16] = "";

    if (gmtime_r(&now, &tm))
        strftime(clock, sizeof clock, "%H:%M:%SZ", &tm);
    for (unsigned i = 0; i < r->user_count; i++) {
        bool waits = users[i].silent_s[SIDE_SOURCE] || users[i].silent_s[SIDE_TARGET];

        rate += is_working(users[i].user) ? users[i].bytes_per_s : 0;
        moves |= is_working(users[i].user) && !waits;
        for (unsigned side = 0; side < SIDE_COUNT; side++)
            silent[side] |= users[i].silent_s[side] > 0;
    }
    ok = buf_append_format(
        b, "%s %s of %s user%s synced, %s failed; %s uploaded, %s present, %s skipped, %s failed, %s pending of %s",
        clock, format_count(r->synced).text, format_count(r->user_count).text, format_s(r->user_count),
        format_count(r->failed_users).text, format_count(t->uploaded).text, format_count(t->present).text,
        format_count(t->skipped).text, format_count(t->failed).text, format_count(pending(t)).text,
        format_count(t->found).text);
    if (ok && r->batch.running)
        ok = buf_append_format(b, "; %s", format_rate((double)rate).text);
    for (unsigned side = 0; ok && side < SIDE_COUNT; side++)
        if (silent[side] && !moves)
            ok = buf_append_format(b, ", no answer from the %s", side == SIDE_SOURCE ? "source" : "target");
    left = t->found ? (uint64_t)((double)t->bytes_found * ((double)pending(t) / (double)t->found)) : 0;
    /* Of what is found so far: not before all users have been looked at is it the whole. */
    if (ok && r->batch.running && rate && left && moves)
        ok = buf_append_format(b, ", %s %s left", r->by_state[USER_QUEUED] ? "at least" : "about",
                               format_seconds((double)left / (double)rate).text);
    if (!ok)
        buf_clear(b);
}

static struct status_seen seen(const struct report *r)
{
    return (struct status_seen){ .running = r->batch.running,
                                 .missing = r->missing > 0,
                                 .done = r->user_count > 0 && r->missing == 0 &&
                                         r->synced + r->failed_users == r->user_count };
}

/* "5 Synced, 3 Queued": of those that are not shown. */
static void rest_words(const struct report *r, const struct status_user *users, unsigned shown, FILE *out)
{
    unsigned by_state[USER_STATE_COUNT] = { 0 };
    const char *between = ": ";

    for (unsigned i = shown; i < r->user_count; i++)
        by_state[users[i].user->state]++;
    fprintf(out, "and %s more", format_count(r->user_count - shown).text);
    for (unsigned s = 0; s < USER_STATE_COUNT; s++)
        if (by_state[s]) {
            fprintf(out, "%s%s %s", between, format_count(by_state[s]).text, user_state_name((enum user_state)s));
            between = ", ";
        }
    putc('\n', out);
}

static unsigned servers_told(const struct report *r)
{
    unsigned told = 0;

    for (unsigned i = 0; i < r->learnt.server_count; i++)
        told += report_limits_tells(&r->learnt.servers[i]);
    return told;
}

/* What was learnt of each server. */
static void server_lines(const struct report *r, struct buf *b, const struct status_style *style, FILE *out)
{
    for (unsigned i = 0; i < r->learnt.server_count; i++) {
        const struct report_server *s = &r->learnt.servers[i];
        char text[400];

        if (!report_limits_tells(s))
            continue;
        if (!buf_append_format(b, "%s %s: %s", s->source ? "Source" : "Target", s->learnt.server,
                               report_limits_line(s, text, sizeof text)))
            buf_clear(b);
        line(out, b, style, s->learnt.gate_ms ? "33" : NULL);
    }
}

static void write_text(const struct report *r, struct status_user *users, const struct status_style *style, FILE *out)
{
    unsigned shown = r->user_count, widths[COLUMNS];
    unsigned told = servers_told(r) + r->division_count + r->note_count + (r->batch.bandwidth > 0) + style->totals;
    char verdict[600];
    struct buf b;

    if (style->rows > 4 + told && shown > style->rows - 4 - told) {
        shown = style->rows - 4 - told;
        qsort(users, r->user_count, sizeof *users, matters_first);
    }
    fit_columns(users, shown, style->columns, widths);
    buf_init(&b, 65536);
    if (!buf_append_format(&b, "%s%s%s%s. %s", r->batch.name, r->batch.name[0] ? ": " : "",
                           r->batch.state[0] ? r->batch.state : "Created", r->batch.running ? ", running" : "",
                           report_verdict(r, verdict, sizeof verdict)))
        buf_clear(&b);
    line(out, &b, style, "1");
    if (style->totals) {
        totals_words(r, users, &b);
        line(out, &b, style, NULL);
    }
    cells_line(out, &b, heads, widths, style, NULL);
    for (unsigned i = 0; i < shown; i++)
        user_line(out, &b, &users[i], widths, style);
    if (shown < r->user_count)
        rest_words(r, users, shown, out);
    for (unsigned i = 0; i < r->division_count; i++) {
        if (!buf_append_format(&b, "Shards %s", report_shards_line(r, i, verdict, sizeof verdict)))
            buf_clear(&b);
        line(out, &b, style, NULL);
    }
    for (unsigned i = 0; i < r->note_count; i++) {
        if (!buf_append_format(&b, "Merging: %s", r->notes[i]))
            buf_clear(&b);
        line(out, &b, style, "33");
    }
    if (r->batch.bandwidth) {
        if (!buf_append_format(&b, "Limited to %s at this hour (bandwidth-max)",
                               format_rate((double)r->batch.bandwidth).text))
            buf_clear(&b);
        line(out, &b, style, NULL);
    }
    server_lines(r, &b, style, out);
    buf_deinit(&b);
}

bool status_write_line(const struct report_state *states, unsigned count, FILE *out, struct status_seen *seen_r,
                       struct err *err_r)
{
    static const struct status_style whole = { .utf8 = true };
    struct report *r;
    struct status_user *users;
    struct buf b;

    if (!load(states, count, &r, &users, err_r))
        return false;
    buf_init(&b, 65536);
    totals_words(r, users, &b);
    line(out, &b, &whole, NULL);
    buf_deinit(&b);
    *seen_r = seen(r);
    free(users);
    report_free(&r);
    if (fflush(out) != 0 || ferror(out))
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "write the status");
    return true;
}

bool status_write_text(const struct report_state *states, unsigned count, const struct status_style *style, FILE *out,
                       struct err *err_r)
{
    struct report *r;
    struct status_user *users;

    if (!load(states, count, &r, &users, err_r))
        return false;
    write_text(r, users, style, out);
    free(users);
    report_free(&r);
    if (fflush(out) != 0 || ferror(out))
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "write the status");
    return true;
}
