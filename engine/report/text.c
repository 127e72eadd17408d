#include "engine/report/report.h"

#include "engine/failure/advice.h"
#include "engine/move/batch.h"
#include "engine/report/format.h"
#include "engine/report/shards.h"
#include "engine/report/time.h"
#include "io/base/now.h"

#include <errno.h>
#include <inttypes.h>

#define GROUPS_SHOWN 12u
#define STALLS_SHOWN 4u

static uint64_t pending(const struct tally *t)
{
    return t->waiting + t->spooled;
}

static bool is_complete(const struct report *r)
{
    return r->user_count > 0 && r->synced == r->user_count;
}

int report_verdict_level(const struct report *r)
{
    if (r->unbalanced || r->failed_users)
        return 2;
    if (is_complete(r) && pending(&r->totals) == 0)
        return r->totals.failed || r->doubts ? 2 : r->missing || r->batch.killed_ms || report_shards_unheard(r);
    return 1;
}

static const char *were(uint64_t n)
{
    return n == 1 ? "was" : "were";
}

static void say_rest(const struct report *r, struct buf *b)
{
    unsigned rest = r->user_count - r->synced - r->failed_users;
    uint64_t left = pending(&r->totals);
    bool ok = true;

    if (rest)
        ok = buf_append_format(b, " %s user%s still ha%s mail to move.", format_count(rest).text, format_s(rest),
                               rest == 1 ? "s" : "ve");
    else if (left)
        ok = buf_append_format(b, " %s message%s wait%s.", format_count(left).text, format_s(left),
                               left == 1 ? "s" : "");
    (void)ok;
}

/* Of a part nobody shall think that it is the whole. */
static const char *all_of(const struct report *r)
{
    bool part = r->missing > 0;

    return r->user_count > 1 ? part ? "Of the shards that are here all " : "All "
           : part            ? "Of the shards that are here the "
                             : "The ";
}

static bool say(const struct report *r, struct buf *b)
{
    const struct tally *t = &r->totals;
    bool ended;

    if (r->user_count == 0)
        return buf_append(b, r->batch.has_exit_code && r->batch.exit_code == 0
                                 ? SLICE("There was no user to move.")
                                 : SLICE("No user has been looked at yet."));
    if (r->unbalanced)
        return buf_append_format(b,
                                 "%s folder%s do%s not balance, which is a fault of this program: "
                                 "please report it, and verify these users.",
                                 format_count(r->unbalanced).text, format_s(r->unbalanced),
                                 r->unbalanced == 1 ? "es" : "");
    if (is_complete(r) && pending(t) == 0 && t->failed == 0 && r->doubted == 0)
        return buf_append_format(b,
                                 "%s%s user%s %s synced and every folder balances: of %s message%s "
                                 "%s %s uploaded, %s %s present and %s %s skipped by "
                                 "policy.",
                                 all_of(r), r->user_count > 1 ? format_count(r->user_count).text : "one",
                                 format_s(r->user_count), r->user_count > 1 ? "are" : "is", format_count(t->found).text,
                                 format_s(t->found), format_count(t->uploaded).text, were(t->uploaded),
                                 format_count(t->present).text, were(t->present), format_count(t->skipped).text,
                                 were(t->skipped));
    if (is_complete(r) && pending(t) == 0 && t->failed == 0)
        return buf_append_format(b,
                                 "%s%s user%s %s synced and nothing failed, but of %s of them not everything "
                                 "could be proved: see the doubts for what to look at.",
                                 all_of(r), r->user_count > 1 ? format_count(r->user_count).text : "one",
                                 format_s(r->user_count), r->user_count > 1 ? "are" : "is",
                                 format_count(r->doubted).text);
    if (is_complete(r) && pending(t) == 0)
        return buf_append_format(b,
                                 "%s%s user%s %s synced, but %s message%s failed: "
                                 "see the failures for what to do about %s.",
                                 all_of(r), r->user_count > 1 ? format_count(r->user_count).text : "one",
                                 format_s(r->user_count), r->user_count > 1 ? "are" : "is",
                                 format_count(t->failed).text, format_s(t->failed), t->failed == 1 ? "it" : "them");
    if (r->failed_users) {
        const char *most = NULL;
        bool ok, alike = true;

        for (unsigned i = 0; i < r->user_count; i++)
            if (r->users[i].state == USER_FAILED && r->users[i].failure[0]) {
                alike &= !most || strcmp(most, r->users[i].failure) == 0;
                most = r->users[i].failure;
            }
        ok = buf_append_format(
            b, "%s of %s user%s failed%s%s%s and need%s attention; %s %s synced.", format_count(r->failed_users).text,
            format_count(r->user_count).text, format_s(r->user_count), most ? " (" : "",
            most ? (alike ? most : "see the failures") : "", most ? ")" : "", r->failed_users == 1 ? "s" : "",
            format_count(r->synced).text, r->synced == 1 ? "is" : "are");
        say_rest(r, b);
        return ok;
    }
    if (r->batch.running)
        return buf_append_format(b,
                                 "Under way: %s of %s user%s %s synced, %s of the messages found so "
                                 "far are done.",
                                 format_count(r->synced).text, format_count(r->user_count).text,
                                 format_s(r->user_count), r->synced == 1 || r->user_count == 1 ? "is" : "are",
                                 format_percent(t->found - pending(t), t->found).text);
    if (strcmp(r->batch.state, "Created") == 0)
        return buf_append_format(b,
                                 "Nothing has been moved yet: %s message%s of %s user%s wait%s for "
                                 "`mailhaul run`.",
                                 format_count(pending(t)).text, format_s(pending(t)), format_count(r->user_count).text,
                                 format_s(r->user_count), pending(t) == 1 ? "s" : "");
    /* What an earlier command ended with says nothing of one that was killed. */
    ended = r->batch.has_exit_code && r->batch.finished_ms;
    /* A command that does one half has ended, and well. */
    if (ended && r->batch.exit_code == 0) {
        if (!buf_append_format(b, "Done as far as was asked: %s of %s user%s %s synced.", format_count(r->synced).text,
                               format_count(r->user_count).text, format_s(r->user_count),
                               r->synced == 1 || r->user_count == 1 ? "is" : "are"))
            return false;
        say_rest(r, b);
        return buf_append(b, SLICE(" `mailhaul run` or `mailhaul upload` moves what waits."));
    }
    if (!buf_append_format(b, "%s%s of %s user%s %s synced.",
                           ended                                            ? "Stopped early and clean: "
                           : r->batch.killed_ms || report_shards_unheard(r) ? ""
                                                                            : "Not finished, and no run is going on: ",
                           format_count(r->synced).text, format_count(r->user_count).text, format_s(r->user_count),
                           r->synced == 1 || r->user_count == 1 ? "is" : "are"))
        return false;
    say_rest(r, b);
    return r->batch.killed_ms || report_shards_unheard(r) ||
           buf_append(b, SLICE(" Run the same command again to go on; nothing is lost."));
}

/* Before all else: whatever the users' states say, it is of a run that did not come to its end. */
static bool say_killed(const struct report *r, struct buf *b)
{
    char when[32];

    return r->batch.killed_ms == 0 ||
           buf_append_format(b,
                             "%s run was killed, or could not write any more, at %s; nothing is lost, run the "
                             "same command again to go on. ",
                             r->part_count > 1 ? "A" : "The", now_rfc3339(r->batch.killed_ms, when, sizeof when));
}

/* The sums are what was moved; of some it is known that the target holds it no more. */
static bool say_short(const struct report *r, struct buf *b)
{
    unsigned users = 0;

    for (unsigned i = 0; i < r->user_count; i++)
        users += r->users[i].state == USER_FAILED && strcmp(r->users[i].failure, "TargetCountDiffers") == 0;
    return users == 0 ||
           buf_append_format(b,
                             " The target holds less of %s user%s than was moved there: what is called uploaded or "
                             "present is how it was then.",
                             format_count(users).text, format_s(users));
}

const char *report_verdict(const struct report *r, char *out, size_t cap)
{
    struct buf b;
    bool whole;

    buf_init(&b, 4096);
    whole = say_killed(r, &b) && say(r, &b) && say_short(r, &b);
    (void)whole;
    report_shards_say_unheard(r, &b);
    report_shards_say_missing(r, &b);
    err_printable(out, cap, buf_slice(&b).data, buf_slice(&b).size);
    buf_deinit(&b);
    return out;
}

double report_active_seconds(const struct report *r)
{
    if (r->course.active_ms)
        return (double)r->course.active_ms / 1000.0;
    /* Over before a second sample was taken. */
    return r->totals.uploaded + r->totals.spooled ? r->batch.seconds : 0;
}

static void skips(const struct report *r, FILE *out)
{
    const char *between = "  (";

    for (int i = SKIP_NONE + 1; i < SKIP_REASON_COUNT; i++)
        if (r->skips.messages[i]) {
            fprintf(out, "%s%s %s", between, skip_reason_name((enum skip_reason)i),
                    format_count(r->skips.messages[i]).text);
            between = ", ";
        }
    fputs(between[0] == ',' ? ")\n" : "\n", out);
}

static void this_run(const struct batch_did *did, FILE *out)
{
    fprintf(out,
            "  This run                %s message%s fetched (%s), %s uploaded (%s), %s present, "
            "in %s\n",
            format_count(did->fetched).text, format_s(did->fetched), format_bytes(did->bytes_fetched).text,
            format_count(did->uploaded).text, format_bytes(did->bytes_uploaded).text, format_count(did->present).text,
            format_seconds((double)did->elapsed_ms / 1000.0).text);
    fprintf(out, "  %-23s %s new message%s at the source; what follows is of all runs together\n", "",
            format_count(did->found).text, format_s(did->found));
}

static void stalls(const struct report *r, FILE *out)
{
    struct report_stall list[REPORT_STALLS_MAX];
    unsigned n = report_stalls_sorted(&r->stalls, list);
    uint64_t all = r->time_ms[TIME_STALLED_SOURCE] + r->time_ms[TIME_STALLED_TARGET];

    fprintf(out, "  Stalled time            %s%s\n", format_seconds((double)all / 1000.0).text,
            all ? " over all users" : "");
    for (unsigned i = 0; i < n && i < STALLS_SHOWN; i++)
        fprintf(out, "  %-23s %s %s: %s (%s)\n", "", format_seconds((double)list[i].ms / 1000.0).text,
                stall_is_here(list[i].cause)  ? "here"
                : list[i].side == SIDE_SOURCE ? "by the source"
                                              : "by the target",
                stall_words(list[i].cause), stall_name(list[i].cause));
    if (n > STALLS_SHOWN)
        fprintf(out, "  %-23s and %u more causes\n", "", n - STALLS_SHOWN);
}

static void doubts(const struct report *r, FILE *out)
{
    for (unsigned i = 0; i < r->doubt_type_count; i++) {
        const struct report_doubt *d = &r->doubt_types[i];

        fprintf(out, "  %-23s %s: %s user%s, e.g. %s. %s\n", i ? "" : "Doubts", d->type, format_count(d->users).text,
                format_s(d->users), r->users[d->who[0]].address, advice_find(d->type)->meaning);
    }
    if (r->doubled)
        fprintf(out, "  Surplus copies          %s  (seen on the target and not removed)\n",
                format_count(r->doubled).text);
}

static void errors(const struct report *r, FILE *out)
{
    if (r->group_count == 0)
        fprintf(out, "  Errors by type          none\n");
    for (unsigned i = 0; i < r->group_count && i < GROUPS_SHOWN; i++) {
        const struct report_group *g = &r->groups[i];

        char where[80];

        fprintf(out, "  %-23s %s: %s time%s, %s user%s%s. %s\n", i ? "" : "Errors by type", g->type,
                format_count(g->count).text, format_s(g->count), format_count(g->users).text, format_s(g->users),
                report_group_where(g, where, sizeof where), advice_find(g->type)->meaning);
    }
    if (r->group_count > GROUPS_SHOWN)
        fprintf(out, "  %-23s and %u more types\n", "", r->group_count - GROUPS_SHOWN);
}

bool report_write_text(const struct report *r, enum report_part part, const struct batch_did *did, FILE *out,
                       struct err *err_r)
{
    const struct tally *t = &r->totals;
    double active = report_active_seconds(r);
    char verdict[600];

    fprintf(out, "%s\n\n", report_verdict(r, verdict, sizeof verdict));
    if (did)
        this_run(did, out);
    fprintf(out, "  Batch                   %s%s%s\n", r->batch.name, r->batch.name[0] ? ", " : "",
            r->batch.state[0] ? r->batch.state : "Created");
    for (unsigned i = 0; i < r->division_count; i++)
        fprintf(out, "  %-23s %s\n", i ? "" : "Shards", report_shards_line(r, i, verdict, sizeof verdict));
    fprintf(out, "  Users                   %s: %s synced, ", format_count(r->user_count).text,
            format_count(r->synced).text);
    if (r->doubted)
        fprintf(out, "%s of them with doubts, ", format_count(r->doubted).text);
    fprintf(out, "%s failed\n", format_count(r->failed_users).text);
    fprintf(out, "  Messages found          %s  (%s)\n", format_count(t->found).text,
            format_bytes(t->bytes_found).text);
    fprintf(out, "  Messages uploaded       %s  (%s)\n", format_count(t->uploaded).text,
            format_bytes(t->bytes_uploaded).text);
    if (r->repaired)
        fprintf(out, "  of them mended          %s  (report --json: repaired_items)\n", format_count(r->repaired).text);
    fprintf(out, "  Messages present        %s\n", format_count(t->present).text);
    fprintf(out, "  Messages skipped        %s", format_count(t->skipped).text);
    skips(r, out);
    fprintf(out, "  Messages failed         %s\n", format_count(t->failed).text);
    fprintf(out, "  Messages pending        %s\n", format_count(pending(t)).text);
    fprintf(out, "  Folders that balance    %s%s\n", r->unbalanced ? "all but " : "all",
            r->unbalanced ? format_count(r->unbalanced).text : "");
    fprintf(out, "  Transfer time           %s\n", format_seconds(active).text);
    if (active > 0) {
        fprintf(out, "  Message rate            %.1f messages/s\n", (double)t->uploaded / active);
        fprintf(out, "  Average bandwidth rate  %s in, %s out\n", format_rate((double)t->bytes_fetched / active).text,
                format_rate((double)t->bytes_uploaded / active).text);
    }
    fprintf(out, "  Throttled time          %s over all users  (%s answer%s)\n",
            format_seconds((double)r->time_ms[TIME_THROTTLED] / 1000.0).text, format_count(r->throttled).text,
            format_s(r->throttled));
    stalls(r, out);
    for (unsigned i = 0; i < r->learnt.server_count; i++) {
        const struct report_server *s = &r->learnt.servers[i];

        if (report_limits_tells(s))
            fprintf(out, "  %-23s %s: %s\n", s->source ? "Source's limits" : "Target's limits", s->learnt.server,
                    report_limits_line(s, verdict, sizeof verdict));
    }
    /* A run that was over before it was looked at has no share of anything. */
    if (report_time_known(r->time_ms) && (t->bytes_fetched || t->uploaded))
        fprintf(out, "  Efficiency              %.0f %% of the time that was not idle went into moving mail\n",
                100 * report_efficiency(r->time_ms));
    fprintf(out, "  Retries                 %s  (%s reconnect%s)\n", format_count(r->retries).text,
            format_count(r->reconnects).text, format_s(r->reconnects));
    if (part == REPORT_WHOLE)
        doubts(r, out);
    if (part == REPORT_WHOLE || r->group_count == 0)
        errors(r, out);
    for (unsigned i = 0; i < r->note_count; i++)
        fprintf(out, "  %-23s %s\n", i ? "" : "Merging", r->notes[i]);
    for (unsigned i = 0; i < r->batch.warning_count; i++)
        fprintf(out, "  %-23s %s\n", i ? "" : "Batch file", r->batch.warnings[i]);
    if (fflush(out) != 0 || ferror(out))
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "write the summary");
    return true;
}
