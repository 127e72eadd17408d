/* Standard output on a terminal, with lines broken at blanks where they are wider than it. */
#ifndef ENGINE_CLI_FOLDED_H
#define ENGINE_CLI_FOLDED_H

#include "io/base/slice.h"

#include <stdio.h>

/* From here on what is printed to stdout is broken so; nothing changes where it is no terminal.
 * Call it once, before anything is printed. */
void folded_stdout(void);
/* At the end: what has no line end yet. */
void folded_end(void);
/* Writes text to out, a terminal or not, broken so. */
void folded_write(struct slice text, FILE *out);

#endif
