#include "engine/cli/do_plan.h"

#include "engine/cli/complain.h"
#include "engine/cli/do_run.h"
#include "engine/cli/exits.h"
#include "engine/move/batch.h"
#include "io/base/mem.h"
#include "io/team.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

/* Exchange's and Outlook's limits: a mailbox's items by Microsoft's own IMAP migration, a folder's
 * before Outlook gets slow, and the hard one. */
#define MAILBOX_ITEMS_MANY 500000u
#define FOLDER_ITEMS_SLOW 100000u
#define FOLDER_ITEMS_MAX 1000000u
/* Where nothing was measured yet. Reports for Exchange Online go from 0.2 to 3 GB an hour for a
 * mailbox; other servers are as fast as their disks. The plan says that it assumed. */
#define EXCHANGE_MAILBOX_BYTES_S (500e6 / 3600)
#define IMAP_BYTES_S 30e6

struct planned {
    const char *address;
    uint64_t found, move, bytes_move, done, skip[SKIP_REASON_COUNT], largest_folder;
    char largest_name[128], state_failure[40];
    json_t *warnings;
};

struct plan {
    struct reader *reader;
    const struct settings *settings;
    struct planned *users;
    size_t count;
    struct planned *at;
    uint32_t user;
};

static void warn(struct planned *u, const char *type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void warn(struct planned *u, const char *type, const char *format, ...)
{
    va_list args;
    char text[300];

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(u->warnings, json_pack("{s:s,s:s}", "type", type, "text", text));
}

static bool count_skip(void *context, const struct message_record *m)
{
    struct plan *plan = context;

    plan->at->skip[m->reason]++;
    return true;
}

static bool count_move(void *context, const struct message_record *m)
{
    struct plan *plan = context;

    plan->at->bytes_move += m->listed_bytes;
    return true;
}

static bool add_folder(void *context, const struct folder_record *f)
{
    struct plan *plan = context;
    struct planned *u = plan->at;

    u->found += f->tally.found;
    u->move += f->tally.waiting + f->tally.spooled;
    u->done += f->tally.uploaded + f->tally.present;
    if (f->excluded)
        u->skip[SKIP_EXCLUDED_FOLDER] += f->tally.skipped;
    if (f->tally.found > u->largest_folder) {
        u->largest_folder = f->tally.found;
        err_printable(u->largest_name, sizeof u->largest_name, f->source_name.data,
                      f->source_name.size);
    }
    return true;
}

struct folder_id {
    uint32_t id;
    bool excluded;
};
struct folder_ids {
    struct folder_id *all;
    size_t count;
};

static bool keep_id(void *context, const struct folder_record *f)
{
    struct folder_ids *ids = context;

    ids->all = mem_resize(ids->all, ids->count + 1, sizeof *ids->all);
    ids->all[ids->count++] = (struct folder_id){ f->folder, f->excluded };
    return true;
}

static bool plan_user(void *context, const struct user_record *record)
{
    struct plan *plan = context;

    for (size_t i = 0; i < plan->count; i++)
        if (slice_equal_nocase(record->address, slice_cstr(plan->users[i].address))) {
            plan->at = &plan->users[i];
            plan->user = record->id;
            snprintf(plan->at->state_failure, sizeof plan->at->state_failure, "%s",
                     record->failure);
            plan->users[i].done = record->id; /* until it is counted */
        }
    return true;
}

static bool add_user(struct plan *plan, struct planned *u, struct err *err_r)
{
    const struct settings_policy *policy = &plan->settings->policy;
    uint32_t id = (uint32_t)u->done;
    struct folder_ids ids = { 0 };
    bool ok;

    u->done = 0;
    plan->at = u;
    ok = reader_folders(plan->reader, id, add_folder, plan, err_r) &&
         reader_folders(plan->reader, id, keep_id, &ids, err_r);
    for (size_t i = 0; ok && i < ids.count; i++)
        ok = ids.all[i].excluded ||
             (reader_messages(plan->reader, id, ids.all[i].id, 1u << MESSAGE_SKIPPED, 0, false, 0,
                              count_skip, plan, err_r) &&
              reader_messages(plan->reader, id, ids.all[i].id,
                              1u << MESSAGE_FOUND | 1u << MESSAGE_SPOOLED, 0, false, 0, count_move,
                              plan, err_r));
    free(ids.all);
    if (u->state_failure[0])
        warn(u, u->state_failure, "the inventory is not complete; mailhaul check --user %s tells why",
             u->address);
    if (u->found > MAILBOX_ITEMS_MANY)
        warn(u, "ManyItems", "%llu messages; plan several nights for this mailbox",
             (unsigned long long)u->found);
    if (u->largest_folder > FOLDER_ITEMS_MAX)
        warn(u, "FolderTooLarge",
             "folder \"%s\" has %llu messages, Exchange takes 1,000,000: divide it at the source",
             u->largest_name, (unsigned long long)u->largest_folder);
    else if (u->largest_folder > FOLDER_ITEMS_SLOW)
        warn(u, "FolderLarge",
             "folder \"%s\" has %llu messages; Outlook gets slow above 100,000", u->largest_name,
             (unsigned long long)u->largest_folder);
    if (u->skip[SKIP_LARGER_THAN_LIMIT] > policy->large_item_limit)
        warn(u, "TooManyLargeItems",
             "%llu messages are larger than the limit; the user will end as Failed unless "
             "max-message-size or large-item-limit is raised",
             (unsigned long long)u->skip[SKIP_LARGER_THAN_LIMIT]);
    return ok;
}

/* Seconds that a night has. */
static double night_s(const struct settings *s)
{
    double night = 86400;

    if (s->window.set) {
        int minutes = (int)s->window.closes_minute - (int)s->window.opens_minute;

        night = (minutes > 0 ? minutes : minutes + 1440) * 60.0;
    }
    if (s->time_limit_s && s->time_limit_s < night)
        night = s->time_limit_s;
    return night;
}

static double expected_s(const struct plan *plan)
{
    const struct settings *s = plan->settings;
    double bytes = 0, longest = 0, rate;

    for (size_t i = 0; i < plan->count; i++) {
        bytes += (double)plan->users[i].bytes_move;
        if ((double)plan->users[i].bytes_move > longest)
            longest = (double)plan->users[i].bytes_move;
    }
    if (s->target.preset != SETTINGS_PRESET_EXCHANGE_ONLINE)
        return bytes / IMAP_BYTES_S;
    rate = EXCHANGE_MAILBOX_BYTES_S *
           (double)(plan->count < s->target.connections ? plan->count : s->target.connections);
    /* No mailbox is faster than one mailbox may be. */
    return bytes / rate > longest / EXCHANGE_MAILBOX_BYTES_S ? bytes / rate
                                                             : longest / EXCHANGE_MAILBOX_BYTES_S;
}

static void print(struct plan *plan, bool json)
{
    json_t *users = json_array(), *all;
    uint64_t found = 0, move = 0, skip = 0, bytes = 0;
    double seconds = expected_s(plan);
    long long nights = (long long)(seconds / night_s(plan->settings)) + (seconds > 0);

    for (size_t i = 0; i < plan->count; i++) {
        struct planned *u = &plan->users[i];
        json_t *skips = json_object();
        uint64_t user_skip = 0;

        for (unsigned r = SKIP_NONE + 1; r < SKIP_REASON_COUNT; r++) {
            user_skip += u->skip[r];
            if (u->skip[r] || r == SKIP_LARGER_THAN_LIMIT)
                json_object_set_new(skips, skip_reason_name(r), json_integer((json_int_t)u->skip[r]));
        }
        found += u->found;
        move += u->move;
        skip += user_skip;
        bytes += u->bytes_move;
        if (!json)
            printf("%-40s  found %9llu  move %9llu  %10.1f MB  skip %7llu  there %9llu\n", u->address,
                   (unsigned long long)u->found, (unsigned long long)u->move,
                   (double)u->bytes_move / 1e6, (unsigned long long)user_skip,
                   (unsigned long long)u->done);
        for (size_t k = 0; !json && k < json_array_size(u->warnings); k++)
            printf("    %s: %s\n",
                   json_string_value(json_object_get(json_array_get(u->warnings, k), "type")),
                   json_string_value(json_object_get(json_array_get(u->warnings, k), "text")));
        json_array_append_new(
            users, json_pack("{s:s,s:I,s:I,s:I,s:I,s:o,s:o}", "address", u->address, "found",
                             (json_int_t)u->found, "move", (json_int_t)u->move, "bytes_move",
                             (json_int_t)u->bytes_move, "done", (json_int_t)u->done, "skip", skips,
                             "warnings", u->warnings));
    }
    all = json_pack("{s:s,s:{s:I,s:I,s:I,s:I,s:I,s:f,s:I,s:b},s:o}", "schema", "mailhaul.plan.v1",
                    "totals", "users", (json_int_t)plan->count, "found", (json_int_t)found, "move",
                    (json_int_t)move, "skip", (json_int_t)skip, "bytes_move", (json_int_t)bytes,
                    "seconds", seconds, "nights", (json_int_t)nights, "rate_assumed", 1, "users",
                    users);
    if (json) {
        json_dumpf(all, stdout, JSON_INDENT(1));
        printf("\n");
    } else {
        printf("\n%zu users: %llu messages to move (%.1f GB), %llu skipped; about %.1f hours, %lld "
               "nights, if the target takes %s\n",
               plan->count, (unsigned long long)move, (double)bytes / 1e9, (unsigned long long)skip,
               seconds / 3600, nights,
               plan->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE
                   ? "0.5 GB an hour for a mailbox (assumed: Exchange Online tells no figure)"
                   : "30 MB/s (assumed)");
    }
    json_decref(all);
}

static int read_plan(struct spool *spool, const struct settings *settings, bool json)
{
    struct plan plan = { .settings = settings, .count = settings->user_count };
    struct err err;
    bool ok;

    plan.users = mem_zero(plan.count, sizeof *plan.users);
    for (size_t i = 0; i < plan.count; i++) {
        plan.users[i].address = settings->users[i].email_address;
        plan.users[i].warnings = json_array();
    }
    ok = reader_create(spool, &plan.reader, &err) &&
         reader_users(plan.reader, plan_user, &plan, &err);
    for (size_t i = 0; ok && i < plan.count; i++)
        ok = add_user(&plan, &plan.users[i], &err);
    if (ok)
        print(&plan, json);
    else
        (void)complain(&err, 0);
    reader_destroy(&plan.reader);
    free(plan.users);
    return ok ? EXIT_DONE : EXIT_DISK;
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

    if (!spool_open(&spool_config, &config.spool, &err)) {
        return complain(&err, err.code == EWOULDBLOCK ? EXIT_STATE_HELD : EXIT_DISK);
    }
    do_run_catch_signals();
    config.loops = settings->threads ? settings->threads : team_processors();
    if (!batch_run(&config, &result, &err)) {
        code = complain(&err, err.origin == ERR_ORIGIN_TLS ? EXIT_BATCH_FILE : EXIT_DISK);
    } else if (result.end == BATCH_UNREACHABLE) {
        fprintf(stderr, "mailhaul: no user got through to the source; mailhaul check tells why\n");
        code = EXIT_UNREACHABLE;
    } else if (result.end == BATCH_REFUSED) {
        fprintf(stderr, "mailhaul: every login was refused; mailhaul check tells why\n");
        code = EXIT_LOGIN_REFUSED;
    } else if (result.end == BATCH_DISK) {
        code = complain(&result.err, EXIT_DISK);
    } else {
        if (result.end == BATCH_STOPPED)
            fprintf(stderr, "mailhaul: stopped early; what follows is not complete\n");
        code = read_plan(config.spool, settings, o->json);
    }
    spool_close(&config.spool);
    return code;
}
