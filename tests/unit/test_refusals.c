/* test: failure */
#include "engine/failure/refusals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MESSAGES 64u

/* A folder as push drives it: one APPEND at a time, those that were put off behind the others. */
struct play {
    struct refusals folder;
    struct refused messages[MESSAGES];
    unsigned waiting[MESSAGES * 4], head, count; /* in the order in which they are sent */
    unsigned later[MESSAGES], later_count;
    bool stored[MESSAGES], failed[MESSAGES];
    unsigned sent, waits;
    enum refusal_words words;
};

typedef bool verdict(const struct play *p, unsigned message);

static void play_begin(struct play *p, unsigned messages)
{
    *p = (struct play){ .count = messages, .words = REFUSAL_WORDS_ANY };
    for (unsigned i = 0; i < messages; i++)
        p->waiting[i] = i;
}

static bool next(struct play *p, unsigned *message_r)
{
    if (p->later_count && (p->head == p->count || refusals_may_try(&p->folder, &p->messages[p->later[0]]))) {
        *message_r = p->later[0];
        p->later_count--;
        for (unsigned i = 0; i < p->later_count; i++)
            p->later[i] = p->later[i + 1];
        return true;
    }
    if (p->head == p->count)
        return false;
    *message_r = p->waiting[p->head++];
    return true;
}

static bool another_has_turn(const struct play *p)
{
    for (unsigned i = 0; i < p->later_count; i++)
        if (refusals_has_turn(&p->folder, &p->messages[p->later[i]]))
            return true;
    return false;
}

/* Until nothing is left, or so many waits went by. */
static void play_run(struct play *p, verdict *refuses, unsigned waits_max)
{
    unsigned m;

    while (p->waits < waits_max && next(p, &m)) {
        uint32_t seen = p->folder.seen;

        p->sent++;
        if (!refuses(p, m)) {
            p->stored[m] = true;
            refusals_took(&p->folder, seen);
            continue;
        }
        bool others = p->head < p->count;
        enum refusal refusal = refusals_judge(&p->folder, &p->messages[m], p->words, others, 5);

        /* Nothing mends these. */
        if (refusal == REFUSAL_OWN && p->words == REFUSAL_WORDS_OWN)
            refusal = refusals_judge_last(&p->folder, &p->messages[m], others, 2);
        switch (refusal) {
        case REFUSAL_OWN:
            p->failed[m] = true;
            break;
        case REFUSAL_REST:
            if (p->folder.row >= REFUSALS_ROW || !another_has_turn(p)) {
                (void)refusals_rests(&p->folder, &p->messages[m]);
                p->waits++;
            }
            p->later[p->later_count++] = m;
            break;
        case REFUSAL_LATER:
            p->later[p->later_count++] = m;
            break;
        }
    }
}

static unsigned count(const bool *of)
{
    unsigned n = 0;

    for (unsigned i = 0; i < MESSAGES; i++)
        n += of[i];
    return n;
}

static bool the_seventh(const struct play *p, unsigned message)
{
    return message == 7;
}

static void one_bad_among_many_is_found_without_a_wait(void **state)
{
    struct play p;

    play_begin(&p, MESSAGES);
    play_run(&p, the_seventh, 100);
    assert_int_equal(p.waits, 0);
    assert_int_equal(count(p.stored), MESSAGES - 1);
    assert_true(p.failed[7]);
    assert_int_equal(p.sent, MESSAGES + REFUSALS_WITNESSED);
    play_begin(&p, MESSAGES);
    p.words = REFUSAL_WORDS_OWN;
    play_run(&p, the_seventh, 100);
    assert_int_equal(p.waits, 0);
    assert_int_equal(p.sent, MESSAGES + 1);
    assert_true(p.failed[7]);
}

static bool each_third(const struct play *p, unsigned message)
{
    return message % 3 == 0;
}

static void many_bad_ones_among_good_ones_are_found(void **state)
{
    struct play p;

    play_begin(&p, MESSAGES);
    play_run(&p, each_third, 100);
    for (unsigned i = 0; i < MESSAGES; i++) {
        assert_int_equal(p.failed[i], i % 3 == 0);
        assert_int_equal(p.stored[i], i % 3 != 0);
    }
    assert_true(p.waits < 5);
}

static bool the_first_ten(const struct play *p, unsigned message)
{
    return message < 10;
}

static void bad_ones_at_the_front_stop_nothing_for_good(void **state)
{
    struct play p;

    play_begin(&p, MESSAGES);
    play_run(&p, the_first_ten, 100);
    assert_int_equal(count(p.failed), 10);
    assert_int_equal(count(p.stored), MESSAGES - 10);
    assert_true(p.waits < 20);
}

static bool those_in_the_middle(const struct play *p, unsigned message)
{
    return message >= 20 && message < 26;
}

/* Their words say that it passes. They wait beside the others, and then share their waits. */
static void what_never_passes_of_some_is_theirs(void **state)
{
    struct play p;

    play_begin(&p, 30);
    p.words = REFUSAL_WORDS_PASSING;
    play_run(&p, those_in_the_middle, 100);
    assert_int_equal(count(p.stored), 24);
    assert_int_equal(count(p.failed), 6);
    for (unsigned i = 20; i < 26; i++)
        assert_true(p.messages[i].times >= 5);
    assert_true(p.waits <= 6);
}

static bool those_for_a_while(const struct play *p, unsigned message)
{
    return message % 10 == 3 && p->messages[message].times < 3;
}

static void what_passes_of_some_costs_none(void **state)
{
    struct play p;

    play_begin(&p, 60);
    p.words = REFUSAL_WORDS_PASSING;
    play_run(&p, those_for_a_while, 100);
    assert_int_equal(count(p.stored), 60);
    assert_int_equal(count(p.failed), 0);
}

static bool for_a_while(const struct play *p, unsigned message)
{
    return p->sent > 10 && p->waits < 4;
}

static void an_outage_costs_no_message(void **state)
{
    struct play p;

    for (unsigned words = 0; words < 2; words++) {
        play_begin(&p, MESSAGES);
        p.words = words ? REFUSAL_WORDS_OWN : REFUSAL_WORDS_ANY;
        play_run(&p, for_a_while, 100);
        assert_int_equal(count(p.stored), MESSAGES);
        assert_int_equal(count(p.failed), 0);
        assert_int_equal(p.waits, 4);
    }
}

static bool always(const struct play *p, unsigned message)
{
    return true;
}

static void what_never_ends_is_an_outage_and_no_verdict_on_any(void **state)
{
    struct play p;

    play_begin(&p, MESSAGES);
    play_run(&p, always, 60);
    assert_int_equal(p.waits, 60);
    assert_int_equal(count(p.failed), 0);
    assert_int_equal(p.folder.rounds, 60);
    /* But words about the message, said of each one for so long, are true of each. */
    play_begin(&p, MESSAGES);
    p.words = REFUSAL_WORDS_OWN;
    play_run(&p, always, 60);
    assert_int_equal(p.waits, REFUSALS_ROUNDS_WORDS);
    assert_int_equal(count(p.failed), MESSAGES);
}

static void one_that_is_alone_is_tried_as_often_as_it_may_be(void **state)
{
    struct play p;

    play_begin(&p, 1);
    play_run(&p, always, 100);
    assert_true(p.failed[0]);
    assert_int_equal(p.sent, 5);
    assert_int_equal(p.waits, 4);
}

static void an_answer_to_what_was_sent_before_says_nothing_of_what_was_refused_after(void **state)
{
    struct refusals r = { 0 };
    struct refused m = { 0 };
    uint32_t seen = r.seen;

    assert_int_equal(refusals_judge(&r, &m, REFUSAL_WORDS_ANY, true, 5), REFUSAL_LATER);
    for (unsigned i = 0; i < 3; i++) {
        refusals_took(&r, seen);
        assert_false(refusals_may_try(&r, &m));
        assert_int_equal(refusals_judge(&r, &m, REFUSAL_WORDS_ANY, true, 5), REFUSAL_LATER);
    }
    assert_int_equal(m.witnessed, 0);
}

/* ---- bodies that a source refuses ---------------------------------------------------------- */

static void of_a_source_that_gives_others_one_is_refused_itself(void **state)
{
    struct refusals r = { 0 };
    struct refused m = { 0 };

    assert_int_equal(refusals_judge_unread(&r, &m, true, REFUSALS_UNREAD_ROW, 4), REFUSAL_LATER);
    refusals_took(&r, r.seen);
    assert_int_equal(refusals_judge_unread(&r, &m, false, REFUSALS_UNREAD_ROW, 4), REFUSAL_OWN);
}

static void a_source_that_gives_nothing_is_waited_for(void **state)
{
    struct refused all[REFUSALS_UNREAD_ROW + 5] = { 0 };
    struct refusals r = { 0 };

    for (unsigned i = 0; i + 1 < REFUSALS_UNREAD_ROW; i++)
        assert_int_equal(refusals_judge_unread(&r, &all[i], true, REFUSALS_UNREAD_ROW, 4), REFUSAL_LATER);
    /* However often the same ones are refused, each counts once. */
    for (unsigned i = 0; i + 1 < REFUSALS_UNREAD_ROW; i++)
        assert_int_equal(refusals_judge_unread(&r, &all[i], true, REFUSALS_UNREAD_ROW, 4), REFUSAL_LATER);
    for (r.rounds = 0; r.rounds < 4; r.rounds++) {
        refusals_unread_first(&r, &all[REFUSALS_UNREAD_ROW]);
        assert_int_equal(refusals_judge_unread(&r, &all[REFUSALS_UNREAD_ROW], true, REFUSALS_UNREAD_ROW, 4),
                         REFUSAL_REST);
    }
    /* One that was asked for before the last wait is no witness of the time after. */
    assert_int_equal(refusals_judge_unread(&r, &all[REFUSALS_UNREAD_ROW], true, REFUSALS_UNREAD_ROW, 4), REFUSAL_LATER);
    /* It never gave any: then it is true of each, until one comes. */
    refusals_unread_first(&r, &all[REFUSALS_UNREAD_ROW + 1]);
    assert_int_equal(refusals_judge_unread(&r, &all[REFUSALS_UNREAD_ROW + 1], true, REFUSALS_UNREAD_ROW, 4),
                     REFUSAL_OWN);
    refusals_took(&r, r.seen);
    assert_int_equal(refusals_judge_unread(&r, &all[REFUSALS_UNREAD_ROW + 2], true, REFUSALS_UNREAD_ROW, 4),
                     REFUSAL_LATER);
}

static void where_there_are_no_others_it_is_waited_for_at_once(void **state)
{
    struct refusals r = { 0 };
    struct refused m = { 0 };

    assert_int_equal(refusals_judge_unread(&r, &m, false, REFUSALS_UNREAD_ROW, 4), REFUSAL_REST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_bad_among_many_is_found_without_a_wait),
        cmocka_unit_test(many_bad_ones_among_good_ones_are_found),
        cmocka_unit_test(bad_ones_at_the_front_stop_nothing_for_good),
        cmocka_unit_test(what_never_passes_of_some_is_theirs),
        cmocka_unit_test(what_passes_of_some_costs_none),
        cmocka_unit_test(an_outage_costs_no_message),
        cmocka_unit_test(what_never_ends_is_an_outage_and_no_verdict_on_any),
        cmocka_unit_test(one_that_is_alone_is_tried_as_often_as_it_may_be),
        cmocka_unit_test(an_answer_to_what_was_sent_before_says_nothing_of_what_was_refused_after),
        cmocka_unit_test(of_a_source_that_gives_others_one_is_refused_itself),
        cmocka_unit_test(a_source_that_gives_nothing_is_waited_for),
        cmocka_unit_test(where_there_are_no_others_it_is_waited_for_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
