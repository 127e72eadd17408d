/* One command: its text and literals, its callbacks, and the rules of when it may be sent beside
 * others. Private to engine/imap (session and its parts).
 */
#ifndef ENGINE_IMAP_CMD_H
#define ENGINE_IMAP_CMD_H

#include "engine/imap/session.h"
#include "engine/imap/uidset.h"
#include "engine/imap/verdict.h"
#include "io/base/buf.h"

#define CMD_TEXT_MAX         (64u * 1024) /* without literals a command keeps below 1000 bytes (A5) */
#define CMD_LINE_PLAIN_MAX   900u         /* a line that any server reads */
#define CMD_STOPS_MAX        4
#define CMD_NAME_TOO_LONG    "the mailbox name is too long for a command"
#define CMD_APPEND_ITEMS_MAX 64

enum cmd_kind {
    CMD_NAMESPACE,
    CMD_ROOT /* LIST "" "" */,
    CMD_LIST,
    CMD_STATUS,
    CMD_QUOTA,
    CMD_SELECT,
    CMD_UNSELECT,
    CMD_ROWS,
    CMD_SEARCH,
    CMD_BODIES,
    CMD_CREATE,
    CMD_SUBSCRIBE,
    CMD_STORE,
    CMD_EXPUNGE,
    CMD_MOVE,
    CMD_NOOP,
    CMD_APPEND,
    CMD_LOGOUT,
    CMD_KIND_COUNT
};

/* How far the writing got. */
enum cmd_phase {
    CMD_QUEUED,
    CMD_TEXT, /* text is being put out */
    CMD_WAIT, /* text stopped at a synchronizing literal; waits for "+" */
    CMD_BODY, /* an APPEND's literal is being put out */
    CMD_SENT  /* all of it is out */
};

struct cmd_fetch {
    struct uidset_range *ranges; /* what was asked for; owned */
    unsigned range_count;
    uint32_t only;         /* the UID, when there is exactly one, else 0 */
    uint64_t rows, bodies; /* received */
    uint64_t row_bytes;    /* of headers and keywords in them */
    uint64_t closed;       /* UIDs in the ranges without "*" */
    bool open;             /* one has "*" */
    bool flags_only;       /* rows of a UID and FLAGS alone are wanted */
    void (*row)(void *context, const struct imap_message_row *row);
    const struct session_body_events *events;
    enum session_body_form form; /* of bodies */
};

struct cmd_append {
    struct session_append_item *items; /* owned, with their keywords */
    unsigned count, item;
    uint64_t left;        /* bytes of the current literal not yet pulled */
    uint64_t first_whole; /* offset in the session's output behind the first literal's last byte; once item > 0 */
    const struct session_append_events *events;
};

struct cmd {
    struct cmd *next, *prev;
    enum cmd_kind kind;
    enum cmd_phase phase;
    uint32_t tag;           /* 0 while queued */
    struct quota_hold held; /* by who keeps what it was told, at least until it ends */
    struct buf text;
    size_t written;              /* of text */
    size_t stops[CMD_STOPS_MAX]; /* offsets in text before which "+" must come */
    unsigned stop_count, stop_next;
    bool answered;   /* a refusal came while the literals were still on their way: `answer` */
    bool unsendable; /* it cannot be written: ends with `answer` when its turn comes, and nothing is sent */
    bool got_data;   /* untagged data for it came */
    struct err answer;
    struct slice name; /* the mailbox's raw name, for STATUS and doing; owned */
    session_ended *ended;
    void *context;
    union {
        struct {
            void (*row)(void *context, const struct session_namespace *ns);
        } namespaces;
        struct {
            enum session_list_form form;
            unsigned rows;  /* received */
            uint64_t bytes; /* of their names */
            void (*row)(void *context, const struct imap_list_row *row);
            void (*status)(void *context, struct slice name, const struct imap_status *status);
        } list;
        void (*status)(void *context, const struct imap_status *status);
        void (*quota)(void *context, const struct imap_quota *quota);
        void (*selected)(void *context, const struct imap_selected *selected);
        void (*range)(void *context, uint32_t first, uint32_t last);
        struct cmd_fetch fetch;
        struct cmd_append append;
    } u;
};

/* What is on the wire, as far as the rules look at it. */
struct cmd_flight {
    unsigned count, by_kind[CMD_KIND_COUNT];
    unsigned inflight_max, append_inflight_max;
};

struct cmd *cmd_create(enum cmd_kind kind, session_ended *ended, void *context);
/* Wipes nothing: secrets never travel in commands. */
void cmd_destroy(struct cmd *cmd);

const char *cmd_name(enum cmd_kind kind);
enum verdict_doing cmd_doing(enum cmd_kind kind);
uint32_t cmd_patience_ms(enum cmd_kind kind);
/* Fills err->doing: "APPEND to Sent". */
void cmd_tell_doing(const struct cmd *cmd, struct err *err);

/* May cmd go out while what flight counts is unanswered? Every pipelining rule is here. */
bool cmd_may_send(const struct cmd *cmd, const struct cmd_flight *flight);

/* The command cannot be written, for the reason given: it will end with PERMANENT/FOLDER and not be sent. What a
 * server calls its mailboxes may be of any length. The first reason stays. */
void cmd_refuse(struct cmd *cmd, const char *why);
/* Adds text; where that passes CMD_TEXT_MAX the command is refused. */
void cmd_text(struct cmd *cmd, struct slice text);
void cmd_format(struct cmd *cmd, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds a string (mailbox name), quoted or as a literal; nonsync: as for quote_literal_head. */
void cmd_string(struct cmd *cmd, struct slice text, bool nonsync);
/* Remembers the name for messages and answers. */
void cmd_set_name(struct cmd *cmd, struct slice name);
/* The same, always quoted: for names in UTF-8 where that is on. */
void cmd_quoted(struct cmd *cmd, struct slice text);
/* Ends the text with CR LF. */
void cmd_end_text(struct cmd *cmd);
/* The head of the current APPEND item, after its name or the item before:
 * ` (\Seen) "date" {n}` CR LF. Returns whether the literal does not synchronize: it may not (nonsync), or the
 * line holds what a server may refuse, which would then read the message as commands. */
bool cmd_append_head(struct cmd *cmd, bool nonsync);

#endif
