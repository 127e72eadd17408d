/* test: base */
#include "io/base/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/mailhaul-test-XXXXXX";

static const char *at(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

/* errno of writing one byte, 0 when it went. */
static int written(const char *path, int flags)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600), error = errno;

    if (fd < 0)
        return error;
    error = write(fd, "x", 1) == 1 ? 0 : errno;
    close(fd);
    return error;
}

/* In a child, which cannot be let out again; the number of the first line that does not hold. */
#define HOLDS(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what))                                                                                                   \
            return __LINE__;                                                                                           \
    } while (0)

static int inside(void)
{
    const struct landlock_place places[] = { { at("state"), false },
                                             { at("page.html"), false },
                                             { NULL, false },
                                             { at("never-there"), false },
                                             { root, true } };
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int kept = open(at("log"), O_WRONLY | O_APPEND | O_CLOEXEC), s = socket(AF_INET, SOCK_STREAM, 0);
    char *const arguments[] = { (char *)(uintptr_t) "true", NULL };
    struct err err;
    char byte;
    int fd;

    HOLDS(landlock_sandbox(places, sizeof places / sizeof *places, &err));
    HOLDS(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    HOLDS(written(at("state/new"), O_CREAT | O_EXCL) == 0);
    HOLDS(mkdir(at("state/sub"), 0700) == 0);
    HOLDS(rename(at("state/new"), at("state/sub/new")) == 0); /* as Maildir's tmp and new */
    HOLDS(written(at("state/sub/new"), O_TRUNC) == 0);
    HOLDS(unlink(at("state/sub/new")) == 0 && rmdir(at("state/sub")) == 0);
    HOLDS(written(at("page.html"), O_TRUNC) == 0);
    HOLDS(written("/dev/null", 0) == 0);
    HOLDS(write(kept, "x", 1) == 1); /* open before */
    HOLDS(written(at("log"), 0) == EACCES);
    HOLDS(written(at("users.csv"), 0) == EACCES);
    HOLDS(written(at("new"), O_CREAT) == EACCES);
    HOLDS(unlink(at("users.csv")) != 0 && errno == EACCES);
    HOLDS(rename(at("users.csv"), at("state/users.csv")) != 0);
    HOLDS(mkdir(at("other"), 0700) != 0 && errno == EACCES);
    HOLDS(symlink("/etc", at("state/link")) != 0 && errno == EACCES);
    HOLDS(rmdir(at("empty")) == 0);
    fd = open(at("users.csv"), O_RDONLY | O_CLOEXEC);
    HOLDS(fd >= 0 && read(fd, &byte, 1) == 1);
#ifndef __SANITIZE_ADDRESS__
    HOLDS(execv("/bin/true", arguments) != 0 && errno == EACCES);
#endif
    (void)arguments;
    HOLDS(landlock_abi() < 4 || (bind(s, (struct sockaddr *)&any, sizeof any) != 0 && errno == EACCES));
    HOLDS(landlock_abi() < 6 || (kill(getppid(), 0) != 0 && errno == EPERM));
    return 0;
}

static void the_process_writes_where_it_may(void **state)
{
    static const char *const files[] = { "users.csv", "page.html", "log" };
    int status;
    pid_t child;

    (void)state;
    if (landlock_abi() == 0)
        skip();
    assert_non_null(mkdtemp(root));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(written(at(files[i]), O_CREAT | O_EXCL), 0);
    assert_int_equal(mkdir(at("state"), 0700), 0);
    assert_int_equal(mkdir(at("empty"), 0700), 0);
    child = fork();
    if (child == 0) {
        int line = inside();

        if (line)
            fprintf(stderr, "line %d does not hold (%s)\n", line, strerror(errno));
        _exit(line != 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (unsigned i = 0; i < 3; i++)
        unlink(at(files[i]));
    rmdir(at("state"));
    assert_int_equal(rmdir(root), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_process_writes_where_it_may),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
