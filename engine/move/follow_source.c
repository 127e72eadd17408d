#include "engine/move/follow.h"

#include "engine/message/follow_known.h"
#include "engine/message/follow_merge.h"
#include "io/base/buf.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Messages that one FETCH is about, where the source does not tell which changed. */
#define WINDOW_ROWS 4000u
/* Kept at once; where more changed they are asked for window by window. */
#define ROWS_MOST        200000u
#define WORDS_BYTES_MOST (16u << 20)
/* In one operation of the journal. */
#define CHANGES_AT_ONCE 1000u

/* States of messages that are on the target, or will be. */
#define FOLLOWED_STATES                                                                                                \
    (1u << MESSAGE_FOUND | 1u << MESSAGE_SPOOLED | 1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT |                    \
     1u << MESSAGE_FAILED)

struct told {
    uint32_t uid;
    uint8_t system;
    bool partial;      /* it has keywords that cannot be told: they are not compared */
    uint32_t at, size; /* of its keywords, in words */
};

struct scan {
    struct worker *worker;
    void (*ended)(struct worker *w, const struct err *err);
    uint32_t from, to, below;
    uint64_t since, modseq;
    struct told *rows; /* of the window */
    unsigned count, room;
    struct buf words;
    bool overflows; /* more came than is kept */
    bool unsure;    /* of some it was not told what they have: the folder is looked at again */
    unsigned damaged_mark;
    struct quota_hold held;
    struct follow_known *known;
    uint32_t window_rows, window_last; /* of the journal's rows, while a window's end is looked for */
    struct store_follow *changes;
    unsigned change_count;
    struct buf texts;
    uint64_t wants, sames;
};

static bool follows_flags(const struct account *account)
{
    const struct settings *settings = account->reactor->settings;

    return settings->policy.follow_flags != SETTINGS_FOLLOW_FLAGS_NO && settings->mode != SETTINGS_MODE_PLAN &&
           account_uses(account, SIDE_SOURCE);
}

static bool only_changes(const struct account *account)
{
    return account->reactor->settings->policy.follow_flags == SETTINGS_FOLLOW_FLAGS_CHANGES;
}

/* ---- at the start ---------------------------------------------------------------------------- */

struct loading {
    struct account *account;
    struct folder *folder; /* of the last record */
    unsigned at;
};

static bool load(void *context, const struct follow_record *r)
{
    struct loading *l = context;

    /* Both are in the order of their numbers. */
    while (l->at < l->account->folder_count && l->account->folders[l->at]->record.folder < r->folder)
        l->at++;
    if (l->at == l->account->folder_count || l->account->folders[l->at]->record.folder != r->folder)
        return true;
    l->folder = l->account->folders[l->at];
    if (r->uid == 0)
        l->folder->follow.modseq = r->modseq;
    if (r->uid == 0)
        l->folder->follow.absent = r->absent;
    l->folder->follow.gone += r->gone && !r->kept;
    l->account->follow_gone += r->gone && !r->kept;
    l->folder->follow.kept += r->kept;
    l->folder->follow.wanted += r->wanted;
    l->account->follow_wanted += r->wanted;
    return true;
}

bool follow_begin(struct account *account, struct err *err_r)
{
    struct loading l = { .account = account };

    return reader_follows(account->reactor->reader, account->id, 0, 0, load, &l, err_r);
}

bool follow_source_rests(const struct folder *f)
{
    const struct imap_status *s = &f->source_status;

    if (!follow_gone_rests(f, s->messages))
        return false;
    if (!follows_flags(f->account) || f->record.tally.found == f->record.tally.skipped)
        return true;
    if ((s->has & IMAP_STATUS_HIGHESTMODSEQ) && s->highestmodseq)
        return s->highestmodseq == f->follow.modseq;
    return only_changes(f->account);
}

/* ---- what the source tells ------------------------------------------------------------------- */

static void window(struct scan *s);

static void over(struct scan *s, const struct err *err)
{
    struct worker *w = s->worker;
    void (*ended)(struct worker * w, const struct err *err) = s->ended;

    quota_let_go(&s->held);
    follow_known_free(&s->known);
    buf_deinit(&s->words);
    buf_deinit(&s->texts);
    free(s->rows);
    free(s->changes);
    free(s);
    ended(w, err);
}

static void row_told(void *context, const struct imap_message_row *row)
{
    struct scan *s = context;
    struct told *t;

    if (!row->has_flags) {
        s->unsure |= row->uid < s->below;
        return;
    }
    if (row->uid < s->from || row->uid > s->to)
        return;
    if (s->count == ROWS_MOST || row->flags.keywords.size > buf_space(&s->words)) {
        s->overflows = true;
        return;
    }
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 64;
        s->rows = mem_resize(s->rows, s->room, sizeof *s->rows);
    }
    t = &s->rows[s->count++];
    *t = (struct told){ .uid = row->uid,
                        .system = (uint8_t)(row->flags.system & 0x1f),
                        .partial = row->flags.dropped > 0,
                        .at = (uint32_t)s->words.size,
                        .size = (uint32_t)row->flags.keywords.size };
    s->overflows |= !buf_append(&s->words, row->flags.keywords);
}

static int by_uid(const void *a, const void *b)
{
    const struct told *x = a, *y = b;

    return x->uid != y->uid ? (x->uid > y->uid) - (x->uid < y->uid) : (x > y) - (x < y);
}

/* Of a message that was told twice the last says what it has now: whatever that is, it is asked for
 * again. */
static void each_once(struct scan *s)
{
    unsigned kept = 0;

    if (s->count)
        qsort(s->rows, s->count, sizeof *s->rows, by_uid);
    for (unsigned i = 0; i < s->count; i++) {
        if (kept && s->rows[kept - 1].uid == s->rows[i].uid) {
            s->unsure |= s->rows[kept - 1].system != s->rows[i].system || s->rows[kept - 1].size != s->rows[i].size;
            continue;
        }
        s->rows[kept++] = s->rows[i];
    }
    s->count = kept;
}

/* ---- what follows from it -------------------------------------------------------------------- */

/* modseq 0: not yet. */
static void put(struct scan *s, uint64_t modseq)
{
    struct folder *f = s->worker->folder;
    struct store_op *op;

    if (s->change_count == 0 && !modseq)
        return;
    op = store_op_new(STORE_OP_FOLLOW, f->record.user, f->record.folder);
    op->text = slice_dup(buf_slice(&s->texts));
    op->follow.all = s->changes;
    op->follow.count = s->change_count;
    op->follow.modseq = modseq;
    for (unsigned i = 0; i < s->change_count; i++)
        if (s->changes[i].flags.keywords.size)
            s->changes[i].flags.keywords.data = op->text + (uintptr_t)s->changes[i].flags.keywords.data;
    s->changes = NULL;
    s->change_count = 0;
    buf_clear(&s->texts);
    reactor_submit_unwaited(f->account->reactor, op);
}

static void change(struct scan *s, uint32_t uid, enum store_follow_what what, const struct follow_flags *flags)
{
    struct folder *f = s->worker->folder;
    struct store_follow *one;

    if (s->change_count == CHANGES_AT_ONCE || buf_space(&s->texts) < flags->keywords.size)
        put(s, 0);
    if (!s->changes)
        s->changes = mem_alloc(CHANGES_AT_ONCE * sizeof *s->changes);
    one = &s->changes[s->change_count++];
    *one = (struct store_follow){ .uid = uid, .what = what, .flags = *flags };
    /* An offset until the operation has its text. */
    one->flags.keywords.data = (const char *)(uintptr_t)s->texts.size;
    if (!buf_append(&s->texts, flags->keywords))
        one->flags.keywords.size = 0;
    if (what == STORE_FOLLOW_WANTS) {
        f->follow.wanted++;
        f->account->follow_wanted++;
    } else {
        f->follow.wanted--;
        f->account->follow_wanted--;
    }
}

static const struct told *told_at(const struct scan *s, uint32_t uid)
{
    unsigned low = 0, high = s->count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (s->rows[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->count && s->rows[low].uid == uid ? &s->rows[low] : NULL;
}

static bool compare(void *context, const struct message_record *m)
{
    struct scan *s = context;
    const struct follow_record *known;
    const struct told *t;
    struct follow_flags base, now;

    if (m->uid > s->to || m->uid >= s->below)
        return false;
    t = told_at(s, m->uid);
    if (!t)
        return true;
    known = follow_known_at(s->known, m->uid);
    base = follow_base(m, known);
    now = (struct follow_flags){ .system = (uint8_t)((t->system & FOLLOW_FLAGS) | (base.system & ~FOLLOW_FLAGS)),
                                 .keywords = t->partial ? base.keywords
                                                        : slice_of(buf_slice(&s->words).data + t->at, t->size) };
    if (follow_differs(&base, &now)) {
        if (known && known->wanted && follow_flags_equal(&known->next, &now))
            return true;
        s->wants++;
        if (known && known->wanted) { /* it is wanted already, and counted */
            s->worker->folder->follow.wanted--;
            s->worker->account->follow_wanted--;
        }
        change(s, m->uid, STORE_FOLLOW_WANTS, &now);
    } else if (known && known->wanted) {
        s->sames++;
        change(s, m->uid, STORE_FOLLOW_SAME, &now);
    }
    return true;
}

/* False: the journal cannot be read. */
static bool judge(struct scan *s)
{
    const struct folder_record *r = &s->worker->folder->record;
    struct reactor *reactor = s->worker->account->reactor;
    struct err err;

    each_once(s);
    if (s->count == 0 ||
        reader_messages(reactor->reader, r->user, r->folder, FOLLOWED_STATES, s->from, false, 0, compare, s, &err))
        return true;
    reactor_abort_run(reactor, &err);
    return false;
}

static void done(struct scan *s)
{
    struct folder *f = s->worker->folder;

    if (s->wants + s->sames || !s->since)
        log_line(LOG_DEBUG, "folder.followed",
                 "user=%s folder=%s since=%" PRIu64 " modseq=%" PRIu64 " wants=%" PRIu64 " sames=%" PRIu64 "%s",
                 f->account->user->email_address, f->source_name, s->since, s->modseq, s->wants, s->sames,
                 s->unsure ? " unsure" : "");
    put(s, s->unsure ? 0 : s->modseq);
    if (!s->unsure && s->modseq)
        f->follow.modseq = s->modseq;
    over(s, NULL);
}

static void window_ended(void *context, const struct err *err)
{
    struct scan *s = context;
    bool whole;

    if (err) {
        over(s, err);
        return;
    }
    s->unsure |= source_damaged_count(link_source(s->worker->link)) != s->damaged_mark;
    if (s->overflows && s->since) {
        /* More changed than can be kept at once. */
        s->since = 0;
        s->from = 1;
        window(s);
        return;
    }
    s->unsure |= s->overflows;
    if (!judge(s)) {
        over(s, NULL);
        return;
    }
    whole = s->to >= s->below - 1;
    s->from = s->to + 1;
    if (whole)
        done(s);
    else
        window(s);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static bool window_counted(void *context, const struct message_record *m)
{
    struct scan *s = context;

    if (m->uid >= s->below)
        return false;
    s->window_last = m->uid;
    return ++s->window_rows < WINDOW_ROWS;
}

static uint32_t rows_wanted(const struct scan *s)
{
    uint32_t limit = link_source(s->worker->link)->traits.set_max;

    return limit && limit < WINDOW_ROWS ? limit : 0;
}

/* The next messages of which the journal knows, or all of them where the source tells which
 * changed. */
static void window(struct scan *s)
{
    const struct folder_record *r = &s->worker->folder->record;
    struct reactor *reactor = s->worker->account->reactor;
    char set[32];
    struct err err;

    s->count = 0;
    s->overflows = false;
    buf_clear(&s->words);
    s->to = s->below - 1;
    if (!s->since || rows_wanted(s)) {
        s->window_rows = rows_wanted(s) ? WINDOW_ROWS - rows_wanted(s) : 0;
        s->window_last = 0;
        if (!reader_messages(reactor->reader, r->user, r->folder, FOLLOWED_STATES, s->from, false, 0, window_counted, s,
                             &err)) {
            reactor_abort_run(reactor, &err);
            over(s, NULL);
            return;
        }
        if (s->window_last == 0) {
            done(s);
            return;
        }
        s->to = s->window_last;
    }
    snprintf(set, sizeof set, "%" PRIu32 ":%" PRIu32, s->from, s->to);
    s->damaged_mark = source_damaged_count(link_source(s->worker->link));
    source_flags(link_source(s->worker->link), slice_cstr(set), s->since, row_told, window_ended, s);
}

void follow_source(struct worker *w, uint32_t below, uint64_t modseq,
                   void (*ended)(struct worker *w, const struct err *err))
{
    struct folder *f = w->folder;
    bool tells = link_source(w->link)->traits.modseq && modseq;
    struct scan *s;
    struct err err;

    if (!follows_flags(w->account) || (!tells && only_changes(w->account)) || (tells && f->follow.modseq == modseq)) {
        ended(w, NULL);
        return;
    }
    s = mem_zero(1, sizeof *s);
    s->worker = w;
    s->ended = ended;
    s->from = 1;
    s->below = below;
    s->modseq = tells ? modseq : 0;
    /* One that fell is another mailbox's, or a server's that lost count: then it says nothing. */
    s->since = tells && f->follow.modseq < modseq ? f->follow.modseq : 0;
    buf_init(&s->words, WORDS_BYTES_MOST);
    buf_init(&s->texts, 1u << 20);
    if (below <= 1) {
        done(s);
        return;
    }
    if (!follow_known_load(w->account->reactor->reader, f->record.user, f->record.folder, &s->known, &err)) {
        reactor_abort_run(w->account->reactor, &err);
        over(s, NULL);
        return;
    }
    window(s);
}
