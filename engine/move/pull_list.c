#include "engine/imap/keyword.h"
#include "engine/imap/uidset.h"
#include "engine/message/header.h"
#include "engine/message/policy.h"
#include "engine/move/follow.h"
#include "engine/move/gmail.h"
#include "engine/move/pull_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Messages in a listing window; it is widened when UIDs are sparse. */
#define WINDOW_ROWS_WANTED 4000u
/* Kept of one, when they come much denser than before. */
#define WINDOW_ROWS_MOST 200000u
/* Connections that a folder may cost while others do well. */
#define LOSSES_MAX 4u
/* The same where its rows took more memory than there is. */
#define LISTINGS_TOO_LARGE 2u
/* Windows refused in a row, each half of the one before: then it is the folder. */
#define REFUSED_MAX 40u

static void list_window(struct worker *w);

/* The folder is given up, and the rest of the mailbox goes on. */
static void refuse_listed(struct folder *f, const char *type, const struct err *err)
{
    account_failure(f->account, FAILURE_SOURCE, TROUBLE_SELECT, type, err, f, 0);
    folder_set_pull(f, PULL_REFUSED);
    account_fail(f->account, type, true);
}

/* The connection went while the folder was opened (for its list or, later, for its bodies) or listed. When
 * that happens again and again, and all else goes well in the meantime, it is the folder (quirk C6): it is
 * given up, not the mailbox. */
static void folder_lost(struct folder *f, bool opening, const struct err *cause)
{
    struct account *account = f->account;
    uint64_t progress = account->sides[SIDE_SOURCE].progress;
    const char *type;
    struct err err;

    if ((f->pull != PULL_UNLISTED && !(opening && f->pull == PULL_BODIES)) || cause->class == ERR_CLASS_CANCELED)
        return;
    if (f->losses++ == 0)
        f->losses_progress = progress;
    if (trouble_is_memory(cause) ? f->losses < LISTINGS_TOO_LARGE
                                 : f->losses < LOSSES_MAX || progress == f->losses_progress)
        return;
    if (trouble_is_memory(cause)) {
        refuse_listed(f, "ListTooLarge", cause);
        return;
    }
    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_BYE, 0,
            "the server ended the connection each of %u times that the folder was opened: %.150s", f->losses,
            cause->server_text);
    err_doing(&err, "EXAMINE %s", f->source_name);
    type = trouble_type(TROUBLE_SELECT, FAILURE_SOURCE, &err);
    if (strcmp(type, "ServerBug") == 0)
        pull_tell_bug(f, cause);
    refuse_listed(f, type, &err);
}

void pull_step_failed(struct worker *w, enum trouble_doing doing, const struct err *err)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;
    struct account *account = w->account;
    struct trouble_verdict verdict;
    bool opening = p->step == PULL_STEP_SELECTING;

    p->step = PULL_STEP_FREE;
    w->busy = false;
    if (f->pull == PULL_LISTING)
        folder_set_pull(f, PULL_UNLISTED);
    if (!link_is_ready(w->link)) {
        folder_lost(f, opening, err);
        pull_folder_release(w); /* the link ends; its account decides */
        return;
    }
    trouble_judge(doing, FAILURE_SOURCE, err, p->attempts++,
                  (unsigned)account->reactor->settings->policy.transient_failure_limit, account->id, &verdict);
    if (verdict.action == TROUBLE_HOLD || verdict.action == TROUBLE_FEWER) {
        account_throttled(account, SIDE_SOURCE, 0, err, verdict.wait_ms);
    } else if (verdict.action == TROUBLE_RETRY) {
        account_failure(account, FAILURE_SOURCE, doing, verdict.type, err, f, 0);
        loop_timer_set(account->reactor->loop, &w->again, verdict.wait_ms, (void (*)(void *))pull_go, w);
        pull_folder_release(w);
        return;
    } else {
        account_failure(account, FAILURE_SOURCE, doing, verdict.type, err, f, 0);
        folder_set_pull(f, PULL_REFUSED);
        account_fail(account, verdict.type, true);
        p->attempts = 0;
    }
    pull_folder_release(w);
    worker_idle(w);
}

_Static_assert(KEYWORDS_BYTES_MAX == RECORD_KEYWORDS_BYTES_MAX, "the journal holds what a row brings");

static int row_by_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct message_record *)a)->uid, y = ((const struct message_record *)b)->uid;

    return (x > y) - (x < y);
}

void pull_list_row(void *context, const struct imap_message_row *row)
{
    struct worker *w = context;
    struct pull *p = w->work;
    struct account *account = w->account;
    struct message_record *m;

    if (row->uid < p->from || row->uid > p->to || pull_is_known(&p->missing, row->uid))
        return;
    if (p->row_count == WINDOW_ROWS_MOST) {
        /* The next look at it is for half as many UIDs. */
        w->folder->list_width = p->width > 1 ? p->width / 2 : 1;
        source_give_up(link_source(w->link), "the server sends more rows at once than can be kept");
        return;
    }
    if (p->row_count == p->row_room) {
        p->row_room = p->row_room ? p->row_room * 2 : 256;
        p->rows = mem_resize(p->rows, p->row_room, sizeof *p->rows);
    }
    m = &p->rows[p->row_count++];
    *m = (struct message_record){
        .uid = row->uid,
        .state = MESSAGE_FOUND,
        .flags = (uint8_t)(row->flags.system & 0x1f),
        .date_known = row->date.known,
        .zone_minutes = row->date.zone_minutes,
        .date_seconds = row->date.seconds,
        .listed_bytes = row->size_bytes,
        .source_id = row->gm_msgid,
    };
    /* An offset until the block stands still. */
    if (row->flags.keywords.size && buf_append(&p->words, row->flags.keywords)) {
        m->keywords.data = (const char *)(uintptr_t)(p->words.size - row->flags.keywords.size);
        m->keywords.size = row->flags.keywords.size;
    }
    if ((row->flags.dropped || m->keywords.size != row->flags.keywords.size) && !p->keywords_dropped)
        p->keywords_dropped = row->uid;
    m->reason = policy_judge(account->reactor->settings, account->user, m);
    if (m->reason != SKIP_NONE)
        m->state = MESSAGE_SKIPPED;
}

/* Something is there that was not listed, or may be. */
static bool is_incomplete(const struct pull *p)
{
    return p->doubted || p->damaged || pull_is_short(p);
}

/* The folder holds what cannot be asked for: a message whose number nobody can read is none that may be
 * passed over. What was asked for besides has made up for so many rows that were damaged. */
static bool is_unreadable(const struct pull *p)
{
    const struct pull_missing *m = &p->missing;

    if (!p->looked)
        return false;
    if (m->unread || (!m->searched && !p->exists_told))
        return true;
    return p->damaged > m->count && (p->base > 1 || pull_is_short(p));
}

/* Nothing was listed, and that is not known to be all: the next run begins where this one did. */
static bool is_blind(const struct pull *p)
{
    return p->listed == 0 && p->row_count == 0 && (p->exists || !p->exists_told);
}

static void listing_done(struct worker *w);
static void missing_ended(struct worker *w, const struct err *err);
static void rows_in_order(struct pull *p);
static void ask_notes(struct worker *w);
static void note_row(void *context, const struct imap_message_row *row);
static void notes_ended(void *context, const struct err *err);

static void drop_window(struct pull *p)
{
    p->row_count = 0;
    buf_clear(&p->words);
    buf_trim(&p->words);
    free(p->notes);
    p->notes = NULL;
    quota_let_go(&p->held);
}

/* A command of more is done in part only, where the server has a limit (RFC 9738). */
static uint32_t rows_wanted(const struct worker *w)
{
    uint32_t limit = link_source(w->link)->traits.set_max;

    return limit && limit < WINDOW_ROWS_WANTED ? limit : WINDOW_ROWS_WANTED;
}

/* Into the journal with the window; then the next, or the folder is listed. */
static void window_done(struct worker *w)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;
    struct account *account = w->account;
    struct reactor *reactor = account->reactor;
    bool last = p->to == UINT32_MAX || p->to >= p->uidnext - 1, blind = is_blind(p);
    uint32_t next = last ? p->uidnext : p->to + 1, cursor, seen;
    struct store_op *op = store_op_new(STORE_OP_FOUND, f->record.user, f->record.folder);

    if (p->row_count && p->rows[p->row_count - 1].uid >= next)
        next = p->rows[p->row_count - 1].uid + 1;
    for (unsigned i = 0; i < p->row_count; i++) {
        struct message_record *m = &p->rows[i];

        pull_missing_saw(w, m->uid);
        if (!gmail_label_owners(f, m->source_id)) {
            m->state = MESSAGE_SKIPPED;
            m->reason = SKIP_DUPLICATE;
        }
        folder_count_found(f, m->state, m->listed_bytes);
    }
    /* A folder of one window goes straight into the queue; others are read back page by page. */
    if (last && p->windows == 1 && p->row_count <= 1000 && !f->wanted.more) {
        for (unsigned i = 0; i < p->row_count; i++) {
            struct folder_item item;
            struct message_record m = p->rows[f->wanted.oldest_first ? i : p->row_count - 1 - i];

            if (m.state != MESSAGE_FOUND)
                continue;
            if (m.keywords.size)
                m.keywords.data = buf_slice(&p->words).data + (uintptr_t)m.keywords.data;
            item_of_record(&item, &m);
            queue_push_back(&f->wanted, &item);
        }
    }
    op->found.rows = p->rows;
    op->found.count = p->row_count;
    op->found.notes = p->notes;
    cursor = blind ? p->base : next;
    if (cursor < f->record.uidnext_listed)
        cursor = f->record.uidnext_listed;
    op->found.uidnext_listed = f->record.uidnext_listed = cursor;
    p->rows = NULL;
    p->notes = NULL;
    if (p->words.size) {
        op->text = slice_dup(buf_slice(&p->words));
        for (unsigned i = 0; i < op->found.count; i++)
            if (op->found.rows[i].keywords.size)
                op->found.rows[i].keywords.data = op->text + (uintptr_t)op->found.rows[i].keywords.data;
    }
    p->listed += p->row_count;
    p->row_count = p->row_room = 0;
    buf_clear(&p->words);
    buf_trim(&p->words);
    quota_let_go(&p->held);
    seen = op->found.count;
    if (seen)
        account_found_mail(account);
    reactor_submit_unwaited(reactor, op);
    if (!last) {
        /* Aim at a few thousand rows a window, however sparse the UIDs are. */
        if (f->list_width) {
            /* Behind the message that made it small, back to the usual one. */
            p->width *= 2;
            f->list_width = p->width < rows_wanted(w) ? p->width : 0;
        } else if (seen < rows_wanted(w) / 4 && p->width < UINT32_MAX / 8)
            p->width *= 4;
        else if (seen > rows_wanted(w) && p->width > rows_wanted(w))
            p->width /= 2;
        p->from = next;
        list_window(w);
        return;
    }
    if (!p->looked && is_incomplete(p)) {
        p->looked = true;
        p->from = p->base;
        p->to = UINT32_MAX;
        pull_missing_ask(w, missing_ended);
        return;
    }
    listing_done(w);
}

static void missing_ended(struct worker *w, const struct err *err)
{
    struct pull *p = w->work;

    if (err) {
        /* What was listed stays; what was not is told, since the next look begins behind it. */
        pull_tell_hidden(w);
        drop_window(p);
        pull_step_failed(w, TROUBLE_FETCH, err);
        return;
    }
    p->to = UINT32_MAX;
    rows_in_order(p);
    ask_notes(w);
}

static void followed(struct worker *w, const struct err *err);

static void listing_done(struct worker *w)
{
    struct pull *p = w->work;
    const struct folder *f = w->folder;
    uint64_t modseq = p->modseq;

    if (modseq == 0 && f->has_source_status && (f->source_status.has & IMAP_STATUS_HIGHESTMODSEQ))
        modseq = f->source_status.highestmodseq;
    follow_source(w, p->known_below, modseq, followed);
}

/* The folder is in the journal, and its bodies may be fetched. */
static void folder_listed(struct worker *w)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;
    struct account *account = w->account;
    bool unreadable = is_unreadable(p);

    p->step = PULL_STEP_FREE;
    w->busy = false;
    p->attempts = 0;
    folder_set_pull(f, PULL_BODIES);
    pull_progressed(account);
    /* Of a folder that is not known to be listed whole the next run takes a look again. */
    f->record.status_uidnext = unreadable ? 0 : p->uidnext;
    f->record.status_messages = p->exists;
    f->record.status_modseq =
        f->has_source_status && (f->source_status.has & IMAP_STATUS_HIGHESTMODSEQ) ? f->source_status.highestmodseq : 0;
    if (f->wanted.count == 0 && f->record.tally.waiting > f->fetching + f->storing)
        folder_want_stored(f);
    if (unreadable)
        pull_tell_unreadable(w);
    else
        pull_tell_hidden(w);
    pull_tell_less(f);
    pull_tell_keywords(w);
    pull_missing_clear(&p->missing);
    f->listed_now = true;
    folder_put(f);
    pull_settle_if_done(f);
    worker_idle(w);
}

static void gone_asked(struct worker *w, const struct err *err)
{
    if (!err) {
        folder_listed(w);
        return;
    }
    pull_tell_hidden(w);
    drop_window(w->work);
    pull_step_failed(w, TROUBLE_FETCH, err);
}

/* What is hidden is not gone. */
static void followed(struct worker *w, const struct err *err)
{
    const struct pull *p = w->work;

    if (err || !p->exists_told || is_incomplete(p) || is_unreadable(p))
        gone_asked(w, err);
    else
        follow_gone(w, p->known_below, p->exists, gone_asked);
}

/* Subject and Message-ID of what is too large, for the report: some at a time. */
static void ask_notes(struct worker *w)
{
    struct pull *p = w->work;
    char text[1000];
    struct uidset set;
    bool any = false;

    uidset_init(&set, text, sizeof text);
    for (; p->noted < p->row_count; p->noted++) {
        if (p->rows[p->noted].reason != SKIP_LARGER_THAN_LIMIT)
            continue;
        if (!uidset_add(&set, p->rows[p->noted].uid))
            break;
        any = true;
    }
    if (!any) {
        window_done(w);
        return;
    }
    if (!p->notes) {
        p->notes = mem_zero(p->row_count, sizeof *p->notes);
        quota_hold(&p->held, w->account->memory, p->row_count * sizeof *p->notes);
    }
    source_rows(link_source(w->link), uidset_finish(&set), SLICE("DATE SUBJECT MESSAGE-ID"), note_row, notes_ended, w);
}

static void note_row(void *context, const struct imap_message_row *row)
{
    struct worker *w = context;
    struct pull *p = w->work;
    struct message_record key = { .uid = row->uid }, *at;

    at = bsearch(&key, p->rows, p->row_count, sizeof key, row_by_uid);
    if (at)
        header_note(row->header, &p->notes[at - p->rows]);
}

/* A note is not worth a folder: what was not told stays empty. */
static void notes_ended(void *context, const struct err *err)
{
    struct worker *w = context;

    if (err && (!link_is_ready(w->link) || err->scope >= ERR_SCOPE_ACCOUNT)) {
        drop_window(w->work);
        pull_step_failed(w, TROUBLE_FETCH, err);
        return;
    }
    ask_notes(w);
}

/* In order, each once. */
static void rows_in_order(struct pull *p)
{
    unsigned kept = 0;

    if (p->row_count)
        qsort(p->rows, p->row_count, sizeof *p->rows, row_by_uid);
    for (unsigned i = 0; i < p->row_count; i++)
        if (kept == 0 || p->rows[i].uid != p->rows[kept - 1].uid)
            p->rows[kept++] = p->rows[i];
    p->row_count = kept;
    p->noted = 0;
}

/* A set was refused, for one of its messages most often (quirk C5): asked for again in halves, and a
 * message that cannot be listed alone is looked for at the end. */
static void window_refused(struct worker *w)
{
    struct pull *p = w->work;
    uint32_t last = p->to == UINT32_MAX ? p->uidnext - 1 : p->to;

    if (last > p->from) {
        w->folder->list_width = p->width = (last - p->from + 1) / 2;
        p->windows++;
        list_window(w);
        return;
    }
    p->doubted = true;
    p->to = p->from;
    rows_in_order(p);
    ask_notes(w);
}

static void window_ended(void *context, const struct err *err)
{
    struct worker *w = context;
    struct pull *p = w->work;

    if (err) {
        drop_window(p);
        if (link_is_ready(w->link) && err->scope <= ERR_SCOPE_FOLDER && err->class != ERR_CLASS_THROTTLED &&
            ++p->refused < REFUSED_MAX)
            window_refused(w);
        else
            pull_step_failed(w, TROUBLE_FETCH, err);
        return;
    }
    p->refused = 0;
    p->damaged += source_damaged_count(link_source(w->link)) - p->damaged_mark;
    rows_in_order(p);
    ask_notes(w);
}

static void list_window(struct worker *w)
{
    struct pull *p = w->work;
    char set[32];

    p->windows++;
    p->damaged_mark = source_damaged_count(link_source(w->link));
    if (p->capped && p->uidnext - p->from <= p->width) {
        p->to = p->uidnext - 1;
        snprintf(set, sizeof set, "%" PRIu32 ":%" PRIu32, p->from, p->to);
    } else if (p->uidnext - p->from <= p->width) {
        p->to = UINT32_MAX;
        snprintf(set, sizeof set, "%" PRIu32 ":*", p->from);
    } else {
        p->to = p->from + p->width - 1;
        snprintf(set, sizeof set, "%" PRIu32 ":%" PRIu32, p->from, p->to);
    }
    source_rows(link_source(w->link), slice_cstr(set), SLICE(""), pull_list_row, window_ended, w);
}

/* UIDNEXT was not told (quirk S02): the highest UID stands in for it. */
static void highest_row(void *context, const struct imap_message_row *row)
{
    struct worker *w = context;
    struct pull *p = w->work;

    if (row->uid >= p->uidnext)
        p->uidnext = row->uid + 1;
}

static void list_begin(struct worker *w);

static void highest_ended(void *context, const struct err *err)
{
    struct worker *w = context;
    struct pull *p = w->work;

    /* Where the server does not say that there is anything, its refusal says nothing either. */
    if (err && (p->exists_told || !link_is_ready(w->link) || err->scope > ERR_SCOPE_FOLDER ||
                err->class == ERR_CLASS_THROTTLED)) {
        pull_step_failed(w, TROUBLE_FETCH, err);
        return;
    }
    p->damaged += source_damaged_count(link_source(w->link)) - p->damaged_mark;
    if (p->uidnext == 0)
        p->uidnext = 1;
    list_begin(w);
}

static void listed_nothing(struct worker *w)
{
    struct pull *p = w->work;

    p->to = UINT32_MAX;
    p->row_count = 0;
    window_done(w);
}

static void list_begin(struct worker *w)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;
    uint64_t spread;

    pull_missing_clear(&p->missing);
    p->from = pull_lists_again(w) || f->record.uidnext_listed == 0 ? 1 : f->record.uidnext_listed;
    p->known_below = f->record.uidnext_listed;
    p->expected_before = f->record.tally.found;
    p->listed = 0;
    p->windows = p->refused = 0;
    p->keywords_dropped = 0;
    p->base = p->from;
    p->doubted = !p->exists_told;
    p->looked = false;
    /* A label's newest mail is in folders of a higher rank that were listed before it came. */
    p->capped = f->account->gmail && (f->source_status.has & IMAP_STATUS_UIDNEXT) && f->source_status.uidnext &&
                f->source_status.uidnext < p->uidnext;
    if (p->capped)
        p->uidnext = f->source_status.uidnext;
    if (p->uidnext < p->from && !p->capped && p->exists) {
        /* UIDNEXT never falls: what it says now is no bound. RFC 9051 2.3.1.1 */
        p->uidnext = p->from;
    } else if (p->exists == 0 || p->from >= p->uidnext) {
        if (p->uidnext < p->from)
            p->uidnext = p->from;
        listed_nothing(w);
        return;
    }
    spread = (uint64_t)(p->uidnext - p->from) / p->exists;
    spread = (spread ? spread : 1) * rows_wanted(w);
    p->width = spread > UINT32_MAX / 8 ? UINT32_MAX / 8 : (uint32_t)spread;
    if (f->list_width && f->list_width < p->width)
        p->width = f->list_width;
    list_window(w);
}

void pull_list_folder(struct worker *w)
{
    struct pull *p = w->work;

    w->busy = true;
    p->step = PULL_STEP_LISTING;
    p->damaged = 0;
    p->damaged_mark = source_damaged_count(link_source(w->link));
    if (p->uidnext == 0 && (p->exists > 0 || !p->exists_told))
        source_rows(link_source(w->link), SLICE("*"), SLICE(""), highest_row, highest_ended, w);
    else
        list_begin(w);
}
