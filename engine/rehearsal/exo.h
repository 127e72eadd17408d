/* Exchange Online, simulated: an IMAP server, its token endpoint and its hidden budgets, inside
 * this process and on 127.0.0.1 only. For tests, benchmarks and the rehearsal command.
 *
 * Everything it does comes from public documents and client logs. It shares nothing with the
 * program's own loops, parser and TLS layer (threads with plain epoll, a reader of its own), so
 * that a fault there meets a server that does not have the same fault.
 *
 * Life: exo_config_init -> set fields -> exo_start -> exo_mailbox_add, exo_set, exo_fault_add at
 * any time -> exo_stats, exo_mailbox_messages at any time -> exo_stop. All calls on a struct exo
 * are thread-safe; none may be made from inside a callback of this module.
 */
#ifndef ENGINE_REHEARSAL_EXO_H
#define ENGINE_REHEARSAL_EXO_H

#include "io/base/err.h"
#include "io/base/slice.h"

struct exo;

enum exo_front_end {
    EXO_FRONT_CLASSIC, /* greeting and capabilities as logged up to 2026-03 */
    EXO_FRONT_2026     /* as seen 2026-09: tcpproxy greeting, LOGINDISABLED, ENABLE IMAP4rev2 */
};

/* What becomes of a LITERAL+ body whose APPEND is refused. */
enum exo_appendlimit {
    EXO_APPENDLIMIT_NO,
    EXO_APPENDLIMIT_ALL, /* APPENDLIMIT=n, of every folder */
    EXO_APPENDLIMIT_BARE /* STATUS tells that of each */
};

enum exo_refusal {
    EXO_REFUSAL_SWALLOW, /* read and dropped, then the tagged NO or BAD */
    EXO_REFUSAL_DESYNC,  /* tagged answer at once; the body is then read as commands */
    EXO_REFUSAL_CLOSE    /* tagged answer, BYE and end */
};

/* When a selected folder shows a message that was stored meanwhile, other than by opening it again. */
enum exo_view {
    EXO_VIEW_NOOP,    /* after NOOP, CHECK or IDLE; as Exchange does */
    EXO_VIEW_COMMAND, /* after any command that may tell of it, for the next one; as Dovecot does */
    EXO_VIEW_LIVE     /* at once */
};

enum exo_word { EXO_WORD_NO, EXO_WORD_BAD, EXO_WORD_BOTH /* in turn */ };

/* How much of a message stays in memory. The digest and size are always kept. */
enum exo_keep {
    EXO_KEEP_ID,     /* Message-ID only */
    EXO_KEEP_HEADER, /* the header; a FETCH of the body gives the header and a one-line stand-in */
    EXO_KEEP_BODY    /* everything */
};

/* Flat, copied by value. Each field has a key of the same name with '-' for '_' in
 * exo_config_set, the INI file of mailhaul-exo and POST /set. "live": exo_set may change it. */
struct exo_config {
    /* Where. Ports: 0 picks a free one; -1 (only imap_plain_port, control_port) none. */
    char folder[256];                         /* ca.pem is written there when no certificate is given; "" none */
    char certificate[256], key[256], ca[256]; /* PEM files; "" : made at start */
    int imap_port, imap_plain_port, token_port, control_port;
    uint32_t threads; /* 1..64 */
    uint64_t seed;    /* of every random choice */

    /* Who. */
    char tenant[128];   /* contoso.onmicrosoft.com */
    char tenant_id[64]; /* the GUID that tokens carry as tid; either is accepted in URLs */
    char client_id[64];
    char client_secret[128];      /* "": none is registered */
    char client_certificate[256]; /* PEM file an assertion must verify with; "": structure only */
    char domain[128];             /* of generated mailboxes */
    uint32_t mailbox_count;       /* user0001@domain ... are made at start */
    bool mailbox_auto;            /* live: a login to an unknown address makes the mailbox */
    char language[8];             /* of special folders: en de fr es it nl pl ru ja ko tr */

    /* Manners of the server; all live. */
    enum exo_front_end front_end;
    enum exo_refusal refusal;
    enum exo_keep keep;
    enum exo_view view;
    bool special_use;                 /* plain LIST carries \Sent \Drafts \Trash \Junk */
    bool appenduid;                   /* OK [APPENDUID v u] */
    enum exo_appendlimit appendlimit; /* message_bytes_max told (RFC 7889); Exchange was never seen with it */
    bool literal_plus;                /* offered, and accepted for bodies */
    bool idle;                        /* IDLE offered */
    bool trycreate;                   /* APPEND to a missing folder says [TRYCREATE] */
    bool keywords_refused;            /* unknown keyword in APPEND: Command Argument Error. 11; else dropped */
    bool rewrite;                     /* what reads back is regenerated: headers and size differ */
    bool auth_json;                   /* a refused token gets a base64 JSON challenge before its NO */
    bool plain_auth;                  /* LOGIN and AUTHENTICATE PLAIN accept plain_password for any mailbox */
    char plain_password[64];

    /* Time and size; all live. */
    uint32_t append_ms;        /* latency of an APPEND, from its last byte to its OK */
    uint32_t append_ms_per_mb; /* more, per million bytes */
    uint32_t plus_ms;          /* from the APPEND line to its continuation */
    uint32_t command_ms;       /* latency of every other command */
    uint32_t login_ms;
    uint32_t jitter_percent; /* latencies vary by up to this much, both ways; <= 100 */
    uint32_t knee_inflight;  /* above so many APPENDs at once latency grows in proportion; 0 off */
    uint32_t line_max;       /* bytes of a command line; 10240 */
    uint32_t body_line_max;  /* bytes of a line in a message; 0 off */
    bool nul_refused;
    bool bare_refused;         /* a line that ends in LF or CR alone: Command Argument Error. 11 */
    bool header_bytes_refused; /* a byte over 0x7f in the header: invalid header */
    uint64_t message_bytes_max;
    uint64_t quota_bytes;                        /* per mailbox; 0 off */
    uint32_t connections_max;                    /* per mailbox; 0 off */
    uint32_t reconnect_window_ms, reconnect_max; /* more logins in the window: punished; 0 off */
    uint32_t errors_max;                         /* NO and BAD of one session before BYE 14; 0 off */
    uint32_t idle_ms, preauth_ms;                /* silence before BYE 13; 0 off */

    /* Hidden budgets; all live. A message costs 1 + bytes / cost_bytes. A bucket holds at most
     * burst, gains rate a second (0: no limit) and cuts when it is below -cutoff. */
    double tenant_rate, tenant_burst, tenant_cutoff;
    double mailbox_rate, mailbox_burst, mailbox_cutoff;
    uint32_t cost_bytes;
    double delay_from;                 /* micro-delays begin below this share of the burst; 0..1 */
    uint32_t delay_max_ms;             /* micro-delay just before the cut; 0 off */
    uint32_t hint_ms;                  /* length of a hint; 0: until the bucket is back at half its burst */
    uint32_t hint_min_ms, hint_max_ms; /* bounds of a computed hint */
    uint32_t hint_grace_ms;            /* sends this soon after a hint are no violation: on their way */
    enum exo_word hint_word;
    bool hint_every_command; /* not only APPEND is refused during a hint */

    /* Tokens; all live. */
    uint32_t token_life_s, token_jitter_ms; /* sessions end up to jitter after exp */
    uint32_t token_ms;                      /* latency of an answer */
    char token_audience[128];               /* aud of tokens; "" the right one */
    char token_role[64];                    /* in place of IMAP.AccessAsApp; "none": no role */
    uint32_t date_ahead_s;                  /* the Date header is so far ahead of the clock */
    bool principal;                         /* New-ServicePrincipal was run: else tokens of the
                                               application are refused at AUTHENTICATE */
    uint32_t token_errors;                  /* so many next answers fail ... */
    uint32_t token_status;                  /* ... with this 5xx, or when 0 with: */
    uint32_t token_aadsts;                  /* AADSTS number */
    uint32_t device_polls;                  /* authorization_pending so often, then approved */
    bool device_declined;                   /* then declined instead */
    uint32_t device_life_s;                 /* of a code */
    uint32_t device_slow;                   /* so many polls of a code are told slow_down */
    char device_user[128];                  /* who signs in; "" the first of the domain */
    bool refresh_once;                      /* a refresh token is void once it was used */
};

/* Limits off, 80 ms an APPEND, 1 thread, tenant contoso.onmicrosoft.com. */
void exo_config_init(struct exo_config *config);
/* Sets one field from text (numbers, yes/no, the lower-case last words of the enums).
 * PERMANENT/RUN, origin CONFIG, for an unknown key or a value that does not fit. */
bool exo_config_set(struct exo_config *config, const char *key, const char *value, struct err *err_r) ERR_CHECK;
/* i-th key from 0, and whether exo_set may change it; NULL past the last. */
const char *exo_config_key(size_t i, bool *live_r);
/* Its one-line meaning, and whether it is live; "" and false for an unknown key. */
const char *exo_config_meaning(const char *key);
bool exo_config_live(const char *key);

/* Opens the ports and starts the threads. PERMANENT/RUN. */
bool exo_start(const struct exo_config *config, struct exo **exo_r, struct err *err_r) ERR_CHECK;
/* Ends every connection and thread, frees, nulls. NULL inside is fine. */
void exo_stop(struct exo **exo);

struct exo_ports {
    uint16_t imap, imap_plain, token, control; /* 0: not open */
};
struct exo_ports exo_ports(const struct exo *exo);
/* File of the CA that signed the certificate ("" when in memory only). Borrowed until exo_stop. */
const char *exo_ca_file(const struct exo *exo);

/* Changes a live field while it runs; further keys: "mailbox" (see exo_mailbox_set), "fault"
 * (exo_fault_parse), "faults" = "clear". Errors as exo_config_set. */
bool exo_set(struct exo *exo, const char *key, const char *value, struct err *err_r) ERR_CHECK;

/* text: ADDRESS[,key=value...]; makes the mailbox when it is new. Keys: language (new mailboxes
 * only), permitted (yes/no: full access for the application), enabled (yes/no: IMAP is on),
 * quota, max-message-bytes, connections, rate, burst, cutoff (0: as configured for all). */
bool exo_mailbox_set(struct exo *exo, const char *text, struct err *err_r) ERR_CHECK;
/* Ends its sessions with "Session invalidated - Invalid". address NULL: all. */
void exo_revoke(struct exo *exo, const char *address);

/* ---- Tokens ---- */

#define EXO_PRINCIPAL_ID "5e0f9d1c-2b34-4c56-8d78-9a0b1c2d3e4f" /* oid of the application's tokens */
struct exo_token {
    const char *audience;  /* NULL: https://outlook.office365.com */
    const char *tenant_id; /* NULL: the configured one */
    const char *role;      /* NULL: IMAP.AccessAsApp; "": none */
    const char *user;      /* not NULL: a delegated token of this user, scp in place of roles */
    int64_t life_s;        /* from now; may be negative */
};
/* A signed access token as the endpoint would give; the caller frees. */
char *exo_token_create(struct exo *exo, const struct exo_token *token);

/* ---- Faults ---- */

enum exo_point {
    EXO_POINT_BEFORE_PLUS, /* APPEND line read, no continuation sent */
    EXO_POINT_MID_LITERAL, /* after `at` bytes of the body (default: half) */
    EXO_POINT_LAST_BYTE,   /* all of it is here, nothing stored */
    EXO_POINT_STORED,      /* stored, no OK sent */
    EXO_POINT_DELAYED,     /* connection ends at the last byte, the message is stored delay_ms later */
    EXO_POINT_OK,          /* after the OK */
    EXO_POINT_COMMAND,     /* before `command` is carried out */
    EXO_POINT_GREETING     /* in place of the greeting */
};

enum exo_action {
    EXO_ACTION_CLOSE,   /* orderly end of the stream */
    EXO_ACTION_RESET,   /* TCP reset */
    EXO_ACTION_HANG,    /* no answer, ever */
    EXO_ACTION_REPLY,   /* tagged `text` ("NO Server Unavailable. 15"); EXO_POINT_OK: ignored */
    EXO_ACTION_GARBAGE, /* untagged "Server Unavailable. 15", BYE, end */
    EXO_ACTION_BYE      /* "* BYE " text, end */
};

struct exo_fault {
    enum exo_point point;
    enum exo_action action;
    char command[16];  /* POINT_COMMAND: SELECT, FETCH (with or without UID) ... */
    char mailbox[128]; /* only this address; "" any */
    uint32_t every;    /* every n-th time it matches; 0: see share */
    double share;      /* else at random, 0..1; both 0: always */
    uint32_t limit;    /* fires at most so often; 0 no limit */
    uint64_t at;       /* MID_LITERAL: bytes; 0 half */
    uint64_t over;     /* only APPENDs of more bytes than this */
    uint32_t delay_ms; /* DELAYED */
    char text[128];    /* REPLY, BYE */
};
/* "point=stored action=reset every=7 limit=3", words in any order. Points: before-plus,
 * mid-literal, last-byte, stored, delayed, ok, command, greeting. text= takes the rest. */
bool exo_fault_parse(const char *text, struct exo_fault *fault_r, struct err *err_r) ERR_CHECK;

/* ---- What is there ---- */

enum exo_flag { EXO_SEEN = 1, EXO_ANSWERED = 2, EXO_FLAGGED = 4, EXO_DELETED = 8, EXO_DRAFT = 16, EXO_MDNSENT = 32 };

/* Borrowed for the call only. */
struct exo_message_view {
    const char *folder; /* modified UTF-7 */
    uint32_t uid, uidvalidity;
    uint32_t flags;            /* enum exo_flag */
    int64_t date;              /* INTERNALDATE, seconds since 1970 */
    uint8_t sha256[32];        /* of the literal as received */
    uint64_t size;             /* of the literal as received */
    struct slice message_id;   /* with its angle brackets; empty when there is none */
    struct slice header, body; /* as kept */
};
/* Calls for each message, folder by folder in UID order, until it returns false. The mailbox is
 * locked meanwhile. False when there is no such mailbox. */
bool exo_mailbox_messages(struct exo *exo, const char *address,
                          bool (*message)(void *context, const struct exo_message_view *view), void *context);

struct exo_stats {
    double seconds;                                  /* since the start */
    uint64_t connections, connections_max, connects; /* IMAP: now, at once, ever */
    uint64_t connects_per_s_max;
    uint64_t logins, logins_refused, commands;
    uint64_t appends, append_bytes; /* stored */
    uint64_t appends_per_s_max, inflight_max;
    uint64_t inflight_ms;                 /* from the last byte of an APPEND to its answer, all added up */
    double cost;                          /* accepted by the budgets */
    uint64_t throttled, throttled_tenant; /* replies; of these by the tenant's bucket */
    uint64_t violations;                  /* sends to a mailbox before its own hint had expired */
    /* Sends while >= 3 mailboxes held a hint of one tenant cut; three others may ask once each. */
    uint64_t violations_tenant;
    uint64_t witnesses; /* sends that only this exception made none */
    uint64_t errors, byes, faults, over_connections, punished;
    uint64_t appends_not_mail; /* into Calendar, Contacts ... */
    uint64_t token_requests, tokens, tokens_refused;
    uint64_t device_polls, device_polls_early; /* early: before the interval was over */
    double jain;                               /* of accepted cost over mailboxes that sent anything */
    uint64_t mailboxes, messages;
};
void exo_stats(struct exo *exo, struct exo_stats *stats_r);

struct exo_mailbox_stats {
    uint64_t connections, connections_max, logins, appends, append_bytes, messages;
    uint64_t throttled, violations;
    double cost;
    int64_t hint_left_ms; /* 0 when none runs */
};
/* False when there is no such mailbox. */
bool exo_mailbox_stats(struct exo *exo, const char *address, struct exo_mailbox_stats *stats_r);

/* All of it as JSON, with per-mailbox rows and one row per second of life (appends, bytes, cost,
 * throttled, connects, connections); the caller frees. */
char *exo_stats_json(struct exo *exo);
/* {"messages":[...]} of one mailbox, NULL when there is none; the caller frees. */
char *exo_messages_json(struct exo *exo, const char *address);

#endif
