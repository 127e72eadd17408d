/* Preloaded into mailhaul: code of somebody else's that runs in it once it talks to a server, as a hole in a parser
   would let it. Where a client's TLS session is made it tries what such code would like to do, and writes the outcome
   of each into the file that it opened before main: WORD and errno (0: done). Built by tests/e2e/test_sandbox.py. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int told = -1;

__attribute__((constructor)) static void begin(void)
{
    if (getenv("INTRUDER_TOLD"))
        told = open(getenv("INTRUDER_TOLD"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void tell(const char *word, int failed)
{
    dprintf(told, "%s %d\n", word, failed ? errno : 0);
}

static int run(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(errno);
    }
    waitpid(child, &status, 0);
    errno = WEXITSTATUS(status);
    return errno;
}

static void try(void)
{
    struct sockaddr_in any = { .sin_family = AF_INET };

    dprintf(told, "no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    tell("other_file", open(getenv("INTRUDER_FILE"), O_WRONLY | O_CLOEXEC) < 0);
    tell("new_file", open(getenv("INTRUDER_NEW"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0);
    tell("remove", unlink(getenv("INTRUDER_FILE")) != 0);
    tell("run", run());
    tell("listen", bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&any, sizeof any) != 0);
    tell("read", open(getenv("INTRUDER_FILE"), O_RDONLY | O_CLOEXEC) < 0);
}

void SSL_set_connect_state(void *session)
{
    static int tried;
    void (*real)(void *) = (void (*)(void *))dlsym(RTLD_NEXT, "SSL_set_connect_state");

    if (told >= 0 && !__atomic_exchange_n(&tried, 1, __ATOMIC_SEQ_CST))
        try();
    real(session);
}
