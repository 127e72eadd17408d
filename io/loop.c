#include "io/loop_private.h"

#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TIMER_MAX_MS ((uint64_t)30 * 24 * 3600 * 1000)

static void say_once(const char *name, const char *why)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;

    if (!atomic_flag_test_and_set(&said))
        log_line(LOG_INFO, "loop.backend", "name=%s%s%s", name, why[0] ? " because " : "", why);
}

static bool backend_choose(struct loop *loop, struct err *err_r)
{
    const char *forced = getenv("MAILHAUL_LOOP");
    char line[512] = "";
    struct err refused;

    if (forced && strcmp(forced, "epoll") != 0 && strcmp(forced, "io_uring") != 0)
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0,
                       "MAILHAUL_LOOP is \"%s\"; it may be epoll or io_uring", forced);
    if (!forced || strcmp(forced, "io_uring") == 0) {
        loop->ops = &backend_ring;
        if (loop->ops->create(loop->inbox.fd, &loop->backend, &refused)) {
            say_once(loop->ops->name, "");
            return true;
        }
        if (forced) {
            *err_r = refused;
            return false;
        }
        err_line(&refused, line, sizeof line);
    }
    loop->ops = &backend_poll;
    if (!loop->ops->create(loop->inbox.fd, &loop->backend, err_r))
        return false;
    say_once(loop->ops->name, forced ? "MAILHAUL_LOOP says so" : line);
    return true;
}

bool loop_create(struct loop **loop_r, struct err *err_r)
{
    struct loop *loop = mem_zero(1, sizeof *loop);

    loop->tasks_end = &loop->tasks;
    loop->now_ms = now_ms();
    wheel_init(&loop->wheel, loop->now_ms);
    if (!inbox_init(&loop->inbox, err_r)) {
        free(loop);
        return false;
    }
    if (!backend_choose(loop, err_r)) {
        inbox_deinit(&loop->inbox);
        free(loop);
        return false;
    }
    *loop_r = loop;
    return true;
}

static void tasks_run(struct loop *loop)
{
    struct loop_task *list = loop->tasks, *task;

    if (!list)
        return;
    /* What these queue waits for the next turn; a task may cancel others of this list. */
    list->link = &list;
    loop->tasks = NULL;
    loop->tasks_end = &loop->tasks;
    while ((task = list)) {
        list = task->next;
        if (list)
            list->link = &list;
        task->next = NULL;
        task->link = NULL;
        task->run(task->context);
    }
}

static void turn(struct loop *loop, bool more)
{
    uint64_t began_ms = now_ms();
    int64_t wait_ms;

    loop->now_ms = began_ms;
    more |= inbox_deliver(&loop->inbox);
    wheel_advance(&loop->wheel, loop->now_ms);
    tasks_run(loop);
    wait_ms = wheel_wait_ms(&loop->wheel);
    loop->now_ms = now_ms();
    if (wait_ms > 0) {
        /* The wheel counts from the start of the turn. */
        uint64_t gone_ms = loop->now_ms - began_ms;

        wait_ms = gone_ms < (uint64_t)wait_ms ? wait_ms - (int64_t)gone_ms : 0;
    }
    if (more || loop->tasks || !inbox_sleep(&loop->inbox))
        wait_ms = 0;
    loop->ops->turn(loop->backend, wait_ms, &loop->now_ms);
    inbox_awake(&loop->inbox);
}

void loop_run(struct loop *loop)
{
    while (!atomic_load(&loop->inbox.stop))
        turn(loop, false);
    atomic_store(&loop->inbox.stop, false);
}

void loop_stop(struct loop *loop)
{
    inbox_stop(&loop->inbox);
}

void loop_destroy(struct loop **loop_p)
{
    struct loop *loop = *loop_p;

    if (!loop)
        return;
    loop_deliver(loop);
    /* Closed connections whose last operations the kernel has not given back yet. */
    while (loop->conn_count || loop->tasks)
        turn(loop, loop->conn_count == 0);
    loop_deliver(loop);
    loop->ops->destroy(loop->backend);
    inbox_deinit(&loop->inbox);
    blocks_deinit(&loop->blocks);
    tickets_deinit(&loop->tickets);
    free(loop->plain);
    free(loop->inflated);
    free(loop);
    *loop_p = NULL;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms, void (*fired)(void *context),
                    void *context)
{
    /* A wait that a server names may be of any length. */
    if (delay_ms > TIMER_MAX_MS)
        delay_ms = TIMER_MAX_MS;
    wheel_remove(timer);
    timer->fired = fired;
    timer->context = context;
    /* From the clock, not from the turn's time, which may be behind; one more because the present
     * millisecond has partly gone. */
    wheel_add(&loop->wheel, timer, now_ms() + delay_ms + 1);
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
    wheel_remove(timer);
}

void loop_post(struct loop *loop, struct loop_message *message)
{
    inbox_post(&loop->inbox, message);
}

void loop_deliver(struct loop *loop)
{
    while (inbox_deliver(&loop->inbox))
        ;
}

const char *loop_backend(const struct loop *loop)
{
    return loop->ops->name;
}

void loop_task_queue(struct loop *loop, struct loop_task *task)
{
    if (task->link)
        return;
    task->next = NULL;
    task->link = loop->tasks_end;
    *loop->tasks_end = task;
    loop->tasks_end = &task->next;
}

void loop_task_cancel(struct loop *loop, struct loop_task *task)
{
    if (!task->link)
        return;
    *task->link = task->next;
    if (task->next)
        task->next->link = task->link;
    if (loop->tasks_end == &task->next)
        loop->tasks_end = task->link;
    task->next = NULL;
    task->link = NULL;
}

char *loop_scratch(char **buffer)
{
    if (!*buffer)
        *buffer = mem_alloc(LOOP_SCRATCH_BYTES);
    return *buffer;
}
