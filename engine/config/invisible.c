#include "engine/config/invisible.h"

#include "io/base/shown.h"

static bool is_invisible(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } all[] = {
        /* White_Space above ASCII */
        { 0x85, 0x85 },
        { 0xA0, 0xA0 },
        { 0x1680, 0x1680 },
        { 0x2000, 0x200A },
        { 0x2028, 0x2029 },
        { 0x202F, 0x202F },
        { 0x205F, 0x205F },
        { 0x3000, 0x3000 },
        /* Default_Ignorable_Code_Point */
        { 0xAD, 0xAD },
        { 0x34F, 0x34F },
        { 0x61C, 0x61C },
        { 0x115F, 0x1160 },
        { 0x17B4, 0x17B5 },
        { 0x180B, 0x180F },
        { 0x200B, 0x200F },
        { 0x202A, 0x202E },
        { 0x2060, 0x206F },
        { 0x3164, 0x3164 },
        { 0xFE00, 0xFE0F },
        { 0xFEFF, 0xFEFF },
        { 0xFFA0, 0xFFA0 },
        { 0xFFF0, 0xFFF8 },
        { 0x1BCA0, 0x1BCA3 },
        { 0x1D173, 0x1D17A },
        { 0xE0000, 0xE0FFF },
    };

    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (code >= all[i].first && code <= all[i].last)
            return true;
    return false;
}

/* Bytes of the character that ends text, 1 where it is none. */
static size_t last_size(struct slice text)
{
    size_t size = 1;

    while (size < 4 && size < text.size && (text.data[text.size - size] & 0xC0) == 0x80)
        size++;
    return size;
}

struct slice invisible_trim(struct slice text)
{
    uint32_t code;

    for (;;) {
        size_t size;

        text = slice_trim(text);
        if (text.size == 0)
            return text;
        size = shown_sequence(text.data, text.size, &code);
        if (size && is_invisible(code)) {
            text = slice_from(text, size);
            continue;
        }
        size = last_size(text);
        if (shown_sequence(text.data + text.size - size, size, &code) != size || !is_invisible(code))
            return text;
        text.size -= size;
    }
}

/* The first character of which is(code) holds, or 0. */
static uint32_t first_that(struct slice text, bool (*is)(uint32_t code))
{
    while (text.size) {
        uint32_t code;
        size_t size = shown_sequence(text.data, text.size, &code);

        if (size && is(code))
            return code;
        text = slice_from(text, size ? size : 1);
    }
    return 0;
}

uint32_t invisible_in(struct slice text)
{
    return first_that(text, is_invisible);
}

static bool is_typographic(uint32_t code)
{
    return (code >= 0x2018 && code <= 0x201F) || code == 0xAB || code == 0xBB || code == 0x2039 || code == 0x203A;
}

uint32_t invisible_quote_in(struct slice text)
{
    return first_that(text, is_typographic);
}
