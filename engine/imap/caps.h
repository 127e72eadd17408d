/* Capability bits of a connection in one of its states (greeting, after TLS, after login); the set
 * is replaced at each step, never merged. RFC 9051 6.1.1; names are compared without case.
 */
#ifndef ENGINE_IMAP_CAPS_H
#define ENGINE_IMAP_CAPS_H

#include "io/base/slice.h"

enum cap {
    CAP_IMAP4REV1,
    CAP_IMAP4REV2,
    CAP_STARTTLS,
    CAP_LOGINDISABLED,
    CAP_SASL_IR,
    CAP_ID,
    CAP_ENABLE,
    CAP_NAMESPACE,
    CAP_CHILDREN,
    CAP_LIST_EXTENDED,
    CAP_LIST_STATUS,
    CAP_SPECIAL_USE,
    CAP_XLIST,
    CAP_STATUS_SIZE,
    CAP_OBJECTID,
    CAP_ACL,
    CAP_QUOTA,
    CAP_UIDPLUS,
    CAP_UNSELECT,
    CAP_CONDSTORE,
    CAP_QRESYNC,
    CAP_ESEARCH,
    CAP_LITERAL_PLUS,
    CAP_LITERAL_MINUS,
    CAP_MULTIAPPEND,
    CAP_APPENDLIMIT,
    CAP_COMPRESS_DEFLATE,
    CAP_BINARY,
    CAP_UTF8_ACCEPT,
    CAP_UTF8_ONLY,
    CAP_IDLE,
    CAP_MOVE,
    CAP_PARTIAL,
    CAP_UIDONLY,
    CAP_MESSAGELIMIT,
    CAP_INPROGRESS,
    CAP_X_GM_EXT_1,
    CAP_AUTH_PLAIN,
    CAP_AUTH_LOGIN,
    CAP_AUTH_CRAM_MD5,
    CAP_AUTH_SCRAM_SHA_1,
    CAP_AUTH_SCRAM_SHA_1_PLUS,
    CAP_AUTH_SCRAM_SHA_256,
    CAP_AUTH_SCRAM_SHA_256_PLUS,
    CAP_AUTH_XOAUTH2,
    CAP_AUTH_OAUTHBEARER,
    CAP_AUTH_EXTERNAL,
    CAP_AUTH_OTHER,
    CAP_UNAUTHENTICATE,
    CAP_PROXYAUTH,
    CAP_XAPPLEPUSHSERVICE,
    CAP_COUNT
};

struct caps {
    uint64_t bits[(CAP_COUNT + 63) / 64];
    uint64_t appendlimit_bytes; /* APPENDLIMIT=n, 0 when none was named */
    uint32_t messagelimit;      /* MESSAGELIMIT=n, 0 when none */
    bool uidonly_is_x;          /* UIDONLY is offered as X-UIDONLY and under no other name */
    char text[1024];            /* the words as sent, printable, cut */
};

static inline bool caps_has(const struct caps *caps, enum cap cap)
{
    return (caps->bits[cap / 64] >> (cap % 64)) & 1;
}

/* Answers tell the UIDs of what was stored, and UID EXPUNGE is known (RFC 4315; RFC 9051 has both). */
static inline bool caps_have_uidplus(const struct caps *caps)
{
    return caps_has(caps, CAP_UIDPLUS) || caps_has(caps, CAP_IMAP4REV2);
}

/* Replaces the set by the words of a CAPABILITY line or code; unknown and empty words are fine. */
void caps_parse(struct caps *caps, struct slice words);
void caps_clear(struct caps *caps);
/* The canonical spelling ("LITERAL+"). */
const char *caps_name(enum cap cap);

#endif
