/* test: imap */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/imap/session.h"
#include "io/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names, passwords and tokens of any length and of any bytes, in every way of logging in: the login is written whole
 * and as one command, or the session ends with a permanent error of that user, in words that do not hold the secret. */

struct one {
    struct session *session;
    unsigned failed, ready;
    struct err err;
};

static void ready(void *context)
{
    ((struct one *)context)->ready++;
}

static void nothing(void *context)
{
    (void)context;
}

static void failed(void *context, const struct err *err)
{
    struct one *one = context;

    one->failed++;
    one->err = *err;
}

static const struct session_events events = {
    .ready = ready, .start_tls = nothing, .start_deflate = nothing, .output_ready = nothing, .failed = failed
};

static const struct {
    const char *name, *offer;
    enum auth_mechanism mechanism;
    bool token, admin;
} ways[] = {
    { "LOGIN", "", AUTH_LOGIN, false, false },
    { "LOGIN of a form", "", AUTH_LOGIN, false, true },
    { "AUTHENTICATE LOGIN", " LOGINDISABLED AUTH=LOGIN", AUTH_LOGIN, false, false },
    { "PLAIN", " AUTH=PLAIN", AUTH_PLAIN, false, false },
    { "PLAIN for another", " AUTH=PLAIN", AUTH_PLAIN, false, true },
    { "CRAM-MD5", " AUTH=CRAM-MD5", AUTH_CRAM_MD5, false, false },
    { "SCRAM-SHA-1", " AUTH=SCRAM-SHA-1", AUTH_SCRAM_SHA_1, false, false },
    { "SCRAM-SHA-256 for another", " AUTH=SCRAM-SHA-256", AUTH_SCRAM_SHA_256, false, true },
    { "XOAUTH2", " AUTH=XOAUTH2", AUTH_XOAUTH2, true, false },
    { "OAUTHBEARER", " AUTH=OAUTHBEARER", AUTH_OAUTHBEARER, true, false },
    { "EXTERNAL", " AUTH=EXTERNAL", AUTH_EXTERNAL, false, false },
    { "X-MASTERAUTH", "", AUTH_KERIO_MASTER, false, true },
    { "PROXYAUTH", "", AUTH_PROXYAUTH, false, true },
    { "XGWTRUSTEDAPP", "", AUTH_GROUPWISE, false, true },
};

enum field { USER, PASSWORD, ADMIN, FORM, HOST, FIELDS };

/* Gathers what goes out. */
static size_t spoken(struct one *one, char *out, size_t cap)
{
    size_t size = 0;

    for (;;) {
        struct slice part = session_output(one->session);

        if (part.size == 0)
            return size;
        assert_true(size + part.size < cap);
        memcpy(out + size, part.data, part.size);
        size += part.size;
        session_output_taken(one->session, part.size);
    }
}

static void say(struct one *one, const char *text)
{
    if (!one->failed && !one->ready)
        session_feed(one->session, slice_cstr(text));
}

/* Of what goes without the server's go-ahead nothing is longer than it offers (RFC 7888 5). */
static void literals_are_as_offered(const char *out, const char *offer, const char *way)
{
    for (const char *at = strchr(out, '{'); at; at = strchr(at + 1, '{')) {
        unsigned long bytes;
        char end[3];

        if (sscanf(at, "{%lu%2[+}]", &bytes, end) != 2 || strcmp(end, "+}") != 0)
            continue;
        if (!offer[0] || (strcmp(offer, " LITERAL-") == 0 && bytes > 4096))
            fail_msg("%s: a literal of %lu bytes is not waited for, offered was \"%s\"", way, bytes, offer);
    }
}

static void log_in(unsigned way, enum field field, const char *text, const char *literals, const char *more)
{
    static char out[(1 << 21) + 1];
    char greeting[200];
    struct secret *secret = secret_create(field == PASSWORD ? slice_cstr(text) : SLICE("secret"));
    struct session_config config = {
        .tls = true,
        .auth = { .mechanism = ways[way].mechanism,
                  .user = field == USER ? text : "anna",
                  .host = field == HOST ? text : "imap.example",
                  .port = 993 },
    };
    struct one one = { 0 };
    size_t size = 0;

    if (ways[way].token)
        config.auth.token = secret;
    else if (ways[way].mechanism != AUTH_EXTERNAL)
        config.auth.password = secret;
    if (ways[way].admin) {
        config.auth.admin_user = field == ADMIN ? text : "root";
        if (ways[way].mechanism == AUTH_LOGIN)
            config.auth.login_form = field == FORM ? text : "{user}*{admin}";
    }
    one.session = session_create(&config, &events, &one);
    snprintf(greeting, sizeof greeting, "* OK [CAPABILITY IMAP4rev1%s%s%s] hello\r\n", literals, more, ways[way].offer);
    say(&one, greeting);
    size += spoken(&one, out + size, sizeof out - size);
    for (unsigned i = 0; i < 4; i++) {
        say(&one, "+ cj1hYmM=\r\n");
        size += spoken(&one, out + size, sizeof out - size);
    }
    if (ways[way].mechanism == AUTH_PROXYAUTH) {
        say(&one, "a1 OK the administrator is in\r\n"); /* and becomes the user */
        size += spoken(&one, out + size, sizeof out - size);
    }
    out[size] = '\0';
    literals_are_as_offered(out, literals, ways[way].name);
    /* Of a text with a line end nothing goes before the server asks for it: who refuses the login would read the rest
     * as commands. */
    if (strpbrk(text, "\r\n") && strstr(out, "+}"))
        fail_msg("%s, field %d: a literal with a line end is not asked for", ways[way].name, field);
    if (one.failed) {
        if (one.err.class != ERR_CLASS_PERMANENT || one.err.scope != ERR_SCOPE_ACCOUNT || !one.err.server_text[0])
            fail_msg("%s, field %d of %zu bytes: %s", ways[way].name, field, strlen(text), one.err.server_text);
        assert_null(strstr(one.err.server_text, "secret"));
        if (field == USER && strlen(text) > 4096 && text[0] == 'a' && !strstr(one.err.server_text, "too long"))
            fail_msg("%s, %zu bytes: %s", ways[way].name, strlen(text), one.err.server_text);
        if (field == PASSWORD && strlen(text) > 8)
            assert_null(strstr(one.err.server_text, text));
    } else if (size == 0) {
        fail_msg("%s, field %d of %zu bytes: neither said nor refused", ways[way].name, field, strlen(text));
    }
    assert_true(one.failed <= 1);
    session_destroy(&one.session);
    secret_destroy(&secret);
}

static void names_and_secrets_of_any_length(void **state)
{
    static const size_t sizes[] = { 0, 1, 255, 1023, 1024, 1025, 2047, 2048, 2049, 4096, 4097, 6000, 8192, 65537 };
    static const char *const offers[] = { "", " LITERAL+", " LITERAL-" };
    static const char fills[] = { 'a', '"', '\\', '\xE9', '\r', '\n', '\x01', ',', '{' };

    (void)state;
    for (unsigned way = 0; way < sizeof ways / sizeof *ways; way++)
        for (enum field field = USER; field < FIELDS; field++)
            for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
                for (unsigned f = 0; f < sizeof fills; f++) {
                    char *text = mem_alloc(sizes[i] + 1);

                    memset(text, fills[f], sizes[i]);
                    text[sizes[i]] = '\0';
                    for (unsigned o = 0; o < sizeof offers / sizeof *offers; o++)
                        log_in(way, field, text, offers[o], i % 2 ? " SASL-IR" : "");
                    free(text);
                }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_secrets_of_any_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
