/* test: message */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "engine/message/follow_identity.h"

static struct message_record row(uint32_t uid, uint64_t source_id, int digest, int key, uint64_t bytes, int64_t seconds)
{
    struct message_record m = { .uid = uid,
                                .state = MESSAGE_UPLOADED,
                                .source_id = source_id,
                                .listed_bytes = bytes,
                                .date_known = seconds != 0,
                                .date_seconds = seconds };

    memset(m.digest, digest, sizeof m.digest);
    memset(m.header_key, key, sizeof m.header_key);
    return m;
}

/* Three that are gone: 1 and 2 of folder 5 and 1 of folder 3; `seen` is there. */
static unsigned elsewhere(struct message_record seen)
{
    struct follow_identity *f = follow_identity_create();
    struct message_record one = row(1, 77, 1, 11, 100, 1000), two = row(2, 0, 2, 12, 200, 2000),
                          three = row(1, 0, 3, 13, 300, 3000);
    unsigned bits;

    follow_identity_add(f, 5, &one);
    follow_identity_add(f, 5, &two);
    follow_identity_add(f, 3, &three);
    follow_identity_see(f, &seen);
    bits = (follow_identity_is_elsewhere(f, 5, 1) ? 1u : 0) | (follow_identity_is_elsewhere(f, 5, 2) ? 2u : 0) |
           (follow_identity_is_elsewhere(f, 3, 1) ? 4u : 0);
    assert_false(follow_identity_is_elsewhere(f, 4, 1));
    assert_false(follow_identity_is_elsewhere(f, 5, 9));
    follow_identity_destroy(&f);
    return bits;
}

static void the_best_that_is_known_decides(void **state)
{
    assert_int_equal(elsewhere(row(9, 77, 99, 99, 1, 1)), 1);      /* the source's number, whatever else */
    assert_int_equal(elsewhere(row(9, 78, 99, 11, 100, 1000)), 0); /* another content: its header is no proof */
    assert_int_equal(elsewhere(row(9, 0, 2, 99, 1, 1)), 2);
    assert_int_equal(elsewhere(row(9, 0, 0, 13, 1, 1)), 4);     /* not fetched: by its header */
    assert_int_equal(elsewhere(row(9, 0, 0, 0, 200, 2000)), 2); /* by its size and date */
    assert_int_equal(elsewhere(row(9, 0, 0, 0, 200, 2001)), 0);
    assert_int_equal(elsewhere(row(9, 0, 0, 0, 200, 0)), 0);
}

static void equal_messages_are_all_elsewhere(void **state)
{
    struct follow_identity *f = follow_identity_create();
    struct message_record m = row(1, 0, 1, 11, 100, 1000), seen = row(50, 0, 1, 11, 100, 1000);

    for (uint32_t uid = 1; uid <= 300; uid++) {
        m.uid = uid;
        follow_identity_add(f, 1 + uid % 3, &m);
    }
    assert_false(follow_identity_is_elsewhere(f, 2, 1));
    follow_identity_see(f, &seen);
    for (uint32_t uid = 1; uid <= 300; uid++)
        assert_true(follow_identity_is_elsewhere(f, 1 + uid % 3, uid));
    follow_identity_destroy(&f);
    assert_null(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_that_is_known_decides),
        cmocka_unit_test(equal_messages_are_all_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
