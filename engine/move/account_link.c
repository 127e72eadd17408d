#include "engine/move/account_private.h"

#include "engine/move/batch.h"
#include "engine/move/follow.h"
#include "engine/move/governor.h"
#include "engine/move/listing.h"
#include "engine/move/login.h"
#include "engine/move/pull.h"
#include "engine/move/push.h"
#include "engine/move/tokens.h"
#include "engine/pace/backoff.h"
#include "engine/settings/side.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <stdio.h>

/* A connection that stood comes back by then, or after a part of the trouble's time. */
#define RETURN_MS 30000u
/* Attempts of one that was turned away for a limit: no failures, however many there are, and no longer waits, for a
 * place may be free at any time; the pool, which has shrunk, is what spares the server. */
#define TURNED_AWAY 2u

struct worker *account_worker_create(struct account *account, enum side side)
{
    struct worker *w = mem_zero(1, sizeof *w);

    w->account = account;
    w->side = side;
    w->next = account->sides[side].workers;
    account->sides[side].workers = w;
    account->sides[side].worker_count++;
    return w;
}

bool account_wants_links(const struct account *account, enum side side)
{
    if (account->stopping)
        return false;
    return account->phase == ACCOUNT_WORKING || (account->phase == ACCOUNT_PROVING && side == SIDE_TARGET);
}

/* A user of whom all was proved and whose source holds nothing new needs no login on the target: on a night
 * on which little happened that is half of all the work, and a login that no limit has to bear. */
bool account_target_rests(struct account *account)
{
    if (account->reactor->settings->mode != SETTINGS_MODE_RUN || account->gmail ||
        account->sides[SIDE_TARGET].worker_count > 0 || batch_other_target(account->reactor->batch) ||
        !user_state_is_proved(account->before.state) || account->doubts.count || account->follow_wanted)
        return false;
    return push_rests(account) && follow_remove_rests(account);
}

static void link_ready(void *context)
{
    struct worker *w = context;
    struct account *account = w->account;
    struct account_side *side = &account->sides[w->side];

    w->attempts = 0;
    reactor_stands(account->reactor, w->side);
    spread_logged_in(&account->reactor->lines[w->side], link_round_trip_us(w->link),
                     (uint32_t)((now_ns() - w->opened_ns) / 1000));
    login_stands(w);
    if (w->side == SIDE_TARGET) {
        governor_connected(account);
        size_limit_offered(account, session_caps(link_session(w->link))->appendlimit_bytes);
        account->tells_uids = caps_have_uidplus(session_caps(link_session(w->link)));
    }
    side->ready_count++;
    side->worked = true;
    w->token_doubted = false;
    if (account->reactor->choked && w->side == SIDE_SOURCE)
        link_want_read(w->link, false);
    if (w->side == SIDE_SOURCE)
        pull_begin(w);
    else
        push_begin(w);
    if (!account_wants_links(account, w->side)) {
        link_finish(w->link);
        return;
    }
    if (account->phase == ACCOUNT_PROVING) {
        account_poke(account);
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

static void reconnect(void *context)
{
    struct worker *w = context;

    if (account_wants_links(w->account, w->side))
        account_worker_open(w);
}

/* A token is refused when it has just ended, and now and then without a reason (exchange-online.md
 * 2): that is no wrong password. One more login with a new token decides. */
static bool token_is_doubted(struct worker *w, enum trouble_doing doing, const struct err *err)
{
    if (!w->token || w->token_doubted || w->account->stopping || doing != TROUBLE_LOGIN ||
        err->class != ERR_CLASS_PERMANENT || err->origin == ERR_ORIGIN_TOKEN)
        return false;
    w->token_doubted = true;
    return true;
}

static bool says(const struct err *err, const char *words)
{
    return slice_find_nocase(slice_cstr(err->server_text), slice_cstr(words)) != SIZE_MAX;
}

static void give_back(struct worker *w)
{
    struct account *account = w->account;

    if (--account->sides[w->side].links == 0)
        account->reactor->linked[w->side]--;
    reactor_give_back_link(account->reactor, w->side);
}

/* How long until this connection comes back. Doubling is for a server that lets nobody in. One that
 * did, and then broke off, is well enough to be asked again after a part of the time in which it
 * gave nothing; with a governor of connects, which has more to go by, that alone. */
static uint32_t wait_to_return(const struct worker *w, uint32_t judged_ms, bool ready_before)
{
    const struct account *account = w->account;
    uint64_t first_ms = account->reactor->settings->policy.retry_wait_ms;
    uint64_t now = loop_now_ms(account->reactor->loop);
    uint64_t most_ms = backoff_lasted_ms(account->sides[w->side].failing_ms, now);

    if (!ready_before)
        return judged_ms;
    if (!governor_paces(account, w->side) && most_ms < RETURN_MS)
        most_ms = RETURN_MS;
    if (most_ms < first_ms)
        most_ms = first_ms;
    /* What is left of its jitter keeps users that were cut off together apart. */
    return judged_ms <= most_ms ? judged_ms : (uint32_t)(most_ms + judged_ms % (most_ms / 2 + 1));
}

/* Others are ready, so that this loss alone is no failure of the side. But where each connection is let in and lost
 * again, in turn, one of them always stands: what counts then is how often the same one was lost with no progress. */
static void count_losses(struct worker *w)
{
    struct account_side *side = &w->account->sides[w->side];

    if (w->losses == 0 || w->losses_progress != side->progress) {
        w->losses = 0;
        w->losses_progress = side->progress;
    }
    w->losses++;
    if (side->ready_count == 0 || side->failures + 1 >= w->losses)
        return;
    if (side->failures == 0)
        side->failing_ms = loop_now_ms(w->account->reactor->loop);
    side->failures = w->losses - 1;
}

static void link_closed(void *context, const struct err *err, bool ready_before)
{
    struct worker *w = context;
    struct account *account = w->account;
    struct reactor *reactor = account->reactor;
    struct account_side *side = &account->sides[w->side];
    bool greeted = link_was_greeted(w->link);
    enum trouble_doing doing = ready_before ? TROUBLE_LIST : trouble_while_connecting(err, greeted);
    struct trouble_verdict verdict;
    unsigned limit = (unsigned)reactor->settings->policy.transient_failure_limit;
    bool drained, leaves = w->leaves, turned_away = false;
    uint32_t wait_ms;
    struct err away;

    if (ready_before) {
        side->ready_count--;
        reactor_falls(reactor, w->side, &w->came_seen);
    } else if (reactor_turned_away(reactor, w->side, err, greeted, w->attempts, &w->came_seen, &away)) {
        turned_away = true;
        err = &away;
    }
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
    if (!ready_before && token_is_doubted(w, doing, err)) {
        login_over(w);
        give_back(w);
        tokens_forget(reactor->tokens, w->side, account->user);
        loop_timer_set(reactor->loop, &w->again, 1, reconnect, w);
        account_poke(account);
        return;
    }
    if (!ready_before && !account->stopping)
        login_refused(w, err, trouble_type(doing, failure_side_of(w->side), err));
    drained = w->draining || says(err, "AccessTokenExpired");
    /* Ended with its token, or because of it (revoked): the next login has another. */
    if (w->token && err->class != ERR_CLASS_CANCELED && (drained || says(err, "Session invalidated")))
        tokens_forget(reactor->tokens, w->side, account->user);
    login_over(w);
    give_back(w);
    account_poke(account);
    w->leaves = false;
    /* The mailbox's other connections carry on; how this one ended says something only when the server asks
     * for patience. */
    if (leaves && side->ready_count > 0 && err->class != ERR_CLASS_THROTTLED)
        return;
    if (drained && account_wants_links(account, w->side)) {
        /* A session lives no longer than its token: routine, not trouble. */
        loop_timer_set(reactor->loop, &w->again, 1, reconnect, w);
        return;
    }
    if (!account_wants_links(account, w->side) || err->class == ERR_CLASS_CANCELED)
        return;
    /* A login that is refused, or a door that is shut while others are inside, is no sign of a server in trouble. */
    if (w->side == SIDE_TARGET && !turned_away && (doing != TROUBLE_LOGIN || err->origin == ERR_ORIGIN_BYE))
        governor_dropped(account, 0);
    if (ready_before) {
        count_losses(w);
        account->record.reconnects++;
        count(&reactor->counters.reconnects, 1);
    }
    trouble_judge(doing, failure_side_of(w->side), err, doing == TROUBLE_CONNECT ? w->attempts : side->failures, limit,
                  account->id + w->attempts, &verdict);
    /* A server that was there comes back, most often: it gets all the patience there is. */
    if (doing == TROUBLE_CONNECT && reactor->presence[w->side].came && verdict.action == TROUBLE_STOP_ACCOUNT &&
        err->class != ERR_CLASS_PERMANENT && w->attempts + 1 < limit)
        verdict.action = TROUBLE_RETRY;
    /* One outage takes all connections at once and counts once. */
    if ((err->class != ERR_CLASS_THROTTLED || err->scope == ERR_SCOPE_SESSION) && verdict.action != TROUBLE_FEWER &&
        side->ready_count == 0 && side->failures++ == 0)
        side->failing_ms = loop_now_ms(reactor->loop);
    if (verdict.action == TROUBLE_FEWER) {
        account_failure(account, failure_side_of(w->side), doing, verdict.type, err, NULL, 0);
        if (login_fewer(w, err))
            return; /* this user's other connections carry on */
    } else if (verdict.action == TROUBLE_HOLD && trouble_is_login(verdict.type)) {
        account_failure(account, failure_side_of(w->side), doing, verdict.type, err, NULL, 0);
    }
    if (verdict.action == TROUBLE_HOLD) {
        account_throttled(account, w->side, 0, err, verdict.wait_ms);
    } else if (verdict.action == TROUBLE_FEWER) {
        account_hold(account, w->side, verdict.wait_ms, STALL_CONNECTION_LIMIT);
    } else {
        account_failure(account, failure_side_of(w->side), doing, verdict.type, err, NULL, 0);
        if (verdict.action == TROUBLE_STOP_ACCOUNT) {
            account_fail(account, verdict.type, false);
            return;
        }
    }
    /* Others may carry on; the last one comes back by itself. */
    w->attempts = verdict.action == TROUBLE_FEWER ? TURNED_AWAY : w->attempts + 1;
    wait_ms = verdict.wait_ms;
    if (verdict.action == TROUBLE_RETRY)
        wait_ms = wait_to_return(w, wait_ms, ready_before);
    if (side->ready_count == 0 || wait_ms < 5000)
        loop_timer_set(reactor->loop, &w->again, wait_ms, reconnect, w);
}

static const struct link_events link_events = { .ready = link_ready, .closed = link_closed };

void account_worker_open(struct worker *w)
{
    struct account *account = w->account;
    struct link_config config;
    char label[160];

    if (w->link || account->stopping || loop_timer_is_set(&w->again))
        return;
    if (account_held(account, w->side))
        return;
    w->waits = STALL_CONNECTION_LIMIT;
    if (!reactor_has_link(account->reactor, w->side) || !login_ready(w) ||
        !reactor_lend_link(account->reactor, w->side))
        return;
    w->waits = STALL_NONE;
    w->opened_ns = now_ns();
    if (account->sides[w->side].links++ == 0)
        account->reactor->linked[w->side]++;
    snprintf(label, sizeof label, "%s user=%s", side_name(w->side), account->user->email_address);
    login_describe(w, &config);
    config.label = label;
    w->link = link_open(account->reactor->loop, &config, &link_events, w);
}
