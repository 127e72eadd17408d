#include "engine/cli/do_cutover.h"

#include "engine/cli/complain.h"
#include "engine/cli/do_run.h"
#include "engine/cli/do_verify.h"
#include "engine/cli/exits.h"
#include "engine/cli/offspring.h"
#include "engine/cli/states.h"
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

static const char *grade_of(const json_t *all, const char *address)
{
    json_t *users = json_object_get(all, "users"), *user;
    size_t i;

    json_array_foreach(users, i, user) {
        const char *of = json_string_value(json_object_get(user, "address"));

        if (of && slice_equal_nocase(slice_cstr(of), slice_cstr(address)))
            return json_is_true(json_object_get(user, "complete")) ? json_string_value(json_object_get(user, "grade")) : NULL;
    }
    return NULL;
}

static bool is_good(const char *grade)
{
    return grade && (strcmp(grade, "Perfect") == 0 || strcmp(grade, "Good") == 0);
}

struct tally_of {
    unsigned completed, failed, doubted, open;
};

/* Durable before it is told. */
static bool end_user(const struct settings *s, const struct report_user *user, const char *grade, struct tally_of *t,
                     struct err *err_r)
{
    bool proved = user->state == USER_SYNCED || user->state == USER_INCREMENTAL_SYNCED || user->state == USER_COMPLETED;
    enum wish before;

    if (proved && is_good(grade)) {
        if (!wishes_set(s->state_folder, user->address, WISH_COMPLETED, &before, err_r))
            return false;
        t->completed++;
        printf("%-40s  Completed      %-11s  %s messages\n", user->address, grade,
               format_count(user->tally.uploaded + user->tally.present).text);
        return true;
    }
    t->failed += user->state == USER_FAILED || (proved && grade && !is_good(grade));
    t->doubted += user->state == USER_SYNCED_WITH_DOUBTS;
    t->open += user->state != USER_FAILED && user->state != USER_SYNCED_WITH_DOUBTS && !(proved && grade);
    printf("%-40s  not completed  %-11s  %s%s%s\n", user->address, grade ? grade : "not judged", user_state_name(user->state),
           user->failure[0] ? ": " : "", user->failure);
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
    for (size_t k = 0; code == EXIT_DONE && k < s->user_count; k++) {
        const struct report_user *user = NULL;

        for (unsigned i = 0; i < report->user_count && !user; i++)
            if (slice_equal_nocase(slice_cstr(report->users[i].address), slice_cstr(s->users[k].email_address)))
                user = &report->users[i];
        if (user && !end_user(s, user, grade_of(grades, user->address), t, &err))
            code = complain(&err, EXIT_DISK);
        t->open += !user;
    }
    report_free(&report);
    states_close(&states);
    return code;
}

static int conclude(const struct opts *o, const struct settings *s, const struct tally_of *t)
{
    if (!o->quiet)
        printf("%u of %zu user%s Completed. Nothing was changed at the source: there is nothing to roll back. Switch mail over "
               "(MX), and run again for what arrives late\n",
               t->completed, s->user_count, s->user_count == 1 ? " is" : "s are");
    return t->failed    ? EXIT_FAILED_USERS
           : t->open    ? EXIT_STOPPED
           : t->doubted ? EXIT_DOUBTS
                        : EXIT_DONE;
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
    code = end_all(settings, grades, &tally);
    json_decref(grades);
    return code == EXIT_DONE ? conclude(o, settings, &tally) : code;
}
