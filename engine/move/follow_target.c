/* Flags that the journal says the source changed, brought to a target folder: SELECT; where no UID
 * was told, the headers, by which a message is known that nothing else is like; what flags they
 * have now; STORE, once for all that need the same; what they have then. */
#include "engine/imap/uidset.h"
#include "engine/move/follow_private.h"
#include "engine/move/push_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A link may go, and a server may be busy; more often than this it is left to the next run. */
#define TRIES_MAX 3u
#define SET_BYTES 900u
/* STOREs that the server refused; then it is the folder. */
#define REFUSALS_MAX 3u

/* ---- its end --------------------------------------------------------------------------------- */

static void job_free(struct follow_job *j)
{
    for (unsigned i = 0; i < j->count; i++) {
        free(j->items[i].words);
        free(j->items[i].add);
        free(j->items[i].take);
    }
    follow_known_free(&j->known);
    free(j->items);
    free(j->view.permanent);
    free(j->needs);
    free(j->lacking);
    free(j);
}

void follow_over(struct follow_job *j)
{
    struct worker *w = j->worker;

    job_free(j);
    push_proof_end(w);
}

/* What was done goes into the journal, after the answers. */
static void put_done(struct follow_job *j)
{
    struct folder *f = j->folder;
    struct store_op *op = store_op_new(STORE_OP_FOLLOW, f->record.user, f->record.folder);
    size_t room = 0, used = 0;

    op->follow.all = mem_zero(j->count + 1u, sizeof *op->follow.all);
    for (unsigned i = 0; i < j->count; i++)
        room += j->items[i].next.keywords.size;
    op->text = mem_alloc(room + 1);
    for (unsigned i = 0; i < j->count; i++) {
        const struct follow_item *item = &j->items[i];
        struct store_follow *one = &op->follow.all[op->follow.count];

        if (item->end != FOLLOW_DONE && item->end != FOLLOW_GONE)
            continue;
        *one = (struct store_follow){ .uid = item->uid, .what = STORE_FOLLOW_DONE, .flags = item->next };
        if (item->next.keywords.size)
            memcpy(op->text + used, item->next.keywords.data, item->next.keywords.size);
        one->flags.keywords.data = op->text + used;
        used += item->next.keywords.size;
        op->follow.count++;
    }
    f->follow.wanted -= op->follow.count;
    f->account->follow_wanted -= op->follow.count;
    if (op->follow.count)
        reactor_submit_unwaited(f->account->reactor, op);
    else
        store_op_free(op);
}

static void finish(struct follow_job *j)
{
    struct folder *f = j->folder;
    uint64_t done = f->follow.wanted;

    f->follow.looked = true;
    put_done(j);
    done -= f->follow.wanted;
    f->account->night.flags += done;
    follow_tell_left(j);
    follow_tell_used(j);
    log_line(LOG_INFO, "folder.flags", "user=%s folder=%s wanted=%u done=%" PRIu64 " stored=%" PRIu64,
             f->account->user->email_address, f->target_name, j->count, done, j->stored);
    follow_over(j);
}

static void all_end(struct follow_job *j, enum follow_end end)
{
    for (unsigned i = 0; i < j->count; i++)
        if (j->items[i].end == FOLLOW_OPEN)
            j->items[i].end = end;
}

/* A command failed that all depends on. */
void follow_fails(struct follow_job *j, const struct err *err)
{
    struct folder *f = j->folder;
    struct account *account = f->account;

    if (err->class == ERR_CLASS_THROTTLED) {
        account_throttled(account, SIDE_TARGET, 0, err, err->wait_ms ? err->wait_ms : 1000);
    } else if (++f->follow.tries >= TRIES_MAX) {
        f->follow.looked = true;
        account_doubt(account, f, "NotFollowed", j->count,
                      "the flags of %u message%s of %s changed at the source and were not changed "
                      "on the target: %s",
                      j->count, j->count == 1 ? "" : "s", f->source_name, err->server_text);
    } else if (link_is_ready(j->worker->link)) {
        account_hold(account, SIDE_TARGET, err->wait_ms ? err->wait_ms : 1000, STALL_RETRY);
    }
    follow_over(j);
}

/* ---- what is wanted -------------------------------------------------------------------------- */

static bool take_row(void *context, const struct message_record *m)
{
    struct follow_job *j = context;
    const struct follow_record *known = follow_known_at(j->known, m->uid);
    struct follow_flags base;
    struct follow_item *item;

    if (!known || !known->wanted)
        return true;
    if (j->count == j->room) {
        j->room = j->room ? j->room * 2 : 64;
        j->items = mem_resize(j->items, j->room, sizeof *j->items);
    }
    base = follow_base(m, known);
    item = &j->items[j->count++];
    *item = (struct follow_item){ .uid = m->uid, .base = base, .next = known->next };
    /* A message that was mended may lie there under the same UID all the same. */
    item->target_uid = j->folder->record.target_uids_lie ? 0 : m->target_uid;
    memcpy(item->key, m->header_key, sizeof item->key);
    item->words = slice_dup(base.keywords);
    item->base.keywords.data = item->words;
    return true;
}

static int by_target(const void *a, const void *b)
{
    const struct follow_item *x = a, *y = b;

    return x->target_uid != y->target_uid ? (x->target_uid > y->target_uid) - (x->target_uid < y->target_uid)
                                          : (x->uid > y->uid) - (x->uid < y->uid);
}

/* The first that has a UID of the target. */
static unsigned first_known(const struct follow_job *j)
{
    unsigned i = 0;

    while (i < j->count && j->items[i].target_uid == 0)
        i++;
    return i;
}

/* ---- their flags ----------------------------------------------------------------------------- */

static void flags_next(struct follow_job *j);
static void looked(struct follow_job *j);

/* All that have this UID of the target: several only where the journal is wrong about it. */
static struct follow_item *item_at(const struct follow_job *j, uint32_t target_uid)
{
    unsigned low = first_known(j), high = j->count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (j->items[middle].target_uid < target_uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < j->count && j->items[low].target_uid == target_uid ? &j->items[low] : NULL;
}

static void judge(struct follow_job *j, struct follow_item *item, const struct follow_flags *target)
{
    struct follow_merge merge;

    follow_merge(&item->base, &item->next, target, &j->view.keeps, &merge);
    item->stays |= merge.stays;
    if (!merge.add[0] && !merge.take[0])
        item->end = FOLLOW_DONE;
    else if (j->proves)
        item->end = FOLLOW_REFUSED;
    follow_tell_unkept(j, merge.unkept);
    free(item->add);
    free(item->take);
    item->add = mem_text(merge.add);
    item->take = mem_text(merge.take);
}

static void flags_told(void *context, const struct imap_message_row *row)
{
    struct follow_job *j = context;
    struct follow_item *item = item_at(j, row->uid);
    struct follow_flags target = { .system = (uint8_t)(row->flags.system & 0x1f), .keywords = row->flags.keywords };

    if (!item || !row->has_flags || item->end == FOLLOW_REFUSED)
        return;
    item->seen = true;
    judge(j, item, &target);
}

static void flags_ended(void *context, const struct err *err)
{
    struct follow_job *j = context;

    if (err)
        follow_fails(j, err);
    else
        flags_next(j);
}

/* Asks for those that are not at their end, in sets. */
static void flags_next(struct follow_job *j)
{
    char text[SET_BYTES];
    struct uidset set;
    bool any = false;

    uidset_init(&set, text, sizeof text);
    for (; j->at < j->count; j->at++) {
        const struct follow_item *item = &j->items[j->at];

        if (item->end != FOLLOW_OPEN || item->target_uid == 0)
            continue;
        if (!uidset_add(&set, item->target_uid))
            break;
        any = true;
    }
    if (any)
        session_fetch_flags(link_session(j->worker->link), uidset_finish(&set), 0, flags_told, flags_ended, j);
    else
        looked(j);
}

static void flags_begin(struct follow_job *j, bool proves)
{
    j->at = 0;
    j->proves = proves;
    for (unsigned i = 0; i < j->count; i++)
        j->items[i].seen = false;
    flags_next(j);
}

/* ---- STORE ----------------------------------------------------------------------------------- */

static int by_need(const void *a, const void *b)
{
    const struct follow_need *x = a, *y = b;
    int order = x->takes - y->takes;

    if (!order)
        order = strcmp(x->text, y->text);
    return order ? order : (x->uid > y->uid) - (x->uid < y->uid);
}

static void stores_next(struct follow_job *j);

static void store_ended(void *context, const struct err *err)
{
    struct follow_job *j = context;

    if (err && (!link_is_ready(j->worker->link) || err->class != ERR_CLASS_PERMANENT)) {
        follow_fails(j, err);
        return;
    }
    if (err)
        j->refusals++;
    stores_next(j);
}

/* One command for messages that need the same. */
static void stores_next(struct follow_job *j)
{
    struct session *session = link_session(j->worker->link);
    const struct follow_need *first = &j->needs[j->at];
    char text[SET_BYTES];
    struct uidset set;

    if (j->at == j->need_count || j->refusals == REFUSALS_MAX) {
        flags_begin(j, true);
        return;
    }
    uidset_init(&set, text, sizeof text);
    for (; j->at < j->need_count; j->at++) {
        const struct follow_need *need = &j->needs[j->at];

        if (need->takes != first->takes || strcmp(need->text, first->text) != 0 || !uidset_add(&set, need->uid))
            break;
        j->stored++;
    }
    if (first->takes)
        session_clear_flags(session, uidset_finish(&set), slice_cstr(first->text), store_ended, j);
    else
        session_store_flags(session, uidset_finish(&set), slice_cstr(first->text), store_ended, j);
}

/* After the first look at their flags, and after the second. */
static void looked(struct follow_job *j)
{
    for (unsigned i = 0; i < j->count; i++)
        if (j->items[i].end == FOLLOW_OPEN && !j->items[i].seen)
            j->items[i].end = j->items[i].target_uid ? FOLLOW_GONE : FOLLOW_UNKNOWN;
    if (j->proves) {
        finish(j);
        return;
    }
    j->needs = mem_zero(2 * j->count + 1, sizeof *j->needs);
    for (unsigned i = 0; i < j->count; i++) {
        const struct follow_item *item = &j->items[i];

        if (item->end != FOLLOW_OPEN)
            continue;
        if (item->add[0])
            j->needs[j->need_count++] = (struct follow_need){ item->add, item->target_uid, false };
        if (item->take[0])
            j->needs[j->need_count++] = (struct follow_need){ item->take, item->target_uid, true };
    }
    if (j->need_count == 0) {
        finish(j);
        return;
    }
    qsort(j->needs, j->need_count, sizeof *j->needs, by_need);
    j->at = 0;
    stores_next(j);
}

/* ---- beginning ------------------------------------------------------------------------------- */

void follow_view_take(struct follow_view *view, const struct imap_selected *s)
{
    view->uidvalidity = s->status.has & IMAP_STATUS_UIDVALIDITY ? s->status.uidvalidity : 0;
    view->read_only = s->read_only;
    free(view->permanent);
    view->permanent = slice_dup(s->permanent.keywords);
    view->keeps = follow_keeps_of(s);
    view->keeps.keywords = slice_cstr(view->permanent);
}

static void selected(void *context, const struct imap_selected *s)
{
    struct follow_job *j = context;
    uint32_t known = j->folder->record.target_uidvalidity, before = j->view.uidvalidity;

    follow_view_take(&j->view, s);
    /* Where UIDs are others' by now, as in some servers' mbox files after each change, the headers tell. */
    j->another = j->located && j->view.uidvalidity != before;
    j->unnumbered = known == 0 || (j->view.uidvalidity && j->view.uidvalidity != known);
}

static void select_ended(void *context, const struct err *err)
{
    struct follow_job *j = context;
    bool lacks = false;

    if (err && link_is_ready(j->worker->link) && trouble_is_gone(err)) {
        all_end(j, FOLLOW_GONE);
        finish(j);
        return;
    }
    if (err) {
        follow_fails(j, err);
        return;
    }
    if (j->another || j->view.read_only) {
        all_end(j, FOLLOW_UNKNOWN);
        finish(j);
        return;
    }
    for (unsigned i = 0; i < j->count && !j->located; i++) {
        if (j->unnumbered)
            j->items[i].target_uid = 0;
        lacks |= j->items[i].target_uid == 0;
    }
    if (lacks) {
        follow_locate(j);
        return;
    }
    qsort(j->items, j->count, sizeof *j->items, by_target);
    flags_begin(j, false);
}

void follow_select(struct follow_job *j)
{
    session_select(link_session(j->worker->link), j->folder->record.target_raw, false, selected, select_ended, j);
}

static bool is_due(const struct folder *f)
{
    return f->follow.wanted && !f->follow.looked && f->target_raw && !f->record.excluded && f->push != PUSH_REFUSED;
}

static bool may_follow(const struct account *account)
{
    return account->follow_wanted && account_uses(account, SIDE_TARGET) && !account->target_dead;
}

bool follow_target_rests(const struct account *account)
{
    if (may_follow(account))
        for (unsigned i = 0; i < account->folder_count; i++)
            if (is_due(account->folders[i]))
                return false;
    return true;
}

bool follow_target_go(struct worker *w)
{
    struct account *account = w->account;
    struct folder *f = NULL;
    struct err err;
    struct follow_job *j;

    for (unsigned i = 0; may_follow(account) && i < account->folder_count && !f; i++)
        if (is_due(account->folders[i]))
            f = account->folders[i];
    if (!f)
        return false;
    j = mem_zero(1, sizeof *j);
    j->worker = w;
    j->folder = f;
    push_proof_begin(w, f);
    if (!follow_known_load(account->reactor->reader, f->record.user, f->record.folder, &j->known, &err) ||
        !reader_messages(account->reactor->reader, f->record.user, f->record.folder, FOLLOW_ON_TARGET, 0, false, 0,
                         take_row, j, &err)) {
        reactor_abort_run(account->reactor, &err);
        f->follow.looked = true;
        follow_over(j);
    } else if (j->count == 0) {
        f->follow.looked = true; /* what is wanted is of messages that are not there yet */
        follow_over(j);
    } else {
        follow_select(j);
    }
    return true;
}
