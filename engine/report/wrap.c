#include "engine/report/wrap.h"

#include "engine/report/format.h"

static size_t blanks_at(struct slice line)
{
    size_t n = 0;

    while (n < line.size && line.data[n] == ' ')
        n++;
    return n;
}

/* Where to break: after the last word that fits, or after the first one when none does. Returns the
 * bytes that stay on this line; the blanks behind them are dropped. */
static size_t fitting(struct slice line, unsigned room)
{
    size_t best = 0, at = blanks_at(line);

    while (at < line.size) {
        size_t end = at;

        while (end < line.size && line.data[end] != ' ')
            end++;
        if (best && format_width(slice_first(line, end)) > room)
            return best;
        best = end;
        at = end + blanks_at(slice_from(line, end));
    }
    return best;
}

static void one_line(struct slice line, unsigned columns, FILE *out)
{
    unsigned indent = blanks_at(line) >= 2 && columns > WRAP_LABEL_WIDTH + 20 ? WRAP_LABEL_WIDTH : 0;
    unsigned left = 0;

    while (format_width(line) + left > columns) {
        size_t stays = fitting(line, columns - left);

        if (stays == 0 || stays == line.size)
            break;
        fprintf(out, "%*s%.*s\n", (int)left, "", (int)stays, line.data);
        line = slice_from(line, stays);
        line = slice_from(line, blanks_at(line));
        left = indent;
    }
    fprintf(out, "%*s%.*s\n", (int)left, "", (int)line.size, line.data);
}

void wrap_lines(struct slice text, unsigned columns, FILE *out)
{
    struct slice line;

    if (text.size == 0)
        return;
    if (columns == 0) {
        fwrite(text.data, 1, text.size, out);
        return;
    }
    if (text.size && text.data[text.size - 1] == '\n')
        text.size--;
    while (slice_split(&text, '\n', &line))
        one_line(line, columns, out);
}
