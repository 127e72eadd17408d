#include "engine/folders/names.h"
#include "engine/folders/names_index.h"
#include "engine/folders/names_lines.h"
#include "engine/folders/names_text.h"
#include "engine/folders/roles.h"
#include "engine/imap/utf7.h"
#include "io/base/mem.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* How early a row chooses its name: who comes first has the better claim. */
enum turn { TURN_USERS_WORD, TURN_ROLE, TURN_OTHERS };

struct mapping {
    struct names_source *rows;
    size_t count;
    const struct names_target *targets;
    size_t target_count;
    const struct names_rules *rules;
    names_tell *tell;
    void *context;
    const struct names_target *special[ROLES_COUNT]; /* the target's own folder of a role */
    struct names_index names;                        /* source name -> row */
    struct names_index taken;                        /* key of a target name -> row */
    struct names_index raws;                         /* key of the same name as the target writes it -> row */
    struct names_index numbers;                      /* key of a wanted name -> the number that is tried next */
    struct names_lines lines;                        /* of [folders] */
    struct names_place *places;                      /* of every row, also of those that only others lie below */
    enum turn *turns;
    char **users_words; /* of every row, by [folders]; NULL: none */
    bool has_archive;   /* some row of the source has this role */
    size_t *levels;
    size_t *order;
};

/* ---- the target's own folders -------------------------------------------------------------- */

static char *target_display(const struct names_target *t, const struct names_rules *rules)
{
    return names_display(names_without_prefix(slice_cstr(t->raw), rules->target_prefix, t->delimiter), t->delimiter);
}

/* By attribute, else by name. */
static void find_special(struct mapping *m)
{
    unsigned best[ROLES_COUNT];

    for (unsigned role = 0; role < ROLES_COUNT; role++)
        best[role] = UINT_MAX;
    for (size_t i = 0; i < m->target_count; i++) {
        const struct names_target *t = &m->targets[i];
        unsigned attributes = t->attributes & ~(unsigned)IMAP_MAILBOX_INBOX, rank;
        enum role role;
        char *name;

        if (attributes & (IMAP_MAILBOX_NOSELECT | IMAP_MAILBOX_NONEXISTENT))
            continue;
        name = target_display(t, m->rules);
        role = roles_of_word(roles_find(attributes, name));
        rank = roles_by_attribute(attributes) ? 0 : roles_rank(name);
        if (rank != UINT_MAX && !roles_by_attribute(attributes))
            rank++;
        free(name);
        /* Views of other folders take no mail of their own. */
        if (role == ROLE_NONE || role == ROLE_INBOX || role >= ROLE_ALL || rank >= best[role])
            continue;
        best[role] = rank;
        m->special[role] = t;
    }
}

/* ---- names that are given away ------------------------------------------------------------- */

/* False: the name is another's, as people read it or as the target writes it. Where the target has no levels, a/b is
 * written a-b, and that may be the name of another folder. */
static bool take(struct mapping *m, const char *name, const char *raw, size_t row)
{
    char *key = names_key(name, m->rules->exchange);
    char *raw_key = names_raw_key(slice_cstr(raw), m->rules->target_delimiter, m->rules);
    bool free_so_far = names_index_find(&m->taken, slice_cstr(key)) == NAMES_INDEX_NONE &&
                       names_index_add(&m->raws, slice_cstr(raw_key), row);

    if (free_so_far)
        (void)names_index_add(&m->taken, slice_cstr(key), row);
    free(key);
    free(raw_key);
    return free_so_far;
}

/* ---- where a row goes ---------------------------------------------------------------------- */

/* Gmail's All Mail, as far as no label has it: what its users have archived. */
static bool is_all_mail(const struct names_source *r)
{
    return strcmp(r->role, "all") == 0 &&
           (strncmp(r->name, "[Gmail]/", 8) == 0 || strncmp(r->name, "[Google Mail]/", 14) == 0);
}

/* What the row is to the target. */
static enum role role_there(const struct mapping *m, size_t i)
{
    if (is_all_mail(&m->rows[i]) && !m->has_archive)
        return ROLE_ARCHIVE;
    return roles_of_word(m->rows[i].role);
}

/* What the target calls a role that no folder of it has; NULL: the source's own name is as good. */
static const char *name_of_role(const struct mapping *m, size_t i, enum role role)
{
    return m->rules->exchange || is_all_mail(&m->rows[i]) ? roles_exchange_name(role) : NULL;
}

/* The nearest row above that has a place. */
static size_t parent_of(struct mapping *m, size_t i, size_t *size_r)
{
    struct slice rest = slice_cstr(m->rows[i].name);

    for (;;) {
        size_t parent;

        while (rest.size && rest.data[rest.size - 1] != '/')
            rest.size--;
        if (rest.size == 0)
            return SIZE_MAX;
        rest.size--;
        parent = names_index_find(&m->names, rest);
        if (parent != NAMES_INDEX_NONE && parent != i && m->places[parent].raw) {
            *size_r = rest.size + 1;
            return parent;
        }
    }
}

struct wish {
    struct names_place parent; /* raw NULL: none */
    const char *path;
    bool exact; /* the target has it, by this very name */
};

/* By the user's word, its role, its parent's place, or its own name. */
static void wish_of(struct mapping *m, size_t i, struct wish *wish_r, struct names_place *exact_r, char **owned_r)
{
    const struct names_source *r = &m->rows[i];
    enum role role = role_there(m, i);
    const char *word = m->users_words[i];
    size_t parent, size;

    *wish_r = (struct wish){ .path = r->name };
    *owned_r = NULL;
    if (word) {
        wish_r->path = word;
    } else if (role == ROLE_INBOX) {
        wish_r->path = "INBOX";
    } else if (role != ROLE_NONE && m->special[role]) {
        wish_r->exact = true;
        exact_r->raw = mem_text(m->special[role]->raw);
        exact_r->name = target_display(m->special[role], m->rules);
        wish_r->path = *owned_r = mem_text(exact_r->name);
    } else if (name_of_role(m, i, role)) {
        wish_r->path = name_of_role(m, i, role);
    } else if ((parent = parent_of(m, i, &size)) != SIZE_MAX) {
        wish_r->parent = m->places[parent];
        wish_r->path = r->name + size;
    }
}

/* INBOX's children lie in the target's namespace like all else: where names begin with "INBOX.", the
 * folder INBOX/a is INBOX.INBOX.a, for INBOX.a is another. */
static struct names_place *below(const struct mapping *m, const struct wish *wish, struct names_place *room)
{
    if (!wish->parent.raw)
        return NULL;
    *room = wish->parent;
    if (strcmp(wish->parent.raw, "INBOX") == 0 && m->rules->target_prefix[0])
        room->raw = mem_format("%sINBOX", m->rules->target_prefix);
    else
        room->raw = mem_text(wish->parent.raw);
    return room;
}

static void place_row(struct mapping *m, size_t i)
{
    struct names_source *r = &m->rows[i];
    bool moves = r->selectable && !r->excluded;
    struct names_place got = { 0 }, room, *parent;
    struct wish wish;
    unsigned change = 0, number = 1;
    char *key, *owned, text[256];

    if (r->target_raw) { /* from an earlier run */
        m->places[i].raw = mem_text(r->target_raw);
        m->places[i].name = mem_text(r->target_name);
        return;
    }
    wish_of(m, i, &wish, &got, &owned);
    parent = below(m, &wish, &room);
    if (!wish.exact)
        change = names_to_target(parent, wish.path, 1, m->rules, &got);
    if (moves) {
        key = names_key(got.name, m->rules->exchange);
        while (!take(m, got.name, got.raw, i)) {
            size_t next = names_index_find(&m->numbers, slice_cstr(key));

            number = next == NAMES_INDEX_NONE ? 2 : (unsigned)next;
            names_index_put(&m->numbers, slice_cstr(key), number + 1u);
            free(got.raw);
            free(got.name);
            change = names_to_target(parent, wish.path, number, m->rules, &got);
        }
        free(key);
        change |= r->delimiter != '/' && strchr(r->raw, '/') ? NAMES_CHARACTERS : 0u;
        if (number > 1) {
            snprintf(text, sizeof text, "another folder has that name on the target%s; moved to \"%.120s\"",
                     m->rules->exchange ? ", where case and blanks do not count" : "", got.name);
            m->tell(m->context, i, "FolderNameClash", text, "merge them on the target, or set a name under [folders]");
        } else if (change) {
            snprintf(text, sizeof text, "%s; moved to \"%.150s\"", names_change_words(change), got.name);
            m->tell(m->context, i, change & NAMES_RESERVED ? "ReservedName" : "FolderRenamed", text,
                    "nothing to do; to choose another name, set it under [folders]");
        }
        r->target_raw = mem_text(got.raw);
        r->target_name = mem_text(got.name);
    }
    m->places[i] = got;
    if (parent)
        free(parent->raw);
    free(owned);
}

/* ---- the order ----------------------------------------------------------------------------- */

static size_t levels_of(const char *name)
{
    size_t n = 0;

    for (; *name; name++)
        n += *name == '/';
    return n;
}

/* The user's words first, then roles; then parents before children. By name and not by place in
 * LIST, so that numbers are given the same way each time. */
static int order_of(const void *a, const void *b, void *context)
{
    const struct mapping *m = context;
    size_t i = *(const size_t *)a, k = *(const size_t *)b;
    const struct names_source *x = &m->rows[i], *y = &m->rows[k];
    int order = (m->turns[i] > m->turns[k]) - (m->turns[i] < m->turns[k]);

    if (!order)
        order = (m->levels[i] > m->levels[k]) - (m->levels[i] < m->levels[k]);
    if (!order)
        order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->raw, y->raw);
}

static enum turn turn_of(struct mapping *m, size_t i)
{
    enum role role = role_there(m, i);

    if (m->users_words[i])
        return TURN_USERS_WORD;
    if (role == ROLE_INBOX || (role != ROLE_NONE && m->special[role]) || name_of_role(m, i, role))
        return TURN_ROLE;
    return TURN_OTHERS;
}

void names_map(struct names_source *rows, size_t count, const struct names_target *targets, size_t target_count,
               const struct names_rules *rules, names_tell *tell, void *context)
{
    struct mapping m = { .rows = rows,
                         .count = count,
                         .targets = targets,
                         .target_count = target_count,
                         .rules = rules,
                         .tell = tell ? tell : names_tell_nothing,
                         .context = context };

    names_index_init(&m.names);
    names_index_init(&m.taken);
    names_index_init(&m.raws);
    names_index_init(&m.numbers);
    names_lines_init(&m.lines, rules->settings);
    m.places = mem_zero(count, sizeof *m.places);
    m.turns = mem_zero(count, sizeof *m.turns);
    m.users_words = mem_zero(count, sizeof *m.users_words);
    m.levels = mem_zero(count, sizeof *m.levels);
    m.order = mem_zero(count, sizeof *m.order);
    find_special(&m);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].target_raw)
            (void)take(&m, rows[i].target_name, rows[i].target_raw, i);
        m.has_archive |= strcmp(rows[i].role, "archive") == 0;
        m.levels[i] = levels_of(rows[i].name);
        m.order[i] = i;
    }
    for (size_t i = 0; i < count; i++) {
        m.users_words[i] = names_lines_word(&m.lines, rows[i].name);
        m.turns[i] = turn_of(&m, i);
    }
    qsort_r(m.order, count, sizeof *m.order, order_of, &m);
    /* Of those that are shown alike the first in order is who others lie below, not the first in LIST. */
    for (size_t i = 0; i < count; i++)
        (void)names_index_add(&m.names, slice_cstr(rows[m.order[i]].name), m.order[i]);
    for (size_t i = 0; i < count; i++)
        if (rows[m.order[i]].name[0])
            place_row(&m, m.order[i]);
    if (rules->work)
        *rules->work += m.names.looks + m.taken.looks + m.raws.looks + m.numbers.looks + m.lines.words.looks;
    for (size_t i = 0; i < count; i++) {
        free(m.places[i].raw);
        free(m.places[i].name);
        free(m.users_words[i]);
    }
    free(m.places);
    free(m.turns);
    free(m.users_words);
    free(m.levels);
    free(m.order);
    names_index_deinit(&m.names);
    names_index_deinit(&m.taken);
    names_index_deinit(&m.raws);
    names_index_deinit(&m.numbers);
    names_lines_deinit(&m.lines);
}
