/* test: failure */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/failure/patience.h"

#include <string.h>

#define SILENCE_MS 120000u
#define DAY_S      86400u

/* A connection whose server does the same in each second. */
struct played {
    struct crawl crawl;
    struct patience patience;
    struct patience_view view;
    struct err err;
};

static void begin(struct played *p)
{
    *p = (struct played){ .view = { .now_ms = 1000000, .silence_ms = SILENCE_MS } };
    patience_begin(&p->patience, &p->crawl, p->view.now_ms);
}

static bool second(struct played *p, uint64_t received, uint64_t acknowledged)
{
    p->view.now_ms += 1000;
    if (received)
        patience_received(&p->patience, p->view.now_ms, received);
    p->view.acknowledged_bytes += acknowledged;
    p->view.unsent_bytes -= acknowledged < p->view.unsent_bytes ? acknowledged : p->view.unsent_bytes;
    return patience_look(&p->patience, &p->view, &p->err);
}

static void given_up(struct played *p, unsigned least_s, unsigned most_s, uint64_t received, uint64_t acknowledged,
                     const char *words)
{
    unsigned s = 1;

    while (s < DAY_S && !second(p, received, acknowledged))
        s++;
    assert_in_range(s, least_s, most_s);
    if (!strstr(p->err.server_text, words))
        fail_msg("%s", p->err.server_text);
    assert_int_equal(p->err.class, ERR_CLASS_TRANSIENT);
    assert_int_equal(p->err.scope, ERR_SCOPE_SESSION);
}

static void silence_is_given_up(void **state)
{
    struct played p;

    (void)state;
    begin(&p);
    given_up(&p, 121, 121, 0, 0, "no byte from the server for 120 s");
}

static void a_literal_that_trickles_is_given_up_whatever_its_size(void **state)
{
    struct played p;

    (void)state;
    begin(&p);
    p.view.amid = p.view.in_literal = true;
    given_up(&p, 480, 500, 2, 0, "the server gives fewer than 128 bytes/s for 480 s");
}

/* 35 MB at 30 kbit/s: two and a half hours of one literal. */
static void a_large_body_on_a_slow_line_comes(void **state)
{
    struct played p;

    (void)state;
    begin(&p);
    p.view.amid = p.view.in_literal = true;
    for (unsigned s = 0; s < 35000000 / 3750; s++) {
        p.view.uses++; /* each piece of a body that was asked for */
        if (second(&p, 3750, 0))
            fail_msg("after %u s: %s", s, p.err.server_text);
    }
    p.view.amid = p.view.in_literal = false;
    p.view.responses++;
    assert_false(second(&p, 3, 0));
}

/* Small messages, each of them whole within its time. */
static void many_small_bodies_that_trickle_are_given_up(void **state)
{
    struct played p;
    unsigned s = 0;

    (void)state;
    begin(&p);
    p.view.amid = p.view.in_literal = true;
    while (s < DAY_S && !second(&p, 2, 0)) {
        if (++s % 150 == 0) {
            p.view.responses++;
            p.view.uses++;
        }
    }
    assert_in_range(s, 480, 520);
}

/* A server that thinks over each row for a while sends it at once. */
static void rows_that_come_slowly_but_whole_are_waited_for(void **state)
{
    struct played p;

    (void)state;
    begin(&p);
    for (unsigned s = 1; s < DAY_S; s++) {
        bool row = s % 50 == 0;

        p.view.responses += row;
        p.view.uses += row;
        assert_false(second(&p, row ? 60 : 0, 0));
    }
}

static void a_line_that_never_ends_is_given_up(void **state)
{
    struct played p;

    (void)state;
    begin(&p);
    p.view.amid = true;
    given_up(&p, 481, 481, 500, 0, "no whole answer from the server for 480 s");
}

static void lines_of_no_use_are_given_up(void **state)
{
    struct played p;
    unsigned s = 1;

    (void)state;
    begin(&p);
    while (s < DAY_S && (p.view.responses++, !second(&p, 20, 0)))
        s++;
    assert_int_equal(s, 1441);
    assert_non_null(strstr(p.err.server_text, "for 1440 s, whatever else it says"));
}

/* An upload goes out of the kernel's buffer long after it was handed over. */
static void what_is_still_acknowledged_is_no_silence(void **state)
{
    struct played p;

    (void)state;
    begin(&p);
    p.view.unsent_bytes = 35000000;
    while (p.view.unsent_bytes)
        assert_false(second(&p, 0, 3750));
    given_up(&p, 118, 121, 0, 0, "no byte from the server for 120 s");
}

static void a_target_that_takes_bytes_as_slowly_is_given_up(void **state)
{
    struct played p;

    (void)state;
    begin(&p);
    p.view.unsent_bytes = 35000000;
    given_up(&p, 480, 500, 0, 2, "the server takes fewer than 128 bytes/s for 480 s");
    patience_end(&p.patience);
    /* On the next connection sooner. */
    patience_begin(&p.patience, &p.crawl, p.view.now_ms);
    p.view.unsent_bytes = 35000000;
    p.view.acknowledged_bytes = 0;
    given_up(&p, 118, 125, 0, 2, "the server takes fewer than 128 bytes/s");
}

/* A line of two seconds from end to end, and one small command after the other. */
static void a_long_way_is_no_crawl(void **state)
{
    struct played p;

    (void)state;
    begin(&p);
    for (unsigned s = 0; s < DAY_S; s += 2) {
        p.view.unsent_bytes = 40;
        assert_false(second(&p, 0, 0));
        p.view.responses++;
        p.view.uses++;
        assert_false(second(&p, 60, 40));
    }
}

static void a_halted_process_is_no_silence(void **state)
{
    struct played p;

    (void)state;
    begin(&p);
    p.view.amid = p.view.in_literal = true;
    for (unsigned i = 0; i < 100; i++) {
        p.view.now_ms += 100000;
        assert_false(second(&p, 200, 0));
    }
}

static void nothing_due_is_no_silence(void **state)
{
    struct played p;

    (void)state;
    begin(&p);
    p.view.silence_ms = 0;
    for (unsigned s = 0; s < DAY_S; s++)
        assert_false(second(&p, 0, 0));
    p.view.silence_ms = SILENCE_MS;
    given_up(&p, 121, 121, 0, 0, "no byte");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_is_given_up),
        cmocka_unit_test(a_literal_that_trickles_is_given_up_whatever_its_size),
        cmocka_unit_test(a_large_body_on_a_slow_line_comes),
        cmocka_unit_test(many_small_bodies_that_trickle_are_given_up),
        cmocka_unit_test(rows_that_come_slowly_but_whole_are_waited_for),
        cmocka_unit_test(a_line_that_never_ends_is_given_up),
        cmocka_unit_test(lines_of_no_use_are_given_up),
        cmocka_unit_test(what_is_still_acknowledged_is_no_silence),
        cmocka_unit_test(a_target_that_takes_bytes_as_slowly_is_given_up),
        cmocka_unit_test(a_long_way_is_no_crawl),
        cmocka_unit_test(a_halted_process_is_no_silence),
        cmocka_unit_test(nothing_due_is_no_silence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
