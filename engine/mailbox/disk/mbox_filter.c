#include "engine/mailbox/disk/mbox.h"

#include <string.h>

#define QUOTES_MAX 1000u /* of one line; it is no quoted one beyond */

_Static_assert(QUOTES_MAX + sizeof((struct disk_filter *)0)->text <= DISK_FILTER_MORE, "what may be held back");

bool mbox_is_hidden(struct slice name)
{
    static const char *const hidden[] = { "Status",         "X-Status",         "X-Keywords",
                                          "X-UID",          "X-IMAP",           "X-IMAPbase",
                                          "Content-Length", "X-Mozilla-Status", "X-Mozilla-Status2",
                                          "X-Mozilla-Keys" };

    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (slice_equal_nocase(name, slice_cstr(hidden[i])))
            return true;
    return false;
}

static size_t give(struct disk_filter *f, char c, char *out)
{
    size_t used = 0;

    if (f->hides)
        return 0;
    if (c == '\n' && !f->after_cr)
        out[used++] = '\r';
    out[used++] = c;
    f->after_cr = c == '\r';
    return used;
}

/* What was held back while it could have become a quoted line, or a header's name. */
static size_t release(struct disk_filter *f, unsigned less, char *out)
{
    size_t used = 0;

    while (f->quotes > less) {
        f->quotes--;
        used += give(f, '>', out + used);
    }
    for (unsigned i = 0; i < f->held; i++)
        used += give(f, f->text[i], out + used);
    f->quotes = f->held = 0;
    f->within_line = true;
    return used;
}

/* The line is no header that is hidden, or not any more. */
static size_t show(struct disk_filter *f, char c, char *out)
{
    size_t used;

    f->hides = false;
    used = release(f, 0, out);
    f->within_line = c != '\n';
    return used + give(f, c, out + used);
}

static size_t quoted(struct disk_filter *f, char c, char *out)
{
    if (f->held == 0 && c == '>' && f->quotes < QUOTES_MAX) {
        f->quotes++;
        return 0;
    }
    if (c != "From "[f->held])
        return show(f, c, out);
    f->text[f->held++] = c;
    if (f->held < 5)
        return 0;
    f->hides = false;
    return release(f, 1, out);
}

static size_t of_header(struct disk_filter *f, char c, char *out)
{
    if (f->held == 0 && (c == ' ' || c == '\t')) { /* a header goes on: hidden with its first line */
        f->within_line = true;
        return give(f, c, out);
    }
    if (c == ':') {
        f->hides = mbox_is_hidden(slice_of(f->text, f->held));
        if (!f->hides)
            return show(f, c, out);
        f->held = 0;
        f->within_line = true;
        return 0;
    }
    if (c == '\n')
        f->behind_header = f->held == 0 || (f->held == 1 && f->text[0] == '\r');
    if (c == '\n' || f->held == sizeof f->text)
        return show(f, c, out);
    f->text[f->held++] = c;
    return 0;
}

static size_t one(struct disk_filter *f, char c, char *out)
{
    if (f->within_line) {
        f->within_line = c != '\n';
        return give(f, c, out);
    }
    if (f->quotes || (f->held == 0 && c == '>'))
        return quoted(f, c, out);
    return f->behind_header ? show(f, c, out) : of_header(f, c, out);
}

size_t mbox_filter(struct disk_filter *f, const char *in, size_t size, bool last, char *out)
{
    size_t used = 0;

    for (size_t i = 0; i < size; i++)
        used += one(f, in[i], out + used);
    if (last && (f->quotes || f->held)) {
        f->hides = false;
        used += release(f, 0, out + used);
    }
    return used;
}
