/* The texts of folder names: raw to what people read, what people read to what the target can hold.
 * Pure helpers of names.
 */
#ifndef ENGINE_FOLDERS_NAMES_TEXT_H
#define ENGINE_FOLDERS_NAMES_TEXT_H

#include "engine/folders/names.h"
#include "io/base/buf.h"

/* While a name is made; what comes out is shorter. */
#define NAMES_BYTES_MAX 16384u
/* What the journal keeps of a name; a folder whose raw name is longer cannot be moved. */
#define NAMES_KEPT_BYTES_MAX 4000u
/* U+2215: a slash within a level, where '/' divides levels. */
#define NAMES_SLASH "\xE2\x88\x95"

/* Case and form folded as people see it, for comparing. malloc'ed. */
char *names_folded(const char *name);
/* The same without a delimiter at the end, with which some servers list a folder: as people name it. malloc'ed. */
char *names_folded_whole(const char *name);

/* What two names (as names_display gives them) have in common that are one mailbox to the target. The one
 * place that says so: to Exchange neither case nor form counts, to others only INBOX is INBOX in any
 * case. malloc'ed. */
char *names_key(const char *name, bool exchange);
/* Likewise of two raw names of the target. */
char *names_raw_key(struct slice raw, char delimiter, const struct names_rules *rules);

/* What is left of a raw name without a namespace's prefix. */
struct slice names_without_prefix(struct slice raw, const char *prefix, char delimiter);
/* A raw name that ends in its delimiter, without it; size 0: it does not. What some servers list as
 * "Junk/" they open as "Junk" only (error C1). */
struct slice names_bare(struct slice raw, char delimiter);
/* UTF-8 path with '/' between levels, malloc'ed. */
char *names_display(struct slice raw, char delimiter);

/* What was done to a name so that the target can hold it. */
enum names_change {
    NAMES_AS_IT_WAS = 0,
    NAMES_CHARACTERS = 1 << 0, /* delimiter, control characters, wildcards */
    NAMES_BLANKS = 1 << 1,     /* at the ends of a level */
    NAMES_LENGTH = 1 << 2,
    NAMES_RESERVED = 1 << 3,
    NAMES_DEPTH = 1 << 4 /* more levels than the target has */
};
/* A place on the target: raw bytes, and UTF-8 with '/' between levels. Both malloc'ed. */
struct names_place {
    char *raw, *name;
};
/* path: UTF-8 with '/' between levels, as wanted, below parent when that is not NULL, else from the
 * top. Fills *place_r and returns NAMES_ bits. number above 1 is put behind the last level as
 * " (2)", within its length. */
unsigned names_to_target(const struct names_place *parent, const char *path, unsigned number,
                         const struct names_rules *rules, struct names_place *place_r);
/* The same path with look-alikes in place of what servers that name files after folders refuse: a dot, marks of
 * patterns and of shells, '~' or '#' at a level's beginning. malloc'ed; NULL: it has none of that. */
char *names_cautious(const char *path);
/* What the bits mean, for people ("the target cannot hold a character of this name"). */
const char *names_change_words(unsigned change);

#endif
