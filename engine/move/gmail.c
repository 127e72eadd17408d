#include "engine/move/gmail.h"

#include "engine/folders/names_match.h"
#include "engine/message/label_owners.h"
#include "engine/message/policy.h"
#include "engine/move/pull_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <stdlib.h>

/* Rows of the journal that one turn of the loop looks at. */
#define ROWS_A_TURN 4096u

/* Reading the journal, in this order. Who has been fetched or judged has it before any that still
 * waits has; who waits has it before any that was skipped for another. */
enum reading {
    READING_NOTHING,
    READING_SETTLED,   /* spooled, uploaded, present, failed, skipped by policy: they claim */
    READING_WAITING,   /* found: they claim, or are skipped for another */
    READING_DUPLICATES /* skipped for another: they come back where that one is gone */
};

/* A message that is gone from its folder. */
struct parked {
    struct folder *folder;
    struct folder_item item;
    void (*ends)(struct folder *f, struct folder_item *item);
};

struct gmail {
    struct account *account;
    struct label_owners label_owners;
    struct folder **ranked;
    unsigned ranked_count;
    unsigned listed; /* so many of ranked are listed, or given up: none is listed twice */
    bool loaded;     /* label_owners are whole */
    enum reading reading;
    bool flushing; /* all that was submitted is on its way to the journal */
    unsigned at;   /* in ranked */
    uint32_t from_uid, last_uid;
    unsigned taken;
    struct store_end *ends; /* of the turn */
    unsigned end_count;
    struct parked *parked;
    unsigned parked_count, parked_room;
    unsigned parked_looked; /* of these, those that were there when the look began */
    struct loop_timer again;
};

static const char *role_of(const struct folder *f)
{
    return f->record.role;
}

static bool has_role(const struct folder *f, const char *role)
{
    return strcmp(role_of(f), role) == 0;
}

bool gmail_is_view(const struct folder *f)
{
    return f->account->gmail && (has_role(f, "all") || has_role(f, "flagged") || has_role(f, "important"));
}

/* ---- rank ---------------------------------------------------------------------------------- */

static size_t class_of(const struct folder *f)
{
    static const char *const roles[] = {
        "inbox", "drafts", "sent", "", "trash", "junk", "all", "important", "flagged"
    };
    const struct settings_list *first = &f->account->reactor->settings->policy.label_priority;
    size_t own = 3;

    for (size_t i = 0; i < first->count; i++) {
        struct settings_list one = { .items = first->items + i, .count = 1 };

        if (names_match(&one, f->source_name, role_of(f)))
            return i;
    }
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (has_role(f, roles[i]))
            return first->count + i;
    return first->count + own;
}

static unsigned depth_of(const char *name)
{
    unsigned n = 0;

    for (; *name; name++)
        n += *name == '/';
    return n;
}

static int by_rank(const void *a, const void *b)
{
    const struct folder *x = *(struct folder *const *)a, *y = *(struct folder *const *)b;
    unsigned deep_x = depth_of(x->source_name), deep_y = depth_of(y->source_name);

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (deep_x != deep_y)
        return deep_x > deep_y ? -1 : 1;
    return strcmp(x->source_name, y->source_name);
}

static void rank(struct gmail *g)
{
    const struct account *account = g->account;

    g->ranked_count = account->folder_count;
    g->ranked = mem_zero(g->ranked_count, sizeof *g->ranked);
    for (unsigned i = 0; i < g->ranked_count; i++) {
        g->ranked[i] = account->folders[i];
        g->ranked[i]->rank = (uint32_t)class_of(g->ranked[i]);
    }
    qsort(g->ranked, g->ranked_count, sizeof *g->ranked, by_rank);
    for (unsigned i = 0; i < g->ranked_count; i++)
        g->ranked[i]->rank = i + 1;
}

static bool is_looking(const struct gmail *g)
{
    return g->flushing || g->reading != READING_NOTHING;
}

static bool is_listing(struct gmail *g)
{
    while (g->listed < g->ranked_count && g->ranked[g->listed]->pull > PULL_LISTING)
        g->listed++;
    return g->listed < g->ranked_count && g->ranked[g->listed]->pull == PULL_LISTING;
}

bool gmail_may_list(const struct folder *f)
{
    struct gmail *g = f->account->gmail;

    return !g || (g->loaded && !is_looking(g) && !is_listing(g) && f->rank <= g->listed + 1);
}

/* ---- reading the journal ------------------------------------------------------------------- */

static void end_row(struct gmail *g, struct folder *f, enum message_state from, const struct store_end *end)
{
    g->ends = mem_resize(g->ends, g->end_count + 1u, sizeof *g->ends);
    g->ends[g->end_count++] = *end;
    folder_count_end(f, from, end->state, 0, 1);
}

static bool settled_row(struct gmail *g, struct folder *f, const struct message_record *m)
{
    if (m->state == MESSAGE_SKIPPED &&
        (m->reason == SKIP_DUPLICATE || m->reason == SKIP_VANISHED || f->gone || f->record.excluded))
        return true;
    label_owners_take(&g->label_owners, m->source_id, f->record.folder);
    return true;
}

static bool waiting_row(struct gmail *g, struct folder *f, const struct message_record *m)
{
    /* A label that is no more: All Mail has its messages still. What is no label stays as it is. */
    if (f->gone && role_of(f)[0] == '\0')
        end_row(g, f, MESSAGE_FOUND,
                &(struct store_end){ .uid = m->uid, .state = MESSAGE_SKIPPED, .reason = SKIP_VANISHED });
    if (f->gone || f->record.excluded)
        return true;
    if (!label_owners_take(&g->label_owners, m->source_id, f->record.folder))
        end_row(g, f, MESSAGE_FOUND,
                &(struct store_end){ .uid = m->uid, .state = MESSAGE_SKIPPED, .reason = SKIP_DUPLICATE });
    return true;
}

static bool duplicate_row(struct gmail *g, struct folder *f, const struct message_record *m)
{
    const struct account *account = g->account;

    if (m->reason != SKIP_DUPLICATE || label_owners_holder(&g->label_owners, m->source_id) || f->gone ||
        f->record.excluded || f->anew || f->pull == PULL_REFUSED ||
        policy_judge(account->reactor->settings, account->user, m) != SKIP_NONE)
        return true;
    label_owners_take(&g->label_owners, m->source_id, f->record.folder);
    end_row(g, f, MESSAGE_SKIPPED, &(struct store_end){ .uid = m->uid, .state = MESSAGE_FOUND });
    return true;
}

static bool each_row(void *context, const struct message_record *m)
{
    struct gmail *g = context;
    struct folder *f = g->ranked[g->at];

    g->taken++;
    g->last_uid = m->uid;
    if (m->source_id == 0)
        return true;
    switch (g->reading) {
    case READING_SETTLED:
        return settled_row(g, f, m);
    case READING_WAITING:
        return waiting_row(g, f, m);
    case READING_DUPLICATES:
        return duplicate_row(g, f, m);
    case READING_NOTHING:
        break;
    }
    return false;
}

static unsigned states_of(enum reading reading)
{
    switch (reading) {
    case READING_SETTLED:
        return 1u << MESSAGE_SPOOLED | 1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT | 1u << MESSAGE_SKIPPED |
               1u << MESSAGE_FAILED;
    case READING_WAITING:
        return 1u << MESSAGE_FOUND;
    case READING_DUPLICATES:
        return 1u << MESSAGE_SKIPPED;
    case READING_NOTHING:
        break;
    }
    return 0;
}

static void submit_ends(struct gmail *g, struct folder *f)
{
    struct store_op *op;

    if (g->end_count == 0)
        return;
    op = store_op_new(STORE_OP_END, f->record.user, f->record.folder);
    op->end.ends = g->ends;
    op->end.count = g->end_count;
    g->ends = NULL;
    g->end_count = 0;
    reactor_submit_unwaited(g->account->reactor, op);
    if (g->reading == READING_DUPLICATES) {
        if (f->pull == PULL_DONE) {
            folder_set_pull(f, PULL_BODIES);
            pull_undone(f);
        }
        folder_want_stored(f);
    } else if (f->gone && f->record.tally.waiting == 0) {
        folder_set_pull(f, PULL_DONE);
    } else {
        pull_settle_if_done(f);
    }
}

/* Those that were parked before the look began have ended: whoever still has them is found. */
static void parked_end(struct gmail *g)
{
    struct parked *parked = g->parked;
    unsigned count = g->parked_looked, left = g->parked_count - count;

    g->parked = NULL;
    if (left) {
        g->parked = mem_zero(left, sizeof *g->parked);
        memcpy(g->parked, parked + count, left * sizeof *parked);
    }
    g->parked_count = g->parked_room = left;
    g->parked_looked = 0;
    for (unsigned i = 0; i < count; i++) {
        folder_count_fetching(parked[i].folder, -1);
        parked[i].ends(parked[i].folder, &parked[i].item);
    }
    free(parked);
}

/* Stays in the journal as it is: the next run meets it again. */
static void parked_drop(struct gmail *g)
{
    for (unsigned i = 0; i < g->parked_count; i++) {
        folder_count_fetching(g->parked[i].folder, -1);
        item_deinit(&g->parked[i].item);
    }
    free(g->parked);
    g->parked = NULL;
    g->parked_count = g->parked_room = g->parked_looked = 0;
}

static void flush(struct gmail *g);

static void read_ended(struct gmail *g)
{
    struct account *account = g->account;

    g->reading = READING_NOTHING;
    g->loaded = true;
    parked_end(g);
    gmail_look(account);
    account->told--;
    account_poke(account);
}

/* The run ends early. */
static void read_broke_off(struct gmail *g)
{
    g->reading = READING_NOTHING;
    parked_drop(g);
    g->account->told--;
    account_poke(g->account);
}

static void read_turn(void *context)
{
    struct gmail *g = context;
    struct account *account = g->account;
    struct err err;

    if (account->stopping) {
        read_broke_off(g);
        return;
    }
    if (g->at < g->ranked_count) {
        struct folder *f = g->ranked[g->at];

        g->taken = 0;
        if (!reader_messages(account->reactor->reader, f->record.user, f->record.folder, states_of(g->reading),
                             g->from_uid, false, ROWS_A_TURN, each_row, g, &err)) {
            reactor_abort_run(account->reactor, &err);
            read_broke_off(g);
            return;
        }
        submit_ends(g, f);
        if (g->taken == ROWS_A_TURN && g->last_uid < UINT32_MAX) {
            g->from_uid = g->last_uid + 1;
        } else {
            g->at++;
            g->from_uid = 0;
        }
    } else if (g->reading < READING_DUPLICATES) {
        g->reading++;
        g->at = 0;
    } else {
        read_ended(g);
        return;
    }
    loop_timer_set(account->reactor->loop, &g->again, 0, read_turn, g);
}

/* What was submitted is in the journal now, and can be read. */
static void flushed(void *context, struct store_op *op, const struct err *err)
{
    struct gmail *g = context;
    struct account *account = g->account;

    (void)op;
    g->flushing = false;
    if (err)
        reactor_abort_run(account->reactor, err);
    g->reading = g->loaded ? READING_DUPLICATES : READING_SETTLED;
    g->at = 0;
    g->from_uid = 0;
    read_turn(g);
}

/* account->told is held until the reading has ended. */
static void flush(struct gmail *g)
{
    g->account->told++;
    g->flushing = true;
    g->parked_looked = g->parked_count;
    for (unsigned i = 0; i < g->parked_count; i++)
        label_owners_release(&g->label_owners, g->parked[i].item.source_id, g->parked[i].folder->record.folder);
    reactor_submit(g->account->reactor, store_op_new(STORE_OP_FLUSH, 0, 0), flushed, g);
}

bool gmail_is_reading(const struct account *account)
{
    return account->gmail && !account->gmail->loaded;
}

/* ---- what pull asks ------------------------------------------------------------------------ */

bool gmail_label_owners(struct folder *f, uint64_t source_id)
{
    struct gmail *g = f->account->gmail;

    return !g || source_id == 0 || label_owners_take(&g->label_owners, source_id, f->record.folder);
}

void gmail_folder_anew(struct folder *f)
{
    struct gmail *g = f->account->gmail;

    if (!g)
        return;
    f->anew = true;
    label_owners_release_folder(&g->label_owners, f->record.folder);
}

bool gmail_vanished(struct folder *f, const struct folder_item *item,
                    void (*ends)(struct folder *f, struct folder_item *item))
{
    struct gmail *g = f->account->gmail;

    if (!g || item->source_id == 0 || f->account->stopping)
        return false;
    if (g->parked_count == g->parked_room) {
        g->parked_room = g->parked_room ? g->parked_room * 2 : 16;
        g->parked = mem_resize(g->parked, g->parked_room, sizeof *g->parked);
    }
    g->parked[g->parked_count++] = (struct parked){ .folder = f, .item = *item, .ends = ends };
    folder_count_fetching(f, 1);
    gmail_look(f->account);
    return true;
}

/* A folder that is being listed would take what is given up, out of its turn. */
void gmail_look(struct account *account)
{
    struct gmail *g = account->gmail;

    if (g && g->parked_count && !is_looking(g) && !is_listing(g))
        flush(g);
}

void gmail_begin(struct account *account)
{
    struct gmail *g = mem_zero(1, sizeof *g);
    bool any = false;

    account->gmail = g;
    g->account = account;
    rank(g);
    for (unsigned i = 0; i < account->folder_count; i++) {
        const struct folder *f = account->folders[i];

        /* A label that is gone or left out from now on had messages that others have too. */
        any |= f->pull != PULL_DONE || f->gone || f->record.excluded;
    }
    if (any)
        flush(g);
    else
        g->loaded = true;
    log_line(LOG_DEBUG, "gmail", "user=%s folders=%u reads=%d", account->user->email_address, g->ranked_count, any);
}

void gmail_end(struct account *account)
{
    struct gmail *g = account->gmail;

    if (!g)
        return;
    loop_timer_clear(account->reactor->loop, &g->again);
    parked_drop(g);
    label_owners_deinit(&g->label_owners);
    free(g->ends);
    free(g->ranked);
    free(g);
    account->gmail = NULL;
}
