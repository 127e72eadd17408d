/* test: base */
#include "io/base/mpsc.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define WRITERS 4
#define NODES   50000

struct item {
    struct mpsc_node node; /* first */
    unsigned writer, number;
};

static struct mpsc queue;

static void *write_all(void *context)
{
    struct item *items = context;

    for (unsigned i = 0; i < NODES; i++)
        mpsc_push(&queue, &items[i].node);
    return NULL;
}

static void test_each_writer_s_order_is_kept(void **state)
{
    static struct item items[WRITERS][NODES];
    pthread_t threads[WRITERS];
    unsigned next[WRITERS] = { 0 }, count = 0;

    mpsc_init(&queue);
    assert_true(mpsc_is_empty(&queue));
    for (unsigned w = 0; w < WRITERS; w++) {
        for (unsigned i = 0; i < NODES; i++)
            items[w][i] = (struct item){ .writer = w, .number = i };
        assert_int_equal(pthread_create(&threads[w], NULL, write_all, items[w]), 0);
    }
    while (count < WRITERS * NODES) {
        struct item *item = (struct item *)mpsc_pop(&queue);

        if (!item) {
            sched_yield();
            continue;
        }
        assert_int_equal(item->number, next[item->writer]);
        next[item->writer]++;
        count++;
    }
    for (unsigned w = 0; w < WRITERS; w++)
        pthread_join(threads[w], NULL);
    assert_null(mpsc_pop(&queue));
    assert_true(mpsc_is_empty(&queue));
}

static void test_a_node_may_come_again_at_once(void **state)
{
    struct item item = { .number = 1 };

    mpsc_init(&queue);
    for (unsigned i = 0; i < 5; i++) {
        mpsc_push(&queue, &item.node);
        assert_false(mpsc_is_empty(&queue));
        assert_ptr_equal(mpsc_pop(&queue), &item.node);
        assert_null(mpsc_pop(&queue));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_writer_s_order_is_kept),
        cmocka_unit_test(test_a_node_may_come_again_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
