#include "engine/report/format.h"

#include "io/base/mem.h"
#include "io/base/shown.h"

#include <inttypes.h>
#include <stdio.h>

struct format_text format_count(uint64_t n)
{
    char digits[24];
    struct format_text f;
    size_t used = 0;
    int size = snprintf(digits, sizeof digits, "%" PRIu64, n);

    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0)
            f.text[used++] = ',';
        f.text[used++] = digits[i];
    }
    f.text[used] = '\0';
    return f;
}

static struct format_text scaled(double value, const char *suffix)
{
    static const char *const units[] = { "B", "KB", "MB", "GB", "TB", "PB", "EB" };
    struct format_text f;
    unsigned unit = 0;

    if (!(value > 0)) /* also not a number */
        value = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    if (value > 1e6)
        value = 1e6;
    snprintf(f.text, sizeof f.text, unit && value < 9.95 ? "%.1f %s%s" : "%.0f %s%s", value, units[unit], suffix);
    return f;
}

struct format_text format_bytes(uint64_t bytes)
{
    return scaled((double)bytes, "");
}

struct format_text format_rate(double bytes_per_s)
{
    return scaled(bytes_per_s, "/s");
}

struct format_text format_seconds(double seconds)
{
    struct format_text f;
    uint64_t s = seconds > 0 ? (seconds < 1e12 ? (uint64_t)(seconds + 0.5) : 1000000000000u) : 0;

    if (s < 10 && seconds > 0.05 && seconds < 9.95)
        snprintf(f.text, sizeof f.text, "%.1f s", seconds);
    else if (s < 60)
        snprintf(f.text, sizeof f.text, "%" PRIu64 " s", s);
    else if (s < 600 && s % 60)
        snprintf(f.text, sizeof f.text, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else if (s < 3600)
        snprintf(f.text, sizeof f.text, "%" PRIu64 " min", s / 60);
    else if (s < 86400)
        snprintf(f.text, sizeof f.text, "%" PRIu64 " h %02" PRIu64 " min", s / 3600, s / 60 % 60);
    else
        snprintf(f.text, sizeof f.text, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
    return f;
}

/* part * 100 / whole without overflow, 0..100; 0 for a whole of 0. */
static unsigned format_hundredths(uint64_t part, uint64_t whole)
{
    if (whole == 0)
        return 0;
    if (part >= whole)
        return 100;
    return (unsigned)((double)part * 100.0 / (double)whole);
}

const char *format_s(uint64_t n)
{
    return n == 1 ? "" : "s";
}

struct format_text format_percent(uint64_t part, uint64_t whole)
{
    struct format_text f;
    unsigned n = format_hundredths(part, whole);

    /* 100 % is a promise that nothing is missing. */
    if (n == 100 && part < whole)
        n = 99;
    snprintf(f.text, sizeof f.text, "%u %%", n);
    return f;
}

/* Decodes the character at the front of valid UTF-8; what is not is taken byte by byte. */
static size_t next_character(struct slice text, uint32_t *code_r)
{
    const unsigned char *p = (const unsigned char *)text.data;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;

    if (n == 0 || n > text.size) {
        *code_r = 0xFFFD;
        return 1;
    }
    *code_r = n == 1 ? p[0] : p[0] & (0xFFu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            *code_r = 0xFFFD;
            return 1;
        }
        *code_r = *code_r << 6 | (p[i] & 0x3Fu);
    }
    return n;
}

/* Enough of Unicode's width tables for names of people and folders; wcwidth() would depend on the
 * locale of whoever runs it. */
static unsigned character_width(uint32_t c)
{
    if ((c >= 0x300 && c <= 0x36F) || c == 0x200C || c == 0x200D || (c >= 0x20D0 && c <= 0x20FF) ||
        (c >= 0xFE00 && c <= 0xFE0F) || (c >= 0xFE20 && c <= 0xFE2F))
        return 0;
    if ((c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) || (c >= 0xAC00 && c <= 0xD7A3) ||
        (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF01 && c <= 0xFF60) ||
        (c >= 0xFFE0 && c <= 0xFFE6) || (c >= 0x1F300 && c <= 0x1FAFF) || (c >= 0x20000 && c <= 0x3FFFD))
        return 2;
    return 1;
}

/* Directional marks could turn a line round on the terminal; what has no width would make two names look the same. */
static bool is_unseen(uint32_t c)
{
    return c >= 0xA0 && !shown_is_safe(c);
}

unsigned format_width(struct slice text)
{
    unsigned width = 0;

    while (text.size) {
        uint32_t c;
        size_t n = next_character(text, &c);

        width += is_unseen(c) ? 0 : character_width(c);
        text = slice_from(text, n);
    }
    return width;
}

static void add(struct buf *out, const char *data, size_t size)
{
    bool fits = buf_append(out, slice_of(data, size));

    (void)fits;
}

static void add_blanks(struct buf *out, unsigned count)
{
    while (count--)
        add(out, " ", 1);
}

void format_cell(struct buf *out, struct slice text, unsigned columns, bool right, bool utf8)
{
    unsigned width = format_width(text), used = 0;
    bool cut = width > columns;

    if (right && !cut)
        add_blanks(out, columns - width);
    while (text.size) {
        uint32_t c;
        size_t n = next_character(text, &c);
        unsigned w = is_unseen(c) ? 0 : character_width(c);

        if (cut && used + w > columns - (columns ? 1 : 0))
            break;
        if (is_unseen(c))
            ;
        else if (c < 0x20 || c == 0x7F || c == 0xFFFD || (c >= 0x80 && c < 0xA0))
            add(out, "?", 1);
        else if (c >= 0x80 && !utf8)
            add(out, "??", w);
        else
            add(out, text.data, n);
        used += w;
        text = slice_from(text, n);
    }
    if (cut && columns) {
        add(out, utf8 ? "…" : "~", utf8 ? strlen("…") : 1);
        used++;
    }
    if (used < columns && (!right || cut))
        add_blanks(out, columns - used);
}

void format_left(FILE *out, struct slice text, unsigned columns)
{
    unsigned width = format_width(text);

    fprintf(out, "%.*s%*s", (int)text.size, text.data, width < columns ? (int)(columns - width) : 0, "");
}

void format_bar(struct buf *out, uint64_t part, uint64_t whole, unsigned columns, bool utf8)
{
    unsigned full = whole ? format_hundredths(part, whole) * columns / 100 : 0;

    for (unsigned i = 0; i < columns; i++)
        if (utf8)
            add(out, i < full ? "█" : "░", 3);
        else
            add(out, i < full ? "#" : ".", 1);
}

char *format_printable(struct slice text)
{
    char *out = mem_alloc(text.size + 1);

    err_printable(out, text.size + 1, text.data, text.size);
    return out;
}
