/* Where --listen listens: 127.0.0.1:PORT, [::1]:PORT, localhost:PORT, another numeric address, or
 * unix:PATH.
 */
#ifndef ENGINE_CLI_LISTEN_ADDRESS_H
#define ENGINE_CLI_LISTEN_ADDRESS_H

#include "io/base/err.h"
#include "io/base/slice.h"

#include <sys/socket.h>
#include <sys/un.h>

struct listen_address {
    union {
        struct sockaddr any;
        struct sockaddr_storage inet;
        struct sockaddr_un local;
    } at;
    socklen_t size;
    bool is_unix;
    bool is_local; /* nobody on another computer reaches it */
    char host[64]; /* as a browser writes it: "127.0.0.1", "[::1]", "localhost" */
    unsigned port; /* 0: of unix:, or whichever is free */
};

/* Errors: PERMANENT/RUN, origin CONFIG, with what was expected. */
bool listen_address_parse(const char *text, struct listen_address *address_r, struct err *err_r) ERR_CHECK;
/* The socket, listening; *address gets the port that it has. A socket file that nobody listens at
 * is replaced; a new one has mode 0600. Errors: PERMANENT/RUN, origin OS. */
bool listen_address_bind(struct listen_address *address, int *socket_r, struct err *err_r) ERR_CHECK;
/* Is host, of a request's Host field, one by which this computer's own browser means it? A name
 * that somebody else's server resolved to 127.0.0.1 is none (DNS rebinding). */
bool listen_address_is_meant(const struct listen_address *address, const char *host);

#endif
