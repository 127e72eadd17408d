/* A log line's key=value fields told apart, and written as one JSON object. What a field is, is
 * read from the format, a constant of the program, never from what it prints: nothing that a server
 * or a mail says makes a field. Internal to io/base/log.
 */
#ifndef IO_BASE_LOG_FIELDS_H
#define IO_BASE_LOG_FIELDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LOG_FIELDS_MAX 24
#define LOG_FIELD_MARK '\x1f' /* stands between fields of a text; what is printable has none */

struct log_fields {
    unsigned count;
    bool keyed[LOG_FIELDS_MAX];   /* "key=..."; else free words */
    bool numeric[LOG_FIELDS_MAX]; /* the value is one conversion of a number */
};

/* Copies format into out[cap] with LOG_FIELD_MARK in place of the blank before each field. False
 * when it has too many fields or does not fit. */
bool log_fields_mark(const char *format, char *out, size_t cap, struct log_fields *fields_r);

/* Appends to the open JSON object in `out` (which has a member already) the members that text
 * holds: raw, as printed with the marked format. Free words are the member "message". When the
 * marks do not agree with the fields, because a value has one, all of it is "message". */
void log_fields_json(const struct log_fields *fields, const char *text, FILE *out);

/* "text" with quotes; what is not safe to show is replaced. */
void log_fields_quote(const char *text, size_t size, FILE *out);

#endif
