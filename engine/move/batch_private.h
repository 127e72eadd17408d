/* What batch (the team, the users in turn, the end) and batch_tell (what display, status and the
 * next run are told) share. Internal to the batch.
 */
#ifndef ENGINE_MOVE_BATCH_PRIVATE_H
#define ENGINE_MOVE_BATCH_PRIVATE_H

#include "engine/move/batch.h"
#include "engine/move/limits.h"
#include "engine/move/sample.h"
#include "engine/move/visit.h"
#include "io/team.h"
#include "store/wishes.h"

#include <pthread.h>

/* Who is worked on next (batch_users). Arrays are parallel to settings->users. */
struct batch_queue {
    pthread_mutex_t lock;
    unsigned *order; /* of indexes: who is first */
    bool *begun;
    _Atomic int *wishes; /* enum wish */
    unsigned next;       /* of order: all before have begun or are set aside */
    _Atomic unsigned waiting;
    struct wishes_stamp stamp;
    uint64_t looked_ms;
};

struct batch {
    struct batch_queue queue;
    const struct settings *settings;
    struct spool *spool;
    struct writer *writer;
    struct governor *governor;
    struct login_guard *login_guard;
    _Atomic int left_alone; /* enum batch_end + 1 when a server is, else 0 */
    _Atomic bool day_over;  /* of a user at least */
    struct visit_house house;
    const struct batch_config *config;
    struct reactor *reactors;
    unsigned loops;
    uint32_t *ids; /* journal ids of settings->users */
    bool *taken;   /* parallel: no other process of the ledger has them */
    _Atomic unsigned reactors_ready, reactors_running, users_ended;
    _Atomic unsigned doubted; /* of synced */
    _Atomic unsigned synced, failed, stopped, connect_failed, login_failed;
    _Atomic unsigned half_done; /* of a run of one side: all that was asked for, and not Synced */
    bool told_stopping;
    uint64_t started_ms;
    int64_t slurm_end_s;
    uint64_t sampled_ms;
    uint64_t bandwidth;   /* as last told */
    struct tally earlier; /* what earlier runs reached */
    uint64_t live_ms;
    struct limits learnt[SIDE_COUNT]; /* as last told; before that, as found */
    char *other_target;               /* batch_other_target */
    pthread_mutex_t show_lock;
    struct batch_show shows[TEAM_LOOPS_MAX][BATCH_SHOW_MAX];
    unsigned show_counts[TEAM_LOOPS_MAX];
    struct batch_failures failures[BATCH_FAILURES_MAX]; /* under show_lock; the last one takes what has no place */
    unsigned failure_count;
    struct sample_live (*lives)[BATCH_LIVE_MAX]; /* by reactor */
    unsigned live_counts[TEAM_LOOPS_MAX];
    pthread_mutex_t abort_lock;
    bool aborted;
    struct err abort_err;
};

/* batch_users: registers them, and reads what is known and wished of them. Before the team starts. */
bool batch_users_open(struct batch *batch, struct err *err_r) ERR_CHECK;
/* Thread 0, at each tick: whether a person has changed his mind. */
void batch_users_look(struct batch *batch);
/* At the end, when the team is gone: how many were not worked on to the end because they are paused, or dropped. */
unsigned batch_users_aside(const struct batch *batch, unsigned *dropped_r);

/* It is a plan: nothing moves. */
bool batch_only_looks(const struct batch *batch);
/* Sums over all reactors, now. */
void batch_look(struct batch *batch, struct batch_view *view_r);
/* Why the run stops early, a constant; NULL: it does not. */
const char *batch_stop_reason(void);
/* A user is Failed by this. Any thread. */
void batch_count_failure(struct batch *batch, const char *type);
/* A named value of the journal; with the next commit. */
void batch_put(struct batch *batch, const char *name, const char *value);
/* Thread 0: for `status` every 2 s, for the course of the night every 5 s. */
void batch_tell_sometimes(struct batch *batch, const struct batch_view *view);
/* At the end, when the team is gone. */
void batch_tell_all(struct batch *batch, const struct batch_view *view);
/* What earlier runs learnt, if it was from these servers; one that cannot be read is none. */
void batch_take_learnt(struct batch *batch);
/* Are the servers those that earlier runs moved mail between? Of the first run they are put. */
void batch_take_servers(struct batch *batch);
/* All users are Synced: from now on it is these. */
void batch_put_servers(struct batch *batch);

#endif
