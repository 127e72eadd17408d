#include "engine/config/value.h"

#include "io/base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

#define DAY_MS 86400000ull

bool value_bool(struct slice text, bool *value_r)
{
    static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal_nocase(text, slice_cstr(words[i]))) {
            *value_r = i % 2;
            return true;
        }
    return false;
}

/* The digits at the front of *rest, 1..18 of them. */
static bool take_digits(struct slice *rest, uint64_t *value_r, unsigned *count_r)
{
    unsigned n = 0;

    while (n < rest->size && rest->data[n] >= '0' && rest->data[n] <= '9')
        n++;
    if (n == 0 || n > 18 || !slice_u64(slice_first(*rest, n), value_r))
        return false;
    *count_r = n;
    *rest = slice_from(*rest, n);
    return true;
}

bool value_size(struct slice text, uint64_t *bytes_r)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        { "", 1 },
        { "B", 1 },
        { "KB", 1000 },
        { "MB", 1000000 },
        { "GB", 1000000000 },
        { "TB", 1000000000000 },
        { "KiB", 1ull << 10 },
        { "MiB", 1ull << 20 },
        { "GiB", 1ull << 30 },
        { "TiB", 1ull << 40 },
    };
    uint64_t whole, fraction = 0, scale = 1;
    unsigned digits;

    if (!take_digits(&text, &whole, &digits))
        return false;
    if (text.size && text.data[0] == '.') {
        text = slice_from(text, 1);
        if (!take_digits(&text, &fraction, &digits) || digits > 9)
            return false;
        while (digits--)
            scale *= 10;
    }
    text = slice_trim(text);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        __extension__ unsigned __int128 bytes;

        if (!slice_equal_nocase(text, slice_cstr(units[i].name)))
            continue;
        if (scale > 1 && units[i].bytes == 1)
            return false;
        bytes = whole;
        bytes = bytes * units[i].bytes + fraction * units[i].bytes / scale;
        if (bytes > INT64_MAX)
            return false;
        *bytes_r = (uint64_t)bytes;
        return true;
    }
    return false;
}

bool value_duration(struct slice text, uint64_t *ms_r)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = { { "d", DAY_MS }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } };
    size_t unit = 0;
    uint64_t sum = 0;

    if (slice_equal(text, SLICE("0"))) {
        *ms_r = 0;
        return true;
    }
    if (text.size == 0)
        return false;
    while (text.size) {
        uint64_t n;
        unsigned digits;
        size_t letters = 0;

        if (!take_digits(&text, &n, &digits) || n > 1000 * DAY_MS)
            return false;
        while (letters < text.size && isalpha((unsigned char)text.data[letters]))
            letters++;
        while (unit < sizeof units / sizeof *units &&
               !slice_equal_nocase(slice_first(text, letters), slice_cstr(units[unit].name)))
            unit++;
        if (unit == sizeof units / sizeof *units)
            return false;
        if (n > 1000 * DAY_MS / units[unit].ms)
            return false;
        sum += n * units[unit++].ms;
        if (sum > 1000 * DAY_MS)
            return false;
        text = slice_from(text, letters);
    }
    *ms_r = sum;
    return true;
}

/* Exactly size digits. */
static bool fixed_number(struct slice text, size_t size, unsigned max, unsigned *value_r)
{
    uint32_t value;

    if (text.size != size || !slice_u32(text, &value) || value > max)
        return false;
    *value_r = value;
    return true;
}

static bool time_of_day(struct slice text, unsigned *minute_r)
{
    unsigned hours, minutes;

    if (text.size != 5 || text.data[2] != ':' || !fixed_number(slice_first(text, 2), 2, 24, &hours) ||
        !fixed_number(slice_from(text, 3), 2, 59, &minutes) || (hours == 24 && minutes))
        return false;
    *minute_r = hours % 24 * 60 + minutes;
    return true;
}

bool value_window(struct slice text, struct settings_window *window_r)
{
    size_t dash = slice_find(text, '-');
    struct settings_window window = { .set = true };

    if (dash == SIZE_MAX || !time_of_day(slice_trim(slice_first(text, dash)), &window.opens_minute) ||
        !time_of_day(slice_trim(slice_from(text, dash + 1)), &window.closes_minute) ||
        window.opens_minute == window.closes_minute)
        return false;
    *window_r = window;
    return true;
}

bool value_date(struct slice text, int64_t *seconds_r)
{
    unsigned year, month, day;
    struct tm tm = { 0 };
    time_t seconds;

    if (text.size != 10 || text.data[4] != '-' || text.data[7] != '-' ||
        !fixed_number(slice_first(text, 4), 4, 9999, &year) ||
        !fixed_number(slice_first(slice_from(text, 5), 2), 2, 12, &month) ||
        !fixed_number(slice_from(text, 8), 2, 31, &day) || year < 1900 || month == 0 || day == 0)
        return false;
    tm.tm_year = (int)year - 1900;
    tm.tm_mon = (int)month - 1;
    tm.tm_mday = (int)day;
    seconds = timegm(&tm);
    if (tm.tm_mday != (int)day) /* 30 February became 1 or 2 March */
        return false;
    *seconds_r = seconds;
    return true;
}

/* The item at the front of *rest, up to a comma or the end, quoted or not. */
static bool take_item(struct slice *rest, char **item_r, bool *more_r)
{
    size_t at = 0, used = 0, comma;
    char *item;

    *rest = slice_trim(*rest);
    if (rest->size == 0 || rest->data[0] != '"') {
        comma = slice_find(*rest, ',');
        *item_r = slice_dup(slice_trim(slice_first(*rest, comma)));
        *more_r = comma != SIZE_MAX;
        *rest = comma == SIZE_MAX ? slice_from(*rest, rest->size) : slice_from(*rest, comma + 1);
        return true;
    }
    item = mem_alloc(rest->size);
    for (at = 1;; at++) {
        if (at == rest->size) {
            free(item);
            return false;
        }
        if (rest->data[at] == '"') {
            if (at + 1 >= rest->size || rest->data[at + 1] != '"')
                break;
            at++;
        }
        item[used++] = rest->data[at];
    }
    item[used] = '\0';
    *rest = slice_trim(slice_from(*rest, at + 1));
    if (rest->size && rest->data[0] != ',') {
        free(item);
        return false;
    }
    *more_r = rest->size != 0;
    *rest = slice_from(*rest, 1);
    *item_r = item;
    return true;
}

bool value_list(struct slice text, struct settings_list *list_r)
{
    bool more = true;

    while (more) {
        char *item;
        bool ok = take_item(&text, &item, &more);

        if (ok && item[0] == '\0') {
            free(item);
            ok = false;
        }
        if (!ok) {
            settings_list_deinit(list_r);
            return false;
        }
        settings_list_add(list_r, slice_cstr(item));
        free(item);
    }
    return true;
}

bool value_text(struct slice text, char **text_r)
{
    bool more;
    char *item;

    if (text.size == 0 || text.data[0] != '"') {
        *text_r = slice_dup(text);
        return true;
    }
    if (!take_item(&text, &item, &more))
        return false;
    if (more) {
        free(item);
        return false;
    }
    *text_r = item;
    return true;
}

bool value_quote_is_open(struct slice text)
{
    bool quoted = false, item_begins = true;

    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];

        if (quoted) {
            if (c == '"' && i + 1 < text.size && text.data[i + 1] == '"')
                i++;
            else if (c == '"')
                quoted = item_begins = false;
        } else if (c == '"' && item_begins) {
            quoted = true;
        } else if (c != ' ' && c != '\t') {
            item_begins = c == ',';
        }
    }
    return quoted;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool value_pin(struct slice text, unsigned char pin_r[32])
{
    unsigned char pin[32];
    bool colons = text.size == 95;

    if (text.size != 64 && !colons)
        return false;
    for (unsigned i = 0; i < 32; i++) {
        size_t at = i * (colons ? 3 : 2);
        int high = hex_digit(text.data[at]), low = hex_digit(text.data[at + 1]);

        if (high < 0 || low < 0 || (colons && i < 31 && text.data[at + 2] != ':'))
            return false;
        pin[i] = (unsigned char)(high << 4 | low);
    }
    memcpy(pin_r, pin, sizeof pin);
    return true;
}

bool value_shard(struct slice text, unsigned *number_r, unsigned *count_r)
{
    size_t slash = slice_find(text, '/');
    uint32_t number, count;

    if (slash == SIZE_MAX || !slice_u32(slice_first(text, slash), &number) ||
        !slice_u32(slice_from(text, slash + 1), &count) || number == 0 || number > count || count > SETTINGS_SHARDS_MAX)
        return false;
    *number_r = number;
    *count_r = count;
    return true;
}

/* "host", "host:port", "[address]:port". */
static bool host_and_port(struct slice text, struct slice *host_r, uint16_t *port_r)
{
    struct slice host, port;
    uint32_t number = 0;
    size_t end;

    if (text.size && text.data[0] == '[') {
        end = slice_find(text, ']');
        if (end == SIZE_MAX)
            return false;
        host = slice_first(slice_from(text, 1), end - 1);
        port = slice_from(text, end + 1);
    } else {
        end = slice_find(text, ':');
        host = slice_first(text, end);
        port = end == SIZE_MAX ? SLICE("") : slice_from(text, end);
    }
    if (host.size == 0 || host.size > 253)
        return false;
    for (size_t i = 0; i < host.size; i++) {
        unsigned char c = (unsigned char)host.data[i];

        /* Letters beyond ASCII are for the resolver's IDNA. '%' begins an IPv6 zone. */
        if (!(isalnum(c) || c >= 0x80 || (c && strchr(".-_", c)) || (c && text.data[0] == '[' && strchr(":%", c))))
            return false;
    }
    if (port.size) {
        if (port.data[0] != ':' || !slice_u32(slice_from(port, 1), &number) || number == 0 || number > 65535)
            return false;
    }
    *host_r = host;
    *port_r = (uint16_t)number;
    return true;
}

static bool has_user(struct slice path)
{
    return slice_find_nocase(path, SLICE("{user}")) != SIZE_MAX ||
           slice_find_nocase(path, SLICE("{local}")) != SIZE_MAX;
}

bool value_disk_url(struct slice text, char **path_r, bool *is_mbox_r)
{
    struct slice maildir = SLICE("maildir:"), mbox = SLICE("mbox:"), part, rest;
    bool is_mbox = slice_starts_nocase(text, mbox);

    if (!is_mbox && !slice_starts_nocase(text, maildir))
        return false;
    text = slice_from(text, is_mbox ? mbox.size : maildir.size);
    while (slice_starts(text, SLICE("//")))
        text = slice_from(text, 1);
    if (!slice_starts(text, SLICE("/")) || !has_user(text))
        return false;
    for (rest = text; slice_split(&rest, '/', &part);)
        if (slice_equal(part, SLICE("..")))
            return false;
    *path_r = slice_dup(text);
    *is_mbox_r = is_mbox;
    return true;
}

bool value_imap_url(struct slice text, bool *implicit_tls_r, char **host_r, uint16_t *port_r)
{
    struct slice imaps = SLICE("imaps://"), imap = SLICE("imap://"), host;
    bool implicit = slice_starts_nocase(text, imaps);

    if (!implicit && !slice_starts_nocase(text, imap))
        return false;
    text = slice_from(text, implicit ? imaps.size : imap.size);
    if (text.size && text.data[text.size - 1] == '/')
        text.size--;
    if (!host_and_port(text, &host, port_r))
        return false;
    *implicit_tls_r = implicit;
    *host_r = slice_dup(host);
    return true;
}

const char *value_imap_url_fault(struct slice text)
{
    struct slice imaps = SLICE("imaps://"), imap = SLICE("imap://"), host;
    bool implicit = slice_starts_nocase(text, imaps);
    size_t port;
    uint16_t number;

    if (slice_starts_nocase(text, SLICE("maildir:")))
        return "expected the path of the users' Maildir trees, with {user}, or {local} and {domain}, in it, such as "
               "maildir:/srv/mail/{user}";
    if (slice_starts_nocase(text, SLICE("mbox:")))
        return "expected the path of the users' mbox files, with {user}, or {local} and {domain}, in it, such as "
               "mbox:/srv/mail/{user}";
    if (slice_find(text, '@') != SIZE_MAX)
        return "no user name or password belongs here; expected a server such as imaps://imap.example.edu";
    if (!implicit && !slice_starts_nocase(text, imap))
        return "expected a server such as imaps://imap.example.edu or imap://imap.example.edu:143";
    text = slice_from(text, implicit ? imaps.size : imap.size);
    if (slice_find(text, '/') < text.size - (text.size > 0))
        return "no folder belongs behind the server; include-folders and UserRoot name folders";
    port = text.size && text.data[0] == '[' ? slice_find(text, ']') : slice_find(text, ':');
    if (port != SIZE_MAX && host_and_port(slice_first(text, port + (text.data[0] == '[')), &host, &number))
        return "expected a port from 1 to 65535 behind the server, such as imaps://imap.example.edu:993";
    return "expected the name or address of a server behind ://, such as imaps://imap.example.edu or "
           "imaps://[2001:db8::1]:993";
}

bool value_https_url(struct slice text)
{
    struct slice https = SLICE("https://"), http = SLICE("http://"), host;
    bool secure = slice_starts_nocase(text, https);
    uint16_t port;

    if (!secure && !slice_starts_nocase(text, http))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7F)
            return false;
    text = slice_from(text, secure ? https.size : http.size);
    if (!host_and_port(slice_first(text, slice_find(text, '/')), &host, &port))
        return false;
    return secure || slice_equal(host, SLICE("127.0.0.1")) || slice_equal(host, SLICE("::1")) ||
           slice_equal_nocase(host, SLICE("localhost"));
}

bool value_login_form(struct slice text, bool *has_admin_r)
{
    bool has_user = false, has_admin = false;

    while (text.size) {
        if (text.data[0] == '}')
            return false;
        if (text.data[0] != '{') {
            text = slice_from(text, 1);
        } else if (slice_starts(text, SLICE("{user}"))) {
            has_user = true;
            text = slice_from(text, 6);
        } else if (slice_starts(text, SLICE("{admin}"))) {
            has_admin = true;
            text = slice_from(text, 7);
        } else if (slice_starts(text, SLICE("{domain}"))) {
            text = slice_from(text, 8);
        } else {
            return false;
        }
    }
    *has_admin_r = has_admin;
    return has_user;
}

const char *value_line_fault(struct slice text)
{
    if (text.size > SETTINGS_LOGIN_BYTES_MAX)
        return "more than the 2048 bytes that it may have";
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '\n' || text.data[i] == '\r')
            return "a line end within";
        else if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7F)
            return "a control character within";
    return NULL;
}
_Static_assert(SETTINGS_LOGIN_BYTES_MAX == 2048, "as told");

bool value_address(struct slice text)
{
    size_t at = slice_find(text, '@');

    if (text.size > 320 || at == 0 || at == SIZE_MAX || at + 1 == text.size ||
        slice_find(slice_from(text, at + 1), '@') != SIZE_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] <= ' ' || strchr("\"(),:;<>[\\]\x7F", text.data[i]))
            return false;
    return text.data[at + 1] != '.' && text.data[text.size - 1] != '.';
}
