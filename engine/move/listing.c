#include "engine/move/listing_private.h"

#include "engine/folders/names_text.h"
#include "engine/message/policy.h"
#include "engine/move/follow.h"
#include "engine/move/gmail.h"
#include "engine/move/pull.h"
#include "engine/move/rejudge.h"
#include "engine/settings/side.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* No policy's fingerprint. */
#define POLICY_MIXED 1u
#define SOURCE_STATUS                                                                                                  \
    (IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT | IMAP_STATUS_UIDVALIDITY | IMAP_STATUS_HIGHESTMODSEQ |                \
     IMAP_STATUS_SIZE)
#define TARGET_NUMBERS (IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT | IMAP_STATUS_UIDVALIDITY)
#define TARGET_STATUS  (TARGET_NUMBERS | IMAP_STATUS_APPENDLIMIT)

/* Remarks of names_describe and names_map, kept until their folders have numbers. */
struct remark {
    size_t index;
    char type[40], text[256], remedy[256];
};
struct remarks {
    struct remark *all;
    size_t count, room;
};

/* One side's listing under way. */
struct listing {
    struct worker *worker;
    struct names_source *rows; /* source: the folder_list's, described */
    unsigned count;
    struct remarks remarks; /* about them */
    unsigned waiting;       /* STATUS commands without an answer */
    bool failed;            /* one of them, for more than its folder */
    struct err err;         /* of the first that did */
};

static void remember(void *context, size_t index, const char *type, const char *text, const char *remedy)
{
    struct remarks *r = context;
    struct remark *one;

    if (r->count == r->room) {
        r->room = r->room ? r->room * 2 : 16;
        r->all = mem_resize(r->all, r->room, sizeof *r->all);
    }
    one = &r->all[r->count++];
    one->index = index;
    snprintf(one->type, sizeof one->type, "%s", type);
    snprintf(one->text, sizeof one->text, "%s", text);
    snprintf(one->remedy, sizeof one->remedy, "%s", remedy);
}

static bool exchange_target(const struct account *account)
{
    return account->reactor->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE;
}

struct names_rules listing_rules(const struct account *account)
{
    const struct folder_list *source = &account->sides[SIDE_SOURCE].folder_list;
    const struct folder_list *target = &account->sides[SIDE_TARGET].folder_list;

    return (struct names_rules){
        .settings = account->reactor->settings,
        .user = account->user,
        .source_prefix = source->prefix ? source->prefix : "",
        .source_foreign = &source->foreign,
        .target_prefix = target->prefix ? target->prefix : "",
        .target_delimiter = target->delimiter,
        .exchange = exchange_target(account),
    };
}

/* ---- target names -------------------------------------------------------------------------- */

/* Key of a target folder -> its row. */
static void index_targets(struct names_index *index, const struct folder_list *target, const struct names_rules *rules)
{
    names_index_init(index);
    for (unsigned i = 0; i < target->count; i++) {
        char *key = names_raw_key(slice_cstr(target->rows[i].raw), target->rows[i].delimiter, rules);

        (void)names_index_add(index, slice_cstr(key), i);
        free(key);
    }
}

static void find_on_target(struct folder *f, struct names_index *index, const struct names_rules *rules)
{
    const struct folder_list *target = &f->account->sides[SIDE_TARGET].folder_list;
    char *key = names_raw_key(slice_cstr(f->target_raw), rules->target_delimiter, rules);
    size_t at = names_index_find(index, slice_cstr(key));

    free(key);
    f->exists_on_target = false;
    if (at == NAMES_INDEX_NONE)
        return;
    f->exists_on_target = !(target->rows[at].attributes & IMAP_MAILBOX_NOSELECT);
    f->target_status = target->rows[at].status;
    f->has_target_status = (f->target_status.has & TARGET_NUMBERS) == TARGET_NUMBERS;
    if (f->target_status.has & IMAP_STATUS_APPENDLIMIT)
        f->append_limit = f->target_status.appendlimit_bytes;
}

/* Both sides are known: each folder gets its place on the target. */
static void map(struct account *account)
{
    struct names_rules rules = listing_rules(account);
    struct names_source *rows;
    struct names_target *targets;
    struct names_index index;
    struct remarks remarks = { 0 };
    unsigned count = account->folder_count;

    if (account->mapped || !account->sides[SIDE_TARGET].listed ||
        (account_uses(account, SIDE_SOURCE) && !account->sides[SIDE_SOURCE].listed))
        return;
    rows = mem_zero(count, sizeof *rows);
    for (unsigned i = 0; i < count; i++) {
        struct folder *f = account->folders[i];

        rows[i].raw = mem_text(f->source_raw);
        rows[i].delimiter = f->record.delimiter;
        rows[i].attributes = f->attributes;
        rows[i].name = mem_text(f->source_name);
        snprintf(rows[i].role, sizeof rows[i].role, "%s", f->record.role);
        rows[i].selectable = true;
        rows[i].excluded = f->record.excluded;
        if (f->target_raw) {
            rows[i].target_raw = mem_text(f->target_raw);
            rows[i].target_name = mem_text(f->target_name);
        }
    }
    targets = folder_list_targets(&account->sides[SIDE_TARGET].folder_list);
    names_map(rows, count, targets, account->sides[SIDE_TARGET].folder_list.count, &rules, remember, &remarks);
    free(targets);
    index_targets(&index, &account->sides[SIDE_TARGET].folder_list, &rules);
    for (unsigned i = 0; i < count; i++) {
        struct folder *f = account->folders[i];

        if (rows[i].target_raw && !rows[i].excluded) {
            bool changed = !f->target_raw || strcmp(f->target_raw, rows[i].target_raw) != 0;

            if (changed) {
                folder_set_names(f, NULL, NULL, rows[i].target_raw, rows[i].target_name);
                folder_put(f);
            }
            find_on_target(f, &index, &rules);
        }
        names_source_deinit(&rows[i]);
    }
    for (size_t i = 0; i < remarks.count; i++)
        account_problem(account, account->folders[remarks.all[i].index]->record.folder, remarks.all[i].type,
                        remarks.all[i].text, remarks.all[i].remedy);
    log_line(LOG_DEBUG, "folders.mapped", "user=%s count=%u looks=%llu", account->user->email_address, count,
             (unsigned long long)index.looks);
    names_index_deinit(&index);
    free(remarks.all);
    free(rows);
    account->mapped = true;
    push_folders_placed(account);
}

/* ---- source folders ------------------------------------------------------------------------ */

static struct folder *add_folder(struct account *account, const struct names_source *row)
{
    struct folder_record record = { .user = account->id, .folder = account->folder_highest + 1 };

    record.delimiter = row->delimiter;
    record.source_raw = slice_cstr(row->raw);
    record.source_name = slice_cstr(row->name);
    snprintf(record.role, sizeof record.role, "%s", row->role);
    record.excluded = row->excluded;
    return account_add_folder(account, &record);
}

/* One doubt of the user for all of them: none of them is a folder of the journal. */
#define LEFT_OUT "NamesLeftOut"

static void tell_left_out(struct account *account, const struct names_source *rows, const struct remarks *remarks)
{
    const struct remark *first = NULL;
    uint64_t count = 0;

    for (size_t i = remarks->count; i-- > 0;)
        if (strcmp(remarks->all[i].type, LEFT_OUT) == 0) {
            first = &remarks->all[i];
            count++;
        }
    if (first)
        account_doubt(account, NULL, LEFT_OUT, count,
                      "left out with all that is in them; the first is \"%.80s...\": %s", rows[first->index].raw,
                      first->text);
    else
        account_doubt_clear(account, NULL, LEFT_OUT);
}

/* What was as it is at the end of the last pass needs no look. */
static bool unchanged(const struct folder *f)
{
    const struct imap_status *s = &f->source_status;
    const struct folder_record *r = &f->record;

    return f->has_source_status && r->uidvalidity &&
           (s->has & (IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT | IMAP_STATUS_UIDVALIDITY)) ==
               (IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT | IMAP_STATUS_UIDVALIDITY) &&
           s->uidvalidity == r->uidvalidity && s->uidnext == r->status_uidnext && s->uidnext <= r->uidnext_listed &&
           s->messages == r->status_messages && follow_source_rests(f);
}

static void place_folders(struct account *account, struct listing *l)
{
    struct names_source *rows = l->rows;
    struct folder **folders = mem_zero(l->count, sizeof *folders);
    const struct remarks *remarks = &l->remarks;
    uint64_t fingerprint = policy_fingerprint(account->reactor->settings, account->user);
    bool policy_changed = account->record.policy && account->record.policy != fingerprint;

    listing_judge_root(account, rows, l->count);
    for (unsigned i = 0; i < account->folder_count; i++) {
        /* Not on the source any more: what was not fetched is asked for once more. */
        struct folder *f = account->folders[i];

        folder_set_pull(f, f->record.tally.waiting ? PULL_UNLISTED : PULL_DONE);
        f->gone = true;
    }
    for (unsigned i = 0; i < l->count; i++) {
        struct folder *f;
        bool is_new;

        if (!rows[i].selectable)
            continue;
        f = account_find_folder(account, slice_cstr(rows[i].raw));
        is_new = !f;
        if (is_new)
            f = add_folder(account, &rows[i]);
        folders[i] = f;
        f->gone = false;
        f->attributes = rows[i].attributes;
        f->source_status = account->sides[SIDE_SOURCE].folder_list.rows[i].status;
        f->has_source_status = f->source_status.has != 0;
        /* The journal must have the folder before anything is counted in it. */
        if (is_new)
            folder_put(f);
        if (rows[i].excluded || f->record.excluded)
            rejudge_exclude(f, rows[i].excluded, &f->source_status);
        else if (policy_changed)
            rejudge_messages(f, 1u << MESSAGE_SKIPPED | 1u << MESSAGE_FOUND | 1u << MESSAGE_SPOOLED, SKIP_NONE);
        if (account->reactor->settings->mode == SETTINGS_MODE_RETRY && f->record.tally.failed)
            rejudge_messages(f, 1u << MESSAGE_FAILED, SKIP_NONE);
        if (is_new || rows[i].excluded)
            folder_put(f);
        if (f->record.excluded)
            folder_set_pull(f, PULL_DONE);
        else if (!unchanged(f) || account_doubts(account, f, "HiddenMessages", NULL))
            folder_set_pull(f, PULL_UNLISTED);
        else
            folder_set_pull(f, f->record.tally.waiting && !account_only_looks(account) ? PULL_BODIES : PULL_DONE);
    }
    for (size_t i = 0; i < remarks->count; i++) {
        const struct remark *one = &remarks->all[i];

        if (strcmp(one->type, LEFT_OUT) != 0)
            account_problem(account, folders[one->index] ? folders[one->index]->record.folder : 0, one->type, one->text,
                            one->remedy);
    }
    tell_left_out(account, rows, remarks);
    pull_folders_placed(account);
    account->record.policy = fingerprint;
    if (link_source(l->worker->link)->traits.labels &&
        account->reactor->settings->policy.gmail_labels == SETTINGS_LABELS_ONE_COPY)
        gmail_begin(account);
    free(folders);
}

void listing_resume(struct account *account)
{
    bool policy_changed = account->record.policy &&
                          account->record.policy != policy_fingerprint(account->reactor->settings, account->user);

    if (account_uses(account, SIDE_SOURCE))
        return;
    for (unsigned i = 0; i < account->folder_count; i++) {
        if (policy_changed)
            rejudge_messages(account->folders[i], 1u << MESSAGE_SPOOLED, SKIP_NONE);
        folder_set_pull(account->folders[i], PULL_DONE);
    }
    /* Only the spool was judged: the next listing judges the rest, whatever the policy is then. */
    if (policy_changed)
        account->record.policy = POLICY_MIXED;
}

/* ---- asking -------------------------------------------------------------------------------- */

static void listing_free(struct listing *l)
{
    for (unsigned i = 0; i < l->count; i++)
        names_source_deinit(&l->rows[i]);
    free(l->rows);
    free(l->remarks.all);
    free(l);
}

static void side_listed(struct listing *l)
{
    struct worker *w = l->worker;
    struct account *account = w->account;
    struct account_side *side = &account->sides[w->side];

    if (w->side == SIDE_SOURCE) {
        place_folders(account, l);
        listing_tell_gaps(account);
    }
    log_line(LOG_DEBUG, "folders.listed", "user=%s side=%s count=%u looks=%llu", account->user->email_address,
             side_name(w->side), side->folder_list.count,
             (unsigned long long)(side->folder_list.looks + account->folders_by_raw.looks));
    side->listed = true;
    side->listing = false;
    w->lists = false;
    w->busy = false;
    listing_free(l);
    map(account);
    if (w->side == SIDE_SOURCE)
        account_spread_links(account, w);
    worker_idle(w);
}

static void listing_failed(struct listing *l, const struct err *err)
{
    struct worker *w = l->worker;
    struct account *account = w->account;
    struct account_side *side = &account->sides[w->side];
    struct trouble_verdict verdict;
    struct err kept = *err; /* it may be the listing's own */

    listing_free(l);
    err = &kept;
    side->listing = false;
    w->lists = false;
    w->busy = false;
    if (!link_is_ready(w->link))
        return; /* the link ends; its account decides */
    trouble_judge(TROUBLE_LIST, failure_side_of(w->side), err, side->failures++,
                  (unsigned)account->reactor->settings->policy.transient_failure_limit, account->id, &verdict);
    if (verdict.action == TROUBLE_HOLD || verdict.action == TROUBLE_FEWER) {
        account_throttled(account, w->side, 0, err, verdict.wait_ms);
    } else {
        account_failure(account, failure_side_of(w->side), TROUBLE_LIST, verdict.type, err, NULL, 0);
        if (verdict.action != TROUBLE_RETRY) {
            account_fail(account, verdict.type, false);
            return;
        }
        account_hold(account, w->side, verdict.wait_ms, STALL_RETRY);
    }
    /* On a fresh connection: this one may be what is wrong. */
    link_finish(w->link);
}

struct ask {
    struct listing *listing;
    unsigned row;
};

static void ask_told(void *context, const struct imap_status *status)
{
    struct ask *ask = context;

    struct account *account = ask->listing->worker->account;

    account->sides[SIDE_SOURCE].folder_list.rows[ask->row].status = *status;
}

static void limit_told(void *context, const struct imap_status *status)
{
    struct ask *ask = context;
    struct account *account = ask->listing->worker->account;
    struct imap_status *known = &account->sides[SIDE_TARGET].folder_list.rows[ask->row].status;

    known->has |= status->has & IMAP_STATUS_APPENDLIMIT;
    known->appendlimit_bytes = status->appendlimit_bytes;
}

static void ask_ended(void *context, const struct err *err)
{
    struct ask *ask = context;
    struct listing *l = ask->listing;

    free(ask);
    if (err && !l->failed && (!link_is_ready(l->worker->link) || err->scope >= ERR_SCOPE_ACCOUNT)) {
        l->failed = true;
        l->err = *err;
    }
    if (--l->waiting > 0)
        return;
    if (l->failed)
        listing_failed(l, &l->err);
    else
        side_listed(l);
}

/* Without LIST-STATUS the numbers are asked for one by one where they spare more than they cost:
 * for folders that were read before and for those that are only counted. */
static void ask_numbers(struct listing *l)
{
    struct worker *w = l->worker;
    struct account *account = w->account;
    const struct folder_list *folder_list = &account->sides[SIDE_SOURCE].folder_list;

    l->waiting = 1;
    for (unsigned i = 0; i < l->count; i++) {
        const struct folder *f;
        struct ask *ask;

        if (folder_list->rows[i].status.has || !l->rows[i].selectable)
            continue;
        f = account_find_folder(account, slice_cstr(l->rows[i].raw));
        if (!(f && f->record.uidvalidity) && !l->rows[i].excluded)
            continue;
        ask = mem_zero(1, sizeof *ask);
        ask->listing = l;
        ask->row = i;
        l->waiting++;
        source_status(link_source(w->link), slice_cstr(l->rows[i].raw), SOURCE_STATUS, ask_told, ask_ended, ask);
    }
    if (--l->waiting == 0)
        side_listed(l);
}

/* A bare APPENDLIMIT: each mailbox has its own (RFC 7889 2.2), told by STATUS where LIST did not. Asked for
 * now, since what a mailbox would refuse is not to be fetched. */
static void ask_limits(struct listing *l)
{
    struct worker *w = l->worker;
    const struct folder_list *folder_list = &w->account->sides[SIDE_TARGET].folder_list;
    const struct caps *caps = session_caps(link_session(w->link));
    bool bare = caps_has(caps, CAP_APPENDLIMIT) && !caps->appendlimit_bytes;

    l->waiting = 1;
    for (unsigned i = 0; bare && i < folder_list->count; i++) {
        const struct folder_list_row *row = &folder_list->rows[i];
        struct ask *ask;

        if ((row->status.has & IMAP_STATUS_APPENDLIMIT) ||
            (row->attributes & (IMAP_MAILBOX_NOSELECT | IMAP_MAILBOX_NONEXISTENT)))
            continue;
        ask = mem_zero(1, sizeof *ask);
        ask->listing = l;
        ask->row = i;
        l->waiting++;
        session_status(link_session(w->link), slice_cstr(row->raw), IMAP_STATUS_APPENDLIMIT, limit_told, ask_ended,
                       ask);
    }
    if (--l->waiting == 0)
        side_listed(l);
}

/* Cyrus lets in whoever has a password: one who has no mailbox has no namespace, and sees no folder. What
 * was made then would lie anywhere. */
static void mailbox_missing(struct listing *l, const struct err *err)
{
    struct account *account = l->worker->account;

    account_failure(account, FAILURE_TARGET, TROUBLE_LIST, "MailboxNotFound", err, NULL, 0);
    account->sides[SIDE_TARGET].listing = false;
    l->worker->lists = l->worker->busy = false;
    listing_free(l);
    account_fail(account, "MailboxNotFound", false);
}

static void inbox_left(void *context, const struct err *err)
{
    struct listing *l = context;

    if (err && !link_is_ready(l->worker->link))
        listing_failed(l, err);
    else
        ask_limits(l);
}

static void inbox_looked(void *context, const struct imap_selected *selected)
{
    (void)context;
    (void)selected;
}

static void inbox_opened(void *context, const struct err *err)
{
    struct listing *l = context;

    if (!err)
        session_unselect(link_session(l->worker->link), inbox_left, l);
    else if (link_is_ready(l->worker->link) && trouble_is_gone(err))
        mailbox_missing(l, err);
    else
        inbox_left(l, err);
}

/* An INBOX that is not shown is there, most often. SELECT tells: imap4d makes it then (S23). */
static void ask_inbox(struct listing *l)
{
    session_select(link_session(l->worker->link), SLICE("INBOX"), false, inbox_looked, inbox_opened, l);
}

static bool usable(void *context)
{
    const struct listing *l = context;

    return link_is_ready(l->worker->link);
}

static void folder_list_ready(void *context, const struct err *err)
{
    struct listing *l = context;
    struct account *account = l->worker->account;
    struct names_rules rules;

    if (err) {
        listing_failed(l, err);
        return;
    }
    if (l->worker->side == SIDE_TARGET) {
        if (account->sides[SIDE_TARGET].folder_list.inbox_supposed)
            ask_inbox(l);
        else
            ask_limits(l);
        return;
    }
    rules = listing_rules(account);
    l->rows = folder_list_sources(&account->sides[SIDE_SOURCE].folder_list);
    l->count = account->sides[SIDE_SOURCE].folder_list.count;
    names_describe(l->rows, l->count, &rules, remember, &l->remarks);
    ask_numbers(l);
}

void listing_begin(struct worker *w)
{
    struct listing *l = mem_zero(1, sizeof *l);

    l->worker = w;
    w->lists = true;
    folder_list_ask(&w->account->sides[w->side].folder_list, link_source(w->link), usable, folder_list_ready, l);
}

void listing_prepare(struct account *account)
{
    names_index_init(&account->folders_by_raw);
    folder_list_init(&account->sides[SIDE_SOURCE].folder_list, false, true, SOURCE_STATUS);
    folder_list_init(&account->sides[SIDE_TARGET].folder_list, exchange_target(account), false, TARGET_STATUS);
}

void listing_deinit(struct account *account)
{
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        folder_list_deinit(&account->sides[side].folder_list);
    names_index_deinit(&account->folders_by_raw);
}
