/* The stream's state, shared by io/stream (its life: names, TCP, TLS, end) and io/stream_bytes (its
 * bytes, in and out). Private to these two.
 *
 * In:  conn -> [tls] -> [compression] -> received.   What cannot be delivered because the user paused
 *      is copied aside (at most one receive), so that the shared receive buffer is free again.
 * Out: stream_write -> [compression -> packed] -> [pending, one record -> tls] -> conn.
 */
#ifndef IO_STREAM_PRIVATE_H
#define IO_STREAM_PRIVATE_H

#include "io/base/now.h"
#include "io/compression.h"
#include "io/conn.h"
#include "io/dial.h"
#include "io/loop_private.h"
#include "io/resolve.h"
#include "io/stream.h"
#include "io/tls_session.h"
#include "io/wire.h"

#include <assert.h>
#include <openssl/ssl.h>

enum stream_state { STREAM_RESOLVING, STREAM_DIALLING, STREAM_ASKING_PROXY, STREAM_HANDSHAKE, STREAM_OPEN };

/* Bytes set aside; data is NULL when there are none. */
struct aside {
    char *data;
    size_t at, size;
};

struct stream {
    struct loop *loop;
    const struct stream_events *events;
    void *context;
    char *host;
    char server[280], address[64];
    char *near;                  /* who is looked up and connected to: the server, or the proxy */
    const struct proxy_way *way; /* NULL: none */
    uint16_t port;
    enum stream_security security;
    struct tls_role *role;
    uint32_t timeout_ms, dns_us, tcp_us, proxy_us, tls_us;
    uint64_t phase_since_us, bytes_in;

    enum stream_state state;
    bool finished; /* in `closed`: nothing is left but the facts */
    struct stream_facts last;
    bool closing, failed; /* either: no callback but `closed` follows */
    bool start_tls;       /* asked for, not begun */
    struct err err;
    struct loop_task task;
    struct loop_timer deadline;
    struct resolve_request *resolve;
    struct dial *dial;
    struct conn *conn;
    struct proxy *proxy; /* while it is asked */
    bool proxied;        /* it opened the way */
    struct tls_session *tls;
    struct compression *compression;
    struct wire *wire;

    bool want_read, by_line, by_line_asked;
    bool drops_unsent;
    uint32_t unacknowledged_ms;
    bool input_more;   /* tls may give more without new ciphertext */
    bool inflate_more; /* compression may give more without new bytes */
    bool tls_ended;    /* close_notify came */
    bool ended;        /* TCP ended, by end_error or in order (0) */
    int end_error, send_error;
    struct aside cipher, squeezed;
    size_t turn_bytes; /* delivered this turn */

    bool short_write, written; /* `writable` is owed: for room; for everything sent */
    char *pending, *packed;    /* blocks of the loop, while they hold anything */
    size_t pending_size, packed_at, packed_size;
};

static inline bool stream_over(const struct stream *s)
{
    return s->closing || s->failed;
}

/* io/stream */
void stream_wake(struct stream *s);
void stream_fail(struct stream *s, const struct err *err);
void stream_handshake_stands(struct stream *s);

/* io/stream_bytes */
void stream_fail_injected(struct stream *s);
/* Takes what one receive brought. */
void stream_input_bytes(struct stream *s, struct slice bytes);
/* Delivers what lies aside or inside, finds the end, asks for the next receive. */
void stream_input(struct stream *s);
bool stream_input_held(const struct stream *s);
/* Moves what was written towards the socket, tells `writable`. */
void stream_output(struct stream *s);
/* Whether the last byte written certainly never reached the kernel. */
bool stream_withheld(const struct stream *s);
void stream_bytes_drop(struct stream *s);

#endif
