#include "io/base/slice.h"

#include "io/base/mem.h"

static unsigned char fold(char c)
{
    unsigned char u = (unsigned char)c;

    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + 32) : u;
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    return a.size == b.size && slice_starts_nocase(a, b);
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return slice_equal(slice_first(s, prefix.size), prefix);
}

bool slice_starts_nocase(struct slice s, struct slice prefix)
{
    if (s.size < prefix.size)
        return false;
    for (size_t i = 0; i < prefix.size; i++)
        if (fold(s.data[i]) != fold(prefix.data[i]))
            return false;
    return true;
}

bool slice_ends(struct slice s, struct slice suffix)
{
    return s.size >= suffix.size && slice_equal(slice_from(s, s.size - suffix.size), suffix);
}

size_t slice_find(struct slice s, char byte)
{
    const char *at = s.size ? memchr(s.data, byte, s.size) : NULL;

    return at ? (size_t)(at - s.data) : SIZE_MAX;
}

size_t slice_find_nocase(struct slice s, struct slice needle)
{
    if (needle.size > s.size)
        return SIZE_MAX;
    for (size_t i = 0; i <= s.size - needle.size; i++)
        if (slice_starts_nocase(slice_from(s, i), needle))
            return i;
    return SIZE_MAX;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
    while (s.size && is_blank(s.data[0]))
        s = slice_from(s, 1);
    while (s.size && is_blank(s.data[s.size - 1]))
        s.size--;
    return s;
}

bool slice_u64(struct slice s, uint64_t *value_r)
{
    uint64_t value = 0;

    if (s.size == 0)
        return false;
    for (size_t i = 0; i < s.size; i++) {
        unsigned digit = (unsigned)(unsigned char)s.data[i] - '0';

        if (digit > 9 || __builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *value_r = value;
    return true;
}

bool slice_u32(struct slice s, uint32_t *value_r)
{
    uint64_t value;

    if (!slice_u64(s, &value) || value > UINT32_MAX)
        return false;
    *value_r = (uint32_t)value;
    return true;
}

bool slice_split(struct slice *rest, char byte, struct slice *head_r)
{
    size_t at;

    if (rest->size == 0)
        return false;
    at = slice_find(*rest, byte);
    *head_r = slice_first(*rest, at);
    *rest = at == SIZE_MAX ? slice_from(*rest, rest->size) : slice_from(*rest, at + 1);
    return true;
}

char *slice_dup(struct slice s)
{
    char *copy = mem_alloc(s.size + 1);

    if (s.size)
        memcpy(copy, s.data, s.size);
    copy[s.size] = '\0';
    return copy;
}

char *slice_dup_folded(struct slice s)
{
    char *copy = slice_dup(s);

    for (size_t i = 0; i < s.size; i++)
        copy[i] = (char)fold(copy[i]);
    return copy;
}
