#include "engine/report/batch.h"

#include "engine/report/format.h"
#include "engine/report/shards.h"
#include "engine/report/share.h"
#include "io/base/mem.h"

#include <stdlib.h>

static bool fact_number(struct spool *spool, const char *name, int64_t *value_r, bool *found_r, struct err *err_r)
{
    struct slice text;
    uint64_t value;

    if (!spool_meta_get(spool, name, &text, err_r))
        return false;
    *found_r = slice_u64(slice_trim(text), &value) && value <= INT64_MAX;
    *value_r = *found_r ? (int64_t)value : 0;
    free((char *)text.data);
    return true;
}

static bool has_line(struct slice text, const char *line)
{
    struct slice one;

    while (slice_split(&text, '\n', &one)) {
        char *printable = format_printable(one);
        bool same = strcmp(printable, line) == 0;

        free(printable);
        if (same)
            return true;
    }
    return false;
}

/* What one shard's users lack another's may have. */
static void take_warnings(struct report_batch *b, bool first, struct slice text)
{
    struct slice rest = text, one;
    unsigned left = 0;

    if (first)
        while (slice_split(&rest, '\n', &one))
            if (one.size) {
                b->warnings = mem_resize(b->warnings, b->warning_count + 1u, sizeof *b->warnings);
                b->warnings[b->warning_count++] = format_printable(one);
            }
    for (unsigned i = 0; i < b->warning_count; i++)
        if (has_line(text, b->warnings[i]))
            b->warnings[left++] = b->warnings[i];
        else
            free(b->warnings[i]);
    b->warning_count = left;
}

/* Of several shards the state of the one that has farthest to go; for one with nothing done beside others
 * that have done something see report_batch_load. */
static unsigned state_rank(const char *state)
{
    static const char *const order[] = {
        "",       "Completed", "Synced",   "CompletedWithErrors", "SyncedWithErrors", "Created",
        "Failed", "Stopped",   "Stopping", "IncrementalSyncing",  "Syncing"
    };

    for (unsigned i = 0; i < sizeof order / sizeof *order; i++)
        if (strcmp(order[i], state) == 0)
            return i;
    return 0;
}

static int code_rank(int code)
{
    return code == 0 ? 0 : code == 4 ? 1 : code == 3 ? 2 : code == 2 ? 3 : 4;
}

static bool is_under_way(const char *state)
{
    return strcmp(state, "Syncing") == 0 || strcmp(state, "IncrementalSyncing") == 0 || strcmp(state, "Stopping") == 0;
}

static bool is_alive(const struct report *r, const struct spool *spool, int64_t last_ms)
{
    enum spool_holder holder = spool_holder(spool);

    return holder == SPOOL_HELD_UNKNOWN ? r->made_ms - last_ms < (int64_t)SPOOL_SILENT_MS : holder == SPOOL_HELD_BY_RUN;
}

/* Nobody works on them any more. */
static void settle_users(struct report *r, unsigned shard)
{
    for (unsigned i = 0; i < r->user_count; i++)
        if (r->users[i].shard == shard && (r->users[i].state == USER_VALIDATING || r->users[i].state == USER_SYNCING ||
                                           r->users[i].state == USER_INCREMENTAL_SYNCING))
            r->users[i].state = USER_STOPPED;
}

struct end_of {
    int64_t finished_ms; /* of the shards that are */
    int64_t last_ms;     /* last sign of life of any */
    bool open;           /* a shard has not finished */
    unsigned parts;      /* so many were looked at */
    unsigned names;      /* different ones */
};

/* What is known of every part, whatever it was read from. */
static void take_part(struct report *r, unsigned shard, struct end_of *end, struct slice warnings)
{
    const struct report_shard *part = &r->parts[shard];
    struct report_batch *b = &r->batch;

    if (!b->name) {
        b->name = mem_text(part->batch_name);
        end->names = 1;
    } else {
        end->names += strcmp(b->name, part->batch_name) != 0;
    }
    take_warnings(b, end->parts == 0, warnings);
    if (end->parts == 0 || state_rank(part->state) > state_rank(b->state))
        snprintf(b->state, sizeof b->state, "%s", part->state);
    if (part->started_ms && (b->started_ms == 0 || part->started_ms < b->started_ms))
        b->started_ms = part->started_ms;
    if (part->updated_ms > end->last_ms)
        end->last_ms = part->updated_ms;
    end->parts++;
}

static void take_end(struct report_batch *b, struct end_of *end, int64_t finished_ms, bool has_code, int code)
{
    end->open |= finished_ms == 0;
    if (finished_ms > end->finished_ms)
        end->finished_ms = finished_ms;
    if (has_code && (!b->has_exit_code || code_rank(code) > code_rank(b->exit_code))) {
        b->has_exit_code = true;
        b->exit_code = code;
    }
}

static void load_share(struct report *r, unsigned shard, struct end_of *end)
{
    struct report_shard *part = &r->parts[shard];
    const struct share_part *told = part->of_share;
    const struct share *share = part->given.share;

    memcpy(part->state, told->state, sizeof part->state);
    part->started_ms = told->started_ms;
    part->unheard = told->running;
    part->has_exit_code = told->has_exit_code;
    part->exit_code = told->exit_code;
    if (share->killed_ms > r->batch.killed_ms)
        r->batch.killed_ms = share->killed_ms;
    take_part(r, shard, end, slice_cstr(share->warnings));
    take_end(&r->batch, end, share->finished_ms, part->has_exit_code, part->exit_code);
}

static bool load_shard(struct report *r, unsigned shard, struct end_of *end, struct err *err_r)
{
    struct spool *spool = r->spools[shard];
    struct report_batch *b = &r->batch;
    struct report_shard *part = &r->parts[shard];
    int64_t finished, code, bandwidth;
    bool has_bandwidth, has_started, has_finished, has_code;
    struct slice text;

    if (!spool_meta_get(spool, "batch.state", &text, err_r))
        return false;
    err_printable(part->state, sizeof part->state, text.data, text.size);
    free((char *)text.data);
    if (is_under_way(part->state) && !is_alive(r, spool, part->updated_ms)) {
        memcpy(part->state, "Stopped", sizeof "Stopped");
        b->killed_ms = part->updated_ms > b->killed_ms ? part->updated_ms : b->killed_ms;
        settle_users(r, shard);
    } else {
        part->running = is_under_way(part->state);
        b->running |= part->running;
    }
    if (!fact_number(spool, "batch.started_ms", &part->started_ms, &has_started, err_r) ||
        !fact_number(spool, "batch.finished_ms", &finished, &has_finished, err_r) ||
        !fact_number(spool, "batch.exit_code", &code, &has_code, err_r) ||
        !fact_number(spool, "batch.bandwidth", &bandwidth, &has_bandwidth, err_r) ||
        !spool_meta_get(spool, REPORT_WARNINGS_NAME, &text, err_r))
        return false;
    take_part(r, shard, end, text);
    free((char *)text.data);
    has_code &= code <= 255;
    if (part->running && has_bandwidth)
        b->bandwidth += (uint64_t)bandwidth; /* each shard has one of its own */
    /* The facts of an earlier run stay until this one ends. */
    if (!has_finished || finished < part->started_ms)
        finished = 0;
    part->has_exit_code = finished && has_code;
    part->exit_code = part->has_exit_code ? (int)code : 0;
    take_end(b, end, finished, has_code, (int)code);
    return true;
}

bool report_batch_load(struct report *r, struct err *err_r)
{
    struct report_batch *b = &r->batch;
    struct end_of end = { .open = r->missing > 0 };
    unsigned untouched = r->missing;

    for (unsigned i = 0; i < r->shards; i++) {
        if (r->parts[i].left_out)
            continue;
        if (r->parts[i].given.share)
            load_share(r, i, &end);
        else if (!load_shard(r, i, &end, err_r))
            return false;
        untouched += report_shard_is_untouched(&r->parts[i]);
    }
    /* Where something was done and something not yet begun, the whole is neither. */
    if (untouched && untouched < end.parts + r->missing && !b->running)
        snprintf(b->state, sizeof b->state, "Stopped");
    if (end.names > 1) {
        char *all = mem_format("%s and %u more", b->name, end.names - 1);

        free(b->name);
        b->name = all;
    }
    if (!b->name)
        b->name = mem_text("");
    if (end.open)
        b->has_exit_code = false;
    else
        b->finished_ms = end.finished_ms;
    b->until_ms = b->finished_ms ? b->finished_ms : b->running ? r->made_ms : end.last_ms;
    if (b->started_ms && b->until_ms > b->started_ms)
        b->seconds = (double)(b->until_ms - b->started_ms) / 1000.0;
    return true;
}
