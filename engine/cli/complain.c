#include "engine/cli/complain.h"

#include "engine/cli/exits.h"
#include "engine/failure/advice.h"
#include "engine/failure/trouble.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int complain(const struct err *err, int code)
{
    char line[512];

    fprintf(stderr, "mailhaul: %s\n", err_line(err, line, sizeof line));
    return code;
}

int complain_code_of_state(const struct err *err)
{
    return err->code == EWOULDBLOCK           ? EXIT_STATE_HELD
           : err->origin == ERR_ORIGIN_CONFIG ? EXIT_BATCH_FILE
           : err->code == ENOENT              ? EXIT_USAGE
                                              : EXIT_DISK;
}

int complain_of_state(const struct err *err)
{
    return complain(err, complain_code_of_state(err));
}

int complain_of_start(const struct err *err)
{
    return complain(err,
                    err->origin == ERR_ORIGIN_TLS || err->origin == ERR_ORIGIN_CONFIG ? EXIT_BATCH_FILE : EXIT_DISK);
}

int complain_not_there(const char *folder, int error)
{
    if (error == ENOENT) {
        fprintf(stderr, "mailhaul: %s is not there: nothing has been run yet\n", folder);
        return EXIT_USAGE;
    }
    fprintf(stderr, "mailhaul: %s: %s\n", folder, strerror(error));
    return error == ENAMETOOLONG || error == ENOTDIR || error == ELOOP ? EXIT_BATCH_FILE : EXIT_DISK;
}

int complain_unknown_user(struct slice user)
{
    fprintf(stderr,
            "mailhaul: %.*s: the state folder knows no user of this address or login; `run`, `fetch` or `plan` "
            "has not begun with them, or in another shard or state folder\n",
            (int)user.size, user.data);
    return EXIT_USAGE;
}

int complain_of_file(const char *option, const char *file, int error)
{
    bool mistaken = error == ENOENT || error == ENOTDIR || error == EISDIR || error == EACCES || error == ENAMETOOLONG;

    fprintf(stderr, "mailhaul: %s%s%s: %s\n", option ? option : "", option ? " " : "", file, strerror(error));
    return mistaken ? EXIT_USAGE : EXIT_DISK;
}

int complain_of_server(const char *of, const char *type, const char *address, const struct err *err)
{
    char line[512], advice[512];

    fprintf(stderr, "mailhaul: %s: %s\n  %s\n", of, err_line(err, line, sizeof line),
            advice_line(type, slice_cstr(address), advice, sizeof advice));
    return trouble_is_login(type) ? EXIT_LOGIN_REFUSED : EXIT_UNREACHABLE;
}
