/* mailhaul: the command line's dispatch. Each command is one row; each returns its exit code. */
#include "engine/cli/bench_kept.h"
#include "engine/cli/do_bench.h"
#include "engine/cli/do_check.h"
#include "engine/cli/do_cutover.h"
#include "engine/cli/do_every.h"
#include "engine/cli/do_folders.h"
#include "engine/cli/do_init.h"
#include "engine/cli/do_plan.h"
#include "engine/cli/do_rehearse.h"
#include "engine/cli/do_report.h"
#include "engine/cli/do_run.h"
#include "engine/cli/do_tidy.h"
#include "engine/cli/do_user.h"
#include "engine/cli/do_verify.h"
#include "engine/cli/exits.h"
#include "engine/cli/folded.h"
#include "engine/cli/json_out.h"
#include "engine/cli/load.h"
#include "engine/cli/notify.h"
#include "engine/cli/outputs.h"
#include "engine/cli/sandbox.h"
#include "engine/cli/sign_in.h"
#include "io/base/landlock.h"
#include "io/base/log.h"
#include "io/base/whole.h"

#include <errno.h>
#include <locale.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 65536u

/* What a command needs before it starts. */
enum needs {
    NEEDS_USERS = 1, /* users.csv, with the logins of the sides below */
    NEEDS_SOURCE = 2,
    NEEDS_TARGET = 4,
    NEEDS_LOCAL = 8,     /* no server: secrets may be missing */
    NEEDS_NOTHING = 16,  /* loads its batch files itself */
    NEEDS_NO_SHARD = 32, /* writes no state: without --shard the users of all shards are meant */
    FOLDER_WILL_DO = 64  /* with a state folder in place of the batch file: NEEDS_NOTHING */
};

static const struct {
    unsigned needs;
    int (*run)(const struct opts *o, const struct settings *settings);
} commands[OPTS_COMMAND_COUNT] = {
    [OPTS_CHECK] = { NEEDS_NO_SHARD | NEEDS_USERS | NEEDS_SOURCE | NEEDS_TARGET, do_check },
    [OPTS_SIGN_IN] = { NEEDS_NO_SHARD, do_sign_in },
    [OPTS_FOLDERS] = { NEEDS_NO_SHARD | NEEDS_USERS | NEEDS_SOURCE, do_folders },
    [OPTS_BENCH] = { NEEDS_NO_SHARD | NEEDS_USERS | NEEDS_SOURCE, do_bench },
    [OPTS_REHEARSE] = { NEEDS_NOTHING, do_rehearse },
    [OPTS_PLAN] = { NEEDS_USERS | NEEDS_SOURCE, do_plan },
    [OPTS_RUN] = { NEEDS_USERS | NEEDS_SOURCE | NEEDS_TARGET, do_run },
    [OPTS_RETRY] = { NEEDS_USERS | NEEDS_SOURCE | NEEDS_TARGET, do_run },
    [OPTS_FETCH] = { NEEDS_USERS | NEEDS_SOURCE, do_run },
    [OPTS_UPLOAD] = { NEEDS_USERS | NEEDS_TARGET, do_run },
    [OPTS_VERIFY] = { NEEDS_NO_SHARD | NEEDS_USERS | NEEDS_SOURCE | NEEDS_TARGET, do_verify },
    [OPTS_TIDY] = { NEEDS_NO_SHARD | NEEDS_USERS | NEEDS_TARGET, do_tidy },
    [OPTS_STATUS] = { NEEDS_NOTHING, do_status },
    [OPTS_REPORT] = { NEEDS_NOTHING, do_report },
    [OPTS_EXPORT] = { NEEDS_NO_SHARD | NEEDS_USERS | NEEDS_SOURCE | FOLDER_WILL_DO, do_export },
    [OPTS_SPOOL_CHECK] = { NEEDS_NOTHING, do_spool_check },
    [OPTS_INIT] = { NEEDS_NOTHING, do_init },
    [OPTS_USER] = { NEEDS_NOTHING, do_user },
    [OPTS_CUTOVER] = { NEEDS_USERS | NEEDS_SOURCE | NEEDS_TARGET, do_cutover },
};

static bool open_log(const struct opts *o, struct err *err_r)
{
    enum log_level level = LOG_WARN;
    FILE *file = stderr;
    int fd;

    if (o->log_level && !log_level_parse(o->log_level, &level))
        return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, EXIT_USAGE,
                       "--log-level %s: expected error, warn, info, debug or trace", o->log_level);
    if (o->log_file) {
        fd = whole_open(o->log_file, true);
        file = fd < 0 ? NULL : fdopen(fd, "a");
        if (!file)
            return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, EXIT_USAGE, "--log %s: %s",
                           o->log_file, strerror(errno));
    }
    /* Who asks for a log is told of each user; warnings alone are for who reads the terminal. */
    if (!o->log_level && (o->log_file || o->log_format == OPTS_LOG_JSON))
        level = LOG_INFO;
    log_as_json(o->log_format == OPTS_LOG_JSON);
    log_to(file, level);
    return true;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Those for which it matters how fast the source can be read. */
static bool goes_by_bench(enum opts_command command)
{
    return command == OPTS_PLAN || command == OPTS_RUN || command == OPTS_FETCH || command == OPTS_RETRY;
}

static int run_command(const struct opts *o)
{
    unsigned needs = commands[o->command].needs;
    struct settings *settings = NULL;
    struct settings_list warnings = { 0 };
    struct err err, outputs_err;
    bool loaded;
    int code;

    if (opts_compares(o))
        needs = NEEDS_NOTHING;
    if (o->notify_command)
        notify_begin(o->notify_command); /* the hook may need what is given up here */
    if ((needs & FOLDER_WILL_DO) && is_folder(o->batch_files.items[0]))
        needs = NEEDS_NOTHING;
    /* One side alone needs the other's passwords as little. */
    if (o->source && !o->target)
        needs &= ~(unsigned)NEEDS_TARGET;
    if (o->target && !o->source)
        needs &= ~(unsigned)NEEDS_SOURCE;
    loaded = (needs & NEEDS_NOTHING) || load_settings(o,
                                                      (struct load_need){ .users = needs & NEEDS_USERS,
                                                                          .source = needs & NEEDS_SOURCE,
                                                                          .target = needs & NEEDS_TARGET,
                                                                          .any_shard = needs & NEEDS_NO_SHARD,
                                                                          .local = needs & NEEDS_LOCAL },
                                                      NULL, &settings, &warnings, &err);
    landlock_no_new_privileges(); /* a program that tells passwords may need what is given up here */
    /* An option that names a wrong file is told before what else is wrong. */
    if (!outputs_check(o, loaded && (needs & NEEDS_USERS) ? settings : NULL, &outputs_err)) {
        code = load_complain(&outputs_err);
    } else if (!loaded || !open_log(o, &err)) {
        code = load_complain(&err);
    } else {
        for (size_t i = 0; i < warnings.count && !o->quiet; i++)
            fprintf(stderr, "mailhaul: warning: %s\n", warnings.items[i]);
        code = settings ? sign_in_if_needed(settings, needs & NEEDS_SOURCE, needs & NEEDS_TARGET, o->quiet) : EXIT_DONE;
        if (code == EXIT_DONE && settings && (needs & NEEDS_SOURCE) && goes_by_bench(o->command))
            bench_kept_use(settings, o->quiet);
        if (code == EXIT_DONE)
            code = commands[o->command].run(o, settings);
    }
    settings_list_deinit(&warnings);
    settings_destroy(&settings);
    return code;
}

/* Lines for people; what paints, or is a program's to read, goes out as it is. */
static bool prints_lines(const struct opts *o)
{
    return !o->json && o->command != OPTS_STATUS && o->command != OPTS_REPORT;
}

/* Helper threads are not waited for at the end: one may be amid a hash of a login, or a token's request. What OpenSSL
 * keeps is not freed under it. Before anything else makes OpenSSL begin. */
static void keep_openssl_to_the_end(void)
{
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}

/* What the system lets it have: each connection is an open file. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    rlim_t most;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    most = limit.rlim_max > FILES_MAX ? FILES_MAX : limit.rlim_max;
    if (limit.rlim_cur >= most)
        return;
    limit.rlim_cur = most;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    struct opts o;
    struct err err;
    int code;

    setlocale(LC_CTYPE, "");
    umask(077);
    keep_openssl_to_the_end();
    secret_harden_process();
    raise_file_limit();
    json_wipes();
    if (!opts_parse(&o, argc, argv, &err)) {
        code = load_complain(&err);
    } else if (o.version) {
        printf("mailhaul %s\n", MAILHAUL_VERSION);
        sandbox_describe(stdout);
        if (o.verbose)
            printf("SBOM: %s\n", MAILHAUL_SBOM);
        code = EXIT_DONE;
    } else if (o.help || o.command == OPTS_COMMAND_COUNT) {
        opts_help(stdout, o.command);
        code = EXIT_DONE;
    } else if (!commands[o.command].run) {
        fprintf(stderr, "mailhaul: %s: not in this build\n", opts_command_name(o.command));
        code = EXIT_USAGE;
    } else {
        if (prints_lines(&o))
            folded_stdout();
        code = o.every_ms ? do_every(&o, run_command) : run_command(&o);
        folded_end();
    }
    opts_deinit(&o);
    if (fflush(stdout) != 0 && code == EXIT_DONE) {
        fprintf(stderr, "mailhaul: standard output: %s\n", strerror(errno));
        code = EXIT_DISK;
    }
    return code;
}
