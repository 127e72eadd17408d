/* Keywords as Courier keeps them beside a Maildir folder, in courierimapkeywords: ":list" has the words, an empty line,
 * and "BASE:0 2" for each message that has some; a file ".TIME.BASE" has a message's words, a line each, and counts in
 * place of what the list says, the one with the highest time first. Internal to engine/mailbox/disk. Reads a disk.
 */
#ifndef ENGINE_MAILBOX_DISK_COURIER_H
#define ENGINE_MAILBOX_DISK_COURIER_H

#include "io/base/slice.h"

struct courier_keywords;

/* NULL: the folder has none. */
struct courier_keywords *courier_keywords_read(int folder);
/* NULL is fine; nulls. */
void courier_keywords_destroy(struct courier_keywords **keywords);
/* Words with one space between, of the message whose file has this base name; empty: none. keywords may be NULL. */
struct slice courier_keywords_of(const struct courier_keywords *keywords, struct slice base);

#endif
