#include "engine/message/repair_private.h"

#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Enough of a header line to know its field by. */
#define START_MAX 128u

struct repair_scan {
    struct repair_found found;
    char start[START_MAX];
    size_t start_size;
    uint64_t line_bytes;
    bool body, returned; /* the last byte was a CR */
    bool odd;            /* a line of the header was no field */
};

struct repair_scan *repair_scan_create(void)
{
    return mem_zero(1, sizeof(struct repair_scan));
}

/* The line without its end is whole. */
static void line_ends(struct repair_scan *s)
{
    struct slice start = slice_of(s->start, s->start_size), name;

    if (s->line_bytes > s->found.longest_line)
        s->found.longest_line = s->line_bytes;
    if (!s->body && s->line_bytes == 0) {
        s->body = true;
        s->found.header_end |= s->odd;
    } else if (!s->body && start.size && start.data[0] != ' ' && start.data[0] != '\t') {
        name = repair_field_name(start);
        if (!name.size) {
            s->odd = true;
        } else if (start.data[name.size] != ':') {
            s->found.header_lines = true;
        } else if (s->odd && repair_field_known(name)) {
            s->found.header_lines = true;
            s->odd = false;
        }
    }
    s->line_bytes = 0;
    s->start_size = 0;
}

static void line_part(struct repair_scan *s, struct slice part)
{
    size_t n = START_MAX - s->start_size < part.size ? START_MAX - s->start_size : part.size;

    if (!part.size)
        return;
    if (!s->body) {
        memcpy(s->start + s->start_size, part.data, n);
        s->start_size += n;
        for (size_t i = 0; i < part.size && !s->found.header_bytes; i++)
            s->found.header_bytes = (unsigned char)part.data[i] >= 0x80;
    }
    s->found.nul |= memchr(part.data, '\0', part.size) != NULL;
    s->line_bytes += part.size;
}

void repair_scan_add(struct repair_scan *s, struct slice bytes)
{
    while (bytes.size) {
        size_t n = 0;

        if (s->returned && bytes.data[0] != '\n') {
            s->found.bare_ends = true;
            line_ends(s);
        }
        if (bytes.data[0] == '\n') {
            s->found.bare_ends |= !s->returned;
            s->returned = false;
            line_ends(s);
            bytes = slice_from(bytes, 1);
            continue;
        }
        s->returned = bytes.data[0] == '\r';
        if (s->returned) {
            bytes = slice_from(bytes, 1);
            continue;
        }
        while (n < bytes.size && bytes.data[n] != '\n' && bytes.data[n] != '\r')
            n++;
        line_part(s, slice_first(bytes, n));
        bytes = slice_from(bytes, n);
    }
}

void repair_scan_end(struct repair_scan **scan, struct repair_found *found_r)
{
    struct repair_scan *s = *scan;

    s->found.bare_ends |= s->returned;
    if (s->line_bytes || s->returned)
        line_ends(s);
    s->found.header_end |= !s->body;
    *found_r = s->found;
    free(s);
    *scan = NULL;
}

static bool says(struct slice text, const char *words)
{
    return slice_find_nocase(text, slice_cstr(words)) != SIZE_MAX;
}

/* Words of servers that tell what they mind. Exchange's own "Command Argument Error. 11" tells
 * nothing. exchange-online.md 1.7. */
static unsigned named_by(struct slice text)
{
    static const struct {
        const char *words;
        unsigned repairs;
    } rows[] = {
        { "NUL character", REPAIR_NUL },
        { "NUL byte", REPAIR_NUL },
        { "NULs", REPAIR_NUL },
        { "bare newline", REPAIR_LINE_ENDS },
        { "bare LF", REPAIR_LINE_ENDS },
        { "bare CR", REPAIR_LINE_ENDS },
        { "bare linefeed", REPAIR_LINE_ENDS },
        { "bare line feed", REPAIR_LINE_ENDS },
        { "CRLF", REPAIR_LINE_ENDS },
        { "non-ASCII", REPAIR_HEADER_BYTES },
        { "8bit", REPAIR_HEADER_BYTES },
        { "8-bit", REPAIR_HEADER_BYTES },
        { "separator", REPAIR_HEADER_END },
        { "invalid header", REPAIR_HEADER_LINES | REPAIR_HEADER_END | REPAIR_HEADER_BYTES },
        { "line too long", REPAIR_LONG_LINES | REPAIR_SHORT_LINES },
        { "line length", REPAIR_LONG_LINES | REPAIR_SHORT_LINES },
        { "long line", REPAIR_LONG_LINES | REPAIR_SHORT_LINES },
        { "lines longer", REPAIR_LONG_LINES | REPAIR_SHORT_LINES },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (says(text, rows[i].words))
            return rows[i].repairs;
    return 0;
}

unsigned repair_next(unsigned repairs, const struct repair_found *found, struct slice text)
{
    /* From what nobody sees to what a reader may. */
    static const unsigned order[] = {
        REPAIR_LINE_ENDS,    REPAIR_NUL,        REPAIR_LONG_LINES,  REPAIR_HEADER_BYTES,
        REPAIR_HEADER_LINES, REPAIR_HEADER_END, REPAIR_SHORT_LINES,
    };
    unsigned useful = (found->bare_ends ? REPAIR_LINE_ENDS : 0u) | (found->nul ? REPAIR_NUL : 0u) |
                      (found->longest_line > REPAIR_LINE_BYTES ? REPAIR_LONG_LINES : 0u) |
                      (found->header_bytes ? REPAIR_HEADER_BYTES : 0u) |
                      (found->header_lines ? REPAIR_HEADER_LINES : 0u) | (found->header_end ? REPAIR_HEADER_END : 0u) |
                      (found->longest_line > REPAIR_SHORT_LINE_BYTES ? REPAIR_SHORT_LINES : 0u);
    unsigned named;

    useful &= ~repairs;
    named = useful & named_by(text);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if ((named ? named : useful) & order[i])
            return repairs | order[i];
    return 0;
}
