#include "engine/cli/do_tidy.h"

#include "engine/cli/ahead.h"
#include "engine/cli/complain.h"
#include "engine/cli/do_run.h"
#include "engine/cli/exits.h"
#include "engine/cli/states.h"
#include "engine/failure/advice.h"
#include "engine/move/batch.h"
#include "engine/move/tidy.h"
#include "engine/report/emit.h"
#include "engine/report/format.h"
#include "io/base/mem.h"

#include <stdlib.h>
#include <time.h>

struct unseen {
    const char *address;
    char folder[160], type[40], text[400];
};

struct tidied {
    struct emit emit;
    bool json, removes, quiet;
    struct unseen *unseen;
    size_t unseen_count;
    unsigned unreachable, refused; /* users */
};

static void copy_json(struct emit *e, const struct tidy_copy *c)
{
    emit_object(e, NULL);
    emit_cstr(e, "address", c->user->email_address);
    emit_cstr(e, "folder", c->folder);
    emit_number(e, "uid", c->uid);
    emit_cstr(e, "message_id", c->message_id);
    emit_number(e, "kept_uid", c->kept_uid);
    emit_bool(e, "removed", c->removed);
    emit_number(e, "source_uid", c->message);
    emit_number(e, "bytes", c->bytes);
    emit_time(e, "date", c->seconds == INT64_MIN ? 0 : c->seconds * 1000);
    if (*c->why)
        emit_cstr(e, "why", c->why);
    else
        emit_null(e, "why");
    emit_end_object(e);
    fflush(e->out);
}

static const char *date_text(int64_t seconds, char out[32])
{
    time_t at = (time_t)seconds;
    struct tm tm;

    if (seconds == INT64_MIN || !gmtime_r(&at, &tm) || strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        snprintf(out, 32, "no date");
    return out;
}

static void copy_text(const struct tidy_copy *c)
{
    char folder[200], date[32];

    err_printable(folder, sizeof folder, c->folder, strlen(c->folder));
    printf("%s  %s: UID %u", c->user->email_address, folder, c->uid);
    if (c->bytes)
        printf(" (%s, %s%s%s)", format_bytes(c->bytes).text, date_text(c->seconds, date), *c->message_id ? ", " : "",
               c->message_id);
    if (c->kept_uid)
        printf(" is a second copy of UID %u", c->kept_uid);
    else
        printf(" is a second copy");
    if (c->removed && c->bytes == 0)
        printf(": it was removed by an earlier tidy that was broken off\n");
    else if (c->removed)
        printf(": removed\n");
    else if (*c->why)
        printf(": it stays: %s\n", c->why);
    else
        printf(": --remove removes it\n");
    fflush(stdout);
}

static void copy_told(void *context, const struct tidy_copy *c)
{
    struct tidied *t = context;

    if (t->json)
        copy_json(&t->emit, c);
    else
        copy_text(c);
}

static void unseen_told(void *context, const struct settings_user *user, const char *folder, const char *type,
                        const struct err *err)
{
    struct tidied *t = context;
    char line[400];
    struct unseen *u;

    t->unseen = mem_resize(t->unseen, t->unseen_count + 1, sizeof *t->unseen);
    u = &t->unseen[t->unseen_count++];
    *u = (struct unseen){ .address = user->email_address };
    if (folder)
        err_printable(u->folder, sizeof u->folder, folder, strlen(folder));
    snprintf(u->type, sizeof u->type, "%s", type);
    snprintf(u->text, sizeof u->text, "%s", err_line(err, line, sizeof line));
    if (!folder) {
        t->unreachable += strcmp(type, "ConnectFailed") == 0 || strcmp(type, "TlsFailed") == 0;
        t->refused += strcmp(type, "LoginFailed") == 0;
    }
    if (!t->json)
        printf("%s  %s%scould not be looked at: %s: %s\n    do: %s\n", u->address, u->folder, folder ? ": " : "",
               u->type, u->text, advice_find(u->type)->remedy);
}

static void end_json(struct tidied *t, const struct tidy_result *r)
{
    struct emit *e = &t->emit;

    emit_end_array(e);
    emit_array(e, "not_seen");
    for (size_t i = 0; i < t->unseen_count; i++) {
        emit_object(e, NULL);
        emit_cstr(e, "address", t->unseen[i].address);
        emit_cstr(e, "folder", t->unseen[i].folder);
        emit_cstr(e, "type", t->unseen[i].type);
        emit_cstr(e, "text", t->unseen[i].text);
        emit_end_object(e);
    }
    emit_end_array(e);
    emit_number(e, "removed", r->removed);
    emit_number(e, "left", r->left);
    emit_end_object(e);
}

static void end_text(const struct tidied *t, const struct tidy_result *r)
{
    if (r->users == 0) {
        printf("nothing to look at: no message was sent a second time\n");
        return;
    }
    printf("%s%u user%s looked at: %s second cop%s removed, %s left%s\n", r->removed + r->left ? "\n" : "", r->users,
           format_s(r->users), format_count(r->removed).text, r->removed == 1 ? "y" : "ies", format_count(r->left).text,
           r->unseen ? "; not all could be seen" : "");
    if (r->left && !t->removes)
        printf("--remove removes those that nothing is said against\n");
}

/* The state folders that the batch file stands for; each must be there. */
static int find_folders(const struct opts *o, const struct settings *settings, struct settings_list *folders)
{
    struct states s;
    int code = states_open_batch(settings, o->quiet, &s);

    if (code == EXIT_DONE) {
        for (unsigned i = 0; i < s.opened; i++)
            settings_list_add(folders, slice_cstr(s.list[i].folder));
        if (!o->quiet)
            states_tell_missing(&s, "tidied", stderr);
    }
    states_close(&s);
    return code;
}

static int one_state(const struct settings *settings, const char *folder, struct tidied *t, struct tidy_result *r)
{
    struct spool_config config = { .folder = folder,
                                   .budget_bytes = settings->spool_max_bytes,
                                   .key = settings->spool_key };
    struct tidy_config tidy = {
        .settings = settings, .removes = t->removes, .copy = copy_told, .unseen = unseen_told, .context = t
    };
    struct spool *spool;
    struct err err;
    bool ok;

    /* The lock of a run: beside one, what is on its way would look like somebody else's. */
    if (!spool_open(&config, &spool, &err))
        return complain_of_state(&err);
    tidy.spool = spool;
    if (!t->quiet)
        ahead_tell_other_server(spool, settings, SIDE_TARGET, stderr);
    ok = tidy_run(&tidy, r, &err);
    spool_close(&spool);
    return ok ? EXIT_DONE : complain_of_start(&err);
}

static int exit_of(const struct tidied *t, const struct tidy_result *r)
{
    if (r->stopped) {
        fprintf(stderr, "mailhaul: stopped early; run it again to go on\n");
        return EXIT_STOPPED;
    }
    if (r->users && t->unreachable == r->users)
        return EXIT_UNREACHABLE;
    if (r->users && t->refused == r->users)
        return EXIT_LOGIN_REFUSED;
    return r->left || r->unseen ? EXIT_FAILED_USERS : EXIT_DONE;
}

int do_tidy(const struct opts *o, const struct settings *settings)
{
    struct tidied t = { .json = o->json, .removes = o->remove, .quiet = o->quiet };
    struct settings_list folders = { 0 };
    struct tidy_result r = { 0 };
    int code = find_folders(o, settings, &folders);

    if (code == EXIT_DONE) {
        do_run_catch_signals();
        emit_init(&t.emit, stdout, true);
        if (o->json) {
            emit_object(&t.emit, NULL);
            emit_cstr(&t.emit, "schema", "mailhaul.tidy.v1");
            emit_array(&t.emit, "copies");
        }
        for (size_t i = 0; code == EXIT_DONE && i < folders.count && !r.stopped; i++)
            code = one_state(settings, folders.items[i], &t, &r);
        if (o->json)
            end_json(&t, &r);
        else if (code == EXIT_DONE)
            end_text(&t, &r);
        if (code == EXIT_DONE)
            code = exit_of(&t, &r);
    }
    settings_list_deinit(&folders);
    free(t.unseen);
    return code;
}
