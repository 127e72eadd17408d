/* The contract of engine/mailbox/source on a Maildir tree: `maildir:/srv/mail/{user}`. What a loop asks is done by
 * helper threads (io/chore), a command after the other and a piece of a body after the other, since a disk may make
 * any call wait. Nothing in the tree is written, renamed or marked. One loop's thread.
 */
#ifndef ENGINE_MAILBOX_MAILDIR_MAILDIR_H
#define ENGINE_MAILBOX_MAILDIR_MAILDIR_H

#include "engine/mailbox/source.h"
#include "io/loop.h"

struct maildir;

struct maildir_config {
    const char *pattern; /* as maildir_open_tree wants it */
    const char *user;
    const char *state_folder; /* in whose folder maildir/ the UIDs are kept, or NULL */
    bool keeps_numbers;
};

struct maildir_events {
    /* Commands may be begun; the tree may turn out not to be there. Never from inside maildir_open. */
    void (*ready)(void *context);
    /* It is over and frees itself after this call, which comes once and never from inside another; all commands have
     * ended before. ready_before: `ready` had come. */
    void (*closed)(void *context, const struct err *err, bool ready_before);
};

/* Texts of config are copied; memory, in which lists are counted (or NULL), and events are borrowed until `closed`. */
struct maildir *maildir_open(struct loop *loop, const struct maildir_config *config, struct quota_part *memory,
                             const struct maildir_events *events, void *context);
struct source *maildir_source(struct maildir *maildir);
bool maildir_is_ready(const struct maildir *maildir);
/* Ends it: what is under way ends with CANCELED, then `closed`. */
void maildir_close(struct maildir *maildir);
/* The same, once what was begun has ended. */
void maildir_finish(struct maildir *maildir);
/* Off: no piece of a body is given any more, but for the one that is being read, until on. */
void maildir_want_read(struct maildir *maildir, bool on);

#endif
