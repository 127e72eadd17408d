/* The contract of engine/mailbox/source on a disk: `maildir:/srv/mail/{user}`, `mbox:/srv/mail/{user}`. What a loop
 * asks is done by helper threads (io/chore), a command after the other and a piece of a body after the other, since a
 * disk may make any call wait. Nothing in the tree is written, renamed or marked. One loop's thread.
 */
#ifndef ENGINE_MAILBOX_DISK_DISK_H
#define ENGINE_MAILBOX_DISK_DISK_H

#include "engine/mailbox/source.h"
#include "io/loop.h"

struct disk;

struct disk_config {
    bool is_mbox;        /* else Maildir++ */
    const char *pattern; /* as disk_open_path wants it */
    const char *user;
    const char *state_folder; /* in whose folder maildir/ the UIDs are kept, or NULL */
    bool keeps_numbers;
};

struct disk_events {
    /* Commands may be begun; the tree may turn out not to be there. Never from inside disk_open. */
    void (*ready)(void *context);
    /* It is over and frees itself after this call, which comes once and never from inside another; all commands have
     * ended before. ready_before: `ready` had come. */
    void (*closed)(void *context, const struct err *err, bool ready_before);
};

/* Texts of config are copied; memory, in which lists are counted (or NULL), and events are borrowed until `closed`. */
struct disk *disk_open(struct loop *loop, const struct disk_config *config, struct quota_part *memory,
                       const struct disk_events *events, void *context);
struct source *disk_source(struct disk *maildir);
bool disk_is_ready(const struct disk *maildir);
/* Ends it: what is under way ends with CANCELED, then `closed`. */
void disk_close(struct disk *maildir);
/* The same, once what was begun has ended. */
void disk_finish(struct disk *maildir);
/* Off: no piece of a body is given any more, but for the one that is being read, until on. */
void disk_want_read(struct disk *maildir, bool on);

#endif
