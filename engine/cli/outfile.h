/* A file that the command line names, written whole or not at all: what stood there stays until the new text is
 * on the disk, also when that is full or somebody ends the process. */
#ifndef ENGINE_CLI_OUTFILE_H
#define ENGINE_CLI_OUTFILE_H

#include "io/base/err.h"

#include <stdio.h>

struct outfile {
    FILE *out; /* the text goes in here */
    char *path, *part, *text;
    size_t size;
};

/* A new file takes the place of path (of what a link points to), with owner and permissions of the old one. Where none
 * can be made so beside it the text is gathered in memory, and written over the old one once there is room for all of
 * it. What is no regular file is written as it is. Errors: errno, 0 when it stands; then outfile_end follows. */
int outfile_begin(struct outfile *f, const char *path);
/* keep false: what stood there stays. Errors: PERMANENT/RUN, origin OS; none when keep is false. Frees. */
bool outfile_end(struct outfile *f, bool keep, struct err *err_r);

#endif
