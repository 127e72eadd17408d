/* What the lines of [folders] make of a folder's name. A line names one folder, or has one * in its source and one in
 * its target: the * of the source is any run of characters, levels included, and stands in the target's place. \* is a
 * real star. The line of a folder itself goes first, then the pattern with the most characters of its own; one with
 * fewer than the line of a folder above it has leaves the folder with that one. Case does not count (Unicode).
 */
#ifndef ENGINE_FOLDERS_NAMES_LINES_H
#define ENGINE_FOLDERS_NAMES_LINES_H

#include "engine/folders/names_index.h"
#include "engine/settings/settings.h"

struct names_lines {
    const struct settings *settings; /* borrowed */
    struct names_index words;        /* folded source name -> line */
    struct names_pattern_line {
        char *before, *after; /* the *, folded */
        size_t literal;       /* bytes of both */
        size_t line;          /* of settings->folders */
    } * patterns;
    size_t pattern_count;
};

void names_lines_init(struct names_lines *lines, const struct settings *settings);
void names_lines_deinit(struct names_lines *lines);
/* The target's name for this one, levels divided by /; malloc'ed. NULL: no line says anything. */
char *names_lines_word(struct names_lines *lines, const char *name);

/* Is it a pattern? */
bool names_line_is_pattern(const char *source);
/* What is wrong with such a line, or NULL. */
const char *names_line_fault(const char *source, const char *target);

#endif
