#include "engine/move/push_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool push_matcher_holds_floor(const struct folder *f)
{
    return f->ours_from != UINT32_MAX && f->matcher && matcher_count(f->matcher) > 0;
}

/* What was lost is found, or known not to be there. */
static void loss_over(struct folder *f)
{
    f->uncertain = false;
    f->lost_above = UINT32_MAX;
    f->lost_count = 0;
    matcher_destroy(&f->first_look);
}

/* An answer was lost, or a refusal is in doubt. */
static bool needs_look(const struct folder *f)
{
    return f->uncertain || f->lost_above != UINT32_MAX;
}

bool push_nothing_lost(const struct folder *f)
{
    return !needs_look(f) && f->sending == 0 && f->push != PUSH_SETTLING && !push_matcher_holds_floor(f);
}

static void open_create(struct worker *w);
static void open_ask(struct worker *w);
static void open_scan(struct worker *w);
static void open_durably(struct worker *w);

/* Every mailbox has an INBOX (RFC 3501 5.1): where that is not, there is no mailbox of this user, and
 * nothing of his can be sent. */
static bool is_no_mailbox(const struct folder *f, const struct err *err)
{
    return slice_equal_nocase(f->record.target_raw, SLICE("INBOX")) && trouble_is_gone(err);
}

static void step_failed(struct worker *w, enum trouble_doing doing, const struct err *err)
{
    struct push *p = w->work;
    struct folder *f = w->folder;
    struct account *account = w->account;

    p->step = PUSH_STEP_FREE;
    w->busy = false;
    matcher_destroy(&p->scan);
    folder_set_push(f, f->uncertain && f->record.target_open ? PUSH_SETTLING : PUSH_CLOSED);
    push_folder_release(w);
    if (!link_is_ready(w->link))
        return;
    if (is_no_mailbox(f, err)) {
        account_failure(account, FAILURE_TARGET, doing, "MailboxNotFound", err, f, 0);
        account->target_dead = true;
        account_fail(account, "MailboxNotFound", false);
        return;
    }
    if (push_refused(f, doing, err, p->attempts++, false))
        p->attempts = 0;
    worker_idle(w);
}

static void subscribed(void *context, const struct err *err)
{
    struct worker *w = context;

    /* Nobody loses mail by a missing subscription. */
    if (err && (!link_is_ready(w->link) || err->scope >= ERR_SCOPE_ACCOUNT))
        step_failed(w, TROUBLE_CREATE, err);
    else
        open_ask(w);
}

/* Another folder of the target stands in its place. */
static void clashes(struct worker *w, const struct err *err)
{
    struct push *p = w->work;
    struct folder *f = w->folder;
    struct account *account = w->account;

    p->step = PUSH_STEP_FREE;
    w->busy = false;
    folder_set_push(f, PUSH_CLOSED);
    account_failure(account, FAILURE_TARGET, TROUBLE_CREATE, "FolderNameClash", err, f, 0);
    folder_set_push(f, PUSH_REFUSED);
    push_folder_release(w);
    account_fail(account, "FolderNameClash", true);
    worker_idle(w);
}

/* It was refused because it exists. */
static void existence_told(struct worker *w, const struct err *err)
{
    struct folder *f = w->folder;

    if (err && link_is_ready(w->link) && push_exists_already(err)) {
        clashes(w, err);
    } else if (err) {
        step_failed(w, TROUBLE_CREATE, err);
    } else {
        f->exists_on_target = true;
        f->has_target_status = false; /* it was there all along: look at what it holds */
        push_touch(f);
        push_name_stands(f);
        session_subscribe(link_session(w->link), f->record.target_raw, subscribed, w);
    }
}

static void created(void *context, const struct err *err)
{
    struct worker *w = context;
    struct folder *f = w->folder;

    if (err && link_is_ready(w->link) && push_exists_already(err)) {
        push_exists_ask(w, existence_told);
    } else if (err && link_is_ready(w->link) && push_name_other(f, err)) {
        session_create_mailbox(link_session(w->link), f->record.target_raw, created, w);
    } else if (err) {
        step_failed(w, TROUBLE_CREATE, err);
    } else {
        push_made(f);
        push_name_stands(f);
        session_subscribe(link_session(w->link), f->record.target_raw, subscribed, w);
    }
}

static void open_create(struct worker *w)
{
    struct folder *f = w->folder;

    if (f->exists_on_target) {
        open_ask(w);
        return;
    }
    session_create_mailbox(link_session(w->link), f->record.target_raw, created, w);
}

static void status_told(void *context, const struct imap_status *status)
{
    struct worker *w = context;

    push_status_told(w->folder, status);
}

static void select_told(void *context, const struct imap_selected *selected)
{
    struct worker *w = context;

    push_selected(w->folder, selected);
}

static void asked(void *context, const struct err *err)
{
    struct worker *w = context;

    if (err) {
        step_failed(w, TROUBLE_SELECT, err);
        return;
    }
    push_opens(w->account);
    /* A server that stood still when the answer was lost, or when a run was killed, may only now go on with what it
     * had received. No clock tells how long ago that was. */
    if (w->folder->uncertain && w->folder->settle_from_ms == 0)
        w->folder->settle_from_ms = loop_now_ms(w->account->reactor->loop);
    open_scan(w);
}

static void asked_by_select(void *context, const struct err *err)
{
    struct worker *w = context;

    if (!err)
        push_unselect(w);
    asked(w, err);
}

/* Where STATUS is refused SELECT may not be: imap4d makes an INBOX of a user who never had mail only when
 * it is opened (S23). Exchange that refuses STATUS is out of order, and waited for. */
static void asked_by_status(void *context, const struct err *err)
{
    struct worker *w = context;

    if (err && link_is_ready(w->link) && err->scope < ERR_SCOPE_SESSION && err->class != ERR_CLASS_THROTTLED)
        session_select(link_session(w->link), w->folder->record.target_raw, false, select_told, asked_by_select, w);
    else
        asked(w, err);
}

/* Counts and UIDNEXT from just before we send. The first folder is SELECTed for its
 * PERMANENTFLAGS: may keywords be sent? Exchange keeps none. */
static void open_ask(struct worker *w)
{
    struct folder *f = w->folder;
    struct account *account = w->account;
    bool exchange = account->reactor->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE;

    if (!exchange && !account->knows_keywords)
        session_select(link_session(w->link), f->record.target_raw, false, select_told, asked_by_select, w);
    else if (f->has_target_status && (f->target_status.has & IMAP_STATUS_UIDNEXT))
        open_scan(w);
    else
        session_status(link_session(w->link), f->record.target_raw, PUSH_STATUS, status_told,
                       exchange ? asked : asked_by_status, w);
}

/* Who waits for a store answer; the link may be gone, or another, when it comes. */
struct late {
    struct worker *worker;
    struct link *link;
};

static struct late *late_create(struct worker *w)
{
    struct late *late = mem_zero(1, sizeof *late);

    late->worker = w;
    late->link = w->link;
    w->account->told++;
    return late;
}

/* The worker when it still stands where it stood, else NULL. Frees late. */
static struct worker *late_arrives(struct late *late, const struct err *err)
{
    struct worker *w = late->worker;
    struct account *account = w->account;
    bool same = w->link && w->link == late->link && link_is_ready(w->link);

    free(late);
    account->told--;
    if (err)
        reactor_abort_run(account->reactor, err);
    account_poke(account);
    return same && !err ? w : NULL;
}

static void scan_begin(void *context);

static uint32_t settle_ms(const struct folder *f)
{
    return f->account->reactor->settings->target.settle_ms;
}

static uint32_t between_looks_ms(const struct folder *f)
{
    return settle_ms(f) / 2 + 1;
}

/* A slow server may still be storing: two looks must agree. They are two only where the folder is opened for each
 * (a selected one may go on showing what it held), and both after the last loss. */
static bool looks_again(struct folder *f, struct push *p)
{
    uint64_t now = loop_now_ms(f->account->reactor->loop);

    if (!f->uncertain || settle_ms(f) == 0 || (f->first_look && matcher_same(f->first_look, p->scan)))
        return false;
    matcher_destroy(&f->first_look);
    f->first_look = p->scan;
    f->first_look_ms = now;
    p->scan = NULL;
    return true;
}

/* Not all that was lost is there: what is sent again may still come a second time. Whether what is there is ours is
 * not known yet, so that it has to be as many; of which it turns out not to be, push_late_again. */
static void lost_again(struct folder *f, uint32_t floor, size_t found)
{
    bool all_found = f->lost_count ? found >= f->lost_count : !f->uncertain;
    uint32_t lowest = f->lost_above != UINT32_MAX ? f->lost_above + 1 : f->floor;

    /* Which copy is whose is not known of any message then: of equal ones all are counted. */
    if (f->record.target_uids_lie)
        lowest = 1;
    /* The look may have had other reasons to begin below. */
    if (!f->target_moved && lowest > floor)
        floor = lowest;
    if (f->again_from == 0 || f->again_from > floor)
        f->again_from = floor;
    if (all_found)
        return;
    if (f->record.target_lost_from == 0 || f->record.target_lost_from > floor)
        f->record.target_lost_from = floor;
}

/* From which UID on what is found was sent by this program; UINT32_MAX: nothing is known to be. */
static uint32_t ours_from(const struct folder *f, const struct push *p)
{
    const struct folder_record *r = &f->record;

    if (!r->target_open || f->target_moved || p->strangers)
        return UINT32_MAX;
    /* The floor was lost with the UIDs that it was made of: what the target held before is not told from ours by it. */
    return r->target_uids_lie && f->floor <= 1 && !r->target_scanned ? UINT32_MAX : f->floor;
}

static void scan_done(struct worker *w)
{
    struct push *p = w->work;
    struct folder *f = w->folder;
    struct reactor *reactor = w->account->reactor;
    struct err err;

    if (looks_again(f, p)) {
        loop_timer_set(reactor->loop, &p->later, between_looks_ms(f), scan_begin, w);
        return;
    }
    matcher_destroy(&f->first_look);
    matcher_destroy(&f->matcher);
    f->matcher = p->scan;
    p->scan = NULL;
    if (!push_pair_settle(f, p->floor, &err)) {
        reactor_abort_run(reactor, &err);
        return;
    }
    lost_again(f, p->floor, f->unanswered_count ? push_unanswered_found(f) : matcher_count(f->matcher));
    f->ours_from = ours_from(f, p);
    matcher_ours_from(f->matcher, f->ours_from);
    push_own_tell_dates(f);
    log_line(LOG_DEBUG, "folder.scanned", "user=%s folder=%s floor=%u candidates=%zu", w->account->user->email_address,
             f->target_name, p->floor, matcher_count(f->matcher));
    open_durably(w);
}

static void scan_flushed(void *context, struct store_op *op, const struct err *err)
{
    struct worker *w = late_arrives(context, err);

    (void)op;
    if (w)
        scan_done(w);
}

static void scan_is_whole(struct worker *w, const struct err *err)
{
    push_look_clear(&((struct push *)w->work)->look);
    if (err) {
        step_failed(w, TROUBLE_SELECT, err);
        return;
    }
    /* Everything answered so far must be in the journal before it is compared. */
    reactor_submit(w->account->reactor, store_op_new(STORE_OP_FLUSH, 0, 0), scan_flushed, late_create(w));
}

static void scan_selected(void *context, const struct imap_selected *selected)
{
    struct worker *w = context;
    struct push *p = w->work;

    w->folder->target_status = selected->status;
    p->uidnext = selected->status.has & IMAP_STATUS_UIDNEXT ? selected->status.uidnext : 0;
}

/* Only a refusal is in doubt, and nothing was stored since its message was sent: what is known of the folder stays. */
static bool nothing_came(const struct folder *f, const struct push *p)
{
    return !f->uncertain && !f->target_moved && f->lost_above != UINT32_MAX && p->uidnext == f->lost_above + 1ull &&
           (f->record.target_scanned || f->matcher);
}

static void scan_own(struct worker *w, const struct err *err);

static void scan_examined(void *context, const struct err *err)
{
    struct worker *w = context;
    struct folder *f = w->folder;

    if (err) {
        step_failed(w, TROUBLE_SELECT, err);
        return;
    }
    f->target_moved = f->record.target_uidvalidity && (f->target_status.has & IMAP_STATUS_UIDVALIDITY) &&
                      f->target_status.uidvalidity != f->record.target_uidvalidity;
    if (nothing_came(f, w->work)) {
        lost_again(f, f->lost_above + 1, 0);
        open_durably(w);
        return;
    }
    push_own_ask(w, scan_own);
}

static void scan_own(struct worker *w, const struct err *err)
{
    struct push *p = w->work;
    struct folder *f = w->folder;

    if (err) {
        step_failed(w, TROUBLE_SELECT, err);
        return;
    }
    /* One UID that is another message's may have made the floor too high: then all of it is looked at. So it is where
     * copies may lie below that would else be looked for above, and take another's. */
    p->floor = 1;
    if (f->record.target_scanned && !f->target_moved && !f->record.target_uids_lie && p->own.wrong == 0 &&
        !p->own.unplaced) {
        p->floor = f->record.target_highest_seen + 1;
        if (f->record.target_open && f->floor && f->floor < p->floor)
            p->floor = f->floor;
    }
    push_look(w, scan_is_whole);
}

static void scan_begin(void *context)
{
    struct worker *w = context;

    session_select(link_session(w->link), w->folder->record.target_raw, true, scan_selected, scan_examined, w);
}

/* It has UIDs that the journal does not know: somebody else put mail there, or a run with another state
 * folder did, or this one is an older copy of itself. */
static bool has_strangers(const struct folder *f)
{
    return f->record.target_scanned && !needs_look(f) && f->sending == 0 &&
           (f->target_status.has & IMAP_STATUS_UIDNEXT) && !push_holds_nothing(f) &&
           f->target_status.uidnext > f->record.target_highest_seen + 1ull;
}

/* UIDs that are known were given to nobody: the folder was put back as it had been before. */
static bool went_back(const struct folder *f)
{
    return !f->record.target_uids_lie && f->sending == 0 && (f->target_status.has & IMAP_STATUS_UIDNEXT) &&
           f->target_status.uidnext && f->target_status.uidnext <= f->record.target_highest_seen;
}

/* Is a look at what the folder holds needed before anything is sent? */
static void open_scan(struct worker *w)
{
    struct push *p = w->work;
    struct folder *f = w->folder;
    bool foreign = !f->record.target_scanned && !push_holds_nothing(f);
    bool moved = (f->target_status.has & IMAP_STATUS_UIDVALIDITY) && f->record.target_uidvalidity &&
                 f->target_status.uidvalidity != f->record.target_uidvalidity && !push_holds_nothing(f);
    uint64_t now = loop_now_ms(w->account->reactor->loop);
    uint64_t wait = 0;

    p->strangers = !moved && has_strangers(f);
    if (!foreign && !moved && !went_back(f) && !needs_look(f) && !p->strangers) {
        open_durably(w);
        return;
    }
    if (f->uncertain) {
        uint64_t until = f->settle_from_ms + settle_ms(f);

        /* Its connection went between the two looks. */
        if (f->first_look && until < f->first_look_ms + between_looks_ms(f))
            until = f->first_look_ms + between_looks_ms(f);
        wait = until > now ? until - now : 0;
    }
    if (wait)
        loop_timer_set(w->account->reactor->loop, &p->later, wait, scan_begin, w);
    else
        scan_begin(w);
}

static void opened(void *context, struct store_op *op, const struct err *err)
{
    struct worker *w = late_arrives(context, err);
    struct push *p;

    (void)op;
    if (!w)
        return;
    p = w->work;
    folder_set_push(w->folder, PUSH_OPEN);
    w->folder->open_tries = 0;
    loss_over(w->folder);
    w->folder->uids_told = true;
    p->step = PUSH_STEP_FREE;
    p->attempts = 0;
    w->busy = false;
    worker_idle(w);
}

/* The intent is durable before the first byte of an APPEND: after a crash, whatever the folder holds
 * from the floor on and no journal entry claims, may be ours. */
static void open_durably(struct worker *w)
{
    struct push *p = w->work;
    struct folder *f = w->folder;
    struct reactor *reactor = w->account->reactor;
    struct store_op *op;
    uint32_t uidnext =
        f->target_status.has & IMAP_STATUS_UIDNEXT && f->target_status.uidnext ? f->target_status.uidnext : 1;

    push_unanswered_return(f);
    account_target_opened(f);
    f->counted_before = (f->target_status.has & IMAP_STATUS_MESSAGES) != 0;
    f->target_before = f->target_status.messages;
    f->uploaded_now = 0;
    /* A folder with nothing to send was made; that was all. */
    if (!push_has_mail(f)) {
        folder_set_push(f, PUSH_CLOSED);
        /* Or nothing may be sent any more today: then what was lost is looked for again. */
        if (f->record.tally.spooled == 0)
            loss_over(f);
        p->step = PUSH_STEP_FREE;
        w->busy = false;
        push_folder_release(w);
        worker_idle(w);
        account_poke(w->account);
        return;
    }
    if (!push_matcher_holds_floor(f))
        f->floor = uidnext;
    f->highest_seen = uidnext - 1;
    push_touch(f);
    f->record.target_open = true;
    f->record.target_counted = false;
    /* What a folder held before us is paired message by message: until all are, a run that is
     * killed must look at everything again. */
    if (push_holds_nothing(f)) {
        f->record.target_scanned = true;
        matcher_destroy(&f->matcher); /* of a folder that was there before this one */
    }
    /* What was found in another folder than before is not paired yet. */
    if (f->target_moved) {
        f->record.target_highest_seen = f->record.target_late_seen = 0;
        if (f->record.target_lost_from)
            f->record.target_lost_from = 1;
    }
    if (f->target_status.has & IMAP_STATUS_UIDVALIDITY)
        f->record.target_uidvalidity = f->target_status.uidvalidity;
    f->record.target_uid_floor = f->floor;
    /* What was found above it is paired message by message: until then a run that is killed must look
     * there again. */
    f->seen_held = f->record.target_scanned && f->matcher && matcher_count(f->matcher) > 0;
    if (!f->seen_held)
        f->record.target_highest_seen = f->highest_seen;
    op = store_op_new(STORE_OP_OPEN, f->record.user, f->record.folder);
    op->open.uidvalidity = f->record.target_uidvalidity;
    op->open.floor = f->floor;
    op->open.highest_seen = f->record.target_highest_seen;
    op->open.scanned = f->record.target_scanned;
    op->open.lost_from = f->record.target_lost_from;
    op->open.empty = push_holds_nothing(f);
    f->target_moved = false;
    reactor_submit(reactor, op, opened, late_create(w));
}

void push_open_begin(struct worker *w)
{
    struct push *p = w->work;
    struct folder *f = w->folder;

    w->busy = true;
    p->step = PUSH_STEP_OPENING;
    if (f->uncertain)
        f->has_target_status = false;
    folder_set_push(f, PUSH_OPENING);
    open_create(w);
}
