/* Worker threads: what epoll reports, timers, and connections that another thread accepted. */
#include "engine/rehearsal/exo_loop.h"

#include "io/base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define INBOX_MAX  65536

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
            exo_conn_open(w, fd, listener);
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
        exo_conn_open(w, handed[i].fd, handed[i].listener);
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
    return (const char *)p >= (const char *)exo->listeners && (const char *)p < (const char *)(exo->listeners + 4);
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
        exo_conn_pump(ready);
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
            exo_conn_pump(events[i].data.ptr);
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
        exo_conn_free(w->conns);
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
        if (exo->listeners[i].fd >= 0 && !watch(exo->workers[0].epoll, exo->listeners[i].fd, &exo->listeners[i]))
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
