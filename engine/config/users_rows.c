#include "engine/config/users_rows.h"

#include "engine/config/invisible.h"
#include "engine/config/text.h"

#include <stdarg.h>
#include <stdio.h>

bool users_refuse(struct users_rows *f, struct users_place at, const char *format, ...)
{
    char text[sizeof f->err_r->server_text];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    *f->place_r = at;
    return config_refuse(f->err_r, CONFIG_EXIT_USERS, "%s:%u:%u: %s", f->name, at.line, at.column, text);
}

static char take(struct users_rows *f)
{
    char c = f->data[f->at++];

    if (c == '\n') {
        f->here.line++;
        f->here.column = 1;
    } else if (((unsigned char)c & 0xC0) != 0x80) {
        f->here.column++;
    }
    return c;
}

static bool next_is(const struct users_rows *f, char c)
{
    return f->at < f->size && f->data[f->at] == c;
}

static bool at_row_end(const struct users_rows *f)
{
    return f->at == f->size || next_is(f, '\n') ||
           (next_is(f, '\r') && f->at + 1 < f->size && f->data[f->at + 1] == '\n');
}

static bool read_quoted(struct users_rows *f, struct users_cell *cell)
{
    char *out = f->data + f->at;
    size_t used = 0;

    take(f);
    for (;;) {
        char c;

        if (f->at == f->size)
            return users_refuse(f, cell->at, "a quote begins here and never ends");
        c = take(f);
        if (c == '"') {
            if (!next_is(f, '"'))
                break;
            take(f);
        }
        out[used++] = c;
    }
    cell->text = slice_of(out, used);
    cell->quoted = true;
    if (!at_row_end(f) && !next_is(f, f->comma))
        return users_refuse(f, f->here, "text after the closing quote; a quote within is written \"\"");
    return true;
}

static bool read_cell(struct users_rows *f, struct users_cell *cell)
{
    size_t begin = f->at;

    cell->at = f->here;
    cell->quoted = false;
    if (next_is(f, '"'))
        return read_quoted(f, cell);
    while (!at_row_end(f) && !next_is(f, f->comma)) {
        if (next_is(f, '"'))
            return users_refuse(f, f->here, "a quote inside a cell; put the cell in quotes and write it \"\"");
        if (next_is(f, '\r'))
            return users_refuse(f, f->here, "a carriage return without line feed");
        take(f);
    }
    cell->text = slice_of(f->data + begin, f->at - begin);
    return true;
}

void users_skip_line(struct users_rows *f)
{
    while (f->at < f->size && take(f) != '\n')
        ;
}

bool users_skip_blank(struct users_rows *f)
{
    while (f->at < f->size && at_row_end(f))
        take(f);
    return f->at < f->size;
}

bool users_read_row(struct users_rows *f, struct users_cell *cells, unsigned max, unsigned *count_r)
{
    struct users_cell spare;
    unsigned count = 0;

    for (;;) {
        if (!read_cell(f, count < max ? &cells[count] : &spare))
            return false;
        count++;
        if (!next_is(f, f->comma))
            break;
        take(f);
    }
    users_skip_line(f);
    *count_r = count;
    return true;
}

bool users_row_is_blank(const struct users_cell *cells, unsigned count, unsigned max)
{
    for (unsigned i = 0; i < count; i++)
        if (i == max || cells[i].quoted || invisible_trim(cells[i].text).size)
            return false;
    return true;
}
