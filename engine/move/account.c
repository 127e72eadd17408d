#include "engine/move/account_private.h"

#include "engine/failure/advice.h"
#include "engine/message/follow_identity.h"
#include "engine/move/allowance.h"
#include "engine/move/batch.h"
#include "engine/move/follow.h"
#include "engine/move/gmail.h"
#include "engine/move/governor.h"
#include "engine/move/listing.h"
#include "engine/move/login.h"
#include "engine/move/pull.h"
#include "engine/move/push.h"
#include "engine/move/push_late.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <stdio.h>
#include <stdlib.h>

/* No second connection in the first moments, when a small mailbox is done before the login is. */
#define EXTRA_LINK_AFTER_MS 400
/* Sessions are closed before their token ends: five minutes, or less for one that is short. */
#define DRAIN_BEFORE_MS(worker) ((worker)->token_life_ms / 6 < 300000 ? (worker)->token_life_ms / 6 : 300000)

static void step(void *context);

bool account_uses(const struct account *account, enum side side)
{
    return reactor_uses(account->reactor, side);
}

bool account_only_looks(const struct account *account)
{
    return account->reactor->settings->mode == SETTINGS_MODE_PLAN;
}

void account_poke(struct account *account)
{
    if (!loop_timer_is_set(&account->step))
        loop_timer_set(account->reactor->loop, &account->step, 0, step, account);
}

void worker_idle(struct worker *w)
{
    if (w->account->phase == ACCOUNT_WORKING && w->account->sides[w->side].listed) {
        if (w->side == SIDE_SOURCE)
            pull_go(w);
        else
            push_go(w);
    }
    account_poke(w->account);
}

void account_fail(struct account *account, const char *type, bool rest)
{
    if (!account->failed)
        snprintf(account->record.failure, sizeof account->record.failure, "%s", type);
    account->failed = true;
    if (!rest)
        account_stop(account);
    account_poke(account);
}
/* ---- patience ------------------------------------------------------------------------------ */

void account_hold(struct account *account, enum side side, uint32_t wait_ms, enum stall_cause cause)
{
    uint64_t until = loop_now_ms(account->reactor->loop) + wait_ms;

    if (until <= account->sides[side].hold_until_ms)
        return;
    account->sides[side].hold_until_ms = until;
    account->sides[side].hold_cause = cause;
}

void account_throttled(struct account *account, enum side side, unsigned messages, const struct err *err,
                       uint32_t wait_ms)
{
    account_hold(account, side, wait_ms, STALL_NONE);
    account_tell_throttled(account, side, err);
    account->record.throttled++;
    count(&account->reactor->counters.throttled[side], 1);
    if (side == SIDE_TARGET)
        governor_throttled(account, messages, err->wait_ms);
    else
        account_limits_keep(account, side);
}

bool account_held(const struct account *account, enum side side)
{
    return account->sides[side].hold_until_ms > loop_now_ms(account->reactor->loop);
}

void account_spool_high(struct account *account)
{
    /* What waits for more to be fetched is to be decided with what there is. */
    if (!account->spool_waits && account->puts_aside)
        push_touch_all(account);
    account->spool_waits = true;
    if (account->reactor->settings->mode == SETTINGS_MODE_FETCH)
        batch_stop(batch_stop_spool_full);
}

/* ---- stop and end -------------------------------------------------------------------------- */

static bool in_flight(const struct account *account)
{
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        for (const struct worker *w = account->sides[side].workers; w; w = w->next)
            if (w->inflight)
                return true;
    return false;
}

static void close_links(struct account *account, bool at_once)
{
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        for (struct worker *w = account->sides[side].workers; w; w = w->next) {
            loop_timer_clear(account->reactor->loop, &w->again);
            if (!w->link)
                continue;
            /* An APPEND on the wire may still get its answer; nothing is lost by cutting a read. */
            if (at_once || (side == SIDE_SOURCE && account->stopping))
                link_close(w->link);
            else if (w->inflight == 0 && account->stopping)
                link_close(w->link);
            else if (w->inflight == 0)
                link_finish(w->link);
        }
}

void account_stop(struct account *account)
{
    if (account->stopping)
        return;
    account->stopping = true;
    close_links(account, false);
    account_poke(account);
}

void account_cut(struct account *account)
{
    account->stopping = true;
    close_links(account, true);
    account_poke(account);
}

static bool any_link(const struct account *account)
{
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        for (const struct worker *w = account->sides[side].workers; w; w = w->next)
            if (w->link)
                return true;
    return false;
}

static void account_free(struct account *account)
{
    struct reactor *reactor = account->reactor;

    loop_timer_clear(reactor->loop, &account->step);
    governor_leave(account);
    gmail_end(account);
    account_doubts_end(account);
    for (unsigned side = 0; side < SIDE_COUNT; side++) {
        struct worker *w;

        while ((w = account->sides[side].workers) != NULL) {
            account->sides[side].workers = w->next;
            loop_timer_clear(reactor->loop, &w->again);
            login_over(w);
            free(w);
        }
    }
    for (unsigned i = 0; i < account->folder_count; i++)
        folder_destroy(&account->folders[i]);
    free(account->folders);
    listing_deinit(account);
    free(account->permanent_keywords);
    follow_identity_destroy(&account->gone_identity);
    quota_leave(&account->memory);
    reactor_account_ended(reactor, account);
    free(account);
}

static void saved(void *context, struct store_op *op, const struct err *err)
{
    struct account *account = context;

    (void)op;
    account->told--;
    if (err)
        reactor_abort_run(account->reactor, err);
    else if (!account_only_looks(account))
        account_tell_end(account);
    if (account->put_aside && account->record.state == USER_STOPPED)
        batch_user_put_aside(account->reactor->batch, account->index);
    else
        batch_user_ended(account->reactor->batch, account->record.state, account->record.failure);
    if (account_only_looks(account))
        batch_user_looked_at(account->reactor->batch, account->index,
                             account->stopping ? BATCH_LOOK_NONE
                             : account->failed ? BATCH_LOOK_PART
                                               : BATCH_LOOK_WHOLE,
                             account->record.failure, &account->trouble);
    account->phase = ACCOUNT_CLOSING;
    close_links(account, false);
    account_poke(account);
}

/* Exchange's limits: what is over them fails the user; the rest of the mailbox is moved all the same.
 * What is told: how many there are, of what, and which key allows how many. */
static void exceeds(struct account *account, const char *type, uint64_t count, const char *what, const char *key,
                    uint64_t limit)
{
    struct err err;

    if (count <= limit || account->failed)
        return;
    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_CONFIG, 0, "%llu message%s %s; %s is %llu",
            (unsigned long long)count, count == 1 ? "" : "s", what, key, (unsigned long long)limit);
    err_doing(&err, "the account of this user");
    account_failure(account, FAILURE_LOCAL, TROUBLE_LIST, type, &err, NULL, 0);
    account_fail(account, type, true);
}

/* What nobody can fetch any more is no failure, and not passed over in silence either. */
static void tell_vanished(struct account *account)
{
    for (unsigned i = 0; i < account->folder_count; i++) {
        const struct folder *f = account->folders[i];
        char text[128];

        if (f->vanished == 0)
            continue;
        snprintf(text, sizeof text, "%llu message%s deleted at the source before %s fetched",
                 (unsigned long long)f->vanished, f->vanished == 1 ? " was" : "s were",
                 f->vanished == 1 ? "it was" : "they were");
        account_problem(account, f->record.folder, "MessageVanished", text, "nothing to do");
    }
}

/* The verdict: Synced only when nothing is pending and everything balances. */
static void save(struct account *account)
{
    const struct settings_policy *policy = &account->reactor->settings->policy;
    bool pending = account->total.waiting + account->total.spooled > 0;

    account->phase = ACCOUNT_SAVING;
    follow_tell_gone(account);
    if (!account->stopping && !account_only_looks(account)) {
        if (account_uses(account, SIDE_SOURCE) && account->sides[SIDE_SOURCE].listed)
            pull_tell_emptied(account);
        exceeds(account, "TooManyLargeItems", account->large_items, "larger than max-message-size left behind",
                "large-item-limit", policy->large_item_limit);
        exceeds(account, "TooManyBadItems", account->total.failed, "unreadable or refused", "bad-item-limit",
                policy->bad_item_limit);
    }
    if (account->failed && (account->stopping || !account_only_looks(account))) {
        account->record.state = USER_FAILED;
    } else if (account->stopping || (pending && reactor_uses(account->reactor, SIDE_TARGET)) ||
               account->day_over[SIDE_SOURCE]) {
        account->record.state = USER_STOPPED;
    } else if (account->reactor->settings->mode == SETTINGS_MODE_UPLOAD && account->folder_count == 0) {
        account->record.state = USER_QUEUED; /* nothing was fetched yet, and nobody looked */
    } else if (!reactor_uses(account->reactor, SIDE_TARGET)) {
        /* A look at the source takes nothing from who is Synced and has nothing new. */
        account->record.state = !user_state_is_synced(account->before.state) || pending ? USER_QUEUED
                                : account->doubts.count                                 ? USER_SYNCED_WITH_DOUBTS
                                                                                        : account->before.state;
    } else {
        account->record.state = account->doubts.count   ? USER_SYNCED_WITH_DOUBTS
                                : account->record.syncs ? USER_INCREMENTAL_SYNCED
                                                        : USER_SYNCED;
        account->record.syncs++;
    }
    if (!account->failed)
        account->record.failure[0] = '\0';
    account->record.finished_ms = now_wall_ms();
    account_spend_time(account, loop_now_ms(account->reactor->loop));
    tell_vanished(account);
    account_night_end(account);
    for (unsigned i = 0; i < account->folder_count; i++) {
        struct folder *f = account->folders[i];

        if (f->seen_held && folder_pending(f) == 0 && f->pull == PULL_DONE) {
            folder_seen(f);
            f->listed_now = true;
        }
        if (folder_pending(f) == 0 && f->pull == PULL_DONE && !f->record.target_scanned &&
            reactor_uses(account->reactor, SIDE_TARGET)) {
            /* Whatever the target held before us is paired by now. */
            f->record.target_scanned = true;
            folder_put(f);
        } else if (f->record.target_open && push_nothing_lost(f) && f->record.target_scanned &&
                   f->record.tally.spooled > 0) {
            /* A clean stop: the next run need not look for lost answers. */
            f->record.target_open = false;
            folder_put(f);
        } else if (f->listed_now) {
            folder_put(f);
        }
    }
    account_put_user(account, saved);
}

/* Asked after each step of a mailbox of tens of thousands of folders: nothing here walks over them. */
static bool finished(struct account *account)
{
    if (in_flight(account) || account->told || account->incoming)
        return false;
    if (account_uses(account, SIDE_SOURCE) && !account->sides[SIDE_SOURCE].listed)
        return false;
    if (account_uses(account, SIDE_TARGET) && !account_target_rests(account) && !push_finished(account))
        return false;
    return !account_uses(account, SIDE_SOURCE) || pull_finished(account);
}

/* What was not on the target any more is moved again, and proved once more. */
static void resume(struct account *account)
{
    account->resumes = false;
    for (unsigned i = 0; i < account->folder_count; i++)
        if (account->folders[i]->audited)
            push_late_anew(account->folders[i]);
    account->phase = ACCOUNT_WORKING;
    push_touch_all(account);
    account_poke(account);
}

static void maybe_finish(struct account *account)
{
    switch (account->phase) {
    case ACCOUNT_WORKING:
        if (account->stopping) {
            if (!in_flight(account) && !account->told && !any_link(account))
                save(account);
        } else if (finished(account)) {
            account_prove(account);
        }
        break;
    case ACCOUNT_PROVING:
        if (account->told == 0 && (account->stopping ? account->proving == 0 : account_is_proven(account))) {
            if (account->resumes && !account->stopping)
                resume(account);
            else
                save(account);
        }
        break;
    case ACCOUNT_SAVING:
        break;
    case ACCOUNT_CLOSING:
        if (!any_link(account) && account->told == 0)
            account_free(account);
        break;
    }
}

/* ---- going on ------------------------------------------------------------------------------ */

static void step(void *context)
{
    struct account *account = context;

    if (account->phase == ACCOUNT_WORKING && !account->stopping) {
        for (unsigned i = 0; i < SIDE_COUNT; i++) {
            struct account_side *side = &account->sides[i];

            if (i == SIDE_TARGET && account_uses(account, SIDE_TARGET) && side->worker_count == 0 &&
                !account_target_rests(account))
                (void)account_worker_create(account, SIDE_TARGET);
            for (struct worker *w = side->workers; w; w = w->next) {
                if (!w->link) {
                    if (side->ready_count == 0 && w == side->workers)
                        account_worker_open(w);
                    continue;
                }
                if (!side->listed || w->busy)
                    continue;
                if (i == SIDE_SOURCE)
                    pull_go(w);
                else
                    push_go(w);
            }
        }
    } else if (account->stopping) {
        close_links(account, false);
    } else if (account->phase == ACCOUNT_PROVING) {
        account_prove_go(account);
    }
    maybe_finish(account);
}

void account_tick(struct account *account, uint64_t now)
{
    account_spend_time(account, now);
    account->spool_waits = false;
    governor_tick(account);
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        for (struct worker *w = account->sides[side].workers; w; w = w->next)
            if (w->link && w->token_ends_ms && now + DRAIN_BEFORE_MS(w) >= w->token_ends_ms)
                w->draining = true;
    if (account->phase == ACCOUNT_WORKING && !account->stopping && now - account->begun_ms > EXTRA_LINK_AFTER_MS)
        for (unsigned side = 0; side < SIDE_COUNT; side++)
            if (account_uses(account, side))
                account_maybe_more_links(account, side);
    account_poke(account);
}

/* ---- start --------------------------------------------------------------------------------- */

static bool load_user(void *context, const struct user_record *user)
{
    struct account *account = context;

    account->record = *user;
    account->record.address = account->record.user_name = SLICE("");
    stalls_read(user->opaque, &account->stalls);
    account->record.opaque = SLICE("");
    return false;
}

struct folder *account_add_folder(struct account *account, const struct folder_record *record)
{
    struct folder *folder = folder_create(account, record);

    account->folders = mem_resize(account->folders, account->folder_count + 1u, sizeof *account->folders);
    if (record->folder > account->folder_highest)
        account->folder_highest = record->folder;
    (void)names_index_add(&account->folders_by_raw, slice_cstr(folder->source_raw), account->folder_count);
    account->folders[account->folder_count++] = folder;
    tally_add(&account->total, &record->tally);
    count(&account->reactor->counters.folders, 1);
    return folder;
}

struct folder *account_find_folder(struct account *account, struct slice raw)
{
    size_t at = names_index_find(&account->folders_by_raw, raw);

    return at == NAMES_INDEX_NONE ? NULL : account->folders[at];
}

static bool load_folder(void *context, const struct folder_record *record)
{
    account_add_folder(context, record);
    return true;
}

struct lasting {
    struct problem_record *all;
    size_t count;
};

static bool keep_lasting(void *context, const struct problem_record *problem)
{
    struct lasting *l = context;

    static const char *const types[] = { "FolderRenamed",   "ReservedName", "FolderNameClash", "MayBeIncomplete",
                                         "KeywordsDropped", "FlagsNotKept", "LateCopyRemoved" };
    bool lasts = !problem->doubt && advice_is_doubt(problem);

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        lasts |= strcmp(problem->type, types[i]) == 0;
    if (!lasts)
        return true;
    l->all = mem_resize(l->all, l->count + 1, sizeof *l->all);
    l->all[l->count++] = *problem;
    return true;
}

/* What an earlier pass said is over; but a name that a folder was given stays, and so does the reason. So does
 * the question whether a folder was seen whole, which its first listing alone can raise, and what that left out.
 * Doubts stay by themselves; those that an earlier version wrote as remarks become doubts. */
static void clear_remarks(struct account *account)
{
    struct reactor *reactor = account->reactor;
    struct lasting l = { 0 };
    struct err err;

    if (!reader_problems(reactor->reader, account->id, keep_lasting, &l, &err))
        reactor_abort_run(reactor, &err);
    reactor_submit_unwaited(
        reactor,
        store_op_new(account_only_looks(account) ? STORE_OP_CLEAR_PROBLEMS : STORE_OP_CLEAR_REMARKS, account->id, 0));
    for (size_t i = 0; i < l.count; i++)
        account_problem(account, l.all[i].folder, l.all[i].type, l.all[i].text, l.all[i].remedy);
    free(l.all);
}

void account_start(struct reactor *reactor, unsigned index, uint32_t id)
{
    struct account *account = mem_zero(1, sizeof *account);
    struct err err;

    account->reactor = reactor;
    account->index = index;
    account->id = id;
    account->user = &reactor->settings->users[index];
    account->memory = quota_join(reactor->memory);
    account->begun_ms = account->last_tick_ms = loop_now_ms(reactor->loop);
    account->next = reactor->accounts;
    if (reactor->accounts)
        reactor->accounts->previous = account;
    reactor->accounts = account;
    listing_prepare(account);
    if (!reader_user(reactor->reader, id, load_user, account, &err) || !account_doubts_begin(account, &err) ||
        !reader_folders(reactor->reader, id, load_folder, account, &err) || !follow_begin(account, &err)) {
        reactor_abort_run(reactor, &err);
        account_stop(account);
        return;
    }
    account->record.id = id;
    account_night_begin(account);
    account->before = account->record;
    account->record.state = account->record.syncs ? USER_INCREMENTAL_SYNCING : USER_SYNCING;
    if (account->record.started_ms == 0)
        account->record.started_ms = now_wall_ms();
    account->record.failure[0] = '\0';
    /* What is said of messages that failed before stays true until they are tried again. */
    if (account->total.failed == 0 || reactor->settings->mode == SETTINGS_MODE_RETRY)
        clear_remarks(account);
    account_put_user(account, NULL);
    for (unsigned i = 0; account_uses(account, SIDE_TARGET) && i < account->folder_count; i++)
        if (account->folders[i]->uncertain)
            push_late_note_spooled(account->folders[i]);
    if (batch_user_is_held(reactor->batch, index)) {
        err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_CONFIG, 0,
                "another run that shares this ledger is moving the mailbox now");
        err_doing(&err, "taking the mailbox");
        account_failure(account, FAILURE_LOCAL, TROUBLE_CONNECT, "MailboxHeld", &err, NULL, 0);
        account_fail(account, "MailboxHeld", false);
        return;
    }
    allowance_begin(account);
    size_limit_begin(account);
    account_limits_begin(account);
    governor_join(account);
    listing_resume(account);
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        if (account_uses(account, side) && !(side == SIDE_TARGET && account_target_rests(account)))
            account_worker_open(account_worker_create(account, side));
    account_poke(account);
}
