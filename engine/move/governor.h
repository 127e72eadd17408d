/* Permits to send: every APPEND and every connect to the target goes through here. One pace
 * controller serves all loops; it lives on the first reactor's thread and the others reach it by
 * messages, so nothing waits and nothing is locked. With preset imap nothing is asked for until a
 * server says that it wants it otherwise.
 *
 * All calls are made on the account's own loop.
 */
#ifndef ENGINE_MOVE_GOVERNOR_H
#define ENGINE_MOVE_GOVERNOR_H

#include "engine/move/account.h"
#include "engine/pace/pace.h"

struct governor;

/* Before the team starts; settings and spool are borrowed until governor_destroy. PERMANENT/RUN,
 * origin OS, when the ledger folder cannot be written to. */
bool governor_create(const struct settings *settings, struct spool *spool, struct governor **governor_r,
                     struct err *err_r) ERR_CHECK;
void governor_destroy(struct governor **governor);
/* Before the team starts, with a ledger: which of the settings' users no other process that names it is moving;
 * without, all. taken_r: as many as there are users. TRANSIENT/RUN, origin OS. */
bool governor_take(struct governor *governor, bool *taken_r, struct err *err_r) ERR_CHECK;
/* On the first reactor's thread, once its loop runs. */
void governor_begin(struct governor *governor, struct reactor *owner);
/* On the owner's thread, before its loop ends: saves what was learnt. */
void governor_end(struct governor *governor);

/* The account takes part / leaves. */
void governor_join(struct account *account);
void governor_leave(struct account *account);

/* May one message of that size be sent now? True: the permit is used up and must end in exactly one
 * of the five below. False: asked for; account_poke comes when it is granted. A permit that is not
 * used soon goes back, and one granted before a back-off began is never used inside it. retry: the
 * message failed before; retries are at most a tenth of what is sent. */
bool governor_allows(struct account *account, uint64_t bytes, bool retry);
/* May one more message go into the same command? True as above; false asks for nothing. */
bool governor_allows_more(struct account *account, uint64_t bytes);
/* How a command with so many messages ended; bytes: of all of them. */
void governor_answered(struct account *account, uint64_t bytes, uint64_t latency_ms, unsigned messages);
void governor_refused(struct account *account, unsigned messages);
void governor_gave_back(struct account *account, uint64_t bytes, unsigned messages);
/* The connection went; messages: 0 when no APPEND was on it. */
void governor_dropped(struct account *account, unsigned messages);
/* A throttle reply; messages: 0 when it answered something else than an APPEND. hint_ms 0: none. */
void governor_throttled(struct account *account, unsigned messages, uint32_t hint_ms);
/* Every now and then: gives back what is not used, and tells of signs of life. */
void governor_tick(struct account *account);

/* May a connection to the target be opened now? False: asked for; account_poke comes. */
bool governor_may_connect(struct account *account);
/* A login worked. */
void governor_connected(struct account *account);
/* It decides when this side connects. */
bool governor_paces(const struct account *account, enum side side);

/* What the account waits for from the owner. */
enum governor_wait {
    GOVERNOR_WAITS_NOT,
    GOVERNOR_WAITS_PACE,    /* the learnt rate allows no more now */
    GOVERNOR_WAITS_BACKOFF, /* the tenant was told to wait */
    GOVERNOR_WAITS_LINE     /* connections were lost together: whether the server lives is to show */
};
enum governor_wait governor_waits(const struct account *account);

/* What people are shown; any thread, a copy of about a second ago. */
void governor_view(struct governor *governor, struct pace_view *view_r);

#endif
