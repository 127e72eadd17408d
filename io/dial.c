#include "io/dial.h"

#include "io/base/mem.h"
#include "io/loop_private.h"

#include <stdlib.h>

struct attempt {
    struct dial *dial;
    struct conn *conn;
};

struct dial {
    struct loop *loop;
    const struct dial_events *events;
    void *context;
    struct resolve_list list;
    struct attempt attempts[RESOLVE_ADDRESSES_MAX];
    unsigned next, open_count;
    int first_error;
    struct loop_timer stagger;
    struct loop_task task;
};

static void try_next(void *context);

static void attempt_connected(void *context, int error);

/* A connection being dialled is asked for neither bytes nor room. */
static const struct conn_events attempt_events = { .connected = attempt_connected };

static void attempt_failed(struct dial *d, int error)
{
    if (!d->first_error)
        d->first_error = error;
    loop_timer_clear(d->loop, &d->stagger);
    loop_task_queue(d->loop, &d->task);
}

static void attempt_connected(void *context, int error)
{
    struct attempt *attempt = context;
    struct dial *d = attempt->dial;
    unsigned index = (unsigned)(attempt - d->attempts);
    struct conn *conn = attempt->conn;
    union resolve_address address = d->list.addresses[index];
    const struct dial_events *events = d->events;
    void *whose = d->context;

    if (error) {
        conn_close(&attempt->conn);
        d->open_count--;
        attempt_failed(d, error);
        return;
    }
    attempt->conn = NULL;
    dial_cancel(&d);
    events->connected(whose, conn, &address);
}

static void all_failed(struct dial *d)
{
    const struct dial_events *events = d->events;
    void *whose = d->context;
    char address[64];
    struct err err;

    err_set_os(&err, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, d->first_error, "");
    resolve_address_text(&d->list.addresses[0], address, sizeof address);
    if (d->list.count > 1)
        err_doing(&err, "connecting to %s and %u more", address, d->list.count - 1);
    else
        err_doing(&err, "connecting to %s", address);
    dial_cancel(&d);
    events->failed(whose, &err);
}

static void try_next(void *context)
{
    struct dial *d = context;

    while (d->next < d->list.count) {
        struct attempt *attempt = &d->attempts[d->next];
        const union resolve_address *address = &d->list.addresses[d->next++];
        int error =
            conn_open(d->loop, &address->any, resolve_address_size(address), &attempt_events, attempt, &attempt->conn);

        attempt->dial = d;
        if (!error) {
            d->open_count++;
            if (d->next < d->list.count)
                loop_timer_set(d->loop, &d->stagger, DIAL_STAGGER_MS, try_next, d);
            return;
        }
        if (!d->first_error)
            d->first_error = error;
    }
    if (!d->open_count)
        all_failed(d);
}

struct dial *dial_begin(struct loop *loop, const struct resolve_list *list, const struct dial_events *events,
                        void *context)
{
    struct dial *d = mem_zero(1, sizeof *d);

    d->loop = loop;
    d->events = events;
    d->context = context;
    d->list = *list;
    d->task.run = try_next;
    d->task.context = d;
    loop_task_queue(loop, &d->task);
    return d;
}

void dial_cancel(struct dial **dial)
{
    struct dial *d = *dial;

    *dial = NULL;
    if (!d)
        return;
    loop_timer_clear(d->loop, &d->stagger);
    loop_task_cancel(d->loop, &d->task);
    for (unsigned i = 0; i < d->next; i++)
        conn_close(&d->attempts[i].conn);
    free(d);
}
