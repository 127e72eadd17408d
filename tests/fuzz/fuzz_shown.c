/* test: report
 * What anybody's text becomes in JSON and CSV: a parser reads JSON back as it was, and neither has anything in it that
 * a terminal, a browser or a spreadsheet would obey. */
#include "engine/report/emit.h"
#include "engine/report/table.h"
#include "io/base/err.h"
#include "io/base/shown.h"

#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void safe(const char *text, size_t size, const char *allowed)
{
    while (size) {
        uint32_t code;
        size_t n = shown_sequence(text, size, &code);

        if (n == 0 || (!shown_is_safe(code) && !(code < 0x80 && code && strchr(allowed, (int)code))))
            abort();
        text += n;
        size -= n;
    }
}

static void json(struct slice text)
{
    char *out = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&out, &size);
    struct emit emit;
    json_t *back;
    json_error_t error;

    if (!file)
        abort();
    emit_init(&emit, file, false);
    emit_object(&emit, NULL);
    emit_text(&emit, "text", text);
    emit_end_object(&emit);
    fclose(file);
    safe(out, size, "\n");
    if (memchr(out, '<', size) || memchr(out, '>', size) || memchr(out, '&', size))
        abort();
    back = json_loadb(out, size, JSON_ALLOW_NUL, &error);
    if (!back || !json_is_string(json_object_get(back, "text")))
        abort();
    /* What was UTF-8 is what it was. */
    for (size_t i = 0; i <= text.size; i++) {
        uint32_t code;
        size_t n = i < text.size ? shown_sequence(text.data + i, text.size - i, &code) : 1;

        if (n == 0)
            break;
        if (i == text.size && !slice_equal(text, slice_of(json_string_value(json_object_get(back, "text")),
                                                          json_string_length(json_object_get(back, "text")))))
            abort();
        i += n - 1;
    }
    json_decref(back);
    free(out);
}

/* A cell that a spreadsheet makes of it, whichever character divides them, begins with no formula. */
static void csv(struct slice text)
{
    char *out = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&out, &size);
    bool begins = true;

    if (!file)
        abort();
    report_csv_field(file, text, true);
    fclose(file);
    safe(out, size, "\r\n");
    for (size_t i = 0; i < size; i++) {
        if (begins && (out[i] == '=' || out[i] == '+' || out[i] == '-' || out[i] == '@'))
            abort();
        begins = out[i] == ';' || out[i] == ',' || out[i] == '\t' || out[i] == '|' || (begins && out[i] == '"');
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char line[300];

    if (size > 4096)
        return 0;
    json(slice_of((const char *)data, size));
    csv(slice_of((const char *)data, size));
    err_printable(line, sizeof line, (const char *)data, size);
    safe(line, strlen(line), "");
    return 0;
}
