/* The folders of a Maildir++ tree, as Dovecot and Courier write it: the INBOX is the tree itself, each other folder a
 * directory in it whose name is a point and the folder's name, its levels divided by points. Every call reads a disk:
 * helper threads only. No link below the batch file's own part of the path is followed.
 */
#ifndef ENGINE_MAILBOX_MAILDIR_TREE_H
#define ENGINE_MAILBOX_MAILDIR_TREE_H

#include "engine/imap/values.h"
#include "io/base/err.h"

/* The path of the user's tree: pattern with {user}, {local} and {domain} filled in (what stands before and behind
 * the last "@" of user). False where user has a part that could lead elsewhere: empty, with "/", or beginning with a
 * point; PERMANENT/ACCOUNT, origin MAILDIR. *path_r: malloc'ed. */
bool maildir_path(const char *pattern, const char *user, char **path_r, struct err *err_r) ERR_CHECK;
/* Opens the tree: components from the first one that has a "{" on are not followed where they are links. -1: err_r,
 * PERMANENT/ACCOUNT (not there, no right) or TRANSIENT/ACCOUNT, origin MAILDIR. */
int maildir_open_tree(const char *pattern, const char *user, struct err *err_r);
/* One folder of it, by its raw name; INBOX in any case. Errors as above, of scope FOLDER. */
int maildir_open_folder(int tree, struct slice name, struct err *err_r);

struct maildir_row {
    char *name; /* raw */
    unsigned attributes;
};
struct maildir_rows {
    struct maildir_row *all;
    unsigned count;
};
/* In order of their names. Errors: that none is there, or the tree cannot be read; as above. */
bool maildir_list(int tree, struct maildir_rows *rows_r, struct err *err_r) ERR_CHECK;
void maildir_rows_deinit(struct maildir_rows *rows);

#endif
