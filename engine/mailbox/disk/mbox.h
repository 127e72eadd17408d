/* mbox files: one file a folder, a message after the other, each behind a line that begins with "From " (RFC 4155).
 * Lines of a message that would look like one have a ">" before them, which is taken away (mboxrd); headers in which
 * servers keep flags, keywords and UIDs are read and not shown, as Dovecot and UW IMAP do. Internal to
 * engine/mailbox/disk. All of it reads a disk: helper threads only.
 */
#ifndef ENGINE_MAILBOX_DISK_MBOX_H
#define ENGINE_MAILBOX_DISK_MBOX_H

#include "engine/mailbox/disk/layout.h"

/* ---- mbox_filter.c ---- */

/* As disk_layout's filter. */
size_t mbox_filter(struct disk_filter *f, const char *in, size_t size, bool last, char *out);
/* A header in which a server keeps its own; it is none of the message's. */
bool mbox_is_hidden(struct slice name);

/* ---- mbox_scan.c ---- */

/* Whether the line (without its end) parts two messages; its date, in this process's zone (TZ)
 * where it names none, as the programs do that write such lines. */
bool mbox_is_from_line(struct slice line, int64_t *seconds_r);

struct mbox_found {
    uint64_t at, raw_bytes; /* in the file */
    uint64_t bytes;         /* as IMAP counts them */
    int64_t seconds;
    unsigned system; /* IMAP_FLAG_ bits */
    char *words;     /* keywords, malloc'ed, or NULL */
    uint32_t uid;    /* X-UID; 0: none */
    bool internal;   /* what a server keeps of the folder, no mail */
    char digest[33]; /* of what IMAP would send */
};

struct mbox_scan {
    struct mbox_found *all; /* in the file's order */
    uint32_t count;
    uint32_t uidvalidity, uidnext; /* of X-IMAPbase or X-IMAP; 0: none */
};
/* Reads the first bytes of the file. False: errno, or errno 0: it is no mbox. */
bool mbox_scan(int fd, uint64_t bytes, struct mbox_scan *scan_r);
void mbox_scan_deinit(struct mbox_scan *scan);
/* The digest of one message. False: errno. */
bool mbox_digest(int fd, uint64_t at, uint64_t raw_bytes, char digest_r[33]);

/* ---- mbox_tree.c ---- */

/* tree: a folder whose files are mbox files and whose folders are levels, or one such file, which is the INBOX. */
bool mbox_list(int tree, struct disk_rows *rows_r, struct err *err_r) ERR_CHECK;
/* Opens a folder's file. -1: err_r, of scope FOLDER; TRANSIENT while another program writes it. */
int mbox_open(int tree, struct slice name, struct err *err_r);

/* Returns false, with what is wrong with a folder. */
bool mbox_refuse(struct err *err_r, enum err_class class, int error, struct slice name, const char *why);

#endif
