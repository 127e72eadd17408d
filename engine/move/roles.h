/* What a folder is for: inbox, sent, drafts, trash, junk, archive, all, flagged, important. By LIST
 * attributes, else by name in many languages. One table.
 */
#ifndef ENGINE_MOVE_ROLES_H
#define ENGINE_MOVE_ROLES_H

#include "engine/imap/values.h"

/* The role's word, "" when there is none. name: UTF-8 path as names_describe gives it. */
const char *roles_find(unsigned attributes, const char *name);
/* True when the attributes alone name a role. */
bool roles_by_attribute(unsigned attributes);
/* The role that Exchange's well-known word means ("JunkEmail" -> "junk"), or NULL. */
const char *roles_of_well_known(struct slice word);

#endif
