#include "engine/cli/do_init.h"

#include "engine/cli/complain.h"
#include "engine/cli/do_check.h"
#include "engine/cli/exits.h"
#include "engine/cli/init_text.h"
#include "engine/cli/load.h"
#include "engine/config/text.h"
#include "io/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWER_MAX  500
#define TRIES       3u
#define FAULT_BYTES 240

struct asking {
    const char *batch_file;
    bool terminal;
    char *users, *source_url, *preset, *target_url, *tenant, *client_id, *secret_file;
};

/* ---- questions ---- */

static bool is_good(const char *section, const char *key, const char *value)
{
    char room[FAULT_BYTES], shown[CONFIG_SHOWN_MAX + 1];
    const char *fault = init_fault(section, key, value, room, sizeof room);

    if (fault)
        fprintf(stderr, "mailhaul: %s: %s: %s\n", key, config_text_shown(slice_cstr(value), shown), fault);
    return !fault;
}

/* A line from the terminal; NULL: it ended. */
static char *line_of(const char *question, const char *usual)
{
    char text[ANSWER_MAX];
    struct slice line;

    printf(usual ? "%s [%s]: " : "%s: ", question, usual);
    fflush(stdout);
    if (!fgets(text, sizeof text, stdin))
        return NULL;
    line = slice_trim(slice_cstr(text));
    return line.size ? slice_dup(line) : mem_text(usual ? usual : "");
}

/* *answer_r: what the option says, or the person. option: for who is not there to be asked. */
static bool ask(const struct asking *a, const char *given, const char *option, const char *question, const char *usual,
                const char *section, const char *key, char **answer_r)
{
    if (given) {
        *answer_r = mem_text(given);
        return is_good(section, key, given);
    }
    if (!a->terminal && usual) {
        *answer_r = mem_text(usual);
        return true;
    }
    if (!a->terminal) {
        fprintf(stderr, "mailhaul: init: %s is missing, and standard input is no terminal to ask at\n", option);
        return false;
    }
    for (unsigned i = 0; i < TRIES; i++) {
        char *answer = line_of(question, usual);

        if (!answer)
            return false;
        if (is_good(section, key, answer)) {
            *answer_r = answer;
            return true;
        }
        free(answer);
    }
    return false;
}

static bool is_exchange(const struct asking *a)
{
    return strcmp(a->preset, "exchange-online") == 0;
}

static bool ask_all(struct asking *a, const struct opts *o)
{
    const char *preset = o->preset ? o->preset : o->target_url ? "imap" : o->tenant ? "exchange-online" : NULL;

    if (!ask(a, o->source_url, "--source-url", "Source server, such as imaps://imap.example.edu", NULL, "source", "url",
             &a->source_url) ||
        !ask(a, preset, "--preset", "Target: exchange-online, or imap for another server",
             a->terminal ? "exchange-online" : NULL, "target", "preset", &a->preset))
        return false;
    if (!is_exchange(a)) {
        if (!ask(a, o->target_url, "--target-url", "Target server, such as imaps://imap.new.example", NULL, "target",
                 "url", &a->target_url))
            return false;
    } else if (!ask(a, o->tenant, "--tenant", "Tenant, such as contoso.onmicrosoft.com", NULL, "target", "tenant",
                    &a->tenant) ||
               !ask(a, o->client_id, "--client-id", "Application (client) ID of the app registration", NULL, "target",
                    "client-id", &a->client_id) ||
               !ask(a, o->client_secret_file, "--client-secret-file", "File that holds the application's secret",
                    "client-secret", "batch", "users", &a->secret_file)) {
        return false;
    }
    return ask(a, o->users_file, "--users", "List of users", "users.csv", "batch", "users", &a->users);
}

/* ---- files ---- */

/* 1: written; 0: it is there already, and stays; -1: told. */
static int write_new(const char *path, void (*write)(const struct init_answers *answers, FILE *out),
                     const struct init_answers *answers)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *out;
    bool ok;

    if (fd < 0 && errno == EEXIST)
        return 0;
    out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out) {
        (void)complain_of_file(NULL, path, errno);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    write(answers, out);
    ok = fflush(out) == 0 && fsync(fd) == 0;
    if (!ok)
        (void)complain_of_file(NULL, path, errno);
    fclose(out);
    if (!ok)
        (void)unlink(path);
    return ok ? 1 : -1;
}

/* "night-1.ps1" beside the batch file. */
static char *powershell_name(const char *batch_file)
{
    struct slice name = slice_cstr(batch_file);

    if (name.size > 4 && slice_ends(name, SLICE(".ini")))
        name.size -= 4;
    return mem_format("%.*s.ps1", (int)name.size, name.data);
}

static int told_written(int written, const char *path, const char *what)
{
    if (written > 0)
        printf("wrote %s: %s\n", path, what);
    else if (written == 0)
        printf("%s is there already: left as it is\n", path);
    return written;
}

static bool write_all(const struct asking *a, bool *new_users_r)
{
    const struct init_answers answers = { .users = a->users,
                                          .source_url = a->source_url,
                                          .target_url = a->target_url,
                                          .exchange = is_exchange(a),
                                          .tenant = a->tenant,
                                          .client_id = a->client_id,
                                          .secret_file = a->secret_file };
    char *users = config_text_beside(a->batch_file, slice_cstr(a->users));
    char *powershell = powershell_name(a->batch_file);
    int batch = write_new(a->batch_file, init_write_batch, &answers), list = 0, lines = 0;

    if (batch == 0)
        fprintf(stderr, "mailhaul: %s is there already; init writes over nothing\n", a->batch_file);
    if (batch > 0) {
        (void)told_written(batch, a->batch_file, "the batch file, with all keys");
        list = told_written(write_new(users, init_write_users, &answers), users,
                            "its header; one user a line comes below (it holds passwords: mode 0600)");
        if (list >= 0 && answers.exchange)
            lines = told_written(write_new(powershell, init_write_powershell, &answers), powershell,
                                 "to be pasted into Exchange Online PowerShell, once users.csv is filled:");
        if (lines > 0) {
            fputs("\n", stdout);
            init_write_powershell(&answers, stdout);
            fputs("\n", stdout);
        }
    }
    *new_users_r = list > 0;
    free(powershell);
    free(users);
    return batch > 0 && list >= 0 && lines >= 0;
}

/* ---- the end ---- */

static int check(const struct opts *o)
{
    struct opts asked = { .command = OPTS_CHECK, .batch_files = o->batch_files, .quiet = o->quiet, .color = o->color };
    struct settings_list warnings = { 0 };
    struct settings *settings = NULL;
    struct err err;
    int code;

    if (!load_settings(&asked, (struct load_need){ .users = true, .source = true, .target = true, .any_shard = true },
                       NULL, &settings, &warnings, &err)) {
        code = load_complain(&err);
    } else {
        for (size_t i = 0; i < warnings.count && !o->quiet; i++)
            fprintf(stderr, "mailhaul: warning: %s\n", warnings.items[i]);
        code = do_check(&asked, settings);
    }
    settings_list_deinit(&warnings);
    settings_destroy(&settings);
    return code;
}

static void tell_next(const struct asking *a)
{
    printf("\nNext:\n");
    if (is_exchange(a))
        printf("  put the application's secret into %s (chmod 600), and paste the lines above\n", a->secret_file);
    printf("  fill in %s: one user a line\n"
           "  mailhaul check %s      # both servers, step by step\n"
           "  mailhaul plan %s       # what would move\n",
           a->users, a->batch_file, a->batch_file);
}

int do_init(const struct opts *o, const struct settings *settings)
{
    struct asking a = { .batch_file = o->batch_files.items[0], .terminal = isatty(STDIN_FILENO) };
    bool new_users = false;
    struct stat st;
    int code = EXIT_USAGE;

    (void)settings;
    if (lstat(a.batch_file, &st) == 0) {
        fprintf(stderr, "mailhaul: %s is there already; init writes over nothing\n", a.batch_file);
    } else if (ask_all(&a, o) && write_all(&a, &new_users)) {
        code = EXIT_DONE;
        if (new_users) {
            tell_next(&a);
        } else {
            printf("\n");
            fflush(stdout);
            code = check(o);
        }
    }
    free(a.users);
    free(a.source_url);
    free(a.preset);
    free(a.target_url);
    free(a.tenant);
    free(a.client_id);
    free(a.secret_file);
    return code;
}
