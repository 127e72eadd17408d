/* Messages that the source refused in every form of asking. Was it the message, or does the source give nothing at the
 * moment? Its words do not tell; what else it gives does (failure/refusals). While it gives nothing no message fails:
 * others go first, and where there are none it is left alone for a while. */
#include "engine/move/pull_private.h"
#include "io/base/log.h"

#include <inttypes.h>

static bool is_refused(const struct err *err)
{
    return (err->origin == ERR_ORIGIN_NO || err->origin == ERR_ORIGIN_BAD) && err->class != ERR_CLASS_THROTTLED;
}

void pull_refused_first(struct folder *f, struct folder_item *item)
{
    item->took_before = f->account->came;
    refusals_unread_first(&f->account->unread, &item->refused);
}

void pull_came(struct folder *f)
{
    struct account *account = f->account;

    f->bodies_came = true;
    account->came++;
    refusals_took(&account->unread, account->unread.seen);
}

static void rest(struct folder *f, const struct folder_item *item, const struct err *err)
{
    struct account *account = f->account;
    struct err passing = *err;
    struct trouble_verdict verdict;

    if (account_held(account, SIDE_SOURCE))
        return;
    passing.class = ERR_CLASS_TRANSIENT;
    trouble_judge(TROUBLE_FETCH, FAILURE_SOURCE, &passing, account->unread.rounds++, UINT32_MAX,
                  account->id + item->uid, &verdict);
    account_failure(account, FAILURE_SOURCE, TROUBLE_FETCH, "ServerBug", &passing, f, item->uid);
    account_hold(account, SIDE_SOURCE, verdict.wait_ms, STALL_RETRY);
    log_line(LOG_INFO, "source.rests", "user=%s folder=%s refused=%u waits=%u ms=%" PRIu32 " said=%s",
             account->user->email_address, f->source_name, account->unread.row, account->unread.rounds, verdict.wait_ms,
             err->server_text);
}

bool pull_refused_is_own(struct folder *f, struct folder_item *item, const struct err *err)
{
    struct account *account = f->account;
    enum refusal refusal;

    /* Part of it came, or others did meanwhile. */
    if (!is_refused(err) || item->ladder.torn_bytes || item->ladder.other_bytes || account->came > item->took_before)
        return true;
    refusal = refusals_judge_unread(
        &account->unread, &item->refused, f->wanted.count > 0 || f->wanted.more, REFUSALS_UNREAD_ROW,
        trouble_says_it_passes(err) ? REFUSALS_UNREAD_ROUNDS_PASSING : REFUSALS_UNREAD_ROUNDS);
    if (refusal == REFUSAL_OWN)
        return true;
    if (refusal == REFUSAL_REST)
        rest(f, item, err);
    item->ladder = (struct ladder){ 0 };
    queue_put_off(&f->wanted, item, false);
    return false;
}
