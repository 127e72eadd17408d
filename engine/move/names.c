#include "engine/move/names.h"

#include "engine/imap/utf7.h"
#include "engine/move/roles.h"
#include "io/base/buf.h"
#include "io/base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#define NAME_BYTES_MAX   4000u
#define SLASH_LOOK_ALIKE "\xE2\x88\x95" /* U+2215 */
/* Exchange's display names end at 255 characters. */
#define EXCHANGE_PART_CHARACTERS 255u

/* Names that Exchange Online keeps for itself, or that hold no mail: mail is never put there. */
static const char *const exchange_reserved[] = {
    "Files",   "Calendar",    "Contacts",
    "Journal", "Notes",       "Tasks",
    "Outbox",  "Sync Issues", "Conversation History",
};

void names_source_deinit(struct names_source *row)
{
    free(row->raw);
    free(row->name);
    free(row->target_raw);
    free(row->target_name);
    *row = (struct names_source){ 0 };
}

/* Case folding as people see it, for comparing names. malloc'ed. */
static char *folded(const char *name)
{
    size_t size = 0;
    uint8_t *out = u8_casefold((const uint8_t *)name, strlen(name), NULL, UNINORM_NFC, NULL, &size);
    char *text;

    if (!out)
        return mem_text(name);
    text = slice_dup(slice_of((const char *)out, size));
    free(out);
    return text;
}

static bool same_folded(const char *a, const char *b)
{
    char *x = folded(a), *y = folded(b);
    bool same = strcmp(x, y) == 0;

    free(x);
    free(y);
    return same;
}

/* ---- describing ---------------------------------------------------------------------------- */

/* What is left of a raw name without the namespace's prefix and the user's root. */
static struct slice without_prefix(struct slice raw, const char *prefix, char delimiter)
{
    struct slice p = slice_cstr(prefix);

    if (p.size && slice_starts_nocase(raw, p) && raw.size > p.size)
        return slice_from(raw, p.size);
    /* A prefix is sometimes told without its delimiter. */
    if (p.size && delimiter && p.data[p.size - 1] != delimiter && slice_starts(raw, p) &&
        raw.size > p.size + 1 && raw.data[p.size] == delimiter)
        return slice_from(raw, p.size + 1);
    return raw;
}

/* A name as it is compared with a root: without delimiters at its ends, '/' as the delimiter. */
static char *root_text(struct slice text, char delimiter)
{
    char *copy;

    while (text.size && (text.data[0] == '/' || (delimiter && text.data[0] == delimiter)))
        text = slice_from(text, 1);
    while (text.size && (text.data[text.size - 1] == '/' ||
                         (delimiter && text.data[text.size - 1] == delimiter)))
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
static enum place place_in_root(struct slice raw, const char *user_root, char delimiter,
                                struct slice *rest_r)
{
    char *name = root_text(raw, delimiter), *root = root_text(slice_cstr(user_root), delimiter);
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

            while (front < raw.size &&
                   (raw.data[front] == '/' || (delimiter && raw.data[front] == delimiter)))
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

/* A slash that is no delimiter at the source must not become one. */
static void append_decoded(struct buf *out, struct slice part, char delimiter)
{
    struct buf text;
    struct slice rest, piece;
    bool first = true;

    buf_init(&text, NAME_BYTES_MAX);
    /* Longer than any folder name: cut. */
    (void)!utf7_decode(&text, part, NULL);
    rest = buf_slice(&text);
    if (delimiter == '/') {
        (void)!buf_append(out, rest);
    } else {
        while (slice_split(&rest, '/', &piece)) {
            if (!first)
                (void)!buf_append(out, SLICE(SLASH_LOOK_ALIKE));
            (void)!buf_append(out, piece);
            first = false;
        }
        if (buf_slice(&text).size && slice_ends(buf_slice(&text), SLICE("/")))
            (void)!buf_append(out, SLICE(SLASH_LOOK_ALIKE));
    }
    buf_deinit(&text);
}

static char *display_name(struct slice raw, char delimiter)
{
    struct buf out;
    struct slice part;
    char *name;

    buf_init(&out, NAME_BYTES_MAX);
    if (delimiter == '\0') {
        append_decoded(&out, raw, delimiter);
    } else {
        while (slice_split(&raw, delimiter, &part)) {
            if (part.size == 0)
                continue; /* leading, doubled or trailing delimiter */
            if (out.size && !buf_append(&out, SLICE("/")))
                break;
            append_decoded(&out, part, delimiter);
        }
    }
    name = slice_dup(buf_slice(&out));
    buf_deinit(&out);
    return name;
}

/* `pattern` may end in "/" + "*": everything below it. `*` elsewhere stands for any run of bytes.
 */
static bool glob(const char *pattern, const char *name)
{
    for (; *pattern; pattern++, name++) {
        if (*pattern == '*') {
            for (; *name; name++)
                if (glob(pattern + 1, name))
                    return true;
            pattern++;
            return *pattern == '\0';
        }
        if (*pattern != *name)
            return false;
    }
    return *name == '\0';
}

bool names_match(const struct settings_list *patterns, const char *name, const char *role)
{
    char *plain = folded(name);
    bool match = false;

    for (size_t i = 0; !match && i < patterns->count; i++) {
        const char *p = patterns->items[i];
        char *wanted;

        if (p[0] == '#') {
            /* A folder by its role: "#JunkEmail#", "#Inbox#" with everything below it. */
            const char *end = strchr(p + 1, '#');
            const char *word =
                end ? roles_of_well_known(slice_of(p + 1, (size_t)(end - p - 1))) : NULL;

            match = word && role[0] && strcmp(word, role) == 0 &&
                    (end[1] == '\0' || strcmp(end + 1, "/*") == 0);
            continue;
        }
        if (p[0] == '\\' && p[1] == '#')
            p++;
        wanted = folded(p);
        match = glob(wanted, plain);
        free(wanted);
    }
    free(plain);
    return match;
}

/* Below a folder with that role: the nearest ancestor's patterns with "/" + "*" apply. */
static bool match_below(const struct settings_list *patterns, const struct names_source *rows,
                        size_t count, const char *name)
{
    for (size_t i = 0; i < patterns->count; i++) {
        const char *p = patterns->items[i], *end = p[0] == '#' ? strchr(p + 1, '#') : NULL;
        const char *role = end ? roles_of_well_known(slice_of(p + 1, (size_t)(end - p - 1))) : NULL;

        if (!role || strcmp(end + 1, "/*") != 0)
            continue;
        for (size_t k = 0; k < count; k++) {
            size_t size = rows[k].name ? strlen(rows[k].name) : 0;

            if (size && strcmp(rows[k].role, role) == 0 && strncmp(rows[k].name, name, size) == 0 &&
                name[size] == '/')
                return true;
        }
    }
    return false;
}

static void tell_nothing(void *context, size_t index, const char *type, const char *text,
                         const char *remedy)
{
    (void)context;
    (void)index;
    (void)type;
    (void)text;
    (void)remedy;
}

void names_describe(struct names_source *rows, size_t count, const struct names_rules *rules,
                    names_tell *tell, void *context)
{
    const struct settings_list *exclude = rules->user->exclude_folders
                                              ? rules->user->exclude_folders
                                              : &rules->settings->policy.exclude_folders;
    const struct settings_list *include = &rules->settings->policy.include_folders;

    if (!tell)
        tell = tell_nothing;
    for (size_t i = 0; i < count; i++) {
        struct names_source *r = &rows[i];
        struct slice raw = slice_cstr(r->raw), inside;
        const char *root = rules->user->user_root;
        enum place place = PLACE_WITHIN;

        r->selectable = !(r->attributes & (IMAP_MAILBOX_NOSELECT | IMAP_MAILBOX_NONEXISTENT));
        inside = without_prefix(raw, rules->source_prefix, r->delimiter);
        if (root && root[0]) {
            struct slice rest = inside;

            place = place_in_root(raw, root, r->delimiter, &rest);
            if (place == PLACE_OUTSIDE)
                place = place_in_root(inside, root, r->delimiter, &rest);
            inside = rest;
        } else if (is_foreign(rules->source_foreign, raw, r->delimiter)) {
            place = PLACE_OUTSIDE;
        }
        if (place == PLACE_OUTSIDE)
            r->selectable = false;
        free(r->name);
        /* The root stands for the mailbox itself, as `user.anna` does for an administrator of
         * Cyrus. */
        r->name = place == PLACE_ROOT ||
                          (place == PLACE_WITHIN && slice_equal_nocase(raw, SLICE("INBOX")))
                      ? mem_text("INBOX")
                      : display_name(inside, r->delimiter);
        if (r->name[0] == '\0')
            r->selectable = false; /* the delimiter itself, or nothing (quirk N26) */
        snprintf(r->role, sizeof r->role, "%s",
                 place == PLACE_OUTSIDE ? "" : roles_find(r->attributes, r->name));
    }
    /* A role belongs to one folder: the one with the attribute, else the first by name. */
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; rows[i].role[0] && k < count; k++)
            if (k != i && strcmp(rows[i].role, rows[k].role) == 0 &&
                (roles_by_attribute(rows[k].attributes) > roles_by_attribute(rows[i].attributes) ||
                 (roles_by_attribute(rows[k].attributes) ==
                      roles_by_attribute(rows[i].attributes) &&
                  k < i)))
                rows[i].role[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        struct names_source *r = &rows[i];
        const char *slash;

        r->excluded = names_match(exclude, r->name, r->role) ||
                      match_below(exclude, rows, count, r->name) ||
                      (include->count && !names_match(include, r->name, r->role) &&
                       !match_below(include, rows, count, r->name));
        /* A parent that LIST does not show is made on the target. */
        slash = strrchr(r->name, '/');
        if (slash && r->selectable && !r->excluded) {
            char *parent = slice_dup(slice_of(r->name, (size_t)(slash - r->name)));
            bool known = false;

            for (size_t k = 0; k < count; k++)
                known |= strcmp(rows[k].name, parent) == 0;
            if (!known) {
                char text[256];

                snprintf(text, sizeof text,
                         "the parent \"%.150s\" is not shown by the server; it is made on the "
                         "target so that this folder has a place",
                         parent);
                tell(context, i, "MultipleRoots", text,
                     "if mail is missing, look whether the parent itself holds any: IMAP cannot "
                     "show it");
            }
            free(parent);
        }
    }
}

/* ---- mapping ------------------------------------------------------------------------------- */

/* Looks like what the target cannot hold, and can be told from it. */
static const char *look_alike(char c)
{
    switch (c) {
    case '/':
        return SLASH_LOOK_ALIKE;
    case '\\':
        return "\xE2\x88\x96"; /* U+2216 */
    case '.':
        return "\xE2\x80\xA4"; /* U+2024 */
    default:
        return "_";
    }
}

/* One level of a path as the target can hold it. Returns whether it had to be changed. */
static bool append_part(struct buf *out, struct slice part, const struct names_rules *rules)
{
    bool changed = false, ok = true;
    struct slice trimmed = part;
    size_t characters = 0;

    /* Exchange takes blanks at the ends away, or fails. */
    while (rules->exchange && trimmed.size && trimmed.data[trimmed.size - 1] == ' ')
        trimmed.size--;
    while (rules->exchange && trimmed.size && trimmed.data[0] == ' ')
        trimmed = slice_from(trimmed, 1);
    if (trimmed.size != part.size)
        changed = true;
    if (trimmed.size == 0) {
        (void)!buf_append(out, SLICE("_"));
        return true;
    }
    for (size_t i = 0; i < trimmed.size && ok; i++) {
        char c = trimmed.data[i];

        if ((c & 0xC0) != 0x80 && ++characters > EXCHANGE_PART_CHARACTERS && rules->exchange) {
            changed = true;
            break;
        }
        if ((rules->target_delimiter && c == rules->target_delimiter) || c == '/') {
            const char *other = look_alike(c);

            ok = buf_append(out, slice_cstr(other));
            changed = true;
        } else if ((unsigned char)c < 0x20 || c == 0x7F || c == '*' || c == '%') {
            /* LIST would take the last two for wildcards, and some servers refuse them. */
            bool wild = c == '*' || c == '%';

            ok = buf_append(out, wild && !rules->exchange ? slice_of(&c, 1) : SLICE("_"));
            changed |= !(wild && !rules->exchange);
        } else {
            ok = buf_append(out, slice_of(&c, 1));
        }
    }
    return changed || !ok;
}

static bool is_reserved(struct slice part)
{
    for (unsigned i = 0; i < sizeof exchange_reserved / sizeof *exchange_reserved; i++)
        if (slice_equal_nocase(part, slice_cstr(exchange_reserved[i])))
            return true;
    return false;
}

/* The target's own folder of a role: by attribute, else by name. NULL when it has none. */
static const struct names_target *target_of_role(const struct names_target *targets, size_t count,
                                                 const struct names_rules *rules, const char *role)
{
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++) {
            const char *has;
            char *name;

            if (targets[i].attributes & IMAP_MAILBOX_NOSELECT)
                continue;
            if (pass == 0) {
                has = roles_by_attribute(targets[i].attributes)
                          ? roles_find(targets[i].attributes, "")
                          : "";
                if (strcmp(has, role) == 0)
                    return &targets[i];
                continue;
            }
            name = display_name(without_prefix(slice_cstr(targets[i].raw), rules->target_prefix,
                                               targets[i].delimiter),
                                targets[i].delimiter);
            has = roles_find(0, name);
            free(name);
            if (strcmp(has, role) == 0)
                return &targets[i];
        }
    return NULL;
}

/* path: UTF-8 with '/' between levels, as wanted on the target. Fills raw and name. */
static bool to_target(const char *path, const struct names_rules *rules, char **raw_r,
                      char **name_r)
{
    struct slice rest = slice_cstr(path), part;
    struct buf raw, name, one;
    bool changed = false, first = true;

    buf_init(&raw, NAME_BYTES_MAX);
    buf_init(&name, NAME_BYTES_MAX);
    buf_init(&one, NAME_BYTES_MAX);
    if (!slice_equal_nocase(rest, SLICE("INBOX")))
        (void)!buf_append(&raw, slice_cstr(rules->target_prefix));
    while (slice_split(&rest, '/', &part)) {
        buf_clear(&one);
        changed |= append_part(&one, part, rules);
        if (first && rules->exchange && is_reserved(buf_slice(&one))) {
            (void)!buf_append(&one, SLICE(" (IMAP)"));
            changed = true;
        }
        if (!first) {
            /* A target without levels gets one name. */
            char d = rules->target_delimiter ? rules->target_delimiter : '-';

            (void)!buf_append(&raw, slice_of(&d, 1));
            (void)!buf_append(&name, SLICE("/"));
        }
        if (!utf7_encode(&raw, buf_slice(&one)) || !buf_append(&name, buf_slice(&one)))
            changed = true;
        first = false;
    }
    *raw_r = slice_dup(buf_slice(&raw));
    *name_r = slice_dup(buf_slice(&name));
    buf_deinit(&raw);
    buf_deinit(&name);
    buf_deinit(&one);
    return changed;
}

static bool taken(const struct names_source *rows, size_t count, size_t self, const char *name,
                  bool fold)
{
    for (size_t i = 0; i < count; i++)
        if (i != self && rows[i].target_name &&
            (fold ? same_folded(rows[i].target_name, name)
                  : strcmp(rows[i].target_name, name) == 0))
            return true;
    return false;
}

static const char *mapped_by_user(const struct names_rules *rules, const char *name)
{
    for (size_t i = 0; i < rules->settings->folder_count; i++)
        if (same_folded(rules->settings->folders[i].source, name))
            return rules->settings->folders[i].target;
    return NULL;
}

static size_t depth_of(const char *name)
{
    size_t n = 0;

    for (; *name; name++)
        n += *name == '/';
    return n;
}

/* Gmail's All Mail, as far as no label has it: what its users have archived. */
static bool is_all_mail(const struct names_source *r)
{
    return strcmp(r->role, "all") == 0 &&
           (strncmp(r->name, "[Gmail]/", 8) == 0 || strncmp(r->name, "[Google Mail]/", 14) == 0);
}

static bool has_archive(const struct names_source *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].role, "archive") == 0)
            return true;
    return false;
}

/* Where the row should go: by the user's word, its role, its parent's place, or its own name. */
static char *wanted_path(const struct names_source *rows, size_t count, size_t index,
                         const struct names_target *targets, size_t target_count,
                         const struct names_rules *rules)
{
    const struct names_source *r = &rows[index];
    const char *mapped = mapped_by_user(rules, r->name), *role = r->role;
    const struct names_target *special;
    size_t best = 0;
    const struct names_source *parent = NULL;

    if (mapped)
        return mem_text(mapped);
    if (strcmp(r->role, "inbox") == 0)
        return mem_text("INBOX");
    if (is_all_mail(r) && !has_archive(rows, count))
        role = "archive";
    special = role[0] && strcmp(role, "all") != 0 && strcmp(role, "flagged") != 0 &&
                      strcmp(role, "important") != 0
                  ? target_of_role(targets, target_count, rules, role)
                  : NULL;
    if (role != r->role && !special)
        return mem_text("Archive");
    if (special)
        return display_name(
            without_prefix(slice_cstr(special->raw), rules->target_prefix, special->delimiter),
            special->delimiter);
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(rows[i].name);

        if (rows[i].target_name && size > best && strncmp(rows[i].name, r->name, size) == 0 &&
            r->name[size] == '/') {
            best = size;
            parent = &rows[i];
        }
    }
    if (parent)
        return mem_format("%s%s", parent->target_name, r->name + best);
    return mem_text(r->name);
}

static void place(struct names_source *rows, size_t count, size_t index,
                  const struct names_target *targets, size_t target_count,
                  const struct names_rules *rules, names_tell *tell, void *context)
{
    struct names_source *r = &rows[index];
    char *path = wanted_path(rows, count, index, targets, target_count, rules);
    char *raw, *name, text[256];
    bool changed = to_target(path, rules, &raw, &name);

    changed |= r->delimiter != '/' && strchr(r->raw, '/') != NULL;
    if (taken(rows, count, index, name, rules->exchange)) {
        for (unsigned n = 2;; n++) {
            char *other = mem_format("%s (%u)", path, n);

            free(raw);
            free(name);
            (void)to_target(other, rules, &raw, &name);
            free(other);
            if (!taken(rows, count, index, name, rules->exchange))
                break;
        }
        snprintf(text, sizeof text,
                 "another folder has that name on the target; moved to \"%.150s\"", name);
        tell(context, index, "FolderNameClash", text,
             "merge them on the target, or set a name under [folders]");
    } else if (changed) {
        snprintf(text, sizeof text, "the target cannot hold this name; moved to \"%.150s\"", name);
        tell(context, index, "FolderRenamed", text,
             "nothing to do; to choose another name, set it under [folders]");
    }
    r->target_raw = raw;
    r->target_name = name;
    free(path);
}

void names_map(struct names_source *rows, size_t count, const struct names_target *targets,
               size_t target_count, const struct names_rules *rules, names_tell *tell,
               void *context)
{
    size_t deepest = 0;

    if (!tell)
        tell = tell_nothing;
    for (size_t i = 0; i < count; i++)
        if (depth_of(rows[i].name) > deepest)
            deepest = depth_of(rows[i].name);
    /* Parents before children, folders with a role before others of their level: they have the
     * better claim to a name. */
    for (size_t depth = 0; depth <= deepest; depth++)
        for (int with_role = 1; with_role >= 0; with_role--)
            for (size_t i = 0; i < count; i++)
                if (depth_of(rows[i].name) == depth && (rows[i].role[0] != '\0') == with_role &&
                    rows[i].selectable && !rows[i].excluded && !rows[i].target_raw)
                    place(rows, count, i, targets, target_count, rules, tell, context);
}
