/* Second copies on the target. No settle time is safe: a message whose answer was lost, that two looks did not find and
 * that was sent again may still be stored. The folder's record keeps from which UID on, the message's row how often it
 * was sent without an answer; at the end of the user's work, in this run and in each later one, the folder is asked for
 * messages that no row claims. Such a copy beside ours is told, not removed (`tidy` does). The same look tells of
 * somebody else who moves the same mail at the same time. */
#include "engine/move/push_late.h"
#include "engine/move/late.h"
#include "engine/move/push_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A link may go while it is asked; more often than this it is left to the next run. */
#define TRIES_MAX     3u
#define UIDS_A_RECORD 4096u

/* ---- what is noted before anything is sent again ------------------------------------------- */

/* Takes the UIDs over. */
static void note(struct folder *f, uint32_t *uids, unsigned count)
{
    struct store_op *op = store_op_new(STORE_OP_UNANSWERED, f->record.user, f->record.folder);

    op->unanswered.uids = uids;
    op->unanswered.count = count;
    reactor_submit_unwaited(f->account->reactor, op);
}

void push_late_note(struct folder *f, struct folder_item *items, unsigned count)
{
    uint32_t *uids = mem_alloc(count * sizeof *uids);

    for (unsigned i = 0; i < count; i++) {
        uids[i] = items[i].uid;
        items[i].noted = true;
    }
    note(f, uids, count);
}

void push_late_again(struct folder *f, const struct folder_item *item)
{
    struct folder_record *r = &f->record;
    uint32_t from = f->again_from ? f->again_from : 1;

    if (!item->noted || (r->target_lost_from && r->target_lost_from <= from))
        return;
    r->target_lost_from = from;
    /* In the journal before what becomes of it; a run that is killed before that begins with it as an unknown. */
    folder_put(f);
}

struct gathering {
    struct folder *folder;
    uint32_t *uids; /* NULL, or room for UIDS_A_RECORD */
    unsigned count;
};

static bool gather(void *context, const struct message_record *m)
{
    struct gathering *g = context;

    if (!g->uids)
        g->uids = mem_alloc(UIDS_A_RECORD * sizeof *g->uids);
    g->uids[g->count++] = m->uid;
    if (g->count == UIDS_A_RECORD) {
        note(g->folder, g->uids, g->count);
        g->uids = NULL;
        g->count = 0;
    }
    return true;
}

void push_late_note_spooled(struct folder *f)
{
    struct gathering g = { .folder = f };
    struct err err;

    if (!reader_messages(f->account->reactor->reader, f->record.user, f->record.folder, 1u << MESSAGE_SPOOLED, 0, false,
                         0, gather, &g, &err)) {
        reactor_abort_run(f->account->reactor, &err);
        free(g.uids);
    } else if (g.uids) {
        note(f, g.uids, g.count);
    }
}

/* ---- when it is looked --------------------------------------------------------------------- */

/* Others put mail into the folder while this run sent to it; from this UID on. 0: nobody, as far as one can tell. */
static uint32_t shared_from(const struct folder *f)
{
    return f->others_came && f->sent_from != UINT32_MAX ? f->sent_from : 0;
}

bool push_late_is_due(const struct folder *f)
{
    return (f->record.target_lost_from || shared_from(f)) && !f->late_looked && f->target_raw && !f->record.excluded &&
           f->push != PUSH_REFUSED;
}

void push_late_anew(struct folder *f)
{
    f->late_looked = false;
    f->late_tries = 0;
}

static bool has_doubt(const struct folder *f)
{
    return account_doubts(f->account, f, "LateCopy", NULL) || account_doubts(f->account, f, "TwoSenders", NULL);
}

/* ---- what it finds ------------------------------------------------------------------------- */

struct found {
    uint64_t late, others;
    bool unrecognised; /* of some that are late it is not known that they are */
    const struct surplus_copy *late_first, *others_first;
};

/* The copy of a message that was sent once is of interest where it came between those of this run, or was told before:
 * a person may copy mail. */
static bool is_others(const struct folder *f, const struct surplus_copy *copy)
{
    return (shared_from(f) && copy->seen.uid >= shared_from(f)) || account_doubts(f->account, f, "TwoSenders", NULL);
}

static struct found found_in(const struct folder *f, struct surplus *surplus)
{
    bool told_before = account_doubts(f->account, f, "LateCopy", NULL);
    struct found found = { 0 };
    const struct surplus_copy *copies;
    size_t n;

    copies = surplus_copies(surplus, &n);
    for (size_t i = 0; i < n; i++) {
        log_line(LOG_DEBUG, "folder.copy", "user=%s folder=%s uid=%u of=%u beside=%u kind=%d",
                 f->account->user->email_address, f->target_name, copies[i].seen.uid, copies[i].message,
                 copies[i].kept_uid, (int)copies[i].kind);
        if (late_is_ours(&f->record, surplus, &copies[i], told_before)) {
            if (found.late++ == 0)
                found.late_first = &copies[i];
            found.unrecognised |= !surplus_came_late(&copies[i]);
        } else if (is_others(f, &copies[i]) && found.others++ == 0) {
            found.others_first = &copies[i];
        }
    }
    return found;
}

static const char *example(const struct surplus_copy *copy, uint64_t count, char *text, size_t cap)
{
    if (copy->kept_uid)
        snprintf(text, cap, "UID %" PRIu32 " beside UID %" PRIu32 "%s", copy->seen.uid, copy->kept_uid,
                 count == 1 ? "" : " is the first");
    else
        snprintf(text, cap, "UID %" PRIu32 "%s", copy->seen.uid, count == 1 ? "" : " is the first");
    return text;
}

static void tell(struct folder *f, const struct found *found)
{
    char text[64];

    if (found->late)
        account_doubt(f->account, f, "LateCopy", found->late, "%s holds %llu second cop%s of messages that %s: %s",
                      f->target_name, (unsigned long long)found->late, found->late == 1 ? "y" : "ies",
                      surplus_words(!found->unrecognised), example(found->late_first, found->late, text, sizeof text));
    else
        account_doubt_clear(f->account, f, "LateCopy");
    if (found->others)
        account_doubt(f->account, f, "TwoSenders", found->others,
                      "%s holds second copies of %llu message%s of this user that somebody else put there while this "
                      "run was sending: %s",
                      f->target_name, (unsigned long long)found->others, found->others == 1 ? "" : "s",
                      example(found->others_first, found->others, text, sizeof text));
    else
        account_doubt_clear(f->account, f, "TwoSenders");
}

/* The mark stays: what was sent without an answer may be stored at any time. */
static void keep(struct folder *f, const struct found *found, const struct imap_status *status)
{
    struct folder_record *r = &f->record;
    struct folder_record before = *r;

    if (found->others && (r->target_lost_from == 0 || r->target_lost_from > shared_from(f)) && shared_from(f))
        r->target_lost_from = shared_from(f);
    r->target_late_seen = r->target_lost_from && (status->has & IMAP_STATUS_UIDNEXT) ? status->uidnext : 0;
    if (r->target_lost_from != before.target_lost_from || r->target_late_seen != before.target_late_seen)
        folder_put(f);
}

/* ---- the look ------------------------------------------------------------------------------ */

static void fails(struct worker *w, const struct err *err)
{
    struct folder *f = w->folder;

    if (err->origin == ERR_ORIGIN_STORE) {
        reactor_abort_run(w->account->reactor, err);
    } else if (++f->late_tries >= TRIES_MAX) {
        /* What it holds is not known: the next run looks again. */
        f->late_looked = true;
        account_doubt(w->account, f, "LateCopy", 0,
                      "whether %s holds second copies of messages whose answers were lost could not be seen: %s",
                      f->target_name, err->server_text);
    } else if (link_is_ready(w->link)) {
        account_hold(w->account, SIDE_TARGET, err->wait_ms ? err->wait_ms : 1000, STALL_RETRY);
    }
    push_proof_end(w);
}

static void looked(void *context, struct late_look *look, const struct err *err)
{
    struct worker *w = context;
    struct folder *f = w->folder;
    struct found found;

    if (err) {
        fails(w, err);
        late_look_free(&look);
        return;
    }
    f->late_looked = true;
    if (late_is_another(look)) {
        /* The folder is gone, and any copies with it. What was sent by its name may come into the new one. */
        account_doubt_clear(w->account, f, "LateCopy");
        account_doubt_clear(w->account, f, "TwoSenders");
        f->record.target_lost_from = f->record.target_lost_from ? 1 : 0;
        f->record.target_late_seen = 0;
        folder_put(f);
    } else {
        found = found_in(f, late_surplus(look));
        log_line(LOG_DEBUG, "folder.late", "user=%s folder=%s from=%" PRIu32 " late=%llu others=%llu",
                 w->account->user->email_address, f->target_name, f->record.target_lost_from,
                 (unsigned long long)found.late, (unsigned long long)found.others);
        tell(f, &found);
        keep(f, &found, late_status(look));
    }
    late_look_free(&look);
    push_proof_end(w);
}

void push_late_begin(struct worker *w, struct folder *f)
{
    const struct folder_record *r = &f->record;
    uint32_t shared = shared_from(f);
    struct late_config config = {
        .session = link_session(w->link),
        .raw = r->target_raw,
        .read_only = true,
        .floor = r->target_lost_from && (!shared || r->target_lost_from < shared) ? r->target_lost_from : shared,
        .uidvalidity = r->target_uidvalidity,
        .uids_lie = r->target_uids_lie,
        .sends_unknown = r->target_sends_unknown,
        .reader = w->account->reactor->reader,
        .user = r->user,
        .folder = r->folder,
        .fidelity = &w->account->reactor->fidelity,
    };

    /* What was there at the last look is not ours; but copies that were told are looked for until they are gone. */
    if (!has_doubt(f))
        config.from = shared && shared < r->target_late_seen ? shared : r->target_late_seen;
    push_proof_begin(w, f);
    late_look_begin(&config, looked, w);
}
