#include "engine/cli/progress_json.h"

#include "engine/report/emit.h"
#include "io/base/now.h"

#include <string.h>

static void begin(struct emit *e, FILE *out, const char *type, int64_t wall_ms)
{
    emit_init(e, out, false);
    emit_object(e, NULL);
    emit_cstr(e, "schema", "mailhaul.progress.v1");
    emit_cstr(e, "type", type);
    emit_time(e, "time", wall_ms);
}

static void end(struct emit *e, FILE *out)
{
    emit_end_object(e);
    putc('\n', out);
}

static void sides(struct emit *e, const char *name, uint64_t source, uint64_t target)
{
    emit_object(e, name);
    emit_number(e, "source", source);
    emit_number(e, "target", target);
    emit_end_object(e);
}

static void users(struct emit *e, const struct progress_view *v)
{
    emit_number(e, "users", v->users);
    emit_number(e, "queued", v->queued);
    emit_number(e, "working", v->working);
    emit_number(e, "synced", v->synced);
    emit_number(e, "doubted", v->doubted);
    emit_number(e, "failed_users", v->failed);
}

static void messages(struct emit *e, const struct progress_view *v)
{
    emit_number(e, "found", v->found);
    emit_bool(e, "found_final", v->found_final);
    emit_number(e, "uploaded", v->uploaded);
    emit_number(e, "present", v->present);
    emit_number(e, "skipped", v->skipped);
    emit_number(e, "failed", v->failed_messages);
    emit_number(e, "pending", v->pending);
    emit_number(e, "folders", v->folders);
    emit_number(e, "folders_done", v->folders_done);
    emit_number(e, "bytes_found", v->bytes_found);
    emit_number(e, "bytes_fetched", v->bytes_fetched);
    emit_number(e, "bytes_uploaded", v->bytes_uploaded);
}

static void rates(struct emit *e, const struct progress_rates *r)
{
    emit_real(e, "bytes_in_per_s", r->in_bytes_s);
    emit_real(e, "bytes_out_per_s", r->out_bytes_s);
    emit_real(e, "messages_in_per_s", r->in_messages_s);
    emit_real(e, "messages_out_per_s", r->out_messages_s);
    if (r->left_s >= 0)
        emit_number(e, "eta_s", (uint64_t)r->left_s);
    else
        emit_null(e, "eta_s");
}

static void state(struct emit *e, const struct progress_view *v)
{
    emit_number(e, "spool_bytes", v->spool_held);
    emit_number(e, "spool_max_bytes", v->spool_budget);
    emit_number(e, "throttled", v->throttle_answers);
    emit_number(e, "throttled_mailboxes", v->throttled_mailboxes);
    emit_number(e, "reconnects", v->reconnects);
    emit_real(e, "target_messages_per_s", v->pace);
    sides(e, "connections", v->links[0], v->links[1]);
    sides(e, "no_answer_s", v->silent_s[0], v->silent_s[1]);
    if (v->stopping)
        emit_cstr(e, "stopping", v->stopping);
    else
        emit_null(e, "stopping");
    emit_array(e, "failures");
    for (unsigned i = 0; i < v->failure_count; i++) {
        emit_object(e, NULL);
        emit_cstr(e, "type", v->failures[i].type);
        emit_number(e, "users", v->failures[i].users);
        emit_end_object(e);
    }
    emit_end_array(e);
}

static void active(struct emit *e, const struct progress_view *v)
{
    emit_array(e, "active");
    for (unsigned i = 0; i < v->active_count; i++) {
        const struct progress_active *a = &v->active[i];

        emit_object(e, NULL);
        emit_cstr(e, "address", a->address);
        emit_cstr(e, "doing", a->doing ? a->doing : "");
        emit_cstr(e, "folder", a->folder);
        emit_number(e, "found", a->total);
        emit_number(e, "done", a->done);
        emit_number(e, "throttled_s", a->throttled_s);
        sides(e, "no_answer_s", a->silent_s[0], a->silent_s[1]);
        emit_end_object(e);
    }
    emit_end_array(e);
}

void progress_json(const struct progress_look *look, FILE *out)
{
    static const struct progress_view none;
    const struct progress_view *v = look->there ? &look->view : &none;
    struct emit e;

    begin(&e, out, look->over ? "end" : "progress", look->wall_ms ? look->wall_ms : look->started_ms);
    emit_cstr(&e, "batch", look->batch);
    emit_cstr(&e, "command", look->command);
    emit_time(&e, "started", look->started_ms);
    emit_number(&e, "seconds", look->rates.elapsed_s);
    if (look->over)
        emit_integer(&e, "exit_code", look->exit_code);
    else
        emit_null(&e, "exit_code");
    users(&e, v);
    messages(&e, v);
    rates(&e, &look->rates);
    state(&e, v);
    active(&e, v);
    end(&e, out);
}

void progress_json_note(const char *text, FILE *out)
{
    struct emit e;

    begin(&e, out, "note", now_wall_ms());
    emit_cstr(&e, "text", text);
    end(&e, out);
}
