#include "engine/imap/windows1252.h"

/* What stands at 0x80..0x9f; 0: nothing. */
static const unsigned short upper[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

/* Takes one character off the front; false when it is no UTF-8 of up to three bytes, which is all
 * that the set has. */
static bool take(struct slice *text, unsigned *code_r)
{
    unsigned char first = (unsigned char)text->data[0];
    size_t size = first < 0x80 ? 1 : (first & 0xe0) == 0xc0 ? 2 : (first & 0xf0) == 0xe0 ? 3 : 0;
    unsigned code = size == 1 ? first : size == 2 ? first & 0x1fu : first & 0x0fu;

    if (size == 0 || text->size < size)
        return false;
    for (size_t i = 1; i < size; i++) {
        unsigned char next = (unsigned char)text->data[i];

        if ((next & 0xc0) != 0x80)
            return false;
        code = code << 6 | (next & 0x3fu);
    }
    *code_r = code;
    *text = slice_from(*text, size);
    return true;
}

static bool find(unsigned code, char *byte_r)
{
    if (code < 0x80 || (code >= 0xa0 && code <= 0xff)) {
        *byte_r = (char)code;
        return true;
    }
    for (unsigned i = 0; i < 32; i++)
        if (upper[i] == code) {
            *byte_r = (char)(0x80 + i);
            return true;
        }
    return false;
}

bool windows1252_append(struct slice text, struct buf *out)
{
    struct slice rest = text;
    size_t before = out->size;
    unsigned code;
    char byte;

    /* One character is one byte at most, so nothing is allocated below: passwords leave no copies.
     */
    if (!buf_reserve(out, text.size + 1))
        return false;
    while (rest.size) {
        if (!take(&rest, &code) || !find(code, &byte)) {
            out->size = before;
            return buf_append(out, text);
        }
        if (!buf_append(out, slice_of(&byte, 1)))
            return false;
    }
    return true;
}
