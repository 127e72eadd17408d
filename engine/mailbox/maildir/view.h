/* The messages of one Maildir folder as they are at one moment, each with its UID. A Maildir has no numbers of its own,
 * so this program keeps them: in a file of the state folder, a line a message, by the base name of its file, which
 * stays the same when flags change. Numbers that Dovecot (dovecot-uidlist) or Courier (courierimapuiddb) had given are
 * taken over when a folder is seen first; from then on the own list alone counts, and what is new gets the next number.
 * A line is never dropped: a file that is away for a while comes back under its own number.
 *
 * All of this reads a disk: helper threads only. A view that is made does not change.
 */
#ifndef ENGINE_MAILBOX_MAILDIR_VIEW_H
#define ENGINE_MAILBOX_MAILDIR_VIEW_H

#include "engine/imap/values.h"
#include "io/base/err.h"

#include <stdatomic.h>

#define MAILDIR_KEYWORDS 26u /* letters a to z */

struct courier_keywords;

struct maildir_message {
    uint32_t uid;
    bool is_new;        /* in new/, else in cur/ */
    char *name;         /* of the file, its flags included */
    uint64_t bytes;     /* as IMAP counts them, by the name (W=); 0: not told */
};

struct maildir_view {
    atomic_uint holders;
    int cur, new; /* directories; -1: not there */
    uint32_t uidvalidity, uidnext;
    struct maildir_message *all; /* ascending UIDs */
    uint32_t count;
    char *keywords[MAILDIR_KEYWORDS]; /* of the letters, NULL: none */
    struct courier_keywords *courier; /* or NULL */
};

/* Where a folder's numbers are kept. */
struct maildir_numbers {
    const char *state_folder; /* its maildir/ has a file for each folder; NULL: none is read or written */
    const char *path;   /* of the user's tree, and the raw name: what the file's name is made of */
    struct slice name;
    bool keeps;         /* new numbers are written down; else they hold for this process only */
};

/* Looks at the folder (maildir_open_folder), which is closed. NULL: err_r, of scope FOLDER and origin MAILDIR; or of scope
 * RUN and origin STORE, when numbers cannot be kept. One hold is the caller's. */
struct maildir_view *maildir_look(int folder, const struct maildir_numbers *numbers, struct err *err_r);
struct maildir_view *maildir_view_hold(struct maildir_view *view);
/* Any thread. Nulls; NULL is fine. */
void maildir_view_drop(struct maildir_view **view);

/* The first message whose UID is at least this; count: none. */
uint32_t maildir_view_at(const struct maildir_view *view, uint32_t uid);
/* Opens a message's file, under whatever flags it has now. -1 with errno; ENOENT: it is gone. *name_r, when not NULL:
 * the name it has now, malloc'ed. */
int maildir_view_open(const struct maildir_view *view, const struct maildir_message *message, char **name_r);
/* Its flags by the name of its file, and its keywords; words: room for these, MAILDIR_WORDS_BYTES. */
#define MAILDIR_WORDS_BYTES (MAILDIR_KEYWORDS * 256u + 4400u)
void maildir_flags(const struct maildir_view *view, const char *name, char *words, struct imap_flags *flags_r);

#endif
