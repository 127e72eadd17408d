#include "engine/folders/names_match.h"

#include "engine/folders/names_text.h"
#include "engine/folders/roles.h"
#include "io/base/mem.h"

#include <stdlib.h>

struct pattern {
    char *text;     /* folded; NULL: a role form */
    enum role role; /* of a role form */
    bool subtree;   /* of a role form: with what is within */
};
struct names_patterns {
    struct pattern *all;
    size_t count;
    bool including;
};

/* "#Role#" and "#Role#/" + "*". ROLE_NONE: no such form, or an unknown role. */
static enum role role_of(const char *text, bool *subtree_r)
{
    const char *end = text[0] == '#' ? strchr(text + 1, '#') : NULL;

    if (!end || (end[1] != '\0' && strcmp(end + 1, "/*") != 0))
        return ROLE_NONE;
    *subtree_r = end[1] != '\0';
    return roles_of_well_known(slice_of(text + 1, (size_t)(end - text - 1)));
}

struct names_patterns *names_patterns_create(const struct settings_list *list, bool including)
{
    struct names_patterns *patterns = mem_zero(1, sizeof *patterns);

    patterns->including = including;
    patterns->all = mem_zero(list->count, sizeof *patterns->all);
    for (size_t i = 0; i < list->count; i++) {
        struct pattern *p = &patterns->all[patterns->count++];
        const char *text = list->items[i];

        p->role = role_of(text, &p->subtree);
        if (p->role == ROLE_NONE)
            p->text = names_folded(text[0] == '\\' && text[1] == '#' ? text + 1 : text);
    }
    return patterns;
}

void names_patterns_destroy(struct names_patterns **patterns)
{
    struct names_patterns *p = *patterns;

    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++)
        free(p->all[i].text);
    free(p->all);
    free(p);
    *patterns = NULL;
}

/* What lies between two stars is looked for from left to right, each piece behind the one before it;
 * the first place is always good enough. memmem is linear, and so is the whole: a pattern full of
 * stars costs no more than its length. */
static bool glob_exact(struct slice pattern, struct slice name, uint64_t *steps)
{
    size_t star = slice_find(pattern, '*');
    struct slice piece;

    *steps += pattern.size;
    if (star == SIZE_MAX)
        return slice_equal(pattern, name);
    if (!slice_starts(name, slice_first(pattern, star)))
        return false;
    name = slice_from(name, star);
    pattern = slice_from(pattern, star + 1);
    while ((star = slice_find(pattern, '*')) != SIZE_MAX) {
        const char *at;

        piece = slice_first(pattern, star);
        pattern = slice_from(pattern, star + 1);
        if (piece.size == 0)
            continue;
        at = name.size ? memmem(name.data, name.size, piece.data, piece.size) : NULL;
        *steps += at ? (size_t)(at - name.data) + piece.size : name.size;
        if (!at)
            return false;
        name = slice_from(name, (size_t)(at - name.data) + piece.size);
    }
    return slice_ends(name, pattern);
}

/* Some servers list a folder as "Sent/": with its delimiter or without, it is the same one. */
static bool glob(struct slice pattern, struct slice name, uint64_t *steps)
{
    if (pattern.size > 1 && slice_ends(pattern, SLICE("/")))
        pattern.size--;
    if (name.size > 1 && slice_ends(name, SLICE("/")))
        name.size--;
    return glob_exact(pattern, name, steps);
}

bool names_patterns_match(const struct names_patterns *patterns, struct slice folded, unsigned own, unsigned above,
                          uint64_t *steps)
{
    uint64_t counted = 0;
    bool match = false;

    for (size_t i = 0; !match && i < patterns->count; i++) {
        const struct pattern *p = &patterns->all[i];
        struct slice text = slice_cstr(p->text);

        if (!p->text) {
            match = (own | (p->subtree ? above : 0)) & 1u << p->role;
            continue;
        }
        match = glob(text, folded, &counted);
        if (!match && patterns->including && text.size > 2 && slice_ends(text, SLICE("/*")))
            match = glob(slice_first(text, text.size - 2), folded, &counted);
    }
    if (steps)
        *steps += counted;
    return match;
}

bool names_match(const struct settings_list *list, const char *name, const char *role)
{
    struct names_patterns *patterns = names_patterns_create(list, false);
    enum role known = roles_of_word(role);
    char *folded = names_folded(name);
    bool match = names_patterns_match(patterns, slice_cstr(folded), known == ROLE_NONE ? 0 : 1u << known, 0, NULL);

    free(folded);
    names_patterns_destroy(&patterns);
    return match;
}

const char *names_pattern_fault(const struct settings_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i], *end = text[0] == '#' ? strchr(text + 1, '#') : NULL;
        bool subtree;

        if (end && (end[1] == '\0' || strcmp(end + 1, "/*") == 0) && role_of(text, &subtree) == ROLE_NONE)
            return text;
    }
    return NULL;
}
