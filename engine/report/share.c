/* A share's head and its rows of users, and the small readers of members that all of it is made
 * with. */
#include "engine/report/share_private.h"

#include "engine/report/format.h"
#include "engine/report/time.h"
#include "engine/settings/side.h"
#include "io/base/mem.h"

#include <stdlib.h>
#include <time.h>

#define PARTS_MAX 10000u /* each is compared with each */

/* --- members --- */

const char *share_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

bool share_number(const json_t *object, const char *name, uint64_t *value_r)
{
    const json_t *value = json_object_get(object, name);

    *value_r = 0;
    if (!value || json_is_null(value))
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > SHARE_NUMBER_MAX)
        return false;
    *value_r = (uint64_t)json_integer_value(value);
    return true;
}

bool share_is_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

int64_t share_time(const json_t *object, const char *name)
{
    struct tm tm = { 0 };
    const char *rest = strptime(share_text(object, name), "%Y-%m-%dT%H:%M:%S", &tm);
    int64_t seconds = rest && *rest == 'Z' ? timegm(&tm) : 0;

    return seconds > 0 ? seconds * 1000 : 0;
}

uint64_t share_seconds(const json_t *object, const char *name)
{
    double seconds = json_number_value(json_object_get(object, name));

    return seconds > 0 && seconds < 1e12 ? (uint64_t)(seconds * 1000.0 + 0.5) : 0;
}

void share_copy(char *out, size_t cap, const json_t *object, const char *name)
{
    const json_t *text = json_object_get(object, name);

    err_printable(out, cap, json_string_value(text), json_string_length(text));
}

static char *printable(const json_t *object, const char *name)
{
    return format_printable(slice_cstr(share_text(object, name)));
}

/* --- a user's row --- */

static bool state_of(const char *word, enum user_state *state_r)
{
    for (unsigned i = 0; i < USER_STATE_COUNT; i++)
        if (strcmp(user_state_name(i), word) == 0) {
            *state_r = i;
            return true;
        }
    return false;
}

static void times(struct report_user *u, const json_t *user)
{
    const json_t *time = json_object_get(user, "time"), *stalled = json_object_get(user, "stalled_by");

    for (unsigned i = 0; i < 6; i++)
        u->time_ms[i] = share_seconds(time, report_time_name(i));
    for (enum side side = 0; side < SIDE_COUNT; side++)
        for (enum stall_cause cause = STALL_NONE + 1; cause < STALL_CAUSE_COUNT; cause++)
            u->stalls.ms[side][cause] = share_seconds(json_object_get(stalled, side_name(side)), stall_name(cause));
}

/* What every report has of a user; where one of these is missing or wrong the file is not what it
 * says. */
static bool check_counts(const struct share *share, const json_t *user, struct err *err_r)
{
    static const char *const names[] = { "found", "uploaded", "present", "skipped", "failed", "pending" };
    uint64_t value;

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (!json_object_get(user, names[i]) || !share_number(user, names[i], &value))
            return share_damaged(share, err_r, "is damaged: users[%u] has no number \"%s\"", share->user_count,
                                 names[i]);
    if (!json_is_array(json_object_get(user, "folders")))
        return share_damaged(share, err_r, "is damaged: users[%u] has no folders", share->user_count);
    return true;
}

static bool take_user(struct share *share, const json_t *user, struct err *err_r)
{
    struct report_user row = { .id = share->user_count + 1 };
    uint64_t syncs, index;

    if (share_text(user, "address")[0] == '\0')
        return share_damaged(share, err_r, "is damaged: users[%u] has no address", share->user_count);
    if (!state_of(share_text(user, "state"), &row.state))
        return share_damaged(share, err_r,
                             "users[%u] is in a state that this version does not know (%.40s): merge with "
                             "the version that wrote it",
                             share->user_count, share_text(user, "state"));
    if (!check_counts(share, user, err_r))
        return false;
    if (!share_number(user, "syncs", &syncs) || !share_number(user, "throttled", &row.throttled) ||
        !share_number(user, "reconnects", &row.reconnects) || !share_number(user, "state_index", &index))
        return share_damaged(share, err_r, "is damaged: a number of users[%u] is none", share->user_count);
    row.syncs = (uint32_t)syncs;
    row.shard = (unsigned)(index < UINT32_MAX ? index : UINT32_MAX);
    row.address = printable(user, "address");
    row.user_name = printable(user, "user_name");
    share_copy(row.failure, sizeof row.failure, user, "failure");
    row.started_ms = share_time(user, "started");
    row.finished_ms = share_time(user, "finished");
    times(&row, user);
    /* Twice as much room whenever a power of two is full. */
    if ((share->user_count & (share->user_count - 1u)) == 0)
        share->users = mem_resize(share->users, share->user_count ? 2 * share->user_count : 1, sizeof *share->users);
    share->users[share->user_count++] = row;
    return true;
}

/* --- the head --- */

static void add_part(struct share *share, struct share_part part)
{
    share->parts = mem_resize(share->parts, share->part_count + 1u, sizeof *share->parts);
    share->parts[share->part_count++] = part;
}

static bool take_part(struct share *share, const json_t *state, struct err *err_r)
{
    struct share_part part = { 0 };
    const char *shard = share_text(state, "shard");
    uint64_t code;
    char end;

    part.left_out = share_is_true(state, "left_out");
    part.there = json_is_string(json_object_get(state, "state")) && !part.left_out;
    if (shard[0] && (sscanf(shard, "%u/%u%c", &part.number, &part.of, &end) != 2 || part.number == 0 ||
                     part.number > part.of || part.of > SETTINGS_SHARDS_MAX))
        return share_damaged(share, err_r, "is damaged: \"%.30s\" names no shard", shard);
    if (!share_number(state, "exit_code", &code) || code > 255)
        return share_damaged(share, err_r, "is damaged: an exit code is none");
    share_copy(part.state, sizeof part.state, state, "state");
    part.running = share_is_true(state, "running");
    part.has_exit_code = json_is_integer(json_object_get(state, "exit_code"));
    part.exit_code = (int)code;
    part.started_ms = share_time(state, "started");
    part.updated_ms = share_time(state, "updated");
    part.folder = printable(state, "folder");
    part.host = printable(state, "host");
    add_part(share, part);
    return true;
}

/* Reports of earlier versions do not say when a state folder was last written. */
static void date_parts(struct share *share)
{
    for (unsigned i = 0; i < share->part_count; i++) {
        struct share_part *part = &share->parts[i];

        if (part->started_ms == 0)
            part->started_ms = share->started_ms;
        if (part->updated_ms == 0)
            part->updated_ms = share->killed_ms     ? share->killed_ms
                               : share->finished_ms ? share->finished_ms
                                                    : share->started_ms;
    }
}

/* The texts of a list, one a line. */
static char *lines(const json_t *list)
{
    const json_t *one;
    size_t i, size = 0;
    char *text, *end;

    json_array_foreach(list, i, one) size += json_string_length(one) + 1;
    end = text = mem_zero(size + 1, 1);
    json_array_foreach(list, i, one)
    {
        memcpy(end, json_string_length(one) ? json_string_value(one) : "", json_string_length(one));
        end += json_string_length(one);
        *end++ = '\n';
    }
    return text;
}

static bool take_head(struct share *share, struct err *err_r)
{
    const json_t *batch = share->private->batch, *one;
    const json_t *states = json_object_get(batch, "states");
    size_t i;

    share->name = printable(batch, "name");
    share->started_ms = share_time(batch, "started");
    share->finished_ms = share_time(batch, "finished");
    share->killed_ms = share_time(batch, "killed");
    share->made_ms = share_time(batch, "made");
    share->warnings = lines(json_object_get(batch, "warnings"));
    if (json_array_size(states) > PARTS_MAX)
        return share_damaged(share, err_r, "is damaged: it names more than %u state folders", PARTS_MAX);
    json_array_foreach(states, i, one) if (!take_part(share, one, err_r)) return false;
    if (share->part_count == 0) {
        struct share_part part = { .folder = mem_text(share->path),
                                   .there = true,
                                   .running = share_is_true(batch, "running") };

        share_copy(part.state, sizeof part.state, batch, "state");
        add_part(share, part);
    }
    date_parts(share);
    /* Of several state folders and no word of which: the sums hold, and the first has them. */
    for (unsigned k = 0; k < share->user_count; k++)
        if (share->users[k].shard >= share->part_count || !share->parts[share->users[k].shard].there)
            for (share->users[k].shard = 0;
                 share->users[k].shard + 1 < share->part_count && !share->parts[share->users[k].shard].there;)
                share->users[k].shard++;
    return true;
}

bool share_open(const char *path, struct share **share_r, struct err *err_r)
{
    struct share *share = mem_zero(1, sizeof *share);

    share->path = mem_text(path);
    share->private = mem_zero(1, sizeof *share->private);
    if (share_read(share, take_user, err_r) && take_head(share, err_r)) {
        *share_r = share;
        return true;
    }
    /* What is wrong in a foreign file matters less than that it is one. */
    if (err_r->origin == ERR_ORIGIN_STORE && !share->private->is_report && share->user_count == 0 &&
        !feof(share->private->file))
        err_r->origin = ERR_ORIGIN_CONFIG;
    share_close(&share);
    return false;
}

void share_close(struct share **share)
{
    struct share *s = *share;

    if (!s)
        return;
    for (unsigned i = 0; i < s->user_count; i++) {
        free(s->users[i].address);
        free(s->users[i].user_name);
    }
    for (unsigned i = 0; i < s->part_count; i++) {
        free(s->parts[i].folder);
        free(s->parts[i].host);
    }
    json_decref(s->private->batch);
    json_decref(s->private->servers);
    json_decref(s->private->timeline);
    json_decref(s->private->current);
    if (s->private->file)
        fclose(s->private->file);
    free(s->private->at);
    free(s->private);
    free(s->users);
    free(s->parts);
    free(s->warnings);
    free(s->name);
    free(s->path);
    free(s);
    *share = NULL;
}
