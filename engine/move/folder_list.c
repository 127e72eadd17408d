#include "engine/move/folder_list.h"

#include "engine/folders/names_parents.h"
#include "engine/folders/names_text.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* A question that ended so many connections is not asked in this way again. */
#define LOSSES_MAX 2u
/* A branch whose name is longer is not gone down: no command could carry it (A5), and no folder
 * below it could be opened. */
#define BRANCH_BYTES_MAX 4000u
#define LEVELS_MAX       250u
/* Hidden parents that are asked for by name. */
#define PARENTS_MAX 500u
/* What a folder takes while its user is at work, in this list and in what is made of it, besides its name, which stands
 * in so many places. */
#define ROW_BYTES 4000u
#define ROW_NAMES 12u
/* Namespaces of others and of all. */
#define FOREIGN_MAX 1000u

static void ask(struct folder_list *r);

void folder_list_init(struct folder_list *r, bool exchange, bool thorough, unsigned status_items)
{
    *r = (struct folder_list){
        .exchange = exchange, .thorough = thorough, .plain = exchange, .status_items = status_items
    };
    names_index_init(&r->raws);
}

static void rows_drop(struct folder_list *r)
{
    for (unsigned i = 0; i < r->count; i++)
        free(r->rows[i].raw);
    r->count = r->inbox = 0;
    r->bytes = 0;
    quota_let_go(&r->held);
    r->cut = false;
    r->looks += r->raws.looks;
    names_index_deinit(&r->raws);
    names_index_init(&r->raws);
}

static void gaps_drop(struct folder_list *r)
{
    for (unsigned i = 0; i < r->gap_count; i++)
        free(r->gaps[i].raw);
    free(r->gaps);
    r->gaps = NULL;
    r->gap_count = 0;
}

void folder_list_deinit(struct folder_list *r)
{
    rows_drop(r);
    gaps_drop(r);
    names_index_deinit(&r->raws);
    free(r->rows);
    free(r->branches);
    settings_list_deinit(&r->parents);
    free(r->prefix);
    settings_list_deinit(&r->foreign);
    *r = (struct folder_list){ 0 };
}

static void gap(struct folder_list *r, const char *raw, const struct err *err)
{
    if (r->gap_count == FOLDER_LIST_GAPS_MAX)
        return;
    r->gaps = mem_resize(r->gaps, r->gap_count + 1u, sizeof *r->gaps);
    r->gaps[r->gap_count++] = (struct folder_list_gap){ .raw = mem_text(raw), .err = *err };
}

/* The server shows more than is kept; words has the bound as %u. */
static void gap_over(struct folder_list *r, const char *words, unsigned bound) __attribute__((format(printf, 2, 0)));

static void gap_over(struct folder_list *r, const char *words, unsigned bound)
{
    struct err err;

    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0, words, bound);
    err_doing(&err, "LIST");
    gap(r, "", &err);
}

static void finish(struct folder_list *r, const struct err *err)
{
    r->source = NULL;
    if (!err) {
        r->looks += r->raws.looks;
        r->raws.looks = 0;
    }
    r->ended(r->context, err);
}

/* ---- rows ---------------------------------------------------------------------------------- */

static void list_row(void *context, const struct imap_list_row *row)
{
    struct folder_list *r = context;
    unsigned unselectable = IMAP_MAILBOX_NOSELECT | IMAP_MAILBOX_NONEXISTENT;
    struct err err;

    if (row->name.size == 0 || r->cut)
        return;
    if (!names_index_add(&r->raws, row->name, r->count)) {
        unsigned *before = &r->rows[names_index_find(&r->raws, row->name)].attributes;

        *before = ((*before | row->attributes) & ~unselectable) | (*before & row->attributes & unselectable);
        return;
    }
    if (r->count == FOLDER_LIST_ROWS_MAX || row->name.size > FOLDER_LIST_BYTES_MAX - r->bytes) {
        r->cut = true;
        err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0,
                "the server lists more than %u folders, or longer names than can be kept; those after \"%.80s\" "
                "are not looked at",
                FOLDER_LIST_ROWS_MAX, r->count ? r->rows[r->count - 1].raw : "");
        err_doing(&err, "LIST");
        gap(r, "", &err);
        return;
    }
    if (r->count == r->room) {
        r->room = r->room ? r->room * 2 : 32;
        r->rows = mem_resize(r->rows, r->room, sizeof *r->rows);
    }
    if (slice_equal_nocase(row->name, SLICE("INBOX")))
        r->inbox = r->count + 1;
    if (!r->delimiter)
        r->delimiter = row->delimiter;
    r->bytes += row->name.size;
    quota_hold_more(&r->held, r->source ? source_memory(r->source) : NULL, ROW_BYTES + ROW_NAMES * row->name.size);
    r->rows[r->count++] = (struct folder_list_row){ .raw = slice_dup(row->name),
                                                    .delimiter = row->delimiter,
                                                    .attributes = row->attributes };
}

struct folder_list_row *folder_list_find(struct folder_list *r, struct slice raw)
{
    size_t at = names_index_find(&r->raws, raw);

    if (at == NAMES_INDEX_NONE && r->inbox && slice_equal_nocase(raw, SLICE("INBOX")))
        at = r->inbox - 1;
    return at == NAMES_INDEX_NONE ? NULL : &r->rows[at];
}

static void list_status(void *context, struct slice name, const struct imap_status *status)
{
    struct folder_list_row *row = folder_list_find(context, name);

    if (row)
        row->status = *status;
}

struct names_source *folder_list_sources(const struct folder_list *r)
{
    struct names_source *all = mem_zero(r->count, sizeof *all);

    for (unsigned i = 0; i < r->count; i++) {
        all[i].raw = mem_text(r->rows[i].raw);
        all[i].delimiter = r->rows[i].delimiter;
        all[i].attributes = r->rows[i].attributes;
    }
    return all;
}

struct names_target *folder_list_targets(const struct folder_list *r)
{
    struct names_target *all = mem_zero(r->count, sizeof *all);

    for (unsigned i = 0; i < r->count; i++)
        all[i] = (struct names_target){ r->rows[i].raw, r->rows[i].delimiter, r->rows[i].attributes };
    return all;
}

/* ---- branches ------------------------------------------------------------------------------ */

/* Whether something may lie below. \HasNoChildren is not believed (N06). */
static bool can_branch(const struct folder_list_row *row)
{
    unsigned levels = 0;

    if (!row->delimiter || (row->attributes & IMAP_MAILBOX_NOINFERIORS) || strlen(row->raw) > BRANCH_BYTES_MAX)
        return false;
    for (const char *at = row->raw; *at; at++)
        levels += *at == row->delimiter;
    return levels < LEVELS_MAX;
}

/* "A" and its delimiter: what the names of those below begin with; malloc'ed. */
static char *below(const struct folder_list_row *row)
{
    size_t size = strlen(row->raw);
    bool ends = size && row->raw[size - 1] == row->delimiter;

    return ends ? mem_text(row->raw) : mem_format("%s%c", row->raw, row->delimiter);
}

/* The name of the row above with its delimiter, "A/" of "A/b" and of "A/b/"; empty: it lies at the top. */
static struct slice above(const struct folder_list_row *row)
{
    struct slice rest = slice_cstr(row->raw);

    while (row->delimiter && rest.size && rest.data[rest.size - 1] == row->delimiter)
        rest.size--;
    while (row->delimiter && rest.size && rest.data[rest.size - 1] != row->delimiter)
        rest.size--;
    return rest;
}

/* Whether what lies above row i was looked for with the row before. Servers show the children of one folder one
 * after the other: without this, one name would be looked up for each of 100,000 of them, and where that name
 * stands badly in the table, that is work for each. */
static bool is_sibling(const struct folder_list *r, unsigned i)
{
    return i > 0 && r->rows[i].delimiter == r->rows[i - 1].delimiter &&
           slice_equal(above(&r->rows[i]), above(&r->rows[i - 1]));
}

/* Rows that say they have children, of which none was shown: the list was cut short, or they are
 * hidden. Only those that came since the last look. */
static void find_barren(struct folder_list *r)
{
    bool *fruitful = mem_zero(r->count, sizeof *fruitful);
    unsigned from = r->barren_sought;

    for (unsigned i = 0; i < r->count; i++) {
        struct slice rest = above(&r->rows[i]);
        size_t parent;

        if (rest.size < 2 || is_sibling(r, i))
            continue;
        /* As "A/" or as "A"; where the parent itself is not shown, nothing says that it has some.
         */
        parent = names_index_find(&r->raws, rest);
        if (parent == NAMES_INDEX_NONE) {
            struct folder_list_row *found = folder_list_find(r, slice_first(rest, rest.size - 1));

            if (!found)
                continue;
            parent = (size_t)(found - r->rows);
        }
        fruitful[parent] = true;
    }
    for (unsigned i = from; i < r->count; i++) {
        unsigned says = r->rows[i].attributes;

        if (fruitful[i] || !(says & IMAP_MAILBOX_HAS_CHILDREN) || (says & IMAP_MAILBOX_HAS_NO_CHILDREN) ||
            !can_branch(&r->rows[i]))
            continue;
        r->branches = mem_resize(r->branches, r->branch_count + 1u, sizeof *r->branches);
        r->branches[r->branch_count++] = i;
    }
    r->barren_sought = r->count;
    free(fruitful);
}

/* The row whose branch is next; NULL: the top (DESCENT), or none is left (*over_r). */
static const struct folder_list_row *branch_next(struct folder_list *r, bool *over_r)
{
    *over_r = false;
    if (r->shape == FOLDER_LIST_REPAIR) {
        if (r->at == r->branch_count && r->count > r->barren_sought)
            find_barren(r);
        *over_r = r->at == r->branch_count;
        return *over_r ? NULL : &r->rows[r->branches[r->at]];
    }
    /* The rows grow under way; place 0 is the top. */
    while (r->at > 0 && r->at <= r->count && !can_branch(&r->rows[r->at - 1]))
        r->at++;
    *over_r = r->at > r->count;
    return r->at == 0 || *over_r ? NULL : &r->rows[r->at - 1];
}

static void branch_failed(struct folder_list *r, const struct err *err)
{
    bool over;
    const struct folder_list_row *row = branch_next(r, &over);

    log_line(LOG_WARN, "folders.branch", "below=%s server_text=%s", row ? row->raw : "", err->server_text);
    gap(r, row ? row->raw : "", err);
    r->at++;
    r->losses = 0;
}

/* ---- asking -------------------------------------------------------------------------------- */

static void begin(struct folder_list *r, int shape)
{
    r->shape = shape;
    r->at = r->asks = r->losses = 0;
    ask(r);
}

static void listed(struct folder_list *r)
{
    struct imap_list_row inbox = { .name = SLICE("INBOX") };

    if (r->foreign_cut)
        gap_over(r,
                 "the server tells more than %u namespaces of others; folders in the rest are taken for the "
                 "user's own",
                 FOREIGN_MAX);
    r->inbox_supposed = !r->inbox;
    if (r->inbox_supposed)
        list_row(r, &inbox);
    finish(r, NULL);
}

/* ---- parents that are not shown ------------------------------------------------------------ */

static void except_namespace(struct names_index *asked, const char *prefix)
{
    if (prefix && prefix[0])
        (void)names_index_add(asked, slice_first(slice_cstr(prefix), strlen(prefix) - 1), 0);
}

static void find_parents(struct folder_list *r)
{
    struct names_index asked;
    bool all = true;

    names_index_init(&asked);
    settings_list_deinit(&r->parents);
    /* What a namespace begins with holds no mail; what lies above the user's own may. */
    if (r->prefix)
        all = names_parents_missing(&r->raws, slice_cstr(r->prefix), r->delimiter, &asked, PARENTS_MAX, &r->parents);
    except_namespace(&asked, r->prefix);
    for (size_t i = 0; i < r->foreign.count; i++)
        except_namespace(&asked, r->foreign.items[i]);
    for (unsigned i = 0; i < r->count && all; i++)
        if (!is_sibling(r, i))
            all = names_parents_missing(&r->raws, slice_cstr(r->rows[i].raw),
                                        r->rows[i].delimiter ? r->rows[i].delimiter : r->delimiter, &asked, PARENTS_MAX,
                                        &r->parents);
    names_index_deinit(&asked);
    if (!all)
        gap_over(r, "more than %u folders that lie above others are not shown; only so many are asked for",
                 PARENTS_MAX);
    r->by_status = false;
}

static const char *parent_at(const struct folder_list *r)
{
    return r->at < r->parents.count ? r->parents.items[r->at] : NULL;
}

/* Shown or not: it has been asked for in every way there is. */
static void parent_next(struct folder_list *r)
{
    r->at++;
    r->losses = 0;
    r->by_status = false;
}

static void parent_ended(struct folder_list *r)
{
    if (!r->by_status && !folder_list_find(r, slice_cstr(parent_at(r))))
        r->by_status = true;
    else
        parent_next(r);
    ask(r);
}

static void parent_status(void *context, const struct imap_status *status)
{
    struct folder_list *r = context;
    struct imap_list_row row = { .name = slice_cstr(parent_at(r)), .delimiter = r->delimiter };

    list_row(r, &row);
    list_status(r, row.name, status);
}

static void whole_ended(struct folder_list *r, const struct err *err)
{
    if (!r->plain && (err || !r->inbox)) {
        rows_drop(r);
        gaps_drop(r);
        r->plain = true;
        ask(r);
    } else if (err || r->count == 0) {
        begin(r, FOLDER_LIST_DESCENT);
    } else if (r->thorough && !r->cut) {
        free(r->branches);
        r->branches = NULL;
        r->branch_count = r->barren_sought = 0;
        begin(r, FOLDER_LIST_REPAIR);
    } else {
        listed(r);
    }
}

static void branch_ended(struct folder_list *r, const struct err *err)
{
    if (!err) {
        r->at++;
        r->losses = 0;
        ask(r);
    } else if (r->shape == FOLDER_LIST_DESCENT && r->at == 0) {
        finish(r, err); /* not even the top: that is the server's last word */
    } else {
        branch_failed(r, err);
        ask(r);
    }
}

/* The connection went: by chance, or for this very question. */
static void lost(struct folder_list *r, const struct err *err)
{
    if (++r->losses < LOSSES_MAX)
        return;
    if (r->shape == FOLDER_LIST_WHOLE) {
        r->shape = FOLDER_LIST_DESCENT;
        r->at = r->asks = r->losses = 0;
    } else if (r->shape == FOLDER_LIST_PARENTS) {
        parent_next(r);
    } else if (r->at > 0 || r->shape == FOLDER_LIST_REPAIR) {
        branch_failed(r, err);
    }
}

static void list_ended(void *context, const struct err *err)
{
    struct folder_list *r = context;

    if (err && !r->usable(r->context)) {
        if (err->class != ERR_CLASS_CANCELED)
            lost(r, err);
        finish(r, err);
    } else if (err && (err->class == ERR_CLASS_THROTTLED || err->scope >= ERR_SCOPE_SESSION)) {
        finish(r, err);
    } else if (!r->usable(r->context)) {
        struct err gone;

        err_set(&gone, ERR_CLASS_CANCELED, ERR_SCOPE_SESSION, ERR_ORIGIN_OS, 0, "the connection is being closed");
        finish(r, &gone);
    } else if (r->shape == FOLDER_LIST_WHOLE) {
        whole_ended(r, err);
    } else if (r->shape == FOLDER_LIST_PARENTS) {
        parent_ended(r);
    } else {
        branch_ended(r, err);
    }
}

static enum session_list_form form_of(const struct folder_list *r)
{
    return r->plain ? SESSION_LIST_PLAIN : r->source->traits.list_form;
}

static void ask_parent(struct folder_list *r)
{
    const char *raw = parent_at(r);

    if (!raw || r->cut)
        listed(r);
    else if (r->by_status)
        source_status(r->source, slice_cstr(raw), r->status_items | IMAP_STATUS_MESSAGES, parent_status, list_ended, r);
    else
        source_list(r->source, form_of(r), slice_cstr(raw), 0, list_row, NULL, list_ended, r);
}

static void ask(struct folder_list *r)
{
    const struct folder_list_row *row;
    char *start, *pattern = NULL;
    bool over = false;
    struct err err;

    if (r->shape == FOLDER_LIST_PARENTS) {
        ask_parent(r);
        return;
    }
    if (r->shape != FOLDER_LIST_WHOLE) {
        row = branch_next(r, &over);
        if (!over && r->asks == FOLDER_LIST_ASKS_MAX) {
            err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_PROTOCOL, 0,
                    "the server must be asked level by level, and after %u questions there are "
                    "folders left",
                    FOLDER_LIST_ASKS_MAX);
            err_doing(&err, "LIST");
            gap(r, "", &err);
            over = true;
        }
        if (over && r->thorough && !r->cut) {
            find_parents(r);
            begin(r, FOLDER_LIST_PARENTS);
            return;
        }
        if (over || r->cut) {
            listed(r);
            return;
        }
        r->asks++;
        start = row ? below(row) : mem_text("");
        pattern = mem_format("%s%%", start);
        free(start);
    }
    source_list(r->source, form_of(r), slice_cstr(pattern ? pattern : "*"), r->status_items, list_row,
                r->status_items ? list_status : NULL, list_ended, r);
    free(pattern);
}

static void namespace_row(void *context, const struct session_namespace *ns)
{
    struct folder_list *r = context;

    if (ns->kind != SESSION_NAMESPACE_PERSONAL) {
        /* No name that is kept begins with a longer one. */
        if (ns->prefix.size > NAMES_KEPT_BYTES_MAX)
            return;
        if (r->foreign.count == FOREIGN_MAX)
            r->foreign_cut = true;
        else
            settings_list_add(&r->foreign, ns->prefix);
    } else if (!r->prefix) {
        r->prefix = slice_dup(ns->prefix);
        r->delimiter = ns->delimiter;
    }
}

static void namespaces_ended(void *context, const struct err *err)
{
    struct folder_list *r = context;

    if (err && !r->usable(r->context)) {
        r->no_namespaces |= err->class != ERR_CLASS_CANCELED;
        finish(r, err);
    } else if (err && (err->scope >= ERR_SCOPE_SESSION || err->class == ERR_CLASS_THROTTLED)) {
        finish(r, err);
    } else {
        ask(r); /* refused or broken: names are taken as they are */
    }
}

void folder_list_ask(struct folder_list *r, struct source *source, bool (*usable)(void *context),
                     void (*ended)(void *context, const struct err *err), void *context)
{
    r->source = source;
    r->usable = usable;
    r->ended = ended;
    r->context = context;
    if (r->shape == FOLDER_LIST_WHOLE) {
        rows_drop(r);
        gaps_drop(r);
        r->plain = r->exchange;
    }
    free(r->prefix);
    r->prefix = NULL;
    r->delimiter = '\0';
    settings_list_deinit(&r->foreign);
    r->foreign_cut = false;
    if (r->no_namespaces)
        ask(r);
    else
        source_namespaces(source, namespace_row, namespaces_ended, r);
}
