/* Connections that only read, outside a run: verify and export go through both sides' mail as a
 * user. Logs in as a run would, tokens included, and comes back after a lost connection or when the
 * server asked to wait, a few times. Everything of a `visits` belongs to one loop's thread.
 */
#ifndef ENGINE_MOVE_VISIT_H
#define ENGINE_MOVE_VISIT_H

#include "engine/failure/trouble.h"
#include "engine/move/link.h"
#include "engine/move/reactor.h"
#include "io/base/quota.h"

/* What the visits of one process share: TLS and, with OAuth, the token client. Any thread. */
struct visit_house {
    const struct settings *settings;
    struct tls_role *tls[SIDE_COUNT];
    struct https *https;         /* NULL without OAuth */
    struct presence *presence;   /* [SIDE_COUNT]; owned */
    struct quota *memory;        /* for lists that servers feed; owned */
    struct bandwidth *bandwidth; /* owned */
};
/* Errors: PERMANENT/RUN, origin TLS for certificate files; visit_house_close is due either way. */
bool visit_house_open(struct visit_house *house, const struct settings *settings, struct err *err_r) ERR_CHECK;
void visit_house_close(struct visit_house *house);
/* A reactor as far as visits, probes and tokens need one, for the caller's loop. Its tokens are made:
 * tokens_destroy is the caller's. Both are borrowed. */
void visit_house_reactor(const struct visit_house *house, struct loop *loop, struct reactor *reactor_r);

/* What the visits of one loop share. house and loop must outlive it. */
struct visits;
struct visits *visits_create(const struct visit_house *house, struct loop *loop);
/* After the last visit is over. */
void visits_destroy(struct visits **visits);

struct visit;
struct visit_events {
    /* Logged in, the first time or again: nothing is selected. */
    void (*ready)(void *context);
    /* May be NULL. A connection ended before it stood, or was lost; it is tried again later. */
    void (*waits)(void *context);
    /* It is over and frees itself after this call. err NULL: by visit_end. Else why it was given
     * up; type is the report's. */
    void (*over)(void *context, const struct err *err, const char *type);
};

/* Starts; never fails at once. user and events are borrowed until it is over. */
struct visit *visit_start(struct visits *visits, enum side side, const struct settings_user *user,
                          const struct visit_events *events, void *context);
/* Commands may be started on visit_session. */
bool visit_is_ready(const struct visit *visit);
struct source *visit_source(struct visit *visit);
/* For what only a target is asked. */
struct session *visit_session(struct visit *visit);
/* Of the connection at hand; zeros while there is none. */
void visit_facts(const struct visit *visit, struct stream_facts *facts_r);
/* As link_round_trip_us; 0: not known. */
uint32_t visit_round_trip_us(const struct visit *visit);
/* A command ended with an error that is not the session's end: the server's wait is kept, or the
 * visit is given up; `ready` or `over` follows. */
void visit_failed(struct visit *visit, enum trouble_doing doing, const struct err *err);
/* Something was had: earlier troubles are forgotten. */
void visit_went_well(struct visit *visit);
/* Logs out; `over` follows. */
void visit_end(struct visit *visit);

#endif
