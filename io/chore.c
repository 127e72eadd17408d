#include "io/chore.h"

#include "io/base/mem.h"

#include <pthread.h>
#include <stdlib.h>

#define THREAD_COUNT 2u

struct chore {
    struct loop_message message; /* first */
    struct loop *loop;
    const struct chore_kind *kind;
    void *work, *context;
    uint64_t cost;
    struct chore *next;
    bool queued, canceled;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;
static struct chore *queue; /* the cheapest first, of equals the oldest */
static unsigned thread_count;

static void chore_drop(struct chore *c)
{
    c->kind->drop(c->work);
    free(c);
}

static void deliver(struct loop_message *message)
{
    struct chore *c = (struct chore *)message;

    if (c->canceled) { /* set on this thread only */
        chore_drop(c);
    } else {
        c->kind->done(c->context, c->work);
        free(c);
    }
}

static void *helper(void *context)
{
    (void)context;
    pthread_mutex_lock(&lock);
    for (;;) {
        struct chore *c = queue;

        if (!c) {
            pthread_cond_wait(&wanted, &lock);
            continue;
        }
        queue = c->next;
        c->queued = false;
        pthread_mutex_unlock(&lock);
        c->kind->run(c->work);
        pthread_mutex_lock(&lock);
        if (c->canceled)
            chore_drop(c);
        else /* under the lock, so that it cannot be canceled, and its loop destroyed, in between */
            loop_post(c->loop, &c->message);
    }
    return NULL;
}

static void start_locked(void)
{
    pthread_attr_t detached;

    if (thread_count == THREAD_COUNT || pthread_attr_init(&detached) != 0)
        return;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    while (thread_count < THREAD_COUNT) {
        pthread_t thread;

        if (pthread_create(&thread, &detached, helper, NULL) != 0)
            break;
        thread_count++;
    }
    pthread_attr_destroy(&detached);
}

struct chore *chore_begin(struct loop *loop, const struct chore_kind *kind, uint64_t cost, void *work, void *context)
{
    struct chore *c = mem_zero(1, sizeof *c), **link = &queue;

    *c = (struct chore){
        .message.deliver = deliver, .loop = loop, .kind = kind, .work = work, .context = context, .cost = cost
    };
    pthread_mutex_lock(&lock);
    start_locked();
    if (thread_count == 0) {
        /* No thread is to be had: late is better than never. */
        kind->run(work);
        loop_post(loop, &c->message);
    } else {
        while (*link && (*link)->cost <= cost)
            link = &(*link)->next;
        c->next = *link;
        c->queued = true;
        *link = c;
        pthread_cond_signal(&wanted);
    }
    pthread_mutex_unlock(&lock);
    return c;
}

void chore_cancel(struct chore **chore)
{
    struct chore *c = *chore;
    bool gone = false;

    if (!c)
        return;
    *chore = NULL;
    pthread_mutex_lock(&lock);
    c->canceled = true;
    if (c->queued) {
        struct chore **link = &queue;

        while (*link != c)
            link = &(*link)->next;
        *link = c->next;
        gone = true;
    }
    pthread_mutex_unlock(&lock);
    /* Else whoever has it frees it: the helper, or the loop that it was posted to. */
    if (gone)
        chore_drop(c);
}
