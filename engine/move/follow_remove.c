/* Messages that this program uploaded and that were deleted at the source since: moved into the
 * target's folder of deleted items, never expunged. Only what nobody changed on the target; only
 * when the whole mailbox was read in this run and the message is in none of its folders; and not
 * when so many of a folder are gone that it may be a fault of the source.
 *
 * A folder: SELECT; headers and flags of the copies, which must be those that were sent; UID MOVE;
 * a look that they are gone; then the journal. A run that is killed after the MOVE finds them gone
 * the next time. */
#include "engine/imap/uidset.h"
#include "engine/message/follow_identity.h"
#include "engine/message/header.h"
#include "engine/message/repair.h"
#include "engine/move/follow_private.h"
#include "engine/move/late.h"
#include "engine/move/push_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 3u
#define SET_BYTES 900u

enum copy_end {
    COPY_OPEN,
    COPY_REMOVED,   /* moved, or a person had removed it */
    COPY_CHANGED,   /* somebody changed it on the target, or it is not known to be this message */
    COPY_ELSEWHERE, /* the source has the message in another place */
    COPY_UNKNOWN,   /* nobody told its UID */
    COPY_STAYED     /* the target answered OK and did not move it */
};

struct copy {
    uint32_t uid, target_uid;
    uint8_t key[MATCH_KEY_BYTES];
    struct follow_flags base;
    char *words;
    struct message_note note;
    enum copy_end end;
    bool seen;
};

struct removal {
    struct worker *worker;
    struct folder *folder;
    struct copy *copies; /* ascending by target_uid */
    unsigned count, room, at;
    uint32_t *uids; /* of the target, of those that are asked for */
    struct follow_known *known;
    struct follow_view view;
    struct slice into; /* raw name of the folder of deleted items */
    bool is_there;     /* this folder is within that place already */
};

/* ---- its end --------------------------------------------------------------------------------- */

static void over(struct removal *r)
{
    struct worker *w = r->worker;

    for (unsigned i = 0; i < r->count; i++)
        free(r->copies[i].words);
    follow_known_free(&r->known);
    free(r->copies);
    free(r->uids);
    free(r->view.permanent);
    free(r);
    push_proof_end(w);
}

static void fails(struct removal *r, const struct err *err)
{
    struct folder *f = r->folder;
    struct account *account = f->account;

    if (err->class == ERR_CLASS_THROTTLED) {
        account_throttled(account, SIDE_TARGET, 0, err, err->wait_ms ? err->wait_ms : 1000);
    } else if (++f->follow.tries >= TRIES_MAX || err->class == ERR_CLASS_PERMANENT) {
        f->follow.removed = true;
        account_doubt(account, f, "NotFollowed", r->count,
                      "%u message%s of %s %s deleted at the source and could not be moved to the "
                      "target's deleted items: %s",
                      r->count, r->count == 1 ? "" : "s", f->source_name, r->count == 1 ? "was" : "were",
                      err->server_text);
    } else if (link_is_ready(r->worker->link)) {
        account_hold(account, SIDE_TARGET, err->wait_ms ? err->wait_ms : 1000, STALL_RETRY);
    }
    over(r);
}

static unsigned count_of(const struct removal *r, enum copy_end end)
{
    unsigned count = 0;

    for (unsigned i = 0; i < r->count; i++)
        count += r->copies[i].end == end;
    return count;
}

static void put_removed(struct removal *r, unsigned count)
{
    struct folder *f = r->folder;
    struct store_op *op = store_op_new(STORE_OP_END, f->record.user, f->record.folder);

    op->end.ends = mem_zero(count, sizeof *op->end.ends);
    for (unsigned i = 0; i < r->count; i++) {
        struct store_end *end = &op->end.ends[op->end.count];

        if (r->copies[i].end != COPY_REMOVED)
            continue;
        *end = (struct store_end){ .uid = r->copies[i].uid, .state = MESSAGE_SKIPPED, .reason = SKIP_DELETED };
        end->note = mem_zero(1, sizeof *end->note);
        *end->note = r->copies[i].note;
        op->end.count++;
    }
    folder_count_end(f, MESSAGE_UPLOADED, MESSAGE_SKIPPED, 0, count);
    f->follow.gone -= count;
    f->account->follow_gone -= count;
    f->account->night.deleted += count;
    reactor_submit_unwaited(f->account->reactor, op);
}

static bool is_left(const struct copy *copy)
{
    return copy->end == COPY_CHANGED || copy->end == COPY_ELSEWHERE || copy->end == COPY_UNKNOWN;
}

static void put_left(struct removal *r, unsigned count)
{
    struct folder *f = r->folder;
    struct store_op *op = store_op_new(STORE_OP_FOLLOW, f->record.user, f->record.folder);

    op->follow.all = mem_zero(count, sizeof *op->follow.all);
    for (unsigned i = 0; i < r->count; i++)
        if (is_left(&r->copies[i]))
            op->follow.all[op->follow.count++] =
                (struct store_follow){ .uid = r->copies[i].uid, .what = STORE_FOLLOW_KEPT };
    f->follow.gone -= count;
    f->account->follow_gone -= count;
    f->follow.kept += count;
    f->account->night.left += count;
    reactor_submit_unwaited(f->account->reactor, op);
}

static void finish(struct removal *r)
{
    struct folder *f = r->folder;
    unsigned removed = count_of(r, COPY_REMOVED), changed = count_of(r, COPY_CHANGED),
             elsewhere = count_of(r, COPY_ELSEWHERE), unknown = count_of(r, COPY_UNKNOWN),
             stayed = count_of(r, COPY_STAYED);
    char text[256];

    f->follow.removed = true;
    if (removed)
        put_removed(r, removed);
    if (changed + elsewhere + unknown)
        put_left(r, changed + elsewhere + unknown);
    if (removed || changed + elsewhere + unknown) {
        snprintf(text, sizeof text,
                 "deleted at the source since they were copied: %u now in the target's deleted "
                 "items; left as they are: %u "
                 "that somebody changed on the target, %u that the source has in another place, %u "
                 "of which no UID is known",
                 removed, changed, elsewhere, unknown);
        account_problem(f->account, f->record.folder, "DeletionsFollowed", text,
                        "nothing to do; what is wanted back is in the target's deleted items, and "
                        "the report lists it");
    }
    if (!stayed && f->follow.wanted == 0)
        account_doubt_clear(f->account, f, "NotFollowed");
    if (stayed)
        account_doubt(f->account, f, "NotFollowed", stayed,
                      "%u message%s of %s deleted at the source: the target answered OK and did not move %s", stayed,
                      stayed == 1 ? "" : "s", f->source_name, stayed == 1 ? "it" : "them");
    log_line(LOG_INFO, "folder.deletions", "user=%s folder=%s removed=%u changed=%u elsewhere=%u unknown=%u stayed=%u",
             f->account->user->email_address, f->target_name, removed, changed, elsewhere, unknown, stayed);
    over(r);
}

/* ---- moving ---------------------------------------------------------------------------------- */

static void prove_next(struct removal *r);
static void move_next(struct removal *r);

static int by_target(const void *a, const void *b)
{
    const struct copy *x = a, *y = b;

    return (x->target_uid > y->target_uid) - (x->target_uid < y->target_uid);
}

static struct copy *copy_at(const struct removal *r, uint32_t target_uid)
{
    struct copy wanted = { .target_uid = target_uid }, *copy;

    copy = target_uid ? bsearch(&wanted, r->copies, r->count, sizeof wanted, by_target) : NULL;
    return copy && copy->end == COPY_OPEN ? copy : NULL;
}

/* The UIDs of those that are still to be moved, from r->at on, in one set. False: none. */
static bool next_set(struct removal *r, struct uidset *set, char text[SET_BYTES])
{
    bool any = false;

    uidset_init(set, text, SET_BYTES);
    for (; r->at < r->count; r->at++) {
        if (r->copies[r->at].end != COPY_OPEN)
            continue;
        if (!uidset_add(set, r->copies[r->at].target_uid))
            break;
        any = true;
    }
    return any;
}

static void still_told(void *context, const struct imap_message_row *row)
{
    struct copy *copy = copy_at(context, row->uid);

    if (copy)
        copy->seen = true;
}

static void still_ended(void *context, const struct err *err)
{
    if (err)
        fails(context, err);
    else
        prove_next(context);
}

static void prove_next(struct removal *r)
{
    char text[SET_BYTES];
    struct uidset set;

    if (next_set(r, &set, text)) {
        session_fetch_flags(link_session(r->worker->link), uidset_finish(&set), 0, still_told, still_ended, r);
        return;
    }
    for (unsigned i = 0; i < r->count; i++)
        if (r->copies[i].end == COPY_OPEN)
            r->copies[i].end = r->copies[i].seen ? COPY_STAYED : COPY_REMOVED;
    finish(r);
}

static void move_ended(void *context, const struct err *err)
{
    if (err)
        fails(context, err);
    else
        move_next(context);
}

static void move_next(struct removal *r)
{
    char text[SET_BYTES];
    struct uidset set;

    if (next_set(r, &set, text)) {
        session_move(link_session(r->worker->link), uidset_finish(&set), r->into, move_ended, r);
        return;
    }
    r->at = 0;
    for (unsigned i = 0; i < r->count; i++)
        r->copies[i].seen = false;
    prove_next(r);
}

/* ---- looking --------------------------------------------------------------------------------- */

static void copy_told(void *context, const struct imap_message_row *row)
{
    struct removal *r = context;
    struct copy *copy = copy_at(r, row->uid);
    struct follow_flags target = { .system = (uint8_t)(row->flags.system & 0x1f), .keywords = row->flags.keywords };
    uint8_t key[MATCH_KEY_BYTES];
    struct follow_merge merge;

    if (!copy || !row->has_flags || !row->has_header)
        return;
    copy->seen = true;
    match_key(row->header, key);
    header_note(row->header, &copy->note);
    follow_merge(&copy->base, &copy->base, &target, &r->view.keeps, &merge);
    if (memcmp(key, copy->key, sizeof key) != 0 || merge.stays ||
        ((unsigned)(target.system ^ copy->base.system) & r->view.keeps.system & IMAP_FLAG_DELETED))
        copy->end = COPY_CHANGED;
}

static void copies_ended(void *context, const struct err *err)
{
    struct removal *r = context;

    if (err) {
        fails(r, err);
        return;
    }
    for (unsigned i = 0; i < r->count; i++)
        if (r->copies[i].end == COPY_OPEN && (!r->copies[i].seen || r->is_there))
            r->copies[i].end = COPY_REMOVED; /* a person was there before, or it lies where it is to go */
    r->at = 0;
    move_next(r);
}

static void selected(void *context, const struct imap_selected *s)
{
    struct removal *r = context;

    follow_view_take(&r->view, s);
}

/* The UIDs are those of the folder that mail was sent to, and it can be changed. */
static bool is_the_folder(const struct removal *r)
{
    return r->view.uidvalidity && r->view.uidvalidity == r->folder->record.target_uidvalidity && !r->view.read_only;
}

static void select_ended(void *context, const struct err *err)
{
    struct removal *r = context;
    unsigned count = 0;

    if (err) {
        fails(r, err);
        return;
    }
    if (!is_the_folder(r)) {
        for (unsigned i = 0; i < r->count; i++)
            r->copies[i].end = COPY_UNKNOWN;
        finish(r);
        return;
    }
    r->uids = mem_zero(r->count + 1u, sizeof *r->uids);
    for (unsigned i = 0; i < r->count; i++)
        if (r->copies[i].end == COPY_OPEN)
            r->uids[count++] = r->copies[i].target_uid;
    late_rows_fetch(link_session(r->worker->link), r->uids, count, copy_told, copies_ended, r);
}

/* ---- which ----------------------------------------------------------------------------------- */

static bool take_gone(void *context, const struct message_record *m)
{
    struct removal *r = context;
    const struct follow_record *known = follow_known_at(r->known, m->uid);
    struct follow_flags base;
    struct copy *copy;

    if (!known || !known->gone || known->kept)
        return true;
    if (r->count == r->room) {
        r->room = r->room ? r->room * 2 : 64;
        r->copies = mem_resize(r->copies, r->room, sizeof *r->copies);
    }
    base = follow_base(m, known);
    copy = &r->copies[r->count++];
    *copy = (struct copy){ .uid = m->uid, .base = base };
    if (!known->followed)
        copy->base.system = (uint8_t)repair_flags_sent(m->repairs, base.system);
    copy->words = slice_dup(base.keywords);
    copy->base.keywords.data = copy->words;
    memcpy(copy->key, m->header_key, sizeof copy->key);
    if (m->target_uid && !r->folder->record.target_uids_lie && !m->in_doubt)
        copy->target_uid = m->target_uid;
    else
        copy->end = COPY_UNKNOWN;
    if (follow_identity_is_elsewhere(r->folder->account->gone_identity, r->folder->record.folder, m->uid))
        copy->end = COPY_ELSEWHERE;
    return true;
}

struct gathering {
    struct account *account;
    const struct folder *folder;
    struct follow_known *known;
    bool adds;
};

static bool is_nowhere(const struct message_record *m)
{
    return m->state == MESSAGE_SKIPPED && (m->reason == SKIP_VANISHED || m->reason == SKIP_DELETED);
}

static bool gather(void *context, const struct message_record *m)
{
    struct gathering *g = context;
    const struct follow_record *known = follow_known_at(g->known, m->uid);
    bool gone = known && known->gone;

    if (g->adds && gone && !known->kept)
        follow_identity_add(g->account->gone_identity, g->folder->record.folder, m);
    else if (!g->adds && !gone && !is_nowhere(m))
        follow_identity_see(g->account->gone_identity, m);
    return true;
}

/* Which of all that are gone the mailbox has elsewhere: once a run, for all folders together. */
static bool identify(struct account *account, struct err *err_r)
{
    struct reader *reader = account->reactor->reader;
    bool ok = true;

    account->gone_identity = follow_identity_create();
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; ok && i < account->folder_count; i++) {
            const struct folder_record *r = &account->folders[i]->record;
            struct gathering g = { account, account->folders[i], NULL, pass == 0 };

            if (pass == 0 && !account->folders[i]->follow.gone)
                continue;
            ok = follow_known_load(reader, account->id, r->folder, &g.known, err_r) &&
                 reader_messages(reader, account->id, r->folder, ~0u, 0, false, 0, gather, &g, err_r);
            follow_known_free(&g.known);
        }
    return ok;
}

static bool may_move(const struct worker *w)
{
    const struct caps *caps = session_caps(link_session(w->link));

    return caps_has(caps, CAP_MOVE) || caps_has(caps, CAP_IMAP4REV2);
}

/* Nowhere to move them to, or no way. */
static void cannot(struct account *account, struct folder *f, const char *why)
{
    char text[200];

    f->follow.removed = true;
    snprintf(text, sizeof text, "%" PRIu64 " messages were deleted at the source and stay on the target: %s",
             f->follow.gone, why);
    account_problem(account, f->record.folder, "DeletionsHeld", text,
                    "make a folder of deleted items on the target, or remove the messages there by hand");
    account->night.left += f->follow.gone;
}

bool follow_remove_go(struct worker *w)
{
    struct account *account = w->account;
    struct folder *f = follow_next_removal(account);
    const char *into = f ? follow_trash(account) : NULL;
    struct removal *r;
    struct err err;

    if (!f)
        return false;
    if (!into || !may_move(w)) {
        cannot(account, f,
               into ? "it cannot move messages (MOVE)" : "it has no folder of deleted items that can be told");
        account_poke(account);
        return true;
    }
    r = mem_zero(1, sizeof *r);
    r->worker = w;
    r->folder = f;
    r->into = slice_cstr(into);
    r->is_there = strcmp(into, f->target_raw) == 0;
    push_proof_begin(w, f);
    if ((!account->gone_identity && !identify(account, &err)) ||
        !follow_known_load(account->reactor->reader, f->record.user, f->record.folder, &r->known, &err) ||
        !reader_messages(account->reactor->reader, f->record.user, f->record.folder, 1u << MESSAGE_UPLOADED, 0, false,
                         0, take_gone, r, &err)) {
        reactor_abort_run(account->reactor, &err);
        f->follow.removed = true;
        over(r);
        return true;
    }
    if (r->count)
        qsort(r->copies, r->count, sizeof *r->copies, by_target);
    if (count_of(r, COPY_OPEN) == 0)
        finish(r);
    else
        session_select(link_session(w->link), f->record.target_raw, false, selected, select_ended, r);
    return true;
}
