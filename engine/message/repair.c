#include "engine/message/repair_private.h"

#include "io/base/buf.h"
#include "io/base/mem.h"

#include <assert.h>
#include <stdlib.h>

/* A line is held until its end or until it must be broken; one longer than this goes on in pieces.
 */
#define LINE_ROOM 16384u
/* CRs in a row are held back until it is known whether a LF follows; of more than so many the first go as they
 * are, for a mail may be made of nothing else. */
#define RETURNS_MAX 16384u
/* What 64 KiB of input may become: three bytes for one, and a fold for each word. */
#define OUT_MAX (4u << 20)

#define BODY_REPAIRS (REPAIR_LINE_ENDS | REPAIR_NUL | REPAIR_LONG_LINES | REPAIR_SHORT_LINES)

enum part {
    PART_HEADER, /* of the message */
    PART_BODY,
    PART_FIELDS /* behind a line that may be a boundary: fields, if it was one */
};

/* How the text at hand is encoded decides where a line may be broken unseen. RFC 2045 6. */
enum encoding { ENCODING_NONE, ENCODING_BASE64, ENCODING_QUOTED };

struct repair {
    unsigned repairs;
    size_t line_max; /* 0: lines are not broken */
    enum part part;
    enum encoding encoding, encoding_before;
    bool is_message;  /* the part is a message: fields again behind its own */
    bool any_field;   /* PART_FIELDS: one was there */
    unsigned returns; /* CRs held back */
    size_t used;
    bool open;               /* the line's beginning has gone already */
    enum repair_place place; /* of the field at hand */
    size_t column;           /* of the output */
    struct buf out;
    char line[LINE_ROOM];
};

struct repair *repair_create(unsigned repairs)
{
    struct repair *r = mem_zero(1, sizeof *r);

    r->repairs = repairs & REPAIR_BODY_BITS;
    r->line_max = repairs & REPAIR_SHORT_LINES  ? REPAIR_SHORT_LINE_BYTES
                  : repairs & REPAIR_LONG_LINES ? REPAIR_LINE_BYTES
                                                : 0;
    r->place = REPAIR_PLACE_TEXT;
    buf_init(&r->out, OUT_MAX);
    return r;
}

void repair_destroy(struct repair **repair)
{
    if (*repair) {
        buf_deinit(&(*repair)->out);
        free(*repair);
        *repair = NULL;
    }
}

static void put(struct repair *r, struct slice bytes)
{
    bool fits = buf_append(&r->out, bytes);

    assert(fits);
    for (size_t i = bytes.size; i > 0; i--)
        if (bytes.data[i - 1] == '\n') {
            r->column = bytes.size - i;
            return;
        }
    r->column += bytes.size;
}

/* ---- the header ---------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Folds before a blank, which changes nothing that is read (RFC 5322 2.2.3); where there is none
 * for half a line, a blank comes in. */
static void put_folded(void *context, struct slice text)
{
    struct repair *r = context;

    while (r->line_max && r->column + text.size > r->line_max && slice_find(text, '\n') == SIZE_MAX) {
        size_t room = r->column < r->line_max ? r->line_max - r->column : 0, cut = room;

        while (cut > 0 && !is_blank(text.data[cut]))
            cut--;
        if (cut <= room / 2) {
            cut = room;
            put(r, slice_first(text, cut));
            put(r, SLICE("\r\n "));
        } else {
            put(r, slice_first(text, cut));
            put(r, SLICE("\r\n"));
        }
        text = slice_from(text, cut);
    }
    put(r, text);
}

static void put_header_text(struct repair *r, struct slice text)
{
    if (r->repairs & REPAIR_HEADER_BYTES)
        repair_header_bytes(r->place, text, put_folded, r);
    else
        put_folded(r, text);
}

static void note_encoding(struct repair *r, struct slice line)
{
    struct slice name = repair_field_name(line), value;

    if (!name.size)
        return;
    value = slice_trim(slice_from(line, slice_find(line, ':') + 1));
    if (slice_equal_nocase(name, SLICE("Content-Transfer-Encoding")))
        r->encoding = slice_starts_nocase(value, SLICE("base64"))             ? ENCODING_BASE64
                      : slice_starts_nocase(value, SLICE("quoted-printable")) ? ENCODING_QUOTED
                                                                              : ENCODING_NONE;
    else if (slice_equal_nocase(name, SLICE("Content-Type")))
        r->is_message = slice_starts_nocase(value, SLICE("message/"));
}

static void fields_begin(struct repair *r)
{
    r->part = PART_FIELDS;
    r->encoding_before = r->encoding;
    r->encoding = ENCODING_NONE;
    r->is_message = r->any_field = false;
}

static void fields_end(struct repair *r)
{
    if (r->is_message)
        fields_begin(r);
    else
        r->part = PART_BODY;
}

/* The line's beginning, or all of it. False: it belongs to the body. */
static bool field_begins(struct repair *r, struct slice *text)
{
    struct slice name;

    if (text->size && is_blank(text->data[0]))
        return true;
    name = repair_field_name(*text);
    if (!name.size) {
        if (r->repairs & REPAIR_HEADER_END) {
            put(r, SLICE("\r\n"));
            fields_end(r);
            return false;
        }
        r->place = REPAIR_PLACE_TEXT;
        if (r->repairs & REPAIR_HEADER_LINES)
            put(r, SLICE("X-Unparsed: "));
        return true;
    }
    if (r->line_max && slice_find(*text, ':') >= r->line_max) {
        /* Folded before its colon it would be no field, and the end of the header. */
        r->place = REPAIR_PLACE_TEXT;
        put(r, SLICE("X-Unparsed: "));
        return true;
    }
    r->place = repair_place_of(name);
    note_encoding(r, *text);
    if ((r->repairs & REPAIR_RECEIPTS) && repair_field_asks(name))
        put(r, SLICE("X-"));
    if ((r->repairs & REPAIR_HEADER_LINES) && text->data[name.size] != ':') {
        put(r, name);
        *text = slice_from(*text, slice_find(*text, ':'));
    }
    return true;
}

/* ---- the body ------------------------------------------------------------------------------ */

static bool is_boundary(struct slice line)
{
    return line.size > 2 && line.size <= 200 && slice_starts(line, SLICE("--")) && !slice_equal(line, SLICE("-- "));
}

/* Keeps account of parts, as far as that tells how a text is encoded. */
static void note_part(struct repair *r, struct slice line)
{
    if (is_boundary(line)) {
        fields_begin(r);
        return;
    }
    if (r->part != PART_FIELDS)
        return;
    if (line.size == 0 && r->any_field) {
        fields_end(r);
    } else if (line.size && is_blank(line.data[0]) && r->any_field) {
        return;
    } else if (repair_field_name(line).size) {
        r->any_field = true;
        note_encoding(r, line);
    } else {
        r->part = PART_BODY; /* it was only text with dashes */
        r->encoding = r->encoding_before;
    }
}

/* Where a line that is over the limit is broken: at most line_max bytes from its beginning. */
static size_t break_at(const struct repair *r)
{
    const char *s = r->line;
    size_t max = r->line_max, cut = max;

    switch (r->encoding) {
    case ENCODING_BASE64:
        return max - max % 4;
    case ENCODING_QUOTED: /* its soft line end takes one more byte; =XX stays whole */
        cut = max - 1;
        return s[cut - 1] == '=' ? cut - 1 : s[cut - 2] == '=' ? cut - 2 : cut;
    case ENCODING_NONE:
        break;
    }
    for (cut = max; cut > max / 2; cut--)
        if (is_blank(s[cut - 1]))
            return cut;
    for (cut = max; cut > max / 2; cut--)
        if (s[cut - 1] == '>')
            return cut;
    for (cut = max; cut > max - 4; cut--)
        if (((unsigned char)s[cut] & 0xC0) != 0x80)
            return cut;
    return max;
}

/* A field of a part is folded like one of the header. */
static bool is_part_field(const struct repair *r)
{
    return r->part == PART_FIELDS &&
           (r->open ? r->any_field
                    : (is_blank(r->line[0]) && r->any_field) || repair_field_name(slice_of(r->line, r->used)).size > 0);
}

static void break_line(struct repair *r)
{
    size_t cut;

    if (is_part_field(r)) {
        r->any_field = true;
        put_folded(r, slice_of(r->line, r->used));
        r->used = 0;
    } else {
        cut = break_at(r);
        put(r, slice_of(r->line, cut));
        put(r, r->encoding == ENCODING_QUOTED ? SLICE("=\r\n") : SLICE("\r\n"));
        r->used -= cut;
        memmove(r->line, r->line + cut, r->used);
    }
    r->open = true;
}

/* ---- lines --------------------------------------------------------------------------------- */

static void line_flush(struct repair *r, bool whole)
{
    struct slice text = slice_of(r->line, r->used);
    bool is_header = r->part == PART_HEADER;

    if (!r->open && is_header && (text.size || !whole))
        is_header = field_begins(r, &text);
    else if (!r->open && whole && r->part != PART_HEADER)
        note_part(r, text);
    if (is_header)
        put_header_text(r, text);
    else
        put(r, text);
    r->used = 0;
    r->open = !whole;
}

static void line_ends(struct repair *r, struct slice end)
{
    bool empty = r->used == 0 && !r->open;

    line_flush(r, true);
    put(r, end);
    if (empty && r->part == PART_HEADER)
        fields_end(r);
}

static void line_byte(struct repair *r, char c)
{
    if (r->used == LINE_ROOM)
        line_flush(r, false);
    r->line[r->used++] = c;
    if (r->line_max && r->part != PART_HEADER && r->used + (r->open && is_part_field(r) ? r->column : 0) > r->line_max)
        break_line(r);
}

/* CRs that no LF follows. */
static void returns_go(struct repair *r)
{
    for (; r->returns; r->returns--) {
        if (r->repairs & REPAIR_LINE_ENDS)
            line_ends(r, SLICE("\r\n"));
        else
            line_byte(r, '\r');
    }
}

static void byte(struct repair *r, char c)
{
    if (c == '\r') {
        if (r->returns == RETURNS_MAX)
            returns_go(r);
        r->returns++;
        return;
    }
    if (c == '\0' && (r->repairs & REPAIR_NUL))
        return;
    if (c != '\n') {
        returns_go(r);
        line_byte(r, c);
        return;
    }
    /* CR CR LF is one end of a line that came through two converters, not two lines. */
    if (r->repairs & REPAIR_LINE_ENDS) {
        r->returns = 0;
        line_ends(r, SLICE("\r\n"));
        return;
    }
    if (r->returns == 0) {
        line_ends(r, SLICE("\n"));
        return;
    }
    r->returns--;
    returns_go(r);
    line_ends(r, SLICE("\r\n"));
}

bool repair_is_done(const struct repair *r)
{
    return r->part != PART_HEADER && !(r->repairs & BODY_REPAIRS) && r->used == 0 && r->returns == 0 && !r->open;
}

void repair_add(struct repair *r, struct slice bytes)
{
    assert(bytes.size <= 65536);
    while (bytes.size && !repair_is_done(r)) {
        byte(r, bytes.data[0]);
        bytes = slice_from(bytes, 1);
    }
    if (bytes.size)
        put(r, bytes);
}

void repair_end(struct repair *r)
{
    returns_go(r);
    if (r->used || r->open)
        line_flush(r, true);
    if (r->part == PART_HEADER && (r->repairs & REPAIR_HEADER_END)) {
        if (r->column)
            put(r, SLICE("\r\n"));
        put(r, SLICE("\r\n"));
        r->part = PART_BODY;
    }
}

size_t repair_take(struct repair *r, char *out, size_t cap)
{
    size_t n = r->out.size < cap ? r->out.size : cap;

    if (n)
        memcpy(out, buf_slice(&r->out).data, n);
    buf_consume(&r->out, n);
    return n;
}

/* ---- words --------------------------------------------------------------------------------- */

static const struct {
    const char *word, *meaning;
} kinds[REPAIR_COUNT] = {
    { "line-ends", "bare line ends made CR LF" },
    { "nul", "NUL bytes left out" },
    { "long-lines", "lines over 9,900 bytes broken" },
    { "header-bytes", "8-bit text of the header encoded" },
    { "header-lines", "lines of the header that are no field made one" },
    { "header-end", "the empty line behind the header put in" },
    { "short-lines", "lines over 998 bytes broken" },
    { "read-receipt", "the request for a read receipt disarmed" },
    { "odd-keywords", "keywords that the target may not take left out" },
    { "keywords", "keywords left out" },
    { "deleted", "the flag \\Deleted left out" },
    { "date", "the date of receipt left out" },
    { "flags", "the flags \\Answered, \\Flagged and \\Draft left out" },
    { "seen", "the flag \\Seen left out" },
};

const char *repair_word(unsigned bit)
{
    for (unsigned i = 0; i < REPAIR_COUNT; i++)
        if (bit == 1u << i)
            return kinds[i].word;
    return NULL;
}

const char *repair_meaning(unsigned bit)
{
    for (unsigned i = 0; i < REPAIR_COUNT; i++)
        if (bit == 1u << i)
            return kinds[i].meaning;
    return NULL;
}
