/* test: io */
/* Certificates: each fault in its own words, pins, client certificates, resumption rules. */
#include "tests/unit/test_io_peer.h"

#include <time.h>

static struct pair ca, other_ca;
static char *ca_file;

static void serve_greeting(struct peer *peer, int fd)
{
    SSL *ssl = peer_tls(peer, fd);

    if (!ssl)
        return;
    SSL_write(ssl, "* OK\r\n", 6);
    SSL_shutdown(ssl);
    SSL_free(ssl);
}

static bool greeted(struct client *c)
{
    return c->got.size == 6;
}

/* Connects to host (known as 127.0.0.1) with the server's pair; what the client saw is in *c. */
static void visit(struct client *c, const struct pair *pair, const char *host, const struct tls_config *config)
{
    struct peer peer = { 0 };
    struct loop *loop = loop_make();
    SSL_CTX *ctx = server_ctx(pair);
    struct tls_role *role;
    struct err err;

    *c = (struct client){ .done = greeted };
    if (!tls_role_create(config, &role, &err))
        fail_msg("%s", err.server_text);
    peer_start(&peer, ctx, serve_greeting);
    client_open(c, loop, host, peer.port, STREAM_TLS, role);
    client_run(c);
    client_end(c);
    loop_destroy(&loop);
    peer_stop(&peer);
    tls_role_destroy(&role);
    SSL_CTX_free(ctx);
}

static void refused(const struct pair *pair, const char *host, const struct tls_config *config, int code,
                    const char *words, const char *remedy)
{
    struct client c;

    visit(&c, pair, host, config);
    assert_int_equal(c.opened, 0);
    assert_int_equal(c.err.class, ERR_CLASS_PERMANENT);
    assert_int_equal(c.err.scope, ERR_SCOPE_ACCOUNT);
    assert_int_equal(c.err.origin, ERR_ORIGIN_TLS);
    assert_int_equal(c.err.code, code);
    if (!strstr(c.err.server_text, words) || !strstr(c.err.server_text, remedy))
        fail_msg("\"%s\" says neither \"%s\" nor \"%s\"", c.err.server_text, words, remedy);
    /* Who is in between has a fingerprint, too: none is told to be trusted just so. */
    if (strstr(c.err.server_text, "fingerprint") && !strstr(c.err.server_text, "administrator"))
        fail_msg("\"%s\" does not say whom to ask", c.err.server_text);
}

static void test_each_fault_in_words(void **state)
{
    static const struct {
        const char *name, *alt;
        int issuer; /* 0 CA, 1 unknown CA, 2 self */
        int from_days, to_days, code;
        const char *words, *remedy;
    } cases[] = {
        { "late.example", "IP:127.0.0.1", 0, -20, -10, X509_V_ERR_CERT_HAS_EXPIRED, "expired on 20", "renew" },
        { "early.example", "IP:127.0.0.1", 0, 10, 20, X509_V_ERR_CERT_NOT_YET_VALID, "not valid before 20", "clocks" },
        { "b.example", "DNS:b.example,DNS:c.example", 0, -1, 10, X509_V_ERR_IP_ADDRESS_MISMATCH,
          "for b.example, c.example", "url" },
        { "d.example", "IP:127.0.0.1", 1, -1, 10, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "CN=Strange CA",
          "tls-ca" },
        { "e.example", "IP:127.0.0.1", 2, -1, 10, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "self-signed",
          "tls-fingerprint" },
    };
    struct tls_config config = { .ca_file = ca_file, .verify = true };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct pair *issuer = cases[i].issuer == 0 ? &ca : cases[i].issuer == 1 ? &other_ca : NULL;
        struct pair p = pair_make(cases[i].name, cases[i].alt, issuer, cases[i].from_days, cases[i].to_days, false);

        refused(&p, "127.0.0.1", &config, cases[i].code, cases[i].words, cases[i].remedy);
        pair_free(&p);
    }
}

/* Names of any length leave room for what to do. */
static void test_long_names_leave_room_for_the_advice(void **state)
{
    static const char name[] = "a-very-long-name-of-a-mail-server-in-a-department.of.an.example";
    char alt[300];
    struct tls_config config = { .ca_file = ca_file, .verify = true };
    struct pair own, late, other;

    snprintf(alt, sizeof alt, "DNS:%s,DNS:b%s,DNS:c%s", name, name + 1, name + 1);
    own = pair_make(name, "IP:127.0.0.1", NULL, -1, 10, false);
    late = pair_make(name, "IP:127.0.0.1", &ca, -20, -10, false);
    other = pair_make(name, alt, &ca, -1, 10, false);
    refused(&own, "127.0.0.1", &config, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "self-signed", "by another way");
    refused(&late, "127.0.0.1", &config, X509_V_ERR_CERT_HAS_EXPIRED, "expired", "by another way");
    refused(&other, "127.0.0.1", &config, X509_V_ERR_IP_ADDRESS_MISMATCH, "url", "by another way");
    pair_free(&own);
    pair_free(&late);
    pair_free(&other);
}

static void test_a_name_that_is_not_in_the_certificate(void **state)
{
    struct pair p = pair_make("x", "DNS:imap.example", &ca, -1, 10, false);
    struct tls_config config = { .ca_file = ca_file, .verify = true };

    refused(&p, "localhost", &config, X509_V_ERR_HOSTNAME_MISMATCH, "not for localhost", "imap.example");
    pair_free(&p);
}

/* The subject's common name is no name of a host: without the others nothing is (RFC 9525). */
static void test_a_certificate_without_alternative_names(void **state)
{
    struct pair p = pair_make("localhost", NULL, &ca, -1, 10, false);
    struct tls_config config = { .ca_file = ca_file, .verify = true };

    refused(&p, "localhost", &config, X509_V_ERR_HOSTNAME_MISMATCH, "localhost", "");
    pair_free(&p);
}

static void test_no_verification_when_asked_for(void **state)
{
    struct pair p = pair_make("x", "DNS:other.example", NULL, -20, -10, false);
    struct tls_config config = { .verify = false };
    struct client c;

    visit(&c, &p, "127.0.0.1", &config);
    assert_int_equal(c.opened, 1);
    pair_free(&p);
}

static void test_a_pin_decides_alone(void **state)
{
    struct pair p = pair_make("x", "DNS:other.example", NULL, -20, -10, false);
    unsigned char pin[32];
    unsigned size;
    struct tls_config config = { .pin = pin, .verify = true };
    struct client c;

    X509_digest(p.x509, EVP_sha256(), pin, &size);
    visit(&c, &p, "127.0.0.1", &config);
    assert_int_equal(c.opened, 1);
    pin[7] ^= 1;
    refused(&p, "127.0.0.1", &config, X509_V_ERR_APPLICATION_VERIFICATION, "not the pinned one", "tls-fingerprint");
    pair_free(&p);
}

static void serve_plain_greeting(struct peer *peer, int fd)
{
    char bytes[512];

    fd_write(fd, "* OK IMAP4rev1 ready\r\n", 22);
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        ;
}

static void test_a_server_without_tls_is_recognised(void **state)
{
    struct peer peer = { 0 };
    struct client c = { 0 };
    struct loop *loop = loop_make();
    struct tls_config config = { .ca_file = ca_file, .verify = true };
    struct tls_role *role;
    struct err err;

    assert_true(tls_role_create(&config, &role, &err));
    peer_start(&peer, NULL, serve_plain_greeting);
    client_open(&c, loop, "127.0.0.1", peer.port, STREAM_TLS, role);
    client_run(&c);
    assert_int_equal(c.err.class, ERR_CLASS_PERMANENT);
    assert_non_null(strstr(c.err.server_text, "STARTTLS"));
    client_end(&c);
    loop_destroy(&loop);
    peer_stop(&peer);
    tls_role_destroy(&role);
}

static void test_an_old_server_is_refused_unless_allowed(void **state)
{
    struct pair p = pair_make("x", "IP:127.0.0.1", &ca, -1, 10, false);
    struct tls_config config = { .ca_file = ca_file, .verify = true };
    unsigned versions[] = { 0, TLS1_1_VERSION };
    struct tls_role *role;
    struct err err;

    for (size_t i = 0; i < 2; i++) {
        struct peer peer = { 0 };
        struct client c = { .done = greeted };
        struct loop *loop = loop_make();
        SSL_CTX *ctx = server_ctx(&p);

        SSL_CTX_set_security_level(ctx, 0);
        SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
        config.min_version = versions[i];
        assert_true(tls_role_create(&config, &role, &err));
        peer_start(&peer, ctx, serve_greeting);
        client_open(&c, loop, "127.0.0.1", peer.port, STREAM_TLS, role);
        client_run(&c);
        if (versions[i]) {
            assert_int_equal(c.opened, 1);
            assert_string_equal(c.last.tls_version, "TLSv1.1");
        } else {
            assert_int_equal(c.err.class, ERR_CLASS_PERMANENT);
            assert_non_null(strstr(c.err.server_text, "tls-min"));
        }
        client_end(&c);
        loop_destroy(&loop);
        peer_stop(&peer);
        tls_role_destroy(&role);
        SSL_CTX_free(ctx);
    }
    pair_free(&p);
}

static void serve_who_are_you(struct peer *peer, int fd)
{
    SSL *ssl = peer_tls(peer, fd);

    if (!ssl)
        return;
    SSL_write(ssl, SSL_get0_peer_certificate(ssl) ? "* YOU\r" : "* ANY\r", 6);
    SSL_shutdown(ssl);
    SSL_free(ssl);
}

static int any_client(int ok, X509_STORE_CTX *store)
{
    return 1;
}

static void test_a_client_certificate_is_shown(void **state)
{
    struct pair p = pair_make("x", "IP:127.0.0.1", &ca, -1, 10, false);
    struct pair me = pair_make("me", NULL, &ca, -1, 10, false);
    char *me_file = pair_file(&me);
    struct tls_config config = { .ca_file = ca_file, .verify = true, .certificate_file = me_file };
    struct peer peer = { 0 };
    struct client c = { .done = greeted };
    struct loop *loop = loop_make();
    SSL_CTX *ctx = server_ctx(&p);
    struct tls_role *role;
    struct err err;

    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, any_client);
    assert_true(tls_role_create(&config, &role, &err));
    peer_start(&peer, ctx, serve_who_are_you);
    client_open(&c, loop, "127.0.0.1", peer.port, STREAM_TLS, role);
    client_run(&c);
    assert_true(slice_equal(buf_slice(&c.got), SLICE("* YOU\r")));
    client_end(&c);
    loop_destroy(&loop);
    peer_stop(&peer);
    tls_role_destroy(&role);
    SSL_CTX_free(ctx);
    unlink(me_file);
    free(me_file);
    pair_free(&me);
    pair_free(&p);
}

static void test_files_that_cannot_be_used_are_named(void **state)
{
    struct tls_config no_ca = { .ca_file = "/nowhere/ca.pem", .verify = true };
    struct tls_config no_certificate = { .certificate_file = "/nowhere/me.pem", .verify = true };
    struct tls_role *role;
    struct err err;

    assert_false(tls_role_create(&no_ca, &role, &err));
    assert_non_null(strstr(err.server_text, "/nowhere/ca.pem"));
    assert_int_equal(err.scope, ERR_SCOPE_RUN);
    assert_false(tls_role_create(&no_certificate, &role, &err));
    assert_non_null(strstr(err.server_text, "/nowhere/me.pem"));
}

static struct tls_certificate seen;

static void describe(struct client *c)
{
    assert_true(tls_peer_certificate(stream_ssl(c->stream), &seen));
    stream_close(c->stream);
}

static void test_the_certificate_is_described(void **state)
{
    struct pair p = pair_make("imap.example", "DNS:imap.example,DNS:mail.example,IP:127.0.0.1", &ca, -1, 10, false);
    struct tls_config config = { .ca_file = ca_file, .verify = true };
    struct peer peer = { 0 };
    struct client c = { .on_opened = describe };
    struct loop *loop = loop_make();
    SSL_CTX *ctx = server_ctx(&p);
    struct tls_role *role;
    struct err err;

    assert_true(tls_role_create(&config, &role, &err));
    peer_start(&peer, ctx, serve_greeting);
    client_open(&c, loop, "127.0.0.1", peer.port, STREAM_TLS, role);
    client_run(&c);
    assert_string_equal(seen.subject, "CN=imap.example");
    assert_string_equal(seen.issuer, "CN=Test CA");
    assert_string_equal(seen.names, "imap.example, mail.example");
    assert_int_equal(strlen(seen.sha256), 64);
    assert_in_range(seen.not_after - seen.not_before, 11 * 86400 - 2, 11 * 86400 + 2);
    client_end(&c);
    loop_destroy(&loop);
    peer_stop(&peer);
    tls_role_destroy(&role);
    SSL_CTX_free(ctx);
    pair_free(&p);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_fault_in_words),
        cmocka_unit_test(test_long_names_leave_room_for_the_advice),
        cmocka_unit_test(test_a_name_that_is_not_in_the_certificate),
        cmocka_unit_test(test_a_certificate_without_alternative_names),
        cmocka_unit_test(test_no_verification_when_asked_for),
        cmocka_unit_test(test_a_pin_decides_alone),
        cmocka_unit_test(test_a_server_without_tls_is_recognised),
        cmocka_unit_test(test_an_old_server_is_refused_unless_allowed),
        cmocka_unit_test(test_a_client_certificate_is_shown),
        cmocka_unit_test(test_files_that_cannot_be_used_are_named),
        cmocka_unit_test(test_the_certificate_is_described),
    };
    int failed_count;

    ca = pair_make("Test CA", NULL, NULL, -1, 10, true);
    other_ca = pair_make("Strange CA", NULL, NULL, -1, 10, true);
    ca_file = pair_file(&ca);
    failed_count = RUN_ON_BOTH(tests);
    stream_resolver_stop();
    unlink(ca_file);
    free(ca_file);
    pair_free(&ca);
    pair_free(&other_ca);
    return failed_count;
}
