#include "engine/imap/fetchitem.h"

#include "engine/imap/date.h"
#include "engine/imap/keyword.h"
#include "engine/imap/token.h"

static const struct {
    const char *name;
    unsigned bit;
} system_flags[] = {
    { "\\Seen", IMAP_FLAG_SEEN },       { "\\Answered", IMAP_FLAG_ANSWERED }, { "\\Flagged", IMAP_FLAG_FLAGGED },
    { "\\Deleted", IMAP_FLAG_DELETED }, { "\\Draft", IMAP_FLAG_DRAFT },       { "\\Recent", IMAP_FLAG_RECENT },
    { "\\*", IMAP_FLAG_WILDCARD },      { "*", IMAP_FLAG_WILDCARD },
};

/* One flag: a system one into bits, a keyword to the end of scratch. */
static void flag_add(struct slice flag, struct imap_flags *flags, struct buf *scratch, size_t start,
                     size_t keywords_max)
{
    size_t held = scratch->size - start, space = held ? 1 : 0;

    while (flag.size > 1 && flag.data[0] == '\\' && flag.data[1] == '\\')
        flag = slice_from(flag, 1); /* "\\Seen" inside quotes (F17) */
    for (unsigned i = 0; i < sizeof system_flags / sizeof *system_flags; i++) {
        if (slice_equal_nocase(flag, slice_cstr(system_flags[i].name))) {
            flags->system |= system_flags[i].bit;
            return;
        }
    }
    if (flag.size == 0 || flag.data[0] == '\\' || slice_equal_nocase(flag, SLICE("NIL")))
        return;
    if (!keyword_is_atom(flag) || flag.size + space > keywords_max - held || !buf_reserve(scratch, flag.size + space)) {
        flags->dropped++;
        return;
    }
    if (!buf_append(scratch, slice_first(SLICE(" "), space)) || !buf_append(scratch, flag))
        flags->dropped++;
}

/* Behind the flag that begins at p; a literal in it is skipped whole, whatever its bytes are. */
static const char *flag_end(const char *p, const char *end)
{
    while (p < end && *p != ' ' && *p != ')') {
        struct token t = token_of(slice_of(p, (size_t)(end - p)));
        struct token_string string;

        if (*p == '{' && token_string(&t, &string) && (string.kind == TOKEN_LITERAL || string.kind == TOKEN_STREAMED))
            p = t.at;
        else
            p++;
    }
    return p;
}

/* The quote that ends the string whose first byte is at p, or end. */
static const char *quote_end(const char *p, const char *end)
{
    while (p < end && *p != '"')
        p += *p == '\\' && p + 1 < end ? 2 : 1;
    return p;
}

bool fetchitem_flags(struct slice *rest, struct imap_flags *flags_r, struct buf *scratch, size_t keywords_max)
{
    const char *p = rest->data, *end = p + rest->size;
    size_t start = scratch->size;
    struct slice word;

    *flags_r = (struct imap_flags){ 0 };
    while (p < end && *p == ' ')
        p++;
    if (p == end)
        return false;
    if (*p != '(') {
        struct token t = token_of(slice_of(p, (size_t)(end - p)));

        if (!token_word(&t, &word) || !slice_equal_nocase(word, SLICE("NIL")))
            return false;
        *rest = token_rest(&t);
        return true;
    }
    for (p++; p < end && *p != ')';) {
        const char *from = p;

        if (*p == ' ') {
            p++;
            continue;
        }
        if (*p == '"') {
            from = p + 1;
            p = quote_end(from, end);
        } else {
            p = flag_end(p, end);
        }
        flag_add(slice_of(from, (size_t)(p - from)), flags_r, scratch, start, keywords_max);
        if (p < end && *p == '"')
            p++;
    }
    if (p == end)
        return false;
    *rest = slice_of(p + 1, (size_t)(end - p - 1));
    /* A keyword is an offset until here, since scratch may move while it grows. */
    flags_r->keywords = slice_from(buf_slice(scratch), start);
    return true;
}

bool fetchitem_is_header(struct slice name)
{
    return slice_starts_nocase(name, SLICE("BODY[HEADER.FIELDS"));
}

bool fetchitem_is_body(struct slice name, uint64_t *origin_r)
{
    size_t close = slice_find(name, ']');

    *origin_r = 0;
    if (slice_equal_nocase(name, SLICE("RFC822")) || slice_equal_nocase(name, SLICE("RFC822.HEADER")) ||
        slice_equal_nocase(name, SLICE("RFC822.TEXT")) || slice_equal_nocase(name, SLICE("RFC822.PEEK")))
        return true;
    if ((!slice_starts_nocase(name, SLICE("BODY[")) && !slice_starts_nocase(name, SLICE("BINARY[")) &&
         !slice_starts_nocase(name, SLICE("BODY.PEEK["))) ||
        close == SIZE_MAX || fetchitem_is_header(name))
        return false;
    name = slice_from(name, close + 1);
    if (name.size > 2 && name.data[0] == '<') {
        size_t end = 1;

        while (end < name.size && name.data[end] >= '0' && name.data[end] <= '9')
            end++;
        if (!slice_u64(slice_of(name.data + 1, end - 1), origin_r))
            *origin_r = 0;
    }
    return true;
}

enum fetchitem_section fetchitem_section(struct slice name)
{
    static const struct {
        const char *name;
        enum fetchitem_section section;
    } sections[] = {
        { "", FETCHITEM_WHOLE },
        { "PEEK", FETCHITEM_WHOLE },
        { "HEADER", FETCHITEM_HEAD },
        { "TEXT", FETCHITEM_TEXT },
    };
    size_t open = slice_find(name, '['), close = slice_find(name, ']');
    struct slice part;

    if (open != SIZE_MAX && close != SIZE_MAX && open < close)
        part = slice_of(name.data + open + 1, close - open - 1);
    else
        part = slice_from(name, sizeof "RFC822." - 1);
    for (unsigned i = 0; i < sizeof sections / sizeof *sections; i++)
        if (slice_equal_nocase(slice_trim(part), slice_cstr(sections[i].name)))
            return sections[i].section;
    return FETCHITEM_OTHER;
}

/* A string's bytes without escapes, in the line or in scratch. */
static struct slice plain(const struct token_string *string, struct buf *scratch)
{
    size_t start = scratch->size;
    char *at;

    if (!string->escaped)
        return string->bytes;
    at = buf_reserve(scratch, string->bytes.size + 1);
    if (!at)
        return string->bytes;
    buf_commit(scratch, token_unescape(string, at, string->bytes.size));
    return slice_from(buf_slice(scratch), start);
}

/* "(M123)" or "M123". */
static bool object_id(struct token *t, struct slice *id_r)
{
    struct token_string string;
    struct slice inside;

    if (token_list(t, &inside)) {
        *id_r = slice_trim(inside);
        return true;
    }
    if (!token_string(t, &string))
        return false;
    *id_r = string.bytes;
    return true;
}

/* The value of one item. False when there is none that could be one. */
static bool value(struct fetchitem *item, struct slice name, struct token *t, struct buf *scratch)
{
    struct imap_message_row *row = &item->row;
    struct token_string string;
    struct slice rest;
    uint64_t number;
    bool known;

    if (slice_equal_nocase(name, SLICE("UID"))) {
        if (!token_number(t, &number, &known))
            return false;
        item->present |= FETCHITEM_UID;
        if (known && number && number <= SESSION_UID_MAX)
            row->uid = (uint32_t)number;
        return true;
    }
    if (slice_equal_nocase(name, SLICE("FLAGS"))) {
        item->present |= FETCHITEM_FLAGS;
        rest = token_rest(t);
        if (!fetchitem_flags(&rest, &row->flags, scratch, KEYWORDS_BYTES_MAX))
            return token_skip(t);
        row->has_flags = true;
        t->at = rest.data;
        return true;
    }
    if (slice_equal_nocase(name, SLICE("RFC822.SIZE"))) {
        if (!token_number(t, &number, &known))
            return false;
        item->present |= FETCHITEM_SIZE;
        if (known) {
            row->has_size = true;
            row->size_bytes = number;
        }
        return true;
    }
    if (slice_equal_nocase(name, SLICE("INTERNALDATE"))) {
        if (!token_string(t, &string))
            return false;
        item->present |= FETCHITEM_DATE;
        row->date = date_parse(string.bytes);
        return true;
    }
    if (slice_equal_nocase(name, SLICE("X-GM-MSGID")) || slice_equal_nocase(name, SLICE("X-GM-THRID"))) {
        bool thread = slice_equal_nocase(name, SLICE("X-GM-THRID"));

        if (!token_number(t, &number, &known))
            return false;
        if (known)
            *(thread ? &row->gm_thrid : &row->gm_msgid) = number;
        return true;
    }
    if (slice_equal_nocase(name, SLICE("X-GM-LABELS")))
        return token_list(t, &row->gm_labels) || token_skip(t);
    if (slice_equal_nocase(name, SLICE("EMAILID")))
        return object_id(t, &row->email_id);
    if (fetchitem_is_header(name)) {
        if (!token_string(t, &string))
            return false;
        item->present |= FETCHITEM_HEADER;
        row->has_header = string.kind != TOKEN_NIL;
        row->header = plain(&string, scratch);
        return true;
    }
    if (fetchitem_is_body(name, &number)) {
        if (!token_string(t, &string))
            return false;
        item->present |= FETCHITEM_BODY;
        item->section = fetchitem_section(name);
        item->origin = number;
        /* A word that is no string is no body either. */
        item->body = string.kind == TOKEN_NIL || string.kind == TOKEN_ATOM ? FETCHITEM_BODY_NIL
                     : string.kind == TOKEN_STREAMED                       ? FETCHITEM_BODY_STREAMED
                                                                           : FETCHITEM_BODY_BYTES;
        item->body_bytes = plain(&string, scratch);
        return true;
    }
    return token_skip(t);
}

bool fetchitem_parse(struct fetchitem *item_r, struct slice rest, bool open, struct buf *scratch)
{
    struct token t = token_of(rest);

    *item_r = (struct fetchitem){ .body = FETCHITEM_BODY_NONE };
    /* Reserved once, so that slices into scratch stay where they are while it fills. */
    buf_clear(scratch);
    if (!buf_reserve(scratch, rest.size + 16) || !token_take(&t, '('))
        return false;
    while (!token_take(&t, ')')) {
        struct slice name;

        if (token_peek(&t) == '(') { /* F08 */
            if (!token_skip(&t))
                return false;
            continue;
        }
        if (!token_item(&t, &name))
            return open && token_done(&t);
        if (token_peek(&t) == ')') {
            uint64_t origin;

            if (fetchitem_is_body(name, &origin)) /* B09: an item without a value */
                item_r->present |= FETCHITEM_BODY;
            continue;
        }
        if (token_done(&t)) {
            item_r->pending = name;
            return open;
        }
        if (!value(item_r, name, &t, scratch))
            return false;
    }
    return token_done(&t) && !open;
}
