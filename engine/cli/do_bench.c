#include "engine/cli/do_bench.h"

#include "engine/bench/draw.h"
#include "engine/bench/study.h"
#include "engine/cli/bench_args.h"
#include "engine/cli/bench_compare.h"
#include "engine/cli/bench_json.h"
#include "engine/cli/bench_kept.h"
#include "engine/cli/bench_page.h"
#include "engine/cli/bench_view.h"
#include "engine/cli/complain.h"
#include "engine/cli/do_run.h"
#include "engine/cli/exits.h"
#include "engine/cli/json_out.h"
#include "engine/cli/outfile.h"
#include "engine/cli/progress.h"
#include "engine/cli/sandbox.h"
#include "engine/inspect/probe.h"
#include "engine/move/batch.h"
#include "engine/move/tokens.h"
#include "io/base/mem.h"
#include "io/base/now.h"
#include "io/stream.h"
#include "io/team.h"

#include <stdlib.h>
#include <string.h>

#define LISTED_AT_ONCE 4u

/* What one probe of the server tells before it is measured. */
struct server {
    struct loop *loop;
    char greeting[480], capabilities[480], tls[480]; /* as probe_step.detail */
};

static void step_told(void *context, const struct probe_step *step)
{
    struct server *server = context;
    char *to = strcmp(step->step, "greeting") == 0     ? server->greeting
               : strcmp(step->step, "capability") == 0 ? server->capabilities
               : strcmp(step->step, "tls") == 0        ? server->tls
                                                       : NULL;

    if (to && step->ok)
        memcpy(to, step->detail, sizeof server->greeting);
}

static void probe_done(void *context, bool ok)
{
    struct server *server = context;

    (void)ok;
    loop_stop(server->loop);
}

static bool look(const struct visit_house *house, struct server *server, struct err *err_r)
{
    static const struct probe_events events = { .step = step_told, .done = probe_done };
    struct reactor reactor;

    *server = (struct server){ 0 };
    if (!loop_create(&server->loop, err_r))
        return false;
    visit_house_reactor(house, server->loop, &reactor);
    probe_start(&reactor, SIDE_SOURCE, &house->settings->users[0], &events, server);
    loop_run(server->loop);
    tokens_destroy(&reactor.tokens);
    loop_destroy(&server->loop);
    return true;
}

static bool stopped(void)
{
    return batch_stopping(NULL);
}

/* --max-time is of the listing too. 0: no bound. */
static uint64_t list_until_ns;

static bool listing_stops(void)
{
    return stopped() || (list_until_ns && now_ns() >= list_until_ns);
}

static int write_page(const char *file, const json_t *bench)
{
    struct outfile to;
    struct err err;
    int error = outfile_begin(&to, file);

    if (error)
        return complain_of_file("--html", file, error);
    bench_page_write(to.out, bench);
    return outfile_end(&to, true, &err) ? EXIT_DONE : complain(&err, EXIT_DISK);
}

/* As it could be typed again, but for the values of --set, which may be secrets; the seed beside it makes it the same.
 */
static char *command_line(const struct opts *o)
{
    char *line = mem_text("mailhaul"), *longer;
    bool set = false;

    for (size_t i = 0; i < o->argument_count; i++) {
        const char *word = o->arguments[i], *value = strstr(word, "--set=") == word ? strchr(word + 6, '=') : NULL;

        if (set)
            value = strchr(word, '=');
        set = strcmp(word, "--set") == 0;
        longer = mem_format("%s %.*s%s", line, value ? (int)(value + 1 - word) : (int)strlen(word), word,
                            value ? "..." : "");
        free(line);
        line = longer;
    }
    return line;
}

static int conclude(const struct opts *o, const struct bench_whole *whole)
{
    const struct study *study = whole->study;
    json_t *result = bench_json(whole);
    int code = EXIT_DONE;

    if (!o->json)
        bench_print(study, whole->accounts, whole->no_mail, bench_per_user(study));
    if (o->html_file)
        code = write_page(o->html_file, result);
    if (code == EXIT_DONE && o->kept_file && study->knee.connections && study->config.rate <= 0) {
        if (study->knee.known)
            bench_kept_write(o->kept_file, result, o->quiet);
        else if (!o->quiet)
            fprintf(stderr, "mailhaul: not kept for plan and run: what is best is not known\n");
    }
    if (o->json)
        json_out(result);
    else
        json_decref(result);
    if (code == EXIT_DONE && study->ended == study_interrupted)
        code = EXIT_STOPPED;
    return code;
}

/* No step had a connection: what stood in the way. */
static bool nothing_stood(const struct study *s)
{
    bool errors = false;

    for (unsigned i = 0; i < s->config.step_count; i++) {
        if (s->steps[i].total->connected)
            return false;
        errors |= s->steps[i].total->errors > 0;
    }
    return errors;
}

static int study_it(const struct opts *o, const struct visit_house *house, struct study *study, struct bench_view *view)
{
    const struct settings *s = house->settings;
    const struct settings_user **users;
    unsigned wanted = o->all_users     ? (unsigned)s->user_count
                      : o->accounts    ? o->accounts
                      : o->users.count ? (unsigned)s->user_count
                                       : BENCH_ACCOUNTS_DEFAULT;
    unsigned *chosen = mem_zero(s->user_count, sizeof *chosen);
    unsigned count = draw_accounts(study->config.seed, s, wanted, chosen);
    struct draw_plan draw = { .house = house,
                              .user_count = count,
                              .seed = study->config.seed,
                              .connections = LISTED_AT_ONCE,
                              .loops = study->config.loops,
                              .stop = listing_stops,
                              .told = bench_view_listed,
                              .context = view };
    struct draw_result drawn;
    struct server server;
    struct bench_whole whole = {
        .study = study, .draw = &drawn, .accounts = (unsigned)s->user_count, .began_ms = now_wall_ms()
    };
    struct bench_server told = { &s->source, server.greeting, server.capabilities, server.tls };
    uint64_t began_ns = now_ns();
    char *line = NULL;
    struct err err;
    int code;

    users = mem_zero(count, sizeof *users);
    for (unsigned i = 0; i < count; i++)
        users[i] = &s->users[chosen[i]];
    draw.users = study->config.users = users;
    study->config.user_count = count;
    study->config.house = house;
    if (study->config.polite.latency_ms > 0)
        draw.connections = 1; /* what it watches is not measured yet */
    if (study->config.seconds_max > 0)
        list_until_ns = began_ns + (uint64_t)(study->config.seconds_max * 1e9);
    if (!look(house, &server, &err) || !draw_run(&draw, &study->corpus, &drawn, &err)) {
        code = complain(&err, EXIT_INTERNAL);
    } else if (drawn.listed == 0 && drawn.failed) {
        code = complain_of_server("nothing could be read", drawn.type, users[0]->email_address, &drawn.err);
    } else {
        if (drawn.failed + drawn.folders_failed && !o->quiet)
            fprintf(stderr, "mailhaul: left out: %u accounts and %u folders that could not be listed (%s: %s)\n",
                    drawn.failed, drawn.folders_failed, drawn.type, drawn.err.server_text);
        if (!o->json)
            bench_print_server(server.greeting, server.tls, &drawn);
        if (study->config.seconds_max > 0)
            study->config.seconds_max -= (double)(now_ns() - began_ns) / 1e9;
        study->config.round_trip_s = (double)drawn.round_trip_us / 1e6;
        if (!study_run(study, &err)) {
            code = complain(&err, EXIT_INTERNAL);
        } else if (nothing_stood(study)) {
            code = complain_of_server("nothing could be read", study->steps[0].total->type, users[0]->email_address,
                                      &study->steps[0].total->err);
        } else {
            bench_view_end(view);
            whole.server = &told;
            whole.no_mail = study->corpus.count == 0 && !study->ended;
            whole.seconds = (double)(now_ns() - began_ns) / 1e9;
            whole.command_line = line = command_line(o);
            code = conclude(o, &whole);
        }
    }
    free(line);
    free(chosen);
    free(users);
    return code;
}

static enum bench_live live_of(const struct opts *o)
{
    static const char *const words[] = { "auto", "always", "never" };

    if (o->quiet || o->progress == OPTS_NEVER)
        return BENCH_LIVE_NONE;
    if (progress_mode_for(stderr, words[OPTS_AUTO]) == PROGRESS_LIVE)
        return BENCH_LIVE_TABLE;
    return o->progress == OPTS_ALWAYS ? BENCH_LIVE_LINES : BENCH_LIVE_NONE;
}

static int measure(const struct opts *o, const struct visit_house *house, const struct study_config *config)
{
    struct study *study = mem_zero(1, sizeof *study);
    struct bench_view *view = mem_zero(1, sizeof *view);
    int code;

    study->config = *config;
    study->config.loops = team_loops(house->settings->threads);
    study->config.stop = stopped;
    study->config.pass = bench_view_pass;
    study->config.second = bench_view_second;
    study->config.ended = bench_view_ended;
    study->config.context = view;
    bench_view_begin(view, live_of(o), stderr, study);
    code = study_it(o, house, study, view);
    study_deinit(study);
    free(study);
    free(view);
    return code;
}

int do_bench(const struct opts *o, const struct settings *settings)
{
    struct opts with_file = *o;
    struct visit_house house;
    struct study_config config;
    struct err err;
    char *kept;
    int code;

    if (opts_compares(o))
        return bench_compare(o);
    if (!bench_args(o, settings, &config, &err))
        return complain(&err, EXIT_USAGE);
    if (settings->user_count == 0) {
        fprintf(stderr, "mailhaul: there is no user to log in as\n");
        return EXIT_USERS_FILE;
    }
    kept = bench_kept_path(settings);
    with_file.kept_file = bench_kept_may_write(kept) ? kept : NULL;
    sandbox(&with_file, settings, NULL);
    do_run_catch_signals();
    stream_resolver_start();
    if (!visit_house_open(&house, settings, &err))
        code = complain(&err, EXIT_BATCH_FILE);
    else
        code = measure(&with_file, &house, &config);
    visit_house_close(&house);
    stream_resolver_stop();
    free(kept);
    return code;
}
