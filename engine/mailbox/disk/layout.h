/* How mail lies on a disk: what Maildir trees and mbox files have in common, and what each does by itself. Internal to
 * engine/mailbox/disk. All of it reads a disk: helper threads only.
 */
#ifndef ENGINE_MAILBOX_DISK_LAYOUT_H
#define ENGINE_MAILBOX_DISK_LAYOUT_H

#include "engine/imap/values.h"
#include "io/base/err.h"

#include <stdatomic.h>

struct disk_layout;

struct disk_row {
    char *name; /* raw */
    unsigned attributes;
};
struct disk_rows {
    struct disk_row *all;
    unsigned count;
};

struct disk_message {
    uint32_t uid;
    char *name;             /* of the file, its flags included; of a message in an mbox: by its contents */
    uint64_t bytes;         /* as IMAP counts them, when that is known without reading it; else 0 */
    bool is_new;            /* Maildir: in new/, else in cur/ */
    uint64_t at, raw_bytes; /* mbox: where it stands in the file, its "From " line not included */
    int64_t seconds;        /* mbox: by that line; INT64_MIN: it tells none */
    unsigned system;        /* mbox: IMAP_FLAG_ bits */
    char *words;            /* mbox: keywords, or NULL */
};

/* The messages of one folder as they are at one moment, each with its UID. A view that is made does not change. */
struct disk_view {
    const struct disk_layout *layout;
    atomic_uint holders;
    uint32_t uidvalidity, uidnext;
    struct disk_message *all; /* ascending UIDs */
    uint32_t count;
};

/* Where a folder's numbers are kept. */
struct disk_numbers {
    const char *state_folder; /* its maildir/ has a file for each folder; NULL: none is read or written */
    const char *path;         /* of the user's tree, and the raw name: what the file's name is made of */
    struct slice name;
    bool keeps; /* new numbers are written down; else they hold for this process only */
};

/* A message that was opened: these bytes of a file. */
struct disk_part {
    int fd; /* the caller's to close */
    uint64_t at, raw_bytes;
    int64_t seconds; /* its INTERNALDATE; INT64_MIN: not known */
};

/* From a file's bytes to a message's as IMAP sends it, piece by piece; zeroed before the first. */
struct disk_filter {
    bool after_cr;                                     /* the last byte was one */
    bool behind_header, within_line, hides, of_header; /* mbox */
    unsigned quotes, held; /* mbox: ">" and bytes that may become "From ", or a header's name */
    char text[24];
};
/* So many bytes more than it was given come out of a filter at most, besides twice what it was given. */
#define DISK_FILTER_MORE 1100u

struct disk_layout {
    const char *word; /* "Maildir" */
    enum err_origin origin;

    /* Opens what a user has. -1: err_r, PERMANENT/ACCOUNT (not there, no right) or TRANSIENT/ACCOUNT. */
    int (*open)(const char *pattern, const char *user, struct err *err_r);
    /* Its folders in order of their names; delimiter: of levels in them. Errors as above. */
    bool (*list)(int tree, struct disk_rows *rows_r, struct err *err_r);
    char delimiter;
    /* A folder of it. NULL: err_r, of scope FOLDER; or of scope RUN and origin STORE when numbers cannot be kept. One
     * hold is the caller's. */
    struct disk_view *(*look)(int tree, struct slice name, const struct disk_numbers *numbers, struct err *err_r);
    bool sizes_exact; /* a message's bytes were counted by the look; else they are what the name of its file says */
    /* Its numbers alone where these can be had for less than a look: false where they cannot. NULL: never. */
    bool (*numbers)(int tree, struct slice name, const struct disk_numbers *numbers, struct imap_status *status_r);
    /* Frees what is its own of the view, and the view. */
    void (*drop)(struct disk_view *view);
    /* Opens a message, under whatever flags it has now; words keeps its keywords (DISK_WORDS_BYTES). Both may be NULL.
     * False: errno; ENOENT: it is gone; ESTALE: the file has changed by now. */
    bool (*message)(const struct disk_view *view, const struct disk_message *message, struct disk_part *part_r,
                    char *words, struct imap_flags *flags_r);
    /* After the last byte was read: whether it still is what it was when it was opened. */
    bool (*same)(const struct disk_view *view, const struct disk_message *message, const struct disk_part *part);
    /* Bytes that came out, at most 2 * size + DISK_FILTER_MORE. last: nothing follows, what was held back is given. */
    size_t (*filter)(struct disk_filter *filter, const char *in, size_t size, bool last, char *out);
};
#define DISK_WORDS_BYTES (26u * 256u + 4400u)

extern const struct disk_layout maildir_layout, mbox_layout;

struct disk_view *disk_view_hold(struct disk_view *view);
/* Any thread. Nulls; NULL is fine. */
void disk_view_drop(struct disk_view **view);
/* The first message whose UID is at least this; count: none. */
uint32_t disk_view_at(const struct disk_view *view, uint32_t uid);
void disk_rows_deinit(struct disk_rows *rows);

/* The path of what the user has: pattern with {user}, {local} and {domain} filled in (what stands before and behind
 * the last "@" of user). False where user has a part that could lead elsewhere: empty, with "/", or beginning with a
 * point; PERMANENT/ACCOUNT, of the layout's origin. *path_r: malloc'ed. */
bool disk_path(const struct disk_layout *layout, const char *pattern, const char *user, char **path_r,
               struct err *err_r) ERR_CHECK;
/* Opens it by flags: components from the first one that has a "{" on are not followed where they are links. -1: err_r,
 * PERMANENT/ACCOUNT (not there, no right) or TRANSIENT/ACCOUNT. */
int disk_open_path(const struct disk_layout *layout, const char *pattern, const char *user, int flags,
                   struct err *err_r);
/* err_r of a path that cannot be opened: a folder that is not there, or not for us, stays so; what the disk says
 * otherwise may pass. */
void disk_refuse(const struct disk_layout *layout, struct err *err_r, enum err_scope scope, int error,
                 const char *path);
/* The first half of a SHA-256 in hexadecimal. */
void disk_hex(const unsigned char *digest, char text_r[33]);
/* As IMAP wants it: each line ends in CR LF. */
size_t disk_line_ends(struct disk_filter *filter, const char *in, size_t size, char *out);

#endif
