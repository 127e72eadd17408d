/* test: base */
#include "io/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Held in a volatile so that the compiler does not see the impossible size. */
static volatile size_t impossible = SIZE_MAX / 2;

static void zero_too_much(void)
{
    free(mem_zero(impossible, 16));
}

static void resize_too_much(void)
{
    free(mem_resize(NULL, impossible, 16));
}

static void test_an_overflow_ends_the_process_with_70(void **state)
{
    static void (*const bodies[])(void) = { zero_too_much, resize_too_much };

    for (size_t i = 0; i < 2; i++) {
        int status;
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            close(STDERR_FILENO);
            bodies[i]();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 70);
    }
}

static void test_contents(void **state)
{
    char *zeros = mem_zero(3, 5), *text = mem_text("abc"), *line = mem_format("%d-%s", 7, text);

    for (size_t i = 0; i < 15; i++)
        assert_int_equal(zeros[i], 0);
    text = mem_resize(text, 100, 1);
    assert_string_equal(text, "abc");
    assert_string_equal(line, "7-abc");
    free(mem_alloc(0));
    free(mem_resize(NULL, 0, 8));
    free(line);
    free(text);
    free(zeros);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_overflow_ends_the_process_with_70),
        cmocka_unit_test(test_contents),
    };

    /* The address sanitizer would end the process itself, with another status. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return cmocka_run_group_tests(((struct CMUnitTest[]){ tests[1] }), NULL, NULL);
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
