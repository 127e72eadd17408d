#include "engine/report/status.h"

#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REPAINT_MS 2000

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
#define SIGNALS (sizeof signals / sizeof *signals)

/* One write a repaint: the old picture stays until the new one is whole. */
static bool repaint(const struct report_state *states, unsigned count, bool color, FILE *out,
                    struct err *err_r)
{
    struct status_style style = { .color = color };
    struct winsize size;
    char *text = NULL;
    size_t bytes = 0;
    FILE *picture = open_memstream(&text, &bytes);
    bool good;

    if (!picture)
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "paint the status");
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col) {
        style.columns = size.ws_col;
        style.rows = size.ws_row;
    }
    style.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    good = status_write_text(states, count, &style, picture, err_r);
    fclose(picture);
    if (good) {
        fputs("\x1b[H\x1b[2J", out);
        fwrite(text, 1, bytes, out);
        if (fflush(out) != 0)
            good = err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "paint the status");
    }
    free(text);
    return good;
}

bool status_watch(status_look *look, void *context, bool json, bool color, FILE *out, struct err *err_r)
{
    struct sigaction action = { .sa_handler = stop }, old[SIGNALS];
    sigset_t blocked, before;
    struct timespec pause = { REPAINT_MS / 1000, REPAINT_MS % 1000 * 1000000L };
    bool good = true;

    /* Blocked except while waiting, so that a signal between test and wait is not slept over. */
    sigemptyset(&action.sa_mask);
    sigemptyset(&blocked);
    stopped = 0;
    for (unsigned i = 0; i < SIGNALS; i++) {
        sigaddset(&blocked, signals[i]);
        sigaction(signals[i], &action, &old[i]);
    }
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    while (good && !stopped) {
        const struct report_state *states;
        unsigned count;

        good = look(context, &states, &count, err_r) &&
               (json ? status_write_json(states, count, out, err_r)
                     : repaint(states, count, color, out, err_r));
        if (good && ppoll(NULL, 0, &pause, &before) < 0 && errno != EINTR)
            good = err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "wait");
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (unsigned i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &old[i], NULL);
    return good;
}
