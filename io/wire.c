#include "io/wire.h"

#include "io/base/log.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES 400

/* One direction. A line is cut at LINE_BYTES; its last bytes are kept apart, because a literal's
 * size stands there. */
struct side {
    char line[LINE_BYTES], end[24];
    size_t line_size, end_size;
    uint64_t literal_bytes; /* still to come, not shown */
};

struct wire {
    char name[280];
    char tag[40]; /* of the LOGIN or AUTHENTICATE under way, or "" */
    struct side sides[2];
};

enum { SENT, RECEIVED };

struct wire *wire_create(const char *name)
{
    struct wire *w;

    if (!log_enabled(LOG_TRACE))
        return NULL;
    w = mem_zero(1, sizeof *w);
    snprintf(w->name, sizeof w->name, "%s", name);
    return w;
}

void wire_destroy(struct wire **w)
{
    free(*w);
    *w = NULL;
}

static struct slice word(struct slice *rest)
{
    struct slice head = SLICE("");

    (void)slice_split(rest, ' ', &head);
    return head;
}

/* A command that carries credentials: keeps its tag, and returns how much of the line may be shown.
 */
static size_t credential_start(struct wire *w, struct slice line)
{
    struct slice rest = line, tag = word(&rest), command = slice_trim(word(&rest));

    if (slice_equal_nocase(command, SLICE("AUTHENTICATE")))
        (void)word(&rest);
    else if (!slice_equal_nocase(command, SLICE("LOGIN")) && !slice_equal_nocase(command, SLICE("X-MASTERAUTH")))
        return SIZE_MAX;
    /* A tag too long to keep is never matched, which hides more, not less. */
    snprintf(w->tag, sizeof w->tag, "%.*s", (int)(tag.size < 39 ? tag.size : 39), tag.data);
    if (w->tag[0] == '\0')
        snprintf(w->tag, sizeof w->tag, "?");
    return line.size - rest.size;
}

/* Bytes of the literal announced at the line's end: {n}, {n+} or ~{n}; 0 for none. */
static uint64_t literal_size(const struct side *side)
{
    struct slice end = slice_of(side->end, side->end_size);
    uint64_t size = 0;
    size_t open = SIZE_MAX;

    for (size_t i = 0; i < end.size; i++)
        if (end.data[i] == '{')
            open = i;
    if (open == SIZE_MAX || !slice_ends(end, SLICE("}")))
        return 0;
    end = slice_from(slice_first(end, end.size - 1), open + 1);
    if (slice_ends(end, SLICE("+")) || slice_ends(end, SLICE("-")))
        end.size--;
    return slice_u64(end, &size) ? size : 0;
}

static void line_end(struct wire *w, int direction)
{
    struct side *side = &w->sides[direction];
    struct slice line = slice_of(side->line, side->line_size);
    const char *arrow = direction == SENT ? "C" : "S";
    size_t shown = SIZE_MAX;

    side->literal_bytes = literal_size(side);
    if (w->tag[0] && direction == SENT) {
        shown = 0;
    } else if (direction == SENT) {
        shown = credential_start(w, line);
    } else if (w->tag[0]) {
        struct slice rest = line;

        if (slice_equal(word(&rest), slice_cstr(w->tag)))
            w->tag[0] = '\0';
        else if (slice_starts(line, SLICE("+")))
            shown = 2; /* a challenge */
    }
    line = slice_first(line, shown);
    log_line(LOG_TRACE, "wire", "%s %s: %.*s%s%s", w->name, arrow, (int)line.size, line.data,
             shown != SIZE_MAX ? "[hidden]" : "", side->line_size == LINE_BYTES ? "[...]" : "");
    side->line_size = side->end_size = 0;
}

static void bytes_seen(struct wire *w, int direction, struct slice bytes)
{
    struct side *side = &w->sides[direction];

    while (bytes.size) {
        char c = bytes.data[0];

        if (side->literal_bytes) {
            size_t part = bytes.size < side->literal_bytes ? bytes.size : (size_t)side->literal_bytes;

            side->literal_bytes -= part;
            bytes = slice_from(bytes, part);
            if (!side->literal_bytes)
                log_line(LOG_TRACE, "wire", "%s %s: [literal]", w->name, direction == SENT ? "C" : "S");
            continue;
        }
        bytes = slice_from(bytes, 1);
        if (c == '\n') {
            line_end(w, direction);
        } else if (c != '\r') {
            if (side->line_size < LINE_BYTES)
                side->line[side->line_size++] = c;
            if (side->end_size == sizeof side->end)
                memmove(side->end, side->end + 1, --side->end_size);
            side->end[side->end_size++] = c;
        }
    }
}

void wire_sent(struct wire *w, struct slice bytes)
{
    if (w)
        bytes_seen(w, SENT, bytes);
}

void wire_received(struct wire *w, struct slice bytes)
{
    if (w)
        bytes_seen(w, RECEIVED, bytes);
}
