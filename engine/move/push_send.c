#include "engine/imap/keyword.h"
#include "engine/message/repair.h"
#include "engine/move/allowance.h"
#include "engine/move/governor.h"
#include "engine/move/push_job_private.h"
#include "engine/move/push_late.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* One MULTIAPPEND: enough to spare the target most of its commits, little enough to send again. */
#define MULTI_ITEMS_MAX     64u
#define MULTI_BYTES_MAX     (4ull << 20)
#define MULTI_ONE_BYTES_MAX (1ull << 20)
#define MULTI_DEPTH         2u
#define PLUS_DEPTH          32u
/* What a larger one's answer takes is the way of its bytes. */
#define ANSWER_BYTES_MAX (256u << 10)
/* Messages that wait for the journal before they are sent: enough that one commit serves many. */
#define DISARMING_MAX 64u

static void job_body_close(struct job *job)
{
    body_close(&job->body);
    repair_destroy(&job->repair);
    job->body_read = 0;
}

/* Of a job without MULTIAPPEND there may be dozens on each of a thousand connections: it holds one
 * message, and takes the room of one. */
static struct job *job_create(struct worker *w, struct folder *f, bool multi)
{
    unsigned room = multi ? MULTI_ITEMS_MAX : 1;
    struct job *job = mem_zero(1, sizeof *job + room * (sizeof(struct folder_item) + sizeof(uint32_t)));

    _Static_assert(sizeof *job % _Alignof(struct folder_item) == 0, "items follow the job");
    job->worker = w;
    job->folder = f;
    job->items = (struct folder_item *)(job + 1);
    job->uids = (uint32_t *)(job->items + room);
    return job;
}

static void job_free(struct job *job)
{
    job_body_close(job);
    for (unsigned i = 0; i < job->count; i++)
        item_deinit(&job->items[i]);
    free(job);
}

static void ended_told(void *context, struct store_op *op, const struct err *err)
{
    struct folder *f = context;
    struct account *account = f->account;

    account->told--;
    if (err)
        reactor_abort_run(account->reactor, err);
    else
        for (unsigned i = 0; i < op->end.count; i++)
            queue_forget(&f->ready, op->end.ends[i].uid);
    account_poke(account);
}

/* Below this UID nothing on the target can be an APPEND of ours whose answer is missing, still or for
 * good. A message that is stored gets a UID above all that were told before it was sent. */
static uint32_t floor_now(const struct folder *f)
{
    uint32_t lowest = f->highest_seen < f->lost_above ? f->highest_seen : f->lost_above;

    if (!f->uids_told || push_matcher_holds_floor(f))
        return 0;
    for (const struct job *job = f->jobs; job; job = job->next)
        if (job->highest_at_send < lowest)
            lowest = job->highest_at_send;
    return lowest + 1;
}

/* Of several that are told apart by their content only, the target held some. */
static void tell_unclear(struct folder *f, unsigned sent)
{
    uint64_t before = 0;

    account_doubts(f->account, f, "CopiesUnclear", &before);
    account_doubt(f->account, f, "CopiesUnclear", before + sent,
                  "messages of one header, date and size, of which %s held some before: which could not be told, so "
                  "all were sent, and some may be there twice",
                  f->target_name);
}

static void items_end(struct folder *f, struct folder_item *items, const uint32_t *uids, unsigned count,
                      enum message_state state, bool found)
{
    struct store_op *op = store_op_new(STORE_OP_END, f->record.user, f->record.folder);
    uint64_t bytes = 0;
    uint32_t floor = floor_now(f);
    unsigned unclear = 0;

    op->end.ends = mem_zero(count, sizeof *op->end.ends);
    op->end.count = count;
    for (unsigned i = 0; i < count; i++) {
        op->end.ends[i].uid = items[i].uid;
        op->end.ends[i].state = state;
        op->end.ends[i].target_uid = uids ? uids[i] : 0;
        op->end.ends[i].in_doubt = items[i].in_doubt;
        unclear += items[i].in_doubt;
        op->end.ends[i].found = found;
        push_said_forget(f, items[i].uid);
        bytes += items[i].body_bytes;
    }
    if (floor > f->floor) {
        f->floor = f->record.target_uid_floor = floor;
        /* What was told above the floor may have others between that were not. */
        if (!f->seen_held)
            f->record.target_highest_seen = floor - 1;
        op->end.floor = floor;
        op->end.highest_seen = f->record.target_highest_seen;
    }
    folder_count_end(f, MESSAGE_SPOOLED, state, state == MESSAGE_UPLOADED ? bytes : 0, count);
    f->account->told++;
    reactor_submit(f->account->reactor, op, ended_told, f);
    if (unclear && state == MESSAGE_UPLOADED)
        tell_unclear(f, unclear);
}

static bool body_next(struct job *job, char *out, size_t cap, size_t *got_r)
{
    if (!body_read(job->body, out, cap, got_r, &job->read_err))
        return false;
    job->body_read += *got_r;
    if (*got_r || job->body_read == job->items[job->body_item].body_bytes)
        return true;
    err_set(&job->read_err, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_STORE, 0,
            "the body in the spool is shorter than recorded");
    return false;
}

/* 0: it cannot be read. */
static size_t mended_next(struct job *job, char *out, size_t cap)
{
    char piece[16384];
    size_t n, got;

    while ((n = repair_take(job->repair, out, cap)) == 0) {
        if (!body_next(job, piece, sizeof piece, &got))
            return 0;
        if (got) {
            repair_add(job->repair, slice_of(piece, got));
            continue;
        }
        repair_end(job->repair);
        n = repair_take(job->repair, out, cap);
        if (n == 0)
            err_set(&job->read_err, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_STORE, 0,
                    "the mended body is shorter than recorded");
        break;
    }
    return n;
}

static size_t body_pull(void *context, unsigned item, char *out, size_t cap)
{
    struct job *job = context;
    struct reactor *reactor = job->worker->account->reactor;
    size_t got = 0;

    if (job->body && job->body_item != item)
        job_body_close(job);
    if (!job->body) {
        job->body_item = item;
        if (!body_open(reactor->reader, job->items[item].body, job->items[item].body_bytes, &job->body,
                       &job->read_err)) {
            job->unreadable = true;
            return 0;
        }
        if (job->items[item].repairs)
            job->repair = repair_create(job->items[item].repairs);
    }
    if (job->repair)
        got = mended_next(job, out, cap);
    else if (!body_next(job, out, cap, &got))
        got = 0;
    job->unreadable = got == 0;
    job->given_bytes += got;
    return got;
}

/* A message that is stored gets a UID above all that were told before it was sent, in the folder that was opened. One
 * that is not above them shows that it, or one of those, is wrong; and the floor may have been made of that. */
static bool uids_may_be_true(const struct job *job, uint32_t uidvalidity, const uint32_t *uids, unsigned count)
{
    struct folder *f = job->folder;

    if (f->record.target_uids_lie || count != job->count ||
        (f->record.target_uidvalidity && uidvalidity != f->record.target_uidvalidity))
        return false;
    for (unsigned i = 0; i < count; i++)
        if (uids[i] <= job->highest_at_send) {
            push_uids_lie(f);
            return false;
        }
    return true;
}

static void append_uids(void *context, uint32_t uidvalidity, const uint32_t *uids, unsigned count)
{
    struct job *job = context;

    if (uids_may_be_true(job, uidvalidity, uids, count)) {
        memcpy(job->uids, uids, count * sizeof *uids);
        job->has_uids = true;
    }
}

static void count_sending(struct folder *f, int change)
{
    f->sending += (unsigned)change;
    f->account->pushes.sending += (unsigned)change;
    push_touch(f);
}

static void job_unlink(struct job *job)
{
    struct job **at = &job->folder->jobs;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
}

void push_give_back(struct folder *f, const struct folder_item *item)
{
    queue_push_front(&f->ready, item);
    push_touch(f);
}

/* As it was before it was taken. */
void push_put_back(struct folder *f, const struct folder_item *item)
{
    if (push_later_is_lost(item))
        queue_put_off(&f->ready, item, true);
    else
        push_give_back(f, item);
    push_touch(f);
}

void push_job_requeue(struct job *job, bool again)
{
    for (unsigned i = job->count; i-- > 0;) {
        struct folder_item *item = &job->items[i];
        bool alone = item->alone;

        if (again && item->tries < UINT8_MAX)
            item->tries++;
        item->alone = false;
        if (push_later_is_lost(item))
            queue_put_off(&job->folder->ready, item, alone);
        else
            push_give_back(job->folder, item);
        item->keywords = NULL;
    }
}

/* The server's words say nothing of it, and what else it refused and took does. */
static bool is_for_size(struct folder *f, const struct folder_item *item, const char *type, const struct err *err,
                        struct err *err_r)
{
    char words[160];
    size_t size;

    if (strcmp(type ? type : trouble_type(TROUBLE_APPEND, FAILURE_TARGET, err), "MessageRejected") != 0 ||
        !size_limit_is_why(f->account, item_sent_bytes(item), words, sizeof words))
        return false;
    *err_r = *err;
    size = strlen(err_r->server_text);
    snprintf(err_r->server_text + (size < 80 ? size : 80), sizeof err_r->server_text - 80, " (%s)", words);
    return true;
}

static void message_fails(struct folder *f, struct folder_item *item, enum trouble_doing doing, const char *type,
                          const struct err *err)
{
    struct account *account = f->account;
    struct err by_size;

    if (doing == TROUBLE_APPEND && is_for_size(f, item, type, err, &by_size)) {
        type = "MessageTooLarge";
        err = &by_size;
    }
    account_failure(account, doing == TROUBLE_SPOOL ? FAILURE_LOCAL : FAILURE_TARGET, doing, type, err, f, item->uid);
    account->sides[SIDE_TARGET].failures = 0; /* the next one fails for a reason of its own */
    items_end(f, item, NULL, 1, MESSAGE_FAILED, false);
}

void push_message_fails(struct folder *f, struct folder_item *item, const struct err *err, enum trouble_doing doing)
{
    message_fails(f, item, doing, NULL, err);
}

void push_message_fails_as(struct folder *f, struct folder_item *item, const char *type, const struct err *err)
{
    message_fails(f, item, TROUBLE_APPEND, type, err);
}

static void append_ended(void *context, const struct err *err)
{
    struct job *job = context;
    struct worker *w = job->worker;
    struct folder *f = job->folder;
    bool link_lost = err && !link_is_ready(w->link);
    unsigned messages = job->count;

    job_unlink(job);
    w->inflight--;
    if (job->items[0].alone)
        f->sends_alone = false;
    count_sending(f, -(int)job->count);
    if (!err) {
        governor_answered(w->account, job->bytes, loop_now_ms(w->account->reactor->loop) - job->sent_ms, job->count);
        if (job->count == 1 && job->bytes <= ANSWER_BYTES_MAX)
            account_answered(w, job->sent_ms);
        w->account->sides[SIDE_TARGET].failures = 0;
        w->account->sides[SIDE_TARGET].progress++;
        push_took(w->account);
        push_later_took(f, job->refusals_at_send, job->count);
        push_unanswered_lives(w->account, job->sent_ms);
        for (unsigned i = 0; i < job->count; i++)
            size_limit_taken(w->account, item_sent_bytes(&job->items[i]));
        if (job->has_uids) {
            for (unsigned i = 0; i < job->count; i++)
                if (job->uids[i] > f->highest_seen)
                    f->highest_seen = job->uids[i];
        } else {
            f->uids_told = false;
            f->uids_withheld |= !link_lost;
        }
        f->uploaded_now += job->count;
        items_end(f, job->items, job->has_uids ? job->uids : NULL, job->count, MESSAGE_UPLOADED, false);
    } else if (job->unreadable) {
        push_append_unreadable(job, err);
        governor_gave_back(w->account, job->bytes, messages);
    } else {
        if (err->class == ERR_CLASS_CANCELED)
            governor_gave_back(w->account, job->bytes, messages);
        else if (link_lost)
            governor_dropped(w->account, messages);
        else if (err->class != ERR_CLASS_THROTTLED)
            governor_refused(w->account, messages);
        push_append_refused(job, err);
    }
    job_free(job);
    if (!link_lost)
        worker_idle(w);
    account_poke(f->account);
}

static const struct session_append_events append_events = {
    .pull = body_pull,
    .uids = append_uids,
};

/* Keywords that the target keeps, and that a command may carry: what an earlier version left in the journal may be
 * any bytes. out must hold the item's own. */
static struct slice keywords_kept(struct folder *f, const struct folder_item *item, char *out)
{
    const struct account *account = f->account;
    struct slice rest, word;
    unsigned dropped = 0;
    size_t used = 0;

    rest = slice_of(out, keywords_clean(slice_cstr(item->keywords), KEYWORDS_BYTES_MAX, out, &dropped));
    if (dropped)
        account_problem(f->account, f->record.folder, "KeywordsDropped",
                        "keywords that an earlier version listed are not sent: they are no words as IMAP wants them",
                        "nothing to do; the messages are copied with all else");
    if (item->repairs & REPAIR_KEYWORDS)
        return slice_of(NULL, 0);
    while (slice_split(&rest, ' ', &word)) {
        struct slice named = account->appends_keywords ? word : slice_cstr(account->permanent_keywords), one;

        if ((item->repairs & REPAIR_ODD_KEYWORDS) && !keywords_are_plain(word))
            continue;
        while (slice_split(&named, ' ', &one))
            if (slice_equal_nocase(one, word)) {
                if (used)
                    out[used++] = ' ';
                memmove(out + used, word.data, word.size);
                used += word.size;
                break;
            }
    }
    return slice_of(out, used);
}

/* It takes them, says the target, and does not keep them. */
static void tell_flags_not_kept(struct folder *f, unsigned sent)
{
    static const char *const names[] = { "\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft" };
    struct account *account = f->account;
    unsigned news = sent & account->flags_not_kept & ~account->flags_told;
    char text[128];

    account->flags_told |= news;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (news & 1u << i) {
            snprintf(text, sizeof text, "the target does not keep the flag %s; messages are copied without it",
                     names[i]);
            account_problem(account, f->record.folder, "FlagsNotKept", text, "nothing to do");
        }
}

static void job_send(struct job *job)
{
    struct session_append_item items[MULTI_ITEMS_MAX];
    struct worker *w = job->worker;
    struct folder *f = job->folder;
    char *words = NULL;
    size_t room = 0, used = 0;

    for (unsigned i = 0; i < job->count; i++)
        room += job->items[i].keywords ? strlen(job->items[i].keywords) + 1 : 0;
    words = mem_alloc(room);
    for (unsigned i = 0; i < job->count; i++) {
        const struct folder_item *item = &job->items[i];

        tell_flags_not_kept(f, repair_flags_sent(item->repairs, item->flags));
        items[i] = (struct session_append_item){
            .flags.system = repair_flags_sent(item->repairs, item->flags),
            .date = item_sent_date(item),
            .size_bytes = item_sent_bytes(item),
        };
        if (item->keywords) {
            items[i].flags.keywords = keywords_kept(f, item, words + used);
            used += strlen(item->keywords) + 1;
        }
        job->bytes += item_sent_bytes(item);
    }
    job->next = f->jobs;
    f->jobs = job;
    job->highest_at_send = f->highest_seen;
    job->refusals_at_send = f->refusals.seen;
    job->items[0].alone = f->sends_alone = push_later_is_lost(&job->items[0]);
    job->sent_ms = loop_now_ms(w->account->reactor->loop);
    w->inflight++;
    count_sending(f, (int)job->count);
    session_append(link_session(w->link), f->record.target_raw, items, job->count, &append_events, append_ended, job);
    free(words);
}

void push_item_found(struct folder *f, struct folder_item *item, uint32_t uid, enum message_state state)
{
    items_end(f, item, &uid, 1, state, state == MESSAGE_UPLOADED);
    item_deinit(item);
}

/* The next message to send, the first or a further one of a command; false when there is none now. */
static bool next_item(struct worker *w, struct folder *f, bool first, struct folder_item *item_r)
{
    struct err err;

    push_touch(f);
    if (push_pair_is_due(f))
        queue_recall(&f->ready);
    for (;;) {
        if (f->disarming >= DISARMING_MAX)
            return false;
        if (first && push_later_next(w, f, item_r)) {
            if (push_paired(f, item_r) || push_later_ends(f, item_r))
                continue;
            push_late_again(f, item_r);
            return true;
        }
        if (f->ready.count == 0) {
            if (!f->ready.more)
                return false;
            if (!queue_refill(&f->ready, f, MESSAGE_SPOOLED, &err)) {
                reactor_abort_run(f->account->reactor, &err);
                return false;
            }
            if (f->ready.count == 0)
                continue;
        }
        if (!queue_pop(&f->ready, item_r))
            return false;
        if (push_unanswered_waits(f, item_r) || push_paired(f, item_r))
            continue;
        /* Refused as often as it may be, and looked for after the last time. */
        if (item_r->refused_own && push_said(f, item_r->uid)) {
            push_message_fails_as(f, item_r, "MessageRejected", push_said(f, item_r->uid));
            item_deinit(item_r);
            continue;
        }
        if (f->account->reactor->settings->policy.disarm_read_receipts && !item_r->repairs && !item_r->looked &&
            push_disarm(f, item_r))
            continue;
        push_late_again(f, item_r);
        return true;
    }
}

bool push_send_some(struct worker *w)
{
    struct folder *f = w->folder;
    bool multi = caps_has(session_caps(link_session(w->link)), CAP_MULTIAPPEND) &&
                 w->account->reactor->settings->target.preset == SETTINGS_PRESET_IMAP;
    struct folder_item item;
    struct job *job;
    uint64_t bytes = 0;

    if (push_later_pauses(f) || !next_item(w, f, true, &item))
        return false;
    if (!allowance_allows(w->account, SIDE_TARGET, item_sent_bytes(&item)) ||
        !governor_allows(w->account, item_sent_bytes(&item), item.tries > 0)) {
        push_put_back(f, &item);
        return false;
    }
    job = job_create(w, f, multi);
    do {
        uint64_t size = item_sent_bytes(&item);
        bool alone = !multi || item.tries || item.losses || size > MULTI_ONE_BYTES_MAX;

        if (job->count &&
            (alone || bytes + size > MULTI_BYTES_MAX || !allowance_allows(w->account, SIDE_TARGET, size) ||
             !governor_allows_more(w->account, size))) {
            push_give_back(f, &item);
            break;
        }
        allowance_spend(w->account, SIDE_TARGET, size);
        bytes += size;
        job->items[job->count++] = item;
        if (alone)
            break;
    } while (job->count < MULTI_ITEMS_MAX && next_item(w, f, false, &item));
    job_send(job);
    return true;
}

unsigned push_depth(struct worker *w)
{
    const struct settings_endpoint *target = &w->account->reactor->settings->target;
    const struct caps *caps = session_caps(link_session(w->link));

    if (target->append_pipeline)
        return target->append_pipeline;
    if (target->preset == SETTINGS_PRESET_EXCHANGE_ONLINE)
        return 1;
    if (caps_has(caps, CAP_MULTIAPPEND))
        return MULTI_DEPTH;
    return caps_has(caps, CAP_LITERAL_PLUS) ? PLUS_DEPTH : 1;
}
