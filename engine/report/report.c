#include "engine/report/report.h"

#include "engine/failure/advice.h"
#include "engine/report/batch.h"
#include "engine/report/details.h"
#include "engine/report/format.h"
#include "engine/report/merge.h"
#include "engine/report/shards.h"
#include "engine/report/share.h"
#include "engine/report/timeline.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "store/wishes.h"

#include <stdlib.h>

struct loading {
    struct report *report;
    unsigned shard, room, user;
};

bool report_is_asked(const struct settings_list *only, struct slice address, struct slice user_name)
{
    for (size_t i = 0; only && i < only->count; i++)
        if (slice_equal_nocase(address, slice_cstr(only->items[i])) ||
            slice_equal(user_name, slice_cstr(only->items[i])))
            return true;
    return !only || only->count == 0;
}

static bool is_wanted(const struct report_state *s, struct slice address, struct slice user_name)
{
    return report_is_asked(s->only, address, user_name) &&
           !(s->but && s->but->count && report_is_asked(s->but, address, user_name));
}

static struct report_user *new_user(struct loading *l)
{
    struct report *r = l->report;

    if (r->user_count == l->room) {
        l->room = l->room ? l->room * 2 : 64;
        r->users = mem_resize(r->users, l->room, sizeof *r->users);
    }
    return &r->users[r->user_count++];
}

static bool each_user(void *context, const struct user_record *record)
{
    struct loading *l = context;
    struct report_user *user;

    if (!is_wanted(&l->report->parts[l->shard].given, record->address, record->user_name))
        return true;
    user = new_user(l);
    *user = (struct report_user){
        .shard = l->shard,
        .id = record->id,
        .address = format_printable(record->address),
        .user_name = format_printable(record->user_name),
        .state = record->state < USER_STATE_COUNT ? record->state : USER_FAILED,
        .started_ms = record->started_ms,
        .finished_ms = record->finished_ms,
        .syncs = record->syncs,
        .throttled = record->throttled,
        .reconnects = record->reconnects,
    };
    memcpy(user->time_ms, record->time_ms, sizeof user->time_ms);
    stalls_read(record->opaque, &user->stalls);
    err_printable(user->failure, sizeof user->failure, record->failure,
                  strnlen(record->failure, sizeof record->failure));
    return true;
}

/* Those of a part that a JSON report tells of. */
static void share_users(struct loading *l)
{
    const struct report_shard *p = &l->report->parts[l->shard];
    const struct share *share = p->given.share;

    for (unsigned i = 0; i < share->user_count; i++) {
        const struct report_user *row = &share->users[i];
        struct report_user *user;

        if (&share->parts[row->shard] != p->of_share ||
            !is_wanted(&p->given, slice_cstr(row->address), slice_cstr(row->user_name)))
            continue;
        user = new_user(l);
        *user = *row;
        user->shard = l->shard;
        user->address = mem_text(row->address);
        user->user_name = mem_text(row->user_name);
    }
}

static struct report_group *add_group(struct report *r, const char *type, uint32_t count, unsigned user)
{
    struct report_group *g = NULL;

    for (unsigned i = 0; i < r->group_count && !g; i++)
        if (strcmp(r->groups[i].type, type) == 0)
            g = &r->groups[i];
    if (!g) {
        r->groups = mem_resize(r->groups, r->group_count + 1u, sizeof *r->groups);
        g = &r->groups[r->group_count++];
        *g = (struct report_group){ 0 };
        snprintf(g->type, sizeof g->type, "%s", type);
    }
    g->count += count;
    if (g->last_user != user + 1) {
        g->last_user = user + 1;
        g->users++;
        if (g->who_count < REPORT_WHO)
            g->who[g->who_count++] = user;
    }
    return g;
}

/* The verdict itself stands among the failures, also where no record of its type does. */
static void add_verdict(struct report *r, unsigned user)
{
    const char *type = r->users[user].failure;
    unsigned i = 0;

    if (type[0] == '\0' || r->users[user].state != USER_FAILED)
        return;
    while (i < r->group_count && (strcmp(r->groups[i].type, type) != 0 || r->groups[i].last_user != user + 1))
        i++;
    add_group(r, type, i == r->group_count, user)->verdicts++;
}

static void add_side(struct report_side *side, const struct failure_record *failure, unsigned user)
{
    if (side->last_user != user + 1) {
        side->last_user = user + 1;
        side->users++;
    }
    if (side->server_text[0] == '\0')
        err_printable(side->server_text, sizeof side->server_text, failure->server_text,
                      strnlen(failure->server_text, sizeof failure->server_text));
}

static bool each_failure(void *context, const struct failure_record *failure)
{
    struct loading *l = context;
    struct report_group *group;
    char type[40];

    err_printable(type, sizeof type, failure->type, strnlen(failure->type, sizeof failure->type));
    if (failure->class == ERR_CLASS_TRANSIENT || failure->class == ERR_CLASS_UNCERTAIN)
        l->report->users[l->user].retries += failure->count;
    group = add_group(l->report, type, failure->count, l->user);
    group->lasting |= failure->class == ERR_CLASS_PERMANENT;
    if (failure->side < REPORT_SIDES)
        add_side(&group->sides[failure->side], failure, l->user);
    if (failure->side < REPORT_SIDES && strcmp(type, l->report->users[l->user].failure) == 0)
        l->report->users[l->user].failure_sides |= (uint8_t)(1u << failure->side);
    return true;
}

static bool each_skipped(void *context, const struct message_record *message)
{
    struct loading *l = context;

    if (message->reason < SKIP_REASON_COUNT)
        l->report->skips.messages[message->reason]++;
    return true;
}

static bool each_repaired(void *context, const struct message_record *message, const struct message_note *note)
{
    struct report_user *user = context;

    (void)message;
    (void)note;
    user->repaired++;
    return true;
}

/* One who is Synced is not where a doubt stands: a state folder of an earlier version may have both. */
static bool each_problem(void *context, const struct problem_record *problem)
{
    struct loading *l = context;
    struct report *r = l->report;
    struct report_user *user = &r->users[l->user];
    struct report_doubt *d = NULL;

    if (!advice_is_doubt(problem))
        return true;
    user->doubts++;
    if (strcmp(problem->type, "LateCopy") == 0 || strcmp(problem->type, "TwoSenders") == 0)
        user->doubled += problem->count;
    if (user_state_is_proved(user->state))
        user->state = USER_SYNCED_WITH_DOUBTS;
    for (unsigned i = 0; i < r->doubt_type_count && !d; i++)
        if (strcmp(r->doubt_types[i].type, problem->type) == 0)
            d = &r->doubt_types[i];
    if (!d) {
        r->doubt_types = mem_resize(r->doubt_types, r->doubt_type_count + 1u, sizeof *r->doubt_types);
        d = &r->doubt_types[r->doubt_type_count++];
        *d = (struct report_doubt){ 0 };
        err_printable(d->type, sizeof d->type, problem->type, strnlen(problem->type, sizeof problem->type));
        err_printable(d->text, sizeof d->text, problem->text, strnlen(problem->text, sizeof problem->text));
    }
    d->folders++;
    d->count += problem->count;
    if (d->last_user != l->user + 1) {
        d->last_user = l->user + 1;
        d->users++;
        if (d->who_count < REPORT_WHO)
            d->who[d->who_count++] = l->user;
    }
    return true;
}

static int frequent_first(const void *a, const void *b)
{
    const struct report_doubt *x = a, *y = b;

    return x->users != y->users ? (x->users < y->users ? 1 : -1) : strcmp(x->type, y->type);
}

bool report_group_waits(const struct report_group *group)
{
    return group->verdicts > 0 || group->lasting || !advice_find(group->type)->rerun;
}

const char *report_group_where(const struct report_group *group, char *out, size_t cap)
{
    unsigned source = group->sides[FAILURE_SOURCE].users, target = group->sides[FAILURE_TARGET].users;

    out[0] = '\0';
    if (source && target)
        snprintf(out, cap, " (%s at the source, %s at the target)", format_count(source).text,
                 format_count(target).text);
    else if (source || target)
        snprintf(out, cap, " at the %s", source ? "source" : "target");
    return out;
}

static int urgent_first(const void *a, const void *b)
{
    const struct report_group *x = a, *y = b;
    bool x_alone = !report_group_waits(x), y_alone = !report_group_waits(y);

    /* What waits for a person stands before what settles by itself. */
    if (x_alone != y_alone)
        return x_alone ? 1 : -1;
    if (x->verdicts != y->verdicts)
        return x->verdicts < y->verdicts ? 1 : -1;
    if (x->users != y->users)
        return x->users < y->users ? 1 : -1;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->type, y->type);
}

static bool load_user(struct loading *l, bool full, struct err *err_r)
{
    struct report *r = l->report;
    struct report_user *user = &r->users[l->user];
    struct report_folders list;
    bool good = report_details_folders(r, user, false, &list, err_r);

    for (unsigned i = 0; good && i < list.count; i++) {
        const struct folder_record *f = &list.rows[i];

        tally_add(&user->tally, &f->tally);
        user->folders++;
        user->unbalanced += !tally_balanced(&f->tally);
        if (full && f->tally.uploaded)
            good = report_details_repaired(r, user, f, each_repaired, user, err_r);
        if (!good || !full || f->tally.skipped == 0)
            continue;
        if (f->excluded)
            r->skips.messages[SKIP_EXCLUDED_FOLDER] += f->tally.skipped;
        else
            good = report_details_skipped(r, user, f, each_skipped, l, err_r);
    }
    report_folders_free(&list);
    if (good)
        good = report_details_problems(r, user, each_problem, l, err_r);
    if (good && full)
        good = report_details_failures(r, user, each_failure, l, err_r);
    if (good && full)
        add_verdict(r, l->user);
    return good;
}

static void add_user(struct report *r, const struct report_user *user)
{
    tally_add(&r->totals, &user->tally);
    r->by_state[user->state]++;
    r->synced += user_state_is_synced(user->state);
    r->doubted += user->state == USER_SYNCED_WITH_DOUBTS;
    r->doubts += user->doubts;
    r->doubled += user->doubled;
    r->failed_users += user->state == USER_FAILED;
    r->throttled += user->throttled;
    r->reconnects += user->reconnects;
    r->retries += user->retries;
    r->repaired += user->repaired;
    r->unbalanced += user->unbalanced;
    for (unsigned i = 0; i < 6; i++)
        r->time_ms[i] += user->time_ms[i];
    stalls_add(&r->stalls, &user->stalls);
}

/* --- all of it --- */

static bool load_rows(struct loading *l, bool full, struct err *err_r)
{
    struct report *r = l->report;

    for (unsigned i = 0; i < r->shards; i++)
        if (r->spools[i] &&
            (!reader_create(r->spools[i], &r->readers[i], err_r) || (full && !reader_hold(r->readers[i], err_r))))
            return false;
    if (!report_merge_identify(r, err_r))
        return false;
    report_merge_stale(r);
    for (l->shard = 0; l->shard < r->shards; l->shard++)
        if (r->parts[l->shard].left_out)
            continue;
        else if (r->parts[l->shard].given.share)
            share_users(l);
        else if (!reader_users(r->readers[l->shard], each_user, l, err_r))
            return false;
    report_merge_users(r);
    report_shards_divide(r);
    report_merge_old(r);
    return true;
}

/* All who are done are completed: so is the batch. Dropped ones were never to be done. */
static void complete_batch(struct report *r)
{
    unsigned done = r->by_state[USER_COMPLETED], failed = r->by_state[USER_FAILED], open = 0;

    for (unsigned i = 0; i < USER_STATE_COUNT; i++)
        open += i == USER_COMPLETED || i == USER_FAILED ? 0 : r->by_state[i];
    if (done == 0 || open > 0 || r->batch.running)
        return;
    if (strcmp(r->batch.state, "Synced") == 0 || strcmp(r->batch.state, "SyncedWithErrors") == 0)
        snprintf(r->batch.state, sizeof r->batch.state, failed ? "CompletedWithErrors" : "Completed");
}

/* What a person wants with users who are not at work (store/wishes). */
static bool take_wishes(struct report *r, unsigned shard, struct err *err_r)
{
    struct wishes wishes;
    bool ok = wishes_read(r->parts[shard].given.folder, &wishes, err_r);

    for (unsigned i = 0; ok && wishes.count && i < r->user_count; i++) {
        struct report_user *user = &r->users[i];
        bool rests = user->state == USER_QUEUED || user->state == USER_STOPPED || user->state == USER_FAILED;
        bool proved = user->state == USER_SYNCED || user->state == USER_INCREMENTAL_SYNCED;

        if (user->shard != shard || (!rests && !proved))
            continue;
        switch (wishes_of(&wishes, slice_cstr(user->address))) {
        case WISH_PAUSED:
            user->state = rests ? USER_PAUSED : user->state;
            break;
        case WISH_DROPPED:
            user->state = rests ? USER_STOPPED : user->state;
            break;
        case WISH_COMPLETED:
            user->state = proved ? USER_COMPLETED : user->state;
            break;
        case WISH_NONE:
            break;
        }
    }
    wishes_free(&wishes);
    return ok;
}

static bool load(struct report *r, bool full, struct err *err_r)
{
    struct loading l = { .report = r };

    if (!load_rows(&l, full, err_r) || !report_batch_load(r, err_r))
        return false;
    for (unsigned i = 0; i < r->shards; i++)
        if (r->spools[i] && r->parts[i].given.folder && !take_wishes(r, i, err_r))
            return false;
    for (l.user = 0; l.user < r->user_count; l.user++) {
        if (!load_user(&l, full, err_r))
            return false;
        add_user(r, &r->users[l.user]);
        r->parts[r->users[l.user].shard].users++;
    }
    complete_batch(r);
    if (r->group_count)
        qsort(r->groups, r->group_count, sizeof *r->groups, urgent_first);
    if (r->doubt_type_count)
        qsort(r->doubt_types, r->doubt_type_count, sizeof *r->doubt_types, frequent_first);
    return report_limits_load(r, err_r) && (!full || report_timeline_load(r, err_r));
}

static bool load_new(const struct report_state *states, unsigned count, bool full, struct report **report_r,
                     struct err *err_r)
{
    struct report *r = mem_zero(1, sizeof *r);

    report_merge_parts(r, states, count);
    r->made_ms = now_wall_ms();
    if (!load(r, full, err_r)) {
        report_free(&r);
        return false;
    }
    *report_r = r;
    return true;
}

bool report_load(const struct report_state *states, unsigned count, struct report **report_r, struct err *err_r)
{
    return load_new(states, count, true, report_r, err_r);
}

bool report_load_users(const struct report_state *states, unsigned count, struct report **report_r, struct err *err_r)
{
    return load_new(states, count, false, report_r, err_r);
}

void report_free(struct report **report)
{
    struct report *r = *report;

    if (!r)
        return;
    for (unsigned i = 0; i < r->shards; i++)
        if (r->readers[i])
            reader_destroy(&r->readers[i]);
    for (unsigned i = 0; i < r->user_count; i++) {
        free(r->users[i].address);
        free(r->users[i].user_name);
    }
    report_limits_deinit(&r->learnt);
    report_merge_deinit(r);
    free(r->parts);
    free(r->divisions);
    free(r->batch.name);
    for (unsigned i = 0; i < r->batch.warning_count; i++)
        free(r->batch.warnings[i]);
    free(r->batch.warnings);
    free(r->users);
    free(r->groups);
    free(r->doubt_types);
    free(r->spools);
    free(r->readers);
    free(r);
    *report = NULL;
}
