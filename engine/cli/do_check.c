#include "engine/cli/do_check.h"

#include "engine/cli/exits.h"
#include "engine/move/probe.h"
#include "io/base/mem.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

/* A polite rate: a server should not take a check for an attack. */
#define PROBES_AT_ONCE 4u

/* One connection to try. */
struct target {
    struct check *check;
    enum failure_side side;
    const struct settings_user *user;
    bool done, ok;
    char failed_step[16], type[40];
};

struct check {
    const struct opts *o;
    const struct settings *settings;
    struct loop *loop;
    struct tls_role *tls[2];
    struct target *targets;
    size_t count, next, running;
    json_t *steps;
    bool brief; /* many users: only what fails is printed */
    bool refused, unreachable;
};

static void start_some(struct check *check);

static const char *side_name(enum failure_side side)
{
    return side == FAILURE_SOURCE ? "source" : "target";
}

static void step_told(void *context, const struct probe_step *step)
{
    struct target *t = context;
    struct check *check = t->check;

    if (!step->ok) {
        snprintf(t->failed_step, sizeof t->failed_step, "%s", step->step);
        snprintf(t->type, sizeof t->type, "%s", step->type);
    }
    if (check->o->json) {
        json_t *type = step->ok ? json_null() : json_string(step->type);

        json_array_append_new(check->steps,
                              json_pack("{s:s,s:s,s:s,s:b,s:f,s:s,s:o,s:s,s:s}", "side",
                                        side_name(t->side), "user", t->user->email_address, "step",
                                        step->step, "ok", step->ok, "ms", step->ms, "detail",
                                        step->detail, "type", type, "cause", step->cause, "remedy",
                                        step->remedy));
        return;
    }
    if (step->ok && check->brief)
        return;
    printf("%-6s  %-10s  %-4s  %7.1f ms  %s%s%s\n", side_name(t->side), step->step,
           step->ok ? "ok" : "FAIL", step->ms, check->brief ? t->user->email_address : "",
           check->brief ? ": " : "", step->detail);
    if (!step->ok)
        printf("        why: %s\n        do:  %s\n", step->cause, step->remedy);
}

static void probe_done(void *context, bool ok)
{
    struct target *t = context;
    struct check *check = t->check;

    t->done = true;
    t->ok = ok;
    check->running--;
    if (!ok && strcmp(t->failed_step, "login") == 0)
        check->refused = true;
    else if (!ok)
        check->unreachable = true;
    start_some(check);
}

static const struct probe_events events = { .step = step_told, .done = probe_done };

static void start_some(struct check *check)
{
    /* One by one, so that the lines of a connection stand together; many users side by side. */
    size_t most = check->brief || check->o->json ? PROBES_AT_ONCE : 1;

    while (check->running < most && check->next < check->count) {
        struct target *t = &check->targets[check->next++];
        bool source = t->side == FAILURE_SOURCE;
        const struct settings_endpoint *e =
            source ? &check->settings->source : &check->settings->target;

        check->running++;
        if (!check->brief && !check->o->json)
            printf("%s %s:%u as %s\n", side_name(t->side), e->host, e->port,
                   source ? t->user->user_name : t->user->target_user_name);
        probe_start(check->loop, e, check->tls[t->side], t->side,
                    source ? t->user->user_name : t->user->target_user_name,
                    settings_admin_logs_in(e) ? e->admin_password
                                  : (source ? t->user->password : t->user->target_password),
                    &events, t);
    }
    if (check->running == 0)
        loop_stop(check->loop);
}

/* One cause for all is a server's; one for one is a user's. */
static void summarize(const struct check *check)
{
    for (unsigned side = 0; side < 2; side++) {
        size_t all = 0, failed = 0, same = 0;
        const struct target *first = NULL;

        for (size_t i = 0; i < check->count; i++) {
            const struct target *t = &check->targets[i];

            if (t->side != side)
                continue;
            all++;
            if (t->ok)
                continue;
            failed++;
            if (!first)
                first = t;
            same += strcmp(t->type, first->type) == 0;
        }
        if (all < 2)
            continue;
        if (failed == 0)
            printf("%s: all %zu users get through\n", side_name(side), all);
        else if (failed == all && same == all)
            printf("%s: all %zu users fail in the same step (%s, %s): look at the server, its "
                   "certificate or the admin login, not at the users\n",
                   side_name(side), all, first->failed_step, first->type);
        else
            printf("%s: %zu of %zu users fail, first %s (%s, %s): look at these users\n",
                   side_name(side), failed, all, first->user->email_address, first->failed_step,
                   first->type);
    }
}

static bool wanted(const struct opts *o, size_t index)
{
    return o->all_users || o->users.count > 0 || index == 0;
}

static bool make_tls(struct check *check, enum failure_side side, struct err *err_r)
{
    const struct settings_endpoint *e =
        side == FAILURE_SOURCE ? &check->settings->source : &check->settings->target;
    struct tls_config config;

    if (e->tls.mode == SETTINGS_TLS_NONE)
        return true;
    settings_tls_config(&e->tls, &config);
    return tls_role_create(&config, &check->tls[side], err_r);
}

int do_check(const struct opts *o, const struct settings *settings)
{
    struct check check = { .o = o, .settings = settings };
    enum opts_side sides = opts_sides(o);
    struct err err;
    char line[512];
    int code = EXIT_DONE;

    if (!make_tls(&check, FAILURE_SOURCE, &err) || !make_tls(&check, FAILURE_TARGET, &err) ||
        !loop_create(&check.loop, &err)) {
        fprintf(stderr, "mailhaul: %s\n", err_line(&err, line, sizeof line));
        tls_role_destroy(&check.tls[0]);
        tls_role_destroy(&check.tls[1]);
        return err.origin == ERR_ORIGIN_TLS ? EXIT_BATCH_FILE : EXIT_INTERNAL;
    }
    check.targets = mem_zero(settings->user_count * 2, sizeof *check.targets);
    check.steps = json_array();
    for (unsigned side = 0; side < 2; side++) {
        if (sides == (side == FAILURE_SOURCE ? OPTS_TARGET_ONLY : OPTS_SOURCE_ONLY))
            continue;
        for (size_t i = 0; i < settings->user_count; i++)
            if (wanted(o, i))
                check.targets[check.count++] =
                    (struct target){ .check = &check, .side = side, .user = &settings->users[i] };
    }
    check.brief = check.count > 4;
    stream_resolver_start();
    start_some(&check);
    if (check.running > 0)
        loop_run(check.loop);
    loop_destroy(&check.loop);
    stream_resolver_stop();
    if (check.unreachable)
        code = EXIT_UNREACHABLE;
    else if (check.refused)
        code = EXIT_LOGIN_REFUSED;
    if (o->json) {
        json_t *all = json_pack("{s:s,s:b,s:o}", "schema", "mailhaul.check.v1", "ok",
                                code == EXIT_DONE, "steps", check.steps);

        json_dumpf(all, stdout, JSON_INDENT(1));
        printf("\n");
        json_decref(all);
    } else {
        summarize(&check);
        json_decref(check.steps);
    }
    tls_role_destroy(&check.tls[0]);
    tls_role_destroy(&check.tls[1]);
    free(check.targets);
    return code;
}
