#include "engine/message/header.h"

#include "engine/imap/date.h"
#include "io/base/err.h"

#include <iconv.h>
#include <openssl/evp.h>
#include <stdio.h>

#define VALUE_MAX 4096

struct slice header_field(struct slice header, struct slice name)
{
    size_t at = 0;

    while (at < header.size) {
        struct slice rest = slice_from(header, at);
        size_t end = slice_find(rest, '\n');
        size_t line = end == SIZE_MAX ? rest.size : end + 1;

        if (rest.data[0] == '\n' || (rest.size > 1 && rest.data[0] == '\r' && rest.data[1] == '\n'))
            break;
        if (slice_starts_nocase(rest, name)) {
            struct slice after = slice_from(rest, name.size);
            size_t blanks = 0;

            while (blanks < after.size && (after.data[blanks] == ' ' || after.data[blanks] == '\t'))
                blanks++;
            if (blanks < after.size && after.data[blanks] == ':') {
                /* Continuation lines belong to the value. */
                while (line < rest.size && (rest.data[line] == ' ' || rest.data[line] == '\t')) {
                    size_t more = slice_find(slice_from(rest, line), '\n');

                    line = more == SIZE_MAX ? rest.size : line + more + 1;
                }
                return slice_from(slice_first(rest, line), name.size + blanks + 1);
            }
        }
        at += line;
    }
    return SLICE("");
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* Q encoding of RFC 2047 4.2. Returns the bytes written. */
static size_t decode_q(struct slice text, char *out, size_t cap)
{
    size_t used = 0;

    for (size_t i = 0; i < text.size && used < cap; i++) {
        char c = text.data[i];

        if (c == '_') {
            c = ' ';
        } else if (c == '=' && i + 2 < text.size && hex(text.data[i + 1]) >= 0 && hex(text.data[i + 2]) >= 0) {
            c = (char)(hex(text.data[i + 1]) * 16 + hex(text.data[i + 2]));
            i += 2;
        }
        out[used++] = c;
    }
    return used;
}

static size_t decode_b(struct slice text, char *out, size_t cap)
{
    unsigned char padded[VALUE_MAX + 4], plain[VALUE_MAX];
    size_t size = text.size;
    int n;

    while (size && text.data[size - 1] == '=')
        size--;
    if (size == 0 || size > VALUE_MAX)
        return 0;
    memcpy(padded, text.data, size);
    for (text.size = size; size % 4; size++)
        padded[size] = 'A';
    n = EVP_DecodeBlock(plain, padded, (int)size);
    if (n < 0)
        return 0;
    size = text.size * 3 / 4;
    if (size > cap)
        size = cap;
    memcpy(out, plain, size);
    return size;
}

/* The charsets that mail is written in. A mail names any it likes, and each unknown one would have the C library look
 * for a module of that name and load it. */
static bool is_charset_of_mail(const char *name)
{
    static const char *const families[] = { "iso-8859-", "iso8859-", "iso_8859-", "windows-125", "cp125", "koi8-" };
    static const char *const names[] = {
        "utf-8",       "utf8",        "us-ascii",  "ascii",          "utf-7",  "utf-16",      "iso-2022-jp",
        "iso-2022-kr", "euc-jp",      "euc-kr",    "ks_c_5601-1987", "gb2312", "gbk",         "gb18030",
        "big5",        "shift_jis",   "shift-jis", "sjis",           "cp932",  "windows-31j", "cp949",
        "tis-620",     "windows-874", "macintosh", "cp437",          "cp850",  "cp852",       "cp866",
    };
    struct slice word = slice_cstr(name);

    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        struct slice family = slice_cstr(families[i]), rest = slice_from(word, family.size);
        bool plain = rest.size >= 1 && rest.size <= 2;

        for (size_t k = 0; k < rest.size; k++)
            plain = plain && ((rest.data[k] >= '0' && rest.data[k] <= '9') || (rest.data[k] | 0x20) == 'r' ||
                              (rest.data[k] | 0x20) == 'u');
        if (plain && slice_starts_nocase(word, family))
            return true;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equal_nocase(word, slice_cstr(names[i])))
            return true;
    return false;
}

/* bytes in charset as UTF-8 into out; 0 when the charset is not known or the bytes do not fit it. */
static size_t to_utf8(struct slice charset, char *bytes, size_t size, char *out, size_t cap)
{
    char name[64];
    iconv_t cd;
    char *from = bytes, *to = out;
    size_t left = cap, result;

    if (charset.size == 0 || charset.size >= sizeof name)
        return 0;
    snprintf(name, sizeof name, "%.*s", (int)slice_first(charset, slice_find(charset, '*')).size, charset.data);
    if (!is_charset_of_mail(name))
        return 0;
    cd = iconv_open("UTF-8", name);
    if (cd == (iconv_t)-1)
        return 0;
    result = iconv(cd, &from, &size, &to, &left);
    iconv_close(cd);
    return result == (size_t)-1 ? 0 : cap - left;
}

/* Decodes the encoded word that text starts with: "=?charset?q?text?=". Returns its length in text,
 * 0 when there is none. */
static size_t encoded_word(struct slice text, char *out, size_t cap, size_t *used_r)
{
    struct slice rest = slice_from(text, 2), charset, encoding;
    char bytes[VALUE_MAX];
    size_t end, size;

    if (!slice_starts(text, SLICE("=?")) || !slice_split(&rest, '?', &charset) || !slice_split(&rest, '?', &encoding) ||
        encoding.size != 1)
        return 0;
    end = slice_find_nocase(slice_first(rest, VALUE_MAX), SLICE("?="));
    if (end == SIZE_MAX)
        return 0;
    if (encoding.data[0] == 'q' || encoding.data[0] == 'Q')
        size = decode_q(slice_first(rest, end), bytes, sizeof bytes);
    else if (encoding.data[0] == 'b' || encoding.data[0] == 'B')
        size = decode_b(slice_first(rest, end), bytes, sizeof bytes);
    else
        return 0;
    *used_r = to_utf8(charset, bytes, size, out, cap);
    if (*used_r == 0 && size > 0)
        return 0;
    return (size_t)(rest.data - text.data) + end + 2;
}

void header_text(struct slice value, char *out, size_t cap)
{
    char text[VALUE_MAX];
    size_t used = 0;
    bool blank = false, word_before = false;

    value = slice_first(slice_trim(value), VALUE_MAX - 1);
    while (value.size && used + 1 < sizeof text) {
        char c = value.data[0];
        size_t taken, made;

        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            blank = used > 0;
            value = slice_from(value, 1);
            continue;
        }
        taken = encoded_word(value, text + used + 1, sizeof text - used - 1, &made);
        if (taken) {
            /* Blanks between two encoded words are not there (RFC 2047 6.2). */
            if (blank && !word_before)
                text[used++] = ' ';
            else
                memmove(text + used, text + used + 1, made);
            used += made;
            value = slice_from(value, taken);
            word_before = true;
        } else {
            if (blank)
                text[used++] = ' ';
            if (used < sizeof text)
                text[used++] = c;
            value = slice_from(value, 1);
            word_before = false;
        }
        blank = false;
    }
    err_printable(out, cap, text, used);
}

void header_note(struct slice header, struct message_note *note_r)
{
    header_text(header_field(header, SLICE("Subject")), note_r->subject, sizeof note_r->subject);
    header_text(header_field(header, SLICE("Message-ID")), note_r->message_id, sizeof note_r->message_id);
    header_text(header_field(header, SLICE("Date")), note_r->date, sizeof note_r->date);
}

void header_id(struct slice header, struct header_id *id_r)
{
    struct slice value = slice_trim(header_field(header, SLICE("Message-ID")));

    if (value.size > 1 && value.data[0] == '<' && value.data[value.size - 1] == '>')
        value = slice_of(value.data + 1, value.size - 2);
    header_text(value, id_r->message_id, sizeof id_r->message_id);
    header_text(header_field(header, SLICE("Date")), id_r->date, sizeof id_r->date);
}

bool header_differs(const struct header_id *a, const struct header_id *b)
{
    struct imap_date at, bt;

    if (a->message_id[0] && b->message_id[0])
        return strcmp(a->message_id, b->message_id) != 0;
    at = date_parse(slice_cstr(a->date));
    bt = date_parse(slice_cstr(b->date));
    return at.known && bt.known && at.seconds != bt.seconds;
}
