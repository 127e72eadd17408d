#include "io/base/log_fields.h"

#include "io/base/err.h"

#include <ctype.h>
#include <string.h>

#define VALUE_BYTES 1024

/* The length of "key=" at the beginning, or 0. */
static size_t key_size(const char *text)
{
    size_t n = 0;

    while (islower((unsigned char)text[n]) || isdigit((unsigned char)text[n]) || text[n] == '_')
        n++;
    return n && text[n] == '=' ? n + 1 : 0;
}

/* One conversion of a number and no more, up to the next blank. */
static bool is_number(const char *format)
{
    size_t n = 1;

    if (format[0] != '%')
        return false;
    if (format[n] == '.')
        n += 1 + strspn(format + n + 1, "0123456789");
    n += strspn(format + n, "lzhj");
    return format[n] && strchr("diuf", format[n]) && (format[n + 1] == ' ' || format[n + 1] == '\0');
}

static bool begin_field(struct log_fields *fields, const char *format)
{
    size_t key = key_size(format);

    if (fields->count == LOG_FIELDS_MAX)
        return false;
    fields->keyed[fields->count] = key > 0;
    fields->numeric[fields->count++] = key && is_number(format + key);
    return true;
}

bool log_fields_mark(const char *format, char *out, size_t cap, struct log_fields *fields_r)
{
    size_t size = strlen(format);

    *fields_r = (struct log_fields){ 0 };
    if (size >= cap || !begin_field(fields_r, format))
        return false;
    for (size_t i = 0; i <= size; i++) {
        /* A conversion behind a keyed value is words of its own; other words go on with what stands
         * before them. */
        bool begins = format[i] == ' ' &&
                      (key_size(format + i + 1) || (format[i + 1] == '%' && fields_r->keyed[fields_r->count - 1]));

        if (begins && !begin_field(fields_r, format + i + 1))
            return false;
        out[i] = begins ? LOG_FIELD_MARK : format[i];
    }
    return true;
}

void log_fields_quote(const char *text, size_t size, FILE *out)
{
    char safe[VALUE_BYTES];

    err_printable(safe, sizeof safe, text, size);
    putc('"', out);
    for (const char *p = safe; *p; p++) {
        if (*p == '"' || *p == '\\')
            putc('\\', out);
        putc(*p, out);
    }
    putc('"', out);
}

static void member(const char *key, size_t key_bytes, bool numeric, const char *value, size_t size, FILE *out)
{
    fprintf(out, ",\"%.*s\":", (int)key_bytes, key);
    if (numeric)
        fprintf(out, "%.*s", (int)size, value);
    else
        log_fields_quote(value, size, out);
}

void log_fields_json(const struct log_fields *fields, const char *text, FILE *out)
{
    size_t marks = 0;

    for (const char *p = text; *p; p++)
        marks += *p == LOG_FIELD_MARK;
    if (marks + 1 != fields->count) {
        member("message", 7, false, text, strlen(text), out);
        return;
    }
    for (unsigned i = 0; i < fields->count; i++) {
        const char *end = strchrnul(text, LOG_FIELD_MARK);
        size_t key = fields->keyed[i] ? key_size(text) : 0, size = (size_t)(end - text) - key;

        /* Cut amid its key; a number that is cut is still one. */
        if (fields->keyed[i] && key == 0)
            return;
        if (key)
            member(text, key - 1, fields->numeric[i] && size, text + key, size, out);
        else if (size)
            member("message", 7, false, text, size, out);
        text = *end ? end + 1 : end;
    }
}
