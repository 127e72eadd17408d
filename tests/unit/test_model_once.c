/* test: base */
/* The protocol that brings each message exactly once, searched exhaustively; and that each of its rules is
 * needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "tests/model/once.h"

static struct once_rules all_rules(void)
{
    return (struct once_rules){ .messages = 3,
                                .connections = 2,
                                .losses = 2,
                                .refusals = 1,
                                .kills = 1,
                                .tells_uids = true,
                                .lost_holds = true,
                                .doubts = true,
                                .claims_from = true,
                                .flushes = true,
                                .open_durable = true };
}

static void holds(const char *what, struct once_rules rules)
{
    struct once_search s;

    once_search(&s, &rules);
    printf("%-44s %zu states\n", what, s.count);
    if (s.doubled || s.lost || s.full)
        fail_msg("%s: doubled %d lost %d full %d", what, s.doubled, s.lost, s.full);
}

static void fails(const char *what, struct once_rules rules)
{
    struct once_search s;

    once_search(&s, &rules);
    printf("%-44s %zu states to a fault\n", what, s.count);
    if (!s.doubled && !s.lost)
        fail_msg("%s: nothing was found", what);
}

static void each_message_comes_once(void **state)
{
    struct once_rules r = all_rules();

    holds("two connections", r);
    r.connections = 1;
    r.kills = 2;
    holds("one connection, two kills", r);
    r = all_rules();
    r.twins = true;
    holds("the same mail twice", r);
    r.tells_uids = false;
    holds("the same mail twice, no UID told", r);
    r.kills = 2;
    r.losses = r.refusals = 1;
    holds("the same, two kills", r);
}

static void no_rule_can_be_left_out(void **state)
{
    struct once_rules r = all_rules();

    r.lost_holds = false;
    r.refusals = r.kills = 0;
    fails("a lost answer does not hold the floor", r);
    r = all_rules();
    r.doubts = false;
    fails("a refusal is believed", r);
    r = all_rules();
    r.open_durable = false;
    fails("the intent is not durable", r);
    r = all_rules();
    r.flushes = false;
    r.tells_uids = false;
    r.twins = true;
    fails("a look is compared with an old journal", r);
    r = all_rules();
    r.tells_uids = r.claims_from = false;
    r.twins = true;
    fails("a row without a UID claims what it likes", r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_comes_once),
        cmocka_unit_test(no_rule_can_be_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
