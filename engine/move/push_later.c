/* Messages that wait behind the others of their folder: refused in words that may mean anything, or under way when
 * connections went. Others go first, and what becomes of them tells whether it was the message (failure/refusals);
 * where none is taken the folder rests, and then the mailbox. */
#include "engine/move/push_job_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

/* Refusals of a message in a folder that has no other to send, where the mailbox took some since, or has not. */
#define LONELY_TRIES       5u
#define LONELY_TRIES_FIRST 8u
/* Refused in words about it. */
#define LONELY_TRIES_WORDS 2u
/* Connections that a message may see go with others; then it is sent alone, and last. */
#define LOSSES_MAX 2u
/* Of a message alone, where nothing else shows that the server takes mail. */
#define LOSSES_ALONE_MAX 3u

/* ---- refused ------------------------------------------------------------------------------- */

static bool has_others(const struct folder *f)
{
    return f->ready.count > 0 || f->ready.more;
}

static void rested(void *context)
{
    struct folder *f = context;

    push_touch(f);
    account_poke(f->account);
}

void push_later_rest(struct folder *f, uint32_t wait_ms, bool first)
{
    struct account *account = f->account;

    account->resting += first;
    if (account->resting >= FOLDERS_RESTING)
        account_hold(account, SIDE_TARGET, wait_ms, STALL_RETRY);
    loop_timer_set(account->reactor->loop, &f->refused_again, wait_ms, rested, f);
    push_touch(f);
}

/* One of those that were put off has not been tried since the last wait. */
static bool another_has_turn(const struct folder *f)
{
    for (unsigned i = 0; i < f->ready.later_count; i++)
        if (!push_later_is_lost(&f->ready.later[i]) && refusals_has_turn(&f->refusals, &f->ready.later[i].refused))
            return true;
    return false;
}

/* Its server takes nothing: the folder is opened anew, after a while that grows, for one message at a time. False:
 * that was so for as long as it may be, of messages that are the last of a folder which took all others. */
static bool rest(struct folder *f, const struct folder_item *item, const struct err *err)
{
    struct account *account = f->account;
    struct reactor *reactor = account->reactor;
    bool had = f->refusals.rests;
    struct err passing = *err;
    struct trouble_verdict verdict;

    if (loop_timer_is_set(&f->refused_again) || (f->refusals.row < REFUSALS_ROW && another_has_turn(f)))
        return true;
    passing.class = ERR_CLASS_TRANSIENT;
    passing.scope = ERR_SCOPE_FOLDER;
    trouble_judge(TROUBLE_APPEND, FAILURE_TARGET, &passing, refusals_rests(&f->refusals, &item->refused),
                  (unsigned)reactor->settings->policy.transient_failure_limit, account->id + item->uid, &verdict);
    account_failure(account, FAILURE_TARGET, TROUBLE_APPEND, verdict.type, &passing, f, item->uid);
    log_line(LOG_INFO, "folder.rests", "user=%s folder=%s refused=%u waits=%u ms=%" PRIu32 " said=%s",
             account->user->email_address, f->target_name, f->refusals.row, f->refusals.rounds, verdict.wait_ms,
             err->server_text);
    if (verdict.action == TROUBLE_STOP_ACCOUNT && f->refusals.took && !has_others(f))
        return false;
    if (verdict.action == TROUBLE_STOP_ACCOUNT) {
        folder_set_push(f, PUSH_REFUSED);
        account_fail(account, verdict.type, true);
        return true;
    }
    push_stop_sending(f);
    push_later_rest(f, verdict.wait_ms, !had);
    return true;
}

/* It is tried again while others are sent, but not at once where its server says that it passes. */
static void wait_beside_others(const struct folder *f, struct folder_item *item, const struct err *err)
{
    const struct account *account = f->account;
    struct trouble_verdict verdict;

    if (err->class != ERR_CLASS_TRANSIENT)
        return;
    trouble_judge(TROUBLE_APPEND, FAILURE_TARGET, err, item->refused.times - 1u, UINT32_MAX, account->id + item->uid,
                  &verdict);
    item->not_before_ms = loop_now_ms(account->reactor->loop) + verdict.wait_ms;
}

/* True: it is the message, which stays the caller's. Else it was put off. */
static bool follow(struct folder *f, struct folder_item *item, enum refusal refusal, const struct err *err)
{
    if (refusal == REFUSAL_OWN || (refusal == REFUSAL_REST && !rest(f, item, err)))
        return true;
    wait_beside_others(f, item, err);
    queue_put_off(&f->ready, item, false);
    item->keywords = NULL;
    push_touch(f);
    return false;
}

/* Other folders of the mailbox take nothing either, since it was refused first. */
static bool mailbox_rests(const struct folder *f, const struct folder_item *item)
{
    return f->account->resting >= FOLDERS_RESTING && f->account->took == item->took_before;
}

/* How often a message may be refused that is the last of its folder. */
static unsigned tries_of(const struct folder *f, const struct folder_item *item, const struct err *err)
{
    unsigned limit = (unsigned)f->account->reactor->settings->policy.transient_failure_limit;

    if (f->account->took > item->took_before)
        return limit < LONELY_TRIES ? limit : LONELY_TRIES;
    return err->class == ERR_CLASS_TRANSIENT || mailbox_rests(f, item) ? UINT8_MAX : LONELY_TRIES_FIRST;
}

static enum refusal_words words_of(const struct err *err)
{
    if (err->class == ERR_CLASS_TRANSIENT)
        return REFUSAL_WORDS_PASSING;
    return trouble_may_have_stored(err) ? REFUSAL_WORDS_ANY : REFUSAL_WORDS_OWN;
}

bool push_later_is_own(struct folder *f, struct folder_item *item, const struct err *err)
{
    if (item->refused.times == 0)
        item->took_before = f->account->took;
    return follow(f, item,
                  refusals_judge(&f->refusals, &item->refused, words_of(err), has_others(f), tries_of(f, item, err)),
                  err);
}

bool push_later_is_last(struct folder *f, struct folder_item *item, const struct err *err)
{
    return follow(f, item,
                  refusals_judge_last(&f->refusals, &item->refused, has_others(f),
                                      mailbox_rests(f, item) ? UINT8_MAX : LONELY_TRIES_WORDS),
                  err);
}

void push_later_took(struct folder *f, uint32_t seen_at_send, unsigned messages)
{
    refusals_took(&f->refusals, seen_at_send);
    loop_timer_clear(f->account->reactor->loop, &f->refused_again);
    push_touch(f);
    f->account->took += messages;
    f->account->resting = 0;
}

/* ---- lost ---------------------------------------------------------------------------------- */

void push_later_lost(struct folder *f, struct folder_item *item, const struct err *err)
{
    if (item->losses < UINT8_MAX)
        item->losses++;
    if (item->losses == LOSSES_MAX)
        item->took_before = f->account->took;
    if (!item->alone)
        return;
    item->losses_alone++;
    push_said_keep(f, item->uid, err);
}

bool push_later_is_lost(const struct folder_item *item)
{
    return item->losses >= LOSSES_MAX;
}

/* It was looked for after the last loss, and is not there. */
static bool is_condemned(const struct folder *f, const struct folder_item *item)
{
    return item->losses_alone && push_said(f, item->uid) &&
           (f->account->took > item->took_before || item->losses_alone >= LOSSES_ALONE_MAX);
}

static void lost_for_good(struct folder *f, struct folder_item *item)
{
    const struct err *loss = push_said(f, item->uid);
    struct err err;

    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, loss->origin, 0,
            "the connection ended each of %u times that this message was sent, at last alone: %.160s", item->losses,
            loss->server_text);
    err_doing(&err, "%s", loss->doing);
    push_message_fails_as(f, item, "MessageRejected", &err);
    item_deinit(item);
}

/* ---- whose turn it is ---------------------------------------------------------------------- */

bool push_later_pauses(const struct folder *f)
{
    return loop_timer_is_set(&f->refused_again) || f->sends_alone || (f->refusals.rests && f->sending > 0);
}

static bool may_go(const struct folder *f, const struct folder_item *item)
{
    if (push_later_is_lost(item))
        return !has_others(f) && f->sending == 0;
    return !has_others(f) || (!f->refusals.rests && refusals_may_try(&f->refusals, &item->refused) &&
                              loop_now_ms(f->account->reactor->loop) >= item->not_before_ms);
}

/* The first that may go; of those that were lost none while others are left. later_count: none. */
static unsigned first_of(const struct folder *f)
{
    const struct folder_queue *q = &f->ready;
    unsigned lost = q->later_count;

    for (unsigned i = 0; i < q->later_count; i++) {
        const struct folder_item *item = &q->later[i];

        if (push_later_is_lost(item) && lost == q->later_count)
            lost = i;
        else if (!push_later_is_lost(item) && may_go(f, item))
            return i;
    }
    return lost < q->later_count && may_go(f, &q->later[lost]) ? lost : q->later_count;
}

bool push_later_is_due(const struct folder *f)
{
    return first_of(f) < f->ready.later_count;
}

bool push_later_next(struct worker *w, struct folder *f, struct folder_item *item_r)
{
    unsigned at = first_of(f);

    if (at == f->ready.later_count || (push_later_is_lost(&f->ready.later[at]) && w->inflight > 0))
        return false;
    queue_take_put_off(&f->ready, at, item_r);
    return true;
}

bool push_later_ends(struct folder *f, struct folder_item *item)
{
    if (!is_condemned(f, item))
        return false;
    lost_for_good(f, item);
    return true;
}
