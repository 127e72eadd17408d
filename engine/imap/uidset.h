/* Sets of UIDs as IMAP writes them ("1:3,7,12:*"): built ascending and collapsed (quirk S13) within
 * a length limit, and read back. RFC 9051 9 (sequence-set), RFC 4315 (uid-set of APPENDUID).
 */
#ifndef ENGINE_IMAP_UIDSET_H
#define ENGINE_IMAP_UIDSET_H

#include "io/base/slice.h"

struct uidset_range {
    uint32_t first, last; /* first <= last; "*" is UINT32_MAX */
};

/* A set being written into storage of the caller. */
struct uidset {
    char *text;
    size_t cap, size;
    uint32_t first, last; /* the range still open; 0: none */
};

/* cap >= 24. */
void uidset_init(struct uidset *set, char *text, size_t cap);
/* Adds uid, which must not be less than one before it. False, and nothing changed, when the text
 * could then pass the cap: finish the set and start another. */
bool uidset_add(struct uidset *set, uint32_t uid);
/* The text so far; call once, at the end. Valid as long as the storage. */
struct slice uidset_finish(struct uidset *set);

/* Calls range for each part in the order written, first <= last made so. False at the first part
 * that is no number, or 0; what came before was told. Empty text is false. */
bool uidset_each(struct slice text, bool (*range)(void *context, struct uidset_range range), void *context);
/* Reads at most cap ranges, sorted and merged. Returns how many, 0 when the text is no set or has
 * more. */
unsigned uidset_parse(struct slice text, struct uidset_range *ranges_r, unsigned cap);
/* Sorts ranges, makes one of those that overlap, and returns how many are left: each UID is in one at most. */
unsigned uidset_merge(struct uidset_range *ranges, unsigned count);
/* Whether sorted ranges hold uid; a lone "*" holds every one (which UID it means is not known). */
bool uidset_holds(const struct uidset_range *ranges, unsigned count, uint32_t uid);
/* Expands text in its written order (APPENDUID): exactly count UIDs, else false. */
bool uidset_expand(struct slice text, uint32_t *uids_r, unsigned count);

#endif
