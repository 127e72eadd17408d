/* test: message */
#include "engine/message/assembly.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* What a server answers to one part; text NULL: NIL, or nothing. */
struct part {
    const char *text;
    uint64_t origin;
};

/* Plays the parts until there is an answer other than "more". */
static enum assembly_answer play(struct assembly *a, const struct part *parts, unsigned count)
{
    enum assembly_answer answer = ASSEMBLY_MORE;

    for (unsigned i = 0; i < count && answer == ASSEMBLY_MORE; i++) {
        struct slice text = slice_cstr(parts[i].text);

        if (parts[i].text) {
            if (assembly_part(a, text.size, parts[i].origin))
                for (size_t at = 0; at < text.size; at++)
                    assert_true(assembly_bytes(a, slice_of(text.data + at, 1)));
            assembly_part_ended(a, true, false);
        }
        answer = assembly_ended(a);
    }
    return answer;
}

static void a_header_is_a_message_only_with_its_text(void **state)
{
    static const struct {
        struct part parts[2];
        uint64_t listed;
        enum size_trust trust;
        enum assembly_answer answer;
    } rows[] = {
        { { { "A: b\r\n\r\n", 0 }, { "text", 0 } }, 12, SIZES_UNKNOWN, ASSEMBLY_WHOLE },
        { { { "A: b\r\n\r\n", 0 }, { NULL, 0 } }, 12, SIZES_EXACT, ASSEMBLY_TORN },
        { { { "A: b\r\n\r\n", 0 }, { NULL, 0 } }, 0, SIZES_ESTIMATES, ASSEMBLY_TORN },
        { { { "A: b\r\n\r\n", 0 }, { "", 0 } }, 12, SIZES_ESTIMATES, ASSEMBLY_TORN },
        { { { "A: b\r\n\r\n", 0 }, { "", 0 } }, 0, SIZES_UNKNOWN, ASSEMBLY_TORN },
        /* A message that is nothing but a header. */
        { { { "A: b\r\n\r\n", 0 }, { "", 0 } }, 8, SIZES_UNKNOWN, ASSEMBLY_WHOLE },
        { { { "A: b\r\n\r\n", 0 }, { "te", 0 } }, 12, SIZES_UNKNOWN, ASSEMBLY_TORN },
        { { { "A: b\r\n\r\n", 0 }, { "te", 0 } }, 12, SIZES_ESTIMATES, ASSEMBLY_WHOLE },
        { { { "A: b\r\n\r\n", 0 }, { "text", 0 } }, 0, SIZES_UNKNOWN, ASSEMBLY_WHOLE },
        { { { NULL, 0 }, { "text", 0 } }, 12, SIZES_ESTIMATES, ASSEMBLY_NOTHING },
        { { { "", 0 }, { "text", 0 } }, 4, SIZES_ESTIMATES, ASSEMBLY_NOTHING },
        /* A header that does not end would run into the text. */
        { { { "A: b\r\n", 0 }, { "text", 0 } }, 12, SIZES_ESTIMATES, ASSEMBLY_TORN },
        { { { "\r\n", 0 }, { "text", 0 } }, 6, SIZES_UNKNOWN, ASSEMBLY_WHOLE },
        { { { "A: b\n\n", 0 }, { "text", 0 } }, 10, SIZES_UNKNOWN, ASSEMBLY_WHOLE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct assembly a;

        assembly_init(&a, SESSION_BODY_HEADER, rows[i].listed, rows[i].trust);
        assert_int_equal(assembly_form(&a), SESSION_BODY_HEADER);
        assert_int_equal(play(&a, rows[i].parts, 2), rows[i].answer);
    }
}

static void parts_are_a_message_when_their_end_is_known(void **state)
{
    static const struct {
        struct part parts[4];
        unsigned count;
        uint64_t listed;
        enum size_trust trust;
        enum assembly_answer answer;
        uint64_t got;
    } rows[] = {
        { { { "A: b", 0 } }, 1, 4, SIZES_EXACT, ASSEMBLY_WHOLE, 4 },
        { { { "A: b", 0 } }, 1, 8, SIZES_EXACT, ASSEMBLY_MORE, 4 },
        { { { "A: b", 0 }, { "cdef", 4 } }, 2, 8, SIZES_UNKNOWN, ASSEMBLY_WHOLE, 8 },
        { { { "A: b", 0 }, { "", 4 } }, 2, 8, SIZES_UNKNOWN, ASSEMBLY_TORN, 4 },
        { { { "A: b", 0 }, { "", 4 } }, 2, 8, SIZES_EXACT, ASSEMBLY_TORN, 4 },
        { { { "A: b", 0 }, { "", 4 } }, 2, 8, SIZES_ESTIMATES, ASSEMBLY_WHOLE, 4 },
        { { { "A: b", 0 }, { "", 4 } }, 2, 0, SIZES_UNKNOWN, ASSEMBLY_WHOLE, 4 },
        { { { "A: b", 0 }, { NULL, 0 } }, 2, 8, SIZES_ESTIMATES, ASSEMBLY_TORN, 4 },
        { { { "A: b", 0 }, { "x", 9 } }, 2, 8, SIZES_ESTIMATES, ASSEMBLY_TORN, 4 },
        /* Each part is answered by the whole, which is longer or shorter than listed (quirks B11, B16). */
        { { { "A: b", 0 }, { "A: b", 0 } }, 2, 8, SIZES_ESTIMATES, ASSEMBLY_WHOLE, 4 },
        { { { "A: b", 0 }, { "A: b", 0 } }, 2, 3, SIZES_UNKNOWN, ASSEMBLY_TORN, 4 },
        { { { "A: b", 0 }, { "A: bc", 0 } }, 2, 8, SIZES_ESTIMATES, ASSEMBLY_TORN, 4 },
        { { { NULL, 0 } }, 1, 8, SIZES_ESTIMATES, ASSEMBLY_NOTHING, 0 },
        { { { "", 0 } }, 1, 8, SIZES_ESTIMATES, ASSEMBLY_NOTHING, 0 },
        { { { "b", 3 } }, 1, 8, SIZES_ESTIMATES, ASSEMBLY_NOTHING, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct assembly a;

        assembly_init(&a, SESSION_BODY_PARTIAL, rows[i].listed, rows[i].trust);
        assert_int_equal(play(&a, rows[i].parts, rows[i].count), rows[i].answer);
        assert_int_equal(a.got, rows[i].got);
        assert_int_equal(a.part_from, rows[i].answer == ASSEMBLY_MORE ? a.got : a.part_from);
    }
}

static void a_part_that_is_answered_twice_counts_once(void **state)
{
    struct assembly a;

    (void)state;
    assembly_init(&a, SESSION_BODY_HEADER, 12, SIZES_UNKNOWN);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(assembly_part(&a, 8, 0), i == 0);
        assert_int_equal(assembly_bytes(&a, SLICE("A: b\r\n\r\n")), i == 0);
        assembly_part_ended(&a, true, false);
    }
    assert_int_equal(assembly_ended(&a), ASSEMBLY_MORE);
    assert_int_equal(a.got, 8);
    assert_int_equal(assembly_form(&a), SESSION_BODY_TEXT);
}

static void parts_without_an_end_are_given_up(void **state)
{
    struct assembly a;
    unsigned parts = 0;

    (void)state;
    assembly_init(&a, SESSION_BODY_PARTIAL, 0, SIZES_UNKNOWN);
    do {
        assert_true(assembly_part(&a, 1, a.got));
        assert_true(assembly_bytes(&a, SLICE("x")));
        assembly_part_ended(&a, true, false);
        assert_true(++parts < 1000000);
    } while (assembly_ended(&a) == ASSEMBLY_MORE);
    assert_int_equal(a.got, parts);
}

static void a_size_that_two_forms_agree_on_is_the_size(void **state)
{
    static const struct part parts[] = { { "A: b", 0 }, { "", 4 } };
    static const uint64_t others[] = { 4, 5 };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct assembly a;

        assembly_init(&a, SESSION_BODY_PARTIAL, 8, SIZES_EXACT);
        a.other_bytes = others[i];
        assert_int_equal(play(&a, parts, 2), i == 0 ? ASSEMBLY_WHOLE : ASSEMBLY_TORN);
    }
}

static void a_damaged_part_is_none(void **state)
{
    struct assembly a;

    (void)state;
    assembly_init(&a, SESSION_BODY_PARTIAL, 4, SIZES_EXACT);
    assert_true(assembly_part(&a, 4, 0));
    assert_true(assembly_bytes(&a, SLICE("A: b")));
    assembly_part_ended(&a, true, true);
    assert_int_equal(assembly_ended(&a), ASSEMBLY_TORN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_a_message_only_with_its_text),
        cmocka_unit_test(parts_are_a_message_when_their_end_is_known),
        cmocka_unit_test(a_part_that_is_answered_twice_counts_once),
        cmocka_unit_test(parts_without_an_end_are_given_up),
        cmocka_unit_test(a_size_that_two_forms_agree_on_is_the_size),
        cmocka_unit_test(a_damaged_part_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
