#include "engine/inspect/survey.h"

#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define AT_ONCE_MAX 32u
/* So many in a row and nobody before them: the server is not there. */
#define UNREACHED_MAX 3u
/* Folders whose messages are asked for one by one, where the list did not tell. */
#define COUNTS_MAX 1000u
#define TICK_MS    200u

struct survey {
    struct loop *loop;
    const struct visit_house *house;
    struct visits *visits;
    bool (*wanted)(void *context, const struct settings_user *user);
    void (*told)(void *context, const struct survey_mailbox *mailbox);
    bool (*stop)(void);
    void *context;
    struct caller *callers; /* AT_ONCE_MAX */
    unsigned next, active, most, unreached;
    bool reached, stopping;
    struct err why; /* stopping: told of those that were not visited */
    char why_type[40];
    struct loop_timer tick;
};

enum caller_step { CALLER_FOLDERS, CALLER_QUOTA, CALLER_COUNTS, CALLER_DONE };

/* One visit. */
struct caller {
    struct survey *survey;
    struct visit *visit; /* NULL: free */
    enum caller_step step;
    unsigned waiting; /* STATUS commands without an answer */
    struct survey_mailbox box;
};

struct question {
    struct caller *caller;
    unsigned row;
};

static void go_on(struct caller *c);
static void take_users(struct survey *s);

static bool is_lost(const struct caller *c)
{
    return !c->visit || !visit_is_ready(c->visit);
}

static bool usable(void *context)
{
    return !is_lost(context);
}

/* ---- folders ------------------------------------------------------------------------------- */

static void folder_list_ready(void *context, const struct err *err)
{
    struct caller *c = context;

    if (is_lost(c))
        return;
    if (err) {
        visit_failed(c->visit, TROUBLE_LIST, err);
        return;
    }
    visit_went_well(c->visit);
    c->box.known = true;
    c->step = CALLER_QUOTA;
    go_on(c);
}

/* ---- quota --------------------------------------------------------------------------------- */

static void lessen(bool *has, uint64_t *least, uint64_t used, uint64_t limit)
{
    uint64_t left = limit > used ? limit - used : 0;

    if (!*has || left < *least)
        *least = left;
    *has = true;
}

static void quota_answer(void *context, const struct imap_quota *q)
{
    struct survey_mailbox *box = &((struct caller *)context)->box;

    if (q->has & IMAP_QUOTA_STORAGE)
        lessen(&box->has_free_bytes, &box->free_bytes, q->used_bytes, q->limit_bytes);
    if (q->has & IMAP_QUOTA_MESSAGES)
        lessen(&box->has_free_messages, &box->free_messages, q->used_messages, q->limit_messages);
}

static void quota_ended(void *context, const struct err *err)
{
    struct caller *c = context;

    if (is_lost(c))
        return;
    if (err && err->class == ERR_CLASS_THROTTLED) {
        visit_failed(c->visit, TROUBLE_LIST, err);
        return;
    }
    c->step = CALLER_COUNTS; /* refused: then the room is not known */
    go_on(c);
}

/* ---- counts -------------------------------------------------------------------------------- */

static bool is_own_mail(const struct folder_list *r, const struct folder_list_row *row)
{
    if (row->attributes & (IMAP_MAILBOX_NOSELECT | IMAP_MAILBOX_NONEXISTENT | IMAP_MAILBOX_ALL | IMAP_MAILBOX_FLAGGED |
                           IMAP_MAILBOX_IMPORTANT))
        return false;
    for (size_t i = 0; i < r->foreign.count; i++)
        if (r->foreign.items[i][0] && slice_starts(slice_cstr(row->raw), slice_cstr(r->foreign.items[i])))
            return false;
    return true;
}

static void count_all(struct survey_mailbox *box)
{
    box->counted = true;
    for (unsigned i = 0; i < box->folder_list.count; i++) {
        const struct folder_list_row *row = &box->folder_list.rows[i];

        if (!is_own_mail(&box->folder_list, row))
            continue;
        if (row->status.has & IMAP_STATUS_MESSAGES)
            box->messages += row->status.messages;
        else
            box->counted = false;
    }
}

static void status_told(void *context, const struct imap_status *status)
{
    struct question *q = context;

    q->caller->box.folder_list.rows[q->row].status = *status;
}

static void status_ended(void *context, const struct err *err)
{
    struct question *q = context;
    struct caller *c = q->caller;

    free(q);
    c->waiting--;
    if (is_lost(c))
        return;
    if (err && err->class == ERR_CLASS_THROTTLED) {
        visit_failed(c->visit, TROUBLE_LIST, err);
        return;
    }
    if (c->waiting > 0)
        return;
    c->step = CALLER_DONE;
    go_on(c);
}

static void ask_counts(struct caller *c)
{
    struct folder_list *r = &c->box.folder_list;
    unsigned asked = 0;

    c->waiting = 1;
    for (unsigned i = 0; i < r->count && asked < COUNTS_MAX; i++) {
        struct question *q;

        if ((r->rows[i].status.has & IMAP_STATUS_MESSAGES) || !is_own_mail(r, &r->rows[i]))
            continue;
        q = mem_zero(1, sizeof *q);
        q->caller = c;
        q->row = i;
        asked++;
        c->waiting++;
        session_status(visit_session(c->visit), slice_cstr(r->rows[i].raw), IMAP_STATUS_MESSAGES, status_told,
                       status_ended, q);
    }
    if (--c->waiting == 0) {
        c->step = CALLER_DONE;
        go_on(c);
    }
}

/* ---- one visit ----------------------------------------------------------------------------- */

static void go_on(struct caller *c)
{
    struct session *session = visit_session(c->visit);

    switch (c->step) {
    case CALLER_FOLDERS:
        folder_list_ask(&c->box.folder_list, visit_source(c->visit), usable, folder_list_ready, c);
        break;
    case CALLER_QUOTA:
        c->box.has_free_bytes = c->box.has_free_messages = false;
        if (caps_has(session_caps(session), CAP_QUOTA)) {
            session_quota(session, SLICE("INBOX"), quota_answer, quota_ended, c);
            break;
        }
        c->step = CALLER_COUNTS;
        ask_counts(c);
        break;
    case CALLER_COUNTS:
        ask_counts(c);
        break;
    case CALLER_DONE:
        count_all(&c->box);
        visit_end(c->visit);
        break;
    }
}

static void ready(void *context)
{
    struct caller *c = context;

    c->survey->reached = true;
    c->box.message_bytes_max = session_caps(visit_session(c->visit))->appendlimit_bytes;
    go_on(c);
}

static void stop_all(struct survey *s, const struct err *why, const char *type)
{
    if (s->stopping)
        return;
    s->stopping = true;
    s->why = *why;
    snprintf(s->why_type, sizeof s->why_type, "%s", type);
    for (unsigned i = 0; i < AT_ONCE_MAX; i++)
        if (s->callers[i].visit)
            visit_end(s->callers[i].visit);
}

static void over(void *context, const struct err *err, const char *type)
{
    struct caller *c = context;
    struct survey *s = c->survey;

    c->visit = NULL;
    if (err) {
        c->box.err = *err;
        snprintf(c->box.type, sizeof c->box.type, "%s", type);
        if (!s->reached && !trouble_is_login(type) && ++s->unreached >= UNREACHED_MAX)
            stop_all(s, err, type);
    } else if (c->step != CALLER_DONE) {
        c->box.err = s->why;
        memcpy(c->box.type, s->why_type, sizeof c->box.type);
    }
    s->told(s->context, &c->box);
    folder_list_deinit(&c->box.folder_list);
    s->active--;
    take_users(s);
}

static const struct visit_events events = { .ready = ready, .over = over };

/* ---- all of them --------------------------------------------------------------------------- */

static void begin(struct survey *s, unsigned index)
{
    const struct settings *settings = s->house->settings;
    unsigned at = 0;

    while (s->callers[at].visit)
        at++;
    s->callers[at] = (struct caller){ .survey = s, .box = { .index = index } };
    folder_list_init(&s->callers[at].box.folder_list, settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE, false,
                     IMAP_STATUS_MESSAGES);
    s->active++;
    s->callers[at].visit = visit_start(s->visits, SIDE_TARGET, &settings->users[index], &events, &s->callers[at]);
}

static void take_users(struct survey *s)
{
    const struct settings *settings = s->house->settings;

    for (; s->next < settings->user_count && s->active < s->most; s->next++) {
        if (!s->wanted(s->context, &settings->users[s->next]))
            continue;
        if (s->stopping) {
            struct survey_mailbox box = { .index = s->next, .err = s->why };

            memcpy(box.type, s->why_type, sizeof box.type);
            s->told(s->context, &box);
            continue;
        }
        begin(s, s->next);
    }
    if (s->active == 0)
        loop_stop(s->loop);
}

static void tick(void *context)
{
    struct survey *s = context;
    struct err err;

    loop_timer_set(s->loop, &s->tick, TICK_MS, tick, s);
    if (s->stopping || !s->stop())
        return;
    err_set(&err, ERR_CLASS_CANCELED, ERR_SCOPE_RUN, ERR_ORIGIN_OS, 0, "stopped before it was asked");
    stop_all(s, &err, "Canceled");
}

bool survey_run(const struct visit_house *house, bool (*wanted)(void *context, const struct settings_user *user),
                void (*told)(void *context, const struct survey_mailbox *mailbox), bool (*stop)(void), void *context,
                struct err *err_r)
{
    struct survey s = { .house = house, .wanted = wanted, .told = told, .stop = stop, .context = context };

    if (!loop_create(&s.loop, err_r))
        return false;
    s.most = house->settings->target.connections < AT_ONCE_MAX ? house->settings->target.connections : AT_ONCE_MAX;
    s.callers = mem_zero(AT_ONCE_MAX, sizeof *s.callers);
    s.visits = visits_create(house, s.loop);
    loop_timer_set(s.loop, &s.tick, TICK_MS, tick, &s);
    take_users(&s);
    if (s.active)
        loop_run(s.loop);
    loop_timer_clear(s.loop, &s.tick);
    visits_destroy(&s.visits);
    loop_destroy(&s.loop);
    free(s.callers);
    return true;
}
