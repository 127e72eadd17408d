#include "engine/cli/sandbox.h"

#include "io/base/landlock.h"
#include "io/base/log.h"
#include "io/base/mem.h"
#include "io/base/secret.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Later no file can be made beside the page; as it is until it is written anew. */
static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);

    if (fd >= 0)
        close(fd);
}

/* Of a file that is written anew, beside the old one: a refresh token, the status file. NULL of NULL. The caller
 * frees it. */
static char *folder_of(const char *file)
{
    const char *slash = file ? strrchr(file, '/') : NULL;

    if (!file)
        return NULL;
    return !slash ? mem_text(".") : slash == file ? mem_text("/") : mem_format("%.*s", (int)(slash - file), file);
}

static void give_up(const struct opts *o, const struct settings *settings, const char *more)
{
    char *source = folder_of(settings->source.oauth.refresh_token_file);
    char *target = folder_of(settings->target.oauth.refresh_token_file);
    char *status = folder_of(settings->status_file);
    const struct landlock_place places[] = { { settings->state_folder, false },
                                             { settings->sign_in_folder, false },
                                             { settings->ledger_folder, false },
                                             { o->html_file, false },
                                             { o->split ? settings->split_file : NULL, false },
                                             { o->kept_file, false },
                                             { o->to, false },
                                             { source, false },
                                             { target, false },
                                             { status, false },
                                             { more, false },
                                             { more ? "/tmp" : NULL, true } };
    struct err err;

    if (landlock_sandbox(places, sizeof places / sizeof *places, &err))
        log_line(LOG_INFO, "sandbox.on", "landlock=%u", landlock_abi());
    else
        log_line(LOG_WARN, "sandbox.off", "why=%s", err.server_text);
    free(source);
    free(target);
    free(status);
}

void sandbox(const struct opts *o, const struct settings *settings, const char *more)
{
    if (!secret_is_locked())
        log_line(LOG_INFO, "secrets.unlocked", "why=RLIMIT_MEMLOCK");
    if (o->no_sandbox) {
        log_line(LOG_INFO, "sandbox.off", "why=--no-sandbox");
        return;
    }
    if (landlock_abi() == 0) {
        log_line(LOG_INFO, "sandbox.off", "why=the kernel has no Landlock, or none from version 5.19 on");
        return;
    }
    /* Whoever needs them finds out why they cannot be made. */
    if (settings->ledger_folder)
        (void)mkdir(settings->ledger_folder, 0770);
    if (o->to)
        (void)mkdir(o->to, 0700);
    if (o->html_file)
        make_file(o->html_file);
    if (o->split)
        make_file(settings->split_file);
    if (o->kept_file)
        make_file(o->kept_file);
    give_up(o, settings, more);
}

void sandbox_describe(FILE *out)
{
    unsigned abi = landlock_abi();

    if (abi)
        fprintf(out, "sandbox: Landlock (ABI %u): what talks to servers writes into its own folders only\n", abi);
    else
        fprintf(out, "sandbox: none; this kernel has no Landlock, or none from version 5.19 on\n");
    fprintf(out, secret_is_locked()
                     ? "secrets: locked in memory, in no core file\n"
                     : "secrets: in no core file; RLIMIT_MEMLOCK keeps them from being locked in memory\n");
}
