#include "io/conn.h"

#include "io/base/mem.h"
#include "io/base/secret.h"
#include "io/loop_private.h"

#include <assert.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>

struct conn {
    struct backend_socket socket; /* first */
    struct loop *loop;
    const struct conn_events *events;
    void *context;
    union {
        struct sockaddr any;
        struct sockaddr_in6 in6;
    } address;
    bool receiving;
    /* The kernel reads `going` while a send is in flight, so new bytes gather in `held`. */
    char *going, *held;
    size_t going_bytes, held_bytes;
    uint64_t sent_bytes;
};

static struct conn *conn_of(struct backend_socket *s)
{
    return (struct conn *)s;
}

static void socket_connected(struct backend_socket *s, int error)
{
    struct conn *c = conn_of(s);

    c->events->connected(c->context, error);
}

static void socket_received(struct backend_socket *s, char *data, size_t size, int error)
{
    struct conn *c = conn_of(s);

    c->receiving = false;
    c->events->received(c->context, slice_of(data, size), error);
}

/* A login in clear is short; wiping what is long would cost more than it is worth. */
#define WIPED_BYTES 8192u

static void block_end(struct conn *c, char *block, size_t size)
{
    if (block && size <= WIPED_BYTES)
        secret_wipe(block, size);
    if (block)
        blocks_give_back(&c->loop->blocks, block);
}

static void going_end(struct conn *c)
{
    block_end(c, c->going, c->going_bytes);
    c->going = NULL;
    c->going_bytes = 0;
}

static void socket_sent(struct backend_socket *s, int error)
{
    struct conn *c = conn_of(s);

    if (!error)
        c->sent_bytes += c->going_bytes;
    going_end(c);
    /* Keep the socket busy before anybody looks for more bytes. */
    if (!error)
        conn_flush(c);
    c->events->sent(c->context, error);
}

static void socket_closed(struct backend_socket *s)
{
    struct conn *c = conn_of(s);

    c->loop->conn_count--;
    block_end(c, c->going, c->going_bytes);
    block_end(c, c->held, c->held_bytes);
    free(c);
}

static const struct backend_events socket_events = { socket_connected, socket_received, socket_sent, socket_closed };

int conn_open(struct loop *loop, const struct sockaddr *address, socklen_t address_size,
              const struct conn_events *events, void *context, struct conn **conn_r)
{
    struct conn *c = mem_zero(1, sizeof *c);
    int error;

    assert(address_size <= sizeof c->address);
    memcpy(&c->address, address, address_size);
    c->loop = loop;
    c->events = events;
    c->context = context;
    c->socket.fd = -1;
    c->socket.events = &socket_events;
    error = loop->ops->open(loop->backend, &c->socket, address->sa_family);
    if (error) {
        free(c);
        return error;
    }
    loop->conn_count++;
    loop->ops->connect(loop->backend, &c->socket, &c->address.any, address_size);
    *conn_r = c;
    return 0;
}

void conn_hand_over(struct conn *c, const struct conn_events *events, void *context)
{
    c->events = events;
    c->context = context;
}

/* The options only improve matters: a kernel that refuses one is no reason to stop. */
void conn_drop_at_close(struct conn *c, bool on)
{
    struct linger linger = { .l_onoff = on, .l_linger = 0 };

    (void)setsockopt(c->socket.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

void conn_unacknowledged_limit(struct conn *c, uint32_t ms)
{
    (void)setsockopt(c->socket.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

void conn_receive(struct conn *c)
{
    if (c->receiving)
        return;
    c->receiving = true;
    c->loop->ops->receive(c->loop->backend, &c->socket);
}

size_t conn_space(const struct conn *c)
{
    return BLOCK_BYTES - c->held_bytes;
}

size_t conn_put(struct conn *c, struct slice bytes)
{
    struct slice part = slice_first(bytes, conn_space(c));

    if (part.size == 0)
        return 0;
    if (!c->held)
        c->held = blocks_lend(&c->loop->blocks);
    memcpy(c->held + c->held_bytes, part.data, part.size);
    c->held_bytes += part.size;
    return part.size;
}

void conn_flush(struct conn *c)
{
    if (c->going || !c->held_bytes)
        return;
    c->going = c->held;
    c->going_bytes = c->held_bytes;
    c->held = NULL;
    c->held_bytes = 0;
    c->loop->ops->send(c->loop->backend, &c->socket, c->going, c->going_bytes);
}

void conn_flush_now(struct conn *c)
{
    if (!c->going && c->held_bytes && send(c->socket.fd, c->held, c->held_bytes, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        c->held_bytes = 0;
}

size_t conn_unsent(const struct conn *c)
{
    return c->going_bytes + c->held_bytes;
}

size_t conn_held(const struct conn *c)
{
    return c->held_bytes;
}

uint64_t conn_sent_bytes(const struct conn *c)
{
    return c->sent_bytes;
}

void conn_sending(const struct conn *c, uint64_t *unsent_bytes_r, uint64_t *acknowledged_bytes_r)
{
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;
    int queued;

    *unsent_bytes_r = *acknowledged_bytes_r = 0;
    if (ioctl(c->socket.fd, SIOCOUTQ, &queued) || getsockopt(c->socket.fd, IPPROTO_TCP, TCP_INFO, &info, &size))
        return;
    *unsent_bytes_r = (uint64_t)queued + conn_unsent(c);
    *acknowledged_bytes_r = info.tcpi_bytes_acked;
}

void conn_close(struct conn **c)
{
    if (*c)
        (*c)->loop->ops->close((*c)->loop->backend, &(*c)->socket);
    *c = NULL;
}
