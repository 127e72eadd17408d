#include "engine/report/report.h"

#include "engine/failure/advice.h"
#include "engine/message/repair.h"
#include "engine/report/details.h"
#include "engine/report/emit.h"
#include "engine/report/folders.h"
#include "engine/report/intern.h"
#include "engine/report/page.h"
#include "engine/report/shards.h"
#include "engine/report/time.h"
#include "io/base/mem.h"

#include <errno.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>

/* What a page can hold and a browser open at once; the rest is in the JSON, and the page says how
 * much. 5,000 users with 12 folders
 * each make a page of 3.3 MB. */
#define FOLDERS_MAX     60000u
#define FAILURES_MAX    5000u
#define FAILURES_A_USER 100u
#define SKIPPED_MAX     3000u
#define SKIPPED_A_USER  100u
#define REPAIRED_MAX    3000u
#define REPAIRED_A_USER 100u
#define PROBLEMS_MAX    10000u
#define RENAMES_MAX     300u

enum part { PART_FOLDERS, PART_FAILURES, PART_SKIPPED, PART_REPAIRED, PART_PROBLEMS, PART_COUNT };
static const char *const part_names[] = { "folders", "failures", "skipped", "repaired", "problems" };

/* The details are read user by user, but stand in the page by kind. */
struct page {
    struct report *report;
    struct emit parts[PART_COUNT];
    char *texts[PART_COUNT];
    size_t sizes[PART_COUNT];
    uint64_t shown[PART_COUNT], left[PART_COUNT];
    struct intern strings;
    struct intern_pairs renames, excluded;
    /* while one user is read */
    unsigned user, of_user;
    const struct folder_record *folder;
};

static void ref(struct page *p, enum part part, struct slice text)
{
    emit_number(&p->parts[part], NULL, intern_text(&p->strings, text));
}

static bool room(struct page *p, enum part part, uint64_t max)
{
    if (p->shown[part] >= max) {
        p->left[part]++;
        return false;
    }
    p->shown[part]++;
    emit_array(&p->parts[part], NULL);
    emit_number(&p->parts[part], NULL, p->user);
    return true;
}

static void folder_row(struct page *p, const struct folder_record *f)
{
    struct emit *e = &p->parts[PART_FOLDERS];
    const struct tally *t = &f->tally;
    bool renamed = !f->excluded && report_folder_renamed(f);

    if (renamed)
        intern_pair_add(&p->renames, intern_text(&p->strings, f->source_name), intern_text(&p->strings, f->target_name),
                        t->found);
    if (f->excluded && t->found)
        intern_pair_add(&p->excluded, intern_text(&p->strings, f->source_name), 0, t->skipped);
    if (!room(p, PART_FOLDERS, FOLDERS_MAX))
        return;
    ref(p, PART_FOLDERS, f->source_name);
    ref(p, PART_FOLDERS, f->target_name);
    emit_number(e, NULL, t->found);
    emit_number(e, NULL, t->uploaded);
    emit_number(e, NULL, t->present);
    emit_number(e, NULL, t->skipped);
    emit_number(e, NULL, t->failed);
    emit_number(e, NULL, t->waiting + t->spooled);
    emit_number(e, NULL, renamed);
    emit_number(e, NULL, f->excluded);
    emit_end_array(e);
}

static bool each_failure(void *context, const struct failure_record *f)
{
    static const char *const sides[] = { "source", "target", "local" };
    struct page *p = context;
    struct emit *e = &p->parts[PART_FAILURES];
    char line[512];

    if (p->of_user++ >= FAILURES_A_USER) {
        p->left[PART_FAILURES]++;
        return true;
    }
    if (!room(p, PART_FAILURES, FAILURES_MAX))
        return true;
    ref(p, PART_FAILURES, slice_cstr(f->type));
    ref(p, PART_FAILURES, slice_cstr(err_class_name(f->class < ERR_CLASS_COUNT ? f->class : 0)));
    ref(p, PART_FAILURES, slice_cstr(sides[f->side <= FAILURE_LOCAL ? f->side : FAILURE_LOCAL]));
    ref(p, PART_FAILURES, slice_cstr(f->folder_name));
    emit_number(e, NULL, f->uid);
    ref(p, PART_FAILURES, slice_cstr(f->doing));
    ref(p, PART_FAILURES, slice_cstr(f->server_text));
    ref(p, PART_FAILURES,
        slice_cstr(f->advice[0]
                       ? f->advice
                       : advice_line(f->type, slice_cstr(p->report->users[p->user].address), line, sizeof line)));
    emit_number(e, NULL, f->count);
    emit_number(e, NULL, f->first_ms > 0 ? (uint64_t)f->first_ms : 0);
    emit_number(e, NULL, f->last_ms > 0 ? (uint64_t)f->last_ms : 0);
    emit_end_array(e);
    return true;
}

static bool each_skipped(void *context, const struct message_record *m, const struct message_note *note)
{
    struct page *p = context;
    struct emit *e = &p->parts[PART_SKIPPED];

    if (p->of_user >= SKIPPED_A_USER || !room(p, PART_SKIPPED, SKIPPED_MAX))
        return false;
    p->of_user++;
    ref(p, PART_SKIPPED, p->folder->source_name);
    emit_number(e, NULL, m->uid);
    emit_number(e, NULL, m->listed_bytes);
    emit_real(e, NULL, m->date_known ? (double)m->date_seconds * 1000.0 : 0);
    emit_cstr(e, NULL, note ? note->subject : "");
    ref(p, PART_SKIPPED, slice_cstr(skip_reason_name(m->reason)));
    emit_end_array(e);
    return true;
}

static bool skipped(struct page *p, const struct report_user *u, const struct report_folders *list, struct err *err_r)
{
    uint64_t rows = 0, shown = p->shown[PART_SKIPPED], left = p->left[PART_SKIPPED];

    p->of_user = 0;
    for (unsigned i = 0; i < list->count; i++) {
        const struct folder_record *f = &list->rows[i];

        p->folder = f;
        /* Whole folders are told by name: one line each would hide the single messages. */
        if (f->tally.skipped == 0 || f->excluded)
            continue;
        rows += f->tally.skipped;
        if (!report_details_notes(p->report, u, f, MESSAGE_SKIPPED, each_skipped, p, err_r))
            return false;
    }
    /* Reading stops where the room ends, so what is left is known from the tallies only. */
    shown = p->shown[PART_SKIPPED] - shown;
    p->left[PART_SKIPPED] = left + (rows > shown ? rows - shown : 0);
    return true;
}

/* What was changed, in words; out[cap]. */
static void repairs_told(unsigned repairs, char *out, size_t cap)
{
    size_t n = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < REPAIR_COUNT && n < cap; i++)
        if (repairs & 1u << i)
            n += (size_t)snprintf(out + n, cap - n, "%s%s", n ? "; " : "", repair_meaning(1u << i));
}

static bool each_repaired(void *context, const struct message_record *m, const struct message_note *note)
{
    struct page *p = context;
    struct emit *e = &p->parts[PART_REPAIRED];
    char what[512];

    if (p->of_user >= REPAIRED_A_USER || !room(p, PART_REPAIRED, REPAIRED_MAX))
        return false;
    p->of_user++;
    repairs_told(m->repairs, what, sizeof what);
    ref(p, PART_REPAIRED, p->folder->source_name);
    emit_number(e, NULL, m->uid);
    emit_cstr(e, NULL, note ? note->subject : "");
    emit_cstr(e, NULL, note ? note->message_id : "");
    ref(p, PART_REPAIRED, slice_cstr(what));
    emit_end_array(e);
    return true;
}

static bool repaired(struct page *p, const struct report_user *u, const struct report_folders *list, struct err *err_r)
{
    uint64_t shown = p->shown[PART_REPAIRED], left = p->left[PART_REPAIRED];

    p->of_user = 0;
    for (unsigned i = 0; u->repaired && i < list->count; i++) {
        p->folder = &list->rows[i];
        if (p->folder->tally.uploaded && !report_details_repaired(p->report, u, p->folder, each_repaired, p, err_r))
            return false;
    }
    shown = p->shown[PART_REPAIRED] - shown;
    p->left[PART_REPAIRED] = left + (u->repaired > shown ? u->repaired - shown : 0);
    return true;
}

static bool user_details(struct page *p, struct err *err_r)
{
    const struct report_user *u = &p->report->users[p->user];
    struct report_folders list;
    bool good = report_details_folders(p->report, u, true, &list, err_r);

    for (unsigned i = 0; good && i < list.count; i++)
        folder_row(p, &list.rows[i]);
    for (unsigned i = 0; good && i < list.problem_count; i++) {
        const struct problem_record *problem = &list.problems[i];

        if (!room(p, PART_PROBLEMS, PROBLEMS_MAX))
            continue;
        ref(p, PART_PROBLEMS, report_folder_name(&list, problem->folder));
        ref(p, PART_PROBLEMS, slice_cstr(problem->type));
        ref(p, PART_PROBLEMS, slice_cstr(problem->text));
        ref(p, PART_PROBLEMS, slice_cstr(problem->remedy));
        emit_end_array(&p->parts[PART_PROBLEMS]);
    }
    if (good)
        good = skipped(p, u, &list, err_r);
    if (good)
        good = repaired(p, u, &list, err_r);
    p->of_user = 0;
    if (good)
        good = report_details_failures(p->report, u, each_failure, p, err_r);
    report_folders_free(&list);
    return good;
}

/* --- what is known without reading the journal again --- */

/* Rows of side, cause (its place among the causes), seconds: the longest first. */
static void stalls(struct emit *e, const char *name, const struct stalls *s)
{
    struct report_stall list[REPORT_STALLS_MAX];
    unsigned n = report_stalls_sorted(s, list);

    emit_array(e, name);
    for (unsigned i = 0; i < n; i++) {
        emit_array(e, NULL);
        emit_number(e, NULL, list[i].side);
        emit_number(e, NULL, list[i].cause);
        emit_real(e, NULL, (double)list[i].ms / 1000.0);
        emit_end_array(e);
    }
    emit_end_array(e);
}

static uint64_t stamp(int64_t ms)
{
    return ms > 0 ? (uint64_t)ms : 0;
}

static void head(struct emit *e, const struct report *r)
{
    const struct report_batch *b = &r->batch;
    const struct tally *t = &r->totals;
    char verdict[600];

    emit_cstr(e, "version", MAILHAUL_VERSION);
    emit_number(e, "made", stamp(r->made_ms));
    emit_cstr(e, "verdict", report_verdict(r, verdict, sizeof verdict));
    emit_number(e, "level", (uint64_t)report_verdict_level(r));
    emit_real(e, "active", report_active_seconds(r));
    emit_object(e, "batch");
    emit_cstr(e, "name", b->name);
    emit_cstr(e, "state", b->state);
    emit_number(e, "started", stamp(b->started_ms));
    emit_number(e, "until", b->running ? 0 : stamp(b->until_ms));
    emit_number(e, "killed", b->killed_ms != 0);
    emit_real(e, "seconds", b->seconds);
    emit_number(e, "shards", report_shards_counted(r));
    emit_array(e, "divisions");
    for (unsigned i = 0; i < r->division_count; i++)
        emit_cstr(e, NULL, report_shards_line(r, i, verdict, sizeof verdict));
    emit_end_array(e);
    if (b->has_exit_code)
        emit_number(e, "exit_code", (uint64_t)b->exit_code);
    else
        emit_null(e, "exit_code");
    emit_end_object(e);
    emit_object(e, "totals");
    emit_number(e, "users", r->user_count);
    emit_number(e, "synced", r->synced);
    emit_number(e, "doubted", r->doubted);
    emit_number(e, "doubts", r->doubts);
    emit_number(e, "doubled", r->doubled);
    emit_number(e, "failed_users", r->failed_users);
    emit_number(e, "found", t->found);
    emit_number(e, "uploaded", t->uploaded);
    emit_number(e, "present", t->present);
    emit_number(e, "skipped", t->skipped);
    emit_number(e, "failed", t->failed);
    emit_number(e, "repaired", r->repaired);
    emit_number(e, "pending", t->waiting + t->spooled);
    emit_number(e, "bytes_uploaded", t->bytes_uploaded);
    emit_end_object(e);
    emit_real(e, "efficiency", r->totals.bytes_fetched || r->totals.uploaded ? report_efficiency(r->time_ms) : 0);
    emit_array(e, "times");
    for (unsigned i = 0; i < 6; i++)
        emit_real(e, NULL, (double)r->time_ms[i] / 1000.0);
    emit_end_array(e);
    stalls(e, "stalls", &r->stalls);
    emit_array(e, "causes");
    for (enum stall_cause i = 0; i < STALL_CAUSE_COUNT; i++) {
        emit_array(e, NULL);
        emit_cstr(e, NULL, stall_name(i));
        emit_cstr(e, NULL, stall_words(i));
        emit_number(e, NULL, stall_is_here(i));
        emit_end_array(e);
    }
    emit_end_array(e);
    emit_object(e, "skips");
    for (int i = SKIP_NONE + 1; i < SKIP_REASON_COUNT; i++)
        if (r->skips.messages[i])
            emit_number(e, skip_reason_name((enum skip_reason)i), r->skips.messages[i]);
    emit_end_object(e);
}

static void groups(struct emit *e, const struct report *r)
{
    emit_array(e, "groups");
    for (unsigned i = 0; i < r->group_count; i++) {
        const struct report_group *g = &r->groups[i];
        const struct advice *advice = advice_find(g->type);
        char where[80];

        emit_object(e, NULL);
        emit_cstr(e, "type", g->type);
        emit_number(e, "count", g->count);
        emit_number(e, "users", g->users);
        emit_cstr(e, "where", report_group_where(g, where, sizeof where));
        emit_number(e, "verdicts", g->verdicts);
        emit_number(e, "waits", report_group_waits(g));
        emit_cstr(e, "meaning", advice->meaning);
        emit_cstr(e, "remedy", advice->remedy);
        emit_cstr(e, "command", advice->command);
        emit_end_object(e);
    }
    emit_end_array(e);
}

/* Type, meaning, remedy, users, folders, messages, text of the first. */
static void doubts(struct emit *e, const struct report *r)
{
    emit_array(e, "doubts");
    for (unsigned i = 0; i < r->doubt_type_count; i++) {
        const struct report_doubt *d = &r->doubt_types[i];
        const struct advice *advice = advice_find(d->type);

        emit_array(e, NULL);
        emit_cstr(e, NULL, d->type);
        emit_cstr(e, NULL, advice->meaning);
        emit_cstr(e, NULL, advice->remedy);
        emit_number(e, NULL, d->users);
        emit_number(e, NULL, d->folders);
        emit_number(e, NULL, d->count);
        emit_cstr(e, NULL, d->text);
        emit_end_array(e);
    }
    emit_end_array(e);
}

static void course(struct emit *e, const struct report_timeline *c)
{
    emit_object(e, "course");
    emit_number(e, "from", stamp(c->from_ms));
    emit_number(e, "step", c->step_ms);
    emit_number(e, "points", c->points);
    emit_array(e, "values");
    for (unsigned v = 0; v < SAMPLE_VALUES; v++) {
        emit_array(e, NULL);
        for (unsigned i = 0; i < c->points; i++)
            emit_real(e, NULL, c->values[i][v] >= 1000 ? round(c->values[i][v]) : c->values[i][v]);
        emit_end_array(e);
    }
    emit_end_array(e);
    emit_end_object(e);
}

static void servers(struct emit *e, const struct report *r)
{
    char line[400];

    emit_array(e, "servers");
    for (unsigned i = 0; i < r->learnt.server_count; i++) {
        const struct report_server *s = &r->learnt.servers[i];

        if (!report_limits_tells(s))
            continue;
        emit_array(e, NULL);
        emit_cstr(e, NULL, s->source ? "source" : "target");
        emit_cstr(e, NULL, s->learnt.server);
        emit_cstr(e, NULL, report_limits_line(s, line, sizeof line));
        emit_number(e, NULL, stamp(s->learnt.told_ms));
        emit_end_array(e);
    }
    emit_end_array(e);
}

static void warnings(struct emit *e, const struct report *r)
{
    emit_array(e, "warnings");
    for (unsigned i = 0; i < r->batch.warning_count; i++)
        emit_cstr(e, NULL, r->batch.warnings[i]);
    emit_end_array(e);
    emit_array(e, "notes");
    for (unsigned i = 0; i < r->note_count; i++)
        emit_cstr(e, NULL, r->notes[i]);
    emit_end_array(e);
}

/* In the order that the script's column table names. */
static void users(struct emit *e, const struct report *r)
{
    emit_array(e, "users");
    for (unsigned i = 0; i < r->user_count; i++) {
        const struct report_user *u = &r->users[i];
        const struct tally *t = &u->tally;
        const uint64_t numbers[] = { t->found,       t->uploaded,      t->present,
                                     t->skipped,     t->failed,        t->waiting + t->spooled,
                                     t->bytes_found, t->bytes_uploaded };

        emit_array(e, NULL);
        emit_cstr(e, NULL, u->address);
        emit_cstr(e, NULL, u->user_name);
        emit_cstr(e, NULL, user_state_name(u->state));
        emit_cstr(e, NULL, u->failure);
        for (unsigned k = 0; k < sizeof numbers / sizeof *numbers; k++)
            emit_number(e, NULL, numbers[k]);
        emit_real(e, NULL, (double)u->time_ms[TIME_THROTTLED] / 1000.0);
        emit_array(e, NULL);
        for (unsigned k = 0; k < 6; k++)
            emit_real(e, NULL, (double)u->time_ms[k] / 1000.0);
        emit_end_array(e);
        emit_number(e, NULL, u->retries);
        emit_number(e, NULL, u->reconnects);
        emit_number(e, NULL, stamp(u->started_ms));
        emit_number(e, NULL, stamp(u->finished_ms));
        emit_number(e, NULL, u->unbalanced);
        emit_number(e, NULL, u->folders);
        stalls(e, NULL, &u->stalls);
        emit_end_array(e);
    }
    emit_end_array(e);
}

/* --- the page --- */

static void hash(FILE *out, const char *text)
{
    unsigned char digest[EVP_MAX_MD_SIZE], base64[2 * EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (EVP_Digest(text, strlen(text), digest, &size, EVP_sha256(), NULL) == 1) {
        EVP_EncodeBlock(base64, digest, (int)size);
        fprintf(out, "'sha256-%s'", (char *)base64);
    }
}

/* The most common ones: from, to (where there is one), users, messages. */
static void folder_pairs(struct emit *e, const char *name, struct intern_pairs *pairs, bool has_to)
{
    intern_pairs_sort(pairs);
    emit_array(e, name);
    for (unsigned i = 0; i < pairs->count && i < RENAMES_MAX; i++) {
        emit_array(e, NULL);
        emit_number(e, NULL, pairs->rows[i].from);
        if (has_to)
            emit_number(e, NULL, pairs->rows[i].to);
        emit_number(e, NULL, pairs->rows[i].users);
        emit_number(e, NULL, pairs->rows[i].messages);
        emit_end_array(e);
    }
    emit_end_array(e);
}

static unsigned pairs_left(const struct intern_pairs *pairs)
{
    return pairs->count > RENAMES_MAX ? pairs->count - RENAMES_MAX : 0;
}

static void data(struct page *p, FILE *out)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e, NULL);
    head(&e, p->report);
    groups(&e, p->report);
    doubts(&e, p->report);
    course(&e, &p->report->course);
    servers(&e, p->report);
    warnings(&e, p->report);
    users(&e, p->report);
    for (unsigned k = 0; k < PART_COUNT; k++) {
        fprintf(out, ",\"%s\":", part_names[k]);
        fwrite(p->texts[k], 1, p->sizes[k], out);
    }
    folder_pairs(&e, "renames", &p->renames, true);
    folder_pairs(&e, "excluded", &p->excluded, false);
    emit_object(&e, "more");
    for (unsigned k = 0; k < PART_COUNT; k++)
        emit_number(&e, part_names[k], p->left[k]);
    emit_number(&e, "renames", pairs_left(&p->renames));
    emit_number(&e, "excluded", pairs_left(&p->excluded));
    emit_end_object(&e);
    emit_array(&e, "strings");
    for (unsigned i = 0; i < p->strings.count; i++)
        emit_text(&e, NULL, p->strings.texts[i]);
    emit_end_array(&e);
    emit_end_object(&e);
}

static void write_page(struct page *p, FILE *out)
{
    fputs("<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
          "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src ",
          out);
    hash(out, report_style);
    fputs("; script-src ", out);
    hash(out, report_script);
    fputs("; base-uri 'none'; form-action 'none'\">\n"
          "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
          "<meta name='referrer' content='no-referrer'>\n"
          "<title>Migration report</title>\n<style>",
          out);
    fputs(report_style, out);
    fputs("</style>\n</head>\n<body>\n", out);
    fputs(report_body, out);
    fputs("<script type='application/json' id='data'>", out);
    data(p, out);
    fputs("</script>\n<script>", out);
    fputs(report_script, out);
    fputs("</script>\n</body>\n</html>\n", out);
}

bool report_write_html(struct report *r, FILE *out, struct err *err_r)
{
    struct page p = { .report = r };
    FILE *streams[PART_COUNT] = { NULL };
    bool good = true;

    for (unsigned k = 0; k < PART_COUNT; k++) {
        streams[k] = open_memstream(&p.texts[k], &p.sizes[k]);
        if (!streams[k]) {
            good = err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "make the report");
            break;
        }
        emit_init(&p.parts[k], streams[k], false);
        emit_array(&p.parts[k], NULL);
    }
    for (p.user = 0; good && p.user < r->user_count; p.user++)
        good = user_details(&p, err_r);
    for (unsigned k = 0; k < PART_COUNT; k++)
        if (streams[k]) {
            emit_end_array(&p.parts[k]);
            if (fclose(streams[k]) != 0 && good)
                good = err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "make the report");
        }
    if (good) {
        write_page(&p, out);
        if (fflush(out) != 0 || ferror(out))
            good = err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "write the HTML");
    }
    for (unsigned k = 0; k < PART_COUNT; k++)
        free(p.texts[k]);
    intern_deinit(&p.strings);
    intern_pairs_deinit(&p.renames);
    intern_pairs_deinit(&p.excluded);
    return good;
}
