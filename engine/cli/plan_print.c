#include "engine/cli/plan.h"

#include "engine/cli/json_out.h"
#include "engine/cli/plan_split.h"
#include "engine/report/format.h"

#include <stdio.h>

struct totals {
    uint64_t found, move, skip, bytes;
};

static uint64_t skipped_of(const struct plan_user *u)
{
    uint64_t sum = 0;

    for (unsigned r = SKIP_NONE + 1; r < SKIP_REASON_COUNT; r++)
        sum += u->skip[r];
    return sum;
}

static void sum_up(const struct plan *plan, struct totals *t)
{
    *t = (struct totals){ 0 };
    for (size_t i = 0; i < plan->settings->user_count; i++) {
        t->found += plan->users[i].found;
        t->move += plan->users[i].move;
        t->skip += skipped_of(&plan->users[i]);
        t->bytes += plan->users[i].bytes_move;
    }
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static json_t *number(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static const char *basis_word(enum forecast_basis basis)
{
    return basis == FORECAST_LEARNT     ? "learnt"
           : basis == FORECAST_MEASURED ? "measured"
           : basis == FORECAST_BENCH    ? "bench"
                                        : "assumed";
}

static json_t *rate_of(const struct forecast_rate *r, double seconds)
{
    json_t *rate = json_pack("{s:s,s:f}", "basis", basis_word(r->basis), "seconds", seconds);

    if (r->basis == FORECAST_LEARNT) {
        json_object_set_new(rate, "cost_per_s", json_real(r->cost_per_s));
    } else {
        json_object_set_new(rate, "bytes_per_s", json_real(r->bytes_per_s));
        json_object_set_new(rate, "messages_per_s", json_real(r->messages_per_s));
        json_object_set_new(rate, "per_mailbox", json_boolean(r->per_mailbox));
    }
    if (r->basis == FORECAST_MEASURED)
        json_object_set_new(rate, "measured_s", json_real(r->measured_s));
    return rate;
}

static json_t *user_json(const struct plan_user *u)
{
    json_t *skips = json_object(), *user;

    for (unsigned r = SKIP_NONE + 1; r < SKIP_REASON_COUNT; r++)
        if (u->skip[r] || r == SKIP_LARGER_THAN_LIMIT)
            json_object_set_new(skips, skip_reason_name(r), number(u->skip[r]));
    user = json_pack("{s:s,s:b,s:o,s:o,s:o,s:o,s:o,s:b,s:O}", "address", u->user->email_address, "planned",
                     u->look->end != BATCH_LOOK_NONE, "found", number(u->found), "move", number(u->move), "bytes_move",
                     number(u->bytes_move), "done", number(u->done), "skip", skips, "target_known", u->known,
                     "warnings", u->warnings);
    json_object_set_new(user, "target_messages", u->known && u->counted ? number(u->target_messages) : json_null());
    json_object_set_new(user, "target_free_bytes", u->has_free_bytes ? number(u->free_bytes) : json_null());
    return user;
}

static json_t *split_json(const struct plan_split *split)
{
    json_t *rows = json_array();

    for (unsigned i = 0; i < split->shards; i++)
        json_array_append_new(rows, json_pack("{s:i,s:o,s:o,s:o}", "shard", (int)i + 1, "users",
                                              number(split->of[i].users), "move", number(split->of[i].messages),
                                              "bytes_move", number(split->of[i].bytes)));
    return rows;
}

void plan_print_json(const struct plan *plan)
{
    const struct forecast *f = &plan->forecast;
    json_t *users = json_array(), *all, *totals;
    struct totals t;

    sum_up(plan, &t);
    for (size_t i = 0; i < plan->settings->user_count; i++)
        json_array_append_new(users, user_json(&plan->users[i]));
    totals = json_pack("{s:I,s:I,s:o,s:o,s:o,s:o,s:f,s:I,s:f,s:I,s:b}", "users", (json_int_t)plan->settings->user_count,
                       "unplanned", (json_int_t)plan->unplanned, "found", number(t.found), "move", number(t.move),
                       "skip", number(t.skip), "bytes_move", number(t.bytes), "seconds", f->seconds, "nights",
                       (json_int_t)f->nights, "night_seconds", f->night_s, "days_by_limit", (json_int_t)f->days,
                       "rate_assumed", f->source.basis == FORECAST_ASSUMED || f->target.basis == FORECAST_ASSUMED);
    all = json_pack("{s:s,s:o,s:{s:o,s:o},s:o,s:O}", "schema", "mailhaul.plan.v1", "totals", totals, "rates", "source",
                    rate_of(&f->source, f->source_s), "target", rate_of(&f->target, f->target_s), "users", users,
                    "warnings", plan->warnings);
    if (plan->split)
        json_object_set_new(all, "shards", split_json(plan->split));
    json_out(all);
}

/* ---- text ---------------------------------------------------------------------------------- */

static void print_user(const struct plan_user *u)
{
    format_left(stdout, slice_cstr(u->user->email_address), 40);
    printf("  found %9s  move %9s  %10s  skip %9s  moved before %9s  on the target %9s\n", format_count(u->found).text,
           format_count(u->move).text, format_bytes(u->bytes_move).text, format_count(skipped_of(u)).text,
           format_count(u->done).text, u->known && u->counted ? format_count(u->target_messages).text : "?");
    for (size_t k = 0; k < json_array_size(u->warnings); k++)
        printf("    %s: %s\n", json_string_value(json_object_get(json_array_get(u->warnings, k), "type")),
               json_string_value(json_object_get(json_array_get(u->warnings, k), "text")));
}

static void print_rate(const char *side, const struct forecast_rate *r, double seconds)
{
    printf("  %s: %s at ", side, format_seconds(seconds).text);
    switch (r->basis) {
    case FORECAST_LEARNT:
        printf("%.1f a second, where a message costs 1 and each 100 kB of it 1 more (learnt from the "
               "target's throttling)\n",
               r->cost_per_s);
        break;
    case FORECAST_MEASURED:
        printf("%s and %.1f messages a second (measured over %s of earlier runs)\n",
               format_bytes((uint64_t)r->bytes_per_s).text, r->messages_per_s, format_seconds(r->measured_s).text);
        break;
    case FORECAST_BENCH:
        printf("%s and %s messages a second (measured by bench; nothing was moved yet)\n",
               format_bytes((uint64_t)r->bytes_per_s).text, format_count((uint64_t)r->messages_per_s).text);
        break;
    case FORECAST_ASSUMED:
        if (r->per_mailbox)
            printf("%s and %s messages an hour for a mailbox (assumed: Exchange Online tells no "
                   "figure, and nothing was measured yet)\n",
                   format_bytes((uint64_t)(r->bytes_per_s * 3600 + 0.5)).text,
                   format_count((uint64_t)(r->messages_per_s * 3600 + 0.5)).text);
        else
            printf("%s and %s messages a second (assumed: nothing was measured yet)\n",
                   format_bytes((uint64_t)r->bytes_per_s).text, format_count((uint64_t)r->messages_per_s).text);
        break;
    }
}

static void print_time(const struct plan *plan)
{
    const struct forecast *f = &plan->forecast;
    const char *s = format_s(f->nights);
    bool whole_day = f->night_s >= 86400;

    if (f->users == 0) {
        printf("Nothing to move.\n");
        return;
    }
    /* A second is as little as is worth telling. */
    printf("Expected: about %s", format_seconds(f->seconds < 1 ? 1 : f->seconds).text);
    if (f->days > 1 && f->days == f->nights)
        printf(", over %u days, for bytes-per-day holds the largest mailbox back", f->days);
    else if (!whole_day)
        printf(", in %u night%s of %s", f->nights, s, format_seconds(f->night_s).text);
    else if (f->nights > 1)
        printf(", over %u days", f->nights);
    printf("\n");
    print_rate("source", &f->source, f->source_s);
    print_rate("target", &f->target, f->target_s);
}

static void print_split(const struct plan *plan)
{
    const struct plan_split *split = plan->split;

    printf("\nDivided into %u shards, written to %s:\n", split->shards, plan->settings->split_file);
    for (unsigned i = 0; i < split->shards; i++)
        printf("  %4u  %9s user%s  %9s message%s  %10s\n", i + 1, format_count(split->of[i].users).text,
               split->of[i].users == 1 ? " " : "s", format_count(split->of[i].messages).text,
               split->of[i].messages == 1 ? " " : "s", format_bytes(split->of[i].bytes).text);
    if (split->stayed)
        printf("%s user%s had a shard already and stay%s in it\n", format_count(split->stayed).text,
               format_s(split->stayed), split->stayed == 1 ? "s" : "");
    if (split->guessed)
        printf("%s could not be planned and %s taken for %s of average size\n", format_count(split->guessed).text,
               split->guessed == 1 ? "is" : "are", split->guessed == 1 ? "a mailbox" : "mailboxes");
}

void plan_print_text(const struct plan *plan)
{
    struct totals t;

    for (size_t i = 0; i < plan->settings->user_count; i++)
        print_user(&plan->users[i]);
    sum_up(plan, &t);
    printf("\n%s user%s: %s message%s to move (%s), %s skipped\n", format_count(plan->settings->user_count).text,
           format_s(plan->settings->user_count), format_count(t.move).text, format_s(t.move),
           format_bytes(t.bytes).text, format_count(t.skip).text);
    if (plan->unplanned)
        printf("%s of them could not be planned and %s missing from these figures, or in them as last "
               "seen\n",
               format_count(plan->unplanned).text, plan->unplanned == 1 ? "is" : "are");
    print_time(plan);
    if (plan->split)
        print_split(plan);
}
