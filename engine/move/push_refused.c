/* What follows from an APPEND that was refused, or that was not answered. */
#include "engine/move/governor.h"
#include "engine/move/push_job_private.h"
#include "engine/move/push_late.h"
#include "engine/move/size_limit.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <string.h>

/* Until the folder was looked at, what this one may have stored is above the floor. */
static void hold_floor(const struct job *job)
{
    if (job->highest_at_send < job->folder->lost_above)
        job->folder->lost_above = job->highest_at_send;
}

/* So many of its messages, from the first on, went out whole. Some servers store each as it comes, whatever becomes of
 * the rest of the command. */
static unsigned went_whole(const struct job *job)
{
    uint64_t bytes = 0;
    unsigned n = 0;

    while (n < job->count && (bytes += item_sent_bytes(&job->items[n])) <= job->given_bytes)
        n++;
    return n;
}

/* Refused after its last byte, in words that do not say that nothing was stored; or as one of several of which some may
 * have been stored before. */
static bool refusal_is_doubtful(const struct job *job, const struct err *err)
{
    bool answered = err->origin == ERR_ORIGIN_NO || err->origin == ERR_ORIGIN_BAD;

    return answered && went_whole(job) > 0 && (trouble_may_have_stored(err) || job->count > 1);
}

/* The server has ended with it, so nothing is waited for: but the folder is looked at before more is sent. */
static void refusal_doubted(struct job *job)
{
    struct folder *f = job->folder;
    unsigned whole = went_whole(job);

    hold_floor(job);
    f->lost_count += whole;
    push_late_note(f, job->items, whole);
    push_stop_sending(f);
}

/* The first of a job's messages are not its any more. */
static void job_drop_first(struct job *job, unsigned n)
{
    job->count -= n;
    memmove(job->items, job->items + n, job->count * sizeof *job->items);
}

/* What was sent whole, and nobody said what became of it: it is looked for before it is sent again. The rest was not
 * sent. */
static void answer_lost(struct job *job)
{
    struct folder *f = job->folder;
    unsigned whole = went_whole(job);

    f->settle_from_ms = 0;
    f->lost_ms = loop_now_ms(f->account->reactor->loop);
    f->lost_count += whole;
    matcher_destroy(&f->first_look);
    hold_floor(job);
    push_late_note(f, job->items, whole);
    for (unsigned i = 0; i < whole; i++)
        push_unanswered_put(f, &job->items[i]);
    job_drop_first(job, whole);
    push_job_requeue(job, false);
    /* It had stopped for something else. */
    if (f->push == PUSH_CLOSED)
        push_stop_sending(f);
}

void push_append_unreadable(struct job *job, const struct err *err)
{
    struct folder_item bad = job->items[job->body_item];

    /* What of it was given out counts for none of the others. */
    job->given_bytes = 0;
    for (unsigned i = 0; i < job->body_item; i++)
        job->given_bytes += item_sent_bytes(&job->items[i]);
    job->count--;
    memmove(job->items + job->body_item, job->items + job->body_item + 1,
            (job->count - job->body_item) * sizeof *job->items);
    if (err->class == ERR_CLASS_UNCERTAIN)
        answer_lost(job);
    else
        push_job_requeue(job, false);
    job->count = 1;
    job->items[0] = bad;
    err_doing(&job->read_err, "reading the spooled body of UID %" PRIu32, bad.uid);
    push_message_fails(job->folder, &job->items[0], &job->read_err, TROUBLE_SPOOL);
}

static void again_after(struct folder *f, uint32_t uid, const struct err *err, const struct trouble_verdict *verdict,
                        bool holds)
{
    struct account *account = f->account;

    account_failure(account, FAILURE_TARGET, TROUBLE_APPEND, verdict->type, err, f, uid);
    if (trouble_is_unavailable(err))
        push_asks_first(f);
    if (holds || trouble_is_unavailable(err))
        account_hold(account, SIDE_TARGET, verdict->wait_ms, STALL_RETRY);
}

/* Refused for now, or never answered and known not to have been sent whole. */
static void append_again(struct job *job, const struct err *err, const struct trouble_verdict *verdict, bool doubtful)
{
    struct worker *w = job->worker;
    struct folder *f = job->folder;
    bool stands = link_is_ready(w->link);
    /* A refusal that ended the session is this message's only where no other was on it. */
    bool answered = (err->origin == ERR_ORIGIN_NO || err->origin == ERR_ORIGIN_BAD) && (stands || push_depth(w) == 1);

    if (err->class == ERR_CLASS_CANCELED || (!answered && !stands)) {
        push_job_requeue(job, false);
        return;
    }
    if (job->count == 1 && stands) {
        uint32_t uid = job->items[0].uid;

        job->items[0].tries += job->items[0].tries < UINT8_MAX;
        if (!push_later_is_own(f, &job->items[0], err)) {
            /* It alone waits; whether its folder does, those behind it tell. */
            again_after(f, uid, err, verdict, false);
            return;
        }
        if (!doubtful) {
            push_message_fails_as(f, &job->items[0], "MessageRejected", err);
            return;
        }
        job->items[0].refused_own = true;
        push_said_keep(f, uid, err);
        push_job_requeue(job, false);
        again_after(f, uid, err, verdict, false);
        return;
    }
    push_job_requeue(job, answered);
    if (!stands)
        return; /* its end tells the account */
    again_after(f, job->items[0].uid, err, verdict, true);
}

/* It was refused as often as anything may be, and its folder says whether that is its own matter (push_later). */
static bool is_of_one_message(const struct job *job, const struct trouble_verdict *verdict)
{
    return job->count == 1 && link_is_ready(job->worker->link) &&
           strcmp(verdict->type, "TooManyTransientFailures") == 0;
}

void push_append_refused(struct job *job, const struct err *cause)
{
    struct worker *w = job->worker;
    struct folder *f = job->folder;
    struct account *account = w->account;
    struct trouble_verdict verdict;
    struct err full;
    const struct err *err = push_is_full(f, job->items[0].uid, cause, &full) ? &full : cause;
    bool doubtful = refusal_is_doubtful(job, cause);

    if (!link_is_ready(w->link) && err->class != ERR_CLASS_CANCELED && err->class != ERR_CLASS_THROTTLED)
        for (unsigned i = 0; i < job->count; i++)
            push_later_lost(f, &job->items[i], err);
    if (doubtful)
        refusal_doubted(job);
    trouble_judge(TROUBLE_APPEND, FAILURE_TARGET, err, job->items[0].tries,
                  (unsigned)account->reactor->settings->policy.transient_failure_limit, account->id, &verdict);
    if (strcmp(err->resp_code, "TRYCREATE") == 0 && job->items[0].tries < 2) {
        /* Somebody removed the folder: what is known of it is of one that is no more. */
        account_target_removed(f);
        f->exists_on_target = f->has_target_status = false;
        push_stop_sending(f);
        push_job_requeue(job, true);
        return;
    }
    switch (verdict.action) {
    case TROUBLE_LOOK_FIRST:
        answer_lost(job);
        return;
    case TROUBLE_HOLD:
    case TROUBLE_FEWER:
        /* With the link gone, its end tells the account; the permits end here. Those of an answer that is
         * no throttle's have ended already. */
        if (link_is_ready(w->link))
            account_throttled(account, SIDE_TARGET, err->class == ERR_CLASS_THROTTLED ? job->count : 0, err,
                              verdict.wait_ms);
        else if (err->class == ERR_CLASS_THROTTLED)
            governor_refused(account, job->count);
        push_job_requeue(job, false);
        return;
    case TROUBLE_STOP_ACCOUNT:
        if (is_of_one_message(job, &verdict)) {
            verdict.type = trouble_type(TROUBLE_APPEND, FAILURE_TARGET, err);
            append_again(job, err, &verdict, doubtful);
            return;
        }
        account_failure(account, FAILURE_TARGET, TROUBLE_APPEND, verdict.type, err, f, job->items[0].uid);
        push_job_requeue(job, false);
        account->target_dead = true;
        account_fail(account, verdict.type, true);
        return;
    case TROUBLE_SKIP_FOLDER:
        account_failure(account, FAILURE_TARGET, TROUBLE_APPEND, verdict.type, err, f, 0);
        folder_set_push(f, PUSH_REFUSED);
        push_job_requeue(job, false);
        account_fail(account, verdict.type, true);
        return;
    case TROUBLE_SKIP_MESSAGE:
        if (job->count > 1)
            push_job_requeue(job, true); /* one of them: each by itself will tell */
        else if (strcmp(verdict.type, "MessageRejected") == 0) {
            job->items[0].tries += job->items[0].tries < UINT8_MAX;
            if (push_later_is_own(f, &job->items[0], err))
                push_mend(f, &job->items[0], err);
        } else {
            if (strcmp(verdict.type, "MessageTooLarge") == 0)
                size_limit_refused(account, item_sent_bytes(&job->items[0]));
            push_message_fails(f, &job->items[0], err, TROUBLE_APPEND);
        }
        return;
    case TROUBLE_STOP_RUN:
        push_job_requeue(job, false);
        reactor_abort_run(account->reactor, err);
        return;
    case TROUBLE_RETRY:
    case TROUBLE_OTHER_FORM:
        append_again(job, err, &verdict, doubtful);
        return;
    }
}
