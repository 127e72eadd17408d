/* Plain values that IMAP answers consist of, shared by the parsers of this folder and by
 * engine/move. No code but trivial helpers; nothing here owns memory.
 */
#ifndef ENGINE_IMAP_VALUES_H
#define ENGINE_IMAP_VALUES_H

#include "io/base/slice.h"

/* System flags as bits; keywords travel beside them as text. RFC 9051 2.3.2 */
enum imap_flag {
    IMAP_FLAG_SEEN = 1 << 0,
    IMAP_FLAG_ANSWERED = 1 << 1,
    IMAP_FLAG_FLAGGED = 1 << 2,
    IMAP_FLAG_DELETED = 1 << 3,
    IMAP_FLAG_DRAFT = 1 << 4,
    IMAP_FLAG_RECENT = 1 << 5,  /* never sent */
    IMAP_FLAG_WILDCARD = 1 << 6 /* "\*", only in PERMANENTFLAGS */
};

struct imap_flags {
    unsigned system;       /* IMAP_FLAG_ bits */
    struct slice keywords; /* atoms separated by one space; unknown \Flags are left out */
    unsigned dropped;      /* keywords that were told and are not among them: no atoms, or too many */
};

/* INTERNALDATE: the instant and the zone it was written in, so that it can be sent back as it
 * came. */
struct imap_date {
    int64_t seconds;      /* since 1970-01-01 UTC */
    int16_t zone_minutes; /* east of UTC, -840..840 */
    bool known;
};

/* Attributes of a LIST row. RFC 9051 7.3.1, RFC 6154; XLIST's old names are folded in. */
enum imap_mailbox_attribute {
    IMAP_MAILBOX_NOSELECT = 1 << 0, /* also \NonExistent */
    IMAP_MAILBOX_NOINFERIORS = 1 << 1,
    IMAP_MAILBOX_SUBSCRIBED = 1 << 2,
    IMAP_MAILBOX_NONEXISTENT = 1 << 3,
    IMAP_MAILBOX_HAS_CHILDREN = 1 << 4,
    IMAP_MAILBOX_HAS_NO_CHILDREN = 1 << 5,
    IMAP_MAILBOX_ALL = 1 << 8,
    IMAP_MAILBOX_ARCHIVE = 1 << 9,
    IMAP_MAILBOX_DRAFTS = 1 << 10,
    IMAP_MAILBOX_FLAGGED = 1 << 11,
    IMAP_MAILBOX_JUNK = 1 << 12,
    IMAP_MAILBOX_SENT = 1 << 13,
    IMAP_MAILBOX_TRASH = 1 << 14,
    IMAP_MAILBOX_IMPORTANT = 1 << 15,
    IMAP_MAILBOX_INBOX = 1 << 16
};

/* One folder as LIST showed it. Slices are borrowed for the callback. */
struct imap_list_row {
    struct slice name;   /* raw, as SELECT wants it (modified UTF-7 or UTF-8 bytes) */
    char delimiter;      /* '\0' for NIL */
    unsigned attributes; /* IMAP_MAILBOX_ bits */
};

/* STATUS and SELECT numbers; has tells which were given. */
enum imap_status_item {
    IMAP_STATUS_MESSAGES = 1 << 0,
    IMAP_STATUS_UIDNEXT = 1 << 1,
    IMAP_STATUS_UIDVALIDITY = 1 << 2,
    IMAP_STATUS_HIGHESTMODSEQ = 1 << 3,
    IMAP_STATUS_SIZE = 1 << 4,
    IMAP_STATUS_APPENDLIMIT = 1 << 5
};
struct imap_status {
    unsigned has; /* IMAP_STATUS_ bits */
    uint32_t messages, uidnext, uidvalidity;
    uint64_t highestmodseq, size_bytes, appendlimit_bytes;
};

/* One root of a mailbox's quota: what it bounds that interests a migration. RFC 9208 5 */
enum imap_quota_item { IMAP_QUOTA_STORAGE = 1 << 0, IMAP_QUOTA_MESSAGES = 1 << 1 };
struct imap_quota {
    unsigned has; /* IMAP_QUOTA_ bits: the fields that were told */
    uint64_t used_bytes, limit_bytes;
    uint64_t used_messages, limit_messages;
};

/* What SELECT or EXAMINE told. permanent is borrowed for the callback. */
struct imap_selected {
    struct imap_status status; /* messages is EXISTS; valid at the tagged OK (quirk S01) */
    struct imap_flags permanent;
    bool has_permanent, read_only, uid_not_sticky;
    bool exists_told; /* else it did not come, or with what is no number (S02): messages is not in status.has */
};

/* The highest UID that can be asked for: in a set the next one is how "*" is kept here, and behind it no
 * UIDNEXT can be told. A server that gives it has told a number that is none. */
#define SESSION_UID_MAX (UINT32_MAX - 1u)

/* One row of a listing pass. Slices are borrowed for the callback. */
struct imap_message_row {
    uint32_t uid; /* never 0 */
    bool has_flags, has_size;
    bool has_header; /* the header came, and was not NIL */
    struct imap_flags flags;
    struct imap_date date;
    uint64_t size_bytes;         /* RFC822.SIZE: a server's estimate, never an equality check */
    struct slice header;         /* of header passes, else empty; at most 64 KiB */
    uint64_t gm_msgid, gm_thrid; /* X-GM-EXT-1, 0 when absent */
    struct slice gm_labels;      /* raw list content, or empty */
    struct slice email_id;       /* OBJECTID, or empty */
};

#endif
