#include "engine/message/repair_private.h"

#include <string.h>

/* RFC 2047 2: an encoded word is at most 75 bytes. */
#define ENCODED_WORD_MAX 75u

struct slice repair_field_name(struct slice line)
{
    size_t n = 0, blanks;

    while (n < line.size && line.data[n] > ' ' && line.data[n] < 127 && line.data[n] != ':')
        n++;
    blanks = n;
    while (blanks < line.size && (line.data[blanks] == ' ' || line.data[blanks] == '\t'))
        blanks++;
    if (n == 0 || blanks == line.size || line.data[blanks] != ':')
        return slice_of(NULL, 0);
    return slice_first(line, n);
}

static bool is_one_of(struct slice name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal_nocase(name, slice_cstr(names[i])))
            return true;
    return false;
}

#define IS_ONE_OF(name, names) is_one_of(name, names, sizeof names / sizeof *names)

static const char *const address_fields[] = { "From",     "To",          "Cc",        "Bcc",       "Sender",
                                              "Reply-To", "Resent-From", "Resent-To", "Resent-Cc", "Resent-Sender" };
static const char *const token_fields[] = {
    "Message-ID",  "References",   "In-Reply-To",    "Date",        "Received",
    "Return-Path", "MIME-Version", "Delivered-To",   "Resent-Date", "Resent-Message-ID",
    "Content-ID",  "List-Id",      "DKIM-Signature", "X-Priority",  "Content-Transfer-Encoding",
};
static const char *const asking_fields[] = {
    "Disposition-Notification-To",
    "Disposition-Notification-Options",
    "Return-Receipt-To",
    "X-Confirm-Reading-To",
    "Read-Receipt-To",
    "Return-Receipt-Requested",
    "Generate-Delivery-Report",
};

bool repair_field_known(struct slice name)
{
    return IS_ONE_OF(name, address_fields) || IS_ONE_OF(name, token_fields) ||
           slice_equal_nocase(name, SLICE("Subject")) || slice_starts_nocase(name, SLICE("Content-")) ||
           slice_starts_nocase(name, SLICE("X-"));
}

bool repair_field_asks(struct slice name)
{
    return IS_ONE_OF(name, asking_fields);
}

enum repair_place repair_place_of(struct slice name)
{
    if (IS_ONE_OF(name, address_fields))
        return REPAIR_PLACE_ADDRESS;
    if (IS_ONE_OF(name, token_fields))
        return REPAIR_PLACE_TOKEN;
    if (slice_starts_nocase(name, SLICE("Content-")))
        return REPAIR_PLACE_PARAMETER;
    return REPAIR_PLACE_TEXT;
}

/* Bytes of the UTF-8 character at the start, 0 when it is none. RFC 3629 4. */
static size_t utf8_length(struct slice text)
{
    const unsigned char *s = (const unsigned char *)text.data;
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;

    if (n == 0 || s[0] > 0xF4 || n > text.size)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
        (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return n;
}

static bool is_utf8(struct slice text)
{
    while (text.size) {
        size_t n = utf8_length(text);

        if (n == 0)
            return false;
        text = slice_from(text, n);
    }
    return true;
}

static bool has_high(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] >= 0x80)
            return true;
    return false;
}

struct header_put {
    void (*put)(void *context, struct slice bytes);
    void *context;
};

static void say(const struct header_put *to, struct slice bytes)
{
    if (bytes.size)
        to->put(to->context, bytes);
}

/* text as encoded words in Q, whole characters in each. Other bytes than UTF-8 are most often
 * Windows-1252; named so, every one of them is kept and can be read back. */
static void say_encoded(const struct header_put *to, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    bool utf8 = is_utf8(text);
    struct slice open = utf8 ? SLICE("=?utf-8?Q?") : SLICE("=?windows-1252?Q?");
    char word[ENCODED_WORD_MAX];
    bool first = true;

    while (text.size) {
        size_t used = open.size;

        memcpy(word, open.data, open.size);
        while (text.size) {
            size_t n = utf8 ? utf8_length(text) : 1;

            if (used + n * 3 + 2 > sizeof word)
                break;
            for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char)text.data[i];

                /* The characters that are safe in phrases too (RFC 2047 5). */
                if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z' && c < 0x80)) {
                    word[used++] = (char)c;
                } else if (c == ' ') {
                    word[used++] = '_';
                } else {
                    word[used++] = '=';
                    word[used++] = digits[c >> 4];
                    word[used++] = digits[c & 15];
                }
            }
            text = slice_from(text, n);
        }
        word[used++] = '?';
        word[used++] = '=';
        if (!first)
            say(to, SLICE("\r\n "));
        say(to, slice_of(word, used));
        first = false;
    }
}

static void say_marked(const struct header_put *to, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        bool high = (unsigned char)text.data[i] >= 0x80;

        say(to, high ? SLICE("?") : slice_of(text.data + i, 1));
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Blanks between two encoded words are not seen (RFC 2047 6.2): a run of words that need it is
 * encoded as one. */
static void say_words(const struct header_put *to, struct slice text)
{
    size_t at = 0;

    while (at < text.size) {
        size_t end = at, last;

        while (end < text.size && is_blank(text.data[end]))
            end++;
        say(to, slice_first(slice_from(text, at), end - at));
        at = end;
        while (end < text.size && !is_blank(text.data[end]))
            end++;
        if (!has_high(slice_first(slice_from(text, at), end - at))) {
            say(to, slice_first(slice_from(text, at), end - at));
            at = end;
            continue;
        }
        for (last = end; last < text.size;) {
            size_t from = last, to_end;

            while (from < text.size && is_blank(text.data[from]))
                from++;
            to_end = from;
            while (to_end < text.size && !is_blank(text.data[to_end]))
                to_end++;
            if (!has_high(slice_first(slice_from(text, from), to_end - from)))
                break;
            last = to_end;
        }
        say_encoded(to, slice_first(slice_from(text, at), last - at));
        at = last;
    }
}

/* The end of what begins at text[0]: behind the closing mark, or the whole text. */
static size_t quoted_length(struct slice text, char close)
{
    for (size_t i = 1; i < text.size; i++) {
        if (text.data[i] == '\\')
            i++;
        else if (text.data[i] == close)
            return i + 1;
    }
    return text.size;
}

static struct slice inside(struct slice quoted, char close)
{
    struct slice in = slice_from(quoted, 1);

    if (in.size && in.data[in.size - 1] == close)
        in.size--;
    return in;
}

static void say_address(const struct header_put *to, struct slice text)
{
    while (text.size) {
        size_t n = 0;
        struct slice part;

        if (text.data[0] == '"') {
            n = quoted_length(text, '"');
            part = slice_first(text, n);
            /* No encoded word may stand in a quoted string: its quotes go. */
            if (has_high(part))
                say_encoded(to, inside(part, '"'));
            else
                say(to, part);
        } else if (text.data[0] == '<') {
            n = quoted_length(text, '>');
            say_marked(to, slice_first(text, n));
        } else if (text.data[0] == ',' || text.data[0] == ';' || text.data[0] == ':') {
            n = 1;
            say(to, slice_first(text, n));
        } else {
            while (n < text.size && !strchr("\"<,;:", text.data[n]))
                n++;
            n = n ? n : 1;
            part = slice_first(text, n);
            /* An address without a name. */
            if (slice_find(part, '@') != SIZE_MAX)
                say_marked(to, part);
            else
                say_words(to, part);
        }
        text = slice_from(text, n);
    }
}

static void say_parameters(const struct header_put *to, struct slice text)
{
    while (text.size) {
        size_t n = 0;

        if (text.data[0] == '"') {
            struct slice part;

            n = quoted_length(text, '"');
            part = slice_first(text, n);
            if (has_high(part)) {
                say(to, SLICE("\""));
                say_encoded(to, inside(part, '"'));
                say(to, SLICE("\""));
            } else {
                say(to, part);
            }
        } else {
            while (n < text.size && text.data[n] != '"')
                n++;
            say_marked(to, slice_first(text, n));
        }
        text = slice_from(text, n);
    }
}

void repair_header_bytes(enum repair_place place, struct slice text, void (*put)(void *context, struct slice bytes),
                         void *context)
{
    struct header_put to = { put, context };

    if (!has_high(text)) {
        say(&to, text);
        return;
    }
    switch (place) {
    case REPAIR_PLACE_TEXT:
        say_words(&to, text);
        break;
    case REPAIR_PLACE_ADDRESS:
        say_address(&to, text);
        break;
    case REPAIR_PLACE_PARAMETER:
        say_parameters(&to, text);
        break;
    case REPAIR_PLACE_TOKEN:
        say_marked(&to, text);
        break;
    }
}
