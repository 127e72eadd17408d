#include "engine/cli/do_check.h"

#include "engine/cli/check_local.h"
#include "engine/cli/check_summary.h"
#include "engine/cli/complain.h"
#include "engine/cli/exits.h"
#include "engine/cli/json_out.h"
#include "engine/cli/sandbox.h"
#include "engine/cli/unmatched.h"
#include "engine/inspect/probe.h"
#include "engine/move/login_guard.h"
#include "engine/move/tokens.h"
#include "engine/move/visit.h"
#include "engine/settings/side.h"
#include "io/base/mem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A polite rate: a server should not take a check for an attack. */
#define PROBES_AT_ONCE 4u
#define PROBE_EVERY_MS 100u
/* Up to so many connections each step is shown; of more only what fails. */
#define SHOWN_MAX 4u

/* One connection to try. */
struct target {
    struct check *check;
    struct check_result *result;
    enum side side;
    const struct settings_user *user;
    bool scout; /* shows whether a secret that many share works */
};

struct check {
    const struct opts *o;
    const struct settings *settings;
    struct reactor reactor; /* as far as probes need one */
    struct login_guard *login_guard;
    struct target *targets;
    struct check_result *results;
    size_t count, next, running;
    bool left_alone[SIDE_COUNT]; /* enough refusals: the rest of this side is not tried */
    struct loop_timer again;
    uint64_t started_ms; /* the last probe */
    json_t *steps, *warnings, *told[SIDE_COUNT];
    struct unmatched *unmatched; /* patterns that no folder has met so far */
    size_t listed;               /* mailboxes of the source whose folders were seen */
    bool brief;                  /* many users: only what fails is printed */
    bool refused, unreachable;
    int local; /* exit code of this machine's part */
};

static void start_some(struct check *check);

static const struct settings_endpoint *endpoint(const struct check *check, enum side side)
{
    return settings_endpoint(check->settings, side);
}

static const char *login_of(const struct target *t)
{
    return t->side == SIDE_SOURCE ? t->user->user_name : t->user->target_user_name;
}

/* Cause and remedy of a fault that many share are told once a side. */
static bool told_before(struct check *check, enum side side, const struct probe_step *step)
{
    json_t *told = check->told[side] ? check->told[side] : (check->told[side] = json_object());
    char key[sizeof step->type + sizeof step->cause + sizeof step->remedy];

    /* A remedy that names the mailbox is each one's own. */
    snprintf(key, sizeof key, "%s %s %s", step->type, step->cause, step->remedy);
    if (json_object_get(told, key))
        return true;
    json_object_set_new(told, key, json_true());
    return false;
}

static void print_step(const struct target *t, const struct probe_step *step)
{
    const struct check *check = t->check;

    if (step->ok && check->brief)
        return;
    if (!step->ok && check->brief && told_before(t->check, t->side, step)) {
        printf("%-6s  %-10s  FAIL  %7.1f ms  %s: %s (as above)\n", side_name(t->side), step->step, step->ms,
               t->user->email_address, step->detail);
        return;
    }
    printf("%-6s  %-10s  %-4s  %7.1f ms  %s%s%s\n", side_name(t->side), step->step, step->ok ? "ok" : "FAIL", step->ms,
           check->brief ? t->user->email_address : "", check->brief ? ": " : "", step->detail);
    if (!step->ok)
        printf("        why: %s\n        do:  %s\n", step->cause, step->remedy);
}

static void add_json(struct check *check, const char *side, const char *user, const struct probe_step *step)
{
    json_array_append_new(check->steps,
                          json_pack("{s:s,s:s,s:s,s:b,s:f,s:s,s:o,s:s,s:s}", "side", side, "user", user, "step",
                                    step->step, "ok", step->ok, "ms", step->ms, "detail", step->detail, "type",
                                    step->ok ? json_null() : json_string(step->type), "cause", step->cause, "remedy",
                                    step->remedy));
}

/* Of this machine. */
static void local_told(void *context, const struct probe_step *step)
{
    struct check *check = context;

    if (check->o->json) {
        add_json(check, "local", "", step);
        return;
    }
    printf("%-6s  %-10s  %-4s              %s\n", "local", step->step,
           !step->ok        ? "FAIL"
           : step->cause[0] ? "WARN"
                            : "ok",
           step->detail);
    if (step->cause[0])
        printf("        why: %s\n        do:  %s\n", step->cause, step->remedy);
}

static void step_told(void *context, const struct probe_step *step)
{
    struct target *t = context;
    struct check *check = t->check;

    if (!step->ok && t->result->end != CHECK_FAILED) {
        t->result->end = CHECK_FAILED;
        snprintf(t->result->step, sizeof t->result->step, "%s", step->step);
        snprintf(t->result->type, sizeof t->result->type, "%s", step->type);
    }
    if (check->o->json)
        add_json(check, side_name(t->side), t->user->email_address, step);
    else
        print_step(t, step);
}

/* So many refusals of one secret, or TLS faults, that going on would only do harm. */
static bool enough(struct target *t)
{
    struct check *check = t->check;
    const char *type = t->result->type;

    if (t->result->end == CHECK_OK) {
        login_guard_logged_in(check->login_guard, t->side);
        return false;
    }
    if (strcmp(type, "TlsFailed") == 0) {
        if (t->scout)
            login_guard_given_up(check->login_guard, t->side);
        return login_guard_tls_failed(check->login_guard, t->side);
    }
    if (strcmp(t->result->step, "login") == 0)
        return login_guard_refused(check->login_guard, t->side, t->scout, loop_now_ms(check->reactor.loop));
    if (t->scout)
        login_guard_given_up(check->login_guard, t->side);
    return false;
}

static void probe_done(void *context, bool ok)
{
    struct target *t = context;
    struct check *check = t->check;

    check->running--;
    if (ok)
        t->result->end = CHECK_OK;
    else if (trouble_is_login(t->result->type) || strcmp(t->result->type, "PermissionMissing") == 0)
        check->refused = true;
    else
        check->unreachable = true;
    if (enough(t))
        check->left_alone[t->side] = true;
    start_some(check);
}

static void folders_told(void *context, struct folder_list *folder_list)
{
    const struct target *t = context;
    struct check *check = t->check;
    struct names_rules rules = {
        .settings = check->settings,
        .user = t->user,
        .source_prefix = folder_list->prefix ? folder_list->prefix : "",
        .target_prefix = "",
        .source_foreign = &folder_list->foreign,
    };
    struct names_source *rows;

    if (t->side != SIDE_SOURCE)
        return;
    rows = folder_list_sources(folder_list);
    names_describe(rows, folder_list->count, &rules, NULL, NULL);
    for (unsigned i = 0; i < folder_list->count; i++) {
        if (rows[i].name && !rows[i].outside)
            unmatched_meet(check->unmatched, rows[i].name, rows[i].role);
        names_source_deinit(&rows[i]);
    }
    free(rows);
    check->listed++;
}

static void wait_told(void *context, const char *what, double seconds)
{
    const struct target *t = context;
    const struct settings_endpoint *e = endpoint(t->check, t->side);

    if (t->check->o->quiet)
        return;
    fflush(stdout);
    fprintf(stderr, "mailhaul: %s %s:%u as %s: no answer for %.0f s; waiting for %s\n", side_name(t->side), e->host,
            e->port, login_of(t), seconds, what);
}

static const struct probe_events events = {
    .step = step_told, .waits = wait_told, .folders = folders_told, .done = probe_done
};

static void start_again(void *context)
{
    start_some(context);
}

/* Starts the next probe if it may start now; false: come back when one has ended, or by timer. */
static bool start_next(struct check *check)
{
    struct target *t = &check->targets[check->next];
    const struct settings_endpoint *e = endpoint(check, t->side);
    uint64_t now = loop_now_ms(check->reactor.loop);

    if (check->left_alone[t->side]) {
        check->next++;
        return true;
    }
    if (check->started_ms && now < check->started_ms + PROBE_EVERY_MS) {
        loop_timer_set(check->reactor.loop, &check->again, check->started_ms + PROBE_EVERY_MS - now, start_again,
                       check);
        return false;
    }
    if (!login_guard_may_login(check->login_guard, t->side, &t->scout))
        return false;
    check->next++;
    check->running++;
    check->started_ms = now;
    if (!check->brief && !check->o->json && e->disk)
        printf("%s %s as %s\n", side_name(t->side), e->host, login_of(t));
    else if (!check->brief && !check->o->json)
        printf("%s %s:%u as %s\n", side_name(t->side), e->host, e->port, login_of(t));
    probe_start(&check->reactor, t->side, t->user, &events, t);
    return true;
}

static void start_some(struct check *check)
{
    /* One by one, so that the lines of a connection stand together; many users side by side. */
    size_t most = check->brief || check->o->json ? PROBES_AT_ONCE : 1;

    while (check->running < most && check->next < check->count && start_next(check))
        ;
    if (check->running == 0 && check->next == check->count)
        loop_stop(check->reactor.loop);
}

static bool wanted(const struct check *check, size_t index)
{
    return check->o->all_users || settings_names_users(check->settings) || index == 0;
}

/* One secret, or one application, for all users of this side. */
static bool is_shared(const struct settings_endpoint *e)
{
    return settings_admin_logs_in(e) || e->oauth.grant == SETTINGS_GRANT_CLIENT_SECRET ||
           e->oauth.grant == SETTINGS_GRANT_CERTIFICATE || e->oauth.refresh_token_file;
}

static void gather_targets(struct check *check)
{
    const struct settings *settings = check->settings;
    enum opts_side sides = opts_sides(check->o);

    check->targets = mem_zero(settings->user_count * 2, sizeof *check->targets);
    check->results = mem_zero(settings->user_count * 2, sizeof *check->results);
    for (unsigned side = 0; side < SIDE_COUNT; side++) {
        if (sides == (side == SIDE_SOURCE ? OPTS_TARGET_ONLY : OPTS_SOURCE_ONLY))
            continue;
        for (size_t i = 0; i < settings->user_count; i++) {
            if (!wanted(check, i))
                continue;
            check->targets[check->count] = (struct target){
                .check = check,
                .result = &check->results[check->count],
                .side = (enum side)side,
                .user = &settings->users[i],
            };
            check->results[check->count++] = (struct check_result){
                .source = side == SIDE_SOURCE,
                .address = settings->users[i].email_address,
            };
        }
    }
    check->brief = check->count > SHOWN_MAX;
}

static void warn(void *context, const char *text)
{
    struct check *check = context;

    json_array_append_new(check->warnings, json_string(text));
    if (!check->o->quiet)
        fprintf(stderr, "mailhaul: warning: %s\n", text);
}

/* What one mailbox lacks another may have: so only where all were looked at. */
static void tell_unmatched(struct check *check)
{
    const struct settings *settings = check->settings;
    char where[80];
    size_t tried = 0;

    for (size_t i = 0; i < check->count; i++)
        tried += check->targets[i].side == SIDE_SOURCE;
    if (check->listed == 0 || tried < settings->user_count || settings_is_narrowed(settings) ||
        settings->shard_count > 1)
        return;
    snprintf(where, sizeof where, "the %zu of %zu mailboxes that could be listed", check->listed, tried);
    unmatched_each(check->unmatched, check->listed == tried ? "any mailbox" : where, warn, check);
}

static void print_json(struct check *check, bool ok)
{
    json_t *all, *summary = json_array();

    for (unsigned side = 0; side < SIDE_COUNT; side++) {
        json_t *one = check_summary_json(check->results, check->count, side == SIDE_SOURCE,
                                         is_shared(endpoint(check, (enum side)side)));

        if (one)
            json_array_append_new(summary, one);
    }
    all = json_pack("{s:s,s:b,s:o,s:o,s:O}", "schema", "mailhaul.check.v1", "ok", ok, "steps", check->steps, "summary",
                    summary, "warnings", check->warnings);
    json_out(all);
}

static int try_all(struct check *check)
{
    const struct settings *settings = check->settings;
    const bool shared[2] = { settings_admin_logs_in(&settings->source), settings_admin_logs_in(&settings->target) };
    int code;

    check->login_guard = login_guard_create(shared);
    check->warnings = json_array();
    check->unmatched = unmatched_create(settings);
    gather_targets(check);
    stream_resolver_start();
    start_some(check);
    if (check->running > 0)
        loop_run(check->reactor.loop);
    stream_resolver_stop();
    code = check->unreachable ? EXIT_UNREACHABLE : check->refused ? EXIT_LOGIN_REFUSED : check->local;
    tell_unmatched(check);
    if (check->o->json) {
        print_json(check, code == EXIT_DONE);
    } else {
        json_decref(check->steps);
        for (unsigned side = 0; side < SIDE_COUNT; side++)
            check_print_summary(check->results, check->count, side == SIDE_SOURCE,
                                is_shared(endpoint(check, (enum side)side)), stdout);
    }
    json_decref(check->warnings);
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        json_decref(check->told[side]);
    unmatched_destroy(&check->unmatched);
    return code;
}

int do_check(const struct opts *o, const struct settings *settings)
{
    struct check check = { .o = o, .settings = settings };
    struct visit_house house;
    struct loop *loop = NULL;
    struct err err;
    int code;

    check.steps = json_array();
    if (opts_sides(o) == OPTS_BOTH_SIDES) {
        if (!o->json)
            printf("local, this machine\n");
        check.local = check_local(settings, local_told, &check);
    }
    sandbox(o, settings, NULL);
    if (!visit_house_open(&house, settings, &err) || !loop_create(&loop, &err)) {
        (void)complain(&err, 0);
        json_decref(check.steps);
        visit_house_close(&house);
        return err.origin == ERR_ORIGIN_TLS ? EXIT_BATCH_FILE : EXIT_INTERNAL;
    }
    visit_house_reactor(&house, loop, &check.reactor);
    code = try_all(&check);
    loop_timer_clear(loop, &check.again);
    tokens_destroy(&check.reactor.tokens);
    loop_destroy(&loop);
    visit_house_close(&house);
    login_guard_destroy(&check.login_guard);
    free(check.targets);
    free(check.results);
    return code;
}
