#include "engine/cli/do_bench.h"

#include "engine/bench/read_bench.h"
#include "engine/cli/bench_page.h"
#include "engine/cli/complain.h"
#include "engine/cli/sandbox.h"
#include "engine/cli/do_run.h"
#include "engine/cli/exits.h"
#include "engine/cli/json_out.h"
#include "engine/cli/outfile.h"
#include "engine/inspect/probe.h"
#include "engine/move/batch.h"
#include "engine/move/tokens.h"
#include "io/base/mem.h"
#include "io/stream.h"
#include "io/team.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#define SECONDS_DEFAULT 10u

static const unsigned steps_default[] = { 1, 2, 4, 8, 16 };

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

static json_t *latency(const struct hist *h)
{
    return json_pack("{s:f,s:f,s:f,s:f}", "p50", (double)hist_quantile(h, 50) / 1000, "p90",
                     (double)hist_quantile(h, 90) / 1000, "p99",
                     (double)hist_quantile(h, 99) / 1000, "max", (double)h->max / 1000);
}

static json_t *step_json(const struct read_bench_step *s)
{
    double seconds = s->seconds > 0 ? s->seconds : 1;
    json_t *step = json_pack(
        "{s:i,s:i,s:f,s:I,s:I,s:f,s:f,s:I,s:{s:o,s:o,s:o,s:o}}", "connections", (int)s->connections,
        "connected", (int)s->connected, "seconds", s->seconds, "messages", (json_int_t)s->messages,
        "bytes", (json_int_t)s->bytes, "messages_per_s", (double)s->messages / seconds, "mb_per_s",
        (double)s->bytes / seconds / 1e6, "errors", (json_int_t)s->errors, "latency_ms", "login",
        latency(&s->login), "select", latency(&s->select), "first_byte", latency(&s->first_byte),
        "message", latency(&s->message));

    if (s->errors)
        json_object_set_new(step, "last_error",
                            json_pack("{s:s,s:s}", "type", s->type, "text", s->err.server_text));
    return step;
}

static json_t *words(const char *text)
{
    json_t *all = json_array();
    struct slice rest = slice_cstr(text), word;

    while (slice_split(&rest, ' ', &word))
        if (word.size)
            json_array_append_new(all, json_stringn(word.data, word.size));
    return all;
}

static unsigned per_user(unsigned knee, const struct settings *s)
{
    unsigned users = s->user_count ? (unsigned)s->user_count : 1, each = (knee + users - 1) / users;

    return each < 1 ? 1 : each > 8 ? 8 : each;
}

static void print_step(const struct read_bench_step *s)
{
    double seconds = s->seconds > 0 ? s->seconds : 1;

    printf("%11u %9.1f %12.0f %8.1f %7llu   %8.1f %8.1f %8.1f\n", s->connections, s->seconds,
           (double)s->messages / seconds, (double)s->bytes / seconds / 1e6,
           (unsigned long long)s->errors, (double)hist_quantile(&s->login, 50) / 1000,
           (double)hist_quantile(&s->select, 50) / 1000,
           (double)hist_quantile(&s->first_byte, 50) / 1000);
    if (s->errors)
        printf("            %s: %s\n", s->type, s->err.server_text);
    fflush(stdout);
}

static bool stopped(void)
{
    return batch_stopping(NULL);
}

static int write_page(const char *file, const char *server, const struct read_bench_step *steps,
                      unsigned count, unsigned knee, const char *reason)
{
    struct outfile to;
    struct err err;
    int error = outfile_begin(&to, file);

    if (error)
        return complain_of_file("--html", file, error);
    bench_page_write(to.out, server, steps, count, knee, reason);
    return outfile_end(&to, true, &err) ? EXIT_DONE : complain(&err, EXIT_DISK);
}

static int measure(const struct opts *o, const struct visit_house *house)
{
    const struct settings *s = house->settings;
    unsigned count =
        o->connections_count ? o->connections_count : sizeof steps_default / sizeof *steps_default;
    unsigned seconds = o->seconds ? o->seconds : SECONDS_DEFAULT, done = 0, knee;
    unsigned loops = team_loops(s->threads);
    struct read_bench_step *steps = mem_zero(count, sizeof *steps);
    struct server server;
    char reason[READ_BENCH_REASON_BYTES];
    struct err err;
    int code = EXIT_DONE;

    if (!look(house, &server, &err)) {
        (void)complain(&err, 0);
        free(steps);
        return EXIT_INTERNAL;
    }
    if (!o->json)
        printf("%s\n%s\n\n%11s %9s %12s %8s %7s   %8s %8s %8s\n", server.greeting, server.tls,
               "connections", "seconds", "messages/s", "MB/s", "errors", "login ms", "select",
               "first");
    while (done < count && code == EXIT_DONE && !stopped()) {
        unsigned connections = o->connections_count ? o->connections[done] : steps_default[done];

        if (!read_bench_step_run(house, connections, seconds, loops, stopped, &steps[done], &err)) {
            code = complain(&err, EXIT_INTERNAL);
        } else if (steps[done].connected == 0 && steps[done].errors) {
            /* No connection at all: what stood in the way. */
            code = complain_of_server("nothing could be read", steps[done].type,
                                      s->users[0].email_address, &steps[done].err);
        } else if (!o->json) {
            print_step(&steps[done]);
        }
        done++;
    }
    knee = read_bench_knee(steps, code == EXIT_DONE ? done : 0, reason);
    if (code == EXIT_DONE && o->json) {
        json_t *rows = json_array(), *all;

        for (unsigned i = 0; i < done; i++)
            json_array_append_new(rows, step_json(&steps[i]));
        all = json_pack("{s:s,s:{s:s,s:o,s:s},s:o,s:{s:i,s:s},s:{s:i,s:i}}", "schema",
                        "mailhaul.bench.v1", "server", "greeting", server.greeting, "capabilities",
                        words(server.capabilities), "tls", server.tls, "steps", rows, "knee",
                        "connections", (int)knee, "reason", reason, "recommendation",
                        "source.connections", (int)(knee ? knee : 1), "source.connections-per-user",
                        (int)per_user(knee, s));
        json_out(all);
    } else if (code == EXIT_DONE) {
        printf("\n%s\nrecommended: [source] connections = %u, connections-per-user = %u\n", reason,
               knee ? knee : 1, per_user(knee, s));
    }
    if (code == EXIT_DONE && o->html_file)
        code = write_page(o->html_file, server.greeting, steps, done, knee, reason);
    free(steps);
    return code;
}

int do_bench(const struct opts *o, const struct settings *settings)
{
    struct visit_house house;
    struct err err;
    int code;

    if (settings->user_count == 0) {
        fprintf(stderr, "mailhaul: there is no user to log in as\n");
        return EXIT_USERS_FILE;
    }
    sandbox(o, settings, NULL);
    do_run_catch_signals();
    stream_resolver_start();
    if (!visit_house_open(&house, settings, &err)) {
        code = complain(&err, EXIT_BATCH_FILE);
    } else {
        code = measure(o, &house);
    }
    visit_house_close(&house);
    stream_resolver_stop();
    return code;
}
