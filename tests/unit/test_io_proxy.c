/* test: io */
#include "io/proxy.h"

#include "io/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdlib.h>

#include <cmocka.h>

#define BYTES(text) slice_of(text, sizeof text - 1)

static struct proxy_way way(enum proxy_kind kind, const char *user, const char *password)
{
    return (struct proxy_way){ .kind = kind,
                               .host = (char *)"proxy.example",
                               .port = 1080,
                               .user = user ? secret_create(slice_cstr(user)) : NULL,
                               .password = password ? secret_create(slice_cstr(password)) : NULL };
}

static void way_deinit(struct proxy_way *w)
{
    secret_destroy(&w->user);
    secret_destroy(&w->password);
}

static void said(struct proxy *p, struct slice expected)
{
    assert_true(slice_equal(proxy_output(p), expected));
    proxy_output_taken(p);
    assert_int_equal(proxy_output(p).size, 0);
}

/* The answer whole, and byte by byte: the same end. */
static enum proxy_step feed(struct proxy *p, struct slice answer, struct slice *left_r, struct err *e)
{
    enum proxy_step step = PROXY_GOES_ON;

    while (answer.size && step == PROXY_GOES_ON) {
        struct slice one = slice_first(answer, 1);

        step = proxy_feed(p, &one, e);
        assert_int_equal(one.size, 0);
        answer = slice_from(answer, 1);
    }
    *left_r = answer;
    return step;
}

static void socks_opens_the_way(void **state)
{
    static const char reply[] = "\x05\x00\x00\x03\x04host\x00\x50* OK";
    struct proxy_way w = way(PROXY_SOCKS5, NULL, NULL);

    (void)state;
    for (unsigned whole = 0; whole < 2; whole++) {
        struct proxy *p = proxy_create(&w, "imap.example.edu", 993);
        struct slice left = BYTES("\x05\x00");
        struct err e;

        said(p, BYTES("\x05\x01\x00"));
        assert_int_equal(proxy_feed(p, &left, &e), PROXY_GOES_ON);
        said(p, BYTES("\x05\x01\x00\x03\x10imap.example.edu\x03\xe1"));
        left = BYTES(reply);
        assert_int_equal(whole ? proxy_feed(p, &left, &e) : feed(p, BYTES(reply), &left, &e), PROXY_STANDS);
        assert_true(slice_equal(left, SLICE("* OK")));
        proxy_destroy(&p);
    }
    way_deinit(&w);
}

static void socks_takes_addresses_and_logins(void **state)
{
    struct proxy_way w = way(PROXY_SOCKS5, "ann", "s3c");
    struct proxy *p = proxy_create(&w, "192.0.2.1", 143);
    struct slice left;
    struct err e;

    (void)state;
    said(p, BYTES("\x05\x02\x00\x02"));
    assert_int_equal(feed(p, BYTES("\x05\x02"), &left, &e), PROXY_GOES_ON);
    said(p, BYTES("\x01\x03"
                  "ann\x03s3c"));
    assert_int_equal(feed(p, BYTES("\x01\x00"), &left, &e), PROXY_GOES_ON);
    said(p, BYTES("\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x8f"));
    assert_int_equal(feed(p, BYTES("\x05\x00\x00\x01\x01\x02\x03\x04\x00\x50"), &left, &e), PROXY_STANDS);
    proxy_destroy(&p);
    p = proxy_create(&w, "2001:db8::1", 143);
    proxy_output_taken(p);
    assert_int_equal(feed(p, BYTES("\x05\x00"), &left, &e), PROXY_GOES_ON);
    assert_int_equal(proxy_output(p).size, 22);
    proxy_destroy(&p);
    way_deinit(&w);
}

static const struct {
    const char *first, *then; /* lengths below */
    size_t first_size, then_size;
    enum err_class class;
    int code;
    const char *text;
} socks_refusals[] = {
#define ROW(first, then, class, code, text)                                                                            \
    {                                                                                                                  \
        first, then, sizeof first - 1, sizeof then - 1, class, code, text                                              \
    }
    ROW("\x05\xff", "", ERR_CLASS_PERMANENT, EACCES, "wants a login"),
    ROW("\x05\x02", "", ERR_CLASS_PERMANENT, EACCES, "wants a login"),
    ROW("* ", "", ERR_CLASS_PERMANENT, EPROTO, "does not speak SOCKS 5"),
    ROW("HTTP/1.1 400 Bad Request\r\n\r\n", "", ERR_CLASS_PERMANENT, EPROTO, "does not speak SOCKS 5"),
    ROW("\x05\x00", "\x05\x02", ERR_CLASS_PERMANENT, EPERM, "does not allow"),
    ROW("\x05\x00", "\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00", ERR_CLASS_TRANSIENT, EHOSTUNREACH, "cannot reach"),
    ROW("\x05\x00", "\x05\x05", ERR_CLASS_TRANSIENT, ECONNREFUSED, "refused by the server"),
    ROW("\x05\x00", "\x05\x63", ERR_CLASS_PERMANENT, EPROTO, "unknown reply 99"),
    ROW("\x05\x00", "\x05\x00\x00\x09\x00", ERR_CLASS_PERMANENT, EPROTO, "address of no kind"),
};

static void socks_refuses(void **state)
{
    struct proxy_way w = way(PROXY_SOCKS5, NULL, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof socks_refusals / sizeof *socks_refusals; i++) {
        struct proxy *p = proxy_create(&w, "imap.example.edu", 993);
        struct slice left;
        struct err e;
        enum proxy_step step = feed(p, slice_of(socks_refusals[i].first, socks_refusals[i].first_size), &left, &e);

        if (step == PROXY_GOES_ON)
            step = feed(p, slice_of(socks_refusals[i].then, socks_refusals[i].then_size), &left, &e);
        assert_int_equal(step, PROXY_REFUSED);
        assert_int_equal(e.class, socks_refusals[i].class);
        assert_int_equal(e.code, socks_refusals[i].code);
        if (!strstr(e.server_text, socks_refusals[i].text))
            fail_msg("%s", e.server_text);
        proxy_destroy(&p);
    }
    way_deinit(&w);
}

static void http_connects(void **state)
{
    static const char *const answers[] = { "HTTP/1.1 200 Connection established\r\n\r\n* OK",
                                           "HTTP/1.0 200\nVia: x\n\n* OK",
                                           "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n* OK" };
    struct proxy_way w = way(PROXY_HTTP, "ann", "s3cret"), six = way(PROXY_HTTP, NULL, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        for (unsigned whole = 0; whole < 2; whole++) {
            struct proxy *p = proxy_create(&w, "imap.example.edu", 993);
            struct slice left = slice_cstr(answers[i]);
            struct err e;

            said(p, SLICE("CONNECT imap.example.edu:993 HTTP/1.1\r\nHost: imap.example.edu:993\r\n"
                          "Proxy-Authorization: Basic YW5uOnMzY3JldA==\r\n\r\n"));
            assert_int_equal(whole ? proxy_feed(p, &left, &e) : feed(p, left, &left, &e), PROXY_STANDS);
            assert_true(slice_equal(left, SLICE("* OK")));
            proxy_destroy(&p);
        }
    {
        struct proxy *p = proxy_create(&six, "::1", 143);

        said(p, SLICE("CONNECT [::1]:143 HTTP/1.1\r\nHost: [::1]:143\r\n\r\n"));
        proxy_destroy(&p);
    }
    way_deinit(&w);
}

static void http_refuses(void **state)
{
    static const struct {
        const char *answer;
        enum err_class class;
        int code;
        const char *text;
    } cases[] = {
        { "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", ERR_CLASS_PERMANENT, EACCES, "wants a login (407)" },
        { "HTTP/1.1 403 Forbidden\r\nX: y\r\n\r\n", ERR_CLASS_PERMANENT, EPERM, "\"HTTP/1.1 403 Forbidden\"" },
        { "HTTP/1.1 503 No\x1b[2J\r\n\r\n", ERR_CLASS_TRANSIENT, EHOSTUNREACH, "503 No.[2J" },
        { "HTTP/1.1 504 Timeout\r\n\r\n", ERR_CLASS_TRANSIENT, ETIMEDOUT, "504" },
        { "HTTP/1.1 OK\r\n\r\n", ERR_CLASS_PERMANENT, EPROTO, "does not speak HTTP" },
        { "* OK IMAP4rev1 ready\r\n", ERR_CLASS_PERMANENT, EPROTO, "does not speak HTTP" },
        { "\x05\xff", ERR_CLASS_PERMANENT, EPROTO, "does not speak HTTP" },
    };
    struct proxy_way w = way(PROXY_HTTP, NULL, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct proxy *p = proxy_create(&w, "imap.example.edu", 993);
        struct slice left;
        struct err e;

        assert_int_equal(feed(p, slice_cstr(cases[i].answer), &left, &e), PROXY_REFUSED);
        assert_int_equal(e.class, cases[i].class);
        assert_int_equal(e.code, cases[i].code);
        if (!strstr(e.server_text, cases[i].text))
            fail_msg("%s", e.server_text);
        proxy_destroy(&p);
    }
}

/* A header that never ends, and interim answers without end: neither grows, and both are cut or cost nothing. */
static void what_does_not_end_is_bounded(void **state)
{
    struct proxy_way w = way(PROXY_HTTP, NULL, NULL);
    struct proxy *p = proxy_create(&w, "imap.example.edu", 993);
    struct slice line = SLICE("HTTP/1.1 200 OK\r\n");
    enum proxy_step step;
    unsigned lines = 0;
    struct err e;

    (void)state;
    step = proxy_feed(p, &line, &e);
    for (; step == PROXY_GOES_ON && lines < 10000; lines++) {
        line = SLICE("X: y\r\n");
        step = proxy_feed(p, &line, &e);
    }
    assert_int_equal(step, PROXY_REFUSED);
    assert_true(lines < 3000);
    assert_non_null(strstr(e.server_text, "does not end"));
    proxy_destroy(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(socks_opens_the_way), cmocka_unit_test(socks_takes_addresses_and_logins),
        cmocka_unit_test(socks_refuses),       cmocka_unit_test(http_connects),
        cmocka_unit_test(http_refuses),        cmocka_unit_test(what_does_not_end_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
