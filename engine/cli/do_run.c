#include "engine/cli/do_run.h"

#include "engine/cli/ahead.h"
#include "engine/cli/complain.h"
#include "engine/cli/exits.h"
#include "engine/cli/folded.h"
#include "engine/cli/live.h"
#include "engine/cli/notify.h"
#include "engine/cli/sandbox.h"
#include "engine/cli/unmatched.h"
#include "engine/folders/names_index.h"
#include "engine/move/batch.h"
#include "engine/report/format.h"
#include "engine/report/report.h"
#include "engine/report/status.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/team.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LEFT_SHOWN 5u
#define TICK_MS    200

static volatile sig_atomic_t status_wanted, interrupts;

static void on_stop(int signal)
{
    /* A second Ctrl-C is a person who has waited enough; the journal makes it safe. */
    if (signal == SIGINT && interrupts++ > 0)
        _exit(EXIT_STOPPED);
    batch_stop(signal == SIGINT ? "SIGINT" : signal == SIGTERM ? "SIGTERM" : "SIGUSR1");
}

static void on_hangup(int signal)
{
    (void)signal;
    status_wanted = 1;
}

void do_run_catch_signals(void)
{
    struct sigaction stop = { .sa_handler = on_stop, .sa_flags = SA_RESTART };
    struct sigaction hangup = { .sa_handler = on_hangup, .sa_flags = SA_RESTART };

    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGUSR1, &stop, NULL);
    sigaction(SIGHUP, &hangup, NULL);
    signal(SIGPIPE, SIG_IGN);
}

struct show {
    struct report_state state; /* for SIGHUP */
    struct live live;
    const char *folder; /* the state's */
    bool told_full;
};

/* At once, and once: what is full, and what happens next. */
static void tell_full(struct show *show, const struct batch_view *batch)
{
    char line[600];

    if (batch->fill.disk_full == show->told_full)
        return;
    show->told_full = batch->fill.disk_full;
    if (batch->fill.disk_full)
        snprintf(line, sizeof line,
                 "mailhaul: the disk of %s is full (%s free; the spool holds %s). Nothing is fetched; "
                 "%s. Free space there now, or this ends with exit code 74 and nothing lost",
                 show->folder, format_bytes(batch->fill.disk_free_bytes).text,
                 format_bytes(batch->fill.held_bytes).text,
                 batch->fill.held_bytes ? "uploads may make room, for a minute"
                                        : "there is nothing to upload that would make room");
    else
        snprintf(line, sizeof line, "mailhaul: there is room again on the disk of %s", show->folder);
    live_note(&show->live, line);
}

/* SIGHUP: above the block of a terminal, line by line, so that nothing is painted over. */
static void tell_status(struct show *show, const struct batch_view *batch)
{
    struct status_style style = { .utf8 = true };
    struct slice rest, line;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct err err;
    bool ok;

    if (!out)
        return;
    fprintf(out, "mailhaul: %s of %s user%s synced, %s failed; %s of %s messages done, %s pending\n",
            format_count(batch->synced).text, format_count(batch->users).text, format_s(batch->users),
            format_count(batch->failed).text, format_count(batch->found - batch->pending).text,
            format_count(batch->found).text, format_count(batch->pending).text);
    ok = status_write_text(&show->state, 1, &style, out, &err);
    fclose(out);
    rest = slice_of(text, size);
    while (slice_split(&rest, '\n', &line))
        if (line.size || rest.size) {
            char *one = slice_dup(line);

            live_note(&show->live, one);
            free(one);
        }
    if (!ok)
        (void)complain(&err, 0);
    free(text);
}

static void tick(void *context, const struct batch_view *batch)
{
    struct show *show = context;

    live_update(&show->live, batch);
    tell_full(show, batch);
    if (status_wanted) {
        status_wanted = 0;
        tell_status(show, batch);
    }
}

/* Of users of whom nothing was fetched yet an upload can do nothing; they are Queued. */
static bool tell_unfetched(const struct opts *o, const struct batch_result *r)
{
    if (o->command != OPTS_UPLOAD || r->half_done == 0)
        return false;
    fprintf(stderr,
            "mailhaul: nothing of %u user%s was fetched into the spool yet: fetch comes first (mailhaul fetch, "
            "then upload; or mailhaul run)\n",
            r->half_done, format_s(r->half_done));
    return true;
}

/* One who was Synced before and was not looked at again still is by the verdict below. */
static const char *unfinished(const struct batch_result *r, char *out, size_t cap)
{
    unsigned users = r->synced + r->failed + r->stopped;

    out[0] = '\0';
    if (r->stopped)
        snprintf(out, cap, " with %u of %u user%s not looked at to the end", r->stopped, users, format_s(users));
    return out;
}

static int exit_of(const struct opts *o, const struct batch_result *r)
{
    char line[512];
    bool unfetched = tell_unfetched(o, r);

    switch (r->end) {
    case BATCH_SYNCED:
        return unfetched ? EXIT_STOPPED : EXIT_DONE;
    case BATCH_STOPPED:
        if (o->command == OPTS_FETCH && r->stop_reason == batch_stop_spool_full) {
            fprintf(stderr, "mailhaul: stopped early (spool full): mailhaul upload makes room, then fetch again; "
                            "or mailhaul run does both\n");
            return EXIT_STOPPED;
        }
        if (r->stop_reason == batch_stop_paused) {
            fprintf(
                stderr,
                "mailhaul: %u user%s paused, and all else that was asked for is done; mailhaul user resume ADDRESS, "
                "then run again\n",
                r->paused, r->paused == 1 ? " is" : "s are");
            return EXIT_STOPPED;
        }
        fprintf(stderr, "mailhaul: stopped early (%s)%s; run again to go on\n",
                !r->stop_reason                       ? "not finished"
                : r->stop_reason == batch_stop_window ? "the window has closed"
                                                      : r->stop_reason,
                unfinished(r, line, sizeof line));
        return EXIT_STOPPED;
    case BATCH_WITH_FAILURES:
        return EXIT_FAILED_USERS;
    case BATCH_WITH_DOUBTS:
        return unfetched ? EXIT_STOPPED : EXIT_DOUBTS;
    case BATCH_UNREACHABLE:
        fprintf(stderr, "mailhaul: %s; mailhaul check tells why\n",
                r->stop_reason ? r->stop_reason : "no user got through to a server");
        return EXIT_UNREACHABLE;
    case BATCH_REFUSED:
        fprintf(stderr, "mailhaul: %s; mailhaul check tells why\n",
                r->stop_reason ? r->stop_reason : "every login was refused");
        return EXIT_LOGIN_REFUSED;
    case BATCH_DISK:
        fprintf(stderr, "mailhaul: %s; nothing is lost, run again when it is mended\n",
                err_line(&r->err, line, sizeof line));
        return EXIT_DISK;
    }
    return EXIT_INTERNAL;
}

/* The log's line a run: what it did, and how it ended. */
static void log_end(const struct batch_result *r, int code)
{
    const struct batch_did *did = &r->did;

    log_line(LOG_INFO, "run.end",
             "exit_code=%d synced=%u doubted=%u failed_users=%u stopped_users=%u found=%llu fetched=%llu uploaded=%llu "
             "present=%llu bytes_fetched=%llu bytes_uploaded=%llu seconds=%.1f why=%s",
             code, r->synced, r->doubted, r->failed, r->stopped, (unsigned long long)did->found,
             (unsigned long long)did->fetched, (unsigned long long)did->uploaded, (unsigned long long)did->present,
             (unsigned long long)did->bytes_fetched, (unsigned long long)did->bytes_uploaded,
             (double)did->elapsed_ms / 1000, r->stop_reason ? r->stop_reason : "");
}

/* The last word is written when the exit code is known. */
static void keep_exit_code(struct spool *spool, int code)
{
    struct writer *writer = writer_create(spool);
    char text[16];

    snprintf(text, sizeof text, "%d", code);
    writer_submit(writer, store_op_meta_text("batch.exit_code", text));
    writer_stop(writer);
    writer_run(writer, NULL, NULL, 1000);
    writer_destroy(&writer);
}

/* With --user the sums above are of the whole batch, and the exit code is not. */
static void tell_asked(const struct settings *settings, const struct batch_result *r, int code, FILE *out)
{
    const char *between = "";

    if (!settings_is_narrowed(settings))
        return;
    fprintf(out, "  Asked for               %zu user%s: ", settings->user_count, format_s(settings->user_count));
    if (r->synced) {
        fprintf(out, "%u done", r->synced);
        between = ", ";
    }
    if (r->doubted)
        fprintf(out, " (%u of them with doubts)", r->doubted);
    if (r->failed) {
        fprintf(out, "%s%u failed", between, r->failed);
        between = ", ";
    }
    if (r->stopped)
        fprintf(out, "%s%u not finished", between, r->stopped);
    fprintf(out, "; the exit code %d speaks of %s alone, all above of the whole batch\n", code,
            settings->user_count == 1 ? "this user" : "these users");
}

/* Who was taken out of users.csv stays in the sums, as the mail that was moved for them does. */
static void tell_left(const struct report *report, const struct settings *settings, int code, FILE *out)
{
    bool *here = mem_zero(report->user_count, sizeof *here);
    unsigned count = 0, failed = 0, shown = 0;
    struct names_index listed;

    names_index_init(&listed);
    for (size_t k = 0; k < settings->user_count; k++) {
        char *address = format_printable(slice_cstr(settings->users[k].email_address));

        (void)names_index_add_folded(&listed, slice_cstr(address), k);
        free(address);
    }
    for (unsigned i = 0; i < report->user_count; i++) {
        here[i] = names_index_find_folded(&listed, slice_cstr(report->users[i].address)) != NAMES_INDEX_NONE;
        if (!here[i]) {
            count++;
            failed += report->users[i].state == USER_FAILED;
        }
    }
    names_index_deinit(&listed);
    if (count) {
        fprintf(out, "  No longer in users.csv  %s user%s, %s of them failed, counted above all the same: ",
                format_count(count).text, format_s(count), failed ? format_count(failed).text : "none");
        for (unsigned i = 0; i < report->user_count && shown < LEFT_SHOWN; i++)
            if (!here[i])
                fprintf(out, "%s%s", shown++ ? ", " : "", report->users[i].address);
        if (count > shown)
            fprintf(out, " and %s more", format_count(count - shown).text);
        fprintf(out, "; the exit code %d does not speak of %s\n", code, count == 1 ? "this user" : "them");
    }
    free(here);
}

/* The summary, for people and for the hook. */
static void summarize(const struct opts *o, const struct settings *settings, const struct report_state *state,
                      const struct batch_result *result, int code)
{
    const struct batch_did *did = &result->did;
    struct report *report = NULL;
    char *text = NULL, line[512];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct err err;
    bool ok;

    if (!out) {
        err_set_os(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "the summary");
        (void)complain(&err, 0);
        return;
    }
    ok = report_load(state, 1, &report, &err);
    /* It is over, though its last word may not have found room on the disk. */
    if (ok && report->batch.running) {
        report->batch.running = false;
        report->batch.killed_ms = now_wall_ms();
    }
    ok = ok && report_write_text(report, REPORT_WHOLE, did, out, &err);
    if (ok)
        tell_asked(settings, result, code, out);
    if (ok && !settings_is_narrowed(settings))
        tell_left(report, settings, code, out);
    report_free(&report);
    fflush(out);
    if (!o->quiet) {
        folded_write(slice_of(text, size), stderr);
        if (!ok)
            (void)complain(&err, 0);
    }
    if (!ok)
        fprintf(out, "the summary cannot be read: %s\n", err_line(&err, line, sizeof line));
    fclose(out);
    notify_run(opts_command_name(o->command), settings, slice_of(text, size), code);
    free(text);
}

/* Whose the state folder was so far. */
static void tell_others(const struct opts *o, struct spool *spool, const struct settings *settings)
{
    ahead_tell_other_batch(spool, settings, stderr);
    if (o->command != OPTS_UPLOAD)
        ahead_tell_other_server(spool, settings, SIDE_SOURCE, stderr);
    if (o->command != OPTS_FETCH)
        ahead_tell_other_server(spool, settings, SIDE_TARGET, stderr);
}

int do_run_beside(const struct opts *o, const struct settings *settings, const char *folder)
{
    struct spool_config spool_config = {
        .folder = settings->state_folder,
        .budget_bytes = settings->spool_max_bytes,
        .key = settings->spool_key,
    };
    struct show show = { 0 };
    struct batch_config config = { .settings = settings, .tick = tick, .tick_ms = TICK_MS };
    struct batch_result result;
    struct spool *spool = NULL;
    struct err err;
    int code;

    if (ahead_window_closed(settings, time(NULL), stderr))
        return EXIT_STOPPED;
    if (!o->quiet)
        ahead_tell_other_states(settings, stderr);
    if (!spool_open(&spool_config, &spool, &err))
        return complain_of_state(&err);
    if (!o->quiet)
        tell_others(o, spool, settings);
    if (!live_open(&show.live, o, settings, &err)) {
        live_end(&show.live, EXIT_BATCH_FILE);
        spool_close(&spool);
        return complain(&err, o->listen ? EXIT_USAGE : EXIT_BATCH_FILE);
    }
    sandbox(o, settings, folder);
    do_run_catch_signals();
    live_begin(&show.live, o, settings);
    config.context = &show;
    config.spool = spool;
    show.state = (struct report_state){ .spool = spool, .folder = settings->state_folder };
    show.folder = settings->state_folder;
    config.loops = team_loops(settings->threads);
    if (!batch_run(&config, &result, &err)) {
        live_stop(&show.live);
        code = complain_of_start(&err);
        live_end(&show.live, code);
        spool_close(&spool);
        return code;
    }
    live_stop(&show.live);
    code = exit_of(o, &result);
    if (code != EXIT_DISK) {
        keep_exit_code(spool, code);
        if (!unmatched_tell(spool, settings, NULL, &err)) /* the summary tells them */
            code = complain_of_state(&err);
    }
    log_end(&result, code);
    live_end(&show.live, code);
    if (!o->quiet || o->notify_command)
        summarize(o, settings, &show.state, &result, code);
    spool_close(&spool);
    return code;
}

int do_run(const struct opts *o, const struct settings *settings)
{
    return do_run_beside(o, settings, NULL);
}
