#include "engine/cli/do_verify.h"

#include "engine/cli/ahead.h"
#include "engine/cli/complain.h"
#include "engine/cli/do_run.h"
#include "engine/cli/exits.h"
#include "engine/cli/sandbox.h"
#include "engine/cli/states.h"
#include "engine/failure/advice.h"
#include "engine/inspect/verify.h"
#include "engine/move/batch.h"
#include "engine/report/emit.h"
#include "engine/report/format.h"
#include "engine/settings/side.h"
#include "io/team.h"

#define LINES_A_USER 20u

struct verified {
    struct emit emit;
    bool json;
    unsigned users, grades[VERIFY_NOT_JUDGED + 1], unread, unseen, unreachable, refused;
    uint64_t missing, doubled, differing, content, source, fresh, unjudged;
};

/* What was not counted is no number. */
static void counted(struct emit *e, const char *name, const struct verify_user *u, uint64_t value)
{
    if (u->compared)
        emit_number(e, name, value);
    else
        emit_null(e, name);
}

static void user_json(struct emit *e, const struct verify_user *u)
{
    emit_object(e, NULL);
    emit_cstr(e, "address", u->user->email_address);
    emit_cstr(e, "grade", verify_grade_name(u->grade));
    emit_number(e, "source", u->source);
    counted(e, "target", u, u->target);
    counted(e, "missing", u, u->missing);
    counted(e, "doubled", u, u->doubled);
    counted(e, "differing", u, u->flags + u->date + u->content);
    emit_number(e, "not_judged", u->unjudged);
    emit_number(e, "flags", u->flags);
    emit_number(e, "date", u->date);
    emit_number(e, "content", u->content);
    emit_number(e, "required", u->required);
    emit_number(e, "skipped", u->skipped);
    emit_number(e, "new", u->fresh);
    emit_number(e, "bodies_compared", u->bodies);
    emit_number(e, "doubts", u->doubts);
    emit_bool(e, "complete", u->complete);
    if (u->complete) {
        emit_null(e, "failure");
    } else {
        char line[512];

        emit_cstr(e, "failure", u->type);
        if (u->failed_side < SIDE_COUNT)
            emit_cstr(e, "failure_side", side_name(u->failed_side));
        emit_cstr(e, "failure_text", err_line(&u->err, line, sizeof line));
        emit_cstr(e, "advice", advice_line(u->type, slice_cstr(u->user->email_address), line, 256));
    }
    emit_array(e, "differences");
    for (unsigned i = 0; i < u->difference_count; i++) {
        const struct verify_difference *d = &u->differences[i];

        emit_object(e, NULL);
        emit_cstr(e, "folder", d->folder);
        emit_number(e, "uid", d->uid);
        emit_cstr(e, "message_id", d->message_id);
        emit_cstr(e, "what", verify_what_name(d->what));
        if (d->late)
            emit_cstr(e, "type", "LateCopy");
        else
            emit_null(e, "type");
        emit_end_object(e);
    }
    emit_end_array(e);
    emit_number(e, "differences_not_listed", u->more);
    emit_end_object(e);
    fflush(e->out);
}

/* Not one folder of it was compared. */
static bool unseen(const struct verify_user *u)
{
    return !u->complete && u->compared == 0;
}

static const char not_begun[] =
    "no run has begun with it yet, so what the target holds of it was not looked at; `mailhaul run` recognises there "
    "what an earlier run or tool has moved, then verify again";

/* Whose password it is that does not do, say. */
static const char *where(const struct verify_user *u)
{
    return u->failed_side == SIDE_SOURCE ? "at the source: " : u->failed_side == SIDE_TARGET ? "at the target: " : "";
}

static void user_text(const struct verify_user *u)
{
    char line[512];

    format_left(stdout, slice_cstr(u->user->email_address), 40);
    if (unseen(u)) {
        printf("  %-11s  could not look: %s: %s%s\n    do: %s\n", "not seen", u->type, where(u),
               err_line(&u->err, line, sizeof line), advice_find(u->type)->remedy);
        fflush(stdout);
        return;
    }
    if (u->compared == 0 && u->complete) {
        printf("  %-11s  %s at the source; %s\n", verify_grade_name(u->grade), format_count(u->source).text, not_begun);
        fflush(stdout);
        return;
    }
    printf("  %-11s  %s at the source, %s on the target", verify_grade_name(u->grade), format_count(u->source).text,
           format_count(u->target).text);
    if (u->skipped)
        printf(", %s skipped by policy", format_count(u->skipped).text);
    if (u->fresh)
        printf(", %s came since the last run", format_count(u->fresh).text);
    if (u->missing || u->doubled)
        printf("; %s MISSING, %s DOUBLED", format_count(u->missing).text, format_count(u->doubled).text);
    if (u->flags + u->date + u->content)
        printf("; differing: %s flags, %s date, %s content", format_count(u->flags).text, format_count(u->date).text,
               format_count(u->content).text);
    printf("; %s bod%s compared\n", format_count(u->bodies).text, u->bodies == 1 ? "y" : "ies");
    if (u->unjudged)
        printf("    %s not judged: of a folder no run has begun with it yet, of a message a server gives no text; "
               "`mailhaul run`, then verify again\n",
               format_count(u->unjudged).text);
    if (!u->complete)
        printf("    not read whole: %s: %s%s\n    do: %s\n", u->type, where(u), err_line(&u->err, line, sizeof line),
               advice_find(u->type)->remedy);
    if (u->late)
        printf("    %s of the doubled %s of a message that was sent again, as no look had found it (LateCopy): "
               "`mailhaul tidy` "
               "lists %s, and removes what is this program's own\n",
               format_count(u->late).text, u->late == 1 ? "is" : "are each", u->late == 1 ? "it" : "them");
    if (u->doubts)
        printf("    %u doubt%s left by the runs, so this cannot be Perfect: `mailhaul report` names %s\n", u->doubts,
               u->doubts == 1 ? " was" : "s were", u->doubts == 1 ? "it" : "them");
    for (unsigned i = 0; i < u->difference_count && i < LINES_A_USER; i++) {
        const struct verify_difference *d = &u->differences[i];

        if (d->uid)
            printf("    %-10s %s, UID %u %s\n", verify_what_name(d->what), d->folder, d->uid, d->message_id);
        else
            printf("    %-10s %s, the whole folder\n", verify_what_name(d->what), d->folder);
    }
    if (u->difference_count > LINES_A_USER || u->more)
        printf("    and %s more; --json lists up to %u\n",
               format_count(u->difference_count + u->more -
                            (u->difference_count < LINES_A_USER ? u->difference_count : LINES_A_USER))
                   .text,
               VERIFY_DIFFERENCES_MAX);
    fflush(stdout);
}

static void told(void *context, const struct verify_user *u)
{
    struct verified *v = context;

    v->users++;
    if (unseen(u))
        v->unseen++;
    else
        v->grades[u->grade]++;
    v->missing += u->missing;
    v->doubled += u->doubled;
    v->differing += u->flags + u->date + u->content;
    v->content += u->content;
    if (u->compared)
        v->source += u->source;
    v->unjudged += u->unjudged;
    v->fresh += u->fresh;
    v->unread += !u->complete;
    v->unreachable += !u->complete && (strcmp(u->type, "ConnectFailed") == 0 || strcmp(u->type, "TlsFailed") == 0);
    v->refused += !u->complete && strcmp(u->type, "LoginFailed") == 0;
    if (v->json)
        user_json(&v->emit, u);
    else
        user_text(u);
}

static void summarize(const struct verified *v)
{
    printf("\n%s user%s: ", format_count(v->users).text, format_s(v->users));
    if (v->unseen)
        printf("%u could not be looked at%s", v->unseen, v->unseen < v->users ? ", " : "");
    if (v->unseen == v->users) {
        printf("\n");
        return;
    }
    printf("%u Perfect, %u Good, %u Investigate, %u Poor", v->grades[VERIFY_PERFECT], v->grades[VERIFY_GOOD],
           v->grades[VERIFY_INVESTIGATE], v->grades[VERIFY_POOR]);
    if (v->grades[VERIFY_NOT_JUDGED])
        printf(", %u not judged", v->grades[VERIFY_NOT_JUDGED]);
    if (v->unseen + v->grades[VERIFY_NOT_JUDGED] < v->users)
        printf("; of %s message%s at the source %s %s missing and %s doubled, %s differ%s",
               format_count(v->source).text, format_s(v->source), format_count(v->missing).text,
               v->missing == 1 ? "is" : "are", format_count(v->doubled).text, format_count(v->differing).text,
               v->differing == 1 ? "s" : "");
    if (v->unjudged)
        printf("; %s %s not judged", format_count(v->unjudged).text, v->unjudged == 1 ? "was" : "were");
    if (v->fresh)
        printf("; %s came since the last run, run again to move them", format_count(v->fresh).text);
    printf("\n");
}

int do_verify(const struct opts *o, const struct settings *settings)
{
    struct verified v = { .json = o->json };
    struct verify_config config = { .settings = settings, .sample = o->sample, .told = told, .context = &v };
    struct err err;
    struct states s;
    unsigned users;
    int code = states_open_batch(settings, o->quiet, &s);

    if (code != EXIT_DONE) {
        states_close(&s);
        return code;
    }
    for (unsigned i = 0; i < s.opened && !o->quiet; i++)
        for (enum side side = SIDE_SOURCE; side < SIDE_COUNT; side++)
            ahead_tell_other_server(s.spools[i], settings, side, stderr);
    config.spools = s.spools;
    config.spool_count = s.opened;
    if (!o->quiet)
        states_tell_missing(&s, "known of what the runs left; their users are compared all the same", stderr);
    sandbox(o, settings, NULL);
    do_run_catch_signals();
    config.loops = team_loops(settings->threads);
    emit_init(&v.emit, stdout, true);
    if (o->json) {
        emit_object(&v.emit, NULL);
        emit_cstr(&v.emit, "schema", "mailhaul.verify.v1");
        emit_array(&v.emit, "users");
    }
    if (!verify_run(&config, &users, &err)) {
        states_close(&s);
        return complain(&err, err.origin == ERR_ORIGIN_TLS ? EXIT_BATCH_FILE : EXIT_DISK);
    }
    states_close(&s);
    if (o->json) {
        emit_end_array(&v.emit);
        emit_end_object(&v.emit);
    } else {
        summarize(&v);
    }
    if (users < settings->user_count || batch_stopping(NULL)) {
        fprintf(stderr, "mailhaul: stopped early; %u of %zu user%s looked at\n", users, settings->user_count,
                settings->user_count == 1 ? " was" : "s were");
        return EXIT_STOPPED;
    }
    if (users && v.unreachable == users)
        return EXIT_UNREACHABLE;
    if (users && v.refused == users)
        return EXIT_LOGIN_REFUSED;
    return v.missing || v.doubled || v.content || v.unread || v.unjudged || v.grades[VERIFY_NOT_JUDGED]
               ? EXIT_FAILED_USERS
               : EXIT_DONE;
}
