/* Numbers, sizes, times and texts as people read them; what reports, status and the live display
 * have in common. Pure. */
#ifndef ENGINE_REPORT_FORMAT_H
#define ENGINE_REPORT_FORMAT_H

#include "io/base/buf.h"

#include <stdio.h>

/* All write a terminated text into out and return it; 32 bytes always suffice. */
struct format_text {
    char text[32];
};
struct format_text format_count(uint64_t n);                      /* 1,234,567 */
struct format_text format_bytes(uint64_t bytes);                  /* 1.2 GB, decimal units as in the batch file */
struct format_text format_rate(double bytes_per_s);               /* 85 MB/s */
struct format_text format_seconds(double seconds);                /* 45 s, 12 min 5 s, 3 h 07 min, 2 d 4 h */
const char *format_s(uint64_t n);                                 /* "" for 1, else "s": 1 user, 2 users */
struct format_text format_percent(uint64_t part, uint64_t whole); /* 31 %; 100 only when all */

/* Columns that valid UTF-8 takes on a terminal: 0, 1 or 2 a character. */
unsigned format_width(struct slice text);
/* Appends text padded with blanks, or cut with a mark, to exactly `columns`. utf8 false: every
 * character outside ASCII becomes '?', the mark is '~'. What does not fit the buf is left out. */
void format_cell(struct buf *out, struct slice text, unsigned columns, bool right, bool utf8);
/* Writes text as it is, and blanks up to `columns`; nothing is cut. */
void format_left(FILE *out, struct slice text, unsigned columns);
/* A bar of `columns` filled to part/whole. */
void format_bar(struct buf *out, uint64_t part, uint64_t whole, unsigned columns, bool utf8);
/* A printable copy (err_printable) of the caller's to free. */
char *format_printable(struct slice text);

#endif
