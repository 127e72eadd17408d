#include "engine/cli/notify.h"

#include "io/base/buf.h"

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the helper is told: so many NUL-terminated texts, then the summary. */
static const char *const variables[] = { "MAILHAUL_EXIT_CODE", "MAILHAUL_BATCH", "MAILHAUL_STATE", "MAILHAUL_COMMAND" };
#define VARIABLES (sizeof variables / sizeof *variables)
#define TOLD_MAX  (64u << 20)

struct outcome {
    int status; /* as of waitpid */
    int error;  /* errno where it was not run at all */
};

static struct {
    bool begun;
    int error; /* errno where there is no helper */
    int socket;
    pid_t helper;
} hook;

/* ---- the helper ---- */

static void stays(int signal)
{
    (void)signal;
}

/* A run that is stopped still tells of it. A handler, unlike SIG_IGN, is none of the command's. */
static void outlive_signals(void)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1 };
    struct sigaction before, stay = { .sa_handler = stays, .sa_flags = SA_RESTART };

    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(signals[i], &stay, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static bool read_all(int from, struct buf *told)
{
    for (;;) {
        char piece[4096];
        ssize_t got = read(from, piece, sizeof piece);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        if (!buf_append(told, slice_of(piece, (size_t)got)))
            return false;
    }
}

static struct outcome run(const char *command, struct slice told)
{
    struct outcome outcome = { .status = -1 };
    FILE *to;

    for (unsigned i = 0; i < VARIABLES; i++) {
        size_t size = strnlen(told.data, told.size);

        setenv(variables[i], told.data, 1);
        told = slice_from(told, size + 1);
    }
    to = popen(command, "we");
    if (!to) {
        outcome.error = errno;
        return outcome;
    }
    fwrite(told.data, 1, told.size, to);
    outcome.status = pclose(to);
    return outcome;
}

/* All texts are there: the run has not ended in the middle of them. */
static bool is_whole(struct slice told)
{
    unsigned ends = 0;

    for (size_t i = 0; i < told.size && ends < VARIABLES; i++)
        ends += told.data[i] == '\0';
    return ends == VARIABLES;
}

static void help(const char *command, int socket) __attribute__((noreturn));

static void help(const char *command, int socket)
{
    struct outcome outcome;
    struct buf told;

    outlive_signals();
    /* The command inherits nothing that this process was started with either. */
    (void)close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    buf_init(&told, TOLD_MAX);
    if (!read_all(socket, &told) || !is_whole(buf_slice(&told)))
        _exit(0); /* the run ended without a word for it */
    outcome = run(command, buf_slice(&told));
    (void)!write(socket, &outcome, sizeof outcome);
    _exit(0);
}

/* ---- the run ---- */

void notify_begin(const char *command)
{
    int sockets[2];

    hook.begun = true;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        hook.error = errno;
        return;
    }
    fflush(NULL);
    hook.helper = fork();
    if (hook.helper == 0) {
        close(sockets[0]);
        help(command, sockets[1]);
    }
    if (hook.helper < 0) {
        hook.error = errno;
        close(sockets[0]);
    }
    close(sockets[1]);
    hook.socket = sockets[0];
}

static bool tell(struct slice text)
{
    while (text.size) {
        ssize_t sent = send(hook.socket, text.data, text.size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        text = slice_from(text, (size_t)sent);
    }
    return true;
}

static bool tell_text(const char *text)
{
    return tell(slice_of(text, strlen(text) + 1));
}

static bool answered(struct outcome *outcome_r)
{
    ssize_t got;

    do
        got = recv(hook.socket, outcome_r, sizeof *outcome_r, MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof *outcome_r;
}

void notify_run(const char *verb, const struct settings *settings, struct slice summary, int exit_code)
{
    struct outcome outcome = { .error = hook.error };
    char code[16];

    if (!hook.begun)
        return;
    snprintf(code, sizeof code, "%d", exit_code);
    if (hook.helper > 0) {
        bool good = tell_text(code) && tell_text(settings->batch_name) && tell_text(settings->state_folder) &&
                    tell_text(verb) && tell(summary) && shutdown(hook.socket, SHUT_WR) == 0 && answered(&outcome);

        if (!good)
            outcome.error = ECHILD; /* somebody ended the helper */
        close(hook.socket);
        waitpid(hook.helper, NULL, 0);
    }
    hook.begun = false;
    if (outcome.error)
        fprintf(stderr, "mailhaul: warning: --notify-command could not be run: %s\n", strerror(outcome.error));
    else if (outcome.status != 0)
        fprintf(stderr, "mailhaul: warning: --notify-command ended with %s %d\n",
                WIFEXITED(outcome.status) ? "exit code" : "signal",
                WIFEXITED(outcome.status) ? WEXITSTATUS(outcome.status) : WTERMSIG(outcome.status));
}
