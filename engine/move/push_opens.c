/* Folders that the target refused to make or to open. Was it the folder, or does the target make and open none at the
 * moment? Its words do not always tell; what it does with others does. */
#include "engine/move/push_private.h"

/* So often one folder is refused while the target takes the mail of others or opens them: in words that say that it
 * passes, and in others. */
#define OPEN_TRIES     8u
#define OPEN_TRIES_ANY 3u
/* So often where nothing of the mailbox is taken or opened, in words that do not say that it passes. */
#define OPEN_TRIES_NONE 10u

/* A refusal of one folder, and not of its name, nor for ever as far as its words tell: others go on meanwhile. A NO to
 * CREATE in words that nobody knows is no word about the name. */
static bool is_of_one_folder(const struct err *err)
{
    return err->scope <= ERR_SCOPE_FOLDER && (err->origin == ERR_ORIGIN_NO || err->origin == ERR_ORIGIN_BAD) &&
           (err->class == ERR_CLASS_TRANSIENT ||
            (err->class == ERR_CLASS_PERMANENT && err->origin == ERR_ORIGIN_NO && trouble_may_have_stored(err)));
}

/* Others were opened or taken meanwhile: what its words say of it holds. */
static bool is_its_own(const struct folder *f)
{
    return f->account->took > f->open_took || f->account->opened > f->open_opened;
}

/* It waits. What other mailboxes meet at the target meanwhile may give it more tries. */
static void waits(struct folder *f, const struct err *err, unsigned tries)
{
    unsigned limit = (unsigned)f->account->reactor->settings->policy.transient_failure_limit;

    account_refused(f->account, SIDE_TARGET, &f->open_shut, tries,
                    trouble_says_it_passes(err) || limit < SHUT_ROUNDS ? limit : SHUT_ROUNDS);
}

/* Is it the folder, or does the target open and make none at the moment? What it does with others tells. */
static enum trouble_action judge_alone(struct folder *f, const struct err *err, unsigned tries,
                                       enum trouble_action action)
{
    const struct account *account = f->account;
    unsigned limit = (unsigned)account->reactor->settings->policy.transient_failure_limit;
    bool passes = trouble_says_it_passes(err), others = account->resting >= FOLDERS_RESTING;

    if (action != TROUBLE_RETRY && action != TROUBLE_SKIP_FOLDER)
        return action;
    if (is_its_own(f))
        return tries >= (passes ? OPEN_TRIES : OPEN_TRIES_ANY) ? TROUBLE_SKIP_FOLDER : TROUBLE_RETRY;
    if (tries < f->open_shut.tries)
        return TROUBLE_RETRY;
    if (others && tries < limit && (passes || tries < OPEN_TRIES_NONE))
        return TROUBLE_RETRY;
    return passes || tries < OPEN_TRIES ? action : TROUBLE_SKIP_FOLDER;
}

bool push_refused(struct folder *f, enum trouble_doing doing, const struct err *err, unsigned attempts, bool again)
{
    struct account *account = f->account;
    bool alone = is_of_one_folder(err);
    struct trouble_verdict verdict;
    struct err passing = *err;

    if (alone && f->open_tries == 0) {
        f->open_took = account->took;
        f->open_opened = account->opened;
        f->open_shut = (struct shut){ 0 };
    }
    if (alone) {
        attempts = f->open_tries;
        passing.class = ERR_CLASS_TRANSIENT;
    }
    f->open_tries += alone && f->open_tries < UINT8_MAX;
    trouble_judge(doing, FAILURE_TARGET, &passing, attempts,
                  (unsigned)account->reactor->settings->policy.transient_failure_limit, account->id, &verdict);
    if (alone)
        verdict.action = judge_alone(f, err, attempts + 1, verdict.action);
    if (verdict.action == TROUBLE_HOLD || verdict.action == TROUBLE_FEWER) {
        account_throttled(account, SIDE_TARGET, 0, err, verdict.wait_ms);
    } else if (verdict.action == TROUBLE_RETRY) {
        /* What a single NO in unknown words means is not known yet. */
        if (!alone || err->class == ERR_CLASS_TRANSIENT || account->resting >= FOLDERS_RESTING)
            account_failure(account, FAILURE_TARGET, doing, verdict.type, &passing, f, 0);
        if (alone) {
            waits(f, err, attempts + 1);
            push_later_rest(f, verdict.wait_ms, attempts == 0);
        } else {
            account_hold(account, SIDE_TARGET, verdict.wait_ms, STALL_RETRY);
        }
    } else if (!again) {
        if (alone && is_its_own(f))
            verdict.type = trouble_type(doing, FAILURE_TARGET, err);
        account_failure(account, FAILURE_TARGET, doing, verdict.type, err, f, 0);
        folder_set_push(f, PUSH_REFUSED);
        account_fail(account, verdict.type, true);
        return true;
    }
    return false;
}
