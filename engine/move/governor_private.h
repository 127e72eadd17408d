/* What the two halves of the governor share: engine/move/governor.c is the accounts' side, on each
 * account's own loop; engine/move/governor_owner.c is the owner's, on the first reactor's. Nobody else includes
 * this.
 */
#ifndef ENGINE_MOVE_GOVERNOR_PRIVATE_H
#define ENGINE_MOVE_GOVERNOR_PRIVATE_H

#include "engine/move/governor.h"
#include "engine/move/peers.h"
#include "engine/pace/heap.h"

#include <pthread.h>

/* A permit that was granted and is not used at once goes back: the message it was for is gone, or
 * its folder is being opened, and others wait for its share. */
#define GOVERN_PERMIT_KEPT_MS 1000
/* Likewise the leave to connect: kept, a gate's end would let all of them in together. */
#define GOVERN_CONNECT_KEPT_MS 3000

struct permit {
    uint64_t bytes; /* as granted */
    uint64_t since_ms;
};

/* What an account keeps while it takes part. */
struct governed {
    struct permit permits[PACE_WANTS_MAX]; /* granted and not used */
    unsigned permit_count;
    unsigned asked; /* for and not granted; permit_count + asked <= PACE_WANTS_MAX */
    unsigned used;  /* granted, used, and not ended: what was sent before permits were asked for is
                       none of them */
    bool may_connect, connect_asked, cancelling;
    bool listens; /* for a sign of life, since the tick before */
    uint64_t may_connect_ms;
};

enum govern_kind {
    GOVERN_JOIN,
    GOVERN_LEAVE,
    GOVERN_WANT,
    GOVERN_CANCEL,
    GOVERN_RESIZE,
    GOVERN_ANSWERED,
    GOVERN_REFUSED,
    GOVERN_GAVE_BACK,
    GOVERN_THROTTLED,
    GOVERN_DROPPED,
    GOVERN_CONNECT,
    GOVERN_CONNECTED,
    GOVERN_HEARD,
    /* from the owner to an account */
    GOVERN_GRANTED,
    GOVERN_CANCELLED,
    GOVERN_MAY_CONNECT
};

struct order {
    struct loop_message message;
    struct order *next; /* owner: retries that wait */
    struct governor *governor;
    struct reactor *reactor; /* the account's */
    enum govern_kind kind;
    unsigned index; /* user */
    uint32_t id;
    uint64_t bytes;      /* of all its messages together; RESIZE: as granted */
    uint64_t used_bytes; /* RESIZE */
    uint64_t latency_ms;
    uint32_t hint_ms;
    unsigned permits; /* that end with it; CANCELLED: wants that were dropped */
    bool retry;       /* WANT: the message failed before */
};

/* A user that takes part, as the owner sees it. */
struct member {
    uint32_t lane; /* GOVERN_NO_LANE: takes no part */
    struct reactor *reactor;
    uint32_t id;
    unsigned retries_waiting;
};
#define GOVERN_NO_LANE UINT32_MAX

struct governor {
    const struct settings *settings;
    struct spool *spool;
    _Atomic bool active;       /* permits are asked for */
    _Atomic uint64_t gate_ms;  /* the tenant rests until then; the loops' clock */
    _Atomic uint64_t asked_ms; /* the same, as far as the server asked for it */
    _Atomic bool listens;      /* a sign of life of the target is waited for */
    struct account **accounts; /* by user index; each entry belongs to its account's loop */

    /* the owner's */
    struct reactor *owner;
    struct pace *pace;
    struct member *members; /* by user index */
    unsigned *user_of;      /* by pace lane */
    uint32_t user_of_room;
    struct loop_timer poll, save, ledger;
    struct peers *peers; /* NULL: no ledger */
    bool ended;
    bool dirty;
    struct heap connects;                 /* users that wait for leave to connect, by the time to ask again */
    struct order *retries, **retries_end; /* in order of asking */

    pthread_mutex_t view_lock;
    struct pace_view view;
};

/* Exchange Online's ways, not those of any IMAP server. */
bool governor_is_exchange(const struct governor *governor);
void governor_owner_init(struct governor *governor);
void governor_owner_deinit(struct governor *governor);
/* A message from an account, on the owner's loop. */
void governor_owner_order_arrives(struct loop_message *message);
/* A message from the owner, on the account's loop. */
void governor_answer_arrives(struct loop_message *message);

#endif
