#include "io/inbox.h"

#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DELIVER_MAX 1024

bool inbox_init(struct inbox *inbox, struct err *err_r)
{
    mpsc_init(&inbox->queue);
    atomic_init(&inbox->asleep, false);
    atomic_init(&inbox->stop, false);
    atomic_init(&inbox->posting_count, 0);
    inbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return inbox->fd >= 0 || err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "eventfd");
}

void inbox_deinit(struct inbox *inbox)
{
    /* A message may be delivered before its sender has rung the bell; the sender must not find the
     * descriptor closed, or another's. It is a few instructions away from being done. */
    while (atomic_load(&inbox->posting_count))
        sched_yield();
    if (inbox->fd >= 0)
        close(inbox->fd);
    inbox->fd = -1;
}

static void ring_bell(struct inbox *inbox)
{
    uint64_t one = 1;
    int saved = errno;

    /* EAGAIN means that the counter is full, so the reader has something to see anyway. */
    while (write(inbox->fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    errno = saved;
}

void inbox_post(struct inbox *inbox, struct loop_message *message)
{
    atomic_fetch_add(&inbox->posting_count, 1);
    mpsc_push(&inbox->queue, &message->node);
    /* Sequentially consistent, like the store in inbox_sleep: either we see that the loop is about
     * to sleep, or its look at the queue after saying so sees our message. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_exchange(&inbox->asleep, false))
        ring_bell(inbox);
    atomic_fetch_sub(&inbox->posting_count, 1);
}

void inbox_stop(struct inbox *inbox)
{
    atomic_fetch_add(&inbox->posting_count, 1);
    atomic_store(&inbox->stop, true);
    ring_bell(inbox);
    atomic_fetch_sub(&inbox->posting_count, 1);
}

bool inbox_deliver(struct inbox *inbox)
{
    for (unsigned n = 0; n < DELIVER_MAX; n++) {
        struct mpsc_node *node = mpsc_pop(&inbox->queue);
        struct loop_message *message;

        if (!node)
            return false;
        message = (struct loop_message *)((char *)node - offsetof(struct loop_message, node));
        message->deliver(message);
    }
    return true;
}

bool inbox_sleep(struct inbox *inbox)
{
    atomic_store(&inbox->asleep, true);
    atomic_thread_fence(memory_order_seq_cst);
    if (!mpsc_is_empty(&inbox->queue) || atomic_load(&inbox->stop)) {
        atomic_store(&inbox->asleep, false);
        return false;
    }
    return true;
}

void inbox_awake(struct inbox *inbox)
{
    atomic_store_explicit(&inbox->asleep, false, memory_order_relaxed);
}
