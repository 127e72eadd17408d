#include "engine/config/password_command.h"

#include "engine/config/text.h"
#include "engine/config/value_network.h"
#include "engine/settings/side.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_ONCE    8u
#define ANSWER_MAX 65536u
#define SHOWN_MAX  60

extern char **environ;

/* One program that runs. */
struct child {
    pid_t pid;      /* 0: the place is free */
    int pidfd, out; /* out -1: it has said all */
    uint64_t ends_ms;
    struct settings_user *user; /* NULL: the administrator's */
    enum side side;
    char *answer; /* ANSWER_MAX */
    size_t size;
    bool too_long, late;
};

struct commands {
    struct settings *settings;
    unsigned limit_s;
    struct child children[AT_ONCE];
    unsigned running;
    struct settings_list *faults;
    struct err *err_r;
    bool failed;
};

static struct settings_endpoint *endpoint(struct settings *s, enum side side)
{
    return side == SIDE_SOURCE ? &s->source : &s->target;
}

/* The first in err, the others as sentences. */
static void fault(struct commands *c, enum side side, const struct settings_user *user, const char *what)
{
    char text[256];

    snprintf(text, sizeof text, "[%s] password-command%s%.*s: %s", side_name(side), user ? " for " : "", SHOWN_MAX,
             user ? user->email_address : "", what);
    if (c->failed)
        settings_list_add(c->faults, slice_cstr(text));
    else
        (void)config_refuse(c->err_r, CONFIG_EXIT_BATCH, "%s", text);
    c->failed = true;
}

/* ---- its words ---- */

/* {user} and {address} in a word; NULL: the word would begin with a dash that the user's name brought. */
static char *filled(const char *word, const char *user, const char *address)
{
    struct slice rest = slice_cstr(word);
    char *out = mem_text("");

    while (rest.size) {
        size_t at = slice_find(rest, '{');
        bool is_user = at != SIZE_MAX && slice_starts(slice_from(rest, at), SLICE("{user}"));
        struct slice before = slice_first(rest, at);
        char *longer = mem_format("%s%.*s%s", out, (int)before.size, before.data ? before.data : "",
                                  at == SIZE_MAX ? ""
                                  : is_user      ? user
                                                 : address);

        free(out);
        out = longer;
        rest = at == SIZE_MAX ? slice_of(NULL, 0) : slice_from(rest, at + (is_user ? 6 : 9));
    }
    if (word[0] != '-' && out[0] == '-') {
        free(out);
        return NULL;
    }
    return out;
}

static char **words_for(const struct settings_endpoint *e, const struct settings_user *user, enum side side)
{
    struct settings_list words = { NULL, 0 };
    char **argv = NULL;
    bool ok = value_words(slice_cstr(e->password_command), &words);
    const char *login = !user ? "" : side == SIDE_SOURCE ? user->user_name : user->target_user_name;

    if (ok)
        argv = mem_zero(words.count + 1, sizeof *argv);
    for (size_t i = 0; ok && i < words.count; i++) {
        argv[i] = user ? filled(words.items[i], login, user->email_address) : mem_text(words.items[i]);
        ok = argv[i] != NULL;
    }
    settings_list_deinit(&words);
    if (ok)
        return argv;
    for (size_t i = 0; argv && argv[i]; i++)
        free(argv[i]);
    free(argv);
    return NULL;
}

static void words_free(char **argv)
{
    for (size_t i = 0; argv[i]; i++)
        free(argv[i]);
    free(argv);
}

/* ---- one program ---- */

/* In a process group of its own, so that all of it can be ended. */
static int spawn(char **argv, int out, pid_t *pid_r)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int error;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    error = posix_spawnp(pid_r, argv[0], &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static bool begin(struct commands *c, struct child *child, struct settings_user *user, enum side side)
{
    char **argv = words_for(endpoint(c->settings, side), user, side), what[160];
    int ends[2], error;

    if (!argv) {
        fault(c, side, user,
              "the user's name begins with a dash, which the program would take for an option; write "
              "--option={user}, or his Password into users.csv");
        return false;
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        error = errno;
    } else {
        error = spawn(argv, ends[1], &child->pid);
        close(ends[1]);
        if (error)
            close(ends[0]);
    }
    if (error)
        snprintf(what, sizeof what, "%.60s cannot be run: %s", argv[0], strerror(error));
    words_free(argv);
    if (error) {
        child->pid = 0;
        fault(c, side, user, what);
        return false;
    }
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    child->pidfd = pidfd_open(child->pid, 0);
    child->out = ends[0];
    child->user = user;
    child->side = side;
    child->size = 0;
    child->too_long = child->late = false;
    child->ends_ms = now_ms() + c->limit_s * 1000ull;
    if (!child->answer)
        child->answer = mem_alloc(ANSWER_MAX);
    c->running++;
    return true;
}

static void listen_to(struct child *child)
{
    while (child->out >= 0) {
        char more[512];
        size_t room = ANSWER_MAX - child->size;
        ssize_t got = room ? read(child->out, child->answer + child->size, room) : read(child->out, more, sizeof more);

        if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
            if (errno == EAGAIN)
                return;
            continue;
        }
        if (got <= 0) {
            close(child->out);
            child->out = -1;
        } else if (room) {
            child->size += (size_t)got;
        } else {
            child->too_long = true;
        }
    }
}

static void keep(struct commands *c, struct child *child)
{
    struct slice rest = slice_of(child->answer, child->size), line = { 0 };
    struct secret **to = child->user
                             ? (child->side == SIDE_SOURCE ? &child->user->password : &child->user->target_password)
                             : &endpoint(c->settings, child->side)->admin_password;

    (void)slice_split(&rest, '\n', &line);
    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    if (child->too_long)
        fault(c, child->side, child->user, "says more than 64 KiB; its first line is to be the password");
    else if (line.size == 0)
        fault(c, child->side, child->user,
              "says nothing; its first line is to be the password. Run it by hand to see why");
    else
        *to = secret_create(line);
}

/* It has ended, with all that it said read. */
static void end(struct commands *c, struct child *child)
{
    char what[160];
    int status = 0;

    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    listen_to(child);
    if (child->out >= 0)
        close(child->out);
    if (child->pidfd >= 0)
        close(child->pidfd);
    if (child->late) {
        snprintf(what, sizeof what, "has not ended after %u s; does it ask something? Its standard input is empty",
                 c->limit_s);
        fault(c, child->side, child->user, what);
    } else if (status != 0) {
        snprintf(what, sizeof what, "ended with %s %d; run it by hand to see why",
                 WIFEXITED(status) ? "exit code" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        fault(c, child->side, child->user, what);
    } else {
        keep(c, child);
    }
    secret_wipe(child->answer, ANSWER_MAX);
    child->pid = 0;
    c->running--;
}

/* Until one place at least is free, or with `all` each of them. */
static void wait_for(struct commands *c, bool all)
{
    while (c->running > (all ? 0 : AT_ONCE - 1)) {
        struct pollfd fds[2 * AT_ONCE];
        uint64_t now = now_ms(), next = now + 1000;

        for (unsigned i = 0; i < AT_ONCE; i++) {
            struct child *child = &c->children[i];

            fds[2 * i] = (struct pollfd){ .fd = child->pid ? child->out : -1, .events = POLLIN };
            fds[2 * i + 1] = (struct pollfd){ .fd = child->pid ? child->pidfd : -1, .events = POLLIN };
            if (child->pid && child->ends_ms < next)
                next = child->ends_ms > now ? child->ends_ms : now;
        }
        (void)poll(fds, 2 * AT_ONCE, (int)(next - now) + 1);
        for (unsigned i = 0; i < AT_ONCE; i++) {
            struct child *child = &c->children[i];

            if (!child->pid)
                continue;
            listen_to(child);
            if (now_ms() >= child->ends_ms && !child->late) {
                child->late = true;
                kill(-child->pid, SIGKILL);
            }
            /* Without a pidfd the end of what it says has to do. */
            if (child->late || (fds[2 * i + 1].revents & POLLIN) || (child->pidfd < 0 && child->out < 0))
                end(c, child);
        }
    }
}

static struct child *free_place(struct commands *c)
{
    wait_for(c, false);
    for (unsigned i = 0; i < AT_ONCE; i++)
        if (!c->children[i].pid)
            return &c->children[i];
    return NULL;
}

static bool is_wanted(const struct settings_user *user, enum side side)
{
    return side == SIDE_SOURCE ? !user->password && !user->password_file : !user->target_password;
}

static void run_side(struct commands *c, enum side side)
{
    struct settings *s = c->settings;
    struct settings_endpoint *e = endpoint(s, side);
    unsigned in_a_row = 0;

    if (!e->password_command)
        return;
    if (settings_admin_logs_in(e)) {
        if (!e->admin_password)
            (void)begin(c, free_place(c), NULL, side);
        return;
    }
    /* A program that is not there, or a vault that is shut, is the same for all. */
    for (size_t i = 0; i < s->user_count && in_a_row < 20; i++)
        if (is_wanted(&s->users[i], side)) {
            size_t before = c->faults->count;

            (void)begin(c, free_place(c), &s->users[i], side);
            in_a_row = c->faults->count > before ? in_a_row + 1 : 0;
        }
}

bool password_commands_run(struct settings *s, bool source, bool target, unsigned limit_s, struct settings_list *faults,
                           struct err *err_r)
{
    struct commands c = { .settings = s, .limit_s = limit_s, .faults = faults, .err_r = err_r };

    if (source)
        run_side(&c, SIDE_SOURCE);
    if (target)
        run_side(&c, SIDE_TARGET);
    wait_for(&c, true);
    for (unsigned i = 0; i < AT_ONCE; i++)
        free(c.children[i].answer);
    return !c.failed;
}
