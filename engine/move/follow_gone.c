/* Messages that the source does not have any more. That one is absent is proved by two answers: a
 * SEARCH that names at least as many messages as the folder counts, and not this one; and a FETCH
 * of it that nothing comes of. Whatever else is answered says nothing. */
#include "engine/move/follow.h"

#include "engine/imap/uidset.h"
#include "engine/message/follow_known.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

/* Parts that an answer to SEARCH may have; what has more says nothing. */
#define RANGES_MAX 2000000u
#define SET_BYTES  900u

#define ALL_STATES                                                                                                     \
    (1u << MESSAGE_FOUND | 1u << MESSAGE_SPOOLED | 1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT |                    \
     1u << MESSAGE_SKIPPED | 1u << MESSAGE_FAILED)

struct absent_one {
    uint32_t uid;
    enum message_state state;
    bool there; /* a FETCH told it */
};

struct asking {
    struct worker *worker;
    void (*ended)(struct worker *w, const struct err *err);
    uint32_t below, exists;
    struct uidset_range *ranges; /* what SEARCH told */
    unsigned range_count, range_room;
    bool overflows;
    struct follow_known *known;
    struct absent_one *all; /* ascending; not known to be gone before */
    size_t count, room, at;
    uint32_t *back; /* known to be gone, and there */
    size_t back_count, back_room;
    uint64_t absent;
    struct quota_hold held;
};

static bool looks(const struct account *account)
{
    const struct settings *settings = account->reactor->settings;

    return settings->policy.follow_deletions != SETTINGS_FOLLOW_DELETIONS_NO && settings->mode != SETTINGS_MODE_PLAN &&
           account_uses(account, SIDE_SOURCE);
}

bool follow_gone_rests(const struct folder *f, uint32_t exists)
{
    return !looks(f->account) || f->record.tally.found <= f->follow.absent + exists;
}

static void over(struct asking *a, const struct err *err)
{
    struct worker *w = a->worker;
    void (*ended)(struct worker * w, const struct err *err) = a->ended;

    quota_let_go(&a->held);
    follow_known_free(&a->known);
    free(a->ranges);
    free(a->all);
    free(a->back);
    free(a);
    ended(w, err);
}

/* It could not be seen: the connection's end and patience are its caller's, all else says nothing.
 */
static void not_known(struct asking *a, const struct err *err)
{
    bool passes = err && (!link_is_ready(a->worker->link) || err->class == ERR_CLASS_THROTTLED);

    log_line(LOG_DEBUG, "folder.gone", "user=%s folder=%s: not known", a->worker->account->user->email_address,
             a->worker->folder->source_name);
    over(a, passes ? err : NULL);
}

/* ---- the journal ----------------------------------------------------------------------------- */

static void put(struct asking *a)
{
    struct folder *f = a->worker->folder;
    struct store_op *op = store_op_new(STORE_OP_FOLLOW, f->record.user, f->record.folder);
    unsigned count = 0;
    uint64_t gone = 0;

    op->follow.all = mem_zero(a->count + a->back_count + 1, sizeof *op->follow.all);
    for (size_t i = 0; i < a->count; i++) {
        const struct absent_one *one = &a->all[i];
        bool ours = one->state != MESSAGE_PRESENT;
        const struct follow_record *known = follow_known_at(a->known, one->uid);

        if (one->there) {
            a->absent--;
            continue;
        }
        if (known && known->wanted) {
            f->follow.wanted--;
            f->account->follow_wanted--;
        }
        gone++;
        f->follow.gone += ours;
        f->account->follow_gone += ours;
        f->follow.kept += !ours;
        op->follow.all[count++] =
            (struct store_follow){ .uid = one->uid, .what = ours ? STORE_FOLLOW_GONE : STORE_FOLLOW_KEPT };
    }
    for (size_t i = 0; i < a->back_count; i++) {
        const struct follow_record *known = follow_known_at(a->known, a->back[i]);

        f->follow.gone -= known && !known->kept;
        f->account->follow_gone -= known && !known->kept;
        f->follow.kept -= known && known->kept;
        op->follow.all[count++] = (struct store_follow){ .uid = a->back[i], .what = STORE_FOLLOW_HERE };
    }
    op->follow.count = count;
    op->follow.counted = true;
    op->follow.absent = f->follow.absent = a->absent;
    if (gone + a->back_count)
        log_line(LOG_INFO, "folder.gone", "user=%s folder=%s gone=%" PRIu64 " back=%zu",
                 f->account->user->email_address, f->source_name, gone, a->back_count);
    reactor_submit_unwaited(f->account->reactor, op);
    over(a, NULL);
}

/* ---- the second answer ----------------------------------------------------------------------- */

static void ask_next(struct asking *a);

static int by_uid(const void *a, const void *b)
{
    const struct absent_one *x = a, *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

static void row_told(void *context, const struct imap_message_row *row)
{
    struct asking *a = context;
    struct absent_one wanted = { .uid = row->uid }, *one;

    one = a->count ? bsearch(&wanted, a->all, a->count, sizeof wanted, by_uid) : NULL;
    if (one)
        one->there = true;
}

static void rows_ended(void *context, const struct err *err)
{
    struct asking *a = context;

    if (err)
        not_known(a, err);
    else
        ask_next(a);
}

static void ask_next(struct asking *a)
{
    char text[SET_BYTES];
    struct uidset set;
    bool any = false;

    uidset_init(&set, text, sizeof text);
    while (a->at < a->count && uidset_add(&set, a->all[a->at].uid)) {
        any = true;
        a->at++;
    }
    if (any)
        source_flags(link_source(a->worker->link), uidset_finish(&set), 0, row_told, rows_ended, a);
    else
        put(a);
}

/* ---- the first ------------------------------------------------------------------------------- */

static void range_told(void *context, uint32_t first, uint32_t last)
{
    struct asking *a = context;

    if (a->range_count == RANGES_MAX) {
        a->overflows = true;
        return;
    }
    if (a->range_count == a->range_room) {
        a->range_room = a->range_room ? a->range_room * 2 : 64;
        a->ranges = mem_resize(a->ranges, a->range_room, sizeof *a->ranges);
        quota_hold(&a->held, a->worker->account->memory, a->range_room * sizeof *a->ranges);
    }
    a->ranges[a->range_count++] = (struct uidset_range){ first, last };
}

static uint64_t told_count(const struct asking *a)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < a->range_count; i++)
        count += (uint64_t)a->ranges[i].last - a->ranges[i].first + 1;
    return count;
}

static bool compare(void *context, const struct message_record *m)
{
    struct asking *a = context;
    const struct follow_record *known = follow_known_at(a->known, m->uid);
    bool there = uidset_holds(a->ranges, a->range_count, m->uid);

    if (m->uid >= a->below)
        return false;
    a->absent += !there;
    if (there && known && known->gone) {
        if (a->back_count == a->back_room) {
            a->back_room = a->back_room ? a->back_room * 2 : 64;
            a->back = mem_resize(a->back, a->back_room, sizeof *a->back);
        }
        a->back[a->back_count++] = m->uid;
    }
    if (there || m->state == MESSAGE_SKIPPED || m->state == MESSAGE_FOUND || (known && known->gone))
        return true;
    if (a->count == a->room) {
        a->room = a->room ? a->room * 2 : 64;
        a->all = mem_resize(a->all, a->room, sizeof *a->all);
    }
    a->all[a->count++] = (struct absent_one){ .uid = m->uid, .state = m->state };
    return true;
}

static void searched(void *context, const struct err *err)
{
    struct asking *a = context;
    const struct folder_record *r = &a->worker->folder->record;
    struct reactor *reactor = a->worker->account->reactor;
    unsigned told = err ? 0 : source_search_told(link_source(a->worker->link));
    struct err read;

    if (a->range_count)
        a->range_count = uidset_merge(a->ranges, a->range_count);
    if (err || !(told & SESSION_SEARCH_ANSWERED) || (told & SESSION_SEARCH_UNREAD) || a->overflows ||
        told_count(a) < a->exists) {
        not_known(a, err);
        return;
    }
    if (!follow_known_load(reactor->reader, r->user, r->folder, &a->known, &read) ||
        !reader_messages(reactor->reader, r->user, r->folder, ALL_STATES, 0, false, 0, compare, a, &read)) {
        reactor_abort_run(reactor, &read);
        over(a, NULL);
        return;
    }
    ask_next(a);
}

void follow_gone(struct worker *w, uint32_t below, uint32_t exists,
                 void (*ended)(struct worker *w, const struct err *err))
{
    struct asking *a;

    if (follow_gone_rests(w->folder, exists) || below <= 1 ||
        account_doubts(w->account, w->folder, "HiddenMessages", NULL)) {
        ended(w, NULL);
        return;
    }
    a = mem_zero(1, sizeof *a);
    a->worker = w;
    a->ended = ended;
    a->below = below;
    a->exists = exists;
    source_search(link_source(w->link), SLICE(""), range_told, searched, a);
}
