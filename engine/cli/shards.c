#include "engine/cli/shards.h"

#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each character stands for itself. */
static char *glob_escaped(const char *path)
{
    char *out = mem_alloc(strlen(path) * 2 + 1), *at = out;

    for (; *path; path++) {
        if (strchr("*?[]\\", *path))
            *at++ = '\\';
        *at++ = *path;
    }
    *at = '\0';
    return out;
}

void shards_find(const char *base, glob_t *found_r)
{
    char *start = glob_escaped(base), *pattern = mem_format("%s.*-of-*", start);

    memset(found_r, 0, sizeof *found_r);
    if (glob(pattern, 0, NULL, found_r) != 0)
        found_r->gl_pathc = 0;
    free(pattern);
    free(start);
}

bool shards_used(const char *folder)
{
    char *path = mem_format("%s/data.mdb", folder);
    bool there = access(path, F_OK) == 0;

    free(path);
    return there;
}
