/* The model of once.h: its rules, its state, and the table of the states that were seen. Every function is static.
 */
#ifndef TESTS_MODEL_ONCE_STATE_H
#define TESTS_MODEL_ONCE_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ONCE_MESSAGES    4
#define ONCE_CONNECTIONS 3
#define ONCE_DEPTH       3
#define ONCE_STORED      10 /* copies in the folder */
#define ONCE_ENDS        6  /* operations that the journal has not committed */
#define ONCE_NONE        255
#define ONCE_FOREIGN     200 /* somebody else's message */
#define ONCE_GONE        201 /* removed */
#define ONCE_CUT         100 /* on a message: a copy that lacks its end */

struct once_rules {
    unsigned messages, connections, depth, losses, refusals, kills, stops, foreign, lates;
    unsigned lies; /* APPENDUIDs that are one too high; of a target that lies always, as many as there are answers */
    unsigned unstored; /* answered OK and not stored; such an answer tells no UID */
    unsigned removals; /* all that the folder holds is removed while no run is at work, or its look waits */
    unsigned anew;     /* likewise, and the folder is made anew: its UIDs begin again */
    unsigned
        prefilled;    /* it holds copies of the messages 1.. before the first run, of which the journal knows nothing */
    bool cut;         /* these lack their end: their size differs */
    bool own_dates;   /* the target gives dates of its own */
    bool multi;       /* a connection's messages are one MULTIAPPEND, which the target stores one by one */
    bool twins;       /* messages 0 and 1 are the same mail */
    bool alike;       /* messages 0 and 1 have one key and differ; a row without a UID may be taken for either, and
                       * only the answer to message 0 is ever lost */
    bool tells_uids;  /* APPENDUID */
    bool waits_alone; /* only what has no answer waits for the look: the folder goes on */
    bool lost_holds;  /* an answer that is lost holds the floor, whatever others are told */
    bool parts_doubted; /* of a MULTIAPPEND that broke off, what had been sent whole counts as sent */
    bool doubts;        /* a refusal after the last byte is looked into */
    bool claims_from;   /* a row without a UID claims nothing below where its copy may be */
    bool flushes;       /* what was answered is in the journal before a look is compared with it */
    bool open_durable;  /* the intent is durable before the first byte */
    bool quiet;         /* a look waits until nothing is under way */
    bool settles;       /* a look waits until the target has done with what it was sent */
    bool fresh;         /* a look is at what the folder holds now, not at what it held before the loss */
    bool equal_waits;   /* what has the key of a message without an answer waits with it */
    bool found_holds;   /* what a look found holds the floor until the journal has it */
    bool stop_leaves;   /* a run that is stopped while an answer is missing leaves the folder open */
    bool notes;         /* how often a message was sent without an answer is counted before it is sent again */
    bool notes_killed;  /* the same of all that a killed run may have sent */
    bool notes_refused; /* the same of what was refused in doubt */
    bool sizes_pair;    /* of one key, those of one size are a pair, and no others */
    bool learns_dates;  /* what the target makes of dates is learnt, and not asked for where it makes its own */
    bool checks_uids;   /* UIDs that cannot be true, or are of other messages, are not believed, nor what they made */
    bool whole_looks;   /* a look that lacks a row is none */
    bool knows_anew;    /* UIDs of a folder that was made anew claim nothing in it */
    bool proves_all;    /* the folder has to hold what all runs have moved, not what came since it was opened */
    bool proves_header; /* where the number may agree by chance, each message is asked for */
};

struct once_row {
    uint8_t done, uid, from; /* uid 0: not told */
    uint8_t noted; /* how often it was sent without an answer and not found since: so many copies of it are named */
};

struct once_journal {
    struct once_row rows[ONCE_MESSAGES];
    uint8_t floor, highest, open, lies, anew;
};

struct once_end {
    uint8_t message, uid, floor, highest, found, lies;
};

struct once_sent {
    uint8_t message, at_send, uid; /* uid 0: not stored; ONCE_NONE: nor will it be, but answered OK */
};

struct once_wire {
    uint8_t count;
    struct once_sent sent[ONCE_DEPTH];
};

/* Bytes only: compared as a whole. */
struct once_state {
    uint8_t stored[ONCE_STORED], stored_count; /* UID - 1: message */
    uint8_t limbo[ONCE_STORED], limbo_count;   /* sent whole, the connection gone, not stored yet */
    uint8_t late[ONCE_STORED], late_count;     /* not stored when the looks for it were over */
    struct once_wire wires[ONCE_CONNECTIONS];
    struct once_journal disk;
    struct once_journal mind; /* what the journal will hold */
    struct once_end ends[ONCE_ENDS];
    uint8_t end_count;
    uint8_t highest, floor, lost_above, opened, running;
    uint8_t closed;     /* nothing is sent before a look */
    uint8_t unanswered; /* bits: messages that wait for the look, while others are sent */
    uint8_t snapshot;   /* how much an early look saw; ONCE_NONE: there was none */
    uint8_t losses, refusals, kills, stops, foreign, lates, lies, unstored, removals;
    uint8_t anew;     /* how often the folder was made anew */
    uint8_t before;   /* messages that it held when it was opened */
    uint8_t since;    /* answered OK since then */
    uint8_t withheld; /* an OK told no UID where others do */
};

struct once_search {
    struct once_rules rules;
    struct once_state *seen;
    size_t room, count;
    struct once_state *stack;
    size_t stack_count, stack_room;
    bool doubled, lost, full;
};

/* As the target and its looks tell messages apart. */
static uint8_t once_key(const struct once_search *s, uint8_t message)
{
    message = message >= ONCE_CUT && message < ONCE_FOREIGN ? (uint8_t)(message - ONCE_CUT) : message;
    return (s->rules.twins || s->rules.alike) && message == 1 ? 0 : message;
}

/* As their owner does. */
static uint8_t once_mail(const struct once_search *s, uint8_t message)
{
    return s->rules.twins && message == 1 ? 0 : message;
}

static int once_wire_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct once_wire));
}

static int once_byte_order(const void *a, const void *b)
{
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

static size_t once_place(const struct once_search *s, const struct once_state *state)
{
    uint64_t hash = 1469598103934665603u;

    for (size_t i = 0; i < sizeof *state; i++)
        hash = (hash ^ ((const uint8_t *)state)[i]) * 1099511628211u;
    return (hash ^ hash >> 29) & (s->room - 1);
}

static void once_grow(struct once_search *s)
{
    struct once_state *old = s->seen;
    size_t room = s->room;

    s->room = room ? room * 2 : 4096;
    s->seen = calloc(s->room, sizeof *s->seen);
    if (!s->seen)
        abort();
    for (size_t i = 0; i < room; i++)
        if (old[i].running) {
            size_t at = once_place(s, &old[i]);

            while (s->seen[at].running)
                at = (at + 1) & (s->room - 1);
            s->seen[at] = old[i];
        }
    free(old);
}

static void once_push(struct once_search *s, const struct once_state *from)
{
    struct once_state state = *from;
    size_t at;

    if (s->count * 2 >= s->room)
        once_grow(s);
    /* Which connection it is makes no difference. */
    qsort(state.wires, s->rules.connections, sizeof *state.wires, once_wire_order);
    qsort(state.limbo, state.limbo_count, 1, once_byte_order);
    qsort(state.late, state.late_count, 1, once_byte_order);
    for (at = once_place(s, &state); s->seen[at].running; at = (at + 1) & (s->room - 1))
        if (memcmp(&s->seen[at], &state, sizeof state) == 0)
            return;
    s->seen[at] = state;
    s->count++;
    if (s->stack_count == s->stack_room) {
        s->stack_room = s->stack_room ? s->stack_room * 2 : 1024;
        s->stack = realloc(s->stack, s->stack_room * sizeof *s->stack);
        if (!s->stack)
            abort();
    }
    s->stack[s->stack_count++] = state;
}

#endif
