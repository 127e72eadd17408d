/* What a loop needs from the kernel, in completion style: start an operation on a socket, hear of
 * its end. Two bodies: io/ring (io_uring) and io/poll (epoll). Private to io; only conn starts
 * operations and only loop calls turn.
 *
 * Calls never run events; events run inside turn alone. One operation of each kind is in flight per
 * socket at most. What an operation points at stays untouched until its event.
 */
#ifndef IO_BACKEND_H
#define IO_BACKEND_H

#include "io/base/err.h"

#include <sys/socket.h>

#define BACKEND_RECEIVE_BYTES 65536

struct backend_socket;

struct backend_events {
    void (*connected)(struct backend_socket *s, int error); /* error: an errno, 0 when it stands */
    /* size bytes, borrowed and writable for the call; size 0: the peer ended, or error. */
    void (*received)(struct backend_socket *s, char *data, size_t size, int error);
    void (*sent)(struct backend_socket *s, int error); /* all of it, unless error */
    void (*closed)(struct backend_socket *s);          /* the last event: the storage may go */
};

/* Storage is the owner's; zeroed with fd -1, then given to open. Fields are the back-end's. */
struct backend_socket {
    int fd;
    const struct backend_events *events;
    const char *send_data;
    size_t send_size;
    const struct sockaddr *address;
    socklen_t address_size;
    unsigned wanted; /* operations asked for and not yet started, bits by kind */
    unsigned flying; /* operations the kernel has not ended (ring), or not yet possible (poll) */
    bool closing;
    bool queued;             /* in the list of sockets that turn looks at */
    bool readable, writable; /* poll: what the last look said */
    uint32_t slot;           /* ring: index in the table of live sockets */
    struct backend_socket *next;
};

struct backend;

struct backend_ops {
    const char *name;
    /* wake_fd: eventfd that ends a wait; drained by the back-end. Errors: PERMANENT/RUN, origin OS,
     * code the errno with which the kernel refused. */
    bool (*create)(int wake_fd, struct backend **backend_r, struct err *err_r);
    void (*destroy)(struct backend *b); /* every socket is closed */
    /* Makes the socket of that family, with TCP_NODELAY and keepalive. Returns 0 or an errno. */
    int (*open)(struct backend *b, struct backend_socket *s, int family);
    void (*connect)(struct backend *b, struct backend_socket *s, const struct sockaddr *address,
                    socklen_t address_size);
    void (*receive)(struct backend *b, struct backend_socket *s);
    void (*send)(struct backend *b, struct backend_socket *s, const char *data, size_t size);
    /* Ends whatever is in flight; `closed` follows and no other event. */
    void (*close)(struct backend *b, struct backend_socket *s);
    /* Starts what is wanted, waits up to timeout_ms (-1: without limit) for the first event, runs
     * the events there are. *clock_ms becomes now_ms() between the waiting and those events. */
    void (*turn)(struct backend *b, int64_t timeout_ms, uint64_t *clock_ms);
};

extern const struct backend_ops backend_ring, backend_poll;

/* Socket options both back-ends want; shared here so that they cannot differ. */
int backend_socket_create(int family, int type_flags);

#endif
