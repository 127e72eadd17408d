/* Folders that the target lacks are made together: one by one each of them costs four round trips
 * before its first message, and on a far server a mailbox of small folders consists of little else.
 * CREATEs go out first, then SUBSCRIBE and STATUS of what was made (RFC 9051 5.5; the order is kept
 * by cmd_may_send). Nothing depends on it: what gets NO here is made, and its refusal judged, when
 * the folder is opened (push_open). */
#include "engine/move/push_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <stdlib.h>

/* Few enough that mail which is there already does not wait long for them. */
#define MAKE_MAX 32u

/* One folder of them; its pushers counts this as a worker. */
struct making {
    struct worker *worker;
    struct folder *folder;
    unsigned waits; /* commands without an answer */
};

bool push_exists_already(const struct err *err)
{
    return slice_equal(slice_cstr(err->resp_code), SLICE("ALREADYEXISTS")) ||
           slice_find_nocase(slice_cstr(err->server_text), SLICE("already exists")) != SIZE_MAX;
}

void push_made(struct folder *f)
{
    f->exists_on_target = true;
    account_opened(f->account, SIDE_TARGET);
    push_touch(f);
    log_line(LOG_DEBUG, "folder.created", "user=%s folder=%s", f->account->user->email_address, f->target_name);
}

void push_status_told(struct folder *f, const struct imap_status *status)
{
    f->target_status = *status;
    f->has_target_status = true;
    if (status->has & IMAP_STATUS_APPENDLIMIT)
        f->append_limit = status->appendlimit_bytes;
}

void push_selected(struct folder *f, const struct imap_selected *selected)
{
    struct account *account = f->account;

    f->target_status = selected->status;
    f->has_target_status = true;
    account->knows_keywords = true;
    account->appends_keywords = selected->has_permanent && (selected->permanent.system & IMAP_FLAG_WILDCARD);
    account->flags_not_kept =
        selected->has_permanent && !selected->read_only ? ~selected->permanent.system & 0x1fu : 0u;
    free(account->permanent_keywords);
    account->permanent_keywords = slice_dup(selected->permanent.keywords);
}

static void unselected(void *context, const struct err *err)
{
    (void)context;
    (void)err; /* the folder stays selected, then; nothing that follows minds */
}

void push_unselect(struct worker *w)
{
    session_unselect(link_session(w->link), unselected, NULL);
}

static void command_ended(struct making *m)
{
    struct worker *w = m->worker;
    struct push *p = w->work;

    if (--m->waits > 0)
        return;
    m->folder->pushers--;
    push_touch(m->folder);
    free(m);
    if (--p->making > 0)
        return;
    p->step = PUSH_STEP_FREE;
    w->busy = false;
    worker_idle(w);
}

/* What holds for the whole mailbox, once for all that were asked together. NO to a single folder is its own
 * matter, and comes up again when it is made alone; BAD would be the same then. */
static void refused(const struct making *m, enum trouble_doing doing, const struct err *err)
{
    struct folder *f = m->folder;

    if (!link_is_ready(m->worker->link) || account_held(f->account, SIDE_TARGET))
        return;
    (void)push_refused(f, doing, err, 0, doing != TROUBLE_CREATE || err->origin != ERR_ORIGIN_BAD);
}

static void subscribed(void *context, const struct err *err)
{
    struct making *m = context;

    /* Nobody loses mail by a missing subscription. */
    if (err && err->class == ERR_CLASS_THROTTLED)
        refused(m, TROUBLE_SELECT, err);
    command_ended(m);
}

static void status_told(void *context, const struct imap_status *status)
{
    struct making *m = context;

    push_status_told(m->folder, status);
}

static void asked(void *context, const struct err *err)
{
    struct making *m = context;

    if (err) {
        m->folder->has_target_status = false;
        refused(m, TROUBLE_SELECT, err);
    } else {
        push_opens(m->worker->account);
    }
    command_ended(m);
}

static void made(void *context, const struct err *err)
{
    struct making *m = context;
    struct folder *f = m->folder;
    struct session *session;

    if (err) { /* also that it exists: which one does is asked when it is made alone */
        f->made_alone = true;
        if (!push_exists_already(err) && !push_name_may_differ(f, err))
            refused(m, TROUBLE_CREATE, err);
        command_ended(m);
        return;
    }
    push_made(f);
    if (!link_is_ready(m->worker->link)) {
        command_ended(m);
        return;
    }
    session = link_session(m->worker->link);
    m->waits = 2;
    session_subscribe(session, f->record.target_raw, subscribed, m);
    session_status(session, f->record.target_raw, PUSH_STATUS, status_told, asked, m);
}

static void select_told(void *context, const struct imap_selected *selected)
{
    struct making *m = context;

    push_selected(m->folder, selected);
}

static void keywords_asked(void *context, const struct err *err)
{
    struct making *m = context;

    if (!err)
        push_unselect(m->worker);
    asked(m, err);
}

/* Nobody has this folder, and it was not refused here before. */
static bool is_free(const struct folder *f)
{
    return f->target_raw && f->push == PUSH_CLOSED && f->pushers == 0 && f->sending == 0 && !f->uncertain;
}

static bool is_below(const struct folder *f, const struct folder *above)
{
    size_t size = strlen(above->target_raw);

    return strncmp(f->target_raw, above->target_raw, size) == 0 &&
           f->target_raw[size] == f->account->sides[SIDE_TARGET].folder_list.delimiter;
}

/* CREATE makes what is above a folder too: which of two such came first must not matter to a server
 * that runs them side by side. */
static bool is_apart(const struct folder *f, struct folder *const *chosen, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (is_below(f, chosen[i]) || is_below(chosen[i], f))
            return false;
    return true;
}

static struct making *making_create(struct worker *w, struct folder *f)
{
    struct making *m = mem_zero(1, sizeof *m);

    m->worker = w;
    m->folder = f;
    m->waits = 1;
    f->pushers++;
    push_touch(f);
    ((struct push *)w->work)->making++;
    return m;
}

/* One that is there tells by its PERMANENTFLAGS whether keywords may be sent; see open_ask. */
static void ask_keywords(struct worker *w)
{
    struct account *account = w->account;

    if (account->knows_keywords || account->reactor->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE)
        return;
    for (unsigned i = 0; i < account->folder_count; i++) {
        struct folder *f = account->folders[i];

        if (f->exists_on_target && is_free(f)) {
            session_select(link_session(w->link), f->record.target_raw, false, select_told, keywords_asked,
                           making_create(w, f));
            return;
        }
    }
}

bool push_make_begin(struct worker *w, unsigned most)
{
    struct account *account = w->account;
    struct push *p = w->work;
    struct folder *chosen[MAKE_MAX];
    unsigned count = 0;
    bool others_wait = false;

    if (!account->mapped || account->target_dead)
        return false;
    for (struct folder *f = push_next_unmade(account, NULL); f && count < MAKE_MAX && count < most;
         f = push_next_unmade(account, f)) {
        if (!is_free(f))
            continue;
        if (is_apart(f, chosen, count))
            chosen[count++] = f;
        else
            others_wait = true;
    }
    /* A single one is made as it is opened; but what all others lie within goes before them. */
    if (count == 0 || (count == 1 && !others_wait))
        return false;
    w->busy = true;
    p->step = PUSH_STEP_MAKING;
    ask_keywords(w);
    for (unsigned i = 0; i < count; i++)
        session_create_mailbox(link_session(w->link), chosen[i]->record.target_raw, made, making_create(w, chosen[i]));
    return true;
}
