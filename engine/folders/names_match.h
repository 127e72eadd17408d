/* Folder patterns of the policy: "Trash", "Lists/" + "*", "*Spam*", "#JunkEmail#". Pure.
 *
 * Case does not count (Unicode). '*' stands for any run of characters, levels included; NAME/ + '*'
 * is what is within NAME. #Role# is the folder with that role, whatever its name, and #Role#/ + '*'
 * that folder with all within it, as at Exchange; "\#" begins a name with a real '#'.
 */
#ifndef ENGINE_FOLDERS_NAMES_MATCH_H
#define ENGINE_FOLDERS_NAMES_MATCH_H

#include "engine/settings/settings.h"

/* A list made ready to be matched with many folders. */
struct names_patterns;

/* including: NAME/ + '*' also means NAME itself, for who includes what is within a folder wants the
 * folder. */
struct names_patterns *names_patterns_create(const struct settings_list *list, bool including);
void names_patterns_destroy(struct names_patterns **patterns);
/* folded: of the folder's name, by names_folded. own, above: bits (1 << role) of the folder's own
 * role and of those it lies within. steps (may be NULL) counts the bytes looked at. */
bool names_patterns_match(const struct names_patterns *patterns, struct slice folded, unsigned own, unsigned above,
                          uint64_t *steps);
/* For one name alone, where nothing is known of what it lies within. role: its word, or "". */
bool names_match(const struct settings_list *list, const char *name, const char *role);
#define NAMES_PATTERN_ROLES                                                                                            \
    "Inbox SentItems Drafts DeletedItems JunkEmail Archive All Flagged Important Calendar "                            \
    "Contacts Journal Notes Tasks Outbox"
/* A role form whose role is unknown, or NULL: for the batch file's check. */
const char *names_pattern_fault(const struct settings_list *list);

#endif
