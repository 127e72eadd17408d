/* Cuts server output into logical lines, wherever the network cut it: a line ends with CR LF or LF
 * outside literals, and a literal's count is the only boundary inside (quirks B0 rule 1). Frames
 * only; what a line means is for `resp` and its peers. Large literals are never gathered: their
 * bytes go straight from the fed bytes to the owner. RFC 9051 2.2, 4.3.
 */
#ifndef ENGINE_IMAP_SCAN_H
#define ENGINE_IMAP_SCAN_H

#include "io/base/buf.h"
#include "io/base/err.h"
#include "io/base/slice.h"

#define SCAN_LINE_MAX     (256u * 1024)  /* text of one line without its literals */
#define SCAN_NUMBERS_MAX  (64u * 1024)   /* of SEARCH and ESEARCH lines, which list UIDs: a longer one comes in parts */
#define SCAN_LITERALS_MAX 64u            /* of one line that are asked about; more than any answer to us has */
#define SCAN_LITERAL_MAX  (64u * 1024)   /* one literal kept in memory */
#define SCAN_KEPT_MAX     (1024u * 1024) /* all literals of one line kept in memory */

enum scan_literal {
    SCAN_KEEP,  /* into the line; one over SCAN_LITERAL_MAX is dropped instead */
    SCAN_CUT,   /* into the line, its first SCAN_LITERAL_MAX bytes */
    SCAN_STREAM /* to literal_bytes; TOKEN_GONE stands in the line */
};

struct scan_events {
    /* A literal of size_bytes starts after `line`, which ends before its "{". Those behind SCAN_LITERALS_MAX others are
     * kept without a question: each is a look at all of the line. */
    enum scan_literal (*literal_begins)(void *context, struct slice line, uint64_t size_bytes);
    /* Bytes of a streamed literal, in order, borrowed from the fed bytes. */
    void (*literal_bytes)(void *context, struct slice bytes);
    /* The byte after a streamed literal cannot follow one: the count was wrong (B01, B03). */
    void (*literal_suspect)(void *context, struct slice line);
    /* One logical line without its line end, leading NULs taken off; never empty. Borrowed. A long SEARCH or ESEARCH
     * line comes as several that say the same together. */
    void (*line)(void *context, struct slice line);
};

enum scan_state { SCAN_TEXT, SCAN_GATHERING, SCAN_STREAMING, SCAN_DROPPING, SCAN_AFTER, SCAN_BROKEN };

/* Storage is the caller's; fields are scan's own. */
struct scan {
    const struct scan_events *events;
    void *context;
    struct buf line; /* what is held of an unfinished line */
    enum scan_state state;
    uint64_t literal_size; /* of the current or last literal */
    uint64_t literal_left; /* bytes of the current literal still to come */
    uint64_t drop_left;    /* of these, the last so many are dropped */
    size_t segment;        /* where in line the text after the last literal starts */
    size_t kept_bytes;     /* literals inside line */
    unsigned literals;     /* begun in line */
    bool streamed;         /* the last literal was streamed */
    size_t left;           /* fed bytes not looked at, once scan_stop was called */
    bool stop;
};

void scan_init(struct scan *scan, const struct scan_events *events, void *context);
void scan_deinit(struct scan *scan);
/* Returns false once the framing is lost, for good: PERMANENT/SESSION with the cap's name. */
bool scan_feed(struct scan *scan, struct slice bytes, struct err *err_r) ERR_CHECK;
/* Called from a callback: scan_feed returns true without looking at the bytes that are left.
 * scan->left counts them. */
void scan_stop(struct scan *scan);
/* Something unfinished is held: bytes of a line or a literal. */
bool scan_pending(const struct scan *scan);
/* Inside a literal's bytes. */
bool scan_in_literal(const struct scan *scan);

#endif
