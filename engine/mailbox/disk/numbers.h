/* UIDs for the files of a Maildir folder: the list that this program keeps, and those of servers that it begins with.
 * Internal to engine/mailbox/maildir. Reads and writes a disk: helper threads only, and one at a time.
 */
#ifndef ENGINE_MAILBOX_MAILDIR_NUMBERS_H
#define ENGINE_MAILBOX_MAILDIR_NUMBERS_H

#include "engine/mailbox/maildir/view.h"

/* By the base names of two files: what stands before their flags. */
int numbers_base_order(struct slice a, struct slice b);
/* The text of a file of at most max_bytes, terminated, from malloc; "" where there is none. */
char *numbers_read_file(int folder, const char *name, size_t max_bytes);

/* Fills uids_r[i] for names[i], which are in the order of numbers_base_order, each base name once. Errors: of scope
 * RUN, origin STORE: they cannot be kept; of scope FOLDER, origin MAILDIR: none are left. */
bool numbers_give(const struct maildir_numbers *where, int folder, const char *const *names, uint32_t count,
                  uint32_t *uids_r, uint32_t *uidvalidity_r, uint32_t *uidnext_r, struct err *err_r) ERR_CHECK;

#endif
