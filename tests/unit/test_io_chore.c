/* test: io */
/* Computing beside a loop: order, cancelation, and that the loop goes on. */
#include "io/base/mem.h"
#include "io/chore.h"
#include "tests/unit/test_io_peer.h"

#include <semaphore.h>
#include <stdatomic.h>

static sem_t begun, go_on;
static _Atomic unsigned run_count, drop_count;
static unsigned order[8], done_count;

struct job {
    struct loop *loop;
    unsigned number, stop_at;
    bool waits;
};

static void run(void *work)
{
    struct job *job = work;

    atomic_fetch_add(&run_count, 1);
    if (job->waits) {
        sem_post(&begun);
        sem_wait(&go_on);
    }
}

static void done(void *context, void *work)
{
    struct job *job = work;

    order[done_count++] = job->number;
    if (done_count == job->stop_at)
        loop_stop(job->loop);
    free(job);
}

static void drop(void *work)
{
    atomic_fetch_add(&drop_count, 1);
    free(work);
}

static const struct chore_kind kind = { run, done, drop };

static struct chore *job(struct loop *loop, unsigned number, uint64_t cost, bool waits, unsigned stop_at)
{
    struct job *j = mem_alloc(sizeof *j);

    *j = (struct job){ .loop = loop, .number = number, .stop_at = stop_at, .waits = waits };
    return chore_begin(loop, &kind, cost, j, NULL);
}

static void let_go(void *context)
{
    sem_post(&go_on);
    sem_post(&go_on);
}

static void test_the_loop_goes_on_and_what_is_cheap_comes_first(void **state)
{
    struct loop *loop;
    struct err err;
    struct loop_timer timer = { 0 };
    struct chore *canceled;

    (void)state;
    done_count = 0;
    assert_true(loop_create(&loop, &err));
    sem_init(&begun, 0, 0);
    sem_init(&go_on, 0, 0);
    /* Both threads are held up until a timer of the loop fires: were this done on the loop, it
     * would hang. */
    job(loop, 0, 9, true, 5);
    job(loop, 1, 9, true, 5);
    sem_wait(&begun);
    sem_wait(&begun);
    canceled = job(loop, 2, 1, false, 5);
    job(loop, 3, 1000000, false, 5);
    job(loop, 4, 4096, false, 5);
    job(loop, 5, 4096, false, 5);
    chore_cancel(&canceled);
    assert_null(canceled);
    assert_int_equal(atomic_load(&drop_count), 1);
    loop_timer_set(loop, &timer, 10, let_go, NULL);
    loop_run(loop);
    assert_int_equal(done_count, 5);
    assert_int_equal(atomic_load(&run_count), 5);
    loop_destroy(&loop);
}

static void test_a_loop_may_go_while_its_chore_runs(void **state)
{
    struct loop *loop;
    struct err err;
    struct chore *one;

    (void)state;
    atomic_store(&drop_count, 0);
    done_count = 0;
    assert_true(loop_create(&loop, &err));
    one = job(loop, 0, 1, true, 1);
    sem_wait(&begun);
    chore_cancel(&one);
    loop_destroy(&loop);
    sem_post(&go_on);
    while (atomic_load(&drop_count) == 0)
        usleep(1000);
    assert_int_equal(done_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_loop_goes_on_and_what_is_cheap_comes_first),
        cmocka_unit_test(test_a_loop_may_go_while_its_chore_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
