#include "engine/report/status.h"

#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REPAINT_MS  2000
#define LINE_MS     30000 /* into a pipe */
#define QUIET_LOOKS 5

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
#define SIGNALS (sizeof signals / sizeof *signals)

/* One write a repaint: the old picture stays until the new one is whole. */
static bool repaint(const struct report_state *states, unsigned count, bool color, FILE *out, struct err *err_r)
{
    struct status_style style = { .color = color, .totals = true };
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

static bool line_of(const struct report_state *states, unsigned count, char **line_r, struct status_seen *seen_r,
                    struct err *err_r)
{
    size_t size = 0;
    FILE *text = open_memstream(line_r, &size);
    bool good = text && status_write_line(states, count, text, seen_r, err_r);

    if (!text)
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "watch the status");
    fclose(text);
    return good;
}

struct ending {
    bool was_running;
    unsigned quiet; /* looks at which nothing was at work, in a row */
};

/* Between two tasks of a job array nothing is at work for a moment, and a run that is just being started is not yet. */
static bool is_over(struct ending *e, const struct status_seen *seen)
{
    e->was_running |= seen->running;
    e->quiet = seen->running ? 0 : e->quiet + 1;
    return !seen->missing && (seen->done || e->was_running) &&
           e->quiet >= (seen->done && e->was_running ? 1 : QUIET_LOOKS);
}

/* "20:15:03Z 12 of 20 users synced, 1 failed": as far as this a line that has changed is told at once. */
static bool same_users(const char *a, const char *b)
{
    const char *x = strchr(a, ' '), *y = strchr(b, ' ');
    size_t n = x ? strcspn(x, ";") : 0;

    return x && y && strcspn(y, ";") == n && strncmp(x, y, n) == 0;
}

/* Returns how long ago a line was written by the next look. */
static unsigned tell(FILE *out, const char *now, char **last, unsigned since_ms, bool ends)
{
    if (since_ms < LINE_MS && !ends && *last && same_users(now, *last))
        return since_ms + REPAINT_MS;
    fputs(now, out);
    fflush(out);
    free(*last);
    *last = strdup(now);
    return REPAINT_MS;
}

bool status_watch(status_look *look, void *context, bool json, bool color, FILE *out, struct err *err_r)
{
    struct sigaction action = { .sa_handler = stop }, old[SIGNALS];
    sigset_t blocked, before;
    bool paints = !json && isatty(fileno(out));
    struct ending ending = { false, 0 };
    char *last = NULL;
    unsigned since_ms = LINE_MS;
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
        struct status_seen seen;
        char *now = NULL;
        bool ends = false;

        good = look(context, &states, &count, err_r) && line_of(states, count, &now, &seen, err_r) &&
               (json     ? status_write_json(states, count, out, err_r)
                : paints ? repaint(states, count, color, out, err_r)
                         : true);
        if (good)
            ends = is_over(&ending, &seen);
        if (good && !json && !paints)
            since_ms = tell(out, now, &last, since_ms, ends);
        free(now);
        if (!good || ends)
            break;
        if (ppoll(NULL, 0, &pause, &before) < 0 && errno != EINTR)
            good = err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "wait");
    }
    free(last);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (unsigned i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &old[i], NULL);
    return good;
}
