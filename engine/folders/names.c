#include "engine/folders/names.h"

#include "engine/folders/names_index.h"
#include "engine/folders/names_match.h"
#include "engine/folders/names_text.h"
#include "engine/folders/roles.h"
#include "engine/imap/utf7.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

void names_source_deinit(struct names_source *row)
{
    free(row->raw);
    free(row->name);
    free(row->target_raw);
    free(row->target_name);
    *row = (struct names_source){ 0 };
}

/* ---- whose it is --------------------------------------------------------------------------- */

/* A name as it is compared with a root: without delimiters at its ends, '/' as the delimiter. */
static char *root_text(struct slice text, char delimiter)
{
    char *copy;

    while (text.size && (text.data[0] == '/' || (delimiter && text.data[0] == delimiter)))
        text = slice_from(text, 1);
    while (text.size && (text.data[text.size - 1] == '/' || (delimiter && text.data[text.size - 1] == delimiter)))
        text = slice_first(text, text.size - 1);
    copy = slice_dup(text);
    for (char *at = copy; delimiter && *at; at++)
        if (*at == delimiter)
            *at = '/';
    return copy;
}

/* INBOX is INBOX in any case (RFC 9051 5.1); all else is compared byte by byte. */
static bool same_start(const char *name, const char *root, size_t size)
{
    size_t inbox = size >= 5 && (size == 5 || root[5] == '/') ? 5 : 0;

    return slice_starts_nocase(slice_cstr(name), slice_of(root, inbox)) && strlen(name) >= size &&
           memcmp(name + inbox, root + inbox, size - inbox) == 0;
}

enum place { PLACE_OUTSIDE, PLACE_ROOT, PLACE_WITHIN };

/* Where a raw name lies as to the user's root; *rest_r: what is below it. */
static enum place place_in_root(struct slice raw, struct slice user_root, char delimiter, struct slice *rest_r)
{
    char *name = root_text(raw, delimiter), *root = root_text(user_root, delimiter);
    size_t size = strlen(root);
    enum place place = PLACE_OUTSIDE;

    if (size == 0) {
        place = PLACE_WITHIN;
        *rest_r = raw;
    } else if (same_start(name, root, size)) {
        if (name[size] == '\0') {
            place = PLACE_ROOT;
        } else if (name[size] == '/') {
            /* Delimiters at the front of raw are not in name. */
            size_t front = 0;

            while (front < raw.size && (raw.data[front] == '/' || (delimiter && raw.data[front] == delimiter)))
                front++;
            place = PLACE_WITHIN;
            *rest_r = slice_from(raw, front + size + 1);
        }
    }
    free(name);
    free(root);
    return place;
}

static bool is_foreign(const struct settings_list *foreign, struct slice raw, char delimiter)
{
    for (size_t i = 0; foreign && i < foreign->count; i++) {
        struct slice prefix = slice_cstr(foreign->items[i]);

        if (prefix.size == 0)
            continue;
        if (slice_starts(raw, prefix))
            return true;
        /* The namespace itself is listed without its delimiter. */
        if (delimiter && prefix.data[prefix.size - 1] == delimiter &&
            slice_equal(raw, slice_first(prefix, prefix.size - 1)))
            return true;
    }
    return false;
}

/* ---- describing ---------------------------------------------------------------------------- */

struct describing {
    struct names_source *rows;
    size_t count;
    const struct names_rules *rules;
    names_tell *tell;
    void *context;
    char *root_raw;           /* the user's root as IMAP writes it; NULL without a root */
    struct names_index raws;  /* raw -> row */
    struct names_index names; /* name -> row, only of those that are not outside */
    size_t *order;            /* parents before children */
};

/* A parent's name is the beginning of its children's. */
static int order_of(const void *a, const void *b, void *context)
{
    const struct names_source *rows = context, *x = &rows[*(const size_t *)a], *y = &rows[*(const size_t *)b];
    int order = strcmp(x->name, y->name);

    return order ? order : strcmp(x->raw, y->raw);
}

/* Fills name and selectable of one row by itself. */
static void see(struct describing *d, size_t i)
{
    const struct names_rules *rules = d->rules;
    struct names_source *r = &d->rows[i];
    struct slice raw = slice_cstr(r->raw), inside, rest;
    const char *root = rules->user->user_root;
    enum place place = PLACE_WITHIN;
    char *name;

    r->selectable = !(r->attributes & (IMAP_MAILBOX_NOSELECT | IMAP_MAILBOX_NONEXISTENT));
    inside = names_without_prefix(raw, rules->source_prefix, r->delimiter);
    if (d->root_raw) {
        rest = inside;
        place = place_in_root(raw, slice_cstr(root), r->delimiter, &rest);
        if (place == PLACE_OUTSIDE)
            place = place_in_root(inside, slice_cstr(root), r->delimiter, &rest);
        if (place == PLACE_OUTSIDE)
            place = place_in_root(raw, slice_cstr(d->root_raw), r->delimiter, &rest);
        if (place == PLACE_OUTSIDE)
            place = place_in_root(inside, slice_cstr(d->root_raw), r->delimiter, &rest);
        inside = rest;
    } else if (is_foreign(rules->source_foreign, raw, r->delimiter)) {
        place = PLACE_OUTSIDE;
    }
    r->outside = place == PLACE_OUTSIDE;
    /* The root stands for the mailbox itself, as `user.anna` does for an administrator of Cyrus.
     * XLIST shows INBOX by a name in the user's language. */
    if (place == PLACE_ROOT ||
        (place == PLACE_WITHIN && (slice_equal_nocase(raw, SLICE("INBOX")) || (r->attributes & IMAP_MAILBOX_INBOX)))) {
        name = mem_text("INBOX");
    } else {
        name = names_display(inside, r->delimiter);
        /* At the first level INBOX is INBOX in any case (RFC 9051 5.1). */
        if (slice_starts_nocase(slice_cstr(name), SLICE("INBOX/")))
            memcpy(name, "INBOX", 5);
    }
    free(r->name);
    r->name = name;
    r->role[0] = '\0';
    r->excluded = false;
    if (r->outside)
        r->selectable = false;
    if (r->selectable && raw.size > NAMES_KEPT_BYTES_MAX) {
        r->selectable = false;
        d->tell(d->context, i, "NamesLeftOut", "its name is longer than 4,000 bytes, which cannot be asked for",
                "give it a shorter name at the source");
    }
    if (name[0] == '\0')
        r->selectable = false; /* the delimiter itself, or nothing (quirk N26) */
}

/* One folder listed twice is read once: the same row again, or with its delimiter at the end and
 * without (error C1). */
static void see_twice(struct describing *d)
{
    for (size_t i = 0; i < d->count; i++) {
        struct names_source *r = &d->rows[i], *first;

        if (r->outside || names_index_add(&d->raws, slice_cstr(r->raw), i))
            continue;
        first = &d->rows[names_index_find(&d->raws, slice_cstr(r->raw))];
        first->attributes |= r->attributes & ~(unsigned)(IMAP_MAILBOX_NOSELECT | IMAP_MAILBOX_NONEXISTENT);
        /* With the delimiter that leaves a name of it. */
        if (first->name[0] == '\0') {
            char *nothing = first->name;

            first->name = r->name;
            first->delimiter = r->delimiter;
            r->name = nothing;
        }
        first->selectable |= r->selectable;
        r->selectable = false;
    }
    for (size_t i = 0; i < d->count; i++) {
        struct names_source *r = &d->rows[i];
        struct slice bare = slice_cstr(r->raw);
        size_t other;

        while (r->delimiter && bare.size > 1 && bare.data[bare.size - 1] == r->delimiter)
            bare.size--;
        if (!r->selectable || bare.size == strlen(r->raw))
            continue;
        other = names_index_find(&d->raws, bare);
        if (other == NAMES_INDEX_NONE || !d->rows[other].selectable)
            continue;
        r->selectable = false;
        d->tell(d->context, i, "InvalidMailboxName",
                "the server lists this folder twice, with its delimiter at the end and without; it "
                "is read once, without",
                "nothing to do; to be rid of the second row, look at the server's mail store");
    }
}

/* How good a row's claim to be INBOX is; 0: none. */
static unsigned inbox_claim(const struct describing *d, size_t i)
{
    const struct names_source *r = &d->rows[i];

    if (r->outside || !slice_equal_nocase(slice_cstr(r->name), SLICE("INBOX")))
        return 0;
    if (strcmp(r->raw, "INBOX") == 0)
        return 5;
    if (slice_equal_nocase(slice_cstr(r->raw), SLICE("INBOX")))
        return 4;
    if (r->attributes & IMAP_MAILBOX_INBOX)
        return 3;
    return strcmp(r->name, "INBOX") == 0 && r->selectable ? 2 : 1;
}

/* One row is INBOX. Another spelling of it is the same mailbox; a folder that is called so within a
 * namespace ("INBOX.inbox") is not, and gets a place below. */
static void see_inboxes(struct describing *d)
{
    size_t best = SIZE_MAX;
    unsigned most = 0;

    for (size_t i = 0; i < d->count; i++) {
        unsigned claim = inbox_claim(d, i);

        if (claim > most || (claim && claim == most && strcmp(d->rows[i].raw, d->rows[best].raw) < 0)) {
            most = claim;
            best = i;
        }
    }
    for (size_t i = 0; i < d->count; i++) {
        struct names_source *r = &d->rows[i];
        unsigned claim = inbox_claim(d, i);
        char *name;

        if (claim == 0)
            continue;
        if (i == best) {
            memcpy(r->name, "INBOX", 5);
        } else if (claim >= 3) {
            if (r->selectable)
                d->tell(d->context, i, "MultipleRoots",
                        "it is INBOX in another spelling; its mail is read once, as INBOX", "nothing to do");
            r->selectable = false;
        } else {
            name = mem_format("INBOX/%s", r->name);
            free(r->name);
            r->name = name;
        }
    }
}

/* A role belongs to one folder: the one with the attribute, else the one whose name has the better
 * claim; so it does not depend on the order in which the server lists them. */
static bool has_better_claim(const struct names_source *a, const struct names_source *b)
{
    bool x = roles_by_attribute(a->attributes), y = roles_by_attribute(b->attributes);
    unsigned m, n;
    int order;

    if (x != y)
        return x;
    m = roles_rank(a->name);
    n = roles_rank(b->name);
    if (m != n)
        return m < n;
    order = strcmp(a->name, b->name);
    return order ? order < 0 : strcmp(a->raw, b->raw) < 0;
}

static void give_roles(struct describing *d)
{
    size_t holder[ROLES_COUNT];

    for (unsigned role = 0; role < ROLES_COUNT; role++)
        holder[role] = SIZE_MAX;
    for (size_t i = 0; i < d->count; i++) {
        struct names_source *r = &d->rows[i];
        enum role role;

        if (!r->selectable)
            continue;
        role = roles_of_word(roles_find(r->attributes & ~(unsigned)IMAP_MAILBOX_INBOX, r->name));
        if (role != ROLE_NONE && (holder[role] == SIZE_MAX || has_better_claim(r, &d->rows[holder[role]])))
            holder[role] = i;
    }
    for (unsigned role = 0; role < ROLES_COUNT; role++)
        if (holder[role] != SIZE_MAX)
            snprintf(d->rows[holder[role]].role, sizeof d->rows->role, "%s", roles_words[role].word);
}

/* ---- policy -------------------------------------------------------------------------------- */

static unsigned own_role_bits(const struct names_source *r)
{
    enum role role = roles_of_word(r->role);

    /* Where nobody has the role by right, "#Calendar#" means the folder of that name. */
    if (role == ROLE_NONE && !strchr(r->name, '/'))
        role = roles_reserved(slice_cstr(r->name));
    return role == ROLE_NONE ? 0 : 1u << role;
}

static void exclude(struct describing *d)
{
    const struct settings_list *list =
        d->rules->user->exclude_folders ? d->rules->user->exclude_folders : &d->rules->settings->policy.exclude_folders;
    const struct settings_list *wanted = &d->rules->settings->policy.include_folders;
    struct names_patterns *excludes, *includes;
    unsigned *bits; /* of each row's own role and of those it lies within */

    if (list->count == 0 && wanted->count == 0)
        return;
    excludes = names_patterns_create(list, false);
    includes = names_patterns_create(wanted, true);
    bits = mem_zero(d->count, sizeof *bits);
    for (size_t k = 0; k < d->count; k++) {
        size_t i = d->order[k];
        struct names_source *r = &d->rows[i];
        struct slice rest = slice_cstr(r->name);
        unsigned own = own_role_bits(r), above = 0;
        char *folded;

        if (r->outside)
            continue;
        /* The nearest parent that is known has gathered those above it. */
        while (rest.size) {
            size_t parent;

            while (rest.size && rest.data[rest.size - 1] != '/')
                rest.size--;
            if (rest.size == 0)
                break;
            rest.size--;
            parent = names_index_find(&d->names, rest);
            if (parent != NAMES_INDEX_NONE) {
                above = bits[parent];
                break;
            }
        }
        bits[i] = own | above;
        folded = names_folded(r->name);
        r->excluded =
            names_patterns_match(excludes, slice_cstr(folded), own, above, d->rules->work) ||
            (wanted->count && !names_patterns_match(includes, slice_cstr(folded), own, above, d->rules->work));
        free(folded);
    }
    free(bits);
    names_patterns_destroy(&excludes);
    names_patterns_destroy(&includes);
}

/* A parent that LIST does not show is made on the target (error C2). One remark a parent. */
static void tell_missing_parents(struct describing *d)
{
    struct names_index missing;
    size_t *children = mem_zero(d->count, sizeof *children), *first_child;
    size_t count = 0;

    first_child = mem_zero(d->count, sizeof *first_child);
    names_index_init(&missing);
    for (size_t k = 0; k < d->count; k++) {
        const struct names_source *r = &d->rows[d->order[k]];
        const char *slash = strrchr(r->name, '/');
        struct slice parent = slice_of(r->name, slash ? (size_t)(slash - r->name) : 0);
        size_t at;

        if (!slash || !r->selectable || r->excluded || slice_equal(parent, SLICE("INBOX")) ||
            names_index_find(&d->names, parent) != NAMES_INDEX_NONE)
            continue;
        if (names_index_add(&missing, parent, count))
            first_child[count++] = d->order[k];
        at = names_index_find(&missing, parent);
        children[at]++;
    }
    for (size_t at = 0; at < count; at++) {
        const char *name = d->rows[first_child[at]].name;
        size_t size = (size_t)(strrchr(name, '/') - name);
        char text[256];

        snprintf(text, sizeof text,
                 "the parent \"%.*s\" is not shown by the server (hidden, or no right to it); it is "
                 "made on the target so that %zu folder%s a place",
                 size < 120 ? (int)size : 120, name, children[at], children[at] == 1 ? " has" : "s have");
        d->tell(d->context, first_child[at], "MultipleRoots", text,
                "mail in the parent itself, if there is any, cannot be seen by IMAP: look there");
    }
    names_index_deinit(&missing);
    free(children);
    free(first_child);
}

void names_tell_nothing(void *context, size_t index, const char *type, const char *text, const char *remedy)
{
    (void)context;
    (void)index;
    (void)type;
    (void)text;
    (void)remedy;
}

void names_describe(struct names_source *rows, size_t count, const struct names_rules *rules, names_tell *tell,
                    void *context)
{
    struct describing d = {
        .rows = rows, .count = count, .rules = rules, .tell = tell ? tell : names_tell_nothing, .context = context
    };
    const char *root = rules->user->user_root;
    struct buf encoded;

    buf_init(&encoded, NAMES_BYTES_MAX);
    if (root && root[0])
        d.root_raw = utf7_encode(&encoded, slice_cstr(root)) ? slice_dup(buf_slice(&encoded)) : mem_text(root);
    buf_deinit(&encoded);
    d.order = mem_zero(count, sizeof *d.order);
    names_index_init(&d.raws);
    names_index_init(&d.names);
    for (size_t i = 0; i < count; i++) {
        see(&d, i);
        d.order[i] = i;
    }
    see_twice(&d);
    see_inboxes(&d);
    for (size_t i = 0; i < count; i++)
        if (!rows[i].outside)
            (void)names_index_add(&d.names, slice_cstr(rows[i].name), i);
    qsort_r(d.order, count, sizeof *d.order, order_of, rows);
    give_roles(&d);
    exclude(&d);
    tell_missing_parents(&d);
    if (rules->work)
        *rules->work += d.raws.looks + d.names.looks;
    names_index_deinit(&d.raws);
    names_index_deinit(&d.names);
    free(d.order);
    free(d.root_raw);
}

bool names_root_holds(const struct names_source *rows, size_t count, const struct settings_user *user,
                      struct err *err_r)
{
    if (!user->user_root || user->user_root[0] == '\0')
        return true;
    for (size_t i = 0; i < count; i++)
        if (rows[i].selectable)
            return true;
    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_CONFIG, 0,
            "no folder lies in the UserRoot \"%.100s\" of users.csv line %u", user->user_root, user->line);
    return err_doing(err_r, "LIST");
}
