/* One IMAP connection as a pure machine: server bytes are fed in, client bytes are taken out,
 * commands end through callbacks. Knows no socket, clock or disk (engine/move joins it to
 * io/stream). RFC 9051 and RFC 3501; extensions are used only where the server offers them.
 *
 * Life: session_create -> feed the greeting -> login goes by itself (CAPABILITY, STARTTLS, SASL or
 * LOGIN, CAPABILITY again, ID, COMPRESS) -> `ready` -> commands -> session_logout or the stream's
 * end -> session_abort -> session_destroy. Callbacks run inside session_feed, session_abort or
 * session_output and may start further commands, but must not destroy the session.
 *
 * Memory: a few KiB a session; body literals are never gathered, they stream through.
 */
#ifndef ENGINE_IMAP_SESSION_H
#define ENGINE_IMAP_SESSION_H

#include "engine/imap/auth.h"
#include "engine/imap/caps.h"
#include "engine/imap/values.h"
#include "io/base/err.h"
#include "io/base/quota.h"

struct session;
struct scram_work;
struct ssl_st; /* OpenSSL's SSL, only handed through */

struct session_config {
    bool tls;                     /* the stream runs TLS from its first byte */
    bool starttls;                /* STARTTLS must succeed before any credential is sent */
    bool compress;                /* COMPRESS=DEFLATE when offered */
    bool send_id;                 /* ID with name and version after login, when offered (quirk L14) */
    bool exchange;                /* what a target takes: never ENABLE, no LIST RETURN, no LSUB, XLIST,
                                     synchronizing literals, NAMESPACE after login is fine */
    bool mailbox_worked;          /* another session had this mailbox open: what a first command is refused
                                     for is then no missing right (quirk L01) */
    uint32_t inflight_max;        /* commands on the wire at once; 0: 8 (quirk P09 wants <= 10) */
    uint32_t append_inflight_max; /* APPENDs with LITERAL+ on the wire at once; 0: 32 */
    struct quota_part *memory;    /* what its lines and its owner's lists are counted in, or NULL; borrowed */
    struct auth_config auth;      /* copied; secrets inside are borrowed until `ready` or session end */
};

struct session_events {
    /* Logged in; session_caps is final. Commands may be started from here on. */
    void (*ready)(void *context);
    /* STARTTLS was answered OK: start TLS on the stream now, then call session_tls_started.
     * Nothing was fed behind the OK (else the session failed). */
    void (*start_tls)(void *context);
    /* COMPRESS was answered OK: everything after this callback's return is deflated both ways. */
    void (*start_deflate)(void *context);
    /* There may be bytes to take: call session_output until it is empty (called once until then,
     * and once at the end of a session_feed). */
    void (*output_ready)(void *context);
    /* The session is over: login refused, BYE, broken framing. All commands have ended before.
     * Only session_destroy is allowed afterwards. err is borrowed. Not called by session_abort. */
    void (*failed)(void *context, const struct err *err);
    /* An [ALERT] or untagged NO/BAD notice for the log and report; may be NULL. */
    void (*notice)(void *context, struct slice text);
    /* The server asked to slow down without refusing ([THROTTLED] at the end of an OK, quirk T03);
     * may be NULL. */
    void (*slow_down)(void *context);
    /* SCRAM's hashing, up to SCRAM_ROUNDS_MAX rounds, which is too long for a loop: scram_work_run
     * on another thread, then session_computed. work is the receiver's now, also when the session
     * ends before. NULL: it is done inside session_feed. */
    void (*compute)(void *context, struct scram_work *work);
};

/* Never fails. events and context are borrowed until session_destroy. */
struct session *session_create(const struct session_config *config, const struct session_events *events, void *context);
/* Commands in flight end with CANCELED first. Nulls the pointer; NULL is fine. */
void session_destroy(struct session **session);

/* Gives server output to the session. Commands it completes get their `ended` inside this call, in
 * order. bytes: 1..65536, borrowed for the call only. Errors come by `failed`, never from here. */
void session_feed(struct session *session, struct slice bytes);
/* Bytes to send now, at most 64 KiB, empty when there are none (body sources are asked inside this
 * call). Borrowed until the next call on the session. */
struct slice session_output(struct session *session);
/* The first `bytes` of the last session_output went to the stream. */
void session_output_taken(struct session *session, size_t bytes);
/* TLS stands (after start_tls). */
void session_tls_started(struct session *session, struct ssl_st *ssl);
/* After `compute`: work has run, and is the session's. Not on a session that was destroyed
 * meanwhile. */
void session_computed(struct session *session, struct scram_work *work);
/* For SCRAM-PLUS: the TLS handle of a stream that had TLS from the start; may be NULL. */
void session_set_ssl(struct session *session, struct ssl_st *ssl);

/* The stream ended or a wait was too long: every command ends with *err, except that an APPEND
 * of which a whole literal was given out by session_output, and which was not refused since, ends with class
 * UNCERTAIN. unsent does not change that: it cannot tell the literal from the CR LF behind it. Bytes
 * given out but not counted by session_output_taken are known not to have gone. Only
 * session_destroy is allowed afterwards. */
void session_abort(struct session *session, const struct err *err, bool unsent);
/* Adds to err's text what the server said last outside of any answer, if it did: "(the server had
 * said: ...)". session_abort does so for its commands. */
void session_explain(const struct session *session, struct err *err);

const struct caps *session_caps(const struct session *session);
/* The greeting's text and the ID answer, printable; "" when not seen. */
const char *session_greeting(const struct session *session);
/* The server has greeted, and was let in: what it refuses from here on is a login or a command. */
bool session_was_greeted(const struct session *session);
const char *session_server_id(const struct session *session);
/* After `failed` with a login refused: the ways tried so far when another one is worth a new
 * connection (auth_config.tried), else 0. After `ready`: those tried before the one that did it. */
unsigned session_ways_tried(const struct session *session);
/* Commands started and not ended. */
unsigned session_inflight(const struct session *session);
/* FETCH responses that could not be read, or had no usable UID, so far: they cost their row only. */
unsigned session_damaged_count(const struct session *session);
/* Tagged NO and BAD answers so far: Exchange closes after ten (recycle at eight). */
unsigned session_error_count(const struct session *session);
/* Tagged answers of any kind so far: a server that answers lives. */
uint64_t session_answer_count(const struct session *session);
/* What is waited for, for time-outs and logs ("FETCH", "greeting", "" when nothing). */
const char *session_waiting_for(const struct session *session);
/* Ends the session from within a callback: the server does what nobody can go on with, in these words.
 * TRANSIENT/SESSION, origin PROTOCOL. */
void session_give_up(struct session *session, const char *why);
/* session_config.memory: for who keeps what the session tells. */
struct quota_part *session_memory(const struct session *session);
/* It has failed or ended: a command that ends now ends for that reason, whatever its error's scope. */
bool session_is_over(const struct session *session);
/* Milliseconds that the oldest wait may last without any byte before it is a stall: by command and
 * login state in one table (SELECT, SEARCH, STATUS 600,000; inside a literal 120,000; else
 * 300,000; greeting and login 60,000; the twentieth part once `* BAD` or a foreign tag came, which may have been
 * the answer). 0 when nothing is waited for. */
uint32_t session_patience_ms(const struct session *session);
/* Logical lines received so far, and the size that the literal at hand was announced with (0 between
 * literals): what never grows, or not in the time that these bytes need, is a stall too. */
uint64_t session_responses(const struct session *session);
/* Answers, and pieces of data that a command waits for, so far: a server that sends and sends, and never any of these,
 * is one that waiting for is of no use. */
uint64_t session_uses(const struct session *session);
/* Of a response some has come, and not its end; *in_literal_r: it is amid a literal. */
bool session_amid_response(const struct session *session, bool *in_literal_r);

/* ---- commands ------------------------------------------------------------------------------
 * Every call queues a command; names are raw mailbox names (as LIST gave them, or made by utf7).
 * Slices and texts are copied unless said otherwise. `ended` is called exactly once: err NULL means
 * a tagged OK. Otherwise class and scope say what the server's answer means by RFC 5530 code and
 * by the texts of quirks B6 / Exchange section 2 (engine/imap/verdict): THROTTLED with wait_ms,
 * PERMANENT, TRANSIENT, UNCERTAIN; resp_code and server_text hold its words; `doing` is filled.
 * context is handed through. Which commands may be in flight together is one function, in cmd. */

typedef void session_ended(void *context, const struct err *err);

struct session_namespace {
    struct slice prefix; /* raw, "" or "INBOX." */
    char delimiter;      /* '\0' for NIL */
    enum { SESSION_NAMESPACE_PERSONAL, SESSION_NAMESPACE_OTHERS, SESSION_NAMESPACE_SHARED } kind;
};
/* NAMESPACE (RFC 2342), or LIST "" "" where it is not offered: one row a namespace. */
void session_namespaces(struct session *session, void (*row)(void *context, const struct session_namespace *ns),
                        session_ended *ended, void *context);

enum session_list_form {
    SESSION_LIST_PLAIN,    /* LIST "" pattern */
    SESSION_LIST_EXTENDED, /* with RETURN (SUBSCRIBED SPECIAL-USE STATUS (...)) as far as offered */
    SESSION_LIST_XLIST,
    SESSION_LIST_LSUB
};
/* status may be NULL; it is called for each * STATUS of LIST-STATUS, whose name is that of a row
 * (before or after it). status_items: IMAP_STATUS_ bits wanted; those not offered are left out. */
void session_list(struct session *session, enum session_list_form form, struct slice pattern, unsigned status_items,
                  void (*row)(void *context, const struct imap_list_row *row),
                  void (*status)(void *context, struct slice name, const struct imap_status *status),
                  session_ended *ended, void *context);

/* STATUS of a mailbox that is not selected; answer comes before ended (once, or never on error). */
void session_status(struct session *session, struct slice name, unsigned status_items,
                    void (*answer)(void *context, const struct imap_status *status), session_ended *ended,
                    void *context);

/* GETQUOTAROOT (RFC 9208 4.1.2): one answer a root that bounds this mailbox, none where nothing does. Only where
 * CAP_QUOTA is offered. */
void session_quota(struct session *session, struct slice name,
                   void (*answer)(void *context, const struct imap_quota *quota), session_ended *ended, void *context);

/* SELECT, or EXAMINE when read_only; answer comes before ended with what was told up to the tagged
 * OK. Waits until earlier commands on the selected mailbox have ended. */
void session_select(struct session *session, struct slice name, bool read_only,
                    void (*answer)(void *context, const struct imap_selected *selected), session_ended *ended,
                    void *context);
/* UNSELECT where offered, else EXAMINE of a name that exists nowhere is NOT sent: ends OK at once. */
void session_unselect(struct session *session, session_ended *ended, void *context);

/* Listing pass: UID FETCH set (UID FLAGS INTERNALDATE RFC822.SIZE [X-GM-... EMAILID]). set: "1:500".
 * header_fields, when not empty ("MESSAGE-ID DATE FROM SUBJECT"), adds
 * BODY.PEEK[HEADER.FIELDS (...)]. Rows whose line could not be parsed are counted in damaged and
 * cost nothing else (quirk rule 2). */
void session_fetch_rows(struct session *session, struct slice set, struct slice header_fields,
                        void (*row)(void *context, const struct imap_message_row *row), session_ended *ended,
                        void *context);
/* UID FETCH set (UID FLAGS), of those messages alone that changed after changed_since where that is not 0 (RFC 7162
 * 3.1.4.1; only where CAP_CONDSTORE is offered). News that the server tells meanwhile by itself come as rows too. */
void session_fetch_flags(struct session *session, struct slice set, uint64_t changed_since,
                         void (*row)(void *context, const struct imap_message_row *row), session_ended *ended,
                         void *context);
/* One that did only a part of its messages (MESSAGELIMIT, RFC 9738) ends with a transient error whose resp_code
 * is that and whose server_text has the two numbers, the lowest UID that was looked at behind the limit; so does
 * a FETCH.
 * UID SEARCH criteria; each found UID in the order given by the server (ESEARCH ranges expanded by
 * the callee as ranges: first..last). */
void session_search(struct session *session, struct slice criteria,
                    void (*range)(void *context, uint32_t first, uint32_t last), session_ended *ended, void *context);
/* Inside ended, of a SEARCH that ended OK. One without an answer has not told that there is nothing, and of
 * one with what is no UID more may be there than was told. */
enum session_search_told { SESSION_SEARCH_ANSWERED = 1 << 0, SESSION_SEARCH_UNREAD = 1 << 1 };
unsigned session_search_told(const struct session *session);

/* The rungs of the FETCH ladder (quirks B5). Each is one form of asking for a body. */
enum session_body_form {
    SESSION_BODY_PEEK,        /* BODY.PEEK[] */
    SESSION_BODY_PARTIAL,     /* BODY.PEEK[]<first.count> */
    SESSION_BODY_HEADER,      /* BODY.PEEK[HEADER] */
    SESSION_BODY_TEXT,        /* BODY.PEEK[TEXT] */
    SESSION_BODY_RFC822_PEEK, /* RFC822.PEEK */
    SESSION_BODY_UNPEEKED,    /* BODY[] (under EXAMINE only) */
    SESSION_BODY_RFC822       /* RFC822 (under EXAMINE only) */
};
struct session_body_events {
    /* A literal (or quoted string, or NIL as size 0) for a body starts. uid 0: not told yet.
     * origin: what the answer's <n> said, or 0. */
    void (*begin)(void *context, uint32_t uid, uint64_t size_bytes, uint64_t origin);
    void (*bytes)(void *context, struct slice bytes);
    /* The FETCH response closed with its `)`. uid is never 0. got_body false: no body item came, or another
     * part of the message than was asked for; begin was not called then.
     * suspect: what followed the literal made no sense (quirks B01-B03): do not believe this body. The session
     * fails soon, unless the next line shows that only this response was damaged. */
    void (*end)(void *context, uint32_t uid, bool got_body, bool suspect);
};
/* Inside end: the body was NIL, or a word that is no string; none rather than an empty one (B07). */
bool session_body_nil(const struct session *session);
/* UID FETCH set (body form). set: up to 1,000 bytes of ascending UIDs. first/count: for PARTIAL.
 * A response for a UID that was not asked for is dropped (quirk S09). events: borrowed until
 * ended. When a response breaks off, `end` is not called; ended (or abort) tells. */
void session_fetch_bodies(struct session *session, struct slice set, enum session_body_form form, uint64_t first,
                          uint64_t count, const struct session_body_events *events, session_ended *ended,
                          void *context);

void session_create_mailbox(struct session *session, struct slice name, session_ended *ended, void *context);
void session_subscribe(struct session *session, struct slice name, session_ended *ended, void *context);
void session_store_flags(struct session *session, struct slice set, struct slice flags_text, session_ended *ended,
                         void *context);
/* Takes the flags from the messages. */
void session_clear_flags(struct session *session, struct slice set, struct slice flags_text, session_ended *ended,
                         void *context);
/* UID EXPUNGE (RFC 4315 2.1): of the set, what has \Deleted, and nothing else. Only where CAP_UIDPLUS or CAP_IMAP4REV2
 * is offered. There is no call for EXPUNGE, which removes what anybody has marked. */
void session_expunge(struct session *session, struct slice set, session_ended *ended, void *context);
/* UID MOVE (RFC 6851): what is there of the set goes into the mailbox `into`. Only where CAP_MOVE or CAP_IMAP4REV2 is
 * offered. */
void session_move(struct session *session, struct slice set, struct slice into, session_ended *ended, void *context);
void session_noop(struct session *session, session_ended *ended, void *context);

/* One message of an APPEND. */
struct session_append_item {
    struct imap_flags flags; /* RECENT and WILDCARD bits are not sent */
    struct imap_date date;   /* unknown: no date-time is sent */
    uint64_t size_bytes;     /* exact length of the body */
};
struct session_append_events {
    /* Gives the next 1..cap bytes of item's body, in order; must give size_bytes in all. 0 means
     * that the body cannot be read (spool error): the session is then unusable and fails with
     * class CANCELED, origin STORE; so do its other commands, but for an APPEND that may have arrived.
     * Called from session_output only. */
    size_t (*pull)(void *context, unsigned item, char *out, size_t cap);
    /* Tagged answer, before ended: APPENDUID's UIDVALIDITY and the UID of each item in order, when
     * the server sent them well-formed; not called otherwise. */
    void (*uids)(void *context, uint32_t uidvalidity, const uint32_t *uids, unsigned count);
};
/* APPEND of 1..64 items; more than one only where caps has MULTIAPPEND (RFC 3502, all or nothing).
 * Literals are synchronizing unless LITERAL+ (or LITERAL- up to 4096 bytes) may be used (config
 * exchange: never above 64 KiB; else never above 1 MiB, nor behind a line that a server may refuse). Keywords that
 * are no atoms, and a date that is none, are left out. A tagged answer in place of `+` ends the command without the
 * body (quirk P06). items are copied; events borrowed until ended. ended: err class UNCERTAIN when the connection went
 * after the last byte of a first literal was given out. */
void session_append(struct session *session, struct slice name, const struct session_append_item *items, unsigned count,
                    const struct session_append_events *events, session_ended *ended, void *context);

/* LOGOUT; ended comes with the tagged OK or BYE. `failed` does not follow. */
void session_logout(struct session *session, session_ended *ended, void *context);

#endif
