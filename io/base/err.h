/* The error value: one flat struct from the socket to the report.
 *
 * Every function that can fail returns bool, carries ERR_CHECK, and fills its last parameter
 * `struct err *err_r` only on failure. The lowest layer that knows sets origin and code; the layer
 * that knows the task sets `doing` and scope. What to do about an error is decided in one place,
 * engine/failure/trouble. This module only holds and prints values; it does not log.
 */
#ifndef IO_BASE_ERR_H
#define IO_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ERR_CHECK __attribute__((warn_unused_result))

enum err_class {
    ERR_CLASS_NONE,      /* no error */
    ERR_CLASS_TRANSIENT, /* the same request may work later */
    ERR_CLASS_THROTTLED, /* the server asks to slow down; flow control, not a failure */
    ERR_CLASS_UNCERTAIN, /* the request may or may not have taken effect: look before repeating */
    ERR_CLASS_PERMANENT, /* the same request will fail again */
    ERR_CLASS_CANCELED,  /* we stopped it */
    ERR_CLASS_COUNT
};

enum err_scope {
    ERR_SCOPE_MESSAGE, /* one message; the folder goes on */
    ERR_SCOPE_FOLDER,  /* one folder; the account goes on */
    ERR_SCOPE_SESSION, /* one connection; the account may go on over another */
    ERR_SCOPE_ACCOUNT, /* one user; the others go on */
    ERR_SCOPE_RUN,     /* the whole run */
    ERR_SCOPE_COUNT
};

enum err_origin {
    ERR_ORIGIN_OS,       /* code is an errno */
    ERR_ORIGIN_DNS,      /* code is an EAI_ value */
    ERR_ORIGIN_TLS,      /* code is an X509_V_ERR_ value, or 0 */
    ERR_ORIGIN_PROTOCOL, /* the peer broke its protocol, or an answer did not come in time */
    ERR_ORIGIN_NO,       /* tagged NO */
    ERR_ORIGIN_BAD,      /* tagged BAD */
    ERR_ORIGIN_BYE,      /* untagged BYE */
    ERR_ORIGIN_STORE,    /* code is an LMDB or zstd error, or an errno */
    ERR_ORIGIN_CONFIG,   /* batch file, users.csv or option */
    ERR_ORIGIN_TOKEN,    /* OAuth token request; code is the AADSTS number, or 0 */
    ERR_ORIGIN_MAILDIR,  /* a Maildir that is the source; code is an errno, or 0 */
    ERR_ORIGIN_MBOX,     /* likewise an mbox */
    ERR_ORIGIN_COUNT
};

/* Flat: copied by value, nobody frees it. Strings are always terminated and printable. */
struct err {
    enum err_class class;
    enum err_scope scope;
    enum err_origin origin;
    int code;              /* meaning by origin */
    uint32_t wait_ms;      /* THROTTLED: the wait the server named, 0 when it named none */
    char resp_code[24];    /* IMAP response code without brackets ("OVERQUOTA"), or "" */
    char doing[96];        /* what was tried ("APPEND to Sent"), or "" */
    char server_text[256]; /* the peer's or the system's words */
};

/* Fills *e with class, scope, origin, code and a printf-style text; clears the other fields.
 * Always returns false, so that a function can end in `return err_set(...)`. */
bool err_set(struct err *e, enum err_class class, enum err_scope scope, enum err_origin origin, int code,
             const char *format, ...) __attribute__((format(printf, 6, 7)));

/* The same for a failed system call: origin OS, text strerror(error). Returns false. */
bool err_set_os(struct err *e, enum err_class class, enum err_scope scope, int error, const char *doing);

/* Sets `doing` (printf-style, cut at its size, made printable). Returns false. */
bool err_doing(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Copies at most cap-1 bytes of text[0..size) into out, replacing what is not safe to show (io/base/shown) by '.', and
 * keeps UTF-8 sequences whole. out is always terminated. cap >= 1. */
void err_printable(char *out, size_t cap, const char *text, size_t size);

/* One line for a person: "APPEND to Sent: NO [OVERQUOTA] Quota exceeded". Returns out. */
const char *err_line(const struct err *e, char *out, size_t cap);

/* Lower-case words as in the report ("permanent", "message", "no"); never NULL. */
const char *err_class_name(enum err_class class);
const char *err_scope_name(enum err_scope scope);
const char *err_origin_name(enum err_origin origin);

#endif
