#include "io/base/err.h"

#include "io/base/shown.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const class_names[] = { "none", "transient", "throttled", "uncertain", "permanent", "canceled" };
static const char *const scope_names[] = { "message", "folder", "session", "account", "run" };
static const char *const origin_names[] = { "system", "dns",   "tls",    "protocol", "no",      "bad",
                                            "bye",    "store", "config", "token",    "maildir", "mbox" };
_Static_assert(sizeof class_names / sizeof *class_names == ERR_CLASS_COUNT, "a name a class");
_Static_assert(sizeof scope_names / sizeof *scope_names == ERR_SCOPE_COUNT, "a name a scope");
_Static_assert(sizeof origin_names / sizeof *origin_names == ERR_ORIGIN_COUNT, "a name an origin");

const char *err_class_name(enum err_class class)
{
    assert((unsigned)class < ERR_CLASS_COUNT);
    return class_names[class];
}

const char *err_scope_name(enum err_scope scope)
{
    assert((unsigned)scope < ERR_SCOPE_COUNT);
    return scope_names[scope];
}

const char *err_origin_name(enum err_origin origin)
{
    assert((unsigned)origin < ERR_ORIGIN_COUNT);
    return origin_names[origin];
}

void err_printable(char *out, size_t cap, const char *text, size_t size)
{
    size_t used = 0;

    assert(cap >= 1);
    for (size_t i = 0; i < size;) {
        uint32_t code = 0;
        size_t n = shown_sequence(text + i, size - i, &code);
        bool safe = n && shown_is_safe(code);

        if (used + (safe ? n : 1) >= cap)
            break;
        if (safe)
            memcpy(out + used, text + i, n);
        else
            out[used] = '.';
        used += safe ? n : 1;
        i += n ? n : 1;
    }
    out[used] = '\0';
}

static void format_printable(char *out, size_t cap, const char *format, va_list args)
{
    char text[512];
    int n = vsnprintf(text, sizeof text, format, args);

    err_printable(out, cap, text, n < 0 ? 0 : strnlen(text, sizeof text - 1));
}

bool err_set(struct err *e, enum err_class class, enum err_scope scope, enum err_origin origin, int code,
             const char *format, ...)
{
    va_list args;

    *e = (struct err){ .class = class, .scope = scope, .origin = origin, .code = code };
    va_start(args, format);
    format_printable(e->server_text, sizeof e->server_text, format, args);
    va_end(args);
    return false;
}

bool err_set_os(struct err *e, enum err_class class, enum err_scope scope, int error, const char *doing)
{
    char text[128];

    err_set(e, class, scope, ERR_ORIGIN_OS, error, "%s", strerror_r(error, text, sizeof text));
    return err_doing(e, "%s", doing);
}

bool err_doing(struct err *e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    format_printable(e->doing, sizeof e->doing, format, args);
    va_end(args);
    return false;
}

const char *err_line(const struct err *e, char *out, size_t cap)
{
    const char *verb = e->origin == ERR_ORIGIN_NO    ? "NO "
                       : e->origin == ERR_ORIGIN_BAD ? "BAD "
                       : e->origin == ERR_ORIGIN_BYE ? "BYE "
                                                     : "";

    snprintf(out, cap, "%s%s%s%s%s%s%s", e->doing, e->doing[0] ? ": " : "", verb, e->resp_code[0] ? "[" : "",
             e->resp_code, e->resp_code[0] ? "] " : "", e->server_text);
    return out;
}
