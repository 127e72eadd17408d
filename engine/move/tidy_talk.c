/* Commands of tidy, one at a time and waited for. */
#include "engine/move/batch.h"
#include "engine/move/tidy_private.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TICK_MS 200u

static void woken(struct tidy *t)
{
    loop_stop(t->loop);
}

static void ready(void *context)
{
    woken(context);
}

static void over(void *context, const struct err *err, const char *type)
{
    struct tidy *t = context;

    t->visit = NULL;
    if (err) {
        t->lost = true;
        t->err = *err;
        snprintf(t->type, sizeof t->type, "%s", type);
    }
    woken(t);
}

static const struct visit_events events = { .ready = ready, .over = over };

static void tick(void *context)
{
    struct tidy *t = context;

    loop_timer_set(t->loop, &t->tick, TICK_MS, tick, t);
    if (batch_stopping(NULL))
        woken(t);
}

static bool stops(struct tidy *t)
{
    if (!batch_stopping(NULL))
        return false;
    t->result->stopped = true;
    t->lost = true;
    snprintf(t->type, sizeof t->type, "Canceled");
    return !err_set(&t->err, ERR_CLASS_CANCELED, ERR_SCOPE_RUN, ERR_ORIGIN_OS, 0, "stopped before it was done");
}

bool tidy_is_in(struct tidy *t)
{
    if (!t->visit && !t->lost)
        t->visit = visit_start(t->visits, SIDE_TARGET, t->user, &events, t);
    loop_timer_set(t->loop, &t->tick, TICK_MS, tick, t);
    while (!t->lost && !visit_is_ready(t->visit) && !stops(t))
        loop_run(t->loop);
    return !t->lost;
}

void tidy_leave(struct tidy *t)
{
    if (t->visit)
        visit_end(t->visit);
    while (t->visit)
        loop_run(t->loop);
    loop_timer_clear(t->loop, &t->tick);
    t->lost = false;
    t->has_permanent = false;
}

static void command_ended(void *context, const struct err *err)
{
    struct tidy *t = context;

    t->ended = true;
    t->failed = err != NULL;
    if (err)
        t->err = *err;
    woken(t);
}

/* What is under way is waited for also when it is to stop: a command is short. */
static bool done(struct tidy *t)
{
    while (!t->ended)
        loop_run(t->loop);
    t->ended = false;
    if (!t->failed && t->visit && visit_is_ready(t->visit))
        visit_went_well(t->visit);
    return !t->failed;
}

/* The connection that the last command was on. */
static bool stands(struct tidy *t)
{
    if (t->visit && visit_is_ready(t->visit) && !t->lost)
        return true;
    if (!t->lost)
        err_set(&t->err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, 0, "the connection was lost");
    return false;
}

struct selecting {
    struct tidy *t;
    struct imap_status status;
};

static void selected(void *context, const struct imap_selected *s)
{
    struct selecting *sel = context;
    struct tidy *t = sel->t;

    sel->status = s->status;
    t->has_permanent = s->has_permanent;
    t->permanent = s->permanent;
    t->permanent.keywords = slice_first(s->permanent.keywords, sizeof t->permanent_words);
    if (t->permanent.keywords.size)
        memcpy(t->permanent_words, t->permanent.keywords.data, t->permanent.keywords.size);
    t->permanent.keywords.data = t->permanent_words;
}

static void select_ended(void *context, const struct err *err)
{
    command_ended(((struct selecting *)context)->t, err);
}

bool tidy_select(struct tidy *t, struct slice raw, struct imap_status *status_r)
{
    struct selecting sel = { .t = t };

    if (!stands(t))
        return false;
    session_select(visit_session(t->visit), raw, false, selected, select_ended, &sel);
    if (!done(t))
        return false;
    *status_r = sel.status;
    return true;
}

static void looked(void *context, struct late_look *look, const struct err *err)
{
    struct tidy *t = context;

    t->look = look;
    command_ended(t, err);
}

bool tidy_look(struct tidy *t, const struct folder_record *f, struct late_look **look_r)
{
    struct late_config config = {
        .raw = f->target_raw,
        .floor = f->target_lost_from,
        .uidvalidity = f->target_uidvalidity,
        .uids_lie = f->target_uids_lie,
        .sends_unknown = f->target_sends_unknown,
        .reader = t->reader,
        .user = f->user,
        .folder = f->folder,
        .fidelity = &t->fidelity,
    };
    struct imap_status unused;
    bool ok;

    *look_r = NULL;
    if (!tidy_select(t, f->target_raw, &unused))
        return false;
    config.session = visit_session(t->visit);
    late_look_begin(&config, looked, t);
    ok = done(t);
    *look_r = t->look;
    t->look = NULL;
    return ok;
}

static void row_told(void *context, const struct imap_message_row *row)
{
    struct tidy *t = context;

    for (unsigned i = 0; i < 2; i++) {
        struct tidy_row *r = &t->rows[i];
        size_t size = row->flags.keywords.size;

        /* The wanted UID stands in `bytes` until it comes. */
        if (r->twin.uid || r->twin.bytes != row->uid || !row->has_header || !row->has_size || !row->has_flags)
            continue;
        r->twin = (struct match_row){ .seconds = row->date.known ? row->date.seconds : INT64_MIN,
                                      .bytes = row->size_bytes,
                                      .uid = row->uid };
        match_key(row->header, r->twin.key);
        r->flags = row->flags.system & 0x1f;
        if (size >= sizeof r->keywords)
            r->twin.uid = 0; /* what it has cannot be compared */
        else if (size)
            memcpy(r->keywords, row->flags.keywords.data, size);
        return;
    }
}

bool tidy_fetch(struct tidy *t, uint32_t first, uint32_t second, struct tidy_row rows_r[2])
{
    uint32_t uids[2] = { first < second ? first : second, first < second ? second : first };

    memset(rows_r, 0, 2 * sizeof *rows_r);
    if (!stands(t))
        return false;
    rows_r[0].twin.bytes = first;
    rows_r[1].twin.bytes = second;
    t->rows = rows_r;
    late_rows_fetch(visit_session(t->visit), uids, 2, row_told, command_ended, t);
    return done(t);
}

static struct slice set_of(uint32_t uid, char out[16])
{
    snprintf(out, 16, "%" PRIu32, uid);
    return slice_cstr(out);
}

bool tidy_mark(struct tidy *t, uint32_t uid, bool deleted)
{
    char set[16];

    if (!stands(t))
        return false;
    if (deleted)
        session_store_flags(visit_session(t->visit), set_of(uid, set), SLICE("\\Deleted"), command_ended, t);
    else
        session_clear_flags(visit_session(t->visit), set_of(uid, set), SLICE("\\Deleted"), command_ended, t);
    return done(t);
}

bool tidy_may_expunge(struct tidy *t)
{
    const struct caps *caps = stands(t) ? session_caps(visit_session(t->visit)) : NULL;

    return caps && caps_have_uidplus(caps);
}

bool tidy_expunge(struct tidy *t, uint32_t uid)
{
    char set[16];

    if (!stands(t))
        return false;
    session_expunge(visit_session(t->visit), set_of(uid, set), command_ended, t);
    return done(t);
}
