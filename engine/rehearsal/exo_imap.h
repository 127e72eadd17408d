/* IMAP sessions of the simulated Exchange Online. One session a connection, one command at a time:
 * what is pipelined waits in the connection's input.
 */
#ifndef ENGINE_REHEARSAL_EXO_IMAP_H
#define ENGINE_REHEARSAL_EXO_IMAP_H

#include "engine/rehearsal/exo_loop.h"

#include <openssl/evp.h>

#define EXO_TAG_MAX 64

enum exo_state {
    EXO_STATE_LINE,      /* collecting a command */
    EXO_STATE_GATHER,    /* a literal inside it */
    EXO_STATE_SWALLOW,   /* the body of an APPEND that was refused before it began */
    EXO_STATE_SKIP_LINE, /* the rest of a line that was too long */
    EXO_STATE_SASL,      /* a base64 line is due */
    EXO_STATE_SASL_END,  /* the client's empty line after a JSON challenge */
    EXO_STATE_IDLE,      /* DONE is due */
    EXO_STATE_BODY,      /* an APPEND's literal */
    EXO_STATE_BODY_END,  /* the line end behind it */
    EXO_STATE_FETCH      /* answers are being written as fast as they are read */
};

/* One APPEND from its line to its answer. */
struct exo_append {
    struct exo_folder *folder;
    uint32_t flags;
    int64_t date;
    uint64_t size, got, cut_at; /* bytes; cut_at: a fault strikes there, UINT64_MAX none */
    struct exo_fault cut;
    bool synchronizing, nul, refused; /* refused: swallowed, then `refusal` is the answer */
    bool bare, returned;              /* a CR or LF alone; the last byte was a CR */
    bool header_bytes, header_read;   /* 8-bit bytes above the first empty line */
    char refusal[160];
    size_t line_bytes, line_bytes_max;
    EVP_MD_CTX *digest;
    struct buf text; /* what is kept */
    bool header_whole;
    uint8_t sha256[32];
    bool counted;        /* in exo->inflight */
    uint64_t counted_ms; /* since then */
    bool store_on_loss;  /* whole: a lost connection does not stop it */
};

struct exo_fetch {
    struct exo_set set;
    bool by_uid;
    uint32_t next_uid; /* the first one not yet looked at */
    uint32_t items;    /* enum in exo_fetch.c */
    struct exo_section {
        char text[512]; /* as the client wrote it, echoed back */
        bool peek, partial;
        uint64_t from, bytes;
    } sections[8];
    size_t section_count;
};

struct exo_session {
    enum exo_state state;
    struct buf cmd;  /* the command so far, literals included */
    size_t line_at;  /* where its present line begins */
    uint64_t gather; /* bytes of a literal still due */
    char tag[EXO_TAG_MAX];
    bool tagged;
    bool authenticated, not_connected, punished, rev2, lsub_refused;
    enum { EXO_SASL_XOAUTH2, EXO_SASL_PLAIN } sasl;
    struct exo_mailbox *mailbox;
    uint64_t revoked;          /* mailbox->revoked at login */
    struct exo_folder *folder; /* selected, or NULL */
    bool read_only;
    uint32_t exists;       /* as the client knows it */
    uint32_t seen_uidnext; /* the session sees the selected folder's messages below it */
    size_t expunges_told;
    uint64_t token_end_ms; /* UINT64_MAX: never */
    uint32_t errors, selects;
    struct exo_append *append;
    struct exo_fetch *fetch;
};

/* ---- exo_reply.c: answers ---- */

/* "TAG text\r\n". NO and BAD count as errors, and the tenth ends the session. Ends the command. */
void exo_reply(struct exo_conn *c, const char *text);
void exo_replyf(struct exo_conn *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "* BYE text", then the end. */
void exo_bye(struct exo_conn *c, const char *text);
/* A command has its answer, or gets none: the next line begins another. */
void exo_command_done(struct exo_conn *c);
/* The throttle reply in the configured word. */
void exo_throttle_text(struct exo_conn *c, uint32_t hint_ms, char *out, size_t cap);

/* ---- exo_fault.c ---- */

/* The fault that strikes now at this point, copied, or false. command: for POINT_COMMAND. */
bool exo_fault_strikes(struct exo_conn *c, enum exo_point point, const char *command, struct exo_fault *fault_r);
/* Carries out its action on the connection. */
void exo_fault_act(struct exo_conn *c, const struct exo_fault *fault);

/* ---- exo_verbs.c ---- */

/* Carries out the command that was collected (session->cmd), or refuses it. */
void exo_command_run(struct exo_conn *c);
/* Of an APPEND that was collected up to its message: whether it was answered before that begins. */
bool exo_command_refused(struct exo_conn *c);
/* Keeps the tag of what was collected, for an answer. */
void exo_command_tag(struct exo_conn *c);
/* Flags in parentheses; *unknown_r when one is not Exchange's. */
bool exo_flags_parse(struct exo_args *args, uint32_t *flags_r, bool *unknown_r);

/* ---- exo_login.c ---- */

void exo_cmd_capability(struct exo_conn *c, struct exo_args args);
void exo_cmd_id(struct exo_conn *c, struct exo_args args);
void exo_cmd_enable(struct exo_conn *c, struct exo_args args);
void exo_cmd_authenticate(struct exo_conn *c, struct exo_args args);
void exo_cmd_login(struct exo_conn *c, struct exo_args args);
/* The client's base64 line. */
void exo_sasl_line(struct exo_conn *c, struct slice line);
void exo_login_gone(struct exo_conn *c);

/* ---- exo_folder.c ---- */

void exo_cmd_namespace(struct exo_conn *c, struct exo_args args);
void exo_cmd_list(struct exo_conn *c, struct exo_args args);
void exo_cmd_lsub(struct exo_conn *c, struct exo_args args);
void exo_cmd_status(struct exo_conn *c, struct exo_args args);
void exo_cmd_select(struct exo_conn *c, struct exo_args args);
void exo_cmd_examine(struct exo_conn *c, struct exo_args args);
void exo_cmd_create(struct exo_conn *c, struct exo_args args);
void exo_cmd_delete(struct exo_conn *c, struct exo_args args);
void exo_cmd_rename(struct exo_conn *c, struct exo_args args);
void exo_cmd_subscribe(struct exo_conn *c, struct exo_args args);
void exo_cmd_unsubscribe(struct exo_conn *c, struct exo_args args);
/* After a command on the selected folder: untagged EXPUNGE and EXISTS since the last time, as far as the
 * configured view lets such a command show; mailbox lock not held. */
void exo_tell_changes(struct exo_conn *c);
/* The same after a command that asks for news (NOOP, CHECK, IDLE): everything. */
void exo_tell_news(struct exo_conn *c);
/* So many messages of the selected folder does the session see; mailbox lock held. */
size_t exo_seen_count(struct exo_conn *c);

/* ---- exo_append.c ---- */

/* True when the literal announced at the end of the command is an APPEND's message. */
bool exo_append_is(struct slice command);
/* The APPEND line is whole; size and kind are of its literal. */
void exo_append_begin(struct exo_conn *c, struct slice command, uint64_t size, bool synchronizing);
/* Takes body bytes from the input; true when something changed. */
bool exo_append_body(struct exo_conn *c);
/* The line behind the body, without its end. */
void exo_append_end(struct exo_conn *c, struct slice rest);
/* The connection is going. */
void exo_append_gone(struct exo_conn *c);

/* ---- exo_fetch.c and exo_search.c ---- */

void exo_cmd_fetch(struct exo_conn *c, struct exo_args args, bool by_uid);
/* Writes more answers; true when something changed. */
bool exo_fetch_step(struct exo_conn *c);
void exo_fetch_gone(struct exo_conn *c);
void exo_cmd_store(struct exo_conn *c, struct exo_args args, bool by_uid);
void exo_cmd_search(struct exo_conn *c, struct exo_args args, bool by_uid);
void exo_cmd_copy(struct exo_conn *c, struct exo_args args, bool by_uid, bool move);
void exo_cmd_expunge(struct exo_conn *c, struct exo_args args, bool by_uid);
/* Drops what is \Deleted and in the set (NULL: all). */
void exo_expunge(struct exo_conn *c, const struct exo_set *set);

#endif
