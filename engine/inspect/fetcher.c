#include "engine/inspect/fetcher.h"

#include "engine/failure/trouble.h"
#include "engine/folders/names_text.h"
#include "engine/message/assembly.h"
#include "engine/move/body_read.h"
#include "io/base/mem.h"

#include <stdlib.h>

struct fetcher {
    struct loop *loop;
    struct visits *visits;
    struct visit *visit;
    const struct settings_user *user;
    char *folder; /* selected; NULL: none */
    uint32_t uidvalidity;
    bool lost; /* no way in for this user */
    struct err why;
    /* the command under way */
    bool ended, failed;
    struct err err;
    /* the body under way */
    bool (*sink)(void *context, struct slice bytes, struct err *err_r);
    void *context;
    uint64_t got, sizes_right, sizes_wrong;
    bool given, sink_failed;
    struct err sink_err;
};

static void woken(struct fetcher *f)
{
    loop_stop(f->loop);
}

static void ready(void *context)
{
    struct fetcher *f = context;

    free(f->folder);
    f->folder = NULL;
    woken(f);
}

static void over(void *context, const struct err *err, const char *type)
{
    struct fetcher *f = context;

    (void)type;
    f->visit = NULL;
    if (err) {
        f->lost = true;
        f->why = *err;
        f->why.scope = ERR_SCOPE_ACCOUNT;
    }
    woken(f);
}

static const struct visit_events events = { .ready = ready, .over = over };

bool fetcher_create(const struct visit_house *house, struct fetcher **fetcher_r, struct err *err_r)
{
    struct fetcher *f = mem_zero(1, sizeof *f);

    if (!loop_create(&f->loop, err_r)) {
        free(f);
        return false;
    }
    f->visits = visits_create(house, f->loop);
    *fetcher_r = f;
    return true;
}

static void leave(struct fetcher *f)
{
    if (f->visit)
        visit_end(f->visit);
    while (f->visit)
        loop_run(f->loop);
    free(f->folder);
    f->folder = NULL;
    f->user = NULL;
    f->lost = false;
}

void fetcher_destroy(struct fetcher **fetcher)
{
    struct fetcher *f = *fetcher;

    if (!f)
        return;
    leave(f);
    visits_destroy(&f->visits);
    loop_destroy(&f->loop);
    free(f);
    *fetcher = NULL;
}

static void command_ended(void *context, const struct err *err)
{
    struct fetcher *f = context;

    f->ended = true;
    f->failed = err != NULL;
    if (err)
        f->err = *err;
    woken(f);
}

/* Runs the loop until the command that was started has ended. */
static bool command_done(struct fetcher *f)
{
    while (!f->ended)
        loop_run(f->loop);
    f->ended = false;
    return !f->failed;
}

static void selected(void *context, const struct imap_selected *told)
{
    struct fetcher *f = context;

    f->uidvalidity = told->status.has & IMAP_STATUS_UIDVALIDITY ? told->status.uidvalidity : 0;
}

static bool give(struct fetcher *f, struct slice bytes)
{
    if (!f->sink_failed && !f->sink(f->context, bytes, &f->sink_err))
        f->sink_failed = true;
    return !f->sink_failed;
}

static void body_begin(void *context)
{
    struct fetcher *f = context;

    if (f->given)
        give(f, slice_of(NULL, 0));
    f->given = false;
    f->got = 0;
}

static void body_bytes(void *context, struct slice bytes)
{
    struct fetcher *f = context;

    f->given = true;
    f->got += bytes.size;
    give(f, bytes);
}

static const struct body_read_events body_events = {
    .begin = body_begin,
    .bytes = body_bytes,
    .ended = command_ended,
};

static bool is_in(struct fetcher *f, const struct settings_user *user, struct err *err_r)
{
    if (f->user != user) {
        leave(f);
        f->user = user;
        f->visit = visit_start(f->visits, SIDE_SOURCE, user, &events, f);
    }
    while (!f->lost && !visit_is_ready(f->visit))
        loop_run(f->loop);
    if (f->lost)
        *err_r = f->why;
    return !f->lost;
}

static bool examine(struct fetcher *f, struct slice name)
{
    source_open(visit_source(f->visit), name, true, selected, command_ended, f);
    return command_done(f);
}

static bool is_open(struct fetcher *f, struct slice folder, char delimiter, uint32_t uidvalidity, struct err *err_r)
{
    if (!f->folder || !slice_equal(slice_cstr(f->folder), folder)) {
        struct slice bare = names_bare(folder, delimiter);

        free(f->folder);
        f->folder = NULL;
        if (!examine(f, folder) && (bare.size == 0 || !trouble_is_about_name(&f->err) || !examine(f, bare))) {
            *err_r = f->err;
            err_r->scope = ERR_SCOPE_FOLDER;
            return false;
        }
        f->folder = slice_dup(folder);
    }
    if (uidvalidity && f->uidvalidity && uidvalidity != f->uidvalidity)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_FOLDER, ERR_ORIGIN_PROTOCOL, 0,
                       "the folder was made anew at the source: its numbers name other messages");
    return true;
}

bool fetcher_body(struct fetcher *f, const struct settings_user *user, const struct fetcher_ask *ask,
                  bool (*sink)(void *context, struct slice bytes, struct err *err_r), void *context, struct err *err_r)
{
    struct body_read_ask read = { .uid = ask->uid, .expected_bytes = ask->expected_bytes };

    if (!is_in(f, user, err_r) || !is_open(f, ask->folder, ask->delimiter, ask->uidvalidity, err_r))
        return false;
    f->sink = sink;
    f->context = context;
    f->given = f->sink_failed = false;
    f->got = 0;
    if (size_trust_of(f->sizes_right, f->sizes_wrong) == SIZES_ESTIMATES)
        read.expected_bytes = 0;
    body_read_start(visit_source(f->visit), &read, &body_events, f);
    if (!command_done(f) && !f->sink_failed) {
        *err_r = f->err;
        err_r->scope = ERR_SCOPE_MESSAGE;
        return false;
    }
    if (f->sink_failed) {
        *err_r = f->sink_err;
        return false;
    }
    f->sizes_right += f->got == ask->expected_bytes;
    f->sizes_wrong += f->got != ask->expected_bytes;
    visit_went_well(f->visit);
    return true;
}
