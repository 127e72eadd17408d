/* What the tests of io share: certificates made in memory, a server thread on 127.0.0.1, and a
 * client that records what its stream tells. Static functions, because each test is one program.
 */
#ifndef TESTS_UNIT_TEST_IO_PEER_H
#define TESTS_UNIT_TEST_IO_PEER_H

#include "io/base/buf.h"
#include "io/base/mem.h"
#include "io/base/slice.h"
#include "io/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define UNUSED __attribute__((unused))

/* Certificates */

struct pair {
    X509 *x509;
    EVP_PKEY *key;
};

/* Days relative to now; alt: subjectAltName or NULL; issuer NULL: self-signed. */
static UNUSED struct pair pair_make(const char *name, const char *alt, const struct pair *issuer, int from_days,
                                    int to_days, bool ca)
{
    static int serial = 1;
    struct pair p = { X509_new(), EVP_EC_gen("P-256") };
    X509_NAME *subject = X509_get_subject_name(p.x509);
    X509V3_CTX context;
    const char *texts[][2] = { { "basicConstraints", ca ? "critical,CA:TRUE" : "CA:FALSE" },
                               { "subjectAltName", alt } };

    X509_set_version(p.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(p.x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(p.x509), from_days * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(p.x509), to_days * 86400L);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(p.x509, issuer ? X509_get_subject_name(issuer->x509) : subject);
    X509_set_pubkey(p.x509, p.key);
    X509V3_set_ctx(&context, issuer ? issuer->x509 : p.x509, p.x509, NULL, NULL, 0);
    for (size_t i = 0; i < 2; i++)
        if (texts[i][1]) {
            X509_EXTENSION *extension = X509V3_EXT_conf(NULL, &context, texts[i][0], texts[i][1]);

            X509_add_ext(p.x509, extension, -1);
            X509_EXTENSION_free(extension);
        }
    assert_true(X509_sign(p.x509, issuer ? issuer->key : p.key, EVP_sha256()) > 0);
    return p;
}

static UNUSED void pair_free(struct pair *p)
{
    X509_free(p->x509);
    EVP_PKEY_free(p->key);
}

/* A temporary file with the certificate, for tls-ca; unlink it, then free. */
static UNUSED char *pair_file(const struct pair *p)
{
    char *path = mem_text("/tmp/mailhaul-test-XXXXXX");
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");

    assert_non_null(file);
    PEM_write_X509(file, p->x509);
    PEM_write_PrivateKey(file, p->key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    return path;
}

static UNUSED SSL_CTX *server_ctx(const struct pair *p)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    SSL_CTX_use_certificate(ctx, p->x509);
    SSL_CTX_use_PrivateKey(ctx, p->key);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"t", 1);
    return ctx;
}

/* The server: one thread a connection, each running serve(peer, fd). */

struct peer {
    int listen_fd;
    uint16_t port;
    SSL_CTX *ctx; /* borrowed */
    void (*serve)(struct peer *peer, int fd);
    pthread_t thread;
    _Atomic int served, accepted;
    size_t size;         /* for serve's use */
    _Atomic size_t seen; /* likewise */
};

struct peer_call {
    struct peer *peer;
    int fd;
};

static UNUSED void *peer_serve(void *context)
{
    struct peer_call call = *(struct peer_call *)context;

    free(context);
    call.peer->serve(call.peer, call.fd);
    close(call.fd);
    ERR_clear_error();
    OPENSSL_thread_stop();
    atomic_fetch_add(&call.peer->served, 1);
    return NULL;
}

static UNUSED void *peer_accept(void *context)
{
    struct peer *peer = context;
    pthread_attr_t attributes;
    sigset_t pipe_signal;

    /* For the servers' threads only: the client's must never raise it. */
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    for (;;) {
        struct peer_call *call;
        pthread_t thread;
        int fd = accept(peer->listen_fd, NULL, NULL);

        if (fd < 0)
            break;
        call = mem_alloc(sizeof *call);
        *call = (struct peer_call){ peer, fd };
        atomic_fetch_add(&peer->accepted, 1);
        if (pthread_create(&thread, &attributes, peer_serve, call) != 0)
            abort();
    }
    pthread_attr_destroy(&attributes);
    return NULL;
}

static UNUSED int listen_on(int family, uint16_t *port_r)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr *any = family == AF_INET6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
    socklen_t size = family == AF_INET6 ? sizeof in6 : sizeof in;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (*port_r) {
        in6.sin6_port = htons(*port_r);
        in.sin_port = htons(*port_r);
    }
    if (fd < 0 || bind(fd, any, size) != 0 || listen(fd, 1024) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    getsockname(fd, any, &size);
    *port_r = ntohs(family == AF_INET6 ? in6.sin6_port : in.sin_port);
    return fd;
}

static UNUSED void peer_start(struct peer *peer, SSL_CTX *ctx, void (*serve)(struct peer *peer, int fd))
{
    peer->listen_fd = listen_on(AF_INET, &peer->port);
    assert_true(peer->listen_fd >= 0);
    peer->ctx = ctx;
    peer->serve = serve;
    assert_int_equal(pthread_create(&peer->thread, NULL, peer_accept, peer), 0);
}

static UNUSED void peer_stop(struct peer *peer)
{
    shutdown(peer->listen_fd, SHUT_RDWR);
    pthread_join(peer->thread, NULL);
    close(peer->listen_fd);
    while (atomic_load(&peer->served) < atomic_load(&peer->accepted))
        poll(NULL, 0, 1);
}

static UNUSED SSL *peer_tls(struct peer *peer, int fd)
{
    SSL *ssl = SSL_new(peer->ctx);

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

static UNUSED bool fd_write(int fd, const char *text, size_t size)
{
    while (size) {
        ssize_t n = send(fd, text, size, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        text += n;
        size -= (size_t)n;
    }
    return true;
}

/* Reads lines until one ends; false at the end. */
static UNUSED bool fd_line(int fd, char *line, size_t cap)
{
    size_t size = 0;

    while (size + 1 < cap) {
        if (recv(fd, line + size, 1, 0) != 1)
            return false;
        if (line[size++] == '\n') {
            line[size] = '\0';
            return true;
        }
    }
    return false;
}

/* The client */

struct client {
    struct loop *loop;
    struct stream *stream;
    struct buf got;
    unsigned opened, writable, closed;
    bool has_err, drops_unsent;
    struct err err;
    struct stream_facts last; /* at opened, then at closed */
    char address[64];
    void (*on_opened)(struct client *c);
    void (*on_received)(struct client *c, struct slice bytes); /* instead of got */
    void (*on_writable)(struct client *c);
    bool (*done)(struct client *c); /* loop ends when true; always when closed */
    size_t count, sent;             /* for the hooks */
    struct loop_timer watchdog, timer;
    unsigned *alive; /* shared by many clients: the last one's end stops the loop */
};

static UNUSED void client_check(struct client *c)
{
    if (c->done && c->done(c))
        loop_stop(c->loop);
}

static UNUSED void client_opened(void *context)
{
    struct client *c = context;

    c->opened++;
    stream_facts(c->stream, &c->last);
    snprintf(c->address, sizeof c->address, "%s", c->last.address);
    if (c->on_opened)
        c->on_opened(c);
    client_check(c);
}

static UNUSED void client_received(void *context, struct slice bytes)
{
    struct client *c = context;

    assert_true(bytes.size >= 1 && bytes.size <= 65536);
    if (c->on_received)
        c->on_received(c, bytes);
    else
        assert_true(buf_append(&c->got, bytes));
    client_check(c);
}

static UNUSED void client_writable(void *context)
{
    struct client *c = context;

    c->writable++;
    if (c->on_writable)
        c->on_writable(c);
    client_check(c);
}

static UNUSED void client_closed(void *context, const struct err *err)
{
    struct client *c = context;

    c->closed++;
    stream_facts(c->stream, &c->last);
    stream_close(c->stream); /* too late to matter */
    c->stream = NULL;
    c->has_err = err != NULL;
    if (err)
        c->err = *err;
    if (!c->alive || --*c->alive == 0)
        loop_stop(c->loop);
}

static UNUSED const struct stream_events client_events = { client_opened, client_received, client_writable,
                                                           client_closed };

static UNUSED void watchdog_fired(void *context)
{
    fail_msg("nothing happened for two minutes");
}

static UNUSED void client_open(struct client *c, struct loop *loop, const char *host, uint16_t port,
                               enum stream_security security, struct tls_role *role)
{
    struct stream_target target = { .host = host,
                                    .port = port,
                                    .security = security,
                                    .tls = role,
                                    .connect_timeout_ms = 60000,
                                    .drops_unsent = c->drops_unsent };

    c->loop = loop;
    buf_init(&c->got, (size_t)64 << 20);
    c->stream = stream_open(loop, &target, &client_events, c);
}

/* Until done or closed. */
static UNUSED void client_run(struct client *c)
{
    loop_timer_set(c->loop, &c->watchdog, 120000, watchdog_fired, c);
    loop_run(c->loop);
    loop_timer_clear(c->loop, &c->watchdog);
}

/* Closes if need be, and frees. */
static UNUSED void client_end(struct client *c)
{
    if (c->stream) {
        c->done = NULL;
        stream_close(c->stream);
        client_run(c);
        assert_false(c->has_err);
    }
    assert_int_equal(c->closed, 1);
    buf_deinit(&c->got);
}

static UNUSED struct loop *loop_make(void)
{
    struct loop *loop;
    struct err err;

    if (!loop_create(&loop, &err))
        fail_msg("%s %s", err.doing, err.server_text);
    assert_string_equal(loop_backend(loop), getenv("MAILHAUL_LOOP"));
    return loop;
}

/* Runs the group on each back-end; io_uring is left out, and said so, where it is refused. */
#define RUN_ON_BOTH(tests)                                                                                             \
    ({                                                                                                                 \
        int group_failed = 0;                                                                                          \
        static const char *const backends[] = { "io_uring", "epoll" };                                                 \
        for (size_t backend_i = 0; backend_i < 2; backend_i++) {                                                       \
            struct loop *probe_loop;                                                                                   \
            struct err probe_err;                                                                                      \
            setenv("MAILHAUL_LOOP", backends[backend_i], 1);                                                           \
            if (!loop_create(&probe_loop, &probe_err)) {                                                               \
                assert_int_equal(backend_i, 0);                                                                        \
                fprintf(stderr, "io_uring is refused here: %s\n", probe_err.server_text);                              \
                continue;                                                                                              \
            }                                                                                                          \
            loop_destroy(&probe_loop);                                                                                 \
            group_failed +=                                                                                            \
                _cmocka_run_group_tests(backends[backend_i], tests, sizeof(tests) / sizeof(tests)[0], NULL, NULL);     \
        }                                                                                                              \
        group_failed;                                                                                                  \
    })

#endif
