/* A folder of the target is looked at, message by message. Where it holds less than was acknowledged: what the
 * journal knows to be there and is not goes back to be fetched and sent again, unless the person who runs the
 * retry takes it as it is. Where others put mail into it, so that its count proves nothing: by the UIDs that were
 * told, and what no UID proves by its header. */
#include "engine/message/follow_known.h"
#include "engine/message/verify_match.h"
#include "engine/move/account_private.h"
#include "engine/move/headers.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

struct audit {
    struct account *account;
    struct folder *folder;
    struct worker *worker;
    struct link *link;
    struct imap_status status;
    struct verify_entry *there, *ours; /* what the folder holds; what the journal says it does */
    uint8_t *states;                   /* parallel to ours: enum message_state */
    uint32_t *target_uids;             /* likewise, 0: not told */
    bool *went;                        /* likewise: it went with a target folder that is no more */
    bool *lacks;                       /* likewise, once they are matched */
    uint32_t *least_uids;              /* likewise: what its UID is, or is not below */
    uint32_t there_count, there_room, count, room;
    struct follow_known *follows; /* while ours are read */
    uint32_t from_uid;            /* of the target's UIDs only these, and of ours those that have such a UID; 1: all */
    bool searches;                /* the UIDs alone are asked for */
    struct uids {
        uint32_t first, last;
    } * ranges;
    uint32_t range_count, range_room;
    struct store_end *missing;
    uint64_t from[MESSAGE_STATE_COUNT];        /* of those, by state */
    uint32_t missing_count, surplus, unproved; /* unproved: those of the missing that a proof must find */
    uint32_t missing_from;                     /* the lowest UID that one of them had on the target, 1: not known */
    struct quota_hold held;                    /* by all of these lists */
};

/* What the lists take from here on; while a server told them, its command counted its own. */
static void count_held(struct audit *a)
{
    size_t each_ours = sizeof *a->ours + sizeof *a->states + sizeof *a->target_uids + sizeof *a->least_uids +
                       sizeof *a->went + sizeof *a->lacks;

    quota_hold(&a->held, a->account->memory,
               a->there_room * sizeof *a->there + a->range_room * sizeof *a->ranges + a->room * each_ours);
}

static bool link_stands(const struct audit *a)
{
    return a->worker->link == a->link && link_is_ready(a->link);
}

void account_audit_want(struct folder *f, bool proves)
{
    f->proves = proves;
    f->next_unproven = f->account->unaudited;
    f->account->unaudited = f;
}

static void audit_over(struct audit *a)
{
    struct account *account = a->account;

    account->proving--;
    quota_let_go(&a->held);
    free(a->there);
    free(a->ours);
    free(a->states);
    free(a->target_uids);
    free(a->went);
    free(a->lacks);
    free(a->least_uids);
    free(a->ranges);
    free(a->missing);
    free(a);
    account_poke(account);
}

/* ---- what is where ------------------------------------------------------------------------- */

static void opened(void *context, const struct imap_selected *selected)
{
    struct audit *a = context;

    a->status = selected->status;
}

static void row_told(void *context, const struct imap_message_row *row)
{
    struct audit *a = context;
    struct verify_entry *e;

    if (a->there_count == a->there_room) {
        a->there_room = a->there_room ? a->there_room * 2 : 256;
        a->there = mem_resize(a->there, a->there_room, sizeof *a->there);
    }
    e = &a->there[a->there_count++];
    *e = (struct verify_entry){ .seconds = row->date.known ? row->date.seconds : INT64_MIN,
                                .size = row->has_size ? row->size_bytes : 0,
                                .uid = row->uid };
    verify_keys(row->header, e);
}

static int by_uid(const void *x, const void *y)
{
    const struct verify_entry *a = x, *b = y;

    return (a->uid > b->uid) - (a->uid < b->uid);
}

/* What the folder holds under this UID of the target, once each is there once; NULL: nothing, or 0. */
static struct verify_entry *there_at(const struct audit *a, uint32_t uid)
{
    struct verify_entry wanted = { .uid = uid };

    return uid && a->there_count ? bsearch(&wanted, a->there, a->there_count, sizeof *a->there, by_uid) : NULL;
}

/* A server may name a message twice. */
static void each_once(struct audit *a)
{
    uint32_t kept = 0;

    if (a->there_count)
        qsort(a->there, a->there_count, sizeof *a->there, by_uid);
    for (uint32_t i = 0; i < a->there_count; i++)
        if (kept == 0 || a->there[kept - 1].uid != a->there[i].uid)
            a->there[kept++] = a->there[i];
    a->there_count = kept;
}

/* Its UID on the target, or one that it is not below; 0: not known, or it went with another folder. */
static uint32_t least_uid_of(const struct message_record *m)
{
    return m->target_uid ? m->target_uid : m->target_uid_from == MESSAGE_NOT_THERE ? 0 : m->target_uid_from;
}

static bool each_ours(void *context, const struct message_record *m)
{
    struct audit *a = context;
    const struct follow_record *known;
    struct verify_entry *e;

    if (a->from_uid > 1 && least_uid_of(m) < a->from_uid)
        return true;
    /* Deleted at the source since: a run that was killed may have removed it here as well, and not said so. */
    known = follow_known_at(a->follows, m->uid);
    if (known && known->gone && !known->kept)
        return true;
    if (a->count == a->room) {
        a->room = a->room ? a->room * 2 : 256;
        a->ours = mem_resize(a->ours, a->room, sizeof *a->ours);
        a->states = mem_resize(a->states, a->room, sizeof *a->states);
        a->target_uids = mem_resize(a->target_uids, a->room, sizeof *a->target_uids);
        a->least_uids = mem_resize(a->least_uids, a->room, sizeof *a->least_uids);
        a->went = mem_resize(a->went, a->room, sizeof *a->went);
        count_held(a);
    }
    a->states[a->count] = (uint8_t)m->state;
    a->target_uids[a->count] = m->target_uid;
    a->least_uids[a->count] = least_uid_of(m);
    a->went[a->count] = message_went(m);
    e = &a->ours[a->count++];
    *e = (struct verify_entry){ .seconds = m->date_known ? m->date_seconds : INT64_MIN,
                                .size = message_sent_bytes(m),
                                .uid = m->uid,
                                .want = VERIFY_REQUIRED };
    memcpy(e->key, m->header_key, sizeof e->key);
    memcpy(e->date_key, m->header_key, sizeof e->date_key);
    return true;
}

/* The copy has the UID that was told for it, and nobody else's message has a better claim: a server that
 * makes its own of a mail may have given it another name. */
static bool is_there_by_uid(struct audit *a, uint32_t index)
{
    struct verify_entry *found = there_at(a, a->target_uids[index]);

    if (!found || a->account->reactor->settings->target.preset != SETTINGS_PRESET_EXCHANGE_ONLINE ||
        (a->folder->record.target_uidvalidity && (a->status.has & IMAP_STATUS_UIDVALIDITY) &&
         a->status.uidvalidity != a->folder->record.target_uidvalidity))
        return false;
    if (found->pair != VERIFY_UNPAIRED)
        return false;
    found->pair = index;
    return true;
}

/* Of equal messages any may have been paired with any of the copies: the one that is missing is not one whose UID is
 * there. */
static uint32_t missing_of_equals(const struct audit *a, uint32_t index)
{
    for (uint32_t i = 0; i < a->count; i++) {
        struct verify_entry *found = there_at(a, a->target_uids[index]);
        uint32_t other;

        if (!found || found->pair >= a->count || a->target_uids[found->pair] == found->uid ||
            memcmp(a->ours[found->pair].key, a->ours[index].key, sizeof a->ours[index].key) != 0)
            break;
        other = found->pair;
        found->pair = index;
        index = other;
    }
    return index;
}

static void matched(void *context, enum verify_what what, uint32_t index)
{
    struct audit *a = context;

    a->surplus += what == VERIFY_DOUBLED;
    if (what != VERIFY_MISSING || is_there_by_uid(a, index))
        return;
    index = missing_of_equals(a, index);
    a->missing_count += !a->lacks[index];
    a->lacks[index] = true;
}

/* Equal messages: any copy may be of any of them. */
static int by_likeness(const struct verify_entry *x, const struct verify_entry *y)
{
    int order = memcmp(x->key, y->key, sizeof x->key);

    if (!order)
        order = (x->size > y->size) - (x->size < y->size);
    return order ? order : (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

struct loser {
    const struct verify_entry *entry;
    uint32_t index;
    uint32_t above; /* no copy with a lower UID is its own: 0 when it has its own, UINT32_MAX when that is gone */
    bool lacks;
};

/* Then those come first that fewer of the copies can be of, then those that lack as it is. */
static int by_loss(const void *x, const void *y)
{
    const struct loser *a = x, *b = y;
    int order = by_likeness(a->entry, b->entry);

    if (!order)
        order = (a->above < b->above) - (a->above > b->above);
    return order ? order : b->lacks - a->lacks;
}

static struct loser loser_of(const struct audit *a, uint32_t index)
{
    struct loser l = { &a->ours[index], index, a->went[index] ? UINT32_MAX : a->least_uids[index], a->lacks[index] };

    if (a->target_uids[index])
        l.above = there_at(a, a->target_uids[index]) ? 0 : UINT32_MAX;
    return l;
}

/* Of equal messages it is the one that lacks of which none of the copies can be: it went with an earlier folder, or was
 * sent later than they. Else another's copy would have no owner in the journal, and be taken for a second one. */
static void lacks_who_must(struct audit *a)
{
    struct loser *order = mem_alloc(a->count * sizeof *order);
    uint32_t end;

    for (uint32_t i = 0; i < a->count; i++)
        order[i] = loser_of(a, i);
    qsort(order, a->count, sizeof *order, by_loss);
    for (uint32_t at = 0; at < a->count; at = end) {
        uint32_t lacking = 0;

        for (end = at; end < a->count && by_likeness(order[at].entry, order[end].entry) == 0; end++)
            lacking += order[end].lacks;
        for (uint32_t i = at; i < end; i++)
            a->lacks[order[i].index] = i - at < lacking;
    }
    free(order);
}

static void note_missing(struct audit *a)
{
    uint32_t count = 0;

    if (a->missing_count == 0)
        return;
    lacks_who_must(a);
    a->missing = mem_zero(a->missing_count, sizeof *a->missing);
    for (uint32_t i = 0; i < a->count; i++) {
        if (!a->lacks[i])
            continue;
        a->missing[count++] = (struct store_end){ .uid = a->ours[i].uid, .state = MESSAGE_FOUND };
        a->unproved += a->folder->proof_from == 1 || a->least_uids[i] >= a->folder->proof_from;
        a->from[a->states[i]]++;
        if (a->missing_from == 0 || a->target_uids[i] < a->missing_from)
            a->missing_from = a->target_uids[i] ? a->target_uids[i] : 1;
    }
}

/* ---- what follows from it ------------------------------------------------------------------ */

/* The doubt that it holds less is over, but for what neither side has any more. */
static void holds_all(struct folder *f)
{
    account_doubt_clear(f->account, f, "TargetHoldsLess");
    account_tell_lost(f);
}

static void move_again(struct audit *a)
{
    struct folder *f = a->folder;
    struct store_op *op = store_op_new(STORE_OP_END, f->record.user, f->record.folder);
    char text[200];

    snprintf(text, sizeof text, "%u of %u messages that had been moved were not there any more; they are moved again",
             a->missing_count, a->count);
    account_problem(a->account, f->record.folder, "MovedAgain", text, "nothing to do");
    for (unsigned state = 0; state < MESSAGE_STATE_COUNT; state++)
        if (a->from[state])
            folder_count_end(f, (enum message_state)state, MESSAGE_FOUND, 0, a->from[state]);
    op->end.ends = a->missing;
    op->end.count = a->missing_count;
    a->missing = NULL;
    reactor_submit_unwaited(a->account->reactor, op);
    /* From here on the folder must hold what it holds now, and these. */
    f->counted_before = true;
    f->target_before = a->status.messages;
    f->uploaded_now = 0;
    f->record.target_counted = false;
    /* What was answered OK and is not there may be stored yet. */
    if (f->record.target_lost_from == 0 || f->record.target_lost_from > a->missing_from)
        f->record.target_lost_from = a->missing_from;
    folder_put(f);
    folder_set_pull(f, PULL_BODIES);
    pull_undone(f);
    folder_want_stored(f);
    holds_all(f);
    f->audited = true;
    f->emptied = f->retakes = false;
    a->account->resumes = true;
}

static void take_as_it_is(struct audit *a)
{
    account_doubt(a->account, a->folder, "TargetHoldsLess", a->missing_count,
                  "%u of %u messages that had been moved into %s are not there any more; --accept-counts took that as "
                  "it is",
                  a->missing_count, a->count, a->folder->target_name);
    account_proved(a->folder, &a->status);
}

/* By the headers. Surplus copies are push_late's. */
static void take_proof(struct audit *a)
{
    if (a->unproved) {
        account_unproved(a->folder, a->unproved);
        return;
    }
    if (a->folder->clears && a->missing_count == 0)
        holds_all(a->folder);
    account_proved(a->folder, &a->status);
}

static bool load_ours(struct audit *a)
{
    const struct folder *f = a->folder;
    struct reactor *reactor = a->account->reactor;
    struct err err;
    bool ok = follow_known_load(reactor->reader, f->record.user, f->record.folder, &a->follows, &err) &&
              reader_messages(reactor->reader, f->record.user, f->record.folder,
                              1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT, 0, false, 0, each_ours, a, &err);

    follow_known_free(&a->follows);
    if (ok)
        return true;
    reactor_abort_run(reactor, &err);
    return false;
}

static void judge(struct audit *a)
{
    struct account *account = a->account;
    struct folder *f = a->folder;
    const struct settings *settings = account->reactor->settings;

    if (!load_ours(a))
        return;
    each_once(a);
    a->lacks = mem_zero(a->count + 1u, sizeof *a->lacks);
    verify_match(a->ours, a->count, a->there, a->there_count,
                 settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE, matched, a);
    note_missing(a);
    log_line(LOG_INFO, "folder.audited", "user=%s folder=%s from=%u ours=%u there=%u missing=%u bytes=%zu",
             account->user->email_address, f->target_name, a->from_uid, a->count, a->there_count, a->missing_count,
             a->held.bytes);
    if (f->proves) {
        take_proof(a);
    } else if (a->missing_count == 0) {
        holds_all(f);
        if (a->surplus == 0)
            account_doubt_clear(account, f, "CopiesUnclear");
        account_proved(f, &a->status); /* what went was not ours */
    } else if (settings_list_has_user(&settings->accept_counts, account->user)) {
        take_as_it_is(a);
    } else {
        move_again(a);
    }
}

/* ---- the UIDs alone ------------------------------------------------------------------------ */

static void range_told(void *context, uint32_t first, uint32_t last)
{
    struct audit *a = context;

    if (a->range_count == a->range_room) {
        a->range_room = a->range_room ? a->range_room * 2 : 64;
        a->ranges = mem_resize(a->ranges, a->range_room, sizeof *a->ranges);
    }
    a->ranges[a->range_count++] = (struct uids){ first, last };
}

static int by_first(const void *x, const void *y)
{
    const struct uids *a = x, *b = y;

    return (a->first > b->first) - (a->first < b->first);
}

static bool is_told(const struct audit *a, uint32_t uid)
{
    uint32_t low = 0, high = a->range_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (a->ranges[middle].first <= uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && a->ranges[low - 1].last >= uid;
}

/* Each of ours has a UID, and that is there. What is not so says nothing yet: the headers do. */
static bool all_told(struct audit *a)
{
    if (!load_ours(a))
        return true;
    if (a->range_count)
        qsort(a->ranges, a->range_count, sizeof *a->ranges, by_first);
    for (uint32_t i = 0; i < a->count; i++)
        if (a->target_uids[i] == 0 || !is_told(a, a->target_uids[i])) {
            a->count = 0;
            return false;
        }
    if (a->folder->clears)
        holds_all(a->folder);
    account_proved(a->folder, &a->status);
    return true;
}

/* ---- going on ------------------------------------------------------------------------------ */

static void list(struct audit *a);

static void flushed(void *context, struct store_op *op, const struct err *err)
{
    struct audit *a = context;

    (void)op;
    a->account->told--;
    if (err) {
        reactor_abort_run(a->account->reactor, err);
    } else if (!a->searches) {
        judge(a);
    } else if (!all_told(a)) {
        a->searches = false;
        if (link_stands(a)) {
            list(a);
            return;
        }
        account_audit_want(a->folder, a->folder->proves);
    }
    audit_over(a);
}

static void listed(void *context, const struct err *err)
{
    struct audit *a = context;
    struct account *account = a->account;

    if (!err) {
        count_held(a);
        /* Everything answered so far must be in the journal before it is compared. */
        account->told++;
        reactor_submit(account->reactor, store_op_new(STORE_OP_FLUSH, 0, 0), flushed, a);
        return;
    }
    /* A link that ended is its account's to replace. */
    if (!link_stands(a) || account_proof_refused(a->folder, err))
        account_audit_want(a->folder, a->folder->proves);
    audit_over(a);
}

static void list(struct audit *a)
{
    static const struct headers_events events = { opened, row_told, listed };

    headers_list(link_source(a->link), a->folder->record.target_raw, a->from_uid, &events, a);
}

static void searched(void *context, const struct err *err)
{
    struct audit *a = context;

    if (err && err->class == ERR_CLASS_PERMANENT && link_stands(a)) {
        a->searches = false;
        list(a);
        return;
    }
    listed(a, err);
}

static void examined(void *context, const struct err *err)
{
    struct audit *a = context;
    const struct folder_record *r = &a->folder->record;
    char criteria[32];

    if (err) {
        listed(a, err);
    } else if ((a->status.has & IMAP_STATUS_UIDVALIDITY) && r->target_uidvalidity == a->status.uidvalidity) {
        snprintf(criteria, sizeof criteria, "UID %u:*", a->from_uid);
        session_search(link_session(a->link), slice_cstr(criteria), range_told, searched, a);
    } else {
        a->searches = false;
        list(a);
    }
}

void account_audit_go(struct worker *w)
{
    struct account *account = w->account;
    struct folder *f = account->unaudited;
    struct audit *a;

    if (!f)
        return;
    account->unaudited = f->next_unproven;
    a = mem_zero(1, sizeof *a);
    a->account = account;
    a->folder = f;
    a->worker = w;
    a->link = w->link;
    a->from_uid = f->proves && !f->clears ? f->proof_from : 1;
    a->searches = f->proves;
    account->proving++;
    if (a->searches)
        session_select(link_session(w->link), f->record.target_raw, true, opened, examined, a);
    else
        list(a);
}
