#include "engine/cli/notify.h"

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void put_environment(const char *verb, const struct settings *settings, int exit_code)
{
    char code[16];

    snprintf(code, sizeof code, "%d", exit_code);
    setenv("MAILHAUL_EXIT_CODE", code, 1);
    setenv("MAILHAUL_BATCH", settings->batch_name, 1);
    setenv("MAILHAUL_STATE", settings->state_folder, 1);
    setenv("MAILHAUL_COMMAND", verb, 1);
}

void notify_run(const char *command, const char *verb, const struct settings *settings,
                struct slice summary, int exit_code)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
    int status = -1;
    FILE *to;

    put_environment(verb, settings, exit_code);
    /* Not all libraries open their files for this process alone (LMDB: its data file, for writing). */
    (void)close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    /* A hook that reads nothing must not end us. */
    sigaction(SIGPIPE, &ignore, &before);
    to = popen(command, "we");
    if (to) {
        fwrite(summary.data, 1, summary.size, to);
        status = pclose(to);
    }
    sigaction(SIGPIPE, &before, NULL);
    if (!to)
        fprintf(stderr, "mailhaul: warning: --notify-command could not be run: %s\n",
                strerror(errno));
    else if (status != 0)
        fprintf(stderr, "mailhaul: warning: --notify-command ended with %s %d\n",
                WIFEXITED(status) ? "exit code" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}
