#include "engine/report/report.h"

#include "engine/failure/advice.h"
#include "engine/message/nights.h"
#include "engine/message/repair.h"
#include "engine/report/details.h"
#include "engine/report/emit.h"
#include "engine/report/merge.h"
#include "engine/report/shards.h"
#include "engine/report/share.h"
#include "engine/report/time.h"
#include "engine/report/timeline.h"

#include <errno.h>
#include <stdlib.h>

static void counts(struct emit *e, const struct tally *t)
{
    emit_number(e, "found", t->found);
    emit_number(e, "uploaded", t->uploaded);
    emit_number(e, "present", t->present);
    emit_number(e, "skipped", t->skipped);
    emit_number(e, "failed", t->failed);
    emit_number(e, "pending", t->waiting + t->spooled);
}

static void sizes(struct emit *e, const struct tally *t)
{
    emit_number(e, "bytes_found", t->bytes_found);
    emit_number(e, "bytes_fetched", t->bytes_fetched);
    emit_number(e, "bytes_uploaded", t->bytes_uploaded);
}

static void batch(struct emit *e, const struct report *r)
{
    emit_object(e, "batch");
    emit_cstr(e, "name", r->batch.name);
    emit_cstr(e, "state", r->batch.state);
    emit_time(e, "started", r->batch.started_ms);
    emit_time(e, "finished", r->batch.finished_ms);
    emit_real(e, "seconds", r->batch.seconds);
    if (r->batch.has_exit_code)
        emit_number(e, "exit_code", (uint64_t)r->batch.exit_code);
    else
        emit_null(e, "exit_code");
    emit_bool(e, "running", r->batch.running);
    if (r->batch.killed_ms)
        emit_time(e, "killed", r->batch.killed_ms);
    else
        emit_null(e, "killed");
    emit_time(e, "made", r->made_ms);
    emit_number(e, "shards", report_shards_counted(r));
    report_shards_emit(e, r);
    report_merge_emit(e, r);
    emit_array(e, "warnings");
    for (unsigned i = 0; i < r->batch.warning_count; i++)
        emit_cstr(e, NULL, r->batch.warnings[i]);
    for (unsigned i = 0; i < r->note_count; i++)
        emit_cstr(e, NULL, r->notes[i]);
    emit_end_array(e);
    emit_end_object(e);
}

static void totals(struct emit *e, const struct report *r)
{
    emit_object(e, "totals");
    emit_number(e, "users", r->user_count);
    emit_number(e, "synced", r->synced - r->doubted);
    emit_number(e, "synced_with_doubts", r->doubted);
    emit_number(e, "failed_users", r->failed_users);
    counts(e, &r->totals);
    sizes(e, &r->totals);
    emit_number(e, "throttled", r->throttled);
    emit_number(e, "reconnects", r->reconnects);
    emit_number(e, "retries", r->retries);
    emit_number(e, "repaired", r->repaired);
    emit_number(e, "doubts", r->doubts);
    emit_number(e, "doubled", r->doubled);
    emit_bool(e, "balanced", r->unbalanced == 0);
    report_emit_time(e, r->time_ms, &r->stalls);
    emit_object(e, "skipped_by_reason");
    for (int i = SKIP_NONE + 1; i < SKIP_REASON_COUNT; i++)
        if (r->skips.messages[i])
            emit_number(e, skip_reason_name((enum skip_reason)i), r->skips.messages[i]);
    emit_end_object(e);
    emit_array(e, "failures_by_type");
    for (unsigned i = 0; i < r->group_count; i++) {
        emit_object(e, NULL);
        emit_cstr(e, "type", r->groups[i].type);
        emit_number(e, "count", r->groups[i].count);
        emit_number(e, "users", r->groups[i].users);
        emit_number(e, "failed_users", r->groups[i].verdicts);
        emit_cstr(e, "meaning", advice_find(r->groups[i].type)->meaning);
        emit_end_object(e);
    }
    emit_end_array(e);
    emit_end_object(e);
}

static void folder(struct emit *e, const struct report_folders *list, unsigned row)
{
    const struct folder_record *f = &list->rows[row];

    emit_object(e, NULL);
    emit_text(e, "source", f->source_name);
    emit_text(e, "target", f->target_name);
    emit_cstr(e, "role", f->role);
    counts(e, &f->tally);
    sizes(e, &f->tally);
    emit_bool(e, "balanced", tally_balanced(&f->tally));
    emit_bool(e, "excluded", f->excluded);
    emit_array(e, "problems");
    for (unsigned i = 0; i < list->problem_count; i++) {
        const struct problem_record *p = &list->problems[i];

        if (p->folder != f->folder)
            continue;
        emit_object(e, NULL);
        emit_cstr(e, "type", p->type);
        emit_cstr(e, "text", p->text);
        emit_cstr(e, "remedy", p->remedy);
        emit_end_object(e);
    }
    emit_end_array(e);
    emit_end_object(e);
}

static void doubts(struct emit *e, const struct report_folders *list)
{
    emit_array(e, "doubts");
    for (unsigned i = 0; i < list->problem_count; i++) {
        const struct problem_record *p = &list->problems[i];

        if (!advice_is_doubt(p))
            continue;
        emit_object(e, NULL);
        emit_cstr(e, "type", p->type);
        emit_text(e, "folder", report_folder_name(list, p->folder));
        emit_number(e, "count", p->count);
        emit_cstr(e, "text", p->text);
        emit_cstr(e, "remedy", p->remedy);
        emit_end_object(e);
    }
    emit_end_array(e);
}

/* A row a night: what came, what was followed, what was left. */
static bool nights(struct emit *e, struct report *r, const struct report_user *u, struct err *err_r)
{
    char name[NIGHTS_NAME_BYTES];
    struct slice value, rest;
    struct night night;

    if (!spool_meta_get(r->spools[u->shard], nights_name(u->id, name), &value, err_r))
        return false;
    rest = value;
    emit_array(e, "nights");
    while (nights_next(&rest, &night)) {
        emit_object(e, NULL);
        emit_time(e, "started", night.started_ms);
        emit_number(e, "new", night.found);
        emit_number(e, "flags", night.flags);
        emit_number(e, "moved", night.moved);
        emit_number(e, "deleted", night.deleted);
        emit_number(e, "left", night.left);
        emit_end_object(e);
    }
    emit_end_array(e);
    free((char *)(uintptr_t)value.data);
    return true;
}

struct items {
    struct emit *e;
    const struct folder_record *folder;
    uint64_t repaired;
};

static bool each_item(void *context, const struct message_record *m, const struct message_note *note)
{
    struct items *items = context;
    struct emit *e = items->e;

    emit_object(e, NULL);
    emit_text(e, "folder", items->folder->source_name);
    emit_number(e, "uid", m->uid);
    emit_number(e, "bytes", m->listed_bytes);
    if (m->date_known)
        emit_time(e, "date", m->date_seconds * 1000);
    else
        emit_cstr(e, "date", note ? note->date : "");
    emit_cstr(e, "subject", note ? note->subject : "");
    emit_cstr(e, "message_id", note ? note->message_id : "");
    if (m->state == MESSAGE_SKIPPED)
        emit_cstr(e, "reason", skip_reason_name(m->reason));
    if (m->repairs) {
        emit_array(e, "repairs");
        for (unsigned i = 0; i < REPAIR_COUNT; i++)
            if (m->repairs & 1u << i)
                emit_cstr(e, NULL, repair_word(1u << i));
        emit_end_array(e);
    }
    emit_end_object(e);
    return true;
}

static bool each_repaired(void *context, const struct message_record *m, const struct message_note *note)
{
    struct items *items = context;

    items->repaired++;
    return each_item(context, m, note);
}

/* Those that were mended on their way to the target. */
static bool repaired_items(struct emit *e, struct report *r, const struct report_user *user,
                           const struct report_folders *list, struct err *err_r)
{
    struct items items = { .e = e };
    bool good = true;

    emit_array(e, "repaired_items");
    for (unsigned i = 0; good && i < list->count; i++) {
        items.folder = &list->rows[i];
        if (items.folder->tally.uploaded)
            good = report_details_repaired(r, user, items.folder, each_repaired, &items, err_r);
    }
    emit_end_array(e);
    emit_number(e, "repaired", items.repaired);
    return good;
}

static bool items(struct emit *e, struct report *r, const struct report_user *user, const struct report_folders *list,
                  enum message_state state, struct err *err_r)
{
    struct items items = { .e = e };
    bool good = true;

    emit_array(e, state == MESSAGE_SKIPPED ? "skipped_items" : "failed_items");
    for (unsigned i = 0; good && i < list->count; i++) {
        const struct folder_record *f = &list->rows[i];

        items.folder = f;
        if (f->excluded && f->tally.skipped && state == MESSAGE_SKIPPED) {
            /* Only counted by STATUS: one item stands for all. */
            emit_object(e, NULL);
            emit_text(e, "folder", f->source_name);
            emit_number(e, "uid", 0);
            emit_number(e, "bytes", f->tally.bytes_found);
            emit_cstr(e, "date", "");
            emit_cstr(e, "subject", "");
            emit_cstr(e, "message_id", "");
            emit_cstr(e, "reason", skip_reason_name(SKIP_EXCLUDED_FOLDER));
            emit_number(e, "count", f->tally.skipped);
            emit_end_object(e);
        } else if (state == MESSAGE_SKIPPED ? f->tally.skipped : f->tally.failed) {
            good = report_details_notes(r, user, f, state, each_item, &items, err_r);
        }
    }
    emit_end_array(e);
    return good;
}

struct failures {
    struct emit *e;
    const struct report_user *user;
};

static bool each_failure(void *context, const struct failure_record *f)
{
    struct failures *failures = context;
    struct emit *e = failures->e;
    char line[512];

    emit_object(e, NULL);
    emit_time(e, "time", f->first_ms);
    emit_time(e, "last", f->last_ms);
    emit_cstr(e, "type", f->type);
    emit_cstr(e, "class", err_class_name(f->class < ERR_CLASS_COUNT ? f->class : ERR_CLASS_NONE));
    emit_cstr(e, "side", failure_side_name(f->side));
    emit_cstr(e, "folder", f->folder_name);
    emit_number(e, "uid", f->uid);
    emit_cstr(e, "doing", f->doing);
    emit_cstr(e, "server_text", f->server_text);
    emit_cstr(e, "advice",
              f->advice[0] ? f->advice : advice_line(f->type, slice_cstr(failures->user->address), line, sizeof line));
    emit_number(e, "count", f->count);
    emit_end_object(e);
    return true;
}

static bool user(struct emit *e, struct report *r, const struct report_user *u, struct err *err_r)
{
    struct failures context = { e, u };
    struct report_folders list;
    bool good;

    /* What another version wrote may hold what this one does not know. */
    if (r->parts[u->shard].given.share)
        return share_emit_user(r->parts[u->shard].given.share, u->id - 1, e, u->shard, err_r);
    good = report_details_folders(r, u, true, &list, err_r);
    emit_object(e, NULL);
    emit_cstr(e, "address", u->address);
    emit_cstr(e, "user_name", u->user_name);
    emit_cstr(e, "state", user_state_name(u->state));
    if (u->failure[0])
        emit_cstr(e, "failure", u->failure);
    else
        emit_null(e, "failure");
    counts(e, &u->tally);
    sizes(e, &u->tally);
    emit_bool(e, "balanced", u->unbalanced == 0);
    emit_number(e, "throttled", u->throttled);
    emit_number(e, "reconnects", u->reconnects);
    emit_number(e, "syncs", u->syncs);
    emit_time(e, "started", u->started_ms);
    emit_time(e, "finished", u->finished_ms);
    report_emit_time(e, u->time_ms, &u->stalls);
    doubts(e, &list);
    good = good && nights(e, r, u, err_r);
    emit_array(e, "folders");
    for (unsigned i = 0; good && i < list.count; i++)
        folder(e, &list, i);
    emit_end_array(e);
    if (good)
        good = items(e, r, u, &list, MESSAGE_SKIPPED, err_r) && items(e, r, u, &list, MESSAGE_FAILED, err_r) &&
               repaired_items(e, r, u, &list, err_r);
    if (good) {
        emit_array(e, "failures");
        good = report_details_failures(r, u, each_failure, &context, err_r);
        emit_end_array(e);
    }
    emit_number(e, "state_index", u->shard);
    emit_end_object(e);
    report_folders_free(&list);
    return good;
}

static void timeline(struct emit *e, const struct report_timeline *c)
{
    emit_object(e, "timeline");
    emit_time(e, "from", c->from_ms);
    emit_real(e, "step_s", (double)c->step_ms / 1000.0);
    emit_real(e, "active_s", (double)c->active_ms / 1000.0);
    for (unsigned v = 0; v < SAMPLE_VALUES; v++) {
        emit_array(e, report_timeline_name(v));
        for (unsigned i = 0; i < c->points; i++)
            emit_real(e, NULL, c->values[i][v]);
        emit_end_array(e);
    }
    emit_end_object(e);
}

bool report_write_json(struct report *r, FILE *out, struct err *err_r)
{
    struct emit e;
    char verdict[600];

    emit_init(&e, out, true);
    emit_object(&e, NULL);
    emit_cstr(&e, "schema", "mailhaul.report.v1");
    emit_cstr(&e, "verdict", report_verdict(r, verdict, sizeof verdict));
    batch(&e, r);
    totals(&e, r);
    emit_array(&e, "users");
    for (unsigned i = 0; i < r->user_count; i++)
        if (!user(&e, r, &r->users[i], err_r))
            return false;
    emit_end_array(&e);
    report_limits_emit(&e, r);
    timeline(&e, &r->course);
    emit_end_object(&e);
    if (fflush(out) != 0 || ferror(out))
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "write the JSON");
    return true;
}
