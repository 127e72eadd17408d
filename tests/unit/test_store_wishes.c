/* test: store */
#include "store/wishes.h"

#include "io/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/mailhaul-wishes-XXXXXX";

static int enter(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int leave(void **state)
{
    char *remove = mem_format("rm -rf %s", folder);
    int code = system(remove);

    (void)state;
    free(remove);
    return code;
}

static void put(const char *text)
{
    char *path = mem_format("%s/wishes", folder);
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    free(path);
}

static void is_wish(const char *address, enum wish expected)
{
    struct wishes w;
    struct err e;

    if (!wishes_read(folder, &w, &e))
        fail_msg("%s", e.server_text);
    assert_int_equal(wishes_of(&w, slice_cstr(address)), expected);
    wishes_free(&w);
}

static void they_are_kept_and_taken_back(void **state)
{
    struct wishes_stamp stamp = { 0 };
    enum wish before;
    struct err e;

    (void)state;
    assert_false(wishes_changed(folder, &stamp));
    is_wish("ann@x.org", WISH_NONE);
    assert_true(wishes_set(folder, "Ann@X.org", WISH_PAUSED, &before, &e));
    assert_int_equal(before, WISH_NONE);
    assert_true(wishes_changed(folder, &stamp));
    assert_false(wishes_changed(folder, &stamp));
    assert_true(wishes_set(folder, "bob@x.org", WISH_DROPPED, &before, &e));
    is_wish("ann@x.org", WISH_PAUSED);
    is_wish("BOB@x.org", WISH_DROPPED);
    is_wish("bo@x.org", WISH_NONE);
    assert_true(wishes_changed(folder, &stamp));
    assert_true(wishes_set(folder, "ann@x.org", WISH_NONE, &before, &e));
    assert_int_equal(before, WISH_PAUSED);
    is_wish("ann@x.org", WISH_NONE);
    is_wish("bob@x.org", WISH_DROPPED);
}

static void what_is_not_ours_is_refused(void **state)
{
    static const char *const texts[] = { "", "paused ann@x.org\n", "mailhaul wishes 2\n", "mailhaul wishes 1\npaused\n",
                                         "mailhaul wishes 1\nshot ann@x.org\n" };
    enum wish before;
    struct wishes w;
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put(texts[i]);
        assert_false(wishes_read(folder, &w, &e));
        assert_non_null(strstr(e.server_text, "expected \"paused ADDRESS\""));
        wishes_free(&w);
        assert_false(wishes_set(folder, "ann@x.org", WISH_PAUSED, &before, &e)); /* and not written over */
    }
    put("mailhaul wishes 1\r\npaused  ann@x.org \r\n\r\n"); /* an editor was here */
    is_wish("ann@x.org", WISH_PAUSED);
    assert_false(wishes_set("/no/such/folder", "ann@x.org", WISH_PAUSED, &before, &e));
}

static void *set_some(void *context)
{
    enum wish before;
    struct err e;
    char address[32];

    for (unsigned i = 0; i < 20; i++) {
        snprintf(address, sizeof address, "u%u.%u@x.org", *(unsigned *)context, i);
        if (!wishes_set(folder, address, WISH_PAUSED, &before, &e))
            return context;
    }
    return NULL;
}

static void several_writers_lose_nothing(void **state)
{
    pthread_t threads[4];
    unsigned numbers[4];
    struct wishes w;
    struct err e;
    void *failed;

    (void)state;
    put("mailhaul wishes 1\n");
    for (unsigned i = 0; i < 4; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, set_some, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_true(wishes_read(folder, &w, &e));
    assert_int_equal(w.count, 80);
    wishes_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_kept_and_taken_back),
        cmocka_unit_test(what_is_not_ours_is_refused),
        cmocka_unit_test(several_writers_lose_nothing),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
