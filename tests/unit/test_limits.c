/* test: move
 * What is kept of the servers' ways from one run to the next.
 */
#include "engine/move/limits.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define WALL INT64_C(1795000000000)
#define DAY  INT64_C(86400000)

static void what_is_written_is_read(void **state)
{
    struct limits l = { .server = "contoso.onmicrosoft.com",
                        .told_ms = WALL,
                        .connections = 7,
                        .connections_ms = WALL - 5,
                        .throttle_replies = 9,
                        .phase = PACE_PHASE_PROBE,
                        .rate = 36.8,
                        .rate_hat = 40.0005,
                        .measured = 1e-9,
                        .gate_ms = WALL + 3,
                        .cuts = 2 };
    struct limits_user u = { 3, WALL, WALL + 60000 }, u_back;
    struct limits back;
    char line[LIMITS_LINE_BYTES];

    (void)state;
    assert_true(limits_decode(slice_cstr(limits_encode(&l, line)), &back));
    assert_string_equal(back.server, l.server);
    assert_int_equal(back.told_ms, l.told_ms);
    assert_int_equal(back.connections, 7);
    assert_int_equal(back.connections_ms, l.connections_ms);
    assert_int_equal(back.throttle_replies, 9);
    assert_int_equal(back.phase, PACE_PHASE_PROBE);
    assert_true(fabs(back.rate - 36.8) < 1e-9 && fabs(back.rate_hat - 40) < 2e-3);
    assert_true(back.measured == 0);
    assert_int_equal(back.gate_ms, l.gate_ms);
    assert_int_equal(back.cuts, 2);
    assert_true(limits_user_decode(slice_cstr(limits_user_encode(&u, line)), &u_back));
    assert_int_equal(u_back.connections, 3);
    assert_int_equal(u_back.connections_ms, WALL);
    assert_int_equal(u_back.hold_ms, WALL + 60000);
    /* A clock before 1970 and rates that are none are written as nothing. */
    l.told_ms = -1;
    l.rate = NAN;
    l.rate_hat = INFINITY;
    assert_true(limits_decode(slice_cstr(limits_encode(&l, line)), &back));
    assert_int_equal(back.told_ms, 0);
    assert_true(back.rate == 0 && back.rate_hat == 0);
}

static void anything_else_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "learnt1",
        "learnt2 1 2 3 4 1 0 0 0 0 0 host\n",
        "learnt1 1 2 3 4 1 0 0 0 0\n",
        "learnt1 1 2 3 4 5 0 0 0 0 0 host\n",             /* no such phase */
        "learnt1 1 4294967296 3 4 1 0 0 0 0 0 host\n",    /* too many connections */
        "learnt1 1 2 3 4 1 1000000000001 0 0 0 0 host\n", /* a rate beyond all bounds */
        "learnt1 9223372036854775808 2 3 4 1 0 0 0 0 0 host\n",
        "learnt1 x 2 3 4 1 0 0 0 0 0 host\n",
    };
    struct limits l = { .cuts = 77 };
    struct limits_user u = { .connections = 77 };
    char text[400] = "learnt1 1 2 3 4 1 0 0 0 0 0 ";

    (void)state;
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(limits_decode(slice_cstr(wrong[i]), &l));
        assert_false(limits_user_decode(slice_cstr(wrong[i]), &u));
    }
    memset(text + strlen(text), 'a', LIMITS_SERVER_BYTES);
    assert_false(limits_decode(slice_cstr(text), &l));
    assert_false(limits_user_decode(SLICE("learnt-user1 1 2 3 4\n"), &u));
    assert_false(limits_user_decode(SLICE("learnt-user1 1 2\n"), &u));
    assert_int_equal(l.cuts, 77);
    assert_int_equal(u.connections, 77);
}

static void names_tell_servers_and_users_apart(void **state)
{
    char a[LIMITS_NAME_BYTES], b[LIMITS_NAME_BYTES];

    (void)state;
    assert_string_equal(limits_name(LIMITS_PACE, "Contoso.COM", 0, a), limits_name(LIMITS_PACE, "contoso.com", 0, b));
    assert_string_not_equal(a, limits_name(LIMITS_PACE, "contoso.org", 0, b));
    assert_string_not_equal(limits_name(LIMITS_PACE_LANE, "contoso.com", 1, a),
                            limits_name(LIMITS_PACE_LANE, "contoso.com", 2, b));
    /* The longest ends whole. */
    limits_name("0123456789abcdef", "contoso.com", UINT32_MAX, a);
    assert_string_equal(a + strlen(a) - 11, ".4294967295");
}

static void connections_are_believed_for_a_week_and_of_that_server_alone(void **state)
{
    struct limits l = { .server = "imap.example.edu", .connections = 12, .connections_ms = WALL };

    (void)state;
    assert_int_equal(limits_connections(&l, "IMAP.example.edu", 64, WALL + DAY), 12);
    assert_int_equal(limits_connections(&l, "imap.example.edu", 8, WALL + DAY), 8);
    assert_int_equal(limits_connections(&l, "imap.example.edu", 64, WALL + 8 * DAY), 64);
    assert_int_equal(limits_connections(&l, "other.example.edu", 64, WALL + DAY), 64);
    l.connections = 0;
    assert_int_equal(limits_connections(&l, "imap.example.edu", 64, WALL), 64);
}

/* A refused size is kept whole, holds through a night, and is looked for again the next one. */
static void a_refused_size_is_kept_and_grows_old(void **state)
{
    static const char *const wrong[] = { "",
                                         "learnt-size1\n",
                                         "learnt-size1 5\n",
                                         "learnt-size1 5 6 7\n",
                                         "learnt-size1 -5 6\n",
                                         "learnt-size2 5 6\n",
                                         "learnt-size1 18446744073709551616 6\n" };
    struct limits_size size = { 36000001, WALL }, back = { 7, 7 };
    char line[LIMITS_LINE_BYTES];

    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(limits_size_decode(slice_cstr(wrong[i]), &back));
    assert_int_equal(back.refused_bytes, 7);
    assert_true(limits_size_decode(slice_cstr(limits_size_encode(&size, line)), &back));
    assert_int_equal(back.refused_bytes, size.refused_bytes);
    assert_int_equal(back.refused_ms, size.refused_ms);
    assert_true(limits_size_holds(&back, WALL));
    assert_true(limits_size_holds(&back, WALL + LIMITS_SIZE_OLD_MS - 1));
    assert_false(limits_size_holds(&back, WALL + LIMITS_SIZE_OLD_MS));
    assert_false(limits_size_holds(&back, WALL - 1));
    back.refused_bytes = 0;
    assert_false(limits_size_holds(&back, WALL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_size_is_kept_and_grows_old),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(names_tell_servers_and_users_apart),
        cmocka_unit_test(connections_are_believed_for_a_week_and_of_that_server_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
