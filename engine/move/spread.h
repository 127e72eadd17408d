/* Whether a mailbox gets one more connection to a server. A connection of its own costs both ends a login and makes
 * the server's processes wait for each other at the mailbox's locks and caches; so the mailboxes share the connections
 * evenly, and one of them gets a second one only
 *   - where its connections mostly wait, for a long line or for a server that answers each command late, because what
 *     waits costs nobody anything while it does;
 *   - where all mailboxes at work together have fewer connections than one of them may have alone;
 *   - where the others will have ended long before it.
 * What a login costs is measured, and must come back. Pure: plain values, the caller's clock.
 */
#ifndef ENGINE_MOVE_SPREAD_H
#define ENGINE_MOVE_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

/* A round trip below this is of the size of what the server does for a command: there is no line to wait for. */
#define SPREAD_FAR_US 3000u
/* A server that takes this long for a message at its quickest does not work all the while: it waits itself. */
#define SPREAD_LATE_US 10000u
/* Answers in a window; with so many, one at least found the server free. */
#define SPREAD_ANSWERS 32u

/* What is known of the way to a server and of its answers. All zero: nothing yet. */
struct spread_line {
    uint32_t round_trip_us;   /* shortest seen */
    uint32_t login_us;        /* shortest from the first packet to the end of the login */
    uint32_t answer_us;       /* shortest of the last window of answers, and of the one that runs; 0: none yet */
    uint32_t window_us;       /* of the one that runs */
    unsigned answers;         /* in it */
    double busy_us, messages; /* connection time and the messages that moved in it, of late */
};

/* A connection stands; round_trip_us 0: not measured. */
void spread_logged_in(struct spread_line *line, uint32_t round_trip_us, uint32_t login_us);
/* The server had a command that carried one message in hand for so long; those before it were answered. */
void spread_answered(struct spread_line *line, uint64_t answer_us);
/* So many messages moved while connections were busy for busy_us together; called at regular intervals. */
void spread_moved(struct spread_line *line, uint64_t busy_us, uint64_t messages);

/* One mailbox on this side. */
struct spread_mailbox {
    unsigned links;      /* its connections, those that are being opened too; at least 1 */
    unsigned most;       /* it may have so many */
    uint64_t ready;      /* messages that can be moved now: on the target those in the spool */
    uint64_t left;       /* those that are still to come, too */
    unsigned folders;    /* still to be opened one after the other */
    unsigned rounds_x64; /* round trips that a message costs a connection, times 64: how deep commands are pipelined */
};

/* All others of the batch that are at work on this side: connected or about to be, with something to move, and not
 * told to wait. */
struct spread_others {
    unsigned links;   /* their connections; one for each that is about to have one */
    uint64_t left;    /* messages that they still have to move */
    unsigned unknown; /* mailboxes of which it is not known yet how much they have left */
};

enum spread_why {
    SPREAD_NOT,
    SPREAD_WAITS, /* it mostly waits for line or server */
    SPREAD_FEW,   /* few connections are at work */
    SPREAD_LAST   /* the others will have ended long before */
};

/* Shall the mailbox get one more connection, and why? There is a free one that nobody else waits for; the caller
 * looked. */
enum spread_why spread_another(const struct spread_line *line, const struct spread_mailbox *mailbox,
                               const struct spread_others *others);
/* "waits" ...: as logs name it. */
const char *spread_name(enum spread_why why);

#endif
