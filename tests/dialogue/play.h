/* Plays one dialogue case against a session in memory: server bytes in, client bytes and events out
 * as text. Ends the program's case by play_fail, which says where.
 */
#ifndef TESTS_DIALOGUE_PLAY_H
#define TESTS_DIALOGUE_PLAY_H

#include "engine/imap/session.h"
#include "io/base/buf.h"

#define PLAY_COMMANDS_MAX 64

enum play_way { PLAY_WHOLE, PLAY_BYTES, PLAY_RANDOM };

struct play;

/* One command under way and what its callbacks need. */
struct play_command {
    struct play *play;
    char name[24];
    struct buf body; /* of the FETCH response at hand */
    bool open;       /* begin came, end did not */
    unsigned ended;  /* how often; once by the end of the case */
    uint32_t uid;
    uint64_t announced, origin;
    uint64_t sizes[64]; /* APPEND: bytes given so far, by item */
};

struct play {
    struct session *session;
    struct session_config config;
    struct secret *password, *token;
    char user[200], admin[200], form[200];
    enum play_way way;
    uint64_t random;
    struct buf pending; /* server bytes not yet fed */
    struct buf said;    /* client bytes not yet looked at */
    struct buf events;  /* lines */
    struct play_command commands[PLAY_COMMANDS_MAX];
    unsigned command_count;
    bool over;
};

void play_init(struct play *p, enum play_way way, unsigned seed);
void play_deinit(struct play *p);
/* Words of a config: line; false for one that is not known. */
bool play_config(struct play *p, const char *words);
/* Creates the session and, with capabilities, logs in. */
void play_begin(struct play *p, const char *capabilities);
/* Starts what a do: line says; false when it is not known. */
bool play_do(struct play *p, const char *line);
/* The same by a letter, with fixed arguments, for fuzzing; false for a letter that is not known. */
bool play_do_letter(struct play *p, char letter);
/* The letter of a do: line; ' ' when it has none. */
char play_letter(const char *line);
/* Hands pending server bytes to the session, cut as the way wants. */
void play_feed(struct play *p);
/* Takes what the session has to say. */
void play_drain(struct play *p);
/* Takes the first event's line off; NULL when there is none. The caller frees it. */
char *play_event(struct play *p);
/* "damaged", "waiting", ... of the session as text; false when it is not known. */
bool play_look(struct play *p, const char *what, char *out, size_t cap);
/* Turns \r \n \t \0 \\ \xHH into bytes. */
void play_unescape(struct buf *out, const char *text);
/* The opposite, for messages and events. */
void play_escape(struct buf *out, struct slice bytes);

#endif
