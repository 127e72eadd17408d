#include "engine/message/nights.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 160u

const char *nights_name(uint32_t user, char name[NIGHTS_NAME_BYTES])
{
    snprintf(name, NIGHTS_NAME_BYTES, "nights.%" PRIu32, user);
    return name;
}

bool nights_next(struct slice *value, struct night *night)
{
    struct slice line, word;

    while (slice_split(value, '\n', &line)) {
        uint64_t numbers[6] = { 0 };
        unsigned count = 0;

        while (count < 6 && slice_split(&line, ' ', &word) && slice_u64(word, &numbers[count]))
            count++;
        if (count < 6 || line.size || numbers[0] > INT64_MAX)
            continue;
        *night = (struct night){ (int64_t)numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5] };
        return true;
    }
    return false;
}

char *nights_add(struct slice value, const struct night *night)
{
    struct slice rest = value;
    struct night one;
    unsigned count = 1, skip;
    size_t used = 0;
    char *text;

    while (nights_next(&rest, &one))
        count++;
    skip = count > NIGHTS_MAX ? count - NIGHTS_MAX : 0;
    text = mem_zero((size_t)(count - skip) * LINE_BYTES + 1, 1);
    rest = value;
    for (unsigned i = 0; i < count; i++) {
        if (i == count - 1)
            one = *night;
        else if (!nights_next(&rest, &one))
            break;
        if (i >= skip)
            used += (size_t)snprintf(text + used, LINE_BYTES,
                                     "%" PRId64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                                     one.started_ms, one.found, one.flags, one.moved, one.deleted, one.left);
    }
    return text;
}
