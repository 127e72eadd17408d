#include "engine/folders/names_text.h"

#include "engine/folders/roles.h"
#include "engine/imap/utf7.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>

/* Exchange's display names end at 255 UTF-16 units; names behind other servers are file names of 255
 * bytes at most, to which they add some of their own. */
#define EXCHANGE_PART_UNITS 255u
#define PART_BYTES          220u
/* A whole path, raw. RFC 2683 3.2.1.5 wants command lines below 1000 octets; Exchange takes ten times
 * as much, and 300 levels. */
#define EXCHANGE_PATH_BYTES 3900u
#define PATH_BYTES          950u
#define LEVELS_MAX          250u
#define HASH_CHARACTERS     9u /* "~" and eight hexadecimal digits */

char *names_folded(const char *name)
{
    size_t size = 0;
    uint8_t *out = u8_casefold((const uint8_t *)name, strlen(name), NULL, UNINORM_NFC, NULL, &size);
    char *text;

    if (!out)
        return mem_text(name);
    text = slice_dup(slice_of((const char *)out, size));
    free(out);
    return text;
}

char *names_folded_whole(const char *name)
{
    char *folded = names_folded(name);
    size_t size = strlen(folded);

    if (size > 1 && folded[size - 1] == '/')
        folded[size - 1] = '\0';
    return folded;
}

static char *with_inbox(struct slice name, char delimiter)
{
    char *key = slice_dup(name);

    if (slice_starts_nocase(name, SLICE("INBOX")) && (name.size == 5 || (delimiter && name.data[5] == delimiter)))
        memcpy(key, "INBOX", 5);
    return key;
}

char *names_key(const char *name, bool exchange)
{
    return exchange ? names_folded(name) : with_inbox(slice_cstr(name), '/');
}

char *names_raw_key(struct slice raw, char delimiter, const struct names_rules *rules)
{
    char *name, *key;

    if (!rules->exchange)
        return with_inbox(raw, delimiter);
    name = names_display(names_without_prefix(raw, rules->target_prefix, delimiter), delimiter);
    key = names_folded(name);
    free(name);
    return key;
}

/* ---- what people read ---------------------------------------------------------------------- */

struct slice names_without_prefix(struct slice raw, const char *prefix, char delimiter)
{
    struct slice p = slice_cstr(prefix);

    if (p.size && slice_starts_nocase(raw, p) && raw.size > p.size)
        return slice_from(raw, p.size);
    /* A prefix is sometimes told without its delimiter. */
    if (p.size && delimiter && p.data[p.size - 1] != delimiter && slice_starts_nocase(raw, p) &&
        raw.size > p.size + 1 && raw.data[p.size] == delimiter)
        return slice_from(raw, p.size + 1);
    return raw;
}

/* A slash that is no delimiter at the source must not become one. */
static void append_decoded(struct buf *out, struct slice part, char delimiter)
{
    struct buf text;
    struct slice rest, piece;
    bool first = true;

    buf_init(&text, NAMES_BYTES_MAX);
    /* Longer than any folder name: cut. */
    (void)!utf7_decode(&text, part, NULL);
    rest = buf_slice(&text);
    if (delimiter == '/') {
        (void)!buf_append(out, rest);
    } else {
        while (slice_split(&rest, '/', &piece)) {
            if (!first)
                (void)!buf_append(out, SLICE(NAMES_SLASH));
            (void)!buf_append(out, piece);
            first = false;
        }
        if (buf_slice(&text).size && slice_ends(buf_slice(&text), SLICE("/")))
            (void)!buf_append(out, SLICE(NAMES_SLASH));
    }
    buf_deinit(&text);
}

struct slice names_bare(struct slice raw, char delimiter)
{
    bool ends = delimiter && raw.size > 1 && raw.data[raw.size - 1] == delimiter;

    return slice_first(raw, ends ? raw.size - 1 : 0);
}

char *names_display(struct slice raw, char delimiter)
{
    struct buf out;
    struct slice part;
    char *name;

    buf_init(&out, NAMES_KEPT_BYTES_MAX);
    if (delimiter == '\0') {
        append_decoded(&out, raw, delimiter);
    } else {
        while (slice_split(&raw, delimiter, &part)) {
            if (part.size == 0)
                continue; /* leading, doubled or trailing delimiter */
            if (out.size && !buf_append(&out, SLICE("/")))
                break;
            append_decoded(&out, part, delimiter);
        }
    }
    name = slice_dup(buf_slice(&out));
    buf_deinit(&out);
    return name;
}

/* ---- what the target holds ----------------------------------------------------------------- */

/* Looks like what the target cannot hold, and can be told from it: the change can be undone. */
static bool append_look_alike(struct buf *out, unsigned char c)
{
    char picture[4] = { '\xE2', '\x90', (char)(0x80 | c), '\0' }; /* U+2400.. control pictures */

    switch (c) {
    case '/':
        return buf_append(out, SLICE(NAMES_SLASH));
    case '\\':
        return buf_append(out, SLICE("\xE2\x88\x96")); /* U+2216 */
    case '.':
        return buf_append(out, SLICE("\xE2\x80\xA4")); /* U+2024 */
    case '*':
        return buf_append(out, SLICE("\xE2\x88\x97")); /* U+2217 */
    case '%':
        return buf_append(out, SLICE("\xEF\xBC\x85")); /* U+FF05 */
    case '|':
        return buf_append(out, SLICE("\xE2\x88\xA3")); /* U+2223 */
    case '^':
        return buf_append(out, SLICE("\xCB\x86")); /* U+02C6 */
    case ':':
        return buf_append(out, SLICE("\xEA\x9E\x89")); /* U+A789 */
    case '"':
        return buf_append(out, SLICE("\xE2\x80\x9D")); /* U+201D */
    case '<':
        return buf_append(out, SLICE("\xE2\x80\xB9")); /* U+2039 */
    case '>':
        return buf_append(out, SLICE("\xE2\x80\xBA")); /* U+203A */
    case '?':
        return buf_append(out, SLICE("\xEF\xBC\x9F")); /* U+FF1F */
    case '~':
        return buf_append(out, SLICE("\xE2\x88\xBC")); /* U+223C */
    case '#':
        return buf_append(out, SLICE("\xEF\xBC\x83")); /* U+FF03 */
    case 0x7F:
        return buf_append(out, SLICE("\xE2\x90\xA1")); /* U+2421 */
    default:
        return c < 0x20 ? buf_append(out, slice_cstr(picture)) : buf_append(out, SLICE("_"));
    }
}

static uint32_t hash_on(uint32_t hash, struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 16777619u;
    return hash;
}
#define HASH_START 2166136261u

static size_t utf16_units(struct slice text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];

        n += ((c & 0xC0) != 0x80) + (c >= 0xF0);
    }
    return n;
}

static size_t utf7_size(struct slice text)
{
    struct buf raw;
    size_t size;

    buf_init(&raw, NAMES_BYTES_MAX);
    size = utf7_encode(&raw, text) ? raw.size : SIZE_MAX / 2;
    buf_deinit(&raw);
    return size;
}

/* How many of the first bytes of part, whole characters, fit besides `more`. */
static size_t fitting(struct slice part, size_t more, const struct names_rules *rules)
{
    size_t low = 0, high = part.size;

    while (low < high) {
        size_t middle = (low + high + 1) / 2;
        struct slice some = slice_first(part, middle);
        bool fits =
            rules->exchange ? utf16_units(some) + more <= EXCHANGE_PART_UNITS : utf7_size(some) + more <= PART_BYTES;

        if (fits)
            low = middle;
        else
            high = middle - 1;
    }
    while (low < part.size && low > 0 && ((unsigned char)part.data[low] & 0xC0) == 0x80)
        low--;
    return low;
}

/* Cuts a level that is too long; a hash of the whole keeps it apart from others that begin alike. */
static bool shorten(struct buf *part, size_t more, const struct names_rules *rules)
{
    struct slice all = buf_slice(part);
    char tail[HASH_CHARACTERS + 1];
    char *kept;

    if (fitting(all, more, rules) == all.size)
        return false;
    snprintf(tail, sizeof tail, "~%08x", hash_on(HASH_START, all));
    kept = slice_dup(slice_first(all, fitting(all, more + HASH_CHARACTERS, rules)));
    buf_clear(part);
    (void)!buf_append(part, slice_cstr(kept));
    (void)!buf_append(part, slice_cstr(tail));
    free(kept);
    return true;
}

static bool is_blank(char c)
{
    return c == ' ';
}

/* One level of a path as the target can hold it, with its number; NAMES_ bits. */
static unsigned append_part(struct buf *out, struct slice part, bool top, unsigned number,
                            const struct names_rules *rules)
{
    unsigned change = 0;
    struct slice trimmed = part;
    char suffix[16] = "";
    bool ok = true;

    /* Exchange takes blanks at the ends away, or fails; other servers keep them. */
    while (rules->exchange && trimmed.size && is_blank(trimmed.data[trimmed.size - 1]))
        trimmed.size--;
    while (rules->exchange && trimmed.size && is_blank(trimmed.data[0]))
        trimmed = slice_from(trimmed, 1);
    if (trimmed.size != part.size)
        change |= NAMES_BLANKS;
    if (trimmed.size == 0) {
        ok = buf_append(out, SLICE("_"));
        change |= NAMES_BLANKS;
    }
    for (size_t i = 0; i < trimmed.size && ok; i++) {
        char c = trimmed.data[i];
        /* LIST would take '*' and '%' for wildcards. */
        bool bad = (rules->target_delimiter && c == rules->target_delimiter) || c == '/' || (unsigned char)c < 0x20 ||
                   c == 0x7F || (rules->exchange && (c == '*' || c == '%'));

        if (bad)
            change |= NAMES_CHARACTERS;
        ok = bad ? append_look_alike(out, (unsigned char)c) : buf_append(out, slice_of(&c, 1));
    }
    if (top && rules->exchange && roles_reserved(buf_slice(out)) != ROLE_NONE) {
        ok = buf_append(out, SLICE(" (IMAP)")) && ok;
        change |= NAMES_RESERVED;
    }
    if (number > 1)
        snprintf(suffix, sizeof suffix, " (%u)", number);
    if (shorten(out, strlen(suffix), rules) || !ok)
        change |= NAMES_LENGTH;
    (void)!buf_append(out, slice_cstr(suffix));
    return change;
}

static unsigned levels_of(const char *name)
{
    unsigned n = 1;

    for (; *name; name++)
        n += *name == '/';
    return n;
}

unsigned names_to_target(const struct names_place *parent, const char *path, unsigned number,
                         const struct names_rules *rules, struct names_place *place_r)
{
    /* A target without levels gets one name. */
    char d = rules->target_delimiter ? rules->target_delimiter : '-';
    size_t path_max = rules->exchange ? EXCHANGE_PATH_BYTES : PATH_BYTES;
    struct slice rest = slice_cstr(path), part;
    struct buf raw, name, one;
    unsigned change = 0;
    bool top = !parent, fits = true;

    buf_init(&raw, NAMES_BYTES_MAX);
    buf_init(&name, NAMES_BYTES_MAX);
    buf_init(&one, NAMES_BYTES_MAX);
    if (parent)
        fits = buf_append(&raw, slice_cstr(parent->raw)) && buf_append(&name, slice_cstr(parent->name));
    else if (number > 1 || !slice_equal_nocase(rest, SLICE("INBOX")))
        fits = buf_append(&raw, slice_cstr(rules->target_prefix));
    while (slice_split(&rest, '/', &part)) {
        if (part.size == 0)
            continue;
        buf_clear(&one);
        change |= append_part(&one, part, top, rest.size ? 0 : number, rules);
        if (name.size) {
            if (!rules->target_delimiter)
                change |= NAMES_DEPTH;
            fits = buf_append(&raw, slice_of(&d, 1)) && buf_append(&name, SLICE("/")) && fits;
        }
        fits = utf7_encode(&raw, buf_slice(&one)) && buf_append(&name, buf_slice(&one)) && fits;
        top = false;
    }
    place_r->raw = slice_dup(buf_slice(&raw));
    place_r->name = slice_dup(buf_slice(&name));
    if (name.size && (!fits || raw.size > path_max || name.size > path_max || levels_of(place_r->name) > LEVELS_MAX)) {
        /* The last level alone, at the top, with a hash of the whole path. */
        uint32_t hash = hash_on(HASH_START, slice_cstr(parent ? parent->name : ""));
        const char *last = strrchr(path, '/');
        char *whole;

        last = last && last[1] ? last + 1 : path;
        hash = hash_on(hash_on(hash, SLICE("/")), slice_cstr(path));
        free(place_r->raw);
        free(place_r->name);
        whole = mem_format("%.*s~%08x", (int)fitting(slice_cstr(last), 40, rules), last, hash);
        change |= names_to_target(NULL, whole, number, rules, place_r) | NAMES_LENGTH;
        free(whole);
    }
    buf_deinit(&raw);
    buf_deinit(&name);
    buf_deinit(&one);
    return change;
}

char *names_cautious(const char *path)
{
    struct buf out;
    bool begins = true, changed = false, ok = true;
    char *name = NULL;

    buf_init(&out, NAMES_BYTES_MAX);
    for (; *path && ok; path++) {
        bool odd = *path != '/' && (strchr(".*%\\|^:\"<>?", *path) || (begins && strchr("~#", *path)));

        begins = *path == '/';
        changed |= odd;
        ok = odd ? append_look_alike(&out, (unsigned char)*path) : buf_append(&out, slice_of(path, 1));
    }
    if (changed && ok)
        name = slice_dup(buf_slice(&out));
    buf_deinit(&out);
    return name;
}

const char *names_change_words(unsigned change)
{
    if (change & NAMES_RESERVED)
        return "Exchange keeps this name for itself";
    if (change & NAMES_LENGTH)
        return "the name is too long for the target";
    if (change & NAMES_DEPTH)
        return "the target has no folders within folders";
    if (change & NAMES_BLANKS)
        return "the target takes no blanks at the ends of a name";
    return "the target cannot hold a character of this name";
}
