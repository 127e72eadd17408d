#include "engine/mailbox/disk/disk.h"

#include "engine/mailbox/disk/job.h"
#include "io/base/mem.h"
#include "io/chore.h"

#include <stdlib.h>

/* What a message of a view takes besides its name. */
#define MESSAGE_BYTES (sizeof(struct disk_message) + 96)
/* For io/chore, which takes the cheapest first: less than a password's hashing. */
#define COST 1u

/* One that was asked for; the first of them is at work. */
struct command {
    struct command *next;
    struct job *job; /* NULL while it is at work: the chore's */
    session_ended *ended;
    void *context;
    union {
        void (*namespace)(void *context, const struct session_namespace *ns);
        void (*status)(void *context, const struct imap_status *status);
        void (*selected)(void *context, const struct imap_selected *selected);
        void (*message)(void *context, const struct imap_message_row *row);
        void (*range)(void *context, uint32_t first, uint32_t last);
        struct {
            void (*row)(void *context, const struct imap_list_row *row);
            void (*status)(void *context, struct slice name, const struct imap_status *status);
        } list;
        const struct session_body_events *body;
    } to;
    bool plain; /* BODIES: of whole bodies; other forms have nothing more to give */
};

struct disk {
    struct source source; /* first */
    struct loop *loop;
    const struct disk_events *events;
    void *context;
    struct disk_config config; /* texts are ours */
    struct command *first, **last;
    struct chore *chore; /* of the first */
    struct job *paused;  /* the first's, while nothing is wanted */
    struct loop_timer turn;
    struct disk_view *view; /* the open folder */
    struct quota_part *memory;
    struct quota_hold held;
    bool ready, closing, finishing, off;
    struct err why; /* with closing */
};

static struct disk *of(const struct source *source)
{
    return (struct disk *)(uintptr_t)source;
}

/* ---- the end ------------------------------------------------------------------------------------- */

static void over(void *context)
{
    struct disk *m = context;

    chore_cancel(&m->chore);
    if (m->paused)
        job_destroy(m->paused);
    while (m->first) {
        struct command *c = m->first;

        m->first = c->next;
        if (!m->first)
            m->last = &m->first;
        if (c->job)
            job_destroy(c->job);
        c->ended(c->context, &m->why);
        free(c);
    }
    m->events->closed(m->context, &m->why, m->ready);
    loop_timer_clear(m->loop, &m->turn);
    disk_view_drop(&m->view);
    quota_let_go(&m->held);
    free((char *)(uintptr_t)m->config.pattern);
    free((char *)(uintptr_t)m->config.user);
    free((char *)(uintptr_t)m->config.state_folder);
    free(m);
}

static void close_with(struct disk *m, enum err_class class, enum err_origin origin, const char *words)
{
    if (m->closing)
        return;
    m->closing = true;
    err_set(&m->why, class, ERR_SCOPE_SESSION, origin, 0, "%s", words);
    loop_timer_set(m->loop, &m->turn, 0, over, m);
}

void disk_close(struct disk *m)
{
    close_with(m, ERR_CLASS_CANCELED, ERR_ORIGIN_OS, "closed");
}

void disk_finish(struct disk *m)
{
    m->finishing = true;
    if (!m->first)
        disk_close(m);
}

/* ---- one command after the other ------------------------------------------------------------------- */

static void run(struct disk *m, struct job *job);

static void begin_first(struct disk *m)
{
    struct command *c = m->first;
    struct job *job = c ? c->job : NULL;

    if (!job || m->closing || !m->ready)
        return;
    c->job = NULL;
    if (job->kind == JOB_OPEN) { /* where it fails, none is open */
        disk_view_drop(&m->view);
        quota_let_go(&m->held);
    }
    if (job->kind >= JOB_ROWS_OF && m->view)
        job->view = disk_view_hold(m->view);
    run(m, job);
}

static void command_over(struct disk *m, const struct err *err)
{
    struct command *c = m->first;

    /* What is asked from inside `ended` comes behind it. */
    m->first = c->next;
    if (!m->first)
        m->last = &m->first;
    c->ended(c->context, err);
    free(c);
    if (m->closing)
        return;
    if (m->finishing && !m->first)
        disk_close(m);
    else if (!m->chore && !m->paused)
        begin_first(m);
}

static void namespaces_told(struct command *c, const struct job *job)
{
    struct session_namespace own = { SLICE(""), job->layout->delimiter, SESSION_NAMESPACE_PERSONAL };

    c->to.namespace(c->context, &own);
}

static bool is_asked_for(const struct job *job, struct slice name)
{
    return slice_equal(job->name, SLICE("*")) || slice_equal(job->name, SLICE("%")) || slice_equal(job->name, name);
}

static void list_told(struct command *c, const struct job *job)
{
    for (unsigned i = 0; i < job->rows.count; i++) {
        struct imap_list_row row = { slice_cstr(job->rows.all[i].name), job->layout->delimiter,
                                     job->rows.all[i].attributes };

        if (!is_asked_for(job, row.name))
            continue;
        c->to.list.row(c->context, &row);
        if (c->to.list.status && job->statuses[i].has)
            c->to.list.status(c->context, row.name, &job->statuses[i]);
    }
}

static void open_told(struct disk *m, struct command *c, struct job *job)
{
    struct imap_selected told = { .status = job->status, .read_only = true, .exists_told = true };
    size_t bytes = 0;

    m->view = job->found;
    job->found = NULL;
    for (uint32_t i = 0; i < m->view->count; i++)
        bytes += MESSAGE_BYTES + strlen(m->view->all[i].name);
    quota_hold(&m->held, m->memory, bytes);
    c->to.selected(c->context, &told);
}

static void rows_told(const struct disk *m, struct command *c, const struct job *job)
{
    for (uint32_t i = 0; i < job->message_count && !m->closing; i++)
        c->to.message(c->context, &job->messages[i].row);
}

static void ranges_told(struct command *c, const struct job *job)
{
    for (uint32_t i = 0; i < job->range_count; i++)
        c->to.range(c->context, job->ranges[i].first, job->ranges[i].last);
}

static void body_told(struct disk *m, struct command *c, const struct job *job)
{
    uint32_t uid;

    if (job->at >= job->wanted_count || job->gone)
        return;
    uid = job->view->all[job->wanted[job->at]].uid;
    if (!c->plain) {
        if (job->begins)
            c->to.body->end(c->context, uid, false, false);
        return;
    }
    if (job->begins)
        c->to.body->begin(c->context, uid, job->size, 0);
    if (job->out_size && !m->closing)
        c->to.body->bytes(c->context, slice_of(job->out, job->out_size));
    if (job->ends && !m->closing)
        c->to.body->end(c->context, uid, true, false);
}

static void told(struct disk *m, struct command *c, struct job *job)
{
    switch (job->kind) {
    case JOB_NAMESPACES:
        namespaces_told(c, job);
        break;
    case JOB_LIST:
        list_told(c, job);
        break;
    case JOB_STATUS:
        c->to.status(c->context, &job->status);
        break;
    case JOB_OPEN:
        open_told(m, c, job);
        break;
    case JOB_ROWS_OF:
        rows_told(m, c, job);
        break;
    case JOB_SEARCH:
        ranges_told(c, job);
        break;
    case JOB_BODIES:
        body_told(m, c, job);
        break;
    }
}

static void done(void *context, void *work)
{
    struct disk *m = context;
    struct job *job = work;
    struct err err = job->err;
    bool failed = job->failed;

    m->chore = NULL;
    if (!failed)
        told(m, m->first, job);
    if (m->closing) {
        job_destroy(job);
    } else if (!failed && job_goes_on(job)) {
        run(m, job);
    } else {
        job_destroy(job);
        command_over(m, failed ? &err : NULL);
    }
}

static void run_job(void *work)
{
    job_run(work);
}

static void drop_job(void *work)
{
    job_destroy(work);
}

static void run(struct disk *m, struct job *job)
{
    static const struct chore_kind kind = { run_job, done, drop_job };

    if (m->off && job->kind == JOB_BODIES)
        m->paused = job;
    else
        m->chore = chore_begin(m->loop, &kind, COST, job, m);
}

void disk_want_read(struct disk *m, bool on)
{
    struct job *job = m->paused;

    m->off = !on;
    if (!on || !job || m->closing)
        return;
    m->paused = NULL;
    run(m, job);
}

static struct command *ask(struct source *source, enum job_kind kind, session_ended *ended, void *context)
{
    struct disk *m = of(source);
    struct command *c = mem_zero(1, sizeof *c);

    c->job = job_create(kind, &m->config);
    c->ended = ended;
    c->context = context;
    *m->last = c;
    m->last = &c->next;
    return c;
}

static void first_turn(void *context)
{
    struct disk *m = context;

    if (!m->ready) {
        m->ready = true;
        m->events->ready(m->context);
    }
    if (!m->closing && !m->chore && !m->paused)
        begin_first(m);
}

/* On a turn of its own, so that nothing is told from inside the call that asks. */
static void soon(struct source *source)
{
    struct disk *m = of(source);

    if (!m->closing && !m->chore && !m->paused)
        loop_timer_set(m->loop, &m->turn, 0, first_turn, m);
}

/* ---- operations ------------------------------------------------------------------------------------ */

static void namespaces(struct source *source, void (*row)(void *context, const struct session_namespace *ns),
                       session_ended *ended, void *context)
{
    ask(source, JOB_NAMESPACES, ended, context)->to.namespace = row;
    soon(source);
}

static struct slice copy_of(struct slice text)
{
    return slice_of(slice_dup(text), text.size);
}

static void list(struct source *source, enum session_list_form form, struct slice pattern, unsigned status_items,
                 void (*row)(void *context, const struct imap_list_row *row),
                 void (*status)(void *context, struct slice name, const struct imap_status *status),
                 session_ended *ended, void *context)
{
    struct command *c = ask(source, JOB_LIST, ended, context);

    c->to.list.row = row;
    c->to.list.status = status;
    c->job->name = copy_of(pattern);
    c->job->with_status = status && status_items;
    soon(source);
}

static void status(struct source *source, struct slice name, unsigned status_items,
                   void (*answer)(void *context, const struct imap_status *status), session_ended *ended, void *context)
{
    struct command *c = ask(source, JOB_STATUS, ended, context);

    c->to.status = answer;
    c->job->name = copy_of(name);
    soon(source);
}

static void open(struct source *source, struct slice name, bool read_only,
                 void (*answer)(void *context, const struct imap_selected *selected), session_ended *ended,
                 void *context)
{
    struct command *c = ask(source, JOB_OPEN, ended, context);

    c->to.selected = answer;
    c->job->name = copy_of(name);
    soon(source);
}

static bool keep_range(void *context, struct uidset_range range)
{
    struct job *job = context;

    job->set = mem_resize(job->set, job->set_count + 1ul, sizeof *job->set);
    job->set[job->set_count++] = range;
    return true;
}

static struct command *ask_of(struct source *source, enum job_kind kind, struct slice set, session_ended *ended,
                              void *context)
{
    struct command *c = ask(source, kind, ended, context);

    (void)uidset_each(set.size ? set : SLICE("1:*"), keep_range, c->job);
    return c;
}

static void rows(struct source *source, struct slice set, struct slice header_fields,
                 void (*row)(void *context, const struct imap_message_row *row), session_ended *ended, void *context)
{
    struct command *c = ask_of(source, JOB_ROWS_OF, set, ended, context);

    c->to.message = row;
    c->job->with_header = header_fields.size > 0;
    soon(source);
}

static void search(struct source *source, struct slice set, void (*range)(void *context, uint32_t first, uint32_t last),
                   session_ended *ended, void *context)
{
    ask_of(source, JOB_SEARCH, set, ended, context)->to.range = range;
    soon(source);
}

static unsigned search_told(const struct source *source)
{
    return SESSION_SEARCH_ANSWERED;
}

static void bodies(struct source *source, struct slice set, enum session_body_form form, uint64_t first, uint64_t count,
                   const struct session_body_events *events, session_ended *ended, void *context)
{
    struct command *c = ask_of(source, JOB_BODIES, set, ended, context);

    c->to.body = events;
    c->plain = form == SESSION_BODY_PEEK || form == SESSION_BODY_UNPEEKED || form == SESSION_BODY_RFC822_PEEK ||
               form == SESSION_BODY_RFC822;
    soon(source);
}

static bool body_nil(const struct source *source)
{
    return false;
}

static unsigned damaged_count(const struct source *source)
{
    return 0;
}

static void give_up(struct source *source, const char *why)
{
    close_with(of(source), ERR_CLASS_TRANSIENT, ERR_ORIGIN_PROTOCOL, why);
}

static struct quota_part *memory_of(const struct source *source)
{
    return of(source)->memory;
}

static bool is_over(const struct source *source)
{
    return of(source)->closing;
}

static const struct source_ops disk_ops = {
    .namespaces = namespaces,
    .list = list,
    .status = status,
    .open = open,
    .rows = rows,
    .search = search,
    .search_told = search_told,
    .bodies = bodies,
    .body_nil = body_nil,
    .damaged_count = damaged_count,
    .give_up = give_up,
    .memory = memory_of,
    .is_over = is_over,
};

struct disk *disk_open(struct loop *loop, const struct disk_config *config, struct quota_part *memory,
                       const struct disk_events *events, void *context)
{
    struct disk *m = mem_zero(1, sizeof *m);

    m->source.ops = &disk_ops;
    m->source.traits = (struct source_traits){ .list_form = SESSION_LIST_EXTENDED };
    m->loop = loop;
    m->events = events;
    m->context = context;
    m->last = &m->first;
    m->config = *config;
    m->memory = memory;
    m->config.pattern = mem_text(config->pattern);
    m->config.user = mem_text(config->user);
    m->config.state_folder = config->state_folder ? mem_text(config->state_folder) : NULL;
    loop_timer_set(loop, &m->turn, 0, first_turn, m);
    return m;
}

struct source *disk_source(struct disk *m)
{
    return &m->source;
}

bool disk_is_ready(const struct disk *m)
{
    return m->ready && !m->closing;
}
