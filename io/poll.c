/* The epoll body of io/backend.h, for kernels and containers that refuse io_uring. */
#include "io/backend.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH_COUNT 256

enum op { OP_CONNECT, OP_RECEIVE, OP_SEND };

#define BIT(op) (1u << (op))

struct backend {
    int epoll_fd, wake_fd;
    struct backend_socket *queue;       /* sockets to look at: something wanted may be possible */
    char buffer[BACKEND_RECEIVE_BYTES]; /* one for all: received bytes are lent for the call only */
    struct epoll_event events[BATCH_COUNT];
};

static bool poll_create(int wake_fd, struct backend **backend_r, struct err *err_r)
{
    struct backend *b = mem_zero(1, sizeof *b);
    struct epoll_event wake = { .events = EPOLLIN, .data.ptr = NULL };

    b->wake_fd = wake_fd;
    b->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (b->epoll_fd < 0 || epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, wake_fd, &wake) != 0) {
        int error = errno;

        if (b->epoll_fd >= 0)
            close(b->epoll_fd);
        free(b);
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, error, "epoll_create");
    }
    *backend_r = b;
    return true;
}

static void poll_destroy(struct backend *b)
{
    close(b->epoll_fd);
    free(b);
}

static void enqueue(struct backend *b, struct backend_socket *s)
{
    if (!s->queued) {
        s->queued = true;
        s->next = b->queue;
        b->queue = s;
    }
}

static int poll_open(struct backend *b, struct backend_socket *s, int family)
{
    int fd = backend_socket_create(family, SOCK_NONBLOCK);

    if (fd < 0)
        return -fd;
    s->fd = fd;
    return 0;
}

static void poll_connect(struct backend *b, struct backend_socket *s, const struct sockaddr *address,
                         socklen_t address_size)
{
    s->address = address;
    s->address_size = address_size;
    s->wanted |= BIT(OP_CONNECT);
    enqueue(b, s);
}

static void poll_receive(struct backend *b, struct backend_socket *s)
{
    s->wanted |= BIT(OP_RECEIVE);
    if (s->readable)
        enqueue(b, s);
}

static void poll_send(struct backend *b, struct backend_socket *s, const char *data, size_t size)
{
    s->send_data = data;
    s->send_size = size;
    s->wanted |= BIT(OP_SEND);
    /* Not writable: the edge that says it is will put the socket into the queue. */
    if (s->writable)
        enqueue(b, s);
}

static void poll_close(struct backend *b, struct backend_socket *s)
{
    s->closing = true;
    s->wanted = 0;
    enqueue(b, s);
}

static void look_connect(struct backend *b, struct backend_socket *s)
{
    /* Edge-triggered and registered once: arming is a bit in `wanted`, not a system call. */
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s };
    int error = 0;

    if (!(s->flying & BIT(OP_CONNECT))) {
        if (connect(s->fd, s->address, s->address_size) != 0)
            error = errno;
        if (error == EINPROGRESS || error == EINTR || error == 0) {
            error = 0;
            s->flying |= BIT(OP_CONNECT);
            if (epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, s->fd, &event) != 0)
                error = errno;
            if (!error)
                return; /* writable, or an error, is an event either way */
        }
    } else {
        socklen_t size = sizeof error;

        if (!s->writable)
            return;
        if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
            error = errno;
    }
    s->wanted &= ~BIT(OP_CONNECT);
    s->flying &= ~BIT(OP_CONNECT);
    s->events->connected(s, error);
}

static void look_send(struct backend *b, struct backend_socket *s)
{
    while (s->send_size) {
        ssize_t n = send(s->fd, s->send_data, s->send_size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            s->writable = false;
            return;
        }
        if (n < 0) {
            s->wanted &= ~BIT(OP_SEND);
            s->events->sent(s, errno);
            return;
        }
        s->send_data += n;
        s->send_size -= (size_t)n;
    }
    s->wanted &= ~BIT(OP_SEND);
    s->events->sent(s, 0);
}

static void look_receive(struct backend *b, struct backend_socket *s)
{
    ssize_t n;

    do {
        n = recv(s->fd, b->buffer, sizeof b->buffer, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        s->readable = false;
        return;
    }
    s->wanted &= ~BIT(OP_RECEIVE);
    /* Fewer bytes than asked for means drained (epoll(7)); an end that came before this look has
     * set `flying` and is found by the next receive. */
    if (n > 0 && (size_t)n < sizeof b->buffer && !(s->flying & BIT(OP_RECEIVE)))
        s->readable = false;
    if (n > 0)
        s->events->received(s, b->buffer, (size_t)n, 0);
    else
        s->events->received(s, NULL, 0, n < 0 ? errno : 0);
}

/* Does what is possible for every socket queued up to now. True when anything was done. */
static bool look(struct backend *b)
{
    struct backend_socket *list = b->queue, *s;
    bool done = list != NULL;

    b->queue = NULL;
    while ((s = list)) {
        list = s->next;
        s->queued = false;
        if (!s->closing && (s->wanted & BIT(OP_CONNECT)))
            look_connect(b, s);
        if (!s->closing && (s->wanted & BIT(OP_SEND)) && s->writable)
            look_send(b, s);
        if (!s->closing && (s->wanted & BIT(OP_RECEIVE)) && s->readable)
            look_receive(b, s);
        if (s->closing) {
            /* Closing it by an event of its own put it into the queue again; leave it there, so
             * that it ends in one place, after the last event epoll_wait may have told of. */
            if (s->queued)
                continue;
            close(s->fd);
            s->fd = -1;
            s->events->closed(s);
        }
    }
    return done;
}

static void poll_turn(struct backend *b, int64_t timeout_ms, uint64_t *clock_ms)
{
    int count, timeout = timeout_ms > 60000 ? 60000 : (int)timeout_ms;

    if (look(b) || b->queue)
        timeout = 0;
    count = epoll_wait(b->epoll_fd, b->events, BATCH_COUNT, timeout);
    *clock_ms = now_ms();
    for (int i = 0; i < count; i++) {
        struct backend_socket *s = b->events[i].data.ptr;
        uint32_t what = b->events[i].events;
        uint64_t counter;

        if (!s) {
            while (read(b->wake_fd, &counter, sizeof counter) < 0 && errno == EINTR)
                ;
            continue;
        }
        if (what & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            s->readable = true;
        if (what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            s->flying |= BIT(OP_RECEIVE);
        if (what & (EPOLLOUT | EPOLLHUP | EPOLLERR))
            s->writable = true;
        enqueue(b, s);
    }
    look(b);
}

const struct backend_ops backend_poll = {
    .name = "epoll",
    .create = poll_create,
    .destroy = poll_destroy,
    .open = poll_open,
    .connect = poll_connect,
    .receive = poll_receive,
    .send = poll_send,
    .close = poll_close,
    .turn = poll_turn,
};
