/* One working connection: an IMAP session on a stream, with its output pumped, its silence timed
 * and its end told once; or a Maildir tree in its place. The only place where engine/imap meets io.
 *
 * Belongs to the loop's thread. Callbacks come from the loop, or from inside session calls.
 */
#ifndef ENGINE_MOVE_LINK_H
#define ENGINE_MOVE_LINK_H

#include "engine/mailbox/disk/disk.h"
#include "engine/mailbox/source.h"
#include "engine/move/bandwidth.h"
#include "io/stream.h"

struct crawl;
struct link;

struct link_config {
    struct stream_target target;   /* its tls is borrowed until `closed`; copied otherwise */
    struct session_config session; /* tls and starttls are set by link_open from target */
    struct disk_config disk;       /* pattern not NULL: this tree in place of a server; copied */
    uint32_t stall_ms;             /* longest silence while an answer is due; 0: the session's own */
    struct crawl *crawl;           /* what earlier links to the server left, or NULL; borrowed until `closed` */
    struct bandwidth *bandwidth;   /* borrowed until `closed`; NULL: no limit */
    const char *label;             /* for logs: "source ann@example.org"; copied */
};

struct link_events {
    /* Logged in; commands may be started on link_session. */
    void (*ready)(void *context);
    /* The link is over and frees itself after this call, exactly once. All commands have ended
     * before. err: class CANCELED after link_close. ready_before: it had been ready. */
    void (*closed)(void *context, const struct err *err, bool ready_before);
    /* An [ALERT] or untagged NO/BAD, for the report; may be NULL. */
    void (*notice)(void *context, struct slice text);
    void (*slow_down)(void *context); /* may be NULL */
};

/* Starts connecting and logging in; errors come by `closed`, never from here. events and the secrets
 * inside config->session.auth are borrowed until then. A way of logging in that turns out broken is
 * followed by the next one on a new connection, which is still the same link. */
struct link *link_open(struct loop *loop, const struct link_config *config, const struct link_events *events,
                       void *context);

/* What is read through it; on either side. Its traits are known once the link is ready. */
struct source *link_source(struct link *link);
/* Of a server; NULL of a Maildir. */
struct session *link_session(struct link *link);
/* The server has greeted, and let us in: what it refuses from then on is a login. */
bool link_was_greeted(const struct link *link);
/* Commands may be started, and one that has ended did not end because the connection did. An error's
 * scope does not tell the two apart: a throttled mailbox is wider than a connection. */
bool link_is_ready(const struct link *link);
void link_facts(const struct link *link, struct stream_facts *facts_r);
/* The shortest time in which the server answered while this link logged in; 0: not known yet. */
uint32_t link_round_trip_us(const struct link *link);
struct ssl_st *link_ssl(struct link *link);
/* Once it is ready: ways of logging in that are broken at this server, for the next link's
 * config.session.auth.tried. */
unsigned link_broken_ways(const struct link *link);

/* Ends the link at once; commands in flight end with CANCELED (an APPEND that was given out whole
 * with UNCERTAIN). `closed` follows. */
void link_close(struct link *link);
/* LOGOUT first, then as link_close; at most five seconds. */
void link_finish(struct link *link);

/* For how long an answer, or the connection itself, has been awaited without a byte from the server,
 * in ms; 0 while nothing is due or reading is paused. */
uint64_t link_silent_ms(const struct link *link);
/* Stops or resumes reading from the server (back-pressure); paused time is no silence. */
void link_want_read(struct link *link, bool on);

#endif
