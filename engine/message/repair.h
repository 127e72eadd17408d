/* Mends a message for a target that refuses it as it is: a filter over its bytes, in one pass and
 * in any pieces, that changes no more than it is told to. What was changed can be made again at any
 * time from the original, so the mended copy is kept nowhere. Pure; any bytes are fine.
 * exchange-online.md 1.7.
 */
#ifndef ENGINE_MESSAGE_REPAIR_H
#define ENGINE_MESSAGE_REPAIR_H

#include "engine/imap/values.h"

#include <stdint.h>

/* What is mended; the journal keeps these bits, so none ever gets another meaning. */
enum {
    REPAIR_LINE_ENDS = 1 << 0,    /* a bare LF or CR becomes CR LF */
    REPAIR_NUL = 1 << 1,          /* NUL bytes are left out */
    REPAIR_LONG_LINES = 1 << 2,   /* lines over REPAIR_LINE_BYTES are broken */
    REPAIR_HEADER_BYTES = 1 << 3, /* 8-bit bytes of the header become encoded words (RFC 2047) */
    REPAIR_HEADER_LINES = 1 << 4, /* lines of the header that are no field become one */
    REPAIR_HEADER_END = 1 << 5,   /* the empty line behind the header is put in */
    REPAIR_SHORT_LINES = 1 << 6,  /* lines over REPAIR_SHORT_LINE_BYTES are broken */
    REPAIR_RECEIPTS = 1 << 7,     /* fields that ask for a read receipt get other names */
    REPAIR_BODY_BITS = 0xFF,      /* the above change the message; those below what goes with it */
    REPAIR_ODD_KEYWORDS = 1 << 8, /* keywords that not every server takes are left out */
    REPAIR_KEYWORDS = 1 << 9,     /* all keywords are */
    REPAIR_DELETED = 1 << 10,     /* the flag \Deleted is */
    REPAIR_DATE = 1 << 11,        /* the date is: the target takes the present */
    REPAIR_FLAGS = 1 << 12,       /* the flags \Answered, \Flagged and \Draft are */
    REPAIR_SEEN = 1 << 13,        /* the flag \Seen is: the message is new */
    REPAIR_COUNT = 14
};

/* The longest line that Exchange takes for certain, and RFC 5322's; without CR LF. */
#define REPAIR_LINE_BYTES       9900u
#define REPAIR_SHORT_LINE_BYTES 998u

/* What a message has that servers refuse. */
struct repair_found {
    uint64_t longest_line; /* bytes, without its end */
    bool nul, bare_ends, header_bytes;
    bool header_lines; /* a line of the header is no field, and fields follow it */
    bool header_end;   /* no empty line, or text begins without one */
};

/* Looks at a message as it comes by. */
struct repair_scan;
struct repair_scan *repair_scan_create(void);
void repair_scan_add(struct repair_scan *scan, struct slice bytes);
/* Frees scan and nulls it. */
void repair_scan_end(struct repair_scan **scan, struct repair_found *found_r);

/* The next thing to try on a message that was refused with `text` when mended by `repairs`: these
 * and one more, the one that the server's words name, else the one that changes least. 0: nothing
 * is left that could help. */
unsigned repair_next(unsigned repairs, const struct repair_found *found, struct slice text);

/* What goes with a message. */
struct repair_envelope {
    struct slice keywords; /* separated by spaces */
    unsigned flags;        /* IMAP_FLAG_ bits */
    bool dated;
    int64_t date_seconds; /* since 1970-01-01 UTC */
};

/* The next thing to leave out of what goes with the message, likewise: these and one more. When: REPAIR_NAMED is for
 * what the server's words name, and keywords that not every server takes; REPAIR_ANYTHING for when nothing else helps,
 * though a date that every server can hold stays unless it is named: without it the message would be new, and so do
 * system flags; REPAIR_LAST for a message that is refused again while others are taken: they too. 0: nothing. */
enum repair_when { REPAIR_NAMED, REPAIR_ANYTHING, REPAIR_LAST };
unsigned repair_envelope_next(unsigned repairs, const struct repair_envelope *envelope, struct slice text,
                              enum repair_when when);
/* Of a message's system flags (IMAP_FLAG_ bits) those that it is sent with. */
unsigned repair_flags_sent(unsigned repairs, unsigned flags);

/* Only REPAIR_BODY_BITS count here. */
struct repair;
struct repair *repair_create(unsigned repairs);
void repair_destroy(struct repair **repair);
/* Adds the next bytes of the original, at most 64 KiB at a time so that what waits stays small. */
void repair_add(struct repair *repair, struct slice bytes);
/* There are no more. */
void repair_end(struct repair *repair);
/* Takes up to cap mended bytes; 0: more must be added, or all was taken. */
size_t repair_take(struct repair *repair, char *out, size_t cap);
/* From here on the bytes pass as they are: nothing that could still change anything is behind. */
bool repair_is_done(const struct repair *repair);

/* The word for one bit ("long-lines"), for reports, and what was done, for people; NULL for bits
 * that are none. */
const char *repair_word(unsigned bit);
const char *repair_meaning(unsigned bit);

#endif
