/* One TLS session as a translator: ciphertext is given, plaintext is taken, and the other way
 * round. Knows no socket. Private to io; io/stream joins it with a connection.
 */
#ifndef IO_TLS_SESSION_H
#define IO_TLS_SESSION_H

#include "io/tickets.h"
#include "io/tls.h"

/* Most a record adds to its 16,384 bytes of plaintext (RFC 8446 5.2, RFC 5246 6.2.3). */
#define TLS_RECORD_BYTES    16384
#define TLS_RECORD_OVERHEAD 256

struct tls_session;

enum tls_step {
    TLS_STEP_DONE,  /* handshake: it stands; read: bytes were given */
    TLS_STEP_AGAIN, /* needs more ciphertext, or room for its own */
    TLS_STEP_END,   /* the peer said close_notify */
    TLS_STEP_FAIL
};

/* host is verified and sent as SNI; server ("host:port") names tickets. out takes ciphertext and
 * returns how much of it, from inside calls to this module only. tickets outlives the session. */
struct tls_session *tls_session_create(struct tls_role *role, const char *host, const char *server,
                                       struct tickets *tickets, size_t (*out)(void *context, struct slice bytes),
                                       void *context);
void tls_session_destroy(struct tls_session **session);
/* What follows reads this ciphertext; borrowed until tls_session_left says 0 or it is replaced. */
void tls_session_feed(struct tls_session *t, struct slice ciphertext);
struct slice tls_session_left(const struct tls_session *t);
/* Forgets what is left: the buffer goes. */
void tls_session_feed_end(struct tls_session *t);
enum tls_step tls_session_handshake(struct tls_session *t, struct err *err_r);
/* At most cap bytes into out; *size_r is set with DONE only. */
enum tls_step tls_session_read(struct tls_session *t, char *out, size_t cap, size_t *size_r, struct err *err_r);
/* One record at most; room for it and its overhead must be there. Returns bytes taken, or 0. */
size_t tls_session_write(struct tls_session *t, struct slice plain);
/* close_notify, as far as there is room. */
void tls_session_shutdown(struct tls_session *t);
struct ssl_st *tls_session_ssl(struct tls_session *t);

#endif
