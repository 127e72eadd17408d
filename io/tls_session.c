#include "io/tls_private.h"

#include "io/base/mem.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

/* OpenSSL reads the receive buffer itself: no memory BIO, so no copy and nothing that grows. */
static int bio_read(BIO *bio, char *out, size_t size, size_t *size_r)
{
    struct tls_session *t = BIO_get_data(bio);
    struct slice part = slice_first(t->in, size);

    BIO_clear_retry_flags(bio);
    if (part.size == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(out, part.data, part.size);
    t->in = slice_from(t->in, part.size);
    *size_r = part.size;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t size, size_t *size_r)
{
    struct tls_session *t = BIO_get_data(bio);
    size_t taken = t->out(t->context, slice_of(data, size));

    BIO_clear_retry_flags(bio);
    if (taken == 0) {
        BIO_set_retry_write(bio);
        return 0;
    }
    *size_r = taken;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH;
}

static void method_make(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "mailhaul stream");
    if (!method || !BIO_meth_set_read_ex(method, bio_read) || !BIO_meth_set_write_ex(method, bio_write) ||
        !BIO_meth_set_ctrl(method, bio_ctrl))
        abort();
}

struct tls_session *tls_session_of(SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

static void peer_name_set(struct tls_session *t)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);

    /* The subject's common name says nothing about a host (RFC 9525 2). */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, t->host))
        return; /* an address is no server name (RFC 6066 3) */
    ERR_clear_error();
    if (!X509_VERIFY_PARAM_set1_host(param, t->host, 0) || !SSL_set_tlsext_host_name(t->ssl, t->host))
        ERR_clear_error(); /* a name that cannot be set matches no certificate */
}

struct tls_session *tls_session_create(struct tls_role *role, const char *host, const char *server,
                                       struct tickets *tickets, size_t (*out)(void *context, struct slice bytes),
                                       void *context)
{
    struct tls_session *t = mem_zero(1, sizeof *t);
    SSL_SESSION *ticket;
    BIO *bio;

    pthread_once(&method_once, method_make);
    t->role = role;
    t->tickets = tickets;
    t->out = out;
    t->context = context;
    snprintf(t->host, sizeof t->host, "%s", host);
    snprintf(t->server, sizeof t->server, "%s", server);
    t->ssl = SSL_new(role->ctx);
    bio = BIO_new(method);
    if (!t->ssl || !bio)
        abort(); /* out of memory is all that can be */
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    SSL_set_connect_state(t->ssl);
    peer_name_set(t);
    ticket = tickets_take(tickets, role->id, t->server);
    if (ticket) {
        SSL_set_session(t->ssl, ticket);
        SSL_SESSION_free(ticket);
    }
    return t;
}

void tls_session_destroy(struct tls_session **session)
{
    if (*session) {
        SSL_free((*session)->ssl);
        free(*session);
        *session = NULL;
    }
}

void tls_session_feed(struct tls_session *t, struct slice ciphertext)
{
    assert(t->in.size == 0);
    t->in = ciphertext;
}

struct slice tls_session_left(const struct tls_session *t)
{
    return t->in;
}

void tls_session_feed_end(struct tls_session *t)
{
    t->in = SLICE("");
}

static enum tls_step failed(struct tls_session *t, const char *doing, struct err *err_r)
{
    if (t->fault.code) {
        tls_words_certificate(&t->fault, t->host, err_r);
        ERR_clear_error();
    } else {
        tls_words_other(doing, t->host, err_r);
    }
    return TLS_STEP_FAIL;
}

static enum tls_step step_of(struct tls_session *t, int result, const char *doing, struct err *err_r)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_NONE:
        return TLS_STEP_DONE;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return TLS_STEP_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_STEP_END;
    }
    return failed(t, doing, err_r);
}

enum tls_step tls_session_handshake(struct tls_session *t, struct err *err_r)
{
    /* Whatever another session of this thread left behind would be taken for ours. */
    ERR_clear_error();
    return step_of(t, SSL_do_handshake(t->ssl), "TLS handshake with", err_r);
}

enum tls_step tls_session_read(struct tls_session *t, char *out, size_t cap, size_t *size_r, struct err *err_r)
{
    int result;

    ERR_clear_error();
    result = SSL_read_ex(t->ssl, out, cap, size_r);
    return result == 1 ? TLS_STEP_DONE : step_of(t, result, "TLS with", err_r);
}

size_t tls_session_write(struct tls_session *t, struct slice plain)
{
    struct slice part = slice_first(plain, TLS_RECORD_BYTES);
    size_t taken = 0;

    ERR_clear_error();
    if (part.size == 0 || SSL_write_ex(t->ssl, part.data, part.size, &taken) != 1)
        return 0;
    return taken;
}

void tls_session_shutdown(struct tls_session *t)
{
    ERR_clear_error();
    if (SSL_is_init_finished(t->ssl))
        (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}

struct ssl_st *tls_session_ssl(struct tls_session *t)
{
    return t->ssl;
}
