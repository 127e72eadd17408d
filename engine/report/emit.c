#include "engine/report/emit.h"

#include "io/base/now.h"
#include "io/base/shown.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

void emit_init(struct emit *e, FILE *out, bool breaks)
{
    *e = (struct emit){ .out = out, .breaks = breaks };
}

static void escaped(FILE *out, uint32_t code)
{
    if (code >= 0x10000)
        fprintf(out, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + (code & 0x3FF));
    else
        fprintf(out, "\\u%04x", code);
}

/* One character of a string's content, the JSON escapes of " and \ apart. Returns its bytes. */
static size_t character(FILE *out, struct slice text)
{
    uint32_t code = 0;
    size_t n = shown_sequence(text.data, text.size, &code);

    if (n == 0)
        fputs("\\ufffd", out);
    else if (!shown_is_safe(code))
        escaped(out, code);
    else
        fwrite(text.data, 1, n, out);
    return n ? n : 1;
}

static void quoted(FILE *out, struct slice text)
{
    putc('"', out);
    while (text.size) {
        char c = text.data[0];
        size_t n = 1;

        if (c == '"' || c == '\\') {
            putc('\\', out);
            putc(c, out);
        } else if (c == '<' || c == '>' || c == '&') {
            escaped(out, (unsigned char)c);
        } else {
            n = character(out, text);
        }
        text = slice_from(text, n);
    }
    putc('"', out);
}

void emit_whole(FILE *out, struct slice json)
{
    while (json.size) {
        size_t n = 1;

        if (json.data[0] == '\n')
            putc('\n', out); /* between values: in a string it is escaped */
        else
            n = character(out, json);
        json = slice_from(json, n);
    }
    putc('\n', out);
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

void emit_integer(struct emit *e, const char *name, int64_t value)
{
    before(e, name);
    fprintf(e->out, "%" PRId64, value);
}

void emit_real(struct emit *e, const char *name, double value)
{
    char digits[400];
    size_t n;

    if (!isfinite(value))
        value = 0;
    before(e, name);
    /* All digits of a large one would be an integer that no reader takes. */
    n = (size_t)snprintf(digits, sizeof digits, fabs(value) < 1e15 ? "%.3f" : "%.17e", value);
    while (fabs(value) < 1e15 && digits[n - 1] == '0')
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
