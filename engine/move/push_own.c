/* Our own copies in a target folder, before a look at what else it holds is built on their UIDs: is what APPENDUID told
 * true, and what does this target make of sizes and dates? */
#include "engine/imap/uidset.h"
#include "engine/move/push_private.h"
#include "io/base/log.h"

#include <stdlib.h>
#include <string.h>

/* Those with the highest UIDs are asked for: the floor is made of them. */
static bool take_one(void *context, const struct message_record *m)
{
    struct push_own *own = context;
    unsigned lowest = 0;

    own->unplaced |= m->target_uid == 0 && m->target_uid_from == 0;
    if (m->target_uid == 0 || m->state != MESSAGE_UPLOADED)
        return true;
    for (unsigned i = 1; i < own->count; i++)
        if (own->rows[i].uid < own->rows[lowest].uid)
            lowest = i;
    if (own->count < PUSH_OWN_MAX)
        lowest = own->count++;
    else if (own->rows[lowest].uid >= m->target_uid)
        return true;
    own->rows[lowest] = push_row_of(m);
    own->rows[lowest].uid = m->target_uid;
    return true;
}

static void own_row(void *context, const struct imap_message_row *row)
{
    struct worker *w = context;
    struct push_own *own = &((struct push *)w->work)->own;
    struct match_fidelity *fidelity = &w->account->reactor->fidelity;
    uint8_t key[MATCH_KEY_BYTES];

    for (unsigned i = 0; i < own->count; i++) {
        const struct match_row *ours = &own->rows[i];

        if (ours->uid != row->uid)
            continue;
        match_key(row->header, key);
        if (memcmp(key, ours->key, sizeof key) == 0) {
            own->right++;
            own->right_before += row->uid <= w->folder->seen_before;
            match_fidelity_size(fidelity, ours->bytes, row->size_bytes, true);
            if (row->date.known && ours->seconds != INT64_MIN)
                match_fidelity_date(fidelity, row->date.seconds == ours->seconds, true);
        } else if (key[0] == 'M' && ours->key[0] == 'M') {
            own->wrong++;
            own->wrong_before += row->uid <= w->folder->seen_before;
        }
        return;
    }
}

/* Nor is what was reckoned from such numbers true: from which UID on messages without an answer are to be looked for,
 * and copies of them that come late. The next runs must know it, though they may send nothing. */
void push_uids_lie(struct folder *f)
{
    struct folder_record *r = &f->record;

    if (r->target_uids_lie)
        return;
    r->target_uids_lie = true;
    f->floor = r->target_uid_floor = 1;
    if (r->target_lost_from)
        r->target_lost_from = 1;
    /* What is sent again after this, too. */
    if (f->again_from)
        f->again_from = 1;
    folder_put(f);
    account_problem(f->account, r->folder, "TargetUidsWrong",
                    "the target told other numbers for messages it stored than they have there; they are known "
                    "again by their headers instead",
                    "nothing to do");
}

void push_own_tell_dates(struct folder *f)
{
    struct account *account = f->account;

    if (!account->dates_told && !match_dates_kept(&account->reactor->fidelity, false)) {
        account->dates_told = true;
        account_problem(account, f->record.folder, "TargetDatesOwn",
                        "the target gives messages dates of its own; they are known again by their Message-ID and "
                        "size instead",
                        "nothing to do; mail programs may sort moved mail by the day it was moved");
    }
}

/* UIDs that were told before this run have been given to others' mail, or to none: the folder is as it was some time
 * ago, as from a backup, and what was moved since is looked for. They may also have been wrong from the first: then all
 * is there. */
static void put_back(struct worker *w)
{
    struct folder *f = w->folder;

    if (!f->record.target_uids_lie && (f->target_status.has & IMAP_STATUS_UIDVALIDITY) &&
        f->target_status.uidvalidity == f->uidvalidity_before)
        account_target_removed(f);
}

static void own_ended(void *context, const struct err *err)
{
    struct worker *w = context;
    struct push_own *own = &((struct push *)w->work)->own;

    if (!err) {
        if (own->wrong_before > own->right_before)
            put_back(w);
        if (own->wrong > own->right)
            push_uids_lie(w->folder);
        push_own_tell_dates(w->folder);
    }
    own->ended(w, err);
}

static int by_uid(const void *a, const void *b)
{
    const struct match_row *x = a, *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

void push_own_ask(struct worker *w, void (*ended)(struct worker *w, const struct err *err))
{
    struct push *p = w->work;
    struct folder *f = w->folder;
    char text[PUSH_OWN_MAX * 12 + 24];
    struct uidset set;
    struct err err;

    p->own = (struct push_own){ .ended = ended };
    if (f->target_moved) {
        ended(w, NULL);
        return;
    }
    /* No UID that was told is below this one, and it never falls. */
    if (p->uidnext && p->uidnext <= f->seen_before)
        put_back(w);
    if (p->uidnext && (p->uidnext <= f->highest_seen || p->uidnext <= f->record.target_highest_seen))
        push_uids_lie(f);
    if (!reader_messages(w->account->reactor->reader, f->record.user, f->record.folder,
                         1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT, UINT32_MAX, true, 0, take_one, &p->own,
                         &err)) {
        reactor_abort_run(w->account->reactor, &err);
        return;
    }
    if (p->own.count == 0) {
        own_ended(w, NULL);
        return;
    }
    qsort(p->own.rows, p->own.count, sizeof *p->own.rows, by_uid);
    uidset_init(&set, text, sizeof text);
    for (unsigned i = 0; i < p->own.count; i++)
        if (i == 0 || p->own.rows[i].uid > p->own.rows[i - 1].uid)
            (void)uidset_add(&set, p->own.rows[i].uid);
    session_fetch_rows(link_session(w->link), uidset_finish(&set), SLICE("MESSAGE-ID DATE FROM SUBJECT"), own_row,
                       own_ended, w);
}
