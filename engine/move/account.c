#include "engine/move/account.h"

#include "engine/move/advice.h"
#include "engine/move/batch.h"
#include "engine/move/governor.h"
#include "engine/move/listing.h"
#include "engine/move/login.h"
#include "engine/move/pull.h"
#include "engine/move/push.h"
#include "engine/move/sample.h"
#include "engine/move/tokens.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* One more connection for a mailbox that has this much left for each it has; not in the first
 * moments, when a small mailbox is done before the login is. */
#define EXTRA_LINK_AFTER_MS 400
#define EXTRA_LINK_MESSAGES 100u
#define EXTRA_LINK_BYTES (8ull << 20)
/* Sessions are closed before their token ends: five minutes, or less for one that is short. */
#define DRAIN_BEFORE_MS(worker)                                                                    \
    ((worker)->token_life_ms / 6 < 300000 ? (worker)->token_life_ms / 6 : 300000)

static void step(void *context);
static void worker_open(struct worker *w);
static void maybe_finish(struct account *account);

bool account_uses(const struct account *account, enum side side)
{
    return hub_uses(account->hub, side);
}

void account_poke(struct account *account)
{
    if (!loop_timer_is_set(&account->step))
        loop_timer_set(account->hub->loop, &account->step, 0, step, account);
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

/* ---- what is told -------------------------------------------------------------------------- */

/* The server's words with their code, cut to fit. */
static void said(const struct err *err, char *out, size_t cap)
{
    char text[sizeof err->resp_code + sizeof err->server_text + 4];

    snprintf(text, sizeof text, "%s%s%s%s", err->resp_code[0] ? "[" : "", err->resp_code,
             err->resp_code[0] ? "] " : "", err->server_text);
    err_printable(out, cap, text, strlen(text));
}

void account_failure(struct account *account, enum failure_side side, enum trouble_doing doing,
                     const char *type, const struct err *err, const struct folder *folder,
                     uint32_t uid)
{
    struct store_op *op =
        store_op_new(STORE_OP_FAILURE, account->id, folder ? folder->record.folder : 0);
    struct failure_record *r = &op->failure;
    char line[512];

    if (!type)
        type = trouble_type(doing, side, err);
    r->first_ms = r->last_ms = now_wall_ms();
    r->count = 1;
    r->folder = folder ? folder->record.folder : 0;
    r->uid = uid;
    r->class = (uint8_t)err->class;
    r->side = (uint8_t)side;
    snprintf(r->type, sizeof r->type, "%s", type);
    snprintf(r->doing, sizeof r->doing, "%s", err->doing);
    said(err, r->server_text, sizeof r->server_text);
    advice_line(type, slice_cstr(account->user->email_address), r->advice, sizeof r->advice);
    if (folder)
        snprintf(r->folder_name, sizeof r->folder_name, "%s", folder->source_name);
    log_line(err->class == ERR_CLASS_THROTTLED ? LOG_INFO : LOG_WARN, "trouble",
             "user=%s type=%s class=%s folder=%s uid=%u %s", account->user->email_address, type,
             err_class_name(err->class), folder ? folder->source_name : "", uid,
             err_line(err, line, sizeof line));
    hub_submit_lazy(account->hub, op);
}

void account_problem(struct account *account, uint32_t folder, const char *type, const char *text,
                     const char *remedy)
{
    struct store_op *op = store_op_new(STORE_OP_PROBLEM, account->id, folder);

    op->problem.folder = folder;
    snprintf(op->problem.type, sizeof op->problem.type, "%s", type);
    snprintf(op->problem.text, sizeof op->problem.text, "%s", text);
    snprintf(op->problem.remedy, sizeof op->problem.remedy, "%s", remedy);
    hub_submit_lazy(account->hub, op);
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

static void put_user(struct account *account, hub_told *told)
{
    struct store_op *op = store_op_new(STORE_OP_USER, account->id, 0);

    op->user_record = account->record;
    op->user_record.address = slice_cstr(account->user->email_address);
    op->user_record.user_name = slice_cstr(account->user->user_name);
    if (told) {
        account->told++;
        hub_submit(account->hub, op, told, account);
    } else {
        hub_submit_lazy(account->hub, op);
    }
}

/* ---- patience ------------------------------------------------------------------------------ */

void account_hold(struct account *account, enum side side, uint32_t wait_ms)
{
    uint64_t until = loop_now_ms(account->hub->loop) + wait_ms;

    if (until > account->sides[side].hold_until_ms)
        account->sides[side].hold_until_ms = until;
    account->record.throttled++;
    count(&account->hub->counters.throttled, 1);
}

bool account_held(const struct account *account, enum side side)
{
    return account->sides[side].hold_until_ms > loop_now_ms(account->hub->loop);
}

void account_spool_high(struct account *account)
{
    account->spool_waits = true;
    if (account->hub->settings->mode == SETTINGS_MODE_FETCH)
        batch_stop("spool full");
}

static void account_time(struct account *account, uint64_t now)
{
    uint64_t spent = account->last_tick_ms ? now - account->last_tick_ms : 0;
    unsigned flying[SIDE_COUNT] = { 0, 0 };
    enum time_kind kind = TIME_IDLE;

    for (unsigned side = 0; side < SIDE_COUNT; side++)
        for (const struct worker *w = account->sides[side].workers; w; w = w->next)
            flying[side] += w->inflight + (w->link && (w->busy || !link_is_ready(w->link)));
    if (account_held(account, SIDE_TARGET) || account_held(account, SIDE_SOURCE))
        kind = TIME_THROTTLED;
    else if (account->hub->choked || account->spool_waits)
        kind = TIME_STALLED_TARGET;
    else if (flying[SIDE_TARGET])
        kind = TIME_TARGET;
    else if (flying[SIDE_SOURCE])
        kind = TIME_SOURCE;
    else if (account_uses(account, SIDE_SOURCE) && account->sides[SIDE_SOURCE].ready_count == 0)
        kind = TIME_STALLED_SOURCE;
    else if (account_uses(account, SIDE_TARGET) && account->sides[SIDE_TARGET].ready_count == 0)
        kind = TIME_STALLED_TARGET;
    account->record.time_ms[kind] += spent;
    account->last_tick_ms = now;
}

/* ---- links --------------------------------------------------------------------------------- */

static struct worker *worker_create(struct account *account, enum side side)
{
    struct worker *w = mem_zero(1, sizeof *w);

    w->account = account;
    w->side = side;
    w->next = account->sides[side].workers;
    account->sides[side].workers = w;
    account->sides[side].worker_count++;
    return w;
}

static void link_ready(void *context)
{
    struct worker *w = context;
    struct account *account = w->account;
    struct account_side *side = &account->sides[w->side];

    w->attempts = 0;
    login_stands(w);
    if (w->side == SIDE_TARGET)
        governor_connected(account);
    side->ready_count++;
    if (account->hub->choked && w->side == SIDE_SOURCE)
        link_want_read(w->link, false);
    if (w->side == SIDE_SOURCE)
        pull_begin(w);
    else
        push_begin(w);
    if (account->stopping || account->phase != ACCOUNT_WORKING) {
        link_finish(w->link);
        return;
    }
    if (!side->listed && !side->listing) {
        side->listing = true;
        w->busy = true;
        listing_begin(w);
    } else {
        worker_idle(w);
    }
}

/* The server's account of what happened while connecting names the step. */
static enum trouble_doing doing_of(const struct err *err, bool ready_before)
{
    if (ready_before)
        return TROUBLE_LIST;
    return err->origin == ERR_ORIGIN_NO || err->origin == ERR_ORIGIN_BAD ||
                   err->origin == ERR_ORIGIN_BYE || err->origin == ERR_ORIGIN_TOKEN ||
                   err->origin == ERR_ORIGIN_CONFIG
               ? TROUBLE_LOGIN
               : TROUBLE_CONNECT;
}

static void reconnect(void *context)
{
    struct worker *w = context;

    if (!w->account->stopping && w->account->phase == ACCOUNT_WORKING)
        worker_open(w);
}

static void link_closed(void *context, const struct err *err, bool ready_before)
{
    struct worker *w = context;
    struct account *account = w->account;
    struct hub *hub = account->hub;
    struct account_side *side = &account->sides[w->side];
    enum trouble_doing doing = doing_of(err, ready_before);
    struct trouble_verdict verdict;
    bool drained;

    if (ready_before)
        side->ready_count--;
    if (w->side == SIDE_SOURCE)
        pull_end(w);
    else
        push_end(w);
    if (side->listing && !side->listed && w->lists) {
        side->listing = false;
        w->lists = false;
    }
    w->link = NULL;
    w->busy = false;
    if (!ready_before && !account->stopping)
        login_refused(w, err, trouble_type(doing, failure_side_of(w->side), err));
    drained = w->draining || slice_find_nocase(slice_cstr(err->server_text),
                                               SLICE("AccessTokenExpired")) != SIZE_MAX;
    login_over(w);
    hub_give_back_link(hub, w->side);
    account_poke(account);
    if (drained && !account->stopping && account->phase == ACCOUNT_WORKING) {
        /* A session lives no longer than its token: routine, not trouble. */
        if (err->class != ERR_CLASS_CANCELED)
            tokens_forget(hub->tokens, w->side, account->user);
        loop_timer_set(hub->loop, &w->again, 1, reconnect, w);
        return;
    }
    if (account->stopping || account->phase != ACCOUNT_WORKING || err->class == ERR_CLASS_CANCELED)
        return;
    if (w->side == SIDE_TARGET)
        governor_refused(account, 0, true);
    if (ready_before) {
        account->record.reconnects++;
        count(&hub->counters.reconnects, 1);
    }
    trouble_judge(doing, failure_side_of(w->side), err, side->failures,
                  (unsigned)hub->settings->policy.transient_failure_limit, account->id + w->attempts,
                  &verdict);
    if (err->class != ERR_CLASS_THROTTLED)
        side->failures++;
    if (verdict.action == TROUBLE_FEWER) {
        account_failure(account, failure_side_of(w->side), doing, verdict.type, err, NULL, 0);
        if (login_fewer(w, err))
            return; /* this user's other connections carry on */
    } else if (verdict.action == TROUBLE_HOLD && trouble_is_login(verdict.type)) {
        account_failure(account, failure_side_of(w->side), doing, verdict.type, err, NULL, 0);
    }
    if (verdict.action == TROUBLE_FEWER || verdict.action == TROUBLE_HOLD) {
        account_hold(account, w->side, verdict.wait_ms);
    } else {
        account_failure(account, failure_side_of(w->side), doing, verdict.type, err, NULL, 0);
        if (verdict.action == TROUBLE_STOP_ACCOUNT) {
            account_fail(account, verdict.type, false);
            return;
        }
    }
    /* Others may carry on; the last one comes back by itself. */
    w->attempts++;
    if (side->ready_count == 0 || verdict.wait_ms < 5000)
        loop_timer_set(hub->loop, &w->again, verdict.wait_ms, reconnect, w);
}

static const struct link_events link_events = { .ready = link_ready, .closed = link_closed };

static void worker_open(struct worker *w)
{
    struct account *account = w->account;
    struct link_config config;
    char label[160];

    if (w->link || account->stopping || loop_timer_is_set(&w->again))
        return;
    if (account_held(account, w->side) || !hub_has_link(account->hub, w->side) ||
        !login_ready(w) || !hub_lend_link(account->hub, w->side))
        return;
    snprintf(label, sizeof label, "%s user=%s", w->side == SIDE_SOURCE ? "source" : "target",
             account->user->email_address);
    login_describe(w, &config);
    config.label = label;
    w->link = link_open(account->hub->loop, &config, &link_events, w);
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
            loop_timer_clear(account->hub->loop, &w->again);
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
    struct hub *hub = account->hub;

    loop_timer_clear(hub->loop, &account->step);
    governor_leave(account);
    for (unsigned side = 0; side < SIDE_COUNT; side++) {
        struct worker *w;

        while ((w = account->sides[side].workers) != NULL) {
            account->sides[side].workers = w->next;
            loop_timer_clear(hub->loop, &w->again);
            login_over(w);
            free(w);
        }
        free(account->sides[side].prefix);
    }
    for (unsigned i = 0; i < account->folder_count; i++)
        folder_destroy(&account->folders[i]);
    free(account->folders);
    listing_deinit(account);
    free(account->permanent_keywords);
    hub_account_ended(hub, account);
    free(account);
}

static void saved(void *context, struct store_op *op, const struct err *err)
{
    struct account *account = context;

    (void)op;
    account->told--;
    if (err)
        hub_abort_run(account->hub, err);
    batch_user_ended(account->hub->batch, account->record.state, account->record.failure);
    account->phase = ACCOUNT_CLOSING;
    close_links(account, false);
    account_poke(account);
}

static void sum(const struct account *account, struct tally *total)
{
    *total = (struct tally){ 0 };
    for (unsigned i = 0; i < account->folder_count; i++)
        tally_add(total, &account->folders[i]->record.tally);
}

/* The verdict: Synced only when nothing is pending and everything balances. */
static void save(struct account *account)
{
    const struct settings_policy *policy = &account->hub->settings->policy;
    struct tally total;
    bool pending;

    sum(account, &total);
    pending = total.waiting + total.spooled > 0;
    account->phase = ACCOUNT_SAVING;
    if (!account->failed && !account->stopping) {
        if (account->large_items > policy->large_item_limit)
            account_fail(account, "TooManyLargeItems", true);
        else if (total.failed > policy->bad_item_limit)
            account_fail(account, "TooManyBadItems", true);
    }
    if (account->failed) {
        account->record.state = USER_FAILED;
    } else if (account->stopping || (pending && hub_uses(account->hub, SIDE_TARGET))) {
        account->record.state = USER_STOPPED;
    } else if (!hub_uses(account->hub, SIDE_TARGET)) {
        account->record.state = USER_QUEUED;
    } else {
        account->record.state = account->record.syncs ? USER_INCREMENTAL_SYNCED : USER_SYNCED;
        account->record.syncs++;
    }
    if (!account->failed)
        account->record.failure[0] = '\0';
    account->record.finished_ms = now_wall_ms();
    account_time(account, loop_now_ms(account->hub->loop));
    for (unsigned i = 0; i < account->folder_count; i++) {
        struct folder *f = account->folders[i];

        if (folder_pending(f) == 0 && f->pull == PULL_DONE && !f->record.target_scanned &&
            hub_uses(account->hub, SIDE_TARGET)) {
            /* Whatever the target held before us is paired by now. */
            f->record.target_scanned = true;
            folder_put(f);
        } else if (f->record.target_open && f->sending == 0 && !f->uncertain &&
                   f->record.target_scanned && f->push != PUSH_SETTLING &&
                   f->record.tally.spooled > 0) {
            /* A clean stop: the next run need not look for lost answers. */
            f->record.target_open = false;
            folder_put(f);
        } else if (f->listed_now) {
            folder_put(f);
        }
    }
    put_user(account, saved);
}

/* ---- the proof at the end ------------------------------------------------------------------ */

struct proof {
    struct account *account;
    struct folder *folder;
    bool told;
    struct imap_status status;
};

static void proof_told(void *context, const struct imap_status *status)
{
    struct proof *proof = context;

    proof->told = true;
    proof->status = *status;
}

static void proof_ended(void *context, const struct err *err)
{
    struct proof *proof = context;
    struct account *account = proof->account;
    struct folder *f = proof->folder;
    uint64_t expected = f->target_before + f->uploaded_now;

    account->proving--;
    if (!err && proof->told && (proof->status.has & IMAP_STATUS_MESSAGES) &&
        proof->status.messages < expected) {
        struct err differs;

        err_set(&differs, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
                "the target counts %u messages, %llu were there or answered OK",
                proof->status.messages, (unsigned long long)expected);
        err_doing(&differs, "STATUS %s", f->target_name);
        account_failure(account, FAILURE_TARGET, TROUBLE_LIST, "TargetCountDiffers", &differs, f, 0);
        account_fail(account, "TargetCountDiffers", true);
    }
    free(proof);
    account_poke(account);
}

static void prove(struct account *account)
{
    struct worker *w = NULL;

    account->phase = ACCOUNT_PROVING;
    for (struct worker *each = account->sides[SIDE_TARGET].workers; each; each = each->next)
        if (each->link && link_is_ready(each->link) && !each->busy)
            w = each;
    for (unsigned i = 0; w && i < account->folder_count; i++) {
        struct folder *f = account->folders[i];
        struct proof *proof;

        if (!f->counted_before || f->uploaded_now == 0 || f->push == PUSH_REFUSED)
            continue;
        proof = mem_zero(1, sizeof *proof);
        proof->account = account;
        proof->folder = f;
        account->proving++;
        session_status(link_session(w->link), f->record.target_raw, IMAP_STATUS_MESSAGES, proof_told,
                       proof_ended, proof);
    }
    account_poke(account);
}

static bool finished(const struct account *account)
{
    if (in_flight(account) || account->told)
        return false;
    for (unsigned i = 0; i < account->folder_count; i++)
        if (account->folders[i]->storing || account->folders[i]->fetching)
            return false;
    if (account_uses(account, SIDE_SOURCE) &&
        (!account->sides[SIDE_SOURCE].listed || !pull_finished(account)))
        return false;
    if (account_uses(account, SIDE_TARGET) && !push_finished(account))
        return false;
    return true;
}

static void maybe_finish(struct account *account)
{
    switch (account->phase) {
    case ACCOUNT_WORKING:
        if (account->stopping) {
            if (!in_flight(account) && !account->told && !any_link(account))
                save(account);
        } else if (finished(account)) {
            if (account_uses(account, SIDE_TARGET))
                prove(account);
            else
                save(account);
        }
        break;
    case ACCOUNT_PROVING:
        if (account->proving == 0)
            save(account);
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

static void maybe_more_links(struct account *account, enum side side_index)
{
    struct account_side *side = &account->sides[side_index];
    const struct settings *settings = account->hub->settings;
    const struct settings_endpoint *endpoint =
        side_index == SIDE_SOURCE ? &settings->source : &settings->target;
    unsigned room = side_index == SIDE_SOURCE ? pull_room(account) : push_room(account);
    uint64_t left = 0;
    struct worker *idle = NULL;

    if (!side->listed || room == 0 || account_held(account, side_index) ||
        !login_has_room(side, loop_now_ms(account->hub->loop)))
        return;
    for (struct worker *w = side->workers; w; w = w->next) {
        if (!w->link && !loop_timer_is_set(&w->again))
            idle = w;
        else if (!w->link || !link_is_ready(w->link) || (!w->busy && w->inflight == 0))
            return; /* one is on its way, or free already */
    }
    for (unsigned i = 0; i < account->folder_count; i++) {
        const struct folder *f = account->folders[i];

        if (side_index == SIDE_TARGET)
            left += f->record.tally.spooled;
        else
            left += f->pull == PULL_UNLISTED ? 20 + f->source_status.messages
                                             : f->record.tally.waiting;
    }
    if (left < EXTRA_LINK_MESSAGES * side->worker_count ||
        (!idle && side->worker_count >= endpoint->connections_per_user))
        return;
    /* Mailboxes that wait for their first connection go before second ones. */
    if (!account->hub->no_more && account->hub->links[side_index] * 2 > account->hub->links_max[side_index])
        return;
    worker_open(idle ? idle : worker_create(account, side_index));
}

static void step(void *context)
{
    struct account *account = context;

    if (account->phase == ACCOUNT_WORKING && !account->stopping) {
        for (unsigned i = 0; i < SIDE_COUNT; i++) {
            struct account_side *side = &account->sides[i];

            for (struct worker *w = side->workers; w; w = w->next) {
                if (!w->link) {
                    if (side->ready_count == 0 && w == side->workers)
                        worker_open(w);
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
    }
    maybe_finish(account);
}

void account_tick(struct account *account, uint64_t now)
{
    account_time(account, now);
    account->spool_waits = false;
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        for (struct worker *w = account->sides[side].workers; w; w = w->next)
            if (w->link && w->token_ends_ms && now + DRAIN_BEFORE_MS(w) >= w->token_ends_ms)
                w->draining = true;
    if (account->phase == ACCOUNT_WORKING && !account->stopping &&
        now - account->begun_ms > EXTRA_LINK_AFTER_MS)
        for (unsigned side = 0; side < SIDE_COUNT; side++)
            if (account_uses(account, side))
                maybe_more_links(account, side);
    account_poke(account);
}

bool account_is_listing(const struct account *account)
{
    if (!account_uses(account, SIDE_SOURCE))
        return false;
    if (!account->sides[SIDE_SOURCE].listed)
        return true;
    for (unsigned i = 0; i < account->folder_count; i++)
        if (account->folders[i]->pull < PULL_BODIES)
            return true;
    return false;
}

void account_live(struct account *account, uint64_t now, struct sample_live *live_r)
{
    uint64_t bytes = account_uses(account, SIDE_TARGET) ? account->uploaded_bytes
                                                        : account->fetched_bytes;
    uint64_t until = account->sides[SIDE_TARGET].hold_until_ms;

    if (account->rate_ms && now > account->rate_ms)
        account->rate = (bytes - account->rate_bytes) * 1000 / (now - account->rate_ms);
    account->rate_bytes = bytes;
    account->rate_ms = now;
    *live_r = (struct sample_live){
        .user = account->id,
        .bytes_per_s = account->rate,
        .throttled_until_ms = until > now ? now_wall_ms() + (int64_t)(until - now) : 0,
    };
}

void account_show(const struct account *account, struct batch_show *show_r)
{
    struct tally total;
    const struct folder *at = NULL;

    for (unsigned side = 0; side < SIDE_COUNT; side++)
        for (const struct worker *w = account->sides[side].workers; w; w = w->next)
            if (w->folder)
                at = w->folder;
    sum(account, &total);
    snprintf(show_r->address, sizeof show_r->address, "%s", account->user->email_address);
    snprintf(show_r->folder, sizeof show_r->folder, "%s", at ? at->source_name : "");
    show_r->found = total.found;
    show_r->done = total.found - total.waiting - total.spooled;
    show_r->held_ms = account_held(account, SIDE_TARGET)
                          ? account->sides[SIDE_TARGET].hold_until_ms -
                                loop_now_ms(account->hub->loop)
                          : 0;
    show_r->doing = account_held(account, SIDE_TARGET)    ? "waiting for the target"
                    : !account->sides[SIDE_SOURCE].listed ? "listing"
                    : total.waiting                       ? "moving"
                                                          : "uploading";
}

/* ---- start --------------------------------------------------------------------------------- */

static bool load_user(void *context, const struct user_record *user)
{
    struct account *account = context;

    account->record = *user;
    account->record.address = account->record.user_name = SLICE("");
    account->record.opaque = SLICE("");
    return false;
}

struct folder *account_add_folder(struct account *account, const struct folder_record *record)
{
    struct folder *folder = folder_create(account, record);

    account->folders =
        mem_resize(account->folders, account->folder_count + 1u, sizeof *account->folders);
    account->folders[account->folder_count++] = folder;
    count(&account->hub->counters.folders, 1);
    return folder;
}

static bool load_folder(void *context, const struct folder_record *record)
{
    account_add_folder(context, record);
    return true;
}

void account_start(struct hub *hub, unsigned index, uint32_t id)
{
    struct account *account = mem_zero(1, sizeof *account);
    struct tally total;
    struct err err;

    account->hub = hub;
    account->index = index;
    account->id = id;
    account->user = &hub->settings->users[index];
    account->begun_ms = loop_now_ms(hub->loop);
    account->next = hub->accounts;
    if (hub->accounts)
        hub->accounts->previous = account;
    hub->accounts = account;
    if (!reader_user(hub->reader, id, load_user, account, &err) ||
        !reader_folders(hub->reader, id, load_folder, account, &err)) {
        hub_abort_run(hub, &err);
        account_stop(account);
        return;
    }
    account->record.id = id;
    account->record.state = account->record.syncs ? USER_INCREMENTAL_SYNCING : USER_SYNCING;
    if (account->record.started_ms == 0)
        account->record.started_ms = now_wall_ms();
    account->record.failure[0] = '\0';
    sum(account, &total);
    /* What is said of messages that failed before stays true until they are tried again. */
    if (total.failed == 0 || hub->settings->mode == SETTINGS_MODE_RETRY)
        hub_submit_lazy(hub, store_op_new(STORE_OP_CLEAR_REMARKS, id, 0));
    put_user(account, NULL);
    governor_join(account);
    listing_resume(account);
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        if (account_uses(account, side))
            worker_open(worker_create(account, side));
    account_poke(account);
}
