/* TLS sessions of one thread for resumption: it halves the cost of a handshake. Each ticket is used
 * once (RFC 8446 C.4). Not shared between threads, so no lock.
 */
#ifndef IO_TICKETS_H
#define IO_TICKETS_H

#include <openssl/ssl.h>
#include <stdint.h>

#define TICKETS_COUNT 32

struct tickets {
    struct ticket {
        uint64_t role;    /* identifier of the TLS role; 0: unused */
        char server[280]; /* "host:port" */
        SSL_SESSION *session;
    } entries[TICKETS_COUNT];
    unsigned next; /* the entry replaced next */
};

/* Takes over session. */
void tickets_put(struct tickets *t, uint64_t role, const char *server, SSL_SESSION *session);
/* The newest session for the server, the caller's; NULL when there is none. */
SSL_SESSION *tickets_take(struct tickets *t, uint64_t role, const char *server);
void tickets_deinit(struct tickets *t);

#endif
