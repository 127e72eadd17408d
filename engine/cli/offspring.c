#include "engine/cli/offspring.h"

#include "engine/cli/exits.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t child, stopped;

static const int stops[] = { SIGTERM, SIGINT, SIGUSR1 };
#define STOPS (sizeof stops / sizeof *stops)

static void pass_on(int signal)
{
    int error = errno;

    if (signal != SIGHUP)
        stopped = 1;
    if (child > 0)
        (void)kill((pid_t)child, signal);
    errno = error;
}

/* From a terminal the child gets it anyhow; twice would be two. */
static void pass_on_unless_shared(int signal, siginfo_t *info, void *unused)
{
    int error = errno;

    (void)unused;
    stopped = 1;
    if (child > 0 && info->si_code != SI_KERNEL)
        (void)kill((pid_t)child, signal);
    errno = error;
}

void offspring_catch_signals(void)
{
    struct sigaction pass = { .sa_handler = pass_on, .sa_flags = SA_RESTART };
    struct sigaction shared = { .sa_sigaction = pass_on_unless_shared, .sa_flags = SA_RESTART | SA_SIGINFO };

    sigaction(SIGTERM, &pass, NULL);
    sigaction(SIGUSR1, &pass, NULL);
    sigaction(SIGHUP, &pass, NULL);
    sigaction(SIGINT, &shared, NULL);
}

bool offspring_is_stopped(void)
{
    return stopped;
}

static void end_early(int signal)
{
    (void)signal;
    _exit(EXIT_STOPPED); /* nothing has begun: what catches signals to end cleanly was not reached */
}

static void own_signals(const sigset_t *before)
{
    for (size_t i = 0; i < STOPS; i++)
        signal(stops[i], end_early);
    signal(SIGHUP, SIG_IGN);
    sigprocmask(SIG_SETMASK, before, NULL);
}

bool offspring_run(int (*work)(void *context), void *context, int out, int *code_r)
{
    sigset_t held, before;
    int status = 0;
    pid_t pid;

    /* What comes before the child is known waits until it is. */
    sigemptyset(&held);
    for (size_t i = 0; i < STOPS; i++)
        sigaddset(&held, stops[i]);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_BLOCK, &held, &before);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        int code;

        own_signals(&before);
        if (out >= 0)
            (void)dup2(out, STDOUT_FILENO);
        code = work(context);
        fflush(NULL);
        _exit(code);
    }
    child = (sig_atomic_t)(pid > 0 ? pid : 0);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        fprintf(stderr, "mailhaul: no process for the next part: %s\n", strerror(errno));
        return false;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    child = 0;
    if (WIFSIGNALED(status))
        fprintf(stderr, "mailhaul: it was killed by signal %d\n", WTERMSIG(status));
    *code_r = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_INTERNAL;
    return true;
}
