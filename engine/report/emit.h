/* JSON written as it comes, so that a user with a million skipped messages needs no memory. Keeps
 * commas and nesting right; names are constants, texts are anybody's. The result is safe for HTML and for terminals:
 * <, >, & and what is not safe to show (io/base/shown) are written as \u escapes.
 */
#ifndef ENGINE_REPORT_EMIT_H
#define ENGINE_REPORT_EMIT_H

#include "io/base/slice.h"

#include <stdio.h>

#define EMIT_DEPTH 16

struct emit {
    FILE *out;
    unsigned depth;
    bool comma[EMIT_DEPTH]; /* something was written at this depth */
    bool breaks;            /* a line break before each value down to depth 3, for people */
};

void emit_init(struct emit *e, FILE *out, bool breaks);
/* name: NULL inside an array. */
void emit_object(struct emit *e, const char *name);
void emit_array(struct emit *e, const char *name);
void emit_end_object(struct emit *e);
void emit_end_array(struct emit *e);
/* Bytes that are not UTF-8 become U+FFFD. */
void emit_text(struct emit *e, const char *name, struct slice text);
void emit_cstr(struct emit *e, const char *name, const char *text);
void emit_number(struct emit *e, const char *name, uint64_t value);
void emit_integer(struct emit *e, const char *name, int64_t value);
/* Three decimals at most; what is not finite is written as 0. */
void emit_real(struct emit *e, const char *name, double value);
void emit_bool(struct emit *e, const char *name, bool value);
void emit_null(struct emit *e, const char *name);
/* RFC 3339; 0 gives "". */
void emit_time(struct emit *e, const char *name, int64_t wall_ms);

/* Writes JSON that is made already, and a line end; what is not safe to show in its strings as \u escapes. */
void emit_whole(FILE *out, struct slice json);

#endif
