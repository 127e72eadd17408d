#include "engine/config/value_network.h"

#include "engine/config/value.h"
#include "io/base/buf.h"
#include "io/base/mem.h"

#include <stdlib.h>

#define HOST_MAX 253u
#define WORD_MAX 8192u

/* ---- proxy ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* %XX, of a login's part. NULL: malformed, empty or too long. */
static struct secret *decoded(struct slice text)
{
    char plain[PROXY_LOGIN_MAX];
    struct secret *secret;
    size_t size = 0;

    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];

        if (size == sizeof plain)
            return NULL;
        if (c == '%') {
            if (text.size - i < 3 || hex(text.data[i + 1]) < 0 || hex(text.data[i + 2]) < 0)
                return NULL;
            c = (char)(hex(text.data[i + 1]) << 4 | hex(text.data[i + 2]));
            i += 2;
        }
        plain[size++] = c;
    }
    secret = size ? secret_create(slice_of(plain, size)) : NULL;
    secret_wipe(plain, sizeof plain);
    return secret;
}

static bool is_host(struct slice host)
{
    for (size_t i = 0; i < host.size; i++) {
        unsigned char c = (unsigned char)host.data[i];

        if (c <= ' ' || c >= 0x7F || strchr("/\\?#@[]\"<>", c))
            return false;
    }
    return host.size > 0 && host.size <= HOST_MAX;
}

static bool read_place(struct slice text, struct proxy_way *way)
{
    size_t colon = SIZE_MAX;
    struct slice host;
    uint32_t port;

    if (text.size && text.data[text.size - 1] == '/')
        text.size--;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == ':')
            colon = i;
    if (colon == SIZE_MAX || !slice_u32(slice_from(text, colon + 1), &port) || port == 0 || port > 65535)
        return false;
    host = slice_first(text, colon);
    if (host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']')
        host = slice_from(slice_first(host, host.size - 1), 1);
    else if (slice_find(host, ':') != SIZE_MAX)
        return false;
    if (!is_host(host))
        return false;
    way->host = slice_dup(host);
    way->port = (uint16_t)port;
    return true;
}

static bool read_login(struct slice text, struct proxy_way *way)
{
    size_t colon = slice_find(text, ':');

    if (colon == SIZE_MAX)
        return false;
    way->user = decoded(slice_first(text, colon));
    way->password = decoded(slice_from(text, colon + 1));
    return way->user && way->password;
}

static void way_deinit(struct proxy_way *way)
{
    free(way->host);
    secret_destroy(&way->user);
    secret_destroy(&way->password);
    *way = (struct proxy_way){ .kind = PROXY_NONE };
}

bool value_proxy(struct slice text, struct proxy_way *way_r)
{
    static const struct {
        const char *scheme;
        enum proxy_kind kind;
    } schemes[] = { { "socks5://", PROXY_SOCKS5 }, { "socks5h://", PROXY_SOCKS5 }, { "http://", PROXY_HTTP } };
    struct proxy_way way = { .kind = PROXY_NONE };
    size_t at = SIZE_MAX;

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes && way.kind == PROXY_NONE; i++)
        if (slice_starts_nocase(text, slice_cstr(schemes[i].scheme))) {
            way.kind = schemes[i].kind;
            text = slice_from(text, strlen(schemes[i].scheme));
        }
    if (way.kind == PROXY_NONE)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '@')
            at = i;
    if ((at != SIZE_MAX && !read_login(slice_first(text, at), &way)) ||
        !read_place(at == SIZE_MAX ? text : slice_from(text, at + 1), &way)) {
        way_deinit(&way);
        return false;
    }
    way_deinit(way_r);
    *way_r = way;
    return true;
}

/* ---- bandwidth-max ---- */

static bool read_bandwidth(struct slice item, struct settings_bandwidth *limit)
{
    size_t blank = slice_find(item, ' ');

    if (slice_find(item, ':') != SIZE_MAX) {
        if (blank == SIZE_MAX || !value_window(slice_first(item, blank), &limit->window))
            return false;
        item = slice_trim(slice_from(item, blank));
    }
    return value_size(item, &limit->bytes_per_s) &&
           (limit->bytes_per_s == 0 || limit->bytes_per_s >= VALUE_BANDWIDTH_MIN);
}

bool value_bandwidths(struct slice text, struct settings_bandwidths *limits_r)
{
    struct settings_bandwidths limits = { 0 };
    struct slice item;
    bool for_the_rest = false;

    if (text.size == 0 || text.data[text.size - 1] == ',')
        return false;
    while (slice_split(&text, ',', &item)) {
        struct settings_bandwidth *limit = &limits.all[limits.count];

        if (limits.count++ == SETTINGS_BANDWIDTHS_MAX || for_the_rest || !read_bandwidth(slice_trim(item), limit))
            return false;
        for_the_rest = !limit->window.set;
    }
    if (limits.count == 1 && for_the_rest && limits.all[0].bytes_per_s == 0)
        limits.count = 0;
    *limits_r = limits;
    return true;
}

/* ---- a command line ---- */

static bool braces_hold(struct slice text)
{
    while (text.size) {
        size_t at = slice_find(text, '{');

        if (slice_find(slice_first(text, at), '}') != SIZE_MAX)
            return false;
        if (at == SIZE_MAX)
            return true;
        text = slice_from(text, at);
        if (slice_starts(text, SLICE("{user}")))
            text = slice_from(text, 6);
        else if (slice_starts(text, SLICE("{address}")))
            text = slice_from(text, 9);
        else
            return false;
    }
    return true;
}

static bool is_control(char c)
{
    return ((unsigned char)c < ' ' && c != '\t') || c == 0x7F;
}

/* The word that text begins with, without its quotes. */
static bool take_word(struct slice *text, struct buf *word)
{
    char quote = '\0';

    buf_clear(word);
    while (text->size) {
        char c = text->data[0];

        if (is_control(c))
            return false;
        if (!quote && (c == ' ' || c == '\t'))
            break;
        if (!quote && (c == '"' || c == '\''))
            quote = c;
        else if (quote && c == quote)
            quote = '\0';
        else if (!buf_append(word, slice_first(*text, 1)))
            return false;
        *text = slice_from(*text, 1);
    }
    return quote == '\0';
}

bool value_words(struct slice text, struct settings_list *words_r)
{
    struct buf word;
    bool ok = braces_hold(text);

    buf_init(&word, WORD_MAX);
    for (text = slice_trim(text); ok && text.size; text = slice_trim(text)) {
        ok = take_word(&text, &word);
        if (ok)
            settings_list_add(words_r, buf_slice(&word));
    }
    buf_deinit(&word);
    ok = ok && words_r->count > 0 && words_r->items[0][0] != '\0';
    if (!ok)
        settings_list_deinit(words_r);
    return ok;
}

bool value_names_user(struct slice text)
{
    return slice_find_nocase(text, SLICE("{user}")) != SIZE_MAX ||
           slice_find_nocase(text, SLICE("{address}")) != SIZE_MAX;
}
