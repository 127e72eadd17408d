/* Folders that the source refused to open. Was it the folder, or does the source open none at the moment? Its words do
 * not tell; other folders do (failure/refusals). Others go first; where none is left, or several were refused in a row,
 * one that is known to be there is opened to see, and where that is refused too nothing is given up: the source is left
 * alone for a while. */
#include "engine/move/pull_private.h"
#include "io/base/log.h"

#include <inttypes.h>

/* Of folders that are looked through for one that could be opened instead. */
#define OTHERS_AMONG 1000u

static void took(struct account *account)
{
    refusals_took(&account->opens, account->opens.seen);
    account->opens_shut = (struct shut){ 0 };
    account_opened(account, SIDE_SOURCE);
}

void pull_opened(struct folder *f)
{
    took(f->account);
    f->opening = (struct refused){ 0 };
}

bool pull_waits_for_others(const struct folder *f)
{
    return f->opening.at > f->account->opens.vouched;
}

static bool is_another(const struct folder *f, const struct folder *other)
{
    return other != f && other->pullers == 0 && other->opening.at <= f->account->opens.row_from &&
           pull_has_room_in(other);
}

static bool has_others(const struct folder *f)
{
    unsigned looked = 0;

    for (const struct folder *o = f->account->unlisted; o && looked < OTHERS_AMONG; o = o->next_unlisted, looked++)
        if (is_another(f, o))
            return true;
    looked = 0;
    for (const struct folder *o = f->account->undone; o && looked < OTHERS_AMONG; o = o->next_undone, looked++)
        if (is_another(f, o))
            return true;
    return false;
}

static void leave(struct worker *w)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;

    p->step = PULL_STEP_FREE;
    w->busy = false;
    if (f->pull == PULL_LISTING)
        folder_set_pull(f, PULL_UNLISTED);
    pull_folder_release(w);
    worker_idle(w);
}

static void rest(struct worker *w, const struct err *err)
{
    struct folder *f = w->folder;
    struct account *account = f->account;
    struct err passing = *err;
    struct trouble_verdict verdict;

    if (!account_held(account, SIDE_SOURCE)) {
        passing.class = ERR_CLASS_TRANSIENT;
        trouble_judge(TROUBLE_LIST, FAILURE_SOURCE, &passing, account->opens.rounds++, UINT32_MAX, account->id,
                      &verdict);
        account_failure(account, FAILURE_SOURCE, TROUBLE_SELECT, "ServerBug", &passing, f, 0);
        account_hold(account, SIDE_SOURCE, verdict.wait_ms, STALL_RETRY);
        account_refused(account, SIDE_SOURCE, &account->opens_shut, account->opens.rounds, SHUT_ROUNDS);
        log_line(LOG_INFO, "source.opens-none", "user=%s folder=%s refused=%u waits=%u ms=%" PRIu32 " said=%s",
                 account->user->email_address, f->source_name, account->opens.row, account->opens.rounds,
                 verdict.wait_ms, err->server_text);
    }
    leave(w);
}

/* So often the source is waited for, by what it says and by what it does with other mailboxes. */
static unsigned rounds_of(const struct account *account, const struct err *err)
{
    unsigned limit = (unsigned)account->reactor->settings->policy.transient_failure_limit;

    if (trouble_says_it_passes(err))
        return limit;
    return account->opens_shut.tries > REFUSALS_FOLDERS_ROUNDS ? account->opens_shut.tries : REFUSALS_FOLDERS_ROUNDS;
}

/* ---- one that is known to be there --------------------------------------------------------- */

static const struct folder *witness_for(const struct folder *f)
{
    const struct account *account = f->account;
    const struct folder *inbox = account_find_folder(f->account, SLICE("INBOX"));

    if (inbox && inbox != f && !inbox->gone)
        return inbox;
    for (unsigned i = 0; i < account->folder_count && i < OTHERS_AMONG; i++) {
        const struct folder *o = account->folders[i];

        if (o != f && !o->gone && o->pull >= PULL_BODIES && o->pull != PULL_REFUSED)
            return o;
    }
    return NULL;
}

static void witness_told(void *context, const struct imap_selected *selected)
{
    (void)context;
    (void)selected;
}

static void witnessed(void *context, const struct err *err)
{
    struct worker *w = context;
    struct account *account = w->account;

    w->selected = false;
    if (err && (!link_is_ready(w->link) || err->class == ERR_CLASS_THROTTLED)) {
        pull_step_failed(w, TROUBLE_SELECT, err);
    } else if (err) {
        rest(w, err);
    } else {
        /* It opens others: the folder is asked for once more, and believed. */
        took(account);
        pull_select_folder(w);
    }
}

/* ---- the judgement ------------------------------------------------------------------------- */

static bool is_refused(const struct worker *w, const struct err *err)
{
    return link_is_ready(w->link) && (err->origin == ERR_ORIGIN_NO || err->origin == ERR_ORIGIN_BAD) &&
           err->class != ERR_CLASS_THROTTLED && err->scope <= ERR_SCOPE_FOLDER;
}

bool pull_open_is_own(struct worker *w, const struct err *err)
{
    struct folder *f = w->folder;
    struct account *account = f->account;
    const struct folder *witness;

    if (!is_refused(w, err))
        return true;
    f->opening.times = (uint8_t)account->opens.rounds;
    switch (refusals_judge_unread(&account->opens, &f->opening, has_others(f), REFUSALS_FOLDERS_ROW,
                                  rounds_of(account, err))) {
    case REFUSAL_OWN:
        return true;
    case REFUSAL_LATER:
        leave(w);
        return false;
    case REFUSAL_REST:
        break;
    }
    witness = witness_for(f);
    if (witness)
        source_open(link_source(w->link), witness->record.source_raw, true, witness_told, witnessed, w);
    else
        rest(w, err);
    return false;
}
