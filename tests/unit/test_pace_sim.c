/* test: pace
 * The controller against a server with a hidden budget, eight simulated hours a run
 * (tests/unit/test_pace_model.h). Bounds are of counts and shares on the virtual clock. With
 * PACE_SEEDS=N in the environment the tables are printed for N seeds, and nothing is required.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/test_pace_model.h"

#define COMMON  .lanes = 100, .limit = 20, .answer_ms = 150
#define FIXED   .use_min = 95, .replies_min_most = 0.5, .replies_before_most = 100, .jain_min = 0.95, .t80_s_most = 60
#define CHANGED FIXED, .use_min = 88

/* The later initializer of a member counts. */
#pragma GCC diagnostic ignored "-Woverride-init"
static const struct scenario scenarios[] = {
    { .name = "A fixed limit, slower before the cut", .procs = 1, .warns = true, COMMON, FIXED, .connects_most = 25 },
    { .name = "B limit halved at 3 h, restored at 5 h", .procs = 1, .warns = true, .halved = true, COMMON, CHANGED },
    { .name = "C 0.1 a mailbox",
      .procs = 1,
      .warns = true,
      .lane_limit = 0.1,
      .lanes_limited = 100,
      COMMON,
      FIXED,
      /* The tenant's limit is met first; then some learn for the others. */
      .replies_before_most = 150 },
    { .name = "D four processes, static shares", .procs = 4, .warns = true, COMMON, FIXED },
    { .name = "D' four processes, ledger", .procs = 4, .warns = true, .ledger = true, COMMON, FIXED },
    { .name = "E no limit, knee at 40",
      .procs = 1,
      .lanes = 100,
      .knee = 40,
      .answer_ms = 800,
      .jain_min = 0.95,
      .rate_min = 45.5 },
    { .name = "F as A, without warning", .procs = 1, COMMON, FIXED },
    { .name = "G as B, without warning", .procs = 1, .halved = true, COMMON, CHANGED },
    { .name = "H overlong hints, then BYE",
      .procs = 1,
      .warns = true,
      .long_hints = true,
      .hangs_up = true,
      COMMON,
      FIXED,
      .connects_most = 25 },
    { .name = "I ten mailboxes with 0.05",
      .procs = 1,
      .warns = true,
      .lane_limit = 0.05,
      .lanes_limited = 10,
      COMMON,
      FIXED },
    { .name = "J open until asked", .procs = 1, .mode = PACE_MODE_OPEN, COMMON, FIXED, .replies_before_most = 110 },
    { .name = "L all connections lost twice",
      .procs = 1,
      .warns = true,
      .storm = true,
      COMMON,
      FIXED,
      .connects_most = 25 },
    { .name = "N as A, on a machine with other work", .procs = 1, .warns = true, .busy = true, COMMON, FIXED },
    { .name = "P the second ten minutes",
      .procs = 1,
      .lanes = 64,
      .limit = 40,
      .burst = 1200,
      .cutoff = 120,
      .slow_ms = 400,
      .answer_ms = 80,
      .settle_ms = 600000,
      .end_ms = 1200000,
      FIXED },
    { .name = "Q as P, without warning, other work",
      .procs = 1,
      .lanes = 64,
      .limit = 40,
      .burst = 1200,
      .cutoff = 120,
      .busy = true,
      .answer_ms = 80,
      .settle_ms = 600000,
      .end_ms = 1200000,
      FIXED,
      /* The cut that ends the guess comes in these ten minutes. */
      .replies_min_most = 1 },
    { .name = "M one of four processes dies", .procs = 4, .warns = true, .ledger = true, .dies = true, COMMON, FIXED },
};

/* Nothing here tells of a limit, but for the resets above 40/s: the server takes what its
 * mailboxes, one connection each, can send. Use is over 90/s (720/s), a little less than that; 80 %
 * counts from the last loss on, or from the start. */
#define LOSSY                                                                                                          \
    .procs = 1, .lanes = 8, .answer_ms = 80, .alike = true, .reach = 90, .settle_ms = 180000, .end_ms = 600000,        \
    .use_min = 95, .jain_min = 0.95
#define FROM_START(s) .from_start = true, .t80_s_most = s
#define RESETS        .resets_above = 40, .reach = 40, .settle_ms = 1, .end_ms = 2 * HOUR_MS, .use_min = 80
static const struct scenario lossy[] = {
    { .name = "R1 one answer each lost at first", LOSSY, .lost_first = 1, .t80_s_most = 60 },
    { .name = "R2 two answers each lost at first", LOSSY, .lost_first = 2, .t80_s_most = 60 },
    { .name = "R3 half of the first 30 s lost", LOSSY, .lost_share = 0.5, .lost_share_ms = 30000, .t80_s_most = 60 },
    { .name = "R4 one of 10,000 answers lost", LOSSY, .lost_share = 0.0001, .end_ms = 2 * HOUR_MS },
    { .name = "R5 one of 1,000 answers lost", LOSSY, .lost_share = 0.001, .end_ms = 2 * HOUR_MS, .use_min = 90 },
    { .name = "R6 all lost every 10 min", LOSSY, .lost_every_ms = 600000, .end_ms = 3 * HOUR_MS },
    { .name = "R7 nothing answers for 3 min", LOSSY, .down_ms = 180000, .t80_s_most = 90, .settle_ms = 330000 },
    { .name = "R8 nothing answers for 15 min",
      LOSSY,
      .down_ms = 900000,
      .t80_s_most = 90,
      .settle_ms = 1050000,
      .end_ms = 1800000 },
    { .name = "R9 resets above 40/s", LOSSY, RESETS, .resets_most = 100 },
    { .name = "R10 late for 20 s at first", LOSSY, .late_ms = 20000, .t80_s_most = 90 },
    { .name = "R11 late for 2 min at first", LOSSY, .late_ms = 120000, .t80_s_most = 180 },
    { .name = "R12 a machine with other work", LOSSY, .busy = true, .use_min = 85 },
    { .name = "R13 as R3, 64 mailboxes",
      LOSSY,
      .lanes = 64,
      .lost_share = 0.5,
      .lost_share_ms = 30000,
      .t80_s_most = 90,
      .reach = 720 },
    { .name = "R14 as R9, 64 mailboxes", LOSSY, RESETS, .lanes = 64, .resets_most = 100 },
    /* Logins work all the while: what is lost teaches no long waits. */
    { .name = "R15 as R2, from the start", LOSSY, .lost_first = 2, FROM_START(60) },
    { .name = "R16 four each, from the start", LOSSY, .lost_first = 4, FROM_START(90) },
    { .name = "R17 as R15, 64 mailboxes", LOSSY, .lanes = 64, .lost_first = 2, .reach = 720, FROM_START(120) },
    { .name = "R18 as R16, one mailbox", LOSSY, .lanes = 1, .lost_first = 4, .reach = 11, FROM_START(75) },
    { .name = "R19 all messages lost for 15 min",
      LOSSY,
      .lost_share = 1,
      .lost_share_ms = 900000,
      .t80_s_most = 90,
      .settle_ms = 1080000,
      .end_ms = 1800000 },
};

/* Minutes 3 to 15. Two connections a mailbox; "in step": messages of one size. */
#define OWN            .procs = 1, .answer_ms = 80, .deep = 2, .settle_ms = 180000, .end_ms = 900000, .use_min = 85
#define EQUAL(n, r, b) .lanes = n, .lanes_limited = n, .lane_limit = r, .lane_burst = b, .lane_cutoff = (b) / 4.0
/* What twelve seeds reach, with a little room: use in %, throttle replies before minute 3 (S18:
 * hour 2), and a minute from then on. */
#define REACHED(use, before, minute) .use_min = use, .replies_before_most = before, .replies_min_most = minute
#define FOR_ALL(r)                   .limit = r, .burst = 1200, .cutoff = 120
static const struct scenario own_budgets[] = {
    { .name = "S1 16 of 8/s, burst 24", OWN, EQUAL(16, 8, 24), REACHED(93, 75, 1) },
    { .name = "S2 16 of 8/s, burst 24, in step", OWN, EQUAL(16, 8, 24), .alike = true, REACHED(95, 82, 1) },
    { .name = "S3 16 of 8/s, burst 80", OWN, EQUAL(16, 8, 80), REACHED(93, 72, 1) },
    { .name = "S4 16 of 8/s, burst 400", OWN, EQUAL(16, 8, 400), REACHED(93, 68, 9) },
    { .name = "S5 4 of 8/s, burst 24, in step", OWN, EQUAL(4, 8, 24), .alike = true, REACHED(93, 20, 1) },
    { .name = "S6 4 of 8/s, burst 100", OWN, EQUAL(4, 8, 100), REACHED(87, 20, 3) },
    { .name = "S7 16 of 0.5/s, burst 60", OWN, EQUAL(16, 0.5, 60), REACHED(88, 64, 5) },
    { .name = "S8 64 of 8/s, burst 24", OWN, EQUAL(64, 8, 24), REACHED(92, 80, 6) },
    { .name = "S9 200 of 4/s, burst 24", OWN, EQUAL(200, 4, 24), .deep = 1, REACHED(91, 230, 28) },
    { .name = "S10 200 of 1/s, burst 60", OWN, EQUAL(200, 1, 60), .deep = 1, REACHED(95, 60, 6) },
    { .name = "S11 16 of 4 to 12/s, burst 24", OWN, EQUAL(16, 8, 24), .unequal = true, REACHED(92, 68, 1) },
    { .name = "S12 64 of 2 to 6/s, burst 60", OWN, EQUAL(64, 4, 60), .unequal = true, REACHED(89, 185, 18) },
    { .name = "S13 16 of 8/s, half begin late", OWN, EQUAL(16, 8, 24), .idle = 8, REACHED(93, 64, 1) },
    { .name = "S14 16 of 8/s and 96 for all", OWN, EQUAL(16, 8, 24), .limit = 96, .burst = 500, REACHED(84, 60, 3) },
    { .name = "S15 16 of 8/s and 40 for all", OWN, EQUAL(16, 8, 24), FOR_ALL(40), REACHED(96, 55, 3) },
    { .name = "S16 64 of 4/s and 100 for all", OWN, EQUAL(64, 4, 60), FOR_ALL(100), REACHED(86, 215, 9) },
    { .name = "S17 64 of 2 to 6/s, 200 for all",
      OWN,
      EQUAL(64, 4, 60),
      FOR_ALL(200),
      .unequal = true,
      REACHED(85, 250, 14) },
    { .name = "S18 40 of 100 have 0.1/s, 20 for all",
      .procs = 1,
      .warns = true,
      COMMON,
      .lane_limit = 0.1,
      .lanes_limited = 40,
      REACHED(98, 150, 0.3) },
    { .name = "S19 40 of 100 have 0.5/s, others 5/s",
      OWN,
      .lanes = 100,
      .deep = 1,
      .lane_limit = 0.5,
      .lanes_limited = 40,
      .lane_rest = 5,
      .lane_burst = 60,
      REACHED(94, 185, 13) },
    /* The tenant's alone, which must not be taken for the mailboxes' own. */
    { .name = "S20 64, 40 for all, in step",
      OWN,
      .lanes = 64,
      FOR_ALL(40),
      .alike = true,
      .replies_before_most = 60,
      .replies_min_most = 1.5,
      .jain_min = 0.95 },
    { .name = "S21 16, 128 for all, burst 384",
      OWN,
      .lanes = 16,
      .limit = 128,
      .burst = 384,
      .cutoff = 96,
      REACHED(78, 85, 2) },
    /* Those that have more, or begin when others have learnt, are found. */
    { .name = "S22 80 of 100 have 0.1/s, 20 for all",
      .procs = 1,
      .warns = true,
      COMMON,
      .lane_limit = 0.1,
      .lanes_limited = 80,
      REACHED(97, 260, 0.5) },
    { .name = "S23 128 of 1/s, half begin late", OWN, EQUAL(128, 1, 60), .idle = 64, REACHED(91, 95, 5) },
};

static void run(const struct scenario *s)
{
    const char *more = getenv("PACE_SEEDS");
    uint64_t seeds = more ? strtoul(more, NULL, 10) : 3;

    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct result r = sim_run(s, seed);

        printf("%-40s %4u %6.1f %6.2f %6u %6.0f %6.3f %6.1f %7u %6u %6u\n", s->name, (unsigned)seed, r.use,
               r.replies_min, (unsigned)r.replies_before, r.t80_s, r.jain, r.rate, (unsigned)r.connects_most,
               (unsigned)r.events, (unsigned)r.resets);
        if (more)
            continue;
        assert_true(r.use >= s->use_min);
        assert_true(s->replies_min_most == 0 || r.replies_min <= s->replies_min_most);
        assert_true(s->replies_before_most == 0 || r.replies_before <= s->replies_before_most);
        assert_true(r.jain >= s->jain_min);
        assert_true(s->t80_s_most == 0 || (r.t80_s > 0 && r.t80_s <= s->t80_s_most));
        assert_true(r.rate >= s->rate_min);
        assert_true(s->connects_most == 0 || r.connects_most <= s->connects_most);
        assert_true(s->resets_most == 0 || r.resets <= s->resets_most);
    }
}

static void table(const char *title, const struct scenario *list, size_t count)
{
    printf("%-40s %4s %6s %6s %6s %6s %6s %6s %7s %6s %6s\n", title, "seed", "use%", "thr/m", "before", "t80 s", "jain",
           "cost/s", "conn/10", "events", "resets");
    for (size_t i = 0; i < count; i++)
        run(&list[i]);
}

static void eight_hours_of_every_scenario(void **state)
{
    (void)state;
    table("scenario", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}

static void what_tells_nothing_of_a_limit_does_not_end_the_start(void **state)
{
    (void)state;
    table("lossy", lossy, sizeof(lossy) / sizeof(lossy[0]));
}

static void mailboxes_with_budgets_of_their_own_learn_them(void **state)
{
    (void)state;
    table("own budgets", own_budgets, sizeof(own_budgets) / sizeof(own_budgets[0]));
}

/* More than a client that never waits takes from a server whose answers get slow under load. */
static void unlimited_servers_give_at_least_what_a_naive_client_gets(void **state)
{
    struct scenario s = { .name = "E, paced", .procs = 1, .lanes = 100, .knee = 40, .answer_ms = 800 };

    (void)state;
    for (uint64_t seed = 4; seed <= 6; seed++) {
        double paced, naive;

        s.naive = false;
        paced = sim_run(&s, seed).rate;
        s.naive = true;
        naive = sim_run(&s, seed).rate;
        printf("no limit, knee at 40, seed %u: paced %.1f naive %.1f\n", (unsigned)seed, paced, naive);
        assert_true(paced >= naive);
    }
}

/* design.md: 80 % of the hidden limit within 60 s, while no throttle was seen. */
static void hidden_limits_are_reached_within_a_minute(void **state)
{
    static const double limits[] = { 1, 2, 5, 10, 20, 50, 100, 200, 400 };

    (void)state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        for (int warns = 0; warns <= 1; warns++) {
            struct scenario s = { .name = "start",
                                  .procs = 1,
                                  .lanes = 120,
                                  .limit = limits[i],
                                  .warns = warns,
                                  .burst = 100 * limits[i],
                                  .answer_ms = 150,
                                  .end_ms = 600000 };
            struct result r = sim_run(&s, 7 + i);

            printf("hidden limit %5.0f, %s: 80 %% after %2.0f s, %u throttle replies in 10 min\n", limits[i],
                   warns ? "warns   " : "no sign ", r.t80_s, (unsigned)r.replies_before);
            assert_true(r.t80_s > 0 && r.t80_s <= 60);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_tells_nothing_of_a_limit_does_not_end_the_start),
        cmocka_unit_test(mailboxes_with_budgets_of_their_own_learn_them),
        cmocka_unit_test(eight_hours_of_every_scenario),
        cmocka_unit_test(unlimited_servers_give_at_least_what_a_naive_client_gets),
        cmocka_unit_test(hidden_limits_are_reached_within_a_minute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
