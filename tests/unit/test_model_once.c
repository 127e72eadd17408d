/* test: base */
/* The protocol that brings each message exactly once, searched exhaustively; and that each of its rules is
 * needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>

#include <cmocka.h>

#include "tests/model/once.h"

static struct once_rules all_rules(void)
{
    return (struct once_rules){ .messages = 3,
                                .connections = 2,
                                .depth = 1,
                                .losses = 2,
                                .refusals = 1,
                                .kills = 1,
                                .tells_uids = true,
                                .waits_alone = true,
                                .lost_holds = true,
                                .parts_doubted = true,
                                .doubts = true,
                                .claims_from = true,
                                .flushes = true,
                                .open_durable = true,
                                .quiet = true,
                                .settles = true,
                                .fresh = true,
                                .equal_waits = true,
                                .found_holds = true,
                                .stop_leaves = true,
                                .notes = true,
                                .notes_killed = true,
                                .notes_refused = true,
                                .sizes_pair = true,
                                .learns_dates = true,
                                .checks_uids = true,
                                .whole_looks = true,
                                .knows_anew = true,
                                .proves_all = true,
                                .proves_header = true };
}

static void holds(const char *what, struct once_rules rules)
{
    struct once_search s;

    once_search(&s, &rules);
    printf("%-52s %zu states\n", what, s.count);
    if (s.doubled || s.lost || s.full)
        fail_msg("%s: doubled %d lost %d full %d", what, s.doubled, s.lost, s.full);
}

static void fails(const char *what, struct once_rules rules)
{
    struct once_search s;

    once_search(&s, &rules);
    printf("%-52s %zu states to a fault\n", what, s.count);
    if (!s.doubled && !s.lost)
        fail_msg("%s: nothing was found", what);
}

static void each_message_comes_once(void **state)
{
    struct once_rules r = all_rules();

    r.stops = 1;
    holds("two connections", r);
    r = all_rules();
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
    r = all_rules();
    r.foreign = 1;
    holds("somebody else's mail comes", r);
    r = all_rules();
    r.waits_alone = false;
    holds("the folder stops for a lost answer", r);
    r.twins = true;
    r.tells_uids = false;
    holds("the same, the same mail twice, no UID told", r);
}

static void several_are_on_their_way(void **state)
{
    struct once_rules r = all_rules();

    r.connections = 1;
    r.depth = 3;
    r.stops = 1;
    holds("three pipelined", r);
    r.multi = true;
    holds("three in one command", r);
    r = all_rules();
    r.connections = r.depth = 2;
    r.multi = true;
    holds("two commands of two", r);
    r.tells_uids = false;
    r.twins = true;
    holds("the same, the same mail twice, no UID told", r);
    r = all_rules();
    r.messages = 4;
    r.connections = r.depth = 3;
    r.refusals = 0;
    holds("three connections, three pipelined on each", r);
    r = all_rules();
    r.messages = 4;
    r.connections = 3;
    r.losses = 1;
    r.twins = true;
    holds("three connections, the same mail twice", r);
    r.tells_uids = false;
    holds("the same, no UID told", r);
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
    for (unsigned refused = 0; refused < 2; refused++) {
        r = all_rules();
        r.connections = 1;
        r.depth = 3;
        r.multi = true;
        r.parts_doubted = false;
        r.kills = 0;
        r.losses = !refused;
        r.refusals = refused;
        fails("of several that broke off none is looked for", r);
    }
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
    r = all_rules();
    r.found_holds = false;
    fails("what was found does not hold the floor", r);
}

/* What it takes that the folder goes on while messages wait for the look. */
static void no_rule_of_waiting_alone_can_be_left_out(void **state)
{
    struct once_rules r = all_rules();

    r.lost_holds = false;
    r.connections = 1;
    r.refusals = r.kills = 0;
    fails("those sent meanwhile lift the floor", r);
    r = all_rules();
    r.quiet = false;
    fails("a look while others are under way", r);
    r = all_rules();
    r.settles = false;
    fails("a look before the target has done", r);
    r = all_rules();
    r.fresh = false;
    fails("a look from before the last loss", r);
    r = all_rules();
    r.stops = 1;
    r.stop_leaves = false;
    fails("a stop that forgets what waits", r);
    /* Where rows have no UID and sizes are estimates, more messages of a key are more than a look can tell apart. */
    r = all_rules();
    r.connections = 1;
    r.refusals = r.kills = 0;
    r.tells_uids = false;
    r.alike = true;
    holds("two of one key that differ", r);
    r.equal_waits = false;
    fails("those of its key do not wait", r);
    r.waits_alone = false;
    holds("the same, but the folder stops", r);
}

/* What the target stores after the looks is doubled, and then named: so many copies as were sent without an answer. */
static void what_comes_late_is_named(void **state)
{
    struct once_rules r = all_rules();

    r.lates = 2;
    r.messages = 2;
    holds("two come late", r);
    r.twins = true;
    holds("the same mail twice", r);
    r.tells_uids = false;
    holds("the same, no UID told", r);
    r = all_rules();
    r.lates = 1;
    r.refusals = 0;
    r.multi = true;
    r.depth = 2;
    holds("two in one command", r);
    r = all_rules();
    r.lates = 1;
    r.kills = r.refusals = 0;
    r.notes = false;
    fails("a loss is not counted", r);
    r = all_rules();
    r.lates = 1;
    r.losses = r.refusals = 0;
    r.notes_killed = false;
    fails("what a killed run has sent is not counted", r);
    r = all_rules();
    r.lates = 1;
    r.losses = r.kills = 0;
    r.notes_refused = false;
    fails("a refusal in doubt is not counted", r);
}

/* Each way of sending with each kind of target, in small. */
static void it_holds_for_each_configuration(void **state)
{
    size_t states = 0;
    unsigned searched = 0;

    for (unsigned i = 0; i < 3u * 3 * 16; i++) {
        struct once_rules r = all_rules();
        struct once_search s;

        r.connections = i / 48 + 1;
        r.depth = i / 16 % 3 + 1;
        r.tells_uids = i & 1;
        r.multi = i & 2;
        r.twins = i & 4;
        r.foreign = i & 8 ? 1 : 0;
        if (r.multi && r.depth == 1)
            continue;
        r.messages = r.depth > 2 || r.connections > 2 ? 3 : 2;
        r.losses = 1;
        r.kills = r.messages == 2;
        r.stops = r.messages == 2;
        once_search(&s, &r);
        states += s.count;
        searched++;
        if (s.doubled || s.lost || s.full)
            fail_msg("%u connections, depth %u, UIDs %d, multi %d, equal %d, foreign %u: doubled %d lost %d full %d",
                     r.connections, r.depth, r.tells_uids, r.multi, r.twins, r.foreign, s.doubled, s.lost, s.full);
    }
    printf("%u configurations %31s %zu states\n", searched, "", states);
}

/* What the target holds and is not this run's. */
static void what_is_there_before_is_told_by_its_size(void **state)
{
    struct once_rules r = all_rules();

    r.losses = r.refusals = 0;
    r.prefilled = 1;
    r.alike = true;
    holds("it holds one of two that differ by size", r);
    r.sizes_pair = false;
    fails("the first of them takes the other's copy", r);
    r = all_rules();
    r.prefilled = 1;
    holds("it holds one", r);
    r.own_dates = true;
    holds("the same, with a date of its own", r);
    r = all_rules();
    r.prefilled = 1;
    r.cut = true;
    holds("it holds one that lacks its end", r);
    r.sizes_pair = false;
    fails("a copy without its end is taken for the message", r);
}

/* A target that does not do as it should. */
static void what_a_target_says_is_believed_as_far_as_it_can_be_true(void **state)
{
    struct once_rules r = all_rules();

    r.lies = 16;
    r.refusals = 0;
    holds("UIDs that are wrong, or not", r);
    r.checks_uids = false;
    fails("UIDs that are wrong are believed", r);
    r = all_rules();
    r.own_dates = true;
    holds("dates of its own", r);
    r.learns_dates = false;
    fails("its dates are believed", r);
    r = all_rules();
    r.refusals = 0;
    r.whole_looks = false;
    fails("a look that lacks a row is believed", r);
    r = all_rules();
    r.refusals = 0;
    r.anew = 1;
    holds("the folder is made anew", r);
    r.stops = 1;
    r.kills = 0;
    holds("the same between two runs", r);
    r.knows_anew = r.checks_uids = false;
    fails("UIDs of the folder before are believed", r);
}

/* What lacks in the end is at least told. */
static void what_lacks_is_told(void **state)
{
    struct once_rules r = all_rules();

    r.refusals = 0;
    r.losses = 1;
    r.unstored = 1;
    holds("an OK that stored nothing", r);
    r.foreign = 1;
    holds("the same, and somebody else's mail comes", r);
    r.proves_header = false;
    fails("the number is believed", r);
    r = all_rules();
    r.unstored = r.lates = 1;
    r.losses = 1;
    r.refusals = r.kills = 0;
    r.messages = 2;
    holds("an OK that stored nothing, and a late copy", r);
    r.proves_header = false;
    fails("a late copy makes up the number", r);
    r = all_rules();
    r.refusals = 0;
    r.losses = 1;
    r.removals = 1;
    holds("all of it is removed between two runs", r);
    r.proves_all = false;
    r.proves_header = false;
    fails("what came since it was opened is enough", r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_comes_once),
        cmocka_unit_test(several_are_on_their_way),
        cmocka_unit_test(no_rule_can_be_left_out),
        cmocka_unit_test(no_rule_of_waiting_alone_can_be_left_out),
        cmocka_unit_test(what_comes_late_is_named),
        cmocka_unit_test(it_holds_for_each_configuration),
        cmocka_unit_test(what_is_there_before_is_told_by_its_size),
        cmocka_unit_test(what_a_target_says_is_believed_as_far_as_it_can_be_true),
        cmocka_unit_test(what_lacks_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
