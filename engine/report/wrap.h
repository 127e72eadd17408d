/* Lines that are wider than a terminal, broken at blanks. Pure. */
#ifndef ENGINE_REPORT_WRAP_H
#define ENGINE_REPORT_WRAP_H

#include "io/base/slice.h"

#include <stdio.h>

/* Where the second and later parts of a broken line begin: below the value that follows a label. */
#define WRAP_LABEL_WIDTH 26u

/* Writes text, in which lines end with \n, with no line wider than columns where a blank allows it.
 * A line that begins with two blanks and reaches beyond the labels goes on below its value, any
 * other one at the margin. columns 0: as it is. The text must hold no escapes. */
void wrap_lines(struct slice text, unsigned columns, FILE *out);

#endif
