/* The way through a proxy: what is said to it once TCP stands, and what its answers mean. SOCKS 5 (RFC 1928, RFC 1929)
 * and HTTP CONNECT (RFC 9110 9.3.6). Names are looked up by the proxy. Bytes in, bytes out; knows no socket.
 */
#ifndef IO_PROXY_H
#define IO_PROXY_H

#include "io/base/err.h"
#include "io/base/secret.h"
#include "io/base/slice.h"

enum proxy_kind { PROXY_NONE, PROXY_SOCKS5, PROXY_HTTP };

/* Which proxy, and as whom. user and password are NULL without a login; each has 1 to PROXY_LOGIN_MAX bytes. */
struct proxy_way {
    enum proxy_kind kind;
    char *host; /* name or address without brackets */
    uint16_t port;
    struct secret *user, *password;
};
#define PROXY_LOGIN_MAX 255u

struct proxy;
enum proxy_step {
    PROXY_GOES_ON,
    PROXY_STANDS, /* what follows is the server's */
    PROXY_REFUSED
};

/* Towards host:port (host: at most 253 bytes). way is borrowed for the proxy's life. */
struct proxy *proxy_create(const struct proxy_way *way, const char *host, uint16_t port);
/* Wipes, frees and nulls; *proxy may be NULL. */
void proxy_destroy(struct proxy **proxy);

/* What is to be sent now, at most PROXY_OUT_MAX bytes; borrowed until the next call. Empty: an answer comes first. */
#define PROXY_OUT_MAX 2048u
struct slice proxy_output(const struct proxy *proxy);
/* It was sent. */
void proxy_output_taken(struct proxy *proxy);
/* Takes of *bytes what is the proxy's; what is left stands behind its last answer and is the server's. An answer of
 * more than 16 KiB is refused. Errors: origin OS. PERMANENT/ACCOUNT: it refuses the login (code EACCES), forbids the
 * way (EPERM), or speaks something else (EPROTO). TRANSIENT/SESSION: it does not get through (EHOSTUNREACH,
 * ENETUNREACH, ECONNREFUSED, ETIMEDOUT, EIO). */
enum proxy_step proxy_feed(struct proxy *proxy, struct slice *bytes, struct err *err_r);

#endif
