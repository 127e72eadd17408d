/* test: message */
#include "engine/message/match_assign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Small folders by chance, against an oracle that knows no rule but one: whatever the copies on the
 * target may be, as far as dates and sizes allow, no message is taken to be there that is not. */

#define MOST   5u
#define ROUNDS 60000u

struct folder {
    struct match_message messages[MOST];
    size_t message_count;
    struct match_copy copies[MOST];
    size_t copy_count;
    bool exact;
};

static unsigned any(unsigned below)
{
    static uint64_t seed = 88172645463325252ull;

    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % below;
}

static bool are_alike(const struct match_message *a, const struct match_message *b)
{
    return a->seconds == b->seconds && a->bytes == b->bytes && a->digest == b->digest;
}

static bool may_be_of(const struct folder *f, size_t copy, size_t message)
{
    static const struct match_fidelity rewriting = { .rewrites = true };
    struct match_range range = match_sizes_of(&rewriting, f->messages[message].bytes);
    uint64_t bytes = f->copies[copy].bytes;

    if (f->copies[copy].seconds != f->messages[message].seconds)
        return false;
    return f->exact ? bytes == f->messages[message].bytes : bytes >= range.least && bytes <= range.most;
}

/* How many copies there are, at least, of what is like the message: over all ways in which the
 * copies may be of messages of ours, no two of the same one. */
struct oracle {
    const struct folder *f;
    bool taken[MOST];
    size_t least[MOST];
    bool possible;
};

static void suppose(struct oracle *o, size_t copy)
{
    if (copy == o->f->copy_count) {
        o->possible = true;
        for (size_t m = 0; m < o->f->message_count; m++) {
            size_t there = 0;

            for (size_t n = 0; n < o->f->message_count; n++)
                there += o->taken[n] && are_alike(&o->f->messages[m], &o->f->messages[n]);
            if (there < o->least[m])
                o->least[m] = there;
        }
        return;
    }
    for (size_t m = 0; m < o->f->message_count; m++)
        if (!o->taken[m] && may_be_of(o->f, copy, m)) {
            o->taken[m] = true;
            suppose(o, copy + 1);
            o->taken[m] = false;
        }
}

static int copy_order(const void *a, const void *b)
{
    const struct match_copy *x = a, *y = b;
    int order = (x->seconds > y->seconds) - (x->seconds < y->seconds);

    return order ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static void draw(struct folder *f, bool exact)
{
    static const uint64_t sizes[] = { 1000, 1010, 1900, 2400, 9000, 200000, 500000 };

    *f = (struct folder){ .exact = exact, .message_count = 1 + any(MOST) };
    for (size_t m = 0; m < f->message_count; m++)
        f->messages[m] = (struct match_message){
            .seconds = any(2), .bytes = sizes[any(7)], .digest = 1 + any(2), .uid = (uint32_t)m + 1
        };
    for (size_t m = 0; m < f->message_count; m++)
        if (any(3)) {
            struct match_copy *c = &f->copies[f->copy_count++];

            *c = (struct match_copy){ .seconds = f->messages[m].seconds, .bytes = f->messages[m].bytes };
            if (!exact)
                c->bytes = c->bytes * (70 + any(60)) / 100 + any(300);
        }
    qsort(f->messages, f->message_count, sizeof *f->messages, match_message_order);
    qsort(f->copies, f->copy_count, sizeof *f->copies, copy_order);
}

static void check(bool exact)
{
    struct match_fidelity fidelity = { .rewrites = !exact };
    struct match_rules rules = { .fidelity = &fidelity, .dates_kept = true, .sizes_exact = exact, .named = true };
    unsigned paired = 0, there = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct oracle o = { .possible = false };
        struct folder f;
        bool used[MOST] = { false };

        draw(&f, exact);
        o.f = &f;
        memset(o.least, 0xff, sizeof o.least);
        suppose(&o, 0);
        assert_true(o.possible);
        (void)match_assign(f.messages, f.message_count, f.copies, f.copy_count, &rules);
        for (size_t m = 0; m < f.message_count; m++) {
            size_t alike = 0;

            for (size_t n = 0; n < f.message_count; n++)
                alike += f.messages[n].pair != MATCH_UNPAIRED && are_alike(&f.messages[m], &f.messages[n]);
            assert_true(alike <= o.least[m]); /* none is lost */
            if (exact)
                assert_int_equal(alike, o.least[m]); /* and none is doubled that need not be */
            if (f.messages[m].pair == MATCH_UNPAIRED)
                continue;
            paired++;
            assert_true(f.messages[m].pair < f.copy_count);
            assert_false(used[f.messages[m].pair]);
            used[f.messages[m].pair] = true;
            assert_true(may_be_of(&f, f.messages[m].pair, m));
        }
        there += f.copy_count;
    }
    /* It is no rule that pairs nothing. */
    assert_true(paired > there / 2);
}

static void exact_sizes_lose_none_and_double_none_in_vain(void **state)
{
    (void)state;
    check(true);
}

static void estimated_sizes_lose_none(void **state)
{
    (void)state;
    check(false);
}

/* A target whose estimates follow a rule is known after some messages: then all are told apart. */
static void estimates_by_a_rule_are_as_good_as_exact_sizes(void **state)
{
    struct match_fidelity fidelity = { .rewrites = true };
    struct match_rules rules = { .fidelity = &fidelity, .dates_kept = true, .sizes_exact = false, .named = true };

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        match_fidelity_size(&fidelity, 500 + 1234 * i, (500 + 1234 * i) * 51 / 50 + 137, false);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct folder f;
        bool sizes_are_far = true;

        draw(&f, true);
        for (size_t c = 0; c < f.copy_count; c++)
            f.copies[c].bytes = f.copies[c].bytes * 51 / 50 + 137;
        for (size_t m = 1; m < f.message_count; m++)
            sizes_are_far &= f.messages[m].bytes != 1010;
        (void)match_assign(f.messages, f.message_count, f.copies, f.copy_count, &rules);
        for (size_t m = 0; m < f.message_count && sizes_are_far; m++)
            if (f.messages[m].pair != MATCH_UNPAIRED)
                assert_int_equal(f.copies[f.messages[m].pair].bytes, f.messages[m].bytes * 51 / 50 + 137);
    }
}

/* The target refused the date, and gave the message its own. */
static void what_was_sent_without_a_date_is_known_by_its_name(void **state)
{
    struct match_fidelity fidelity = { .rewrites = false };
    struct match_rules rules = { .fidelity = &fidelity, .dates_kept = true, .sizes_exact = true, .named = true };
    struct match_message messages[] = { { .seconds = INT64_MIN, .bytes = 1000, .digest = 7, .uid = 1 },
                                        { .seconds = 5, .bytes = 1000, .digest = 7, .uid = 2 },
                                        { .seconds = 6, .bytes = 2000, .digest = 7, .uid = 3 } };
    const struct match_copy copies[] = { { 5, 1000, false }, { 900, 1000, false }, { 901, 2000, false } };

    (void)state;
    (void)match_assign(messages, 3, copies, 3, &rules);
    assert_int_equal(messages[0].pair, 1);
    assert_int_equal(messages[1].pair, 0);
    assert_int_equal(messages[2].pair, MATCH_UNPAIRED); /* it has a date, and this is another */
    rules.named = false;
    (void)match_assign(messages, 3, copies, 3, &rules);
    assert_int_equal(messages[0].pair, MATCH_UNPAIRED);
}

/* Its answer was lost, and nothing has shown yet whether the target keeps dates. */
static void what_was_sent_is_known_by_its_name_and_size_while_dates_are_not(void **state)
{
    struct match_fidelity fidelity = { .rewrites = true };
    struct match_rules rules = { .fidelity = &fidelity, .dates_kept = true, .dates_open = true, .named = true };
    const struct match_copy copies[] = { { 900, 1040, false }, { 901, 1050, true } };

    (void)state;
    for (unsigned named = 0; named < 2; named++) {
        struct match_message messages[] = { { .seconds = 5, .bytes = 1000, .digest = 7, .uid = 1 },
                                            { .seconds = 6, .bytes = 1000, .digest = 7, .sent = true, .uid = 2 } };

        rules.named = named;
        (void)match_assign(messages, 2, copies, 2, &rules);
        assert_int_equal(messages[0].pair, MATCH_UNPAIRED); /* it was never sent */
        assert_int_equal(messages[1].pair, named ? 1 : MATCH_UNPAIRED);
        messages[1].bytes = 1050; /* the very size is as good as a name */
        (void)match_assign(messages, 2, copies, 2, &rules);
        assert_int_equal(messages[1].pair, 1);
        rules.dates_open = false;
        (void)match_assign(messages, 2, copies, 2, &rules);
        assert_int_equal(messages[1].pair, MATCH_UNPAIRED);
        rules.dates_open = true;
    }
}

static void many_equal_messages_take_no_time(void **state)
{
    struct match_fidelity fidelity = { .rewrites = false };
    struct match_rules rules = { .fidelity = &fidelity, .dates_kept = true, .sizes_exact = true, .named = false };
    size_t count = 100000, paired = 0;
    struct match_message *messages = calloc(count, sizeof *messages);
    struct match_copy *copies = calloc(count, sizeof *copies);

    (void)state;
    for (unsigned rewrites = 0; rewrites < 2; rewrites++) {
        fidelity.rewrites = rewrites;
        rules.sizes_exact = !rewrites;
        paired = 0;
        for (size_t i = 0; i < count; i++) {
            messages[i] =
                (struct match_message){ .seconds = 1, .bytes = 1000 + i / 1000, .digest = 7, .uid = (uint32_t)i + 1 };
            copies[i] = (struct match_copy){ .seconds = 1, .bytes = 1000 + i / 1000 };
        }
        (void)match_assign(messages, count, copies, count, &rules);
        for (size_t i = 0; i < count; i++)
            paired += messages[i].pair != MATCH_UNPAIRED;
        assert_int_equal(paired, count);
    }
    free(messages);
    free(copies);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_sizes_lose_none_and_double_none_in_vain),
        cmocka_unit_test(estimated_sizes_lose_none),
        cmocka_unit_test(estimates_by_a_rule_are_as_good_as_exact_sizes),
        cmocka_unit_test(what_was_sent_without_a_date_is_known_by_its_name),
        cmocka_unit_test(what_was_sent_is_known_by_its_name_and_size_while_dates_are_not),
        cmocka_unit_test(many_equal_messages_take_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
