#include "engine/cli/export.h"

#include "io/base/err.h"

#include <assert.h>
#include <stdio.h>

#define NAME_BYTES 120u

/* Names that Windows takes for devices, with any ending: an export is often carried there. */
static bool is_device(struct slice name)
{
    static const char *const devices[] = { "con", "prn", "aux", "nul" };
    struct slice stem = slice_first(name, slice_find(name, '.'));

    for (unsigned i = 0; i < sizeof devices / sizeof *devices; i++)
        if (slice_equal_nocase(stem, slice_cstr(devices[i])))
            return true;
    return stem.size == 4 && stem.data[3] >= '0' && stem.data[3] <= '9' &&
           (slice_starts_nocase(stem, SLICE("com")) || slice_starts_nocase(stem, SLICE("lpt")));
}

const char *export_safe_name(struct slice text, char *out, size_t cap)
{
    char clean[NAME_BYTES + 1];
    size_t used;

    assert(cap >= NAME_BYTES + 2);
    err_printable(clean, sizeof clean, text.data, text.size);
    for (used = 0; clean[used]; used++)
        if (strchr("/\\:*?\"<>|", clean[used]) || (used == 0 && strchr(".-~ ", clean[used])))
            clean[used] = '_';
    while (used && (clean[used - 1] == ' ' || clean[used - 1] == '.'))
        clean[--used] = '\0';
    snprintf(out, cap, "%s%s", used == 0 || is_device(slice_of(clean, used)) ? "_" : "", clean);
    return out;
}
