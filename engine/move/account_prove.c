#include "engine/move/account_private.h"
#include "engine/move/batch.h"
#include "engine/move/follow.h"
#include "engine/move/push_late.h"

#include "io/base/log.h"
#include "io/base/mem.h"

#include <stdlib.h>

/* One question for a count. */
struct proof {
    struct account *account;
    struct folder *folder;
    struct worker *worker;
    struct link *link;
    bool told, by_examine;
    struct imap_status status;
};

static void proof_ended(void *context, const struct err *err);

static void proof_told(void *context, const struct imap_status *status)
{
    struct proof *proof = context;

    proof->told = (status->has & IMAP_STATUS_MESSAGES) != 0;
    proof->status = *status;
}

static void proof_selected(void *context, const struct imap_selected *selected)
{
    proof_told(context, &selected->status);
}

static bool link_stands(const struct proof *proof)
{
    return proof->worker->link == proof->link && link_is_ready(proof->link);
}

/* All that was ever moved there, but for what was deleted at the source since: a run that was killed may have removed
 * that from there, too. */
static uint64_t moved(const struct folder *f)
{
    uint64_t all = f->record.tally.uploaded + f->record.tally.present;

    return all > f->follow.gone ? all - f->follow.gone : 0;
}

/* What was there when this run opened the folder and what it acknowledged since. */
static uint64_t since_opened(const struct folder *f)
{
    return f->counted_before ? f->target_before + f->uploaded_now : 0;
}

/* This retry is for what the target lacked. */
static bool is_for_counts(const struct account *account)
{
    return account->reactor->settings->mode == SETTINGS_MODE_RETRY &&
           strcmp(account->before.failure, "TargetCountDiffers") == 0;
}

/* Once a user is Synced people may delete what was moved; until then all of it must be there, and so it must
 * when the folder itself is not the one that it was moved into. */
static bool must_hold_all(const struct folder *f)
{
    return !f->counted_before || f->emptied || f->account->before.syncs == 0 || is_for_counts(f->account);
}

/* What the target must count at least. */
static uint64_t expected(const struct folder *f)
{
    uint64_t least = since_opened(f);

    return must_hold_all(f) && moved(f) > least ? moved(f) : least;
}

void account_target_removed(struct folder *f)
{
    f->emptied |= moved(f) > 0;
    f->retakes |= f->emptied;
}

void account_target_opened(struct folder *f)
{
    const struct imap_status *s = &f->target_status;
    uint64_t all = moved(f), known = 0;
    bool is_news;

    if (f->opened_validity && (s->has & IMAP_STATUS_UIDVALIDITY) && s->uidvalidity != f->opened_validity)
        account_target_removed(f);
    if (s->has & IMAP_STATUS_UIDVALIDITY)
        f->opened_validity = s->uidvalidity;
    f->opened_uidnext = s->has & IMAP_STATUS_UIDNEXT ? s->uidnext : 0;
    if (f->sent_from)
        return;
    f->sent_from = f->opened_uidnext ? f->opened_uidnext : UINT32_MAX;
    if (!(s->has & IMAP_STATUS_MESSAGES) || s->messages >= all || batch_other_target(f->account->reactor->batch))
        return;
    is_news = !account_doubts(f->account, f, "TargetHoldsLess", &known) || known < all - s->messages;
    /* What a verdict has let pass (--accept-counts) does not fail the next run. */
    f->emptied |= s->messages == 0 && (is_news || !user_state_is_synced(f->account->before.state));
    if (is_news)
        account_doubt(f->account, f, "TargetHoldsLess", all - s->messages,
                      "%s held %u messages when it was opened; %llu had been moved there", f->target_name, s->messages,
                      (unsigned long long)all);
}

static void examine(struct proof *proof)
{
    proof->by_examine = true;
    proof->told = false;
    session_select(link_session(proof->link), proof->folder->record.target_raw, true, proof_selected, proof_ended,
                   proof);
}

/* A server may answer STATUS from what it remembers: after a killed run, Dovecot did so with one
 * message less than it held (1 run in 60). Others refuse STATUS or tell no number. EXAMINE looks. */
static bool looks_again(struct proof *proof, const struct err *err)
{
    bool doubtful =
        err ? err->class != ERR_CLASS_THROTTLED && (err->origin == ERR_ORIGIN_NO || err->origin == ERR_ORIGIN_BAD)
            : !proof->told || proof->status.messages < expected(proof->folder);

    if (!doubtful || proof->by_examine || !link_stands(proof))
        return false;
    examine(proof);
    return true;
}

/* The folder's count is to be asked for. */
static void want(struct folder *f)
{
    f->next_unproven = f->account->unproven;
    f->account->unproven = f;
}

static void fails(struct account *account, struct folder *f, const char *type, struct err *err)
{
    err_doing(err, "EXAMINE %s", f->target_name);
    account_failure(account, FAILURE_TARGET, TROUBLE_SELECT, type, err, f, 0);
    account_fail(account, type, true);
}

/* Again later, or it is in doubt what the folder holds. */
bool account_proof_refused(struct folder *f, const struct err *cause)
{
    struct account *account = f->account;
    struct trouble_verdict verdict;
    struct err err = *cause;
    char line[512];

    trouble_judge(TROUBLE_SELECT, FAILURE_TARGET, &err, f->proof_tries++,
                  (unsigned)account->reactor->settings->policy.transient_failure_limit, account->id, &verdict);
    switch (verdict.action) {
    case TROUBLE_HOLD:
    case TROUBLE_FEWER:
        account_throttled(account, SIDE_TARGET, 0, &err, verdict.wait_ms);
        return true;
    case TROUBLE_RETRY:
        account_failure(account, FAILURE_TARGET, TROUBLE_SELECT, verdict.type, &err, f, 0);
        account_hold(account, SIDE_TARGET, verdict.wait_ms, STALL_RETRY);
        return true;
    case TROUBLE_LOOK_FIRST:
    case TROUBLE_OTHER_FORM:
    case TROUBLE_SKIP_MESSAGE:
    case TROUBLE_SKIP_FOLDER:
    case TROUBLE_STOP_ACCOUNT:
    case TROUBLE_STOP_RUN:
        break;
    }
    if (strcmp(verdict.type, "SelectFailed") == 0)
        account_doubt(account, f, "TargetNotCounted", 0, "%s on the target was not counted in the end: %s",
                      f->target_name, err_line(&err, line, sizeof line));
    else
        fails(account, f, verdict.type, &err);
    return false;
}

/* It is not the folder that earlier runs sent to: made anew, or on another server. */
static bool is_another(const struct folder *f, const struct imap_status *status)
{
    return ((status->has & IMAP_STATUS_UIDVALIDITY) && f->uidvalidity_before &&
            status->uidvalidity != f->uidvalidity_before) ||
           ((status->has & IMAP_STATUS_UIDNEXT) && status->uidnext <= f->seen_before);
}

static void differs(struct account *account, struct folder *f, uint32_t messages, uint64_t least, const char *other)
{
    struct err err;

    if (other)
        err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
                "%llu messages were moved while the target was %s; here it counts %u. For another target "
                "name another state folder: what it holds is recognised",
                (unsigned long long)least, other, messages);
    else
        err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
                "the target counts %u messages, %llu were there or answered OK", messages, (unsigned long long)least);
    fails(account, f, "TargetCountDiffers", &err);
}

void account_unproved(struct folder *f, uint64_t missing)
{
    struct err err;

    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
            "%llu messages that were there or answered OK are not there, though the number of messages agrees",
            (unsigned long long)missing);
    fails(f->account, f, "TargetCountDiffers", &err);
}

void account_proved(struct folder *f, const struct imap_status *status)
{
    f->record.target_counted = true;
    account_doubt_clear(f->account, f, "TargetNotCounted");
    /* Nobody else put anything there meanwhile: without APPENDUID only this tells it. */
    if (f->counted_before && status->messages == since_opened(f) && (status->has & IMAP_STATUS_UIDNEXT) &&
        status->uidnext > f->highest_seen && folder_pending(f) == 0) {
        f->highest_seen = status->uidnext - 1;
        folder_seen(f);
    }
    folder_put(f);
}

/* A retry moves again what is not there, once; a lower count alone is nothing that could be taken. */
static bool may_be_audited(const struct folder *f)
{
    return (f->account->reactor->settings->mode == SETTINGS_MODE_RETRY || f->retakes) && !f->audited;
}

/* Messages came that are not ours, or not known to be: then the number agrees whatever is lacking. */
static bool others_put_mail(const struct folder *f, const struct imap_status *status)
{
    uint64_t next = f->counted_before && !f->uids_told
                        ? f->opened_uidnext ? f->opened_uidnext + f->uploaded_now : UINT64_MAX
                        : f->highest_seen + 1ull;

    return status->messages > (f->counted_before ? since_opened(f) : moved(f)) ||
           ((status->has & IMAP_STATUS_UIDNEXT) && status->uidnext > next);
}

/* The number may agree by chance: something else may have taken the place of what is lacking, as others' mail, also of
 * the time between two runs, or a second copy that came late. An OK that names no UID may be one of those that stored
 * nothing, and where none names any, as without UIDPLUS, others' mail does not show. */
static bool number_proves_nothing(const struct folder *f, const struct imap_status *status)
{
    return others_put_mail(f, status) || f->unproved_before || f->uids_withheld || f->record.target_lost_from;
}

/* It was said to hold less, and may hold all of it again. */
static bool may_be_whole(const struct folder *f, const struct imap_status *status)
{
    uint64_t known = 0;

    return account_doubts(f->account, f, "TargetHoldsLess", &known) && known > f->lost && status->messages >= moved(f);
}

/* From which UID on a proof must find what this run, or all runs, have moved. Who was Synced may have deleted what
 * earlier ones had. */
static uint32_t proof_from(const struct folder *f)
{
    return f->account->before.syncs && f->sent_from && !f->emptied ? f->sent_from : 1;
}

static void counted(struct account *account, struct folder *f, const struct imap_status *status)
{
    const char *other = NULL;
    uint64_t least = expected(f);
    bool agrees, again = may_be_audited(f) && (is_for_counts(account) || f->retakes);
    bool others = !f->only_doubted && number_proves_nothing(f, status);

    f->clears = may_be_whole(f, status);
    f->proof_from = others ? proof_from(f) : UINT32_MAX;
    if (f->only_doubted && !f->clears) {
        account_doubt_clear(account, f, "TargetNotCounted");
        return;
    }
    if (is_another(f, status)) {
        /* What was there when this run opened it tells nothing of what earlier ones brought. */
        least = moved(f);
        other = batch_other_target(account->reactor->batch);
    }
    agrees = status->messages >= least;
    if (others_put_mail(f, status) && !f->others_came) {
        f->others_came = true;
        account->late_at = 0; /* it may be one of those to be looked at now */
    }
    if (agrees && !again && !others && !f->clears)
        account_proved(f, status);
    else if (!other && (agrees || may_be_audited(f)))
        account_audit_want(f, agrees && !again);
    else
        differs(account, f, status->messages, least, other);
}

static void proof_ended(void *context, const struct err *err)
{
    struct proof *proof = context;
    struct account *account = proof->account;
    struct folder *f = proof->folder;
    struct err silent;

    if (looks_again(proof, err))
        return;
    account->proving--;
    if (!err && !proof->told) {
        err_set(&silent, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
                "the server answers OK but tells no number of messages");
        err = &silent;
    }
    if (!err)
        counted(account, f, &proof->status);
    else if (!link_stands(proof))
        want(f); /* the link ends; its account decides */
    else if (account_proof_refused(f, err))
        want(f);
    free(proof);
    account_poke(account);
}

bool account_is_proven(struct account *account)
{
    return account->proving == 0 && !account->unproven && !account->unaudited &&
           account->late_at >= account->late_end && follow_target_rests(account) && follow_remove_rests(account);
}

/* The next folder in which second copies are looked for, or NULL. */
static struct folder *next_late(struct account *account)
{
    while (account->late_at < account->late_end && !push_late_is_due(account->folders[account->late_at]))
        account->late_at++;
    return account->late_at < account->late_end ? account->folders[account->late_at] : NULL;
}

void account_prove_go(struct account *account)
{
    struct worker *w, *unconnected = NULL;
    struct folder *f, *next;

    if (account_is_proven(account) || account_held(account, SIDE_TARGET))
        return;
    for (w = account->sides[SIDE_TARGET].workers; w; w = w->next) {
        if (!w->link)
            unconnected = w;
        else if (w->draining && account->proving == 0)
            link_finish(w->link);
        else if (link_is_ready(w->link) && !w->draining)
            break;
    }
    if (!w) {
        if (unconnected && account->sides[SIDE_TARGET].ready_count == 0)
            account_worker_open(unconnected);
        return;
    }
    /* Each once: what cannot be asked now is wanted again, and asked on another turn. */
    f = account->unproven;
    account->unproven = NULL;
    if (!f && account->proving == 0 && account->unaudited) {
        account_audit_go(w);
    } else if (!f && account->proving == 0 && account->told == 0) {
        /* When all else is said and durable: as late as can be. */
        struct folder *late = next_late(account);

        if (late)
            push_late_begin(w, late);
        else if (!follow_target_go(w) && !follow_remove_go(w))
            account_poke(account);
    }
    for (; f; f = next) {
        struct proof *proof = mem_zero(1, sizeof *proof);

        next = f->next_unproven;
        proof->account = account;
        proof->folder = f;
        proof->worker = w;
        proof->link = w->link;
        account->proving++;
        /* A STATUS may be from before what was stored late. */
        if (f->settle_from_ms) {
            examine(proof);
            continue;
        }
        session_status(link_session(w->link), f->record.target_raw,
                       IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT | IMAP_STATUS_UIDVALIDITY, proof_told, proof_ended,
                       proof);
    }
}

/* ---- what the journal says ----------------------------------------------------------------- */

struct reckoning {
    uint64_t large, unbalanced, lost;
};

static bool skipped_counted(void *context, const struct message_record *message)
{
    struct reckoning *r = context;

    r->large += message->reason == SKIP_LARGER_THAN_LIMIT;
    r->lost += message_was_lost(message);
    return true;
}

void account_tell_lost(struct folder *f)
{
    uint64_t before, lost = f->lost;

    if (lost == 0 || (account_doubts(f->account, f, "TargetHoldsLess", &before) && before >= lost))
        return;
    account_doubt(f->account, f, "TargetHoldsLess", lost,
                  "%llu message%s that had been moved into %s %s not there any more, and the source does not have "
                  "%s any more either",
                  (unsigned long long)lost, lost == 1 ? "" : "s", f->target_name, lost == 1 ? "is" : "are",
                  lost == 1 ? "it" : "them");
}

static bool folder_reckoned(void *context, const struct folder_record *f)
{
    struct reckoning *r = context;

    r->unbalanced += !tally_balanced(&f->tally);
    return true;
}

/* All that was done is durable: the verdict is built on what the journal holds of all runs, not on
 * what this one remembers. */
static void reckoned(void *context, struct store_op *op, const struct err *cause)
{
    struct account *account = context;
    struct reckoning r = { 0 };
    struct reader *reader = account->reactor->reader;
    struct err err;
    bool ok = true;

    (void)op;
    account->told--;
    if (cause) {
        reactor_abort_run(account->reactor, cause);
        account_poke(account);
        return;
    }
    ok = reader_folders(reader, account->id, folder_reckoned, &r, &err);
    for (unsigned i = 0; ok && i < account->folder_count; i++) {
        struct folder *folder = account->folders[i];
        const struct folder_record *f = &folder->record;

        r.lost = 0;
        if (f->tally.skipped && !f->excluded)
            ok = reader_messages(reader, f->user, f->folder, 1u << MESSAGE_SKIPPED, 0, false, 0, skipped_counted, &r,
                                 &err);
        folder->lost = r.lost;
        account_tell_lost(folder);
    }
    if (!ok)
        reactor_abort_run(account->reactor, &err);
    account->large_items = r.large;
    if (r.unbalanced) {
        err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_STORE, 0,
                "%llu folders do not balance in the journal", (unsigned long long)r.unbalanced);
        err_doing(&err, "the account of this user");
        account_failure(account, FAILURE_LOCAL, TROUBLE_SPOOL, "InternalError", &err, NULL, 0);
        account_fail(account, "InternalError", true);
    }
    account_poke(account);
}

/* other: the target is not the one to which mail was moved. */
static bool must_be_counted(const struct folder *f, bool other)
{
    if (other)
        return moved(f) > 0;
    /* A folder that this retry finds empty, or gone, is what it is for. */
    return f->record.tally.uploaded > 0 && (!f->record.target_counted || f->account->before.syncs == 0 ||
                                            (f->emptied && f->account->reactor->settings->mode == SETTINGS_MODE_RETRY));
}

/* It was said to hold less: is that still so? A retry looks by rules of its own. */
static bool is_doubted(const struct folder *f)
{
    return f->account->reactor->settings->mode != SETTINGS_MODE_RETRY && moved(f) > 0 &&
           account_doubts(f->account, f, "TargetHoldsLess", NULL);
}

void account_prove(struct account *account)
{
    bool other;

    account->phase = ACCOUNT_PROVING;
    log_line(LOG_DEBUG, "folders.pushed", "user=%s count=%u looks=%llu", account->user->email_address,
             account->folder_count, (unsigned long long)account->pushes.looks);
    /* The source has said all it had to. */
    for (struct worker *w = account->sides[SIDE_SOURCE].workers; w; w = w->next) {
        loop_timer_clear(account->reactor->loop, &w->again);
        if (w->link)
            link_finish(w->link);
    }
    /* From the last on: they are asked for in their order. */
    other = batch_other_target(account->reactor->batch) != NULL;
    for (unsigned i = account_uses(account, SIDE_TARGET) ? account->folder_count : 0; i-- > 0;) {
        struct folder *f = account->folders[i];

        f->only_doubted = !must_be_counted(f, other);
        if ((!f->only_doubted || is_doubted(f)) && f->target_raw && !f->record.excluded && f->push != PUSH_REFUSED &&
            !account->target_dead)
            want(f);
    }
    account->late_at = 0;
    account->late_end = account_uses(account, SIDE_TARGET) && !account->target_dead ? account->folder_count : 0;
    (void)next_late(account);
    account->told++;
    reactor_submit(account->reactor, store_op_new(STORE_OP_FLUSH, 0, 0), reckoned, account);
    account_poke(account);
}
