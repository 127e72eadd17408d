/* A folder of the target that holds less than was acknowledged is looked at, message by message: what the
 * journal knows to be there and is not goes back to be fetched and sent again, unless the person who runs the
 * retry takes it as it is. */
#include "engine/move/account_inner.h"
#include "engine/move/headers.h"
#include "engine/rules/verify_match.h"
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
    uint32_t there_count, there_room, count, room;
    struct store_end *missing;
    uint64_t from[MESSAGE_STATE_COUNT]; /* of those, by state */
    uint32_t missing_count;
};

static bool link_stands(const struct audit *a)
{
    return a->worker->link == a->link && link_is_ready(a->link);
}

void account_audit_want(struct folder *f)
{
    f->next_unproven = f->account->unaudited;
    f->account->unaudited = f;
}

static void audit_over(struct audit *a)
{
    struct account *account = a->account;

    account->proving--;
    free(a->there);
    free(a->ours);
    free(a->states);
    free(a->target_uids);
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

static bool each_ours(void *context, const struct message_record *m)
{
    struct audit *a = context;
    struct verify_entry *e;

    if (a->count == a->room) {
        a->room = a->room ? a->room * 2 : 256;
        a->ours = mem_resize(a->ours, a->room, sizeof *a->ours);
        a->states = mem_resize(a->states, a->room, sizeof *a->states);
        a->target_uids = mem_resize(a->target_uids, a->room, sizeof *a->target_uids);
    }
    a->states[a->count] = (uint8_t)m->state;
    a->target_uids[a->count] = m->target_uid;
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
    struct verify_entry wanted = { .uid = a->target_uids[index] }, *found;

    if (wanted.uid == 0 || a->account->hub->settings->target.preset != SETTINGS_PRESET_EXCHANGE_ONLINE ||
        (a->folder->record.target_uidvalidity && (a->status.has & IMAP_STATUS_UIDVALIDITY) &&
         a->status.uidvalidity != a->folder->record.target_uidvalidity))
        return false;
    found = a->there_count ? bsearch(&wanted, a->there, a->there_count, sizeof *a->there, by_uid) : NULL;
    if (!found || found->pair != VERIFY_UNPAIRED)
        return false;
    found->pair = index;
    return true;
}

static void matched(void *context, enum verify_what what, uint32_t index)
{
    struct audit *a = context;

    if (what != VERIFY_MISSING || is_there_by_uid(a, index))
        return;
    a->missing = mem_resize(a->missing, a->missing_count + 1u, sizeof *a->missing);
    a->missing[a->missing_count++] =
        (struct store_end){ .uid = a->ours[index].uid, .state = MESSAGE_FOUND };
    a->from[a->states[index]]++;
}

/* ---- what follows from it ------------------------------------------------------------------ */

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
    hub_submit_lazy(a->account->hub, op);
    /* From here on the folder must hold what it holds now, and these. */
    f->counted_before = true;
    f->target_before = a->status.messages;
    f->uploaded_now = 0;
    f->record.target_counted = false;
    folder_put(f);
    folder_set_pull(f, PULL_BODIES);
    pull_undone(f);
    folder_want_stored(f);
    f->audited = true;
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

static void judge(struct audit *a)
{
    struct account *account = a->account;
    struct folder *f = a->folder;
    const struct settings *settings = account->hub->settings;
    struct err err;

    if (!reader_messages(account->hub->reader, f->record.user, f->record.folder,
                         1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT, 0, false, 0, each_ours, a, &err)) {
        hub_abort_run(account->hub, &err);
        return;
    }
    each_once(a);
    verify_match(a->ours, a->count, a->there, a->there_count,
                 settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE, matched, a);
    log_line(LOG_INFO, "folder.audited", "user=%s folder=%s ours=%u there=%u missing=%u",
             account->user->email_address, f->target_name, a->count, a->there_count, a->missing_count);
    if (a->missing_count == 0)
        account_proved(f, &a->status); /* what went was not ours */
    else if (settings_list_has_user(&settings->accept_counts, account->user))
        take_as_it_is(a);
    else
        move_again(a);
}

static void flushed(void *context, struct store_op *op, const struct err *err)
{
    struct audit *a = context;

    (void)op;
    a->account->told--;
    if (err)
        hub_abort_run(a->account->hub, err);
    else
        judge(a);
    audit_over(a);
}

static void listed(void *context, const struct err *err)
{
    struct audit *a = context;
    struct account *account = a->account;

    if (!err) {
        /* Everything answered so far must be in the journal before it is compared. */
        account->told++;
        hub_submit(account->hub, store_op_new(STORE_OP_FLUSH, 0, 0), flushed, a);
        return;
    }
    if (!link_stands(a) || account_proof_refused(a->folder, err))
        account_audit_want(a->folder); /* a link that ended is its account's to replace */
    audit_over(a);
}

void account_audit_go(struct worker *w)
{
    static const struct headers_events events = { opened, row_told, listed };
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
    account->proving++;
    headers_list(link_session(w->link), f->record.target_raw, 1, &events, a);
}
