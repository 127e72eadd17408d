#include "engine/report/emit.h"

#include "io/base/now.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

void emit_init(struct emit *e, FILE *out, bool breaks)
{
    *e = (struct emit){ .out = out, .breaks = breaks };
}

/* Length of the well-formed sequence at the front, 0 when there is none (RFC 3629 4). */
static size_t sequence(struct slice text)
{
    const unsigned char *p = (const unsigned char *)text.data;
    size_t n = p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;

    if (n == 0 || n > text.size)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return n;
}

static void quoted(FILE *out, struct slice text)
{
    putc('"', out);
    while (text.size) {
        unsigned char c = (unsigned char)text.data[0];
        size_t n = 1;

        if (c >= 0x80) {
            n = sequence(text);
            if (n == 0)
                fputs("\\ufffd", out);
            else if (n == 3 && memcmp(text.data, "\xe2\x80\xa8", 3) == 0)
                fputs("\\u2028", out);
            else if (n == 3 && memcmp(text.data, "\xe2\x80\xa9", 3) == 0)
                fputs("\\u2029", out);
            else
                fwrite(text.data, 1, n, out);
            n = n ? n : 1;
        } else if (c == '"' || c == '\\') {
            putc('\\', out);
            putc(c, out);
        } else if (c < 0x20 || c == 0x7F || c == '<' || c == '>' || c == '&') {
            fprintf(out, "\\u%04x", c);
        } else {
            putc(c, out);
        }
        text = slice_from(text, n);
    }
    putc('"', out);
}

static void before(struct emit *e, const char *name)
{
    if (e->comma[e->depth])
        putc(',', e->out);
    if (e->breaks && e->depth > 0 && e->depth <= 3)
        fprintf(e->out, "\n%*s", (int)e->depth, "");
    e->comma[e->depth] = true;
    if (name) {
        quoted(e->out, slice_cstr(name));
        putc(':', e->out);
        if (e->breaks)
            putc(' ', e->out);
    }
}

static void begin(struct emit *e, const char *name, char open)
{
    before(e, name);
    putc(open, e->out);
    assert(e->depth + 1 < EMIT_DEPTH);
    e->comma[++e->depth] = false;
}

static void end(struct emit *e, char close)
{
    assert(e->depth > 0);
    e->depth--;
    putc(close, e->out);
    if (e->depth == 0 && e->breaks)
        putc('\n', e->out);
}

void emit_object(struct emit *e, const char *name)
{
    begin(e, name, '{');
}

void emit_array(struct emit *e, const char *name)
{
    begin(e, name, '[');
}

void emit_end_object(struct emit *e)
{
    end(e, '}');
}

void emit_end_array(struct emit *e)
{
    end(e, ']');
}

void emit_text(struct emit *e, const char *name, struct slice text)
{
    before(e, name);
    quoted(e->out, text);
}

void emit_cstr(struct emit *e, const char *name, const char *text)
{
    emit_text(e, name, slice_cstr(text));
}

void emit_number(struct emit *e, const char *name, uint64_t value)
{
    before(e, name);
    fprintf(e->out, "%" PRIu64, value);
}

void emit_real(struct emit *e, const char *name, double value)
{
    char digits[400];
    size_t n;

    if (!isfinite(value))
        value = 0;
    before(e, name);
    n = (size_t)snprintf(digits, sizeof digits, "%.3f", value);
    while (digits[n - 1] == '0')
        n--;
    if (digits[n - 1] == '.')
        n--;
    fwrite(digits, 1, n, e->out);
}

void emit_bool(struct emit *e, const char *name, bool value)
{
    before(e, name);
    fputs(value ? "true" : "false", e->out);
}

void emit_null(struct emit *e, const char *name)
{
    before(e, name);
    fputs("null", e->out);
}

void emit_time(struct emit *e, const char *name, int64_t wall_ms)
{
    char stamp[32];

    emit_cstr(e, name, now_rfc3339(wall_ms, stamp, sizeof stamp));
}
