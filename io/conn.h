/* One TCP connection on a loop: connect, receive, queued send, close in two steps. Knows neither
 * names nor TLS. Events run in the loop's turn, never inside a call to this module.
 */
#ifndef IO_CONN_H
#define IO_CONN_H

#include "io/base/slice.h"
#include "io/loop.h"

#include <sys/socket.h>

struct conn;

struct conn_events {
    void (*connected)(void *context, int error); /* error: an errno, or 0 */
    /* One receive ended: bytes borrowed for the call; size 0: the peer ended (error 0) or errno. */
    void (*received)(void *context, struct slice bytes, int error);
    void (*sent)(void *context, int error); /* there is room again, or nothing left, or errno */
};

/* Starts connecting; *conn_r is the caller's until conn_close. Returns 0, or the errno of socket().
 */
int conn_open(struct loop *loop, const struct sockaddr *address, socklen_t address_size,
              const struct conn_events *events, void *context, struct conn **conn_r);
/* Another owner takes the connection over. */
void conn_hand_over(struct conn *c, const struct conn_events *events, void *context);
/* Asks for one `received`; no-op while one is asked for. */
void conn_receive(struct conn *c);
/* Bytes conn_put would take. */
size_t conn_space(const struct conn *c);
/* Copies what fits and returns its size; sent in order after conn_flush. */
size_t conn_put(struct conn *c, struct slice bytes);
/* Starts sending what is held; `sent` follows. No-op with nothing held or a send under way. */
void conn_flush(struct conn *c);
/* Sends at once what the socket takes without waiting: last words before conn_close. */
void conn_flush_now(struct conn *c);
/* on: closing drops what the kernel has not sent, and resets the connection, also when the process is killed;
 * off: the kernel goes on sending it. */
void conn_drop_at_close(struct conn *c, bool on);
/* The kernel gives the connection up when what was sent had no acknowledgement for so long; 0: its own time. */
void conn_unacknowledged_limit(struct conn *c, uint32_t ms);
/* Bytes not yet handed to the kernel. */
size_t conn_unsent(const struct conn *c);
/* Of these, bytes whose sending has not begun: the kernel certainly has none of them. */
size_t conn_held(const struct conn *c);
uint64_t conn_sent_bytes(const struct conn *c);
/* Bytes that the other side's kernel has acknowledged, and those that it has not; 0 and 0: the kernel does not tell. */
void conn_sending(const struct conn *c, uint64_t *unsent_bytes_r, uint64_t *acknowledged_bytes_r);
/* No event follows. Memory and socket go when the kernel has given back its operations. Nulls. */
void conn_close(struct conn **c);

#endif
