#include "engine/imap/utf7.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* windows-1252 from 0x80 to 0x9F; holes keep their number. */
static const uint16_t cp1252[32] = {
    0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178,
};

static int digit_value(char c)
{
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

static bool put_utf8(struct buf *out, uint32_t c)
{
    char b[4];
    size_t n;

    if (c < 0x80) {
        b[0] = (char)c;
        n = 1;
    } else if (c < 0x800) {
        b[0] = (char)(0xC0 | (c >> 6));
        b[1] = (char)(0x80 | (c & 0x3F));
        n = 2;
    } else if (c < 0x10000) {
        b[0] = (char)(0xE0 | (c >> 12));
        b[1] = (char)(0x80 | ((c >> 6) & 0x3F));
        b[2] = (char)(0x80 | (c & 0x3F));
        n = 3;
    } else {
        b[0] = (char)(0xF0 | (c >> 18));
        b[1] = (char)(0x80 | ((c >> 12) & 0x3F));
        b[2] = (char)(0x80 | ((c >> 6) & 0x3F));
        b[3] = (char)(0x80 | (c & 0x3F));
        n = 4;
    }
    return buf_append(out, slice_of(b, n));
}

/* The character at text[0], its length in *size_r; UINT32_MAX when there is no UTF-8 here. */
static uint32_t get_utf8(struct slice text, size_t *size_r)
{
    const unsigned char *p = (const unsigned char *)text.data;
    uint32_t c = p[0];
    size_t n = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;

    *size_r = 1;
    if (n == 0 || n > text.size)
        return UINT32_MAX;
    if (n > 1)
        c &= 0x7Fu >> n;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return UINT32_MAX;
        c = (c << 6) | (p[i] & 0x3F);
    }
    if ((n == 3 && (c < 0x800 || (c >= 0xD800 && c < 0xE000))) || (n == 4 && (c < 0x10000 || c > 0x10FFFF)))
        return UINT32_MAX;
    *size_r = n;
    return c;
}

/* Decodes what stands between "&" and "-". False when it is not UTF-16 in base64 without waste;
 * out may then hold a part of it. */
static bool put_shifted(struct buf *out, struct slice shifted, bool *full_r)
{
    uint32_t bits = 0, high = 0;
    unsigned count = 0;

    for (size_t i = 0; i < shifted.size; i++) {
        int value = digit_value(shifted.data[i]);
        uint32_t unit;

        if (value < 0)
            return false;
        bits = (bits << 6) | (uint32_t)value;
        count += 6;
        if (count < 16)
            continue;
        count -= 16;
        unit = (bits >> count) & 0xFFFF;
        bits &= (1u << count) - 1;
        if (high) {
            if (unit < 0xDC00 || unit > 0xDFFF)
                return false;
            unit = 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00);
            high = 0;
        } else if (unit >= 0xD800 && unit < 0xDC00) {
            high = unit;
            continue;
        } else if ((unit >= 0xDC00 && unit < 0xE000) || unit == 0) {
            return false;
        }
        if (!put_utf8(out, unit)) {
            *full_r = true;
            return false;
        }
    }
    return high == 0 && count < 6 && bits == 0;
}

/* Printable ASCII that stands for itself must not be shifted, or two names would be one. */
static bool well_shifted(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] >= 0x20 && text.data[i] <= 0x7E)
            return false;
    return text.size != 0;
}

bool utf7_decode(struct buf *out, struct slice name, bool *strict_r)
{
    bool strict = true, after_shift = false, full = false;

    while (name.size) {
        size_t end = name.data[0] == '&' ? slice_find(name, '-') : SIZE_MAX;
        size_t before = out->size, used;
        uint32_t c;

        if (name.data[0] == '&' && end == 1) {
            if (!buf_append(out, SLICE("&")))
                return false;
            name = slice_from(name, 2);
            after_shift = false;
            continue;
        }
        if (name.data[0] == '&' && end != SIZE_MAX) {
            if (put_shifted(out, slice_of(name.data + 1, end - 1), &full)) {
                if (after_shift || !well_shifted(slice_from(buf_slice(out), before)))
                    strict = false;
                name = slice_from(name, end + 1);
                after_shift = true;
                continue;
            }
            if (full)
                return false;
            out->size = before;
        }
        if (name.data[0] == '&' || (unsigned char)name.data[0] < 0x20 || name.data[0] == 0x7F)
            strict = false;
        c = get_utf8(name, &used);
        if (c >= 0x80)
            strict = false;
        if (c == UINT32_MAX) {
            c = (unsigned char)name.data[0];
            if (c >= 0x80 && c < 0xA0)
                c = cp1252[c - 0x80];
        }
        if (!put_utf8(out, c))
            return false;
        name = slice_from(name, used);
        after_shift = false;
    }
    if (strict_r)
        *strict_r = strict;
    return true;
}

/* UTF-16 units as base64; bits left over are kept between calls. */
struct shift {
    uint32_t bits;
    unsigned count;
};

static bool put_unit(struct buf *out, struct shift *shift, uint32_t unit)
{
    shift->bits = (shift->bits << 16) | unit;
    shift->count += 16;
    while (shift->count >= 6) {
        shift->count -= 6;
        if (!buf_append(out, slice_of(digits + ((shift->bits >> shift->count) & 0x3F), 1)))
            return false;
    }
    return true;
}

static bool end_shift(struct buf *out, struct shift *shift)
{
    if (shift->count && !buf_append(out, slice_of(digits + ((shift->bits << (6 - shift->count)) & 0x3F), 1)))
        return false;
    return buf_append(out, SLICE("-"));
}

bool utf7_encode(struct buf *out, struct slice text)
{
    struct shift shift = { 0 };
    bool shifted = false;

    while (text.size) {
        size_t used;
        uint32_t c = get_utf8(text, &used);
        bool direct = c >= 0x20 && c <= 0x7E;

        if (direct && shifted) {
            if (!end_shift(out, &shift))
                return false;
            shifted = false;
        }
        if (direct) {
            if (!buf_append(out, c == '&' ? SLICE("&-") : slice_first(text, 1)))
                return false;
        } else {
            if (!shifted) {
                if (!buf_append(out, SLICE("&")))
                    return false;
                shift = (struct shift){ 0 };
                shifted = true;
            }
            if (c == UINT32_MAX || c == 0)
                c = 0xFFFD;
            if (c >= 0x10000) {
                if (!put_unit(out, &shift, 0xD800 + ((c - 0x10000) >> 10)))
                    return false;
                c = 0xDC00 + ((c - 0x10000) & 0x3FF);
            }
            if (!put_unit(out, &shift, c))
                return false;
        }
        text = slice_from(text, used);
    }
    return !shifted || end_shift(out, &shift);
}
