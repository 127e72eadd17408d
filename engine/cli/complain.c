#include "engine/cli/complain.h"

#include <stdio.h>

int complain(const struct err *err, int code)
{
    char line[512];

    fprintf(stderr, "mailhaul: %s\n", err_line(err, line, sizeof line));
    return code;
}
