#include "engine/cli/do_cutover.h"

#include "engine/cli/complain.h"
#include "engine/cli/do_run.h"
#include "engine/cli/do_verify.h"
#include "engine/cli/exits.h"
#include "engine/cli/json_out.h"
#include "engine/cli/offspring.h"
#include "engine/cli/states.h"
#include "engine/folders/names_index.h"
#include "engine/report/format.h"
#include "engine/report/report.h"
#include "io/base/mem.h"
#include "store/wishes.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct part {
    struct opts opts;
    struct settings settings; /* a shallow copy, of another mode */
    int (*run)(const struct opts *o, const struct settings *settings);
};

static int work(void *context)
{
    struct part *part = context;

    return part->run(&part->opts, &part->settings);
}

static bool do_part(const struct opts *o, const struct settings *settings, enum opts_command command,
                    int (*run)(const struct opts *o, const struct settings *settings), int out, int *code_r)
{
    struct part *part = mem_zero(1, sizeof *part);
    bool ok;

    part->opts = *o;
    part->settings = *settings;
    part->run = run;
    part->opts.command = command;
    part->opts.json = command == OPTS_VERIFY;
    part->opts.quiet = o->quiet || command == OPTS_VERIFY;
    part->settings.mode = opts_mode(command);
    ok = offspring_run(work, part, out, code_r);
    free(part);
    return ok;
}

/* What verify found of each, or NULL, told. */
static json_t *verified(const struct opts *o, const struct settings *settings, int *code_r)
{
    int out = memfd_create("verify", MFD_CLOEXEC);
    json_error_t error;
    json_t *all = NULL;

    if (out < 0) {
        fprintf(stderr, "mailhaul: no memory for what verify finds: %s\n", strerror(errno));
        return NULL;
    }
    if (do_part(o, settings, OPTS_VERIFY, do_verify, out, code_r) && lseek(out, 0, SEEK_SET) == 0) {
        all = json_loadfd(out, 0, &error);
        if (!all)
            fprintf(stderr, "mailhaul: verify ended with exit code %d and no account: nobody is Completed\n", *code_r);
    }
    close(out);
    return all;
}

/* What is known of each address. */
struct found {
    const struct report *report;
    const json_t *grades; /* an array */
    struct names_index reported, graded;
};

static void found_init(struct found *f, const struct report *report, const json_t *all)
{
    const json_t *user;
    size_t i;

    *f = (struct found){ .report = report, .grades = json_object_get(all, "users") };
    names_index_init(&f->reported);
    names_index_init(&f->graded);
    for (i = 0; i < report->user_count; i++)
        (void)names_index_add_folded(&f->reported, slice_cstr(report->users[i].address), i);
    json_array_foreach(f->grades, i, user)
    {
        const char *address = json_string_value(json_object_get(user, "address"));

        if (address)
            (void)names_index_add_folded(&f->graded, slice_cstr(address), i);
    }
}

static void found_deinit(struct found *f)
{
    names_index_deinit(&f->reported);
    names_index_deinit(&f->graded);
}

static const struct report_user *reported(struct found *f, const char *address)
{
    size_t at = names_index_find_folded(&f->reported, slice_cstr(address));

    return at == NAMES_INDEX_NONE ? NULL : &f->report->users[at];
}

static const char *grade_of(struct found *f, const char *address)
{
    size_t at = names_index_find_folded(&f->graded, slice_cstr(address));
    const json_t *user = at == NAMES_INDEX_NONE ? NULL : json_array_get(f->grades, at);

    return json_is_true(json_object_get(user, "complete")) ? json_string_value(json_object_get(user, "grade")) : NULL;
}

static bool is_good(const char *grade)
{
    return grade && (strcmp(grade, "Perfect") == 0 || strcmp(grade, "Good") == 0);
}

struct tally_of {
    unsigned completed, failed, doubted, open;
    json_t *users; /* --json: an object each; else NULL, and each is a line */
};

static bool is_proved(const struct report_user *user)
{
    return user->state == USER_SYNCED || user->state == USER_INCREMENTAL_SYNCED || user->state == USER_COMPLETED;
}

static bool is_completed(const struct report_user *user, const char *grade)
{
    return is_proved(user) && is_good(grade);
}

static json_t *text_or_null(const char *text)
{
    return text && *text ? json_string(text) : json_null();
}

static void add_json(json_t *users, const struct report_user *user, const char *grade)
{
    json_array_append_new(users, json_pack("{s:s,s:b,s:o,s:s,s:o,s:I}", "address", user->address, "completed",
                                           is_completed(user, grade), "grade", text_or_null(grade), "state",
                                           user_state_name(is_completed(user, grade) ? USER_COMPLETED : user->state),
                                           "failure", text_or_null(user->failure), "messages",
                                           (json_int_t)(user->tally.uploaded + user->tally.present)));
}

static void print_user(const struct report_user *user, const char *grade)
{
    if (is_completed(user, grade))
        printf("%-40s  Completed      %-11s  %s messages\n", user->address, grade,
               format_count(user->tally.uploaded + user->tally.present).text);
    else
        printf("%-40s  not completed  %-11s  %s%s%s\n", user->address, grade ? grade : "not judged",
               user_state_name(user->state), user->failure[0] ? ": " : "", user->failure);
}

static void tell_user(const struct report_user *user, const char *grade, struct tally_of *t)
{
    if (t->users)
        add_json(t->users, user, grade);
    else
        print_user(user, grade);
    if (is_completed(user, grade))
        t->completed++;
    else if (user->state == USER_FAILED || (is_proved(user) && grade))
        t->failed++;
    else if (user->state == USER_SYNCED_WITH_DOUBTS)
        t->doubted++;
    else
        t->open++;
}

static bool set_completed(const struct settings *s, struct found *found, struct err *err_r)
{
    const char **addresses = mem_zero(s->user_count, sizeof *addresses);
    enum wish *before = mem_zero(s->user_count, sizeof *before);
    size_t count = 0;
    bool ok;

    for (size_t k = 0; k < s->user_count; k++) {
        const struct report_user *user = reported(found, s->users[k].email_address);

        if (user && is_completed(user, grade_of(found, user->address)))
            addresses[count++] = user->address;
    }
    ok = wishes_set_all(s->state_folder, addresses, count, WISH_COMPLETED, before, err_r);
    free(addresses);
    free(before);
    return ok;
}

/* Durable before it is told. */
static bool end_users(const struct settings *s, struct found *found, struct tally_of *t, struct err *err_r)
{
    if (!set_completed(s, found, err_r))
        return false;
    for (size_t k = 0; k < s->user_count; k++) {
        const struct report_user *user = reported(found, s->users[k].email_address);

        /* Of whom nothing is known no run has begun with: he is told of all the same. */
        struct report_user unknown = { .address = s->users[k].email_address, .state = USER_QUEUED, .failure = "" };

        tell_user(user ? user : &unknown, user ? grade_of(found, user->address) : NULL, t);
    }
    return true;
}

static int end_all(const struct settings *s, const json_t *grades, struct tally_of *t)
{
    struct states states;
    struct report *report = NULL;
    struct err err;
    int code = states_open_batch(s, true, &states);

    if (code == EXIT_DONE && !report_load_users(states.list, states.count, &report, &err))
        code = complain(&err, EXIT_DISK);
    if (code == EXIT_DONE) {
        struct found found;

        found_init(&found, report, grades);
        if (!end_users(s, &found, t, &err))
            code = complain(&err, EXIT_DISK);
        found_deinit(&found);
    }
    report_free(&report);
    states_close(&states);
    return code;
}

static int conclude(const struct opts *o, const struct settings *s, const struct tally_of *t)
{
    int code = t->failed ? EXIT_FAILED_USERS : t->open ? EXIT_STOPPED : t->doubted ? EXIT_DOUBTS : EXIT_DONE;

    if (t->users)
        json_out(json_pack("{s:s,s:{s:I,s:I},s:i,s:O}", "schema", "mailhaul.cutover.v1", "totals", "users",
                           (json_int_t)s->user_count, "completed", (json_int_t)t->completed, "exit_code", code, "users",
                           t->users));
    else if (!o->quiet)
        printf("%u of %zu user%s Completed. Nothing was changed at the source: there is nothing to roll back. Switch "
               "mail over "
               "(MX), and run again for what arrives late\n",
               t->completed, s->user_count, s->user_count == 1 ? " is" : "s are");
    return code;
}

int do_cutover(const struct opts *o, const struct settings *settings)
{
    struct tally_of tally = { 0 };
    json_t *grades;
    int code = EXIT_DONE;

    offspring_catch_signals();
    if (!do_part(o, settings, OPTS_RUN, do_run, -1, &code))
        return EXIT_INTERNAL;
    /* With these there is something to look at; else nothing was reached, or somebody wants it to end. */
    if ((code != EXIT_DONE && code != EXIT_STOPPED && code != EXIT_FAILED_USERS && code != EXIT_DOUBTS) ||
        offspring_is_stopped())
        return code;
    grades = verified(o, settings, &code);
    if (!grades || offspring_is_stopped()) {
        json_decref(grades);
        return grades ? EXIT_STOPPED : code ? code : EXIT_INTERNAL;
    }
    tally.users = o->json ? json_array() : NULL;
    code = end_all(settings, grades, &tally);
    if (code == EXIT_DONE)
        code = conclude(o, settings, &tally);
    json_decref(tally.users);
    json_decref(grades);
    return code;
}
