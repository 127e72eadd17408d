/* One loop's share of a batch: its accounts, its part of the connections, its reader and contexts,
 * and the way of store operations there and back. Everything here belongs to the loop's thread, but
 * for the counters, which it alone writes and the display reads.
 */
#ifndef ENGINE_MOVE_REACTOR_H
#define ENGINE_MOVE_REACTOR_H

#include "engine/message/match_fidelity.h"
#include "engine/move/spread.h"
#include "engine/pace/aimd.h"
#include "engine/settings/settings.h"
#include "io/loop.h"
#include "io/tls.h"
#include "store/blob.h"
#include "store/reader.h"
#include "store/writer.h"

#include <stdatomic.h>

struct account;
struct bandwidth;
struct batch;
struct quota;

/* Written by one reactor, read by anyone. */
struct counters {
    _Atomic uint64_t found, fetched, uploaded, present, skipped, failed;
    _Atomic uint64_t bytes_found, bytes_fetched, bytes_uploaded;
    _Atomic uint64_t throttled[SIDE_COUNT], reconnects, folders, folders_done;
    _Atomic uint32_t links[SIDE_COUNT];
    _Atomic uint32_t links_max[SIDE_COUNT];   /* allowed now */
    _Atomic int64_t links_cut_ms[SIDE_COUNT]; /* wall clock of the last refusal; 0: never */
    /* As of the last tick, for other reactors (account_spread). */
    _Atomic uint64_t left[SIDE_COUNT];      /* messages that accounts at work still have to move */
    _Atomic uint32_t unknown[SIDE_COUNT];   /* accounts at work that cannot tell yet */
    _Atomic uint32_t at_work[SIDE_COUNT];   /* connections of accounts at work */
    _Atomic uint64_t silent_ms[SIDE_COUNT]; /* of the account that heard something last; UINT64_MAX: no answer is due */
    _Atomic uint32_t held;                  /* accounts waiting for a server's back-off */
    _Atomic uint32_t active;
    _Atomic uint32_t listing; /* accounts whose folders are not all listed yet */
};

static inline void count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* This process's connections at one server, of all loops. */
struct presence {
    _Atomic unsigned now;     /* logged in */
    _Atomic unsigned came;    /* logged in since the process began; 0: whether the server is there is not known */
    _Atomic uint32_t opened;  /* folders that it opened, for any mailbox */
    _Atomic unsigned refused; /* mailboxes of which it opened none since it refused one of their folders */
    _Atomic bool shut;        /* it opens none for anybody, as was told */
};

struct reactor {
    struct batch *batch;
    const struct settings *settings;
    struct loop *loop;
    struct reader *reader;
    struct blob_kit *kit;
    struct writer *writer;
    struct spool *spool;
    struct tls_role *tls[SIDE_COUNT];
    struct presence *presence;   /* [SIDE_COUNT]; the house's */
    struct quota *memory;        /* for lists that servers feed; the house's */
    struct bandwidth *bandwidth; /* the house's */
    struct https *https;         /* NULL when no side uses OAuth; shared, the batch's */
    struct tokens *tokens;       /* likewise; the reactor's own */
    struct account *accounts;    /* active ones */
    unsigned active;
    unsigned links[SIDE_COUNT];
    unsigned linked[SIDE_COUNT];    /* accounts that have one of these or more */
    struct aimd limits[SIDE_COUNT]; /* how many may be open */
    struct spread_line lines[SIDE_COUNT];
    uint64_t moved[SIDE_COUNT];       /* messages, as of the last tick */
    unsigned broken_ways[SIDE_COUNT]; /* of logging in, as auth_config.tried */
    /* pull_check's: bodies of the size that the source had told; headers asked for because of another */
    uint64_t sizes_right, sizes_wrong, sizes_doubted;
    struct match_fidelity fidelity; /* of the target */
    bool stopping;                  /* finish what is in flight, start nothing */
    bool choked;                    /* the writer is behind: sources are not read */
    bool ended;                     /* told the batch so */
    bool broken;                    /* its loop or reader could not be had */
    bool no_more;                   /* the queue of users is empty */
    unsigned index;
    uint64_t shown_ms;
    uint64_t stop_ms; /* loop time when stopping began */
    struct loop_timer tick;
    struct counters counters;
};

/* On the reactor's thread, once its loop exists: takes users until there are none, then tells
 * batch_reactor_ended. */
void reactor_begin(struct reactor *reactor);

/* Does the run's mode have this side? */
bool reactor_uses(const struct reactor *reactor, enum side side);

/* A store operation whose durability matters: told runs on the loop's thread after the commit, then
 * the operation is freed. err NULL: durable. */
typedef void reactor_told(void *context, struct store_op *op, const struct err *err);
void reactor_submit(struct reactor *reactor, struct store_op *op, reactor_told *told, void *context);
/* One that nobody waits for. */
void reactor_submit_unwaited(struct reactor *reactor, struct store_op *op);

/* Before reactor_begin: this reactor's part of `configured` connections; it begins with the part of `learnt`
 * of them, the most that the server bore before. */
void reactor_limit_links(struct reactor *reactor, enum side side, unsigned configured, unsigned learnt);
/* A connection is logged in; reactor_falls when it ends. Its loop's thread. */
static inline void reactor_stands(const struct reactor *reactor, enum side side)
{
    reactor->presence[side].now++;
    reactor->presence[side].came++;
}
/* That connection has ended. *came_seen: see reactor_turned_away. */
static inline void reactor_falls(const struct reactor *reactor, enum side side, unsigned *came_seen)
{
    reactor->presence[side].now--;
    *came_seen = reactor->presence[side].came;
}
/* trouble_turned_away for a connection of this process; *came_seen: the caller's, what `came` was at its attempt
 * before. */
bool reactor_turned_away(const struct reactor *reactor, enum side side, const struct err *err, bool greeted,
                         unsigned attempts, unsigned *came_seen, struct err *err_r);
/* Is there room for one more connection of this side? */
bool reactor_has_link(const struct reactor *reactor, enum side side);
/* May a connection be opened now? Counts it when yes; give back when it closed. */
bool reactor_lend_link(struct reactor *reactor, enum side side);
void reactor_give_back_link(struct reactor *reactor, enum side side);
/* Connections that no account without one can want, now or when the next users begin: second ones are
 * given of these. */
unsigned reactor_spare_links(const struct reactor *reactor, enum side side);
/* The server refused one more than are open: no more than these from here on, but for one that is tried
 * now and then. */
void reactor_fewer_links(struct reactor *reactor, enum side side);

/* The account has ended and was freed: takes the next user, or ends the loop. */
void reactor_account_ended(struct reactor *reactor, struct account *account);
/* Ends the whole run early: cause is kept by the batch. */
void reactor_abort_run(struct reactor *reactor, const struct err *err);

#endif
