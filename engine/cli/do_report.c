#include "engine/cli/do_report.h"

#include "engine/cli/complain.h"
#include "engine/cli/exits.h"
#include "engine/cli/export.h"
#include "engine/cli/outfile.h"
#include "engine/cli/sandbox.h"
#include "engine/cli/states.h"
#include "engine/inspect/fetcher.h"
#include "engine/report/format.h"
#include "engine/report/report.h"
#include "engine/report/status.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool color(const struct opts *o)
{
    return o->color == OPTS_ALWAYS || (o->color == OPTS_AUTO && isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
}

/* Of standard output. */
static struct status_style style_of(const struct opts *o)
{
    struct status_style style = { .color = color(o), .utf8 = true };
    struct winsize size;

    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        style.columns = size.ws_col;
    return style;
}

int do_status(const struct opts *o, const struct settings *settings)
{
    struct states s;
    struct err err;
    int code = states_open(o, &s);
    struct status_style style = style_of(o);

    (void)settings;
    if (code == EXIT_DONE) {
        bool ok = o->watch  ? status_watch(states_look, &s, o->json, color(o), stdout, &err)
                  : o->json ? status_write_json(s.list, s.count, stdout, &err)
                            : status_write_text(s.list, s.count, &style, stdout, &err);

        if (!ok)
            code = complain(&err, EXIT_DISK);
    }
    states_close(&s);
    return code;
}

/* Writes one form into a file, whole or not at all, or to standard output. */
static int write_form(struct report *report, const char *option, const char *file,
                      bool (*write)(struct report *report, FILE *out, struct err *err_r))
{
    struct outfile to;
    struct err err, unused;
    bool ok;
    int error;

    if (!file || strcmp(file, "-") == 0)
        return write(report, stdout, &err) ? EXIT_DONE : complain(&err, EXIT_DISK);
    if ((error = outfile_begin(&to, file)) != 0)
        return complain_of_file(option, file, error);
    ok = write(report, to.out, &err);
    if (ok)
        ok = outfile_end(&to, true, &err);
    else
        (void)!outfile_end(&to, false, &unused);
    return ok ? EXIT_DONE : complain(&err, EXIT_DISK);
}

/* Into standard output. A pager takes its time, and what the report holds of the spool a run cannot use
 * again meanwhile: while one goes on the text is made first and the report freed. */
static int write_json(struct report **report)
{
    struct stat st;
    FILE *made = NULL;
    char block[65536];
    size_t size;
    struct err err;
    bool ok;

    if ((*report)->batch.running && fstat(STDOUT_FILENO, &st) == 0 && !S_ISREG(st.st_mode))
        made = tmpfile();
    if (!made)
        return write_form(*report, NULL, NULL, report_write_json);
    ok = report_write_json(*report, made, &err);
    report_free(report);
    rewind(made);
    while (ok && (size = fread(block, 1, sizeof block, made)) > 0)
        if (fwrite(block, 1, size, stdout) != size)
            break;
    fclose(made);
    if (ok && (fflush(stdout) != 0 || ferror(stdout)))
        ok = err_set_os(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "write the JSON");
    return ok ? EXIT_DONE : complain(&err, EXIT_DISK);
}

static bool write_csv(struct report *report, FILE *out, struct err *err_r)
{
    return report_write_csv(report, out, err_r);
}

int do_report(const struct opts *o, const struct settings *settings)
{
    struct states s;
    struct report *report = NULL;
    struct err err;
    struct status_style style = style_of(o);
    int code = states_open(o, &s);

    (void)settings;
    if (code == EXIT_DONE && !report_load(s.list, s.count, &report, &err))
        code = complain(&err, EXIT_DISK);
    for (unsigned i = 0; code == EXIT_DONE && !o->quiet && i < report->note_count; i++)
        fprintf(stderr, "mailhaul: warning: %s\n", report->notes[i]);
    if (code == EXIT_DONE && (s.only.count || s.but.count) && !o->quiet)
        fprintf(stderr,
                "mailhaul: of %u user%s only, as was asked: the sums are theirs; the batch's state, its time "
                "and its course are of all users\n",
                report->user_count, format_s(report->user_count));
    if (code == EXIT_DONE && o->html_file)
        code = write_form(report, "--html", o->html_file, report_write_html);
    if (code == EXIT_DONE && o->csv_file)
        code = write_form(report, "--csv", o->csv_file, write_csv);
    if (code == EXIT_DONE && (o->json || o->text || (!o->html_file && !o->csv_file))) {
        /* A program reads JSON; a person at a terminal, or who asks for it, gets what a person can read. */
        if (o->text || (!o->json && isatty(STDOUT_FILENO)))
            code = report_write_terminal(report, &style, stdout, &err) ? EXIT_DONE : complain(&err, EXIT_DISK);
        else
            code = write_json(&report);
    }
    report_free(&report);
    states_close(&s);
    return code;
}

/* Bodies that the spool does not hold come from the source, when the batch file tells where it is.
 */
struct origin {
    const struct settings *settings;
    struct visit_house house;
    bool open;
    struct fetcher *fetcher;
};

static bool fetch_body(void *context, const struct user_record *user, const struct folder_record *folder,
                       const struct message_record *message, export_sink *sink, void *sink_context, struct err *err_r)
{
    struct origin *origin = context;

    for (size_t i = 0; i < origin->settings->user_count; i++) {
        const struct settings_user *u = &origin->settings->users[i];

        if (slice_equal_nocase(user->address, slice_cstr(u->email_address)))
            return fetcher_body(origin->fetcher, u,
                                &(struct fetcher_ask){ .folder = folder->source_raw,
                                                       .delimiter = (char)folder->delimiter,
                                                       .uidvalidity = folder->uidvalidity,
                                                       .uid = message->uid,
                                                       .expected_bytes = message->body_bytes ? message->body_bytes
                                                                                             : message->listed_bytes },
                                sink, sink_context, err_r);
    }
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_CONFIG, 0,
                   "the user is not in users.csv any more");
}

static bool origin_open(struct origin *origin, const struct settings *settings, struct err *err_r)
{
    origin->settings = settings;
    origin->open = true;
    stream_resolver_start();
    return visit_house_open(&origin->house, settings, err_r) && fetcher_create(&origin->house, &origin->fetcher, err_r);
}

static void origin_close(struct origin *origin)
{
    if (!origin->open)
        return;
    fetcher_destroy(&origin->fetcher);
    visit_house_close(&origin->house);
    stream_resolver_stop();
}

/* What came of it, and of whom nothing could. */
static int tell_export(const struct opts *o, const struct export_options *options, const struct export_result *r)
{
    static const char *const words[] = {
        [EXPORT_SKIPPED] = "was skipped", [EXPORT_FAILED] = "failed", [EXPORT_ALL] = "was found"
    };
    int code = EXIT_DONE;

    for (unsigned i = 0; i < options->user_count; i++)
        if (!options->known[i])
            code = complain_unknown_user(options->users[i]);
    if (r->users_known == 0 && options->user_count == 0) {
        fprintf(stderr, "mailhaul: the state folder knows no user yet: nothing was fetched\n");
        return code;
    }
    if (r->written == 0 && r->without_body == 0 && r->users_known) {
        fprintf(stderr, "mailhaul: nothing to export: no message of %s %s",
                r->users_known == 1 ? "this user" : "these users", words[options->what]);
        if (r->unlisted)
            fprintf(stderr, ", but for %llu in excluded folders that were only counted",
                    (unsigned long long)r->unlisted);
        fprintf(stderr, "%s\n", options->what == EXPORT_ALL ? "" : "; --what names others");
    } else if (r->users_known) {
        fprintf(stderr, "mailhaul: %llu message%s (%s) of %u of %u user%s written to %s\n",
                (unsigned long long)r->written, format_s(r->written), format_bytes(r->bytes).text, r->users,
                r->users_known, format_s(r->users_known), o->to);
        if (r->unlisted)
            fprintf(stderr, "mailhaul: %llu more in excluded folders %s only counted, and not exported\n",
                    (unsigned long long)r->unlisted, r->unlisted == 1 ? "was" : "were");
        if (r->without_body)
            fprintf(stderr, "mailhaul: %llu more %s in index.csv only, without %s body\n",
                    (unsigned long long)r->without_body, r->without_body == 1 ? "is" : "are",
                    r->without_body == 1 ? "its" : "their");
    }
    return code;
}

int do_export(const struct opts *o, const struct settings *settings)
{
    struct origin origin = { 0 };
    struct states s = { 0 };
    struct err err;
    struct slice *users = mem_zero(o->users.count, sizeof *users);
    bool *known = mem_zero(o->users.count, sizeof *known);
    struct export_options options = {
        .format = o->format == OPTS_MBOX  ? EXPORT_MBOX
                  : o->format == OPTS_EML ? EXPORT_EML
                                          : EXPORT_MAILDIR,
        .what = o->what == OPTS_WHAT_FAILED ? EXPORT_FAILED
                : o->what == OPTS_WHAT_ALL  ? EXPORT_ALL
                                            : EXPORT_SKIPPED,
        .to = o->to,
        .users = users,
        .user_count = (unsigned)o->users.count,
        .known = known,
    };
    struct export_result result;
    /* A batch file is read already; a state folder has none. */
    int code = settings ? states_open_batch(settings, o->quiet, &s) : states_open(o, &s);

    for (size_t i = 0; i < o->users.count; i++)
        users[i] = slice_cstr(o->users.items[i]);
    if (code == EXIT_DONE && settings) {
        sandbox(o, settings, NULL);
        if (origin_open(&origin, settings, &err)) {
            options.fetch_body = fetch_body;
            options.context = &origin;
        } else {
            code = complain(&err, EXIT_BATCH_FILE);
        }
    }
    if (code == EXIT_DONE && !export_run(s.spools, s.opened, &options, &result, &err))
        code = complain(&err, err.origin == ERR_ORIGIN_CONFIG ? EXIT_USAGE : EXIT_DISK);
    else if (code == EXIT_DONE)
        code = tell_export(o, &options, &result);
    if (!o->quiet)
        states_tell_missing(&s, "exported", stderr);
    origin_close(&origin);
    free(users);
    free(known);
    states_close(&s);
    return code;
}

static void tell_fault(void *context, const char *fault)
{
    (void)context;
    printf("%s\n", fault);
}

int do_spool_check(const struct opts *o, const struct settings *settings)
{
    struct states s;
    struct err err;
    uint64_t all = 0;
    int code = states_open(o, &s);

    (void)settings;
    for (unsigned i = 0; code == EXIT_DONE && i < s.opened; i++) {
        uint64_t faults = 0;

        if (!spool_check(s.spools[i], o->full, tell_fault, NULL, &faults, &err))
            code = complain(&err, EXIT_DISK);
        all += faults;
    }
    if (code == EXIT_DONE) {
        printf("%llu fault%s\n", (unsigned long long)all, format_s(all));
        if (all)
            code = EXIT_DISK;
    }
    states_close(&s);
    return code;
}
