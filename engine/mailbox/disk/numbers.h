/* UIDs for the files of a Maildir folder: the list that this program keeps, and those of servers that it begins with.
 * Internal to engine/mailbox/disk. Reads and writes a disk: helper threads only, and one at a time.
 */
#ifndef ENGINE_MAILBOX_DISK_NUMBERS_H
#define ENGINE_MAILBOX_DISK_NUMBERS_H

#include "engine/mailbox/disk/layout.h"

/* By the base names of two files: what stands before their flags. */
int numbers_base_order(struct slice a, struct slice b);
/* The text of a file of at most max_bytes, terminated, from malloc; "" where there is none. */
char *numbers_read_file(int folder, const char *name, size_t max_bytes);

/* The path of the file in which a folder's numbers are kept, of malloc; there is a state folder. */
char *numbers_file(const struct disk_numbers *where);

/* What a server had given, where it stands with the messages themselves: by place in names. */
struct numbers_servers {
    uint32_t uidvalidity, uidnext; /* 0: none */
    const uint32_t *uids;          /* 0: none */
    const uint64_t *turns;         /* those that have no number get theirs in this order */
};

/* Fills uids_r[i] for names[i], which are in the order of numbers_base_order, each base name once. servers NULL: what
 * the folder's own files of Dovecot and Courier tell. Errors: of scope RUN, origin STORE: they cannot be kept; of scope
 * FOLDER, origin MAILDIR: none are left. */
bool numbers_give(const struct disk_numbers *where, int folder, const struct numbers_servers *servers,
                  const char *const *names, uint32_t count, uint32_t *uids_r, uint32_t *uidvalidity_r,
                  uint32_t *uidnext_r, struct err *err_r) ERR_CHECK;

#endif
