/* test: io */
/* Requests to a server in this process, plain HTTP on the loopback and HTTPS. */
#include "io/https.h"
#include "tests/unit/test_io_peer.h"

static struct pair ca, good;
static char *ca_file;
static SSL_CTX *good_ctx;

struct line_in {
    SSL *ssl;
    int fd;
};

static int in_read(struct line_in *in, char *out, int size)
{
    return in->ssl ? SSL_read(in->ssl, out, size) : (int)recv(in->fd, out, (size_t)size, 0);
}

static void serve_http(struct peer *peer, int fd)
{
    static const char head[] = "HTTP/1.1 400 Bad Request\r\nDate: Tue, 24 Nov 2026 04:00:00 GMT\r\n"
                               "Retry-After: 17\r\nConnection: close\r\n\r\n";
    struct line_in in = { peer->ctx ? peer_tls(peer, fd) : NULL, fd };
    char request[4096], reply[65536];
    size_t size = 0, body = 0;
    int n;

    if (peer->ctx && !in.ssl)
        return;
    /* The form "a=b&c=d" is the end of every request here. */
    while (size < sizeof request - 1 && (n = in_read(&in, request + size, (int)(sizeof request - 1 - size))) > 0) {
        size += (size_t)n;
        request[size] = '\0';
        if (strstr(request, "a=b&c=d") || strncmp(request, "GET", 3) == 0)
            break;
    }
    if (peer->size == SIZE_MAX) {
        /* Never answers; ends when the client hangs up. */
        while (in_read(&in, reply, sizeof reply) > 0)
            ;
    } else {
        bool ok = strstr(request, "Content-Type: application/x-www-form-urlencoded") &&
                  strstr(request, "Authorization: Bearer x");

        memcpy(reply, head, sizeof head - 1);
        n = (int)sizeof head - 1;
        n += sprintf(reply + n, "%s", ok ? "{\"ok\":1}" : "{}");
        in.ssl ? SSL_write(in.ssl, reply, n) : (int)fd_write(fd, reply, (size_t)n);
        memset(reply, 'x', sizeof reply);
        while (body < peer->size) {
            if (in.ssl || !fd_write(fd, reply, sizeof reply))
                break;
            body += sizeof reply;
        }
    }
    if (in.ssl) {
        SSL_shutdown(in.ssl);
        SSL_free(in.ssl);
    }
}

struct asker {
    struct loop *loop;
    unsigned count, wanted;
    bool ok;
    int status;
    struct err err;
    char date[40], body[64];
    uint32_t retry_after_s;
};

static void answered(void *context, const struct https_answer *answer)
{
    struct asker *a = context;
    struct slice body = slice_first(buf_slice(&answer->body), sizeof a->body - 1);

    a->ok = answer->ok;
    a->status = answer->status;
    a->err = answer->err;
    a->retry_after_s = answer->retry_after_s;
    snprintf(a->date, sizeof a->date, "%s", answer->date);
    if (body.size)
        memcpy(a->body, body.data, body.size);
    a->body[body.size] = '\0';
    if (++a->count == a->wanted)
        loop_stop(a->loop);
}

static void ask(struct asker *a, struct https_request *request, SSL_CTX *ctx, size_t size, unsigned count)
{
    struct peer peer = { .size = size };
    struct https *https;
    struct err err;
    char url[64];

    *a = (struct asker){ .loop = loop_make(), .wanted = count };
    peer_start(&peer, ctx, serve_http);
    snprintf(url, sizeof url, "%s://127.0.0.1:%u/token?secret=1", ctx ? "https" : "http", peer.port);
    request->url = url;
    assert_true(https_create(&https, &err));
    for (unsigned i = 0; i < count; i++)
        https_send(https, request, a->loop, answered, a);
    loop_run(a->loop);
    https_destroy(&https);
    assert_null(https);
    loop_destroy(&a->loop);
    peer_stop(&peer);
    assert_int_equal(a->count, count);
}

static void test_a_form_is_posted_and_answered(void **state)
{
    struct https_request request = { .form = SLICE("a=b&c=d"), .authorization = "Bearer x" };
    struct asker a;

    ask(&a, &request, NULL, 0, 3);
    assert_true(a.ok);
    assert_int_equal(a.status, 400);
    assert_string_equal(a.body, "{\"ok\":1}");
    assert_string_equal(a.date, "Tue, 24 Nov 2026 04:00:00 GMT");
    assert_int_equal(a.retry_after_s, 17);
}

static void test_tls_with_its_own_ca(void **state)
{
    struct https_request request = { .ca_file = ca_file, .authorization = "Bearer x" };
    struct asker a;

    ask(&a, &request, good_ctx, 0, 1);
    if (!a.ok)
        fail_msg("%s", a.err.server_text);
    assert_string_equal(a.body, "{}");
}

static void test_an_unknown_ca_is_permanent(void **state)
{
    struct https_request request = { .form = SLICE("a=b&c=d") };
    struct asker a;

    ask(&a, &request, good_ctx, 0, 1);
    assert_false(a.ok);
    assert_int_equal(a.err.class, ERR_CLASS_PERMANENT);
    assert_int_equal(a.err.origin, ERR_ORIGIN_TLS);
    assert_non_null(strstr(a.err.server_text, "tls-ca"));
    assert_null(strstr(a.err.doing, "secret"));
}

static void test_an_answer_without_end_is_cut(void **state)
{
    struct https_request request = { .form = SLICE("a=b&c=d") };
    struct asker a;

    ask(&a, &request, NULL, (size_t)4 << 20, 1);
    assert_false(a.ok);
    assert_int_equal(a.err.origin, ERR_ORIGIN_PROTOCOL);
}

static void test_a_silent_server_times_out(void **state)
{
    struct https_request request = { .form = SLICE("a=b&c=d"), .timeout_ms = 50 };
    struct asker a;

    ask(&a, &request, NULL, SIZE_MAX, 1);
    assert_false(a.ok);
    assert_int_equal(a.err.code, ETIMEDOUT);
    assert_int_equal(a.err.class, ERR_CLASS_TRANSIENT);
}

/* A server that answers with so many bytes (SIZE_MAX: never), and what may ask it. */
struct site {
    struct peer peer;
    struct https *https;
    char url[64];
    struct https_request request;
};

static void site_start(struct site *site, size_t size)
{
    struct err err;

    *site = (struct site){ .peer = { .size = size }, .request = { .form = SLICE("a=b&c=d") } };
    peer_start(&site->peer, NULL, serve_http);
    snprintf(site->url, sizeof site->url, "http://127.0.0.1:%u/", site->peer.port);
    site->request.url = site->url;
    assert_true(https_create(&site->https, &err));
}

static void test_destroy_cancels(void **state)
{
    struct asker a = { .loop = loop_make(), .wanted = 1 };
    struct site site;

    site_start(&site, SIZE_MAX);
    https_send(site.https, &site.request, a.loop, answered, &a);
    https_destroy(&site.https);
    loop_run(a.loop);
    assert_int_equal(a.err.class, ERR_CLASS_CANCELED);
    loop_destroy(&a.loop);
    peer_stop(&site.peer);
}

static void test_a_loop_that_goes_first_is_told_nothing(void **state)
{
    struct asker gone = { .loop = loop_make(), .wanted = 1 }, stays = { .loop = loop_make(), .wanted = 1 };
    struct site site;

    site_start(&site, SIZE_MAX);
    for (unsigned i = 0; i < 3; i++)
        https_send(site.https, &site.request, gone.loop, answered, &gone);
    https_send(site.https, &site.request, stays.loop, answered, &stays);
    https_drop(site.https, gone.loop);
    loop_destroy(&gone.loop);
    https_destroy(&site.https);
    assert_int_equal(gone.count, 0);
    loop_run(stays.loop);
    assert_int_equal(stays.err.class, ERR_CLASS_CANCELED);
    loop_destroy(&stays.loop);
    peer_stop(&site.peer);
}

/* The loop may be ended while the answer is on its way to it: it is told by the drop, or not at all. */
static void test_an_answer_that_has_come_is_told_by_the_drop(void **state)
{
    for (unsigned round = 0; round < 50; round++) {
        struct asker *a = mem_zero(1, sizeof *a);
        struct site site;

        *a = (struct asker){ .loop = loop_make(), .wanted = UINT_MAX };
        site_start(&site, 0);
        site.request.authorization = "Bearer x";
        https_send(site.https, &site.request, a->loop, answered, a);
        usleep(round * 100);
        https_drop(site.https, a->loop);
        assert_in_range(a->count, 0, 1);
        loop_destroy(&a->loop);
        free(a); /* what comes after this is found by AddressSanitizer */
        https_destroy(&site.https);
        peer_stop(&site.peer);
    }
}

static void test_without_a_loop_and_only_https_beyond_this_host(void **state)
{
    struct https_request far = { .url = "http://login.example/token" };
    struct https_answer answer;

    https_now(&far, &answer);
    assert_false(answer.ok);
    assert_int_equal(answer.err.class, ERR_CLASS_PERMANENT);
    assert_int_equal(answer.err.scope, ERR_SCOPE_RUN);
    https_answer_deinit(&answer);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_form_is_posted_and_answered),
        cmocka_unit_test(test_tls_with_its_own_ca),
        cmocka_unit_test(test_an_unknown_ca_is_permanent),
        cmocka_unit_test(test_an_answer_without_end_is_cut),
        cmocka_unit_test(test_a_silent_server_times_out),
        cmocka_unit_test(test_destroy_cancels),
        cmocka_unit_test(test_a_loop_that_goes_first_is_told_nothing),
        cmocka_unit_test(test_an_answer_that_has_come_is_told_by_the_drop),
        cmocka_unit_test(test_without_a_loop_and_only_https_beyond_this_host),
    };
    int failed_count;

    /* A proxy of the user's must not come between. */
    setenv("no_proxy", "*", 1);
    ca = pair_make("Test CA", NULL, NULL, -1, 10, true);
    good = pair_make("good", "IP:127.0.0.1", &ca, -1, 10, false);
    ca_file = pair_file(&ca);
    good_ctx = server_ctx(&good);
    failed_count = RUN_ON_BOTH(tests);
    unlink(ca_file);
    free(ca_file);
    SSL_CTX_free(good_ctx);
    pair_free(&good);
    pair_free(&ca);
    return failed_count;
}
