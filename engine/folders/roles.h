/* What a folder is for: inbox, sent, drafts, trash, junk, archive, all, flagged, important. By LIST
 * attributes (SPECIAL-USE or XLIST), else by name in many languages. And which names Exchange keeps
 * for what is no mail.
 */
#ifndef ENGINE_FOLDERS_ROLES_H
#define ENGINE_FOLDERS_ROLES_H

#include "engine/folders/roles_words.h"
#include "engine/imap/values.h"

/* The role's word, "" when there is none. name: UTF-8 path as names_describe gives it. */
const char *roles_find(unsigned attributes, const char *name);
/* True when the attributes alone name a role. */
bool roles_by_attribute(unsigned attributes);
/* How good a claim a name has to its role: its place in the list, 0 first; UINT_MAX: none. */
unsigned roles_rank(const char *name);
/* ROLE_NONE for "" and for what is no role's word. */
enum role roles_of_word(const char *word);
/* The role that Exchange's well-known word means ("JunkEmail", "Calendar"), or ROLE_NONE. */
enum role roles_of_well_known(struct slice word);
/* What Exchange calls the role's folder where nothing tells otherwise; NULL for roles it lacks. */
const char *roles_exchange_name(enum role role);
/* A name of the first level that Exchange keeps for itself or for what is no mail, in any of its
 * languages: ROLE_CALENDAR .. ROLE_KEPT, else ROLE_NONE. */
enum role roles_reserved(struct slice name);

#endif
