#include "io/base/log.h"

#include "io/base/log_fields.h"
#include "io/base/now.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES   1024
#define REPEAT_WINDOW_MS 60000
#define REPEAT_SLOTS     16

static const char *const level_names[] = { "error", "warn", "info", "debug", "trace" };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *log_file;
static _Atomic int log_level = LOG_WARN;
static _Atomic bool as_json;
static void (*through)(void *, const char *);
static void *through_context;

/* The last few different lines, so that a fault that hits every connection fills no disk. */
static struct repeat {
    uint64_t hash, since_ms;
    unsigned count;
} repeats[REPEAT_SLOTS];

void log_to(FILE *file, enum log_level level)
{
    pthread_mutex_lock(&lock);
    log_file = file;
    pthread_mutex_unlock(&lock);
    atomic_store(&log_level, level);
}

void log_as_json(bool json)
{
    atomic_store(&as_json, json);
}

void log_through(void (*write_line)(void *context, const char *line), void *context)
{
    pthread_mutex_lock(&lock);
    through = write_line;
    through_context = context;
    pthread_mutex_unlock(&lock);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

bool log_level_parse(const char *name, enum log_level *level_r)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++)
        if (strcmp(name, level_names[i]) == 0) {
            *level_r = (enum log_level)i;
            return true;
        }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

static uint64_t hash_text(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    return h;
}

/* True when this text was written within the window; *count_r is the number held back that the
 * next written line should tell of. Called under the lock. */
static bool repeated(const char *text, unsigned *count_r)
{
    uint64_t h = hash_text(text), now = now_ms();
    struct repeat *slot = &repeats[h % REPEAT_SLOTS];

    *count_r = 0;
    if (slot->hash == h && now - slot->since_ms < REPEAT_WINDOW_MS) {
        slot->count++;
        return true;
    }
    if (slot->hash == h)
        *count_r = slot->count;
    *slot = (struct repeat){ .hash = h, .since_ms = now };
    return false;
}

static char *text_line(enum log_level level, const char *event, const char *text, unsigned held)
{
    char line[LINE_MAX_BYTES + 160], stamp[32];
    size_t n;

    snprintf(line, sizeof line, "%s %s %s%s%s", now_rfc3339(now_wall_ms(), stamp, sizeof stamp), level_names[level],
             event, text[0] ? " " : "", text);
    n = strlen(line);
    if (held)
        snprintf(line + n, sizeof line - n, " (%u more like this in the last minute)", held);
    return strdup(line);
}

/* raw NULL: there are no fields, text is all of it. */
static char *json_line(enum log_level level, const char *event, const char *text, const struct log_fields *fields,
                       const char *raw, unsigned held)
{
    char *line = NULL, stamp[32];
    size_t size;
    FILE *out = open_memstream(&line, &size);

    if (!out)
        return NULL;
    fprintf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", now_rfc3339(now_wall_ms(), stamp, sizeof stamp),
            level_names[level], event);
    if (raw) {
        log_fields_json(fields, raw, out);
    } else if (text[0]) {
        fputs(",\"message\":", out);
        log_fields_quote(text, strlen(text), out);
    }
    if (held)
        fprintf(out, ",\"repeated\":%u", held);
    putc('}', out);
    return fclose(out) == 0 ? line : NULL;
}

static void emit(enum log_level level, const char *event, const char *text, const struct log_fields *fields,
                 const char *raw)
{
    char key[LINE_MAX_BYTES + 96], *line;
    unsigned held = 0;

    snprintf(key, sizeof key, "%s %s", event, text);
    pthread_mutex_lock(&lock);
    if (level >= LOG_DEBUG || !repeated(key, &held)) {
        FILE *to = log_file ? log_file : stderr;

        line = as_json ? json_line(level, event, text, fields, raw, held) : text_line(level, event, text, held);
        if (line && through && to == stderr) {
            through(through_context, line);
        } else if (line) {
            fprintf(to, "%s\n", line);
            fflush(to);
        }
        free(line);
    }
    pthread_mutex_unlock(&lock);
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    char raw[LINE_MAX_BYTES], text[LINE_MAX_BYTES], marked[LINE_MAX_BYTES];
    struct log_fields fields;
    bool has_fields;
    va_list args;
    int n;

    if (!log_enabled(level))
        return;
    has_fields = as_json && log_fields_mark(format, marked, sizeof marked, &fields);
    va_start(args, format);
    n = vsnprintf(raw, sizeof raw, has_fields ? marked : format, args);
    va_end(args);
    if (n < 0)
        raw[0] = '\0';
    err_printable(text, sizeof text, raw, strlen(raw));
    emit(level, event, text, &fields, has_fields ? raw : NULL);
}

void log_err(enum log_level level, const char *event, const struct err *e)
{
    char line[512];

    log_line(level, event, "class=%s scope=%s %s", err_class_name(e->class), err_scope_name(e->scope),
             err_line(e, line, sizeof line));
}
