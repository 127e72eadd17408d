#include "engine/cli/do_plan.h"

#include "engine/cli/complain.h"
#include "engine/cli/do_run.h"
#include "engine/cli/exits.h"
#include "engine/cli/plan.h"
#include "engine/cli/plan_split.h"
#include "engine/cli/sandbox.h"
#include "engine/cli/unmatched.h"
#include "engine/move/batch.h"
#include "engine/report/format.h"
#include "io/base/mem.h"
#include "io/stream.h"
#include "io/team.h"

#include <errno.h>
#include <stdlib.h>

struct asking {
    const struct settings *settings;
    struct plan *plan;
    bool failed;
    struct err err;
};

static bool reachable(void *context, const struct settings_user *user)
{
    const struct asking *a = context;

    return settings_reaches_target(a->settings, user);
}

static bool stopping(void)
{
    return batch_stopping(NULL);
}

static void told(void *context, const struct survey_mailbox *box)
{
    struct asking *a = context;

    if (!a->failed)
        a->failed = !plan_meet(a->plan, box, &a->err);
}

/* What the targets hold, and how much more. Whoever cannot be asked is no reason to say nothing. */
static bool ask_targets(struct plan *plan, const struct settings *settings, struct err *err_r)
{
    struct asking a = { .settings = settings, .plan = plan };
    struct visit_house house;
    bool ok;

    stream_resolver_start();
    ok = visit_house_open(&house, settings, err_r) && survey_run(&house, reachable, told, stopping, &a, err_r);
    visit_house_close(&house);
    stream_resolver_stop();
    if (ok && a.failed)
        *err_r = a.err;
    return ok && !a.failed;
}

static bool meet_the_others(struct plan *plan, const struct settings *settings, bool all, struct err *err_r)
{
    bool ok = true;

    for (unsigned i = 0; ok && i < settings->user_count; i++)
        if (all || !settings_reaches_target(settings, &settings->users[i]))
            ok = plan_meet_nobody(plan, i, err_r);
    return ok;
}

/* Whoever could not be planned is taken for an average mailbox; where it ended early, or saw nobody, that says nothing.
 */
static bool is_to_divide(const struct opts *o, const struct plan *plan)
{
    return o->split && !plan->why_ended && plan->unplanned < plan->settings->user_count;
}

/* looks: what the run saw of each user; why_ended: what stopped it, or NULL. ask: the targets too. Returns
 * false when the plan could not be told, having said why. */
static bool tell(struct spool *spool, const struct settings *settings, const struct opts *o,
                 const struct batch_look *looks, const char *why_ended, bool ask)
{
    struct plan_split split = { 0 };
    struct plan plan;
    struct err err;
    bool ok;

    ok = plan_open(&plan, spool, settings, looks, why_ended, &err) && meet_the_others(&plan, settings, !ask, &err) &&
         (!ask || ask_targets(&plan, settings, &err)) && plan_read(&plan, &err) &&
         (!is_to_divide(o, &plan) || plan_split(&plan, o->split, &split, &err));
    if (split.shares)
        plan.split = &split;
    else if (o->split)
        fprintf(stderr, "mailhaul: the users are not divided: this plan is not complete\n");
    if (!ok)
        (void)complain(&err, 0);
    else if (o->json)
        plan_print_json(&plan);
    else
        plan_print_text(&plan);
    plan_split_deinit(&split);
    plan_deinit(&plan);
    return ok;
}

/* Says how it went beside the plan itself. Returns the exit code. */
static int conclude(const struct batch_result *result)
{
    switch (result->end) {
    case BATCH_DISK:
        return complain(&result->err, EXIT_DISK);
    case BATCH_UNREACHABLE:
        fprintf(stderr, "mailhaul: no user got through to the source; mailhaul check tells why\n");
        return EXIT_UNREACHABLE;
    case BATCH_REFUSED:
        fprintf(stderr, "mailhaul: every login was refused; mailhaul check tells why\n");
        return EXIT_LOGIN_REFUSED;
    case BATCH_STOPPED:
        fprintf(stderr, "mailhaul: stopped early (%s); what is told is not complete\n",
                result->stop_reason ? result->stop_reason : "some users were left out");
        return EXIT_STOPPED;
    case BATCH_WITH_FAILURES:
        fprintf(stderr, "mailhaul: %u user%s could not be planned; the plan says why\n", result->failed,
                format_s(result->failed));
        return EXIT_FAILED_USERS;
    case BATCH_SYNCED:
    case BATCH_WITH_DOUBTS: /* of the last run; a plan says what is there */
        break;
    }
    return EXIT_DONE;
}

int do_plan(const struct opts *o, const struct settings *settings)
{
    struct spool_config spool_config = { .folder = settings->state_folder,
                                         .budget_bytes = settings->spool_max_bytes,
                                         .key = settings->spool_key };
    struct batch_config config = { .settings = settings, .tick_ms = 200 };
    struct batch_result result;
    struct err err;
    int code;

    if (o->split && !plan_split_check(settings, o->split, &err))
        return complain(&err, err.code);
    if (!spool_open(&spool_config, &config.spool, &err)) {
        return complain_of_state(&err);
    }
    sandbox(o, settings, NULL);
    do_run_catch_signals();
    config.loops = team_loops(settings->threads);
    config.looks = mem_zero(settings->user_count, sizeof *config.looks);
    if (!batch_run(&config, &result, &err)) {
        code = complain_of_start(&err);
    } else {
        bool nobody = result.end == BATCH_UNREACHABLE || result.end == BATCH_REFUSED;

        code = conclude(&result);
        /* First, for the plan has them in its JSON. */
        if (code != EXIT_DISK && !unmatched_tell(config.spool, settings, o->quiet ? NULL : stderr, &err))
            code = complain_of_state(&err);
        if (code != EXIT_DISK &&
            !tell(config.spool, settings, o, config.looks, result.stop_reason, !o->source && !nobody))
            code = EXIT_DISK;
    }
    free(config.looks);
    spool_close(&config.spool);
    return code;
}
