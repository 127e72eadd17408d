/* Why no mail moves for a user although there is some to move: the causes that the time account
 * tells apart, how long each has lasted, and the form in which the journal keeps them
 * (user_record.opaque). Pure.
 */
#ifndef ENGINE_MOVE_STALL_H
#define ENGINE_MOVE_STALL_H

#include "engine/settings/settings.h"
#include "io/base/buf.h"

/* No byte for so long while an answer is due: the server is no longer at work, it is waited for. */
#define STALL_SLOW_MS 5000u

enum stall_cause {
    STALL_NONE,
    STALL_SLOW_ANSWER,      /* an answer is due, and no byte came for STALL_SLOW_MS */
    STALL_RECONNECT,        /* the connection is gone: the wait before the next try */
    STALL_RETRY,            /* a step failed and is tried again after a while */
    STALL_CONNECTION_LIMIT, /* no connection is free: ours for the server, or the server's own limit
                             */
    STALL_TOKEN,            /* an access token is waited for */
    STALL_FIRST_LOGIN,      /* another user's login is to show first that the shared secret works */
    STALL_PACE,             /* the rate that was learnt allows no more now */
    STALL_LOST_ANSWER,      /* an APPEND got no answer: the target is looked at before more is sent */
    STALL_SPOOL_FULL,       /* fetching waits for room in the spool */
    STALL_DISK,             /* fetching waits for the disk under the spool */
    STALL_DISK_FULL,        /* there is no room on it, so that what is fetched cannot be kept */
    STALL_CAUSE_COUNT
};

/* "SlowAnswer" ...; "" for STALL_NONE. As reports name it. */
const char *stall_name(enum stall_cause cause);
/* "waiting for an answer" ...: the same for people. */
const char *stall_words(enum stall_cause cause);
/* It lies in neither server but in this machine: counted with the target, which the mail is for. */
bool stall_is_here(enum stall_cause cause);

struct stalls {
    uint64_t ms[SIDE_COUNT][STALL_CAUSE_COUNT]; /* by the side that is waited for */
};

void stalls_add(struct stalls *sum, const struct stalls *stalls);
/* The text that the journal keeps, appended; at most STALLS_BYTES. Empty when nothing was counted.
 */
#define STALLS_BYTES 1024u
void stalls_put(struct buf *out, const struct stalls *stalls);
/* Reads it; what another version counted under a name not known here is left out. */
void stalls_read(struct slice text, struct stalls *stalls_r);

#endif
