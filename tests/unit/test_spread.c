/* test: move */
#include "engine/move/spread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS 1000u

/* Between two machines of one room, 1 ms of server's work a message. */
static const struct spread_line near = {
    .round_trip_us = 200, .login_us = 20 * MS, .busy_us = 1000 * MS, .messages = 1000
};
/* 20 ms one way. */
static const struct spread_line far = {
    .round_trip_us = 40 * MS, .login_us = 250 * MS, .busy_us = 1000 * MS, .messages = 500
};
/* Exchange Online from the same continent. */
static const struct spread_line late = {
    .round_trip_us = 15 * MS, .login_us = 900 * MS, .answer_us = 150 * MS, .busy_us = 15000 * MS, .messages = 100
};
/* Nobody has logged in yet, nothing has moved. */
static const struct spread_line unknown;

struct row {
    const char *what;
    const struct spread_line *line;
    struct spread_mailbox mailbox; /* links, most, ready, left, folders, rounds_x64 */
    struct spread_others others;   /* links, left, unknown */
    enum spread_why why;
};

static const struct row rows[] = {
    { "20 mailboxes alike, near", &near, { 1, 4, 500, 500, 12, 2 }, { 19, 9500, 0 }, SPREAD_NOT },
    { "as many as one may have, near", &near, { 1, 4, 50000, 50000, 0, 2 }, { 3, 150000, 0 }, SPREAD_NOT },
    { "one less", &near, { 1, 4, 50000, 50000, 0, 2 }, { 2, 100000, 0 }, SPREAD_FEW },
    { "alone", &near, { 3, 4, 50000, 50000, 0, 2 }, { 0, 0, 0 }, SPREAD_FEW },
    { "alone, all it may have", &near, { 4, 4, 50000, 50000, 0, 2 }, { 0, 0, 0 }, SPREAD_NOT },
    { "alone, over before a login pays", &near, { 1, 4, 150, 150, 3, 2 }, { 0, 0, 0 }, SPREAD_NOT },
    { "alone, nothing of it fetched yet", &near, { 1, 4, 0, 50000, 0, 2 }, { 0, 0, 0 }, SPREAD_NOT },
    { "alone, and its key says one", &near, { 1, 1, 50000, 50000, 0, 2 }, { 0, 0, 0 }, SPREAD_NOT },
    { "far more left than the others", &near, { 1, 4, 50000, 50000, 0, 2 }, { 19, 19 * 500, 0 }, SPREAD_LAST },
    { "it has its second one by now", &near, { 2, 4, 50000, 50000, 0, 2 }, { 19, 19 * 500, 0 }, SPREAD_LAST },
    { "twice as much for each connection", &near, { 2, 4, 2000, 2000, 0, 2 }, { 19, 19 * 500, 0 }, SPREAD_NOT },
    { "one of the others is not read yet", &near, { 1, 4, 50000, 50000, 0, 2 }, { 19, 0, 1 }, SPREAD_NOT },
    { "others with all of it moved", &near, { 1, 4, 1000, 1000, 0, 2 }, { 4, 0, 0 }, SPREAD_LAST },
    { "most of it is still at the source", &near, { 1, 4, 50, 50000, 0, 2 }, { 4, 0, 0 }, SPREAD_NOT },

    { "far, 12 folders", &far, { 1, 4, 146, 146, 12, 1 }, { 7, 7 * 146, 0 }, SPREAD_WAITS },
    { "far, 3 folders", &far, { 1, 4, 50, 50, 3, 1 }, { 7, 7 * 50, 0 }, SPREAD_NOT },
    { "far, 50 folders, three already", &far, { 3, 4, 500, 500, 50, 1 }, { 63, 30000, 0 }, SPREAD_WAITS },
    { "near, 1,000 folders", &near, { 1, 4, 1000, 1000, 1000, 1 }, { 63, 63000, 0 }, SPREAD_NOT },
    { "far, one literal after the other", &far, { 1, 4, 146, 146, 0, 128 }, { 7, 7 * 146, 0 }, SPREAD_WAITS },
    { "far, APPENDs pipelined", &far, { 1, 4, 146, 146, 0, 2 }, { 7, 7 * 146, 0 }, SPREAD_NOT },
    { "far, APPENDs pipelined, many", &far, { 1, 4, 5000, 5000, 0, 2 }, { 7, 35000, 0 }, SPREAD_WAITS },

    { "answers late, many mailboxes", &late, { 1, 4, 100, 100, 0, 128 }, { 63, 6300, 0 }, SPREAD_WAITS },
    { "the fourth", &late, { 3, 4, 100, 100, 0, 128 }, { 189, 6300, 0 }, SPREAD_WAITS },
    { "answers late, little left", &late, { 1, 4, 5, 5, 0, 128 }, { 63, 300, 0 }, SPREAD_NOT },
    { "answers late, pipelined", &late, { 1, 4, 100, 100, 0, 2 }, { 63, 6300, 0 }, SPREAD_WAITS },

    { "nothing measured", &unknown, { 1, 4, 500, 500, 12, 2 }, { 19, 9500, 0 }, SPREAD_NOT },
};

static void each_row(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        enum spread_why why = spread_another(r->line, &r->mailbox, &r->others);

        if (why != r->why)
            fail_msg("%s: %s, not %s", r->what, spread_name(why), spread_name(r->why));
    }
}

static void the_quickest_answer_of_a_window_counts(void **state)
{
    struct spread_line line = { 0 };

    spread_answered(&line, 400 * MS);
    assert_int_equal(line.answer_us, 400 * MS); /* better than nothing */
    spread_answered(&line, 90 * MS);
    assert_int_equal(line.answer_us, 90 * MS);
    for (unsigned i = 0; i < SPREAD_ANSWERS; i++)
        spread_answered(&line, 300 * MS);
    assert_int_equal(line.answer_us, 90 * MS); /* it is in the window that closed last */
    for (unsigned i = 0; i < SPREAD_ANSWERS; i++)
        spread_answered(&line, 300 * MS);
    assert_int_equal(line.answer_us, 300 * MS);
    /* A busy server of 2 processors and 64 connections: late on the whole, and not at its quickest. */
    for (unsigned i = 0; i < 2 * SPREAD_ANSWERS; i++)
        spread_answered(&line, i % 16 ? 32 * MS : 3 * MS);
    assert_true(line.answer_us < SPREAD_LATE_US);
}

static void the_shortest_round_trip_and_login_count(void **state)
{
    struct spread_line line = { 0 };

    spread_logged_in(&line, 0, 90 * MS); /* not measured */
    assert_int_equal(line.round_trip_us, 0);
    spread_logged_in(&line, 500, 60 * MS);
    spread_logged_in(&line, 300, 70 * MS);
    spread_logged_in(&line, 9 * MS, 0);
    assert_int_equal(line.round_trip_us, 300);
    assert_int_equal(line.login_us, 1); /* below what the clock tells: known all the same */
}

/* What one more connection takes is not asked for by what it gives: from each row that wants one, adding them leads
 * to an end before each message has its own. */
static void nobody_wants_more_and_more(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct spread_mailbox m = rows[i].mailbox;

        m.most = 1000;
        while (m.links < m.most && spread_another(rows[i].line, &m, &rows[i].others) != SPREAD_NOT)
            m.links++;
        assert_true(m.links < m.most);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row),
        cmocka_unit_test(the_quickest_answer_of_a_window_counts),
        cmocka_unit_test(the_shortest_round_trip_and_login_count),
        cmocka_unit_test(nobody_wants_more_and_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
