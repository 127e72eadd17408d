/* mailhaul-exo: the simulated Exchange Online as a program, for tests in other languages.
 *
 *   mailhaul-exo [--config FILE.ini] [--KEY VALUE]... [--help]
 *
 * Keys are those of engine/rehearsal/exo.h with '-' for '_', and mailbox and fault, any number of each. Prints
 * one JSON line when it is ready; runs until standard input ends or SIGTERM comes.
 */
#include "engine/rehearsal/exo.h"
#include "io/base/mem.h"

#include <errno.h>
#include <ini.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LATER_MAX 1024

struct options {
    struct exo_config config;
    struct {
        char *key, *value;
    } later[LATER_MAX]; /* mailboxes and faults: after the start */
    size_t later_count;
    struct err err;
};

static bool option_set(struct options *o, const char *key, const char *value)
{
    if (strcmp(key, "mailbox") != 0 && strcmp(key, "fault") != 0)
        return exo_config_set(&o->config, key, value, &o->err);
    if (o->later_count == LATER_MAX)
        return err_set(&o->err, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0,
                       "more than %d mailboxes and faults", LATER_MAX);
    o->later[o->later_count].key = mem_text(key);
    o->later[o->later_count++].value = mem_text(value);
    return true;
}

static int ini_line(void *context, const char *section, const char *key, const char *value)
{
    return option_set(context, key, value);
}

static bool options_read(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        if (strncmp(argv[i], "--", 2) != 0 || i + 1 == argc)
            return err_set(&o->err, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0,
                           "%s: expected --KEY VALUE", argv[i]);
        if (strcmp(argv[i], "--config") == 0) {
            int line = ini_parse(argv[i + 1], ini_line, o);

            if (line != 0) {
                if (!o->err.server_text[0])
                    err_set(&o->err, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, 0, "cannot be read");
                return err_doing(&o->err, "%s line %d", argv[i + 1], line);
            }
        } else if (!option_set(o, argv[i] + 2, argv[i + 1])) {
            return false;
        }
    }
    return true;
}

static void help(void)
{
    bool live;
    const char *key;

    printf("mailhaul-exo [--config FILE.ini] [--KEY VALUE]...\n\n"
           "  --mailbox ADDRESS[,key=value...]  any number\n"
           "  --fault 'point=... action=...'    any number\n\n"
           "  (* can be changed while it runs, by POST /set)\n");
    for (size_t i = 0; (key = exo_config_key(i, &live)); i++)
        printf("%c --%-22s %s\n", live ? '*' : ' ', key, exo_config_meaning(key));
}

static void ready_print(const struct exo *exo)
{
    struct exo_ports p = exo_ports(exo);
    json_t *o = json_pack("{s:i, s:i, s:i, s:i, s:s}", "imap_port", p.imap, "imap_plain_port", p.imap_plain,
                          "token_port", p.token, "control_port", p.control, "ca", exo_ca_file(exo));

    json_dumpf(o, stdout, JSON_COMPACT);
    printf("\n");
    fflush(stdout);
    json_decref(o);
}

static void run_until_told(int signals)
{
    struct pollfd watched[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
    char ignored[256];

    for (;;) {
        if (poll(watched, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return;
        }
        if (watched[1].revents)
            return;
        if (watched[0].revents && read(STDIN_FILENO, ignored, sizeof ignored) <= 0)
            return;
    }
}

int main(int argc, char **argv)
{
    struct options *o = mem_zero(1, sizeof *o);
    struct exo *exo = NULL;
    sigset_t set;
    char line[512];
    bool ok;

    exo_config_init(&o->config);
    o->config.control_port = 0;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        help();
        free(o);
        return 0;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    ok = options_read(o, argc, argv) && exo_start(&o->config, &exo, &o->err);
    for (size_t i = 0; i < o->later_count; i++) {
        ok = ok && exo_set(exo, o->later[i].key, o->later[i].value, &o->err);
        free(o->later[i].key);
        free(o->later[i].value);
    }
    if (ok) {
        ready_print(exo);
        run_until_told(signalfd(-1, &set, SFD_CLOEXEC));
    } else {
        fprintf(stderr, "mailhaul-exo: %s\n", err_line(&o->err, line, sizeof line));
    }
    exo_stop(&exo);
    free(o);
    return ok ? 0 : 78;
}
