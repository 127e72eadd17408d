/* test: bench */
#include "engine/bench/corpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const folders[] = { "INBOX", "Sent", "Archive/2020", "Empty" };

static uint64_t bytes_of(unsigned user, unsigned folder, uint32_t uid)
{
    return 1000 + (uint64_t)user * 100 + folder * 10 + uid % 7 * 30000;
}

/* The same mail, listed from the front or from the back, each message once or twice. */
static struct corpus_sieve *list(uint64_t seed, unsigned user, unsigned messages, bool backwards, bool twice)
{
    char name[16] = { 'u', (char)('0' + user) };
    struct corpus_sieve *s = corpus_sieve_create(seed, slice_cstr(name), 400);

    for (unsigned f = 0; f < 4; f++) {
        unsigned folder = backwards ? 3 - f : f;

        corpus_sieve_folder(s, slice_cstr(folders[folder]));
        for (uint32_t i = 1; folder < 3 && i <= messages; i++) {
            uint32_t uid = backwards ? messages + 1 - i : i;

            for (int k = 0; k <= twice; k++)
                corpus_sieve_row(s, uid, bytes_of(user, folder, uid));
        }
    }
    return s;
}

static void draw(struct corpus *c, uint64_t seed, unsigned messages, bool backwards, bool twice)
{
    *c = (struct corpus){ 0 };
    for (unsigned i = 0; i < 3; i++) {
        unsigned user = backwards ? 2 - i : i;
        struct corpus_sieve *s = list(seed, user, messages, backwards, twice);

        assert_true(corpus_sieve_memory(s) < (2 * 400 + CORPUS_BLOCK) * 2 * 32 + 4000);
        corpus_keep(c, &s, user);
        assert_null(s);
    }
    corpus_sort(c);
}

static bool equal(const struct corpus *a, const struct corpus *b)
{
    if (a->count != b->count)
        return false;
    for (unsigned i = 0; i < a->count; i++) {
        const struct corpus_piece *x = &a->pieces[i], *y = &b->pieces[i];

        if (x->user != y->user || strcmp(x->folder, y->folder) != 0 || x->count != y->count)
            return false;
        for (unsigned k = 0; k < x->count; k++)
            if (x->messages[k].uid != y->messages[k].uid || x->messages[k].bytes != y->messages[k].bytes)
                return false;
    }
    return true;
}

static void test_the_seed_alone_decides(void **state)
{
    struct corpus a, b, c;

    draw(&a, 7, 5000, false, false);
    draw(&b, 7, 5000, true, true);
    draw(&c, 8, 5000, false, false);
    assert_true(a.count > 3);
    assert_true(equal(&a, &b));
    assert_false(equal(&a, &c));
    corpus_deinit(&a);
    corpus_deinit(&b);
    corpus_deinit(&c);
}

static void test_all_of_a_small_mailbox(void **state)
{
    struct corpus c;
    struct corpus_shape shape;
    unsigned seen = 0;

    draw(&c, 7, 100, true, true);
    corpus_shape_of(c.pieces, c.count, &shape);
    assert_int_equal(shape.messages, 3 * 3 * 100);
    assert_int_equal(shape.users, 3);
    assert_int_equal(shape.folders, 9);
    assert_int_equal(c.found.folders, 12);
    for (unsigned i = 0; i < c.count; i++)
        for (unsigned k = 0; k < c.pieces[i].count; k++, seen++) {
            assert_true(c.pieces[i].count <= CORPUS_BLOCK);
            assert_true(k == 0 || c.pieces[i].messages[k].uid > c.pieces[i].messages[k - 1].uid);
        }
    assert_int_equal(seen, 900);
    corpus_deinit(&c);
}

static void test_what_is_taken(void **state)
{
    struct corpus c;
    struct corpus_shape shape;
    unsigned n;

    draw(&c, 7, 5000, false, false);
    assert_int_equal(corpus_take(&c, 0, 0, 0), c.count);
    assert_int_equal(corpus_take(&c, 0, 1, 0), 1);
    assert_int_equal(corpus_take(&c, c.count, 1, 0), 0);
    n = corpus_take(&c, 0, 0, 500);
    corpus_shape_of(c.pieces, n, &shape);
    assert_true(shape.messages <= 500 && shape.messages > 500 - CORPUS_BLOCK);
    assert_true(shape.users > 1 && shape.folders > 1);
    n = corpus_take(&c, 1, 30000000, 0);
    corpus_shape_of(c.pieces + 1, n, &shape);
    assert_true(n > 1 && shape.bytes <= 30000000);
    corpus_deinit(&c);
}

/* The draw is spread: of 3 accounts of one size each has about a third, of the sizes each about its share. */
static void test_the_draw_is_spread(void **state)
{
    unsigned of_user[3] = { 0 };

    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct corpus c;

        draw(&c, seed, 2000, false, false);
        for (unsigned i = 0; i < 9; i++)
            of_user[c.pieces[i].user]++;
        corpus_deinit(&c);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(of_user[i], 60, 120);
}

static void test_a_folder_that_broke_off(void **state)
{
    struct corpus_sieve *s = corpus_sieve_create(1, SLICE("u"), 100);
    struct corpus c = { 0 };

    corpus_sieve_folder(s, SLICE("A"));
    corpus_sieve_row(s, 1, 10);
    corpus_sieve_folder(s, SLICE("B"));
    corpus_sieve_row(s, 1, 10);
    corpus_sieve_row(s, 2, 10);
    corpus_sieve_void(s);
    corpus_keep(&c, &s, 0);
    assert_int_equal(c.count, 1);
    assert_string_equal(c.pieces[0].folder, "A");
    assert_int_equal(c.found.messages, 1);
    assert_int_equal(c.found.folders, 1);
    corpus_deinit(&c);
}

static void test_classes(void **state)
{
    assert_int_equal(corpus_class(0), 0);
    assert_int_equal(corpus_class(9999), 0);
    assert_int_equal(corpus_class(10000), 1);
    assert_int_equal(corpus_class(UINT64_MAX), CORPUS_CLASSES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_seed_alone_decides),  cmocka_unit_test(test_all_of_a_small_mailbox),
        cmocka_unit_test(test_what_is_taken),           cmocka_unit_test(test_the_draw_is_spread),
        cmocka_unit_test(test_a_folder_that_broke_off), cmocka_unit_test(test_classes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
