/* Is a message refused for its own sake, or does its folder take nothing at the moment? What a server's words do
 * not tell, the other messages do: a message that is refused again and again while others of its folder are taken
 * is refused itself; when several in a row are refused and none is taken, it is an outage, whatever the words.
 * Pure: no clock, no connection.
 */
#ifndef ENGINE_FAILURE_REFUSALS_H
#define ENGINE_FAILURE_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

/* Different messages in a row that make an outage: of refusals that may mean anything, and of those whose words
 * are about the message, of which a pipeline may hold that many before the first one that was mended is taken. */
#define REFUSALS_ROW       5u
#define REFUSALS_ROW_WORDS 64u
/* After so many waits words about the message are believed of each one. */
#define REFUSALS_ROUNDS_WORDS 5u
/* Of a source that refuses bodies: different messages in a row, each in every form, that make an outage; and so many
 * waits while nothing comes, by what its words say, until they are believed of each message. */
#define REFUSALS_UNREAD_ROW            20u
#define REFUSALS_UNREAD_ROUNDS         4u
#define REFUSALS_UNREAD_ROUNDS_PASSING 8u
/* Of a source that opens no folder: different folders in a row, and waits of words that do not say that it passes. */
#define REFUSALS_FOLDERS_ROW    5u
#define REFUSALS_FOLDERS_ROUNDS 8u
/* Refusals behind each of which the folder took another message: it is the message. */
#define REFUSALS_WITNESSED 2u

/* What the words of a refusal are about. */
enum refusal_words {
    REFUSAL_WORDS_OWN,    /* the message itself */
    REFUSAL_WORDS_ANY,    /* nobody knows */
    REFUSAL_WORDS_PASSING /* something that passes: the message may be taken later */
};

/* A folder's. All zero: none yet. */
struct refusals {
    uint32_t seen;     /* refusals so far */
    uint32_t vouched;  /* up to this one, a message that was sent after it was taken */
    uint32_t row_from; /* seen, when a message was taken last */
    uint32_t waited;   /* seen, when the last wait began */
    unsigned row;      /* different messages refused since then, but for those known to be refused beside others */
    unsigned rounds;   /* waits since then */
    bool rests;        /* it takes nothing: one message at a time, after a wait */
    bool took;         /* it has taken a message at all */
};

/* A message's. All zero: never refused. */
struct refused {
    uint32_t at; /* `seen` of its last refusal */
    uint8_t times, witnessed;
};

enum refusal {
    REFUSAL_OWN,   /* it is the message */
    REFUSAL_LATER, /* not known: others go first */
    REFUSAL_REST   /* the folder rests for a while: refusals_rests */
};

/* A message was taken that was sent when so many refusals had been seen. */
void refusals_took(struct refusals *r, uint32_t seen_at_send);
/* The message was refused. others: more messages of the folder could be sent now. most: how often one for which there
 * are no others may be refused, 1.. ; as often at least one is whose words say that it passes. */
enum refusal refusals_judge(struct refusals *r, struct refused *m, enum refusal_words words, bool others,
                            unsigned most);
/* It was judged to be the message, in words about it, and nothing is left that could mend it: has it failed? Not
 * before the folder took another one after it. */
enum refusal refusals_judge_last(const struct refusals *r, const struct refused *m, bool others, unsigned most);
/* Of a source: the message did not come in the first form. */
void refusals_unread_first(const struct refusals *r, struct refused *m);
/* It gave no form of the message's body, nor any other body since it was asked for first. others: as above. row:
 * different ones in a row that make an outage. rounds: waits that it is given, counted in `rounds` by the caller. For
 * folders that do not open it is the same question. */
enum refusal refusals_judge_unread(struct refusals *r, struct refused *m, bool others, unsigned row, unsigned rounds);
/* A wait begins: how many waits went before, of the folder's row or of the message alone. */
unsigned refusals_rests(struct refusals *r, const struct refused *m);
/* It was refused before the last wait, and not tried since: it has its turn before there is another wait. */
bool refusals_has_turn(const struct refusals *r, const struct refused *m);
/* The message may be tried again before others are: the folder took one since, and nothing was refused after that. */
bool refusals_may_try(const struct refusals *r, const struct refused *m);

#endif
