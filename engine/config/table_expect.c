/* What a key takes, in words, for who wrote something else. */
#include "engine/config/table.h"

#include <inttypes.h>
#include <stdio.h>

static void expect_words(const struct config_key *key, char *out, size_t cap)
{
    size_t used = (size_t)snprintf(out, cap, "one of");

    for (unsigned i = 0; key->words[i] && used < cap; i++)
        used += (size_t)snprintf(out + used, cap - used, "%s %s", i ? "," : "", key->words[i]);
}

void config_key_expected(const struct config_key *key, struct slice value, char *out, size_t cap)
{
    bool quoted = slice_starts(value, SLICE("\""));
    const char *words = NULL;

    switch (key->kind) {
    case CONFIG_TEXT:
        words = quoted ? "a text; what begins with a quote must end with one" : "a text";
        break;
    case CONFIG_PATH:
        words = quoted ? "a path; what begins with a quote must end with one" : "a path";
        break;
    case CONFIG_FILE:
    case CONFIG_SECRET:
        words = "a file, or credential:NAME where CREDENTIALS_DIRECTORY is set";
        break;
    case CONFIG_NUMBER:
        snprintf(out, cap, "a number from %" PRIu64 " to %" PRIu64, key->min, key->max);
        return;
    case CONFIG_LIMIT:
        words = "a number or unlimited";
        break;
    case CONFIG_SIZE:
        snprintf(out, cap, "a size such as 35MB or 2GiB%s%s",
                 key->max == SETTINGS_MESSAGE_BYTES_MAX ? ", from 1B to 150MB" : "",
                 key->max != INT64_MAX  ? ""
                 : key->min == 64000000 ? ", from 64MB to 9000000TB"
                 : key->min             ? ", from 1MB to 9000000TB"
                                        : ", at most 9000000TB");
        return;
    case CONFIG_SECONDS:
        words = "a duration in whole seconds such as 7h30m, 90s or 2d, at most 1000d";
        break;
    case CONFIG_MILLISECONDS:
        words = key->min ? "a duration such as 90s or 500ms, from 1ms to 1h"
                         : "a duration such as 90s or 500ms, at most 1h";
        break;
    case CONFIG_WINDOW:
        words = "two different times of day such as 20:00-06:00";
        break;
    case CONFIG_DATE:
        words = "a date such as 2020-01-31";
        break;
    case CONFIG_BOOL:
        words = "yes or no";
        break;
    case CONFIG_LIST:
        words = "names separated by commas; one that holds a comma stands in quotes";
        break;
    case CONFIG_WORD:
    case CONFIG_CHOICE:
    case CONFIG_TLS_MIN:
        expect_words(key, out, cap);
        return;
    case CONFIG_URL:
        words = "a server such as imaps://imap.example.edu or imap://imap.example.edu:143";
        break;
    case CONFIG_HTTPS:
        words = "an address that begins with https:// and has no user name";
        break;
    case CONFIG_PIN:
        words = "a certificate's SHA-256 in 64 hexadecimal digits";
        break;
    case CONFIG_FORM:
        if (slice_find_nocase(value, SLICE("{user}")) != SIZE_MAX)
            words = "a login form in which braces hold only {user}, {domain} or {admin}";
        else
            words = "a login form with {user} in it, such as {user}*{admin}";
        break;
    case CONFIG_COMMAND:
        words = "a program and its arguments; what has blanks within stands in quotes, and in braces only {user} or "
                "{address}";
        break;
    case CONFIG_PROXY:
        words = "socks5://host:port or http://host:port, with user:password@ before the host where it wants a login";
        break;
    case CONFIG_BANDWIDTH:
        words = "bytes a second such as 20MB, or with times of day 08:00-18:00 2MB, 20MB; at least 100KB, or 0";
        break;
    }
    snprintf(out, cap, "%s", words);
}
