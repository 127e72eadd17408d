/* Worker threads of the simulated Exchange Online: plain epoll, a heap of timers, connections with
 * or without TLS. A connection lives on one worker and is touched by that thread only.
 */
#ifndef ENGINE_REHEARSAL_EXO_LOOP_H
#define ENGINE_REHEARSAL_EXO_LOOP_H

#include "engine/rehearsal/exo_state.h"

struct exo_worker;

/* Embed one; fires once on its worker. */
struct exo_timer {
    uint64_t at_ms;
    size_t index; /* in the heap; 0: not armed */
    void (*fire)(struct exo_worker *worker, struct exo_timer *timer);
};

enum exo_wait {
    EXO_WAIT_NONE,
    EXO_WAIT_REPLY, /* until wake_ms, then resume is called; input rests */
    EXO_WAIT_HANG   /* for good */
};

enum exo_closing {
    EXO_OPEN,
    EXO_CLOSING,  /* what is in `out` goes first, then the stream ends in order */
    EXO_DRAINING, /* our end is closed; what comes is dropped, so that no reset eats our last words
                   */
    EXO_RESET     /* at once, by TCP reset */
};

struct exo_conn {
    struct exo_worker *worker;
    const struct exo_service *service;
    struct exo_conn *next, *previous, *next_ready;
    int fd;
    SSL *ssl; /* NULL: plain */
    bool handshaken, readable, writable, ended, is_ready;
    enum exo_closing closing;
    enum exo_wait wait;
    uint64_t wake_ms, active_ms;
    uint64_t came_ms; /* when the client's connection was made, however late it was looked at */
    void (*resume)(struct exo_conn *conn);
    struct exo_timer timer;
    struct buf in, out;
    void *state; /* the service's */
};

struct exo_service {
    size_t out_max;
    void (*opened)(struct exo_conn *conn);
    /* Takes what it can from conn->in; true when something changed. */
    bool (*input)(struct exo_conn *conn);
    /* Monotonic ms at which `late` wants to be called, UINT64_MAX never. */
    uint64_t (*deadline)(const struct exo_conn *conn);
    void (*late)(struct exo_conn *conn, uint64_t now_ms);
    /* The connection is going: free state. */
    void (*gone)(struct exo_conn *conn);
};

struct exo_worker {
    struct exo *exo;
    pthread_t thread;
    int epoll, wake; /* wake: eventfd */
    bool started, accepts;
    size_t next_worker;       /* whose turn a new connection is */
    struct exo_config config; /* this worker's copy */
    uint64_t generation, now_ms, random;
    struct exo_timer **heap; /* from 1 */
    size_t heap_count, heap_room;
    struct exo_conn *conns, *ready;
    pthread_mutex_t inbox_lock;
    struct exo_handed {
        int fd;
        const struct exo_listener *listener;
    } * inbox;
    size_t inbox_count, inbox_room;
};

bool exo_workers_start(struct exo *exo, struct err *err_r) ERR_CHECK;
/* Joins all; connections and timers are gone afterwards. */
void exo_workers_stop(struct exo *exo);

void exo_timer_set(struct exo_worker *w, struct exo_timer *t, uint64_t at_ms);
void exo_timer_stop(struct exo_worker *w, struct exo_timer *t);

/* ---- exo_conn.c ---- */

/* Owns fd from here on, also where the connection comes to nothing. */
void exo_conn_open(struct exo_worker *w, int fd, const struct exo_listener *listener);
/* Goes on until nothing moves. The connection may be gone afterwards. */
void exo_conn_pump(struct exo_conn *c);
/* Closes it; it must not be among those that are ready. */
void exo_conn_free(struct exo_conn *c);
/* Input rests for `ms`, then resume runs. */
void exo_conn_wait(struct exo_conn *c, uint32_t ms, void (*resume)(struct exo_conn *conn));
/* Appends to `out`; a connection whose peer does not read is reset when out_max is reached. */
void exo_conn_send(struct exo_conn *c, struct slice bytes);
void exo_conn_format(struct exo_conn *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* ms +- the configured jitter. */
uint32_t exo_jitter(struct exo_worker *w, uint32_t ms);

#endif
