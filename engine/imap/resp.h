/* One logical line of server output as a typed reply: tagged, untagged status, untagged data,
 * continuation, or a line that is none of these (quirks F01, F04). Slices point into the line.
 * RFC 9051 7; response codes: RFC 5530 and the extensions that define them.
 */
#ifndef ENGINE_IMAP_RESP_H
#define ENGINE_IMAP_RESP_H

#include "io/base/slice.h"

enum resp_kind {
    RESP_TAGGED,   /* tag, status, code, text */
    RESP_STATUS,   /* "* OK|NO|BAD|BYE|PREAUTH": status, code, text */
    RESP_DATA,     /* "* ...": data, number, rest */
    RESP_CONTINUE, /* "+": text */
    RESP_UNKNOWN   /* text is the whole line; foreign: status, too */
};

enum resp_status { RESP_OK, RESP_NO, RESP_BAD, RESP_BYE, RESP_PREAUTH };

enum resp_data {
    RESP_EXISTS,
    RESP_RECENT,
    RESP_EXPUNGE,
    RESP_FETCH,
    RESP_UIDFETCH,
    RESP_LIST,
    RESP_LSUB,
    RESP_XLIST,
    RESP_MAILBOX_STATUS,
    RESP_SEARCH,
    RESP_ESEARCH,
    RESP_FLAGS,
    RESP_CAPABILITY,
    RESP_NAMESPACE,
    RESP_QUOTA,
    RESP_ENABLED,
    RESP_ID,
    RESP_OTHER
};

struct resp {
    enum resp_kind kind;
    enum resp_status status;
    enum resp_data data;
    uint32_t tag;                 /* number of one of our tags ("a17"), 0 for none of them */
    bool foreign;                 /* it has the form of a tagged answer, with a tag that is none of ours */
    bool has_number;              /* "* n FETCH" and its like: */
    uint64_t number;              /* UINT64_MAX: digits that no number has; 0 without any */
    struct slice code, code_args; /* "APPENDUID", "1 2"; empty when there is no code */
    struct slice text;
    struct slice rest; /* what follows the keyword of data */
    bool throttled;    /* text ends in [THROTTLED] (quirk T03) */
};

void resp_parse(struct resp *resp_r, struct slice line);
bool resp_has_code(const struct resp *resp, const char *code);

#endif
