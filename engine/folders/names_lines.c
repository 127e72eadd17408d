#include "engine/folders/names_lines.h"

#include "engine/folders/names_text.h"
#include "io/base/mem.h"

#include <stdlib.h>

/* The first * that is none of \*, or NULL. */
static const char *star_of(const char *text)
{
    for (; *text; text++) {
        if (text[0] == '\\' && text[1] == '*')
            text++;
        else if (*text == '*')
            return text;
    }
    return NULL;
}

/* Without the backslash of \*; malloc'ed. */
static char *plain(const char *text, size_t size)
{
    char *out = mem_alloc(size + 1);
    size_t used = 0;

    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\\' && i + 1 < size && text[i + 1] == '*')
            i++;
        out[used++] = text[i];
    }
    out[used] = '\0';
    return out;
}

static char *folded_part(const char *text, size_t size)
{
    char *part = plain(text, size), *folded = names_folded(part);

    free(part);
    return folded;
}

bool names_line_is_pattern(const char *source)
{
    return star_of(source) != NULL;
}

const char *names_line_fault(const char *source, const char *target)
{
    const char *from = star_of(source), *to = star_of(target);

    if (from && star_of(from + 1))
        return "has more than one * ; write \\* for a real star";
    if (to && star_of(to + 1))
        return "the target has more than one * ; write \\* for a real star";
    if (from && !to)
        return "a pattern needs a * in its target too: what the first one stands for goes there";
    if (to && !from)
        return "the target has a *, and the source has none; write \\* for a real star";
    return NULL;
}

void names_lines_init(struct names_lines *lines, const struct settings *settings)
{
    *lines = (struct names_lines){ .settings = settings };
    names_index_init(&lines->words);
    lines->patterns = mem_zero(settings->folder_count, sizeof *lines->patterns);
    for (size_t i = 0; i < settings->folder_count; i++) {
        const char *source = settings->folders[i].source, *star = star_of(source);
        struct names_pattern_line *p;

        if (!star) {
            char *name = plain(source, strlen(source)), *folded = names_folded_whole(name);

            (void)names_index_add(&lines->words, slice_cstr(folded), i);
            free(folded);
            free(name);
            continue;
        }
        p = &lines->patterns[lines->pattern_count++];
        p->before = folded_part(source, (size_t)(star - source));
        p->after = folded_part(star + 1, strlen(star + 1));
        p->literal = strlen(p->before) + strlen(p->after);
        p->line = i;
    }
}

void names_lines_deinit(struct names_lines *lines)
{
    for (size_t i = 0; i < lines->pattern_count; i++) {
        free(lines->patterns[i].before);
        free(lines->patterns[i].after);
    }
    free(lines->patterns);
    names_index_deinit(&lines->words);
}

/* The bytes of the longest name above that has a line of its own, 0: none. */
static size_t line_above(struct names_lines *lines, struct slice folded)
{
    while (folded.size) {
        folded.size--;
        if (folded.data[folded.size] == '/' && names_index_find(&lines->words, folded) != NAMES_INDEX_NONE)
            return folded.size;
    }
    return 0;
}

static const struct names_pattern_line *pattern_for(const struct names_lines *lines, struct slice folded, size_t above)
{
    const struct names_pattern_line *best = NULL;

    for (size_t i = 0; i < lines->pattern_count; i++) {
        const struct names_pattern_line *p = &lines->patterns[i];

        if (p->literal < above || folded.size < p->literal || (best && p->literal <= best->literal) ||
            !slice_starts(folded, slice_cstr(p->before)) || !slice_ends(folded, slice_cstr(p->after)))
            continue;
        best = p;
    }
    return best;
}

static bool is_first_byte(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

/* How many of its first bytes become `folded` when folded: of a name that begins so. */
static size_t bytes_before(const char *name, size_t size, const char *folded)
{
    size_t n = 0;

    for (; n <= size; n++) {
        char *part, *part_folded;
        bool same;

        if (n < size && !is_first_byte(name[n]))
            continue;
        part = slice_dup(slice_of(name, n));
        part_folded = names_folded(part);
        same = strcmp(part_folded, folded) == 0;
        free(part_folded);
        free(part);
        if (same)
            return n;
    }
    return SIZE_MAX;
}

static size_t bytes_after(const char *name, size_t size, const char *folded)
{
    for (size_t n = 0; n <= size; n++) {
        char *part_folded;
        bool same;

        if (n && !is_first_byte(name[size - n]))
            continue;
        part_folded = names_folded(name + size - n);
        same = strcmp(part_folded, folded) == 0;
        free(part_folded);
        if (same)
            return n;
    }
    return SIZE_MAX;
}

static bool is_name(const char *text)
{
    size_t size = strlen(text);

    return size > 0 && text[0] != '/' && text[size - 1] != '/' && !strstr(text, "//");
}

/* Where the name is split as the pattern is: folding may change the length. */
static char *filled(const struct names_pattern_line *p, const char *name, const char *target)
{
    size_t size = strlen(name), first = bytes_before(name, size, p->before), last = bytes_after(name, size, p->after);
    const char *star = star_of(target);
    char *before, *after, *word;

    if (!star || first == SIZE_MAX || last == SIZE_MAX || first + last > size)
        return NULL;
    before = plain(target, (size_t)(star - target));
    after = plain(star + 1, strlen(star + 1));
    word = mem_format("%s%.*s%s", before, (int)(size - first - last), name + first, after);
    free(before);
    free(after);
    if (!is_name(word)) {
        free(word);
        return NULL;
    }
    return word;
}

char *names_lines_word(struct names_lines *lines, const char *name)
{
    const struct settings_folder *folders = lines->settings->folders;
    const struct names_pattern_line *p;
    char *folded, *word = NULL;
    size_t line;

    if (lines->settings->folder_count == 0)
        return NULL;
    folded = names_folded_whole(name);
    line = names_index_find(&lines->words, slice_cstr(folded));
    if (line != NAMES_INDEX_NONE) {
        word = plain(folders[line].target, strlen(folders[line].target));
    } else {
        p = pattern_for(lines, slice_cstr(folded), line_above(lines, slice_cstr(folded)));
        if (p) {
            char *whole = slice_dup(slice_cstr(name));
            size_t size = strlen(whole);

            if (size > 1 && whole[size - 1] == '/' && size > strlen(folded))
                whole[size - 1] = '\0';
            word = filled(p, whole, folders[p->line].target);
            free(whole);
        }
    }
    free(folded);
    return word;
}
