/* One connection from inside: link.c begins and ends it and moves its bytes, link_watch.c looks at the time. Private to
 * engine/move/link.
 */
#ifndef ENGINE_MOVE_LINK_PRIVATE_H
#define ENGINE_MOVE_LINK_PRIVATE_H

#include "engine/failure/patience.h"
#include "engine/mailbox/imap/imap_source.h"
#include "engine/move/link.h"
#include "engine/move/tls_probe.h"

struct link {
    struct loop *loop;
    struct stream *stream;
    struct session *session;
    struct imap_source source; /* on it */
    struct disk *disk;         /* in place of both, or NULL */
    const struct link_events *events;
    void *context;
    char label[160];
    struct link_config config; /* strings inside are ours */
    struct loop_timer again;   /* opens the connection for another way of logging in */
    struct loop_timer watch;   /* looks for silence every PATIENCE_LOOK_MS */
    struct loop_timer finish;  /* LOGOUT that nobody answers */
    struct patience patience;
    struct crawl crawl;       /* where config has none */
    struct loop_timer booked; /* bandwidth-max: until then no great piece is moved */
    unsigned notices;
    uint64_t asked_ns; /* while logging in: when that was said which is not answered; 0: nothing */
    uint32_t round_trip_us;
    uint32_t stall_ms;
    bool ready, closing, finishing, paused, starttls, has_error;
    bool holds_reading, holds_writing; /* until booked */
    bool held;                         /* since the last look */
    bool feeding, pumping, by_line, another_way;
    bool open, heard, knocked;   /* TCP stands; a byte came; it was asked whether it wants TLS */
    struct tls_probe *tls_probe; /* under way, or NULL */
    struct chore *hashing;       /* likewise; a password for SCRAM */
    struct err error;            /* why it ends, once has_error */
};

/* Ends the stream for a reason of ours; its end tells the rest. */
void link_end(struct link *link, const struct err *err);
/* By us, not by the server. */
bool link_is_held(const struct link *link);

/* Something was answered. Until the login is over one thing is said at a time, and its answer is short: a round trip.
 */
void link_measure(struct link *link);
/* Of the timer: silence, a server that says something now and then and never comes to an end, one that says whole lines
 * and never what is waited for (quirks B0 rule 10), and one that crawls. */
void link_watch(void *context);

#endif
