#include "engine/cli/live.h"

#include "engine/cli/listen.h"
#include "engine/cli/status_file.h"
#include "engine/move/stall.h"
#include "io/base/log.h"
#include "io/base/now.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(PROGRESS_ACTIVE >= BATCH_VIEW_SHOW_MAX && PROGRESS_FAILURES >= BATCH_FAILURES_MAX,
               "there is room for all");

/* Shorter silence is nothing to speak of. */
static void silence(const uint64_t silent_ms[SIDE_COUNT], uint32_t silent_s_r[2])
{
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        silent_s_r[side] = silent_ms[side] >= STALL_SLOW_MS ? (uint32_t)(silent_ms[side] / 1000) : 0;
}

static void translate(const struct batch_view *b, struct progress_view *v)
{
    uint64_t moved = b->uploaded + b->present;
    uint64_t mean = b->found ? b->bytes_found / b->found : 0;

    *v = (struct progress_view){
        .users = b->users,
        .queued = b->queued,
        .working = b->working,
        .synced = b->synced,
        .doubted = b->doubted,
        .failed = b->failed,
        .folders_done = (unsigned)b->folders_done,
        .folders = (unsigned)b->folders,
        .found = b->found,
        .uploaded = b->uploaded,
        .present = b->present,
        .skipped = b->skipped,
        .failed_messages = b->failed_messages,
        .pending = b->pending,
        .found_final = b->found_final,
        .fetched = b->fetched,
        .uploaded_now = b->uploaded_now,
        .bytes_fetched = b->bytes_fetched,
        .bytes_uploaded = b->bytes_uploaded,
        .bytes_found = b->bytes_found,
        .bytes_left = moved < b->found ? b->pending * mean : 0,
        .spool_held = b->fill.held_bytes,
        .spool_budget = b->fill.budget_bytes,
        .throttled_mailboxes = b->held,
        .throttle_answers = b->throttled,
        .reconnects = b->reconnects,
        .links = { b->source_links, b->target_links },
        .pace = b->pace.rate,
        .state = "Syncing",
        .stopping = b->stopping,
        .failure_count = b->failure_count,
    };
    silence(b->silent_ms, v->silent_s);
    for (unsigned i = 0; i < b->failure_count; i++) {
        snprintf(v->failures[i].type, sizeof v->failures[i].type, "%s", b->failures[i].type);
        v->failures[i].users = b->failures[i].users;
    }
    for (unsigned i = 0; i < b->show_count; i++) {
        struct progress_active *a = &v->active[v->active_count++];

        snprintf(a->address, sizeof a->address, "%s", b->show[i].address);
        snprintf(a->folder, sizeof a->folder, "%s", b->show[i].folder);
        a->doing = b->show[i].doing;
        a->done = b->show[i].done;
        a->total = b->show[i].found;
        a->throttled_s = (uint32_t)((b->show[i].held_ms + 999) / 1000);
        silence(b->show[i].silent_ms, a->silent_s);
        if (a->throttled_s > v->throttled_s)
            v->throttled_s = a->throttled_s;
    }
}

static enum progress_mode mode_of(const struct opts *o)
{
    static const char *const words[] = {
        [OPTS_AUTO] = "auto", [OPTS_ALWAYS] = "always", [OPTS_NEVER] = "never", [OPTS_JSON] = "json"
    };

    return o->quiet ? PROGRESS_NONE : progress_mode_for(stderr, words[o->progress]);
}

bool live_open(struct live *live, const struct opts *o, const struct settings *settings, struct err *err_r)
{
    const char *address = o->listen ? o->listen : settings->listen;
    bool color = o->color == OPTS_ALWAYS || (o->color == OPTS_AUTO && isatty(STDERR_FILENO) && !getenv("NO_COLOR"));

    *live = (struct live){ 0 };
    if (address && !listen_open(address, settings, &live->listen, err_r))
        return false;
    live->progress = progress_create(mode_of(o), stderr, color);
    progress_name(live->progress, settings->batch_name, opts_command_name(o->command));
    return true;
}

void live_begin(struct live *live, const struct opts *o, const struct settings *settings)
{
    log_line(LOG_INFO, "run.start", "command=%s batch=%s state=%s users=%zu shard=%u shards=%u version=%s pid=%d",
             opts_command_name(o->command), settings->batch_name, settings->state_folder, settings->user_count,
             settings->shard_number, settings->shard_count, MAILHAUL_VERSION, (int)getpid());
    if (settings->status_file)
        live->status_file = status_file_start(settings->status_file, live->progress);
    if (live->listen)
        listen_start(live->listen, live->progress);
}

void live_update(struct live *live, const struct batch_view *view)
{
    struct progress_view v;

    translate(view, &v);
    progress_update(live->progress, &v, now_ms());
}

void live_note(struct live *live, const char *line)
{
    progress_note(live->progress, line);
}

void live_stop(struct live *live)
{
    progress_stop(live->progress);
}

void live_end(struct live *live, int exit_code)
{
    if (live->progress)
        progress_over(live->progress, exit_code);
    listen_stop(&live->listen);
    /* A status file that hangs goes on looking. */
    if (status_file_stop(&live->status_file))
        progress_destroy(&live->progress);
}
