/* The folders of a Maildir++ tree, as Dovecot and Courier write it: the INBOX is the tree itself, each other folder a
 * directory in it whose name is a point and the folder's name, its levels divided by points. Every call reads a disk:
 * helper threads only. No link below the batch file's own part of the path is followed.
 */
#ifndef ENGINE_MAILBOX_DISK_MAILDIR_TREE_H
#define ENGINE_MAILBOX_DISK_MAILDIR_TREE_H

#include "engine/mailbox/disk/layout.h"

/* One folder of it, by its raw name; INBOX in any case. Errors as above, of scope FOLDER. */
int maildir_open_folder(int tree, struct slice name, struct err *err_r);

/* In order of their names. Errors: that none is there, or the tree cannot be read; as above. */
bool maildir_list(int tree, struct disk_rows *rows_r, struct err *err_r) ERR_CHECK;

#endif
