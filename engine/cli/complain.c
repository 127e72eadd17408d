#include "engine/cli/complain.h"

#include "engine/cli/exits.h"
#include "engine/rules/advice.h"
#include "engine/rules/trouble.h"

#include <stdio.h>

int complain(const struct err *err, int code)
{
    char line[512];

    fprintf(stderr, "mailhaul: %s\n", err_line(err, line, sizeof line));
    return code;
}

int complain_of_server(const char *of, const char *type, const char *address, const struct err *err)
{
    char line[512], advice[512];

    fprintf(stderr, "mailhaul: %s: %s\n  %s\n", of, err_line(err, line, sizeof line),
            advice_line(type, slice_cstr(address), advice, sizeof advice));
    return trouble_is_login(type) ? EXIT_LOGIN_REFUSED : EXIT_UNREACHABLE;
}
