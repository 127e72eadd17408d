/* What the parts of a session share: session (life, bytes in), output (bytes out), login, replies
 * (untagged data to its command), commands (the public calls). Private to engine/imap.
 */
#ifndef ENGINE_IMAP_SESSION_PRIVATE_H
#define ENGINE_IMAP_SESSION_PRIVATE_H

#include "engine/imap/auth.h"
#include "engine/imap/cmd.h"
#include "engine/imap/resp.h"
#include "engine/imap/scan.h"
#include "engine/imap/session.h"

#define SESSION_OUTPUT_MAX (64u * 1024)
#define SESSION_BARREN_MAX (64u << 20) /* received in a row without any of it being what a command waits for */
#define SESSION_ROWS_MAX   4000000u    /* rows of one FETCH or LIST, ranges of one SEARCH */
#define SESSION_TABLE      256         /* commands in flight by tag; a power of two above every limit */

enum login_state {
    LOGIN_GREETING,
    LOGIN_CAPABILITY, /* before TLS or login, where the greeting did not say */
    LOGIN_STARTTLS,
    LOGIN_TLS,            /* the stream shakes hands */
    LOGIN_CAPABILITY_TLS, /* the set from before TLS is worth nothing */
    LOGIN_AUTH,
    LOGIN_BECOME,        /* an administrator becomes the user */
    LOGIN_CAPABILITY_IN, /* the set after login */
    LOGIN_ENABLE,
    LOGIN_ID,
    LOGIN_COMPRESS,
    LOGIN_READY,
    LOGIN_COUNT
};

struct login {
    enum login_state state;
    uint32_t tag;      /* of the login command in flight, 0: none */
    bool capabilities; /* an untagged CAPABILITY or a code came since the last command was sent */
    enum auth_way way;
    unsigned tried; /* ways, as bits, the present one included */
    bool again;     /* this way is broken, and another one is left for a new connection */
    struct auth *auth;
    bool in_command; /* AUTH_WAY_COMMAND: text below is being sent, literal by literal */
    struct buf text; /* of a command that waits for "+" before its next part */
    size_t stops[2];
    unsigned stop_count, stop_next;
    bool client_first_due; /* the initial response goes at the first "+" (no SASL-IR) */
    char *challenge;       /* SCRAM's, while its hashing is done elsewhere; else NULL */
    bool canceled;         /* we gave up the exchange with "*": what is refused is our own doing */
    struct err why;        /* why we gave up */
};

struct output {
    char *data;
    size_t head, size, room;
    uint64_t taken; /* bytes taken since the session began */
    uint64_t given; /* bytes handed out, >= taken */
};

enum session_life { SESSION_ALIVE, SESSION_FAILING, SESSION_LEAVING /* LOGOUT answered */, SESSION_OVER };

/* The FETCH response whose body literal streams by. */
struct receiving {
    bool active;     /* a body literal was begun in the line at hand */
    bool streaming;  /* its bytes are for cmd */
    bool begun;      /* cmd was told of it: it is what cmd asked for */
    struct cmd *cmd; /* NULL: nobody asked */
    uint32_t uid;    /* 0: not told before the literal */
    bool junk;       /* what follows it is neither ")" nor another item */
};

/* Of the SEARCH that is being answered. */
struct searched {
    uint32_t highest;
    unsigned ranges; /* told */
    uint64_t again;  /* messages named at or below the highest of before */
};

/* A refusal that names no command, or one that was never sent: what is under way may get no other answer. */
struct stray {
    bool came;
    struct cmd *cmd;   /* whose it must be, for want of another; NULL: of one of several */
    struct err answer; /* with cmd */
};

/* A body behind which came what makes no sense, up to a ")" at the end of the line: whether its size was right
 * shows in the next line. */
struct doubt {
    bool pending;
    struct cmd *cmd; /* NULL: nobody asked for it, or not any more */
    uint32_t uid;
};

struct session {
    struct session_config config; /* strings inside are ours */
    const struct session_events *events;
    void *context;
    enum session_life life;
    bool feeding, starting_tls, starting_deflate, notified, in_output;
    bool tls; /* on now */
    bool enabled_utf8, enabled_uidonly;
    bool worked; /* a command ended well, here or in another session of the mailbox */
    struct ssl_st *ssl;
    struct err error; /* why it fails */
    struct scan scan;
    struct caps caps;
    struct login login;
    struct output out;
    uint32_t next_tag;
    struct cmd *queue_first, *queue_last;   /* not yet begun */
    struct cmd *flight_first, *flight_last; /* begun, in the order of their tags */
    struct cmd *writing;                    /* the one in flight that is not CMD_SENT, or NULL */
    struct cmd *table[SESSION_TABLE];
    struct cmd_flight flight;
    uint64_t responses;    /* lines */
    uint64_t uses;         /* of what came: answers, and data that a command waits for */
    uint64_t barren_bytes; /* since the last of these */
    uint32_t exists;       /* messages of the selected mailbox, as last told */
    unsigned errors, damaged;
    uint64_t answer_count; /* tagged */
    unsigned search_told;  /* SESSION_SEARCH_ bits, of the SEARCH that was answered last */
    struct searched searched;
    bool body_nil; /* the body that ended last */
    struct receiving receiving;
    struct doubt doubt;
    struct stray stray;
    struct imap_selected selected; /* what is told while SELECT is in flight */
    struct buf keywords;           /* of selected.permanent */
    struct buf scratch;
    struct quota_hold held; /* lines under way */
    char greeting[256], server_id[256], last_words[160];
};

/* session.c */
void session_fail(struct session *s, const struct err *err);    /* takes effect when feeding is done */
bool session_fail_protocol(struct session *s, const char *why); /* returns false */
/* What only somebody between here and the server has a use for. */
void session_fail_tls(struct session *s, const char *what);
/* Something was told that its receiver keeps, until cmd ends or longer, in so many bytes: is there memory for more?
 * False: the session fails. */
bool session_keeps(struct session *s, struct cmd *cmd, size_t bytes);
/* After each piece of what came: counts the line under way. */
void session_hold_line(struct session *s);
void session_notify(struct session *s);
uint32_t session_tag(struct session *s);
void session_start(struct session *s, struct cmd *cmd); /* queues it; takes ownership */
void session_end_cmd(struct session *s, struct cmd *cmd, const struct err *err);
void session_useful(struct session *s); /* something came that a command waits for */
/* The command of this kind in flight that was sent first, or NULL. */
struct cmd *session_oldest(const struct session *s, enum cmd_kind kind);

/* session_output.c */
bool output_put(struct session *s, struct slice text); /* login only; small */
void output_deinit(struct output *out);
/* Whether a literal of this size may go without the server's go-ahead (RFC 7888: with LITERAL- up to 4,096 bytes). */
bool session_nonsync(const struct session *s, uint64_t size_bytes);

/* session_search.c; cmd: the SEARCH that is answered, or NULL */
void replies_search(struct session *s, struct cmd *cmd, const struct resp *resp);
void replies_esearch(struct session *s, struct cmd *cmd, const struct resp *resp);

/* session_mailboxes.c: untagged LIST, LSUB, XLIST; STATUS; NAMESPACE */
void replies_list(struct session *s, const struct resp *resp);
void replies_status_row(struct session *s, const struct resp *resp);
void replies_namespace(struct session *s, const struct resp *resp);
void replies_namespace_none(struct cmd *cmd); /* OK without a row: all mail lies at the root */

/* session_commands.c: LIST "" "", in place of a NAMESPACE that was refused */
void session_root(struct session *s, void (*row)(void *context, const struct session_namespace *ns),
                  session_ended *ended, void *context);

/* login.c */
void login_init(struct session *s);
void login_deinit(struct session *s);
void login_receive(struct session *s, const struct resp *resp);
void login_tls_started(struct session *s);
const char *login_state_name(enum login_state state);
uint32_t login_patience_ms(const struct login *login); /* 0 while we compute */
void login_computed(struct session *s, struct scram_work *work);

/* session_replies.c */
void replies_data(struct session *s, const struct resp *resp);
/* A line begins: is it one, where the line before it left a doubt? False: the session fails. */
bool replies_settle(struct session *s, const struct resp *resp);
void replies_status(struct session *s, const struct resp *resp);
void replies_tagged_ok(struct session *s, struct cmd *cmd, const struct resp *resp);
enum scan_literal replies_literal_begins(void *context, struct slice line, uint64_t size_bytes);
void replies_literal_bytes(void *context, struct slice bytes);
void replies_literal_suspect(void *context, struct slice line);
void replies_forget(struct session *s, const struct cmd *cmd); /* cmd is about to go */

#endif
