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
#define EVENTS_MAX 256
#define INBOX_MAX  65536

/* ---- connections ---- */

static void conn_free(struct exo_conn *c)
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
            int sent =
                SSL_write(c->ssl, bytes.data, bytes.size > 1 << 20 ? 1 << 20 : (int)bytes.size);

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

/* Goes on until nothing moves. The connection may be gone afterwards. */
static void conn_pump(struct exo_conn *c)
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
        if (c->handshaken && c->closing == EXO_OPEN && c->wait == EXO_WAIT_NONE &&
            c->out.size < OUT_HIGH)
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
    conn_free(c);
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
    conn_pump(c);
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

static void conn_open(struct exo_worker *w, int fd, const struct exo_listener *listener)
{
    struct exo_conn *c = mem_zero(1, sizeof *c);
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 .data.ptr = c };
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
    conn_pump(c);
}

/* ---- workers ---- */

static void hand_over(struct exo_worker *to, int fd, const struct exo_listener *listener)
{
    uint64_t one = 1;

    pthread_mutex_lock(&to->inbox_lock);
    if (to->inbox_count == INBOX_MAX) {
        close(fd);
    } else {
        if (to->inbox_count == to->inbox_room) {
            to->inbox_room = to->inbox_room ? to->inbox_room * 2 : 64;
            to->inbox = mem_resize(to->inbox, to->inbox_room, sizeof *to->inbox);
        }
        to->inbox[to->inbox_count++] = (struct exo_handed){ fd, listener };
    }
    pthread_mutex_unlock(&to->inbox_lock);
    while (write(to->wake, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static void listener_accept(struct exo_worker *w, const struct exo_listener *listener)
{
    for (unsigned i = 0; i < 64; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct exo_worker *to;

        if (fd < 0)
            return;
        to = &w->exo->workers[w->next_worker++ % w->exo->worker_count];
        if (to == w)
            conn_open(w, fd, listener);
        else
            hand_over(to, fd, listener);
    }
}

static void inbox_read(struct exo_worker *w)
{
    struct exo_handed *handed;
    size_t count;
    uint64_t ignored;

    while (read(w->wake, &ignored, sizeof ignored) < 0 && errno == EINTR)
        ;
    pthread_mutex_lock(&w->inbox_lock);
    handed = w->inbox;
    count = w->inbox_count;
    w->inbox = NULL;
    w->inbox_count = w->inbox_room = 0;
    pthread_mutex_unlock(&w->inbox_lock);
    for (size_t i = 0; i < count; i++)
        conn_open(w, handed[i].fd, handed[i].listener);
    free(handed);
}

static void config_refresh(struct exo_worker *w)
{
    struct exo *exo = w->exo;

    if (atomic_load(&exo->generation) == w->generation)
        return;
    pthread_mutex_lock(&exo->config_lock);
    w->config = exo->config;
    w->generation = atomic_load(&exo->generation);
    pthread_mutex_unlock(&exo->config_lock);
}

static bool is_listener(const struct exo *exo, const void *p)
{
    return (const char *)p >= (const char *)exo->listeners &&
           (const char *)p < (const char *)(exo->listeners + 4);
}

static void worker_events(struct exo_worker *w)
{
    struct epoll_event events[EVENTS_MAX];
    struct exo_conn *ready;
    int wait_ms = -1, n;

    /* Before epoll_wait: what it reports must not name a connection that ends here. */
    ready = w->ready;
    w->ready = NULL;
    for (struct exo_conn *c = ready; c; c = c->next_ready)
        c->is_ready = false;
    while (ready) {
        struct exo_conn *next = ready->next_ready;

        /* A connection only ever frees itself here, so `next` stays. */
        conn_pump(ready);
        ready = next;
    }
    if (w->ready) {
        wait_ms = 0;
    } else if (w->heap_count) {
        uint64_t now_ms = exo_clock_ms(), at = w->heap[1]->at_ms;

        wait_ms = at <= now_ms ? 0 : at - now_ms > 60000 ? 60000 : (int)(at - now_ms);
    }
    n = epoll_wait(w->epoll, events, EVENTS_MAX, wait_ms);
    w->now_ms = exo_clock_ms();
    config_refresh(w);
    for (int i = 0; i < n; i++) {
        struct exo_conn *c = events[i].data.ptr;

        if (events[i].data.ptr == w) {
            inbox_read(w);
        } else if (is_listener(w->exo, events[i].data.ptr)) {
            listener_accept(w, events[i].data.ptr);
        } else {
            c->readable |= (events[i].events & ~(uint32_t)EPOLLOUT) != 0;
            c->writable |= (events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0;
        }
    }
    for (int i = 0; i < n; i++)
        if (events[i].data.ptr != w && !is_listener(w->exo, events[i].data.ptr))
            conn_pump(events[i].data.ptr);
    while (w->heap_count && w->heap[1]->at_ms <= w->now_ms) {
        struct exo_timer *t = w->heap[1];

        exo_timer_stop(w, t);
        t->fire(w, t);
    }
}

static void *worker_run(void *context)
{
    struct exo_worker *w = context;

    w->now_ms = exo_clock_ms();
    config_refresh(w);
    while (!atomic_load(&w->exo->stopping))
        worker_events(w);
    while (w->conns) {
        w->conns->is_ready = false;
        conn_free(w->conns);
    }
    w->ready = NULL;
    /* Only stores delayed beyond a connection's end are left; they happen now. */
    while (w->heap_count) {
        struct exo_timer *t = w->heap[1];

        exo_timer_stop(w, t);
        t->fire(w, t);
    }
    return NULL;
}

static bool watch(int epoll, int fd, void *what)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };

    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool exo_workers_start(struct exo *exo, struct err *err_r)
{
    exo->worker_count = exo->config.threads;
    exo->workers = mem_zero(exo->worker_count, sizeof *exo->workers);
    for (size_t i = 0; i < exo->worker_count; i++) {
        struct exo_worker *w = &exo->workers[i];

        *w = (struct exo_worker){ .exo = exo, .random = exo->config.seed + i };
        pthread_mutex_init(&w->inbox_lock, NULL);
        w->epoll = epoll_create1(EPOLL_CLOEXEC);
        w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (w->epoll < 0 || w->wake < 0 || !watch(w->epoll, w->wake, w))
            return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "epoll");
    }
    for (size_t i = 0; i < 4; i++)
        if (exo->listeners[i].fd >= 0 &&
            !watch(exo->workers[0].epoll, exo->listeners[i].fd, &exo->listeners[i]))
            return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "epoll");
    for (size_t i = 0; i < exo->worker_count; i++) {
        int error = pthread_create(&exo->workers[i].thread, NULL, worker_run, &exo->workers[i]);

        if (error)
            return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, error, "thread");
        exo->workers[i].started = true;
    }
    return true;
}

void exo_workers_stop(struct exo *exo)
{
    uint64_t one = 1;

    atomic_store(&exo->stopping, true);
    for (size_t i = 0; i < exo->worker_count; i++)
        if (exo->workers[i].started)
            while (write(exo->workers[i].wake, &one, sizeof one) < 0 && errno == EINTR)
                ;
    for (size_t i = 0; i < exo->worker_count; i++)
        if (exo->workers[i].started)
            pthread_join(exo->workers[i].thread, NULL);
    for (size_t i = 0; i < exo->worker_count; i++) {
        struct exo_worker *w = &exo->workers[i];

        for (size_t k = 0; k < w->inbox_count; k++)
            close(w->inbox[k].fd);
        free(w->inbox);
        free(w->heap);
        if (w->epoll > 0)
            close(w->epoll);
        if (w->wake > 0)
            close(w->wake);
        if (w->exo)
            pthread_mutex_destroy(&w->inbox_lock);
    }
    free(exo->workers);
    exo->workers = NULL;
    exo->worker_count = 0;
}
