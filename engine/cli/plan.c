#include "engine/cli/plan.h"

#include "engine/folders/names_index.h"
#include "engine/move/limits.h"
#include "engine/report/format.h"
#include "engine/report/report.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <stdarg.h>
#include <stdlib.h>

/* Exchange's and Outlook's limits: a mailbox's items by Microsoft's own IMAP migration, a folder's
 * before Outlook gets slow, and the hard one. */
#define MAILBOX_ITEMS_MANY 500000u
#define FOLDER_ITEMS_SLOW  100000u
#define FOLDER_ITEMS_MAX   1000000u
/* Warnings of one kind that are spelt out for a user; the others are counted. */
#define WARNINGS_OF_A_KIND 10u
/* Older runs tell nothing of today's servers: a week, as long as pace keeps a rate. */
#define SAMPLES_OLD_MS INT64_C(604800000)

/* ---- warnings ------------------------------------------------------------------------------ */

static void add_warning(struct plan_user *u, const char *type, const char *text)
{
    json_array_append_new(u->warnings, json_pack("{s:s,s:s}", "type", type, "text", text));
}

static void warn(struct plan_user *u, const char *type, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void warn(struct plan_user *u, const char *type, const char *format, ...)
{
    va_list args;
    char text[700], printable[700];

    for (size_t i = 0; i < PLAN_KINDS_MAX; i++) {
        if (u->kinds[i].count == 0)
            snprintf(u->kinds[i].type, sizeof u->kinds[i].type, "%s", type);
        if (strcmp(u->kinds[i].type, type) != 0)
            continue;
        if (++u->kinds[i].count > WARNINGS_OF_A_KIND)
            return;
        break;
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_printable(printable, sizeof printable, text, strlen(text));
    add_warning(u, type, printable);
}

static void warn_of_the_rest(struct plan_user *u)
{
    char text[80];

    for (size_t i = 0; i < PLAN_KINDS_MAX; i++)
        if (u->kinds[i].count > WARNINGS_OF_A_KIND) {
            snprintf(text, sizeof text, "and %u more of this kind", u->kinds[i].count - WARNINGS_OF_A_KIND);
            add_warning(u, u->kinds[i].type, text);
        }
}

/* ---- folders and the target ---------------------------------------------------------------- */

struct folders {
    struct plan_user *u;
    struct names_source *rows;
    uint32_t *ids;
    size_t count, room;
};

static void see_size(struct plan_user *u, const struct folder_record *f)
{
    struct format_text count = format_count(f->tally.found);
    int size = f->source_name.size < 160 ? (int)f->source_name.size : 160;

    if (f->excluded || f->tally.found <= FOLDER_ITEMS_SLOW)
        return;
    if (f->tally.found > FOLDER_ITEMS_MAX)
        warn(u, "FolderTooLarge", "folder \"%.*s\" has %s messages, Exchange takes 1,000,000: divide it at the source",
             size, f->source_name.data, count.text);
    else
        warn(u, "FolderLarge", "folder \"%.*s\" has %s messages; Outlook gets slow above 100,000", size,
             f->source_name.data, count.text);
}

static bool add_folder(void *context, const struct folder_record *f)
{
    struct folders *all = context;
    struct names_source *row;

    see_size(all->u, f);
    if (all->count == all->room) {
        all->room = all->room ? all->room * 2 : 64;
        all->rows = mem_resize(all->rows, all->room, sizeof *all->rows);
        all->ids = mem_resize(all->ids, all->room, sizeof *all->ids);
    }
    all->ids[all->count] = f->folder;
    row = &all->rows[all->count++];
    *row = (struct names_source){ .raw = slice_dup(f->source_raw),
                                  .delimiter = f->delimiter,
                                  .name = slice_dup(f->source_name),
                                  .selectable = true,
                                  .excluded = f->excluded };
    snprintf(row->role, sizeof row->role, "%s", f->role);
    if (f->target_raw.size) {
        row->target_raw = slice_dup(f->target_raw);
        row->target_name = slice_dup(f->target_name);
    }
    return true;
}

static void name_told(void *context, size_t index, const char *type, const char *text, const char *remedy)
{
    struct folders *all = context;

    (void)remedy;
    warn(all->u, type, "folder \"%.160s\": %s", all->rows[index].name, text);
}

static bool problem_told(void *context, const struct problem_record *p)
{
    struct folders *all = context;

    for (size_t i = 0; p->folder && i < all->count; i++)
        if (all->ids[i] == p->folder) {
            name_told(all, i, p->type, p->text, "");
            return true;
        }
    warn(all->u, p->type, "%s", p->text);
    return true;
}

static bool meet(struct plan *plan, unsigned index, const struct folder_list *target, struct err *err_r)
{
    struct plan_user *u = &plan->users[index];
    struct names_rules rules = {
        .settings = plan->settings,
        .user = u->user,
        .source_prefix = "",
        .target_prefix = target && target->prefix ? target->prefix : "",
        .target_delimiter = target ? target->delimiter : '/',
        .exchange = plan->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE,
    };
    struct names_target *targets = target ? folder_list_targets(target) : NULL;
    struct folders all = { .u = u };
    bool ok = u->id == 0 || (reader_folders(plan->reader, u->id, add_folder, &all, err_r) &&
                             reader_problems(plan->reader, u->id, problem_told, &all, err_r));

    if (ok)
        names_map(all.rows, all.count, targets, target ? target->count : 0, &rules, name_told, &all);
    for (size_t i = 0; i < all.count; i++)
        names_source_deinit(&all.rows[i]);
    free(all.rows);
    free(all.ids);
    free(targets);
    return ok;
}

bool plan_meet_nobody(struct plan *plan, unsigned index, struct err *err_r)
{
    return meet(plan, index, NULL, err_r);
}

bool plan_meet(struct plan *plan, const struct survey_mailbox *box, struct err *err_r)
{
    struct plan_user *u = &plan->users[box->index];
    char line[400];

    u->known = box->known;
    u->counted = box->counted;
    u->target_messages = box->messages;
    u->has_free_bytes = box->has_free_bytes;
    u->free_bytes = box->free_bytes;
    u->has_free_messages = box->has_free_messages;
    u->free_messages = box->free_messages;
    u->message_bytes_max = box->message_bytes_max;
    if (!box->known)
        warn(u, box->type, "the target's mailbox was not seen: %s", err_line(&box->err, line, sizeof line));
    return meet(plan, box->index, box->known ? &box->folder_list : NULL, err_r);
}

/* ---- messages ------------------------------------------------------------------------------ */

static bool count_message(void *context, const struct message_record *m)
{
    struct plan_user *u = context;

    if (m->state == MESSAGE_SKIPPED) {
        u->skip[m->reason]++;
        return true;
    }
    u->work.send_messages++;
    u->work.send_bytes += m->listed_bytes;
    u->too_large += u->message_bytes_max && m->listed_bytes > u->message_bytes_max;
    if (m->state == MESSAGE_FOUND) {
        u->work.fetch_messages++;
        u->work.fetch_bytes += m->listed_bytes;
    }
    return true;
}

struct folder_ids {
    struct plan_user *u;
    uint32_t *all; /* of folders that are not excluded */
    size_t count, room;
};

static bool count_folder(void *context, const struct folder_record *f)
{
    struct folder_ids *ids = context;
    struct plan_user *u = ids->u;

    u->found += f->tally.found;
    u->move += f->tally.waiting + f->tally.spooled;
    u->done += f->tally.uploaded + f->tally.present;
    if (f->excluded) {
        u->skip[SKIP_EXCLUDED_FOLDER] += f->tally.skipped;
        return true;
    }
    if (ids->count == ids->room) {
        ids->room = ids->room ? ids->room * 2 : 64;
        ids->all = mem_resize(ids->all, ids->room, sizeof *ids->all);
    }
    ids->all[ids->count++] = f->folder;
    return true;
}

static void warn_of_room(struct plan_user *u)
{
    if (u->too_large)
        warn(u, "MessageTooLarge",
             "the target takes messages of %s at most; %s that are to be moved are larger, and it "
             "will refuse them",
             format_bytes(u->message_bytes_max).text, format_count(u->too_large).text);
    if (u->has_free_bytes && u->bytes_move > u->free_bytes)
        warn(u, "QuotaExceeded",
             "%s are to be moved, and the target's quota leaves room for %s: raise it, or what does "
             "not fit stays behind",
             format_bytes(u->bytes_move).text, format_bytes(u->free_bytes).text);
    if (u->has_free_messages && u->move > u->free_messages)
        warn(u, "QuotaExceeded",
             "%s message%s to be moved, and the target's quota leaves room for %s: raise it, or "
             "what does not fit stays behind",
             format_count(u->move).text, u->move == 1 ? " is" : "s are", format_count(u->free_messages).text);
}

static void warn_of_days(const struct plan *plan, struct plan_user *u)
{
    const struct forecast *f = &plan->forecast;

    if (u->days < 2)
        return;
    if (f->day_assumed)
        warn(u, "DailyLimit",
             "Gmail lets about %s of a mailbox be fetched in a day: it takes %u days; set "
             "bytes-per-day = 2500MB under [source], or Gmail locks the mailbox for a while",
             format_bytes(f->source_day_bytes).text, u->days);
    else
        warn(u, "DailyLimit", "bytes-per-day spreads this mailbox over %u days", u->days);
}

/* A mailbox that was not seen, or not all of it. */
static void warn_of_look(const struct plan *plan, struct plan_user *u)
{
    const struct batch_look *look = u->look;
    const char *numbers = u->id && u->found ? "the numbers are those of an earlier look; " : "";
    char line[450];

    if (look->end == BATCH_LOOK_WHOLE)
        return;
    if (look->end == BATCH_LOOK_PART)
        warn(u, look->type, "the inventory is not complete: %s", err_line(&look->err, line, sizeof line));
    else if (look->type[0])
        warn(u, look->type, "not planned: %s; %smailhaul check --user %s tells what to do",
             err_line(&look->err, line, sizeof line), numbers, u->user->email_address);
    else
        warn(u, "NotPlanned", "not planned: %s; %srun plan again",
             plan->why_ended ? plan->why_ended : "it was not its turn", numbers);
}

static void warn_of_user(const struct plan *plan, struct plan_user *u)
{
    warn_of_look(plan, u);
    if (u->move + u->done > MAILBOX_ITEMS_MANY)
        warn(u, "ManyItems", "%s messages; plan several nights for this mailbox", format_count(u->move + u->done).text);
    if (u->skip[SKIP_LARGER_THAN_LIMIT] > plan->settings->policy.large_item_limit)
        warn(u, "TooManyLargeItems",
             "%s message%s larger than the limit; the user will end as Failed unless "
             "max-message-size or large-item-limit is raised",
             format_count(u->skip[SKIP_LARGER_THAN_LIMIT]).text,
             u->skip[SKIP_LARGER_THAN_LIMIT] == 1 ? " is" : "s are");
    warn_of_room(u);
    warn_of_days(plan, u);
    warn_of_the_rest(u);
}

static bool read_user(struct plan *plan, struct plan_user *u, struct err *err_r)
{
    struct folder_ids ids = { .u = u };
    unsigned states = 1u << MESSAGE_SKIPPED | 1u << MESSAGE_FOUND | 1u << MESSAGE_SPOOLED;
    bool ok = u->id == 0 || reader_folders(plan->reader, u->id, count_folder, &ids, err_r);

    for (size_t i = 0; ok && i < ids.count; i++)
        ok = reader_messages(plan->reader, u->id, ids.all[i], states, 0, false, 0, count_message, u, err_r);
    free(ids.all);
    u->bytes_move = u->work.send_bytes;
    plan->unplanned += u->look->end == BATCH_LOOK_NONE;
    u->days = forecast_add(&plan->forecast, &u->work);
    warn_of_user(plan, u);
    return ok;
}

/* ---- rates --------------------------------------------------------------------------------- */

static bool add_sample(void *context, int64_t wall_ms, const uint64_t values[SAMPLE_VALUES])
{
    if (wall_ms >= now_wall_ms() - SAMPLES_OLD_MS)
        sample_rates_add(context, wall_ms, values);
    return true;
}

/* What the last runs' pace controller kept of this target; 0: nothing. */
static double learnt_rate(const struct plan *plan)
{
    struct pace_saved saved;
    char name[LIMITS_NAME_BYTES];
    struct slice value;
    double rate = 0;
    struct err err;

    limits_name(LIMITS_PACE, limits_server_of(&plan->settings->target), 0, name);
    if (spool_meta_get(plan->spool, name, &value, &err) &&
        pace_saved_decode((const uint8_t *)value.data, value.size, &saved))
        rate = pace_saved_rate(&saved, now_wall_ms());
    free((char *)value.data);
    return rate;
}

/* Earlier runs uploaded to another target: their samples say nothing of this one. */
static bool was_elsewhere(const struct plan *plan)
{
    struct limits learnt;
    struct slice value;
    bool elsewhere;
    struct err err;

    elsewhere = spool_meta_get(plan->spool, LIMITS_TARGET, &value, &err) && limits_decode(value, &learnt) &&
                !slice_equal_nocase(slice_cstr(learnt.server), slice_cstr(limits_server_of(&plan->settings->target)));
    free((char *)value.data);
    return elsewhere;
}

/* ---- the whole ----------------------------------------------------------------------------- */

struct finding {
    struct plan *plan;
    struct names_index by_address;
};

static bool find_user(void *context, const struct user_record *record)
{
    struct finding *finding = context;
    size_t at = names_index_find_folded(&finding->by_address, record->address);

    if (at != NAMES_INDEX_NONE) {
        struct plan_user *u = &finding->plan->users[at];

        u->id = record->id;
    }
    return true;
}

bool plan_open(struct plan *plan, struct spool *spool, const struct settings *settings, const struct batch_look *looks,
               const char *why_ended, struct err *err_r)
{
    struct finding finding = { .plan = plan };
    bool ok;

    *plan = (struct plan){ .settings = settings, .spool = spool, .why_ended = why_ended };
    plan->users = mem_zero(settings->user_count, sizeof *plan->users);
    plan->warnings = json_array();
    names_index_init(&finding.by_address);
    for (size_t i = 0; i < settings->user_count; i++) {
        (void)names_index_add_folded(&finding.by_address, slice_cstr(settings->users[i].email_address), i);
        plan->users[i].user = &settings->users[i];
        plan->users[i].look = &looks[i];
        plan->users[i].warnings = json_array();
    }
    ok = reader_create(spool, &plan->reader, err_r) && reader_users(plan->reader, find_user, &finding, err_r);
    names_index_deinit(&finding.by_address);
    return ok;
}

void plan_deinit(struct plan *plan)
{
    for (size_t i = 0; plan->users && i < plan->settings->user_count; i++)
        json_decref(plan->users[i].warnings);
    json_decref(plan->warnings);
    reader_destroy(&plan->reader);
    free(plan->users);
}

static bool read_warnings(struct plan *plan, struct err *err_r)
{
    struct slice text, rest, line;

    if (!spool_meta_get(plan->spool, REPORT_WARNINGS_NAME, &text, err_r))
        return false;
    for (rest = text; slice_split(&rest, '\n', &line);) {
        char *printable = format_printable(line);

        if (line.size)
            json_array_append_new(plan->warnings, json_string(printable));
        free(printable);
    }
    free((char *)text.data);
    return true;
}

bool plan_read(struct plan *plan, struct err *err_r)
{
    struct sample_rates rates = { 0 };
    bool ok = reader_samples(plan->reader, add_sample, &rates, err_r) && read_warnings(plan, err_r);

    sample_rates_end(&rates);
    if (was_elsewhere(plan))
        rates.uploaded = (struct sample_side){ 0 };
    forecast_begin(&plan->forecast, plan->settings, &rates, learnt_rate(plan));
    for (size_t i = 0; ok && i < plan->settings->user_count; i++)
        ok = read_user(plan, &plan->users[i], err_r);
    forecast_end(&plan->forecast);
    return ok;
}
