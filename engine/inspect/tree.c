#include "engine/inspect/tree.h"

#include "engine/failure/trouble.h"
#include "engine/folders/names_text.h"
#include "engine/move/folder_list.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PROBLEMS_MAX 10000u

struct reading {
    struct loop *loop;
    const struct visit_house *house;
    const struct settings_user *user;
    struct tree *tree;
    struct visit *visits[SIDE_COUNT];
    unsigned open; /* visits that are not over */
    /* of each side */
    struct folder_list folder_lists[SIDE_COUNT];
    bool listed[SIDE_COUNT], settled[SIDE_COUNT]; /* settled: listed, or will never be */
    bool mapped;
    unsigned at; /* folder that is read */
    bool bare;   /* by its name without the delimiter at its end */
    bool failed;
    char type[TREE_TYPE_BYTES];
    struct err err;
};

static void go_on(struct reading *r);

static void problem(struct reading *r, unsigned folder, const char *type, const char *text, const char *remedy)
{
    struct tree *t = r->tree;
    struct tree_problem *p;

    if (t->problem_count == PROBLEMS_MAX)
        return;
    t->problems = mem_resize(t->problems, t->problem_count + 1u, sizeof *t->problems);
    p = &t->problems[t->problem_count++];
    p->folder = folder;
    snprintf(p->type, sizeof p->type, "%s", type);
    snprintf(p->text, sizeof p->text, "%s", text);
    snprintf(p->remedy, sizeof p->remedy, "%s", remedy);
}

static void names_told(void *context, size_t index, const char *type, const char *text, const char *remedy)
{
    problem(context, (unsigned)index, type, text, remedy);
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* A question to one side, and the connection that it went to. */
struct asking {
    struct reading *reading;
    enum side side;
    struct source *source;
};

static struct asking *asking_of(struct reading *r, enum side side)
{
    struct asking *a = mem_zero(1, sizeof *a);

    a->reading = r;
    a->side = side;
    a->source = visit_source(r->visits[side]);
    return a;
}

/* The connection is another one by now, or none: `ready` begins again. */
static bool is_stale(const struct asking *a)
{
    const struct visit *v = a->reading->visits[a->side];

    return !v || !visit_is_ready(v) || visit_source(a->reading->visits[a->side]) != a->source;
}

static bool usable(void *context)
{
    return !is_stale(context);
}

static void folder_list_ready(void *context, const struct err *err)
{
    struct asking *a = context;
    struct reading *r = a->reading;
    enum side side = a->side;
    bool stale = is_stale(a);

    free(a);
    if (stale)
        return;
    if (err) {
        visit_failed(r->visits[side], TROUBLE_LIST, err);
        return;
    }
    visit_went_well(r->visits[side]);
    r->listed[side] = r->settled[side] = true;
    if (side == SIDE_TARGET)
        visit_end(r->visits[side]);
    go_on(r);
}

/* ---- what each folder holds -------------------------------------------------------------------
 */

static void examine_next(struct reading *r);

static void size_row(void *context, const struct imap_message_row *row)
{
    struct asking *a = context;
    struct tree_folder *f = &a->reading->tree->folders[a->reading->at];

    f->messages++;
    f->bytes += row->size_bytes;
    if (row->size_bytes > f->largest_bytes)
        f->largest_bytes = row->size_bytes;
}

static void folder_failed(struct reading *r, const struct err *err)
{
    char text[256];

    snprintf(text, sizeof text, "the server does not open it: %.180s", err->server_text);
    problem(r, r->at, trouble_type(TROUBLE_SELECT, FAILURE_SOURCE, err), text,
            "look into the server's log at this minute; the rest of the mailbox moves all the same");
}

static void sizes_ended(void *context, const struct err *err)
{
    struct asking *a = context;
    struct reading *r = a->reading;
    bool stale = is_stale(a);

    free(a);
    if (stale)
        return;
    if (err && err->class == ERR_CLASS_THROTTLED) {
        visit_failed(r->visits[SIDE_SOURCE], TROUBLE_FETCH, err);
        return;
    }
    if (err)
        folder_failed(r, err);
    visit_went_well(r->visits[SIDE_SOURCE]);
    r->at++;
    examine_next(r);
}

static void examined(void *context, const struct imap_selected *selected)
{
    struct asking *a = context;

    a->reading->tree->folders[a->reading->at].messages = selected->status.messages;
}

static void examine(struct reading *r, struct slice name);

static struct slice bare_name(const struct tree_folder *f)
{
    return names_bare(slice_cstr(f->names.raw), f->names.delimiter);
}

static void examine_ended(void *context, const struct err *err)
{
    struct asking *a = context;
    struct reading *r = a->reading;
    struct tree_folder *f = &r->tree->folders[r->at];

    if (err && !is_stale(a) && !r->bare && trouble_is_about_name(err) && bare_name(f).size) {
        free(a);
        r->bare = true;
        examine(r, bare_name(f));
        return;
    }
    if (!err && r->bare && !is_stale(a))
        problem(r, r->at, "TrailingDelimiter", "the server lists it with its delimiter at the end and opens it without",
                "nothing to do");
    if (!is_stale(a) && !err && f->messages > 0) {
        f->messages = f->bytes = f->largest_bytes = 0;
        source_rows(a->source, SLICE("1:*"), SLICE(""), size_row, sizes_ended, a);
        return;
    }
    sizes_ended(a, err);
}

static void examine(struct reading *r, struct slice name)
{
    source_open(visit_source(r->visits[SIDE_SOURCE]), name, true, examined, examine_ended, asking_of(r, SIDE_SOURCE));
}

static void examine_next(struct reading *r)
{
    while (r->at < r->tree->count && !r->tree->folders[r->at].names.selectable)
        r->at++;
    if (r->at == r->tree->count) {
        visit_end(r->visits[SIDE_SOURCE]);
        return;
    }
    r->bare = false;
    examine(r, slice_cstr(r->tree->folders[r->at].names.raw));
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static void see_odd_names(struct reading *r, const struct names_source *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct names_source *row = &rows[i];

        if (names_bare(slice_cstr(row->raw), row->delimiter).size)
            problem(r, i, "InvalidMailboxName",
                    "the server lists it with its delimiter at the end, and may refuse to open it",
                    "rename or delete it at the source, or exclude it");
        if (row->outside)
            problem(r, i, "NotOwned", "it lies outside the user's own mailbox (UserRoot, or the namespace of others)",
                    "nothing, if it is not this user's mail; else look at UserRoot in users.csv");
        else if (row->attributes & (IMAP_MAILBOX_NOSELECT | IMAP_MAILBOX_NONEXISTENT))
            problem(r, i, "NotSelectable", "it holds no mail itself, only folders below it",
                    "nothing: it is made on the target where a folder below it needs it");
    }
}

static void see_gaps(struct reading *r)
{
    struct folder_list *folder_list = &r->folder_lists[SIDE_SOURCE];

    for (unsigned i = 0; i < folder_list->gap_count; i++) {
        const struct folder_list_row *row = folder_list_find(folder_list, slice_cstr(folder_list->gaps[i].raw));
        char line[200], text[256];

        snprintf(text, sizeof text, "what lies below is not known: %.200s",
                 err_line(&folder_list->gaps[i].err, line, sizeof line));
        /* One that is about no folder of its own stands beside the first. */
        problem(r, row ? (unsigned)(row - folder_list->rows) : 0, "FolderListIncomplete", text,
                "look at this folder in webmail: a link to what is gone is best removed; then run "
                "again");
    }
}

static void map(struct reading *r)
{
    const struct folder_list *source = &r->folder_lists[SIDE_SOURCE], *target = &r->folder_lists[SIDE_TARGET];
    struct names_rules rules = {
        .settings = r->house->settings,
        .user = r->user,
        .source_prefix = source->prefix ? source->prefix : "",
        .target_prefix = target->prefix ? target->prefix : "",
        .source_foreign = &source->foreign,
        .target_delimiter = r->listed[SIDE_TARGET] ? target->delimiter : '/',
        .exchange = r->house->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE,
    };
    unsigned count = source->count;
    struct names_source *rows = folder_list_sources(source);
    struct names_target *targets = folder_list_targets(target);
    struct tree *t = r->tree;

    names_describe(rows, count, &rules, names_told, r);
    names_map(rows, count, targets, r->listed[SIDE_TARGET] ? target->count : 0, &rules, names_told, r);
    see_odd_names(r, rows, count);
    see_gaps(r);
    t->target_known = r->listed[SIDE_TARGET];
    t->folders = mem_zero(count, sizeof *t->folders);
    for (unsigned i = 0; i < count; i++)
        t->folders[i].names = rows[i];
    t->count = count;
    free(rows);
    free(targets);
    r->mapped = true;
}

static void go_on(struct reading *r)
{
    if (!r->settled[SIDE_SOURCE] || !r->settled[SIDE_TARGET] || r->failed)
        return;
    if (!r->mapped)
        map(r);
    if (visit_is_ready(r->visits[SIDE_SOURCE]))
        examine_next(r);
}

static void ready(struct reading *r, enum side side)
{
    if (!r->listed[side]) {
        folder_list_ask(&r->folder_lists[side], visit_source(r->visits[side]), usable, folder_list_ready,
                        asking_of(r, side));
    } else {
        go_on(r);
    }
}

static void source_ready(void *context)
{
    ready(context, SIDE_SOURCE);
}

static void target_ready(void *context)
{
    ready(context, SIDE_TARGET);
}

static void over(struct reading *r, enum side side)
{
    r->visits[side] = NULL;
    if (--r->open == 0)
        loop_stop(r->loop);
}

static void source_over(void *context, const struct err *err, const char *type)
{
    struct reading *r = context;

    if (err) {
        r->failed = true;
        snprintf(r->type, sizeof r->type, "%s", type); /* it goes with the visit */
        r->err = *err;
        if (r->visits[SIDE_TARGET])
            visit_end(r->visits[SIDE_TARGET]);
    }
    over(r, SIDE_SOURCE);
}

static void target_over(void *context, const struct err *err, const char *type)
{
    struct reading *r = context;

    (void)type;
    if (err)
        r->tree->target_err = *err;
    over(r, SIDE_TARGET);
    if (!r->settled[SIDE_TARGET]) {
        r->settled[SIDE_TARGET] = true;
        go_on(r);
    }
}

static const struct visit_events events[SIDE_COUNT] = {
    [SIDE_SOURCE] = { .ready = source_ready, .over = source_over },
    [SIDE_TARGET] = { .ready = target_ready, .over = target_over },
};

bool tree_read(const struct visit_house *house, const struct settings_user *user, bool with_target, struct tree *tree_r,
               char type_r[TREE_TYPE_BYTES], struct err *err_r)
{
    struct reading r = { .house = house, .user = user, .tree = tree_r };
    struct visits *visits;

    *tree_r = (struct tree){ 0 };
    type_r[0] = '\0';
    if (!loop_create(&r.loop, err_r))
        return false;
    folder_list_init(&r.folder_lists[SIDE_SOURCE], false, true, 0);
    folder_list_init(&r.folder_lists[SIDE_TARGET], house->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE,
                     false, 0);
    visits = visits_create(house, r.loop);
    r.settled[SIDE_TARGET] = !with_target;
    r.open = with_target ? 2 : 1;
    r.visits[SIDE_SOURCE] = visit_start(visits, SIDE_SOURCE, user, &events[SIDE_SOURCE], &r);
    if (with_target)
        r.visits[SIDE_TARGET] = visit_start(visits, SIDE_TARGET, user, &events[SIDE_TARGET], &r);
    loop_run(r.loop);
    visits_destroy(&visits);
    loop_destroy(&r.loop);
    folder_list_deinit(&r.folder_lists[SIDE_SOURCE]);
    folder_list_deinit(&r.folder_lists[SIDE_TARGET]);
    if (r.failed) {
        snprintf(type_r, TREE_TYPE_BYTES, "%s", r.type);
        *err_r = r.err;
        return false;
    }
    return true;
}

void tree_deinit(struct tree *tree)
{
    for (unsigned i = 0; i < tree->count; i++)
        names_source_deinit(&tree->folders[i].names);
    free(tree->folders);
    free(tree->problems);
    *tree = (struct tree){ 0 };
}
