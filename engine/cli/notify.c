#include "engine/cli/notify.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* The summary as text, malloc'ed; *size_r its bytes. */
static char *summary(struct spool *spool, size_t *size_r)
{
    struct report *report = NULL;
    struct err err;
    char *text = NULL;
    FILE *out = open_memstream(&text, size_r);
    char line[512];

    if (!out)
        return NULL;
    if (!report_load(&spool, 1, &report, &err) || !report_write_text(report, out, &err))
        fprintf(out, "the summary cannot be read: %s\n", err_line(&err, line, sizeof line));
    report_free(&report);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

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
                struct spool *spool, int exit_code)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
    size_t size = 0;
    char *text = summary(spool, &size);
    int status = -1;
    FILE *to;

    put_environment(verb, settings, exit_code);
    /* A hook that reads nothing must not end us. */
    sigaction(SIGPIPE, &ignore, &before);
    to = popen(command, "we");
    if (to) {
        if (text)
            fwrite(text, 1, size, to);
        status = pclose(to);
    }
    sigaction(SIGPIPE, &before, NULL);
    free(text);
    if (!to)
        fprintf(stderr, "mailhaul: warning: --notify-command could not be run: %s\n",
                strerror(errno));
    else if (status != 0)
        fprintf(stderr, "mailhaul: warning: --notify-command ended with %s %d\n",
                WIFEXITED(status) ? "exit code" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}
