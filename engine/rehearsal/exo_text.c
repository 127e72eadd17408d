#include "engine/rehearsal/exo_text.h"

#include "io/base/mem.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SET_RANGES_MAX 4096

static const char months[12][4] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
};
static const char base64_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

uint64_t exo_clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool exo_base64_encode(struct buf *out, struct slice bytes, bool url)
{
    size_t need, size;
    char *at;

    if (bytes.size > buf_space(out))
        return false;
    need = (bytes.size + 2) / 3 * 4 + 1;
    if (!(at = buf_reserve(out, need)))
        return false;
    size = (size_t)EVP_EncodeBlock((unsigned char *)at, (const unsigned char *)bytes.data, (int)bytes.size);
    if (url) {
        while (size && at[size - 1] == '=')
            size--;
        for (size_t i = 0; i < size; i++)
            at[i] = at[i] == '+' ? '-' : at[i] == '/' ? '_' : at[i];
    }
    buf_commit(out, size);
    return true;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

bool exo_base64_decode(struct buf *out, struct slice text)
{
    uint32_t bits = 0;
    unsigned have = 0;

    while (text.size && text.data[text.size - 1] == '=')
        text.size--;
    if (text.size % 4 == 1)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        int value = base64_value(text.data[i]);
        char byte;

        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        byte = (char)(bits >> have & 0xFF);
        if (!buf_append(out, slice_of(&byte, 1)))
            return false;
    }
    return true;
}

static bool digits(struct slice s, size_t at, size_t count, int *value_r)
{
    int value = 0;

    if (at + count > s.size)
        return false;
    for (size_t i = at; i < at + count; i++) {
        char c = s.data[i];

        if (i == at && c == ' ' && count == 2)
            c = '0';
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    *value_r = value;
    return true;
}

bool exo_day_parse(struct slice s, int64_t *seconds_r)
{
    struct tm tm = { 0 };
    char padded[12];
    int year;

    if (s.size == 10) {
        padded[0] = '0';
        memcpy(padded + 1, s.data, 10);
        s = slice_of(padded, 11);
    }
    if (s.size != 11 || s.data[2] != '-' || s.data[6] != '-' || !digits(s, 0, 2, &tm.tm_mday) ||
        !digits(s, 7, 4, &year))
        return false;
    for (tm.tm_mon = 0; tm.tm_mon < 12; tm.tm_mon++)
        if (slice_equal_nocase(slice_of(s.data + 3, 3), slice_of(months[tm.tm_mon], 3)))
            break;
    if (tm.tm_mon == 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || year < 1900)
        return false;
    tm.tm_year = year - 1900;
    *seconds_r = timegm(&tm);
    return true;
}

bool exo_date_parse(struct slice s, int64_t *seconds_r)
{
    int64_t day;
    int hour, minute, second, zone_hour, zone_minute, zone;

    if (s.size != 26 || s.data[11] != ' ' || s.data[14] != ':' || s.data[17] != ':' || s.data[20] != ' ' ||
        (s.data[21] != '+' && s.data[21] != '-'))
        return false;
    if (!exo_day_parse(slice_first(s, 11), &day) || !digits(s, 12, 2, &hour) || !digits(s, 15, 2, &minute) ||
        !digits(s, 18, 2, &second) || !digits(s, 22, 2, &zone_hour) || !digits(s, 24, 2, &zone_minute))
        return false;
    if (hour > 23 || minute > 59 || second > 60 || zone_hour > 14 || zone_minute > 59)
        return false;
    zone = (zone_hour * 60 + zone_minute) * 60;
    *seconds_r = day + hour * 3600 + minute * 60 + second + (s.data[21] == '+' ? -zone : zone);
    return true;
}

void exo_date_format(int64_t seconds, char *out)
{
    time_t t = (time_t)seconds;
    struct tm tm;

    gmtime_r(&t, &tm);
    snprintf(out, 32, "\"%02u-%s-%04u %02u:%02u:%02u +0000\"", (unsigned)tm.tm_mday % 100, months[tm.tm_mon],
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100);
}

/* One code point; a broken byte stands for itself. */
static uint32_t utf8_take(const unsigned char **p)
{
    const unsigned char *s = *p;
    unsigned more = *s >= 0xF0 ? 3 : *s >= 0xE0 ? 2 : *s >= 0xC0 ? 1 : 0;
    uint32_t code = more == 3 ? *s & 7u : more == 2 ? *s & 15u : more == 1 ? *s & 31u : *s;

    for (s++; more; more--, s++) {
        if ((*s & 0xC0) != 0x80)
            break;
        code = code << 6 | (*s & 63u);
    }
    *p = s;
    return code;
}

void exo_utf7_encode(const char *utf8, char *out, size_t cap)
{
    const unsigned char *p = (const unsigned char *)utf8;
    uint32_t bits = 0;
    unsigned have = 0;
    bool shifted = false;
    size_t n = 0;

    while (n + 12 < cap) {
        bool direct = *p == '\0' || (*p >= 0x20 && *p < 0x7F);
        uint32_t code;

        if (direct && shifted) {
            if (have)
                out[n++] = base64_letters[bits << (6 - have) & 63];
            out[n++] = '-';
            shifted = false;
        }
        if (*p == '\0')
            break;
        if (direct) {
            out[n++] = (char)*p;
            if (*p++ == '&')
                out[n++] = '-';
            continue;
        }
        if (!shifted) {
            out[n++] = '&';
            shifted = true;
            bits = have = 0;
        }
        code = utf8_take(&p);
        for (int unit = code >= 0x10000 ? 0 : 1; unit < 2; unit++) {
            uint32_t half = code < 0x10000 ? code
                            : unit == 0    ? 0xD800 + ((code - 0x10000) >> 10)
                                           : 0xDC00 + ((code - 0x10000) & 0x3FF);

            bits = bits << 16 | half;
            for (have += 16; have >= 6; have -= 6)
                out[n++] = base64_letters[bits >> (have - 6) & 63];
            bits &= 63;
        }
    }
    /* '/' never leaves a shifted run: Exchange's own letter there is ','. */
    for (size_t i = 0, in = 0; i < n; i++) {
        if (!in && out[i] == '&')
            in = 1;
        else if (in && out[i] == '-')
            in = 0;
        else if (in && out[i] == '/')
            out[i] = ',';
    }
    out[n] = '\0';
}

bool exo_name_equal(struct slice a, struct slice b)
{
    bool shifted = false;

    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        char x = a.data[i], y = b.data[i];

        if (x == '&')
            shifted = true;
        else if (x == '-')
            shifted = false;
        if (x == y)
            continue;
        if (shifted || (x ^ y) != 0x20 || (x | 0x20) < 'a' || (x | 0x20) > 'z')
            return false;
    }
    return true;
}

void exo_hex(const uint8_t *bytes, size_t count, char *out)
{
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    out[2 * count] = '\0';
}

uint64_t exo_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

double exo_random_unit(uint64_t *state)
{
    return (double)(exo_random(state) >> 11) / 9007199254740992.0;
}

bool exo_arg_is(struct exo_args *a, char byte)
{
    if (!a->rest.size || a->rest.data[0] != byte)
        return false;
    a->rest = slice_from(a->rest, 1);
    return true;
}

bool exo_arg_space(struct exo_args *a)
{
    return exo_arg_is(a, ' ');
}

bool exo_arg_end(const struct exo_args *a)
{
    return a->rest.size == 0;
}

bool exo_arg_atom(struct exo_args *a, struct slice *atom_r)
{
    size_t n = 0;

    while (n < a->rest.size && (unsigned char)a->rest.data[n] > ' ' && !strchr("(){\"", a->rest.data[n]))
        n++;
    if (n == 0)
        return false;
    *atom_r = slice_first(a->rest, n);
    a->rest = slice_from(a->rest, n);
    return true;
}

bool exo_arg_word(struct exo_args *a, const char *word)
{
    struct exo_args copy = *a;
    struct slice atom;

    if (!exo_arg_atom(&copy, &atom) || !slice_equal_nocase(atom, slice_cstr(word)))
        return false;
    *a = copy;
    return true;
}

static bool arg_quoted(struct exo_args *a, char *out, size_t cap)
{
    size_t n = 0, i;

    for (i = 1; i < a->rest.size && a->rest.data[i] != '"'; i++) {
        if (a->rest.data[i] == '\\' && ++i == a->rest.size)
            return false;
        if (n + 1 >= cap || a->rest.data[i] == '\0')
            return false;
        out[n++] = a->rest.data[i];
    }
    if (i == a->rest.size)
        return false;
    out[n] = '\0';
    a->rest = slice_from(a->rest, i + 1);
    return true;
}

static bool arg_literal(struct exo_args *a, char *out, size_t cap)
{
    size_t close = slice_find(a->rest, '}');
    struct slice number;
    uint64_t size;

    if (close == SIZE_MAX)
        return false;
    number = slice_of(a->rest.data + 1, close - 1);
    if (number.size && number.data[number.size - 1] == '+')
        number.size--;
    if (!slice_u64(number, &size) || a->rest.size - close < 3 || a->rest.size - close - 3 < size || size >= cap ||
        memchr(a->rest.data + close + 3, '\0', size))
        return false;
    memcpy(out, a->rest.data + close + 3, size);
    out[size] = '\0';
    a->rest = slice_from(a->rest, close + 3 + size);
    return true;
}

bool exo_arg_string(struct exo_args *a, char *out, size_t cap)
{
    struct slice atom;

    if (!a->rest.size)
        return false;
    if (a->rest.data[0] == '"')
        return arg_quoted(a, out, cap);
    if (a->rest.data[0] == '{')
        return arg_literal(a, out, cap);
    if (!exo_arg_atom(a, &atom) || atom.size >= cap || memchr(atom.data, '\0', atom.size))
        return false;
    memcpy(out, atom.data, atom.size);
    out[atom.size] = '\0';
    return true;
}

static int range_order(const void *a, const void *b)
{
    uint32_t x = ((const struct exo_range *)a)->first, y = ((const struct exo_range *)b)->first;

    return x < y ? -1 : x > y;
}

static bool set_number(struct slice s, uint32_t max, uint32_t *number_r)
{
    if (slice_equal(s, SLICE("*"))) {
        *number_r = max;
        return true;
    }
    return slice_u32(s, number_r) && *number_r > 0;
}

bool exo_set_parse(struct slice text, uint32_t max, struct exo_set *set_r)
{
    struct exo_set set = { mem_alloc(SET_RANGES_MAX * sizeof *set.ranges), 0 };
    struct slice part;
    size_t kept = 0;

    if (text.size && text.data[text.size - 1] == ',')
        goto bad;
    while (slice_split(&text, ',', &part)) {
        size_t colon = slice_find(part, ':');
        struct exo_range r;

        if (set.count == SET_RANGES_MAX)
            goto bad;
        if (colon == SIZE_MAX) {
            if (!set_number(part, max, &r.first))
                goto bad;
            r.last = r.first;
        } else if (!set_number(slice_first(part, colon), max, &r.first) ||
                   !set_number(slice_from(part, colon + 1), max, &r.last)) {
            goto bad;
        }
        if (r.first > r.last) {
            uint32_t first = r.last;

            r.last = r.first;
            r.first = first;
        }
        set.ranges[set.count++] = r;
    }
    if (set.count == 0)
        goto bad;
    qsort(set.ranges, set.count, sizeof *set.ranges, range_order);
    for (size_t i = 1; i < set.count; i++) {
        if (set.ranges[i].first <= set.ranges[kept].last) {
            if (set.ranges[i].last > set.ranges[kept].last)
                set.ranges[kept].last = set.ranges[i].last;
        } else {
            set.ranges[++kept] = set.ranges[i];
        }
    }
    set.count = kept + 1;
    *set_r = set;
    return true;
bad:
    free(set.ranges);
    return false;
}

void exo_set_deinit(struct exo_set *set)
{
    free(set->ranges);
    *set = (struct exo_set){ NULL, 0 };
}

bool exo_set_has(const struct exo_set *set, uint32_t number)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->ranges[middle].last < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && set->ranges[low].first <= number;
}
