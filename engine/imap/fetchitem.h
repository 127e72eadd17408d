/* The attributes of one FETCH response, in any order, repeated, known or not. Values that are no
 * values (quirks F17-F24) leave their field unknown and cost nothing else. RFC 9051 7.5.2;
 * X-GM-EXT-1; RFC 8474 (EMAILID).
 */
#ifndef ENGINE_IMAP_FETCHITEM_H
#define ENGINE_IMAP_FETCHITEM_H

#include "engine/imap/values.h"
#include "io/base/buf.h"

enum fetchitem_present {
    FETCHITEM_UID = 1 << 0,
    FETCHITEM_FLAGS = 1 << 1,
    FETCHITEM_DATE = 1 << 2,
    FETCHITEM_SIZE = 1 << 3,
    FETCHITEM_HEADER = 1 << 4, /* BODY[HEADER.FIELDS (...)] */
    FETCHITEM_BODY = 1 << 5    /* BODY[], BODY[HEADER], BODY[TEXT], RFC822..., BINARY[] */
};

/* What of a message a body item is. */
enum fetchitem_section { FETCHITEM_WHOLE, FETCHITEM_HEAD, FETCHITEM_TEXT, FETCHITEM_OTHER };

enum fetchitem_body { FETCHITEM_BODY_NONE, FETCHITEM_BODY_NIL, FETCHITEM_BODY_BYTES, FETCHITEM_BODY_STREAMED };

struct fetchitem {
    unsigned present;            /* items named, whether their value was any good or not */
    struct imap_message_row row; /* uid 0: none told */
    enum fetchitem_body body;
    struct slice body_bytes;        /* for BYTES; in the line or in scratch */
    enum fetchitem_section section; /* of that body */
    uint64_t origin;                /* n of BODY[]<n> */
    struct slice pending;           /* of a line cut at a literal: the item whose value the literal is */
};

/* rest: what follows "* n FETCH". open: the line was cut before a literal; then the item it belongs
 * to is in pending. scratch: keeps rewritten flags and strings, valid until it is next used. False
 * when the structure does not hold (what was read before stays filled in). */
bool fetchitem_parse(struct fetchitem *item_r, struct slice rest, bool open, struct buf *scratch);
/* Whether an item name asks for a message body, and its origin ("BODY[]<512>"). */
bool fetchitem_is_body(struct slice name, uint64_t *origin_r);
bool fetchitem_is_header(struct slice name);
/* Of an item that is a body: "BODY[TEXT]" and "RFC822.TEXT" are FETCHITEM_TEXT. */
enum fetchitem_section fetchitem_section(struct slice name);

/* "(\Seen $Forwarded)", NIL, or what servers make of it. Takes the list from rest; false when none
 * starts there. keywords point into scratch, whose content is kept and appended to; only atoms are among
 * them, and no more than keywords_max bytes with the spaces between: what is left out is counted. */
bool fetchitem_flags(struct slice *rest, struct imap_flags *flags_r, struct buf *scratch, size_t keywords_max);

#endif
