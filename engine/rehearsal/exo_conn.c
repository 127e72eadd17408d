/* One connection: its bytes, its TLS, its end. */
#include "engine/rehearsal/exo_loop.h"

#include "io/base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 16384
#define IN_HIGH    (256 * 1024) /* unread input at which reading rests */
#define OUT_HIGH   (256 * 1024) /* unsent output at which commands rest */
#define DRAIN_MS   2000
#define ROUNDS_MAX 32 /* of one connection before the others have their turn */

void exo_conn_free(struct exo_conn *c)
{
    struct exo_worker *w = c->worker;

    assert(!c->is_ready);
    c->service->gone(c);
    exo_timer_stop(w, &c->timer);
    if (c->closing == EXO_RESET) {
        struct linger hard = { .l_onoff = 1, .l_linger = 0 };

        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
    SSL_free(c->ssl);
    close(c->fd);
    buf_deinit(&c->in);
    buf_deinit(&c->out);
    *(c->previous ? &c->previous->next : &w->conns) = c->next;
    if (c->next)
        c->next->previous = c->previous;
    free(c);
}

void exo_conn_send(struct exo_conn *c, struct slice bytes)
{
    if (!buf_append(&c->out, bytes))
        c->closing = EXO_RESET;
}

void exo_conn_format(struct exo_conn *c, const char *format, ...)
{
    char text[2048];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert(n >= 0);
    exo_conn_send(c, slice_of(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1));
}

void exo_conn_wait(struct exo_conn *c, uint32_t ms, void (*resume)(struct exo_conn *conn))
{
    c->wait = EXO_WAIT_REPLY;
    c->wake_ms = c->worker->now_ms + ms;
    c->resume = resume;
}

uint32_t exo_jitter(struct exo_worker *w, uint32_t ms)
{
    uint32_t percent = w->config.jitter_percent > 100 ? 100 : w->config.jitter_percent;

    if (!percent || !ms)
        return ms;
    return (uint32_t)(ms * (1 + percent / 100.0 * (2 * exo_random_unit(&w->random) - 1)));
}

/* What a TLS call said: true when it only has to wait. */
static bool tls_waits(struct exo_conn *c, int result)
{
    int why = SSL_get_error(c->ssl, result);

    if (why == SSL_ERROR_WANT_READ) {
        c->readable = false;
        return true;
    }
    if (why == SSL_ERROR_WANT_WRITE) {
        c->writable = false;
        return true;
    }
    ERR_clear_error();
    return false;
}

static bool conn_handshake(struct exo_conn *c)
{
    int result;

    if (c->handshaken)
        return false;
    if (c->ssl) {
        if (!c->readable && !c->writable)
            return false;
        result = SSL_accept(c->ssl);
        if (result != 1) {
            if (!tls_waits(c, result))
                c->ended = true; /* the alert is on its way; a reset would eat it */
            return false;
        }
    }
    c->handshaken = true;
    c->service->opened(c);
    return true;
}

static bool conn_flush(struct exo_conn *c)
{
    bool progress = false;

    while (c->out.size && c->writable) {
        struct slice bytes = buf_slice(&c->out);
        ssize_t n;

        if (c->ssl) {
            int sent = SSL_write(c->ssl, bytes.data, bytes.size > 1 << 20 ? 1 << 20 : (int)bytes.size);

            if (sent <= 0) {
                if (!tls_waits(c, sent))
                    c->closing = EXO_RESET;
                return progress;
            }
            n = sent;
        } else {
            n = send(c->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0) {
                c->writable = false;
                if (errno != EAGAIN)
                    c->closing = EXO_RESET;
                return progress;
            }
        }
        buf_consume(&c->out, (size_t)n);
        progress = true;
    }
    return progress;
}

static bool conn_fill(struct exo_conn *c)
{
    bool dropped = c->closing == EXO_DRAINING;
    char *at = buf_reserve(&c->in, READ_BYTES);
    ssize_t n;

    assert(at);
    if (c->ssl && !dropped) {
        n = SSL_read(c->ssl, at, READ_BYTES);
        if (n <= 0) {
            if (!tls_waits(c, (int)n))
                c->ended = true;
            return c->ended;
        }
    } else {
        n = recv(c->fd, at, READ_BYTES, 0);
        if (n < 0 && errno == EINTR)
            return true;
        if (n <= 0) {
            c->readable = false;
            c->ended = n == 0 || errno != EAGAIN;
            return c->ended;
        }
    }
    c->active_ms = c->worker->now_ms;
    if (!dropped)
        buf_commit(&c->in, (size_t)n);
    return true;
}

static void conn_arm(struct exo_conn *c)
{
    uint64_t at = UINT64_MAX;

    if (c->closing == EXO_DRAINING)
        at = c->wake_ms;
    else if (c->handshaken)
        at = c->service->deadline(c);
    else if (c->worker->config.preauth_ms)
        at = c->active_ms + c->worker->config.preauth_ms;
    if (c->closing == EXO_OPEN && c->wait == EXO_WAIT_REPLY && c->wake_ms < at)
        at = c->wake_ms;
    if (at == UINT64_MAX)
        exo_timer_stop(c->worker, &c->timer);
    else
        exo_timer_set(c->worker, &c->timer, at);
}

void exo_conn_pump(struct exo_conn *c)
{
    struct exo_worker *w = c->worker;
    bool progress = true;

    for (unsigned round = 0; progress; round++) {
        if (round == ROUNDS_MAX) {
            if (!c->is_ready) {
                c->is_ready = true;
                c->next_ready = w->ready;
                w->ready = c;
            }
            break;
        }
        progress = conn_handshake(c);
        if (c->handshaken && c->closing == EXO_OPEN && c->wait == EXO_WAIT_NONE && c->out.size < OUT_HIGH)
            progress |= c->service->input(c);
        if (c->handshaken)
            progress |= conn_flush(c);
        if (c->closing == EXO_CLOSING && c->out.size == 0) {
            if (c->ssl)
                SSL_shutdown(c->ssl);
            shutdown(c->fd, SHUT_WR);
            c->closing = EXO_DRAINING;
            c->wake_ms = w->now_ms + DRAIN_MS;
            c->readable = true;
            buf_clear(&c->in);
        }
        if (c->handshaken && c->readable && !c->ended && c->in.size + READ_BYTES <= IN_HIGH)
            progress |= conn_fill(c);
        if (c->closing == EXO_RESET || (c->ended && (c->closing == EXO_DRAINING || !progress)))
            goto gone;
        if (c->ended && c->wait != EXO_WAIT_NONE)
            goto gone;
        if (c->ended && c->out.size && !c->writable)
            goto gone;
    }
    if (c->ended && !c->is_ready)
        goto gone;
    buf_trim(&c->in);
    buf_trim(&c->out);
    conn_arm(c);
    return;
gone:
    if (c->is_ready) {
        struct exo_conn **at = &w->ready;

        while (*at != c)
            at = &(*at)->next_ready;
        *at = c->next_ready;
        c->is_ready = false;
    }
    exo_conn_free(c);
}

static void conn_fired(struct exo_worker *w, struct exo_timer *timer)
{
    struct exo_conn *c = (struct exo_conn *)((char *)timer - offsetof(struct exo_conn, timer));

    if (c->closing == EXO_DRAINING || !c->handshaken) {
        c->ended = true;
    } else {
        if (c->closing == EXO_OPEN && c->wait == EXO_WAIT_REPLY && w->now_ms >= c->wake_ms) {
            c->wait = EXO_WAIT_NONE;
            c->active_ms = w->now_ms;
            c->resume(c);
        }
        if (w->now_ms >= c->service->deadline(c))
            c->service->late(c, w->now_ms);
    }
    exo_conn_pump(c);
}

/* A server that was busy accepts at once what came one after another: the kernel knows when it came. */
static uint64_t came_ms(const struct exo_worker *w, int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || size < offsetof(struct tcp_info, tcpi_pmtu) ||
        info.tcpi_last_ack_recv > w->now_ms)
        return w->now_ms;
    return w->now_ms - info.tcpi_last_ack_recv;
}

void exo_conn_open(struct exo_worker *w, int fd, const struct exo_listener *listener)
{
    struct exo_conn *c = mem_zero(1, sizeof *c);
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c };
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *c = (struct exo_conn){ .worker = w,
                            .service = listener->service,
                            .fd = fd,
                            .writable = true,
                            .readable = true,
                            .active_ms = w->now_ms,
                            .came_ms = came_ms(w, fd),
                            .timer.fire = conn_fired };
    buf_init(&c->in, IN_HIGH + READ_BYTES);
    buf_init(&c->out, listener->service->out_max);
    if (listener->tls) {
        c->ssl = SSL_new(w->exo->tls);
        if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1) {
            SSL_free(c->ssl);
            close(fd);
            free(c);
            return;
        }
    }
    c->next = w->conns;
    if (w->conns)
        w->conns->previous = c;
    w->conns = c;
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        c->service->gone(c);
        w->conns = c->next;
        if (c->next)
            c->next->previous = NULL;
        SSL_free(c->ssl);
        close(fd);
        free(c);
        return;
    }
    exo_conn_pump(c);
}
