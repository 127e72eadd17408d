#include "engine/config/text.h"

#include "io/base/mem.h"
#include "io/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_SHOWN_MAX 80

bool config_refuse(struct err *err_r, int exit_code, const char *format, ...)
{
    char text[sizeof err_r->server_text];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_CONFIG, exit_code, "%s", text);
}

const char *config_text_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = strlen(path) <= NAME_SHOWN_MAX || !slash ? path : slash + 1;
    size_t size = strlen(name);

    return size <= NAME_SHOWN_MAX ? name : name + size - NAME_SHOWN_MAX;
}

const char *config_text_shown(struct slice value, char out[CONFIG_SHOWN_MAX + 1])
{
    size_t used = 0, begin = 0, end = 0;

    for (size_t i = 0; i + 2 < value.size && begin == 0; i++)
        if (memcmp(value.data + i, "://", 3) == 0)
            begin = i + 3;
    for (size_t i = begin; begin && i < value.size; i++)
        if (value.data[i] == '@')
            end = i;
    for (size_t i = 0; i < value.size && used < CONFIG_SHOWN_MAX; i++) {
        if (end && i == begin) {
            used += (size_t)snprintf(out + used, CONFIG_SHOWN_MAX + 1 - used, "***");
            used = used < CONFIG_SHOWN_MAX ? used : CONFIG_SHOWN_MAX;
            i = end;
        }
        if (used < CONFIG_SHOWN_MAX)
            out[used++] = value.data[i];
    }
    out[used] = '\0';
    return out;
}

char *config_text_beside(const char *from, struct slice path)
{
    const char *slash = strrchr(from, '/');

    if ((path.size && path.data[0] == '/') || !slash)
        return slice_dup(path);
    return mem_format("%.*s%.*s", (int)(slash + 1 - from), from, (int)path.size, path.data);
}

/* Reads to the end; the file may grow meanwhile, but never past the cap. */
static bool read_all(int fd, struct slice name, size_t cap, int exit_code, struct config_text *text, struct err *err_r)
{
    size_t room = 4096;

    text->data = mem_alloc(room + 1);
    text->size = 0;
    for (;;) {
        ssize_t n;

        if (text->size == room) {
            /* Not realloc: it may leave a copy of passwords behind. */
            char *larger = mem_alloc(2 * room + 1);

            memcpy(larger, text->data, text->size);
            secret_wipe(text->data, text->size);
            free(text->data);
            text->data = larger;
            room *= 2;
        }
        n = read(fd, text->data + text->size, room - text->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return config_refuse(err_r, exit_code, "%s: %s", name.data, strerror(errno));
        if (n == 0)
            break;
        text->size += (size_t)n;
        if (text->size > cap)
            return config_refuse(err_r, exit_code, "%s: larger than %zu bytes", name.data, cap);
    }
    text->data[text->size] = '\0';
    return true;
}

static void drop_mark(struct config_text *text)
{
    static const char mark[] = "\xEF\xBB\xBF";

    if (text->size >= 3 && memcmp(text->data, mark, 3) == 0) {
        text->size -= 3;
        memmove(text->data, text->data + 3, text->size + 1);
    }
}

/* With its mark or without: the first letter of either file is one of ASCII. */
static bool is_utf16(const struct config_text *text)
{
    const unsigned char *b = (const unsigned char *)text->data;

    return text->size >= 2 &&
           ((b[0] == 0xFF && b[1] == 0xFE) || (b[0] == 0xFE && b[1] == 0xFF) || (b[0] == 0) != (b[1] == 0));
}

bool config_text_read(const char *path, size_t cap_bytes, int exit_code, struct config_text *text_r, struct err *err_r)
{
    const char *name = config_text_name(path);
    struct config_text text = { .data = NULL };
    struct stat st;
    /* Non-blocking, so that a pipe without a writer is refused instead of waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool ok;

    if (fd < 0)
        return config_refuse(err_r, exit_code, "%s: %s", name, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        bool folder = S_ISDIR(st.st_mode);

        close(fd);
        return config_refuse(err_r, exit_code, "%s: %s", name,
                             folder ? "is a folder; expected a file" : "is not a plain file");
    }
    text.readable_by_others = (st.st_mode & (S_IRGRP | S_IROTH)) != 0;
    text.writable_by_others = (st.st_mode & (S_IWGRP | S_IWOTH)) != 0 || (st.st_uid != geteuid() && st.st_uid != 0);
    ok = read_all(fd, slice_cstr(name), cap_bytes, exit_code, &text, err_r);
    close(fd);
    if (ok) {
        drop_mark(&text);
        if (is_utf16(&text))
            ok = config_refuse(err_r, exit_code, "%s: is UTF-16%s", name,
                               exit_code == CONFIG_EXIT_USERS ? " (Excel's \"Unicode text\"): save it as CSV UTF-8"
                                                              : ": save it as UTF-8");
        else if (slice_trim(slice_of(text.data, text.size)).size == 0)
            ok = config_refuse(err_r, exit_code, "%s: is empty", name);
    }
    if (!ok) {
        config_text_deinit(&text);
        return false;
    }
    *text_r = text;
    return true;
}

void config_text_warn(const struct config_text *text, const char *path, struct settings_list *warnings)
{
    char line[256];

    if (!text->writable_by_others)
        return;
    snprintf(line, sizeof line,
             "%s: others may change it, and with it where the mail goes; chmod go-w (or chown) helps",
             config_text_name(path));
    settings_list_add(warnings, slice_cstr(line));
}

void config_text_deinit(struct config_text *text)
{
    if (text->data) {
        secret_wipe(text->data, text->size);
        free(text->data);
    }
    *text = (struct config_text){ .data = NULL };
}

/* Bytes of the well-formed sequence at p, 0 when there is none. RFC 3629 4. */
static size_t sequence_size(const unsigned char *p, size_t size)
{
    size_t need = p[0] < 0x80                    ? 1
                  : p[0] >= 0xC2 && p[0] <= 0xDF ? 2
                  : (p[0] & 0xF0) == 0xE0        ? 3
                  : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4
                                                 : 0;

    if (need == 0 || need > size)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
        (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return need;
}

size_t config_text_fault(struct slice text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    size_t at = 0;

    while (at < text.size) {
        size_t n = bytes[at] ? sequence_size(bytes + at, text.size - at) : 0;

        if (n == 0)
            return at;
        at += n;
    }
    return SIZE_MAX;
}

void config_text_position(struct slice text, size_t offset, unsigned *line_r, unsigned *column_r)
{
    *line_r = 1;
    *column_r = 1;
    for (size_t i = 0; i < offset && i < text.size; i++) {
        if (text.data[i] == '\n') {
            ++*line_r;
            *column_r = 1;
        } else if (((unsigned char)text.data[i] & 0xC0) != 0x80) {
            ++*column_r;
        }
    }
}

bool config_fault(struct config_faults *faults, const struct err *err)
{
    if (faults->count++ == 0)
        faults->first = *err;
    else if (faults->others && faults->count <= CONFIG_FAULTS_MAX)
        settings_list_add(faults->others, slice_cstr(err->server_text));
    return true;
}

bool config_faults_end(struct config_faults *faults, struct err *err_r)
{
    char text[80];

    if (faults->count == 0)
        return true;
    *err_r = faults->first;
    if (faults->others && faults->count > CONFIG_FAULTS_MAX) {
        snprintf(text, sizeof text, "and %u more faults", faults->count - CONFIG_FAULTS_MAX);
        settings_list_add(faults->others, slice_cstr(text));
    }
    return false;
}
